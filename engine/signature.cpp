// The signature language of registry.h: parsing, and checking a call against it.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>

#include "engine/registry.h"

namespace ww {
namespace {

constexpr int kMaxLetters = 32;

struct Reader {
    const char* text;
    const char* p;

    void skip() {
        while (std::isspace(static_cast<unsigned char>(*p))) p++;
    }
    bool take(char c) {
        skip();
        if (*p != c) return false;
        p++;
        return true;
    }
    void need(char c) {
        if (!take(c)) fail<Error>("signature \"%s\": expected '%c' at \"%s\"", text, c, p);
    }
    std::string word() {
        skip();
        const char* start = p;
        while (std::isalnum(static_cast<unsigned char>(*p)) || *p == '_' || *p == '.' || *p == '-' || *p == '+') p++;
        if (p == start) fail<Error>("signature \"%s\": expected a word at \"%s\"", text, p);
        return std::string(start, p);
    }
    bool at_end() {
        skip();
        return *p == 0;
    }
};

ViewParam parse_view(Reader& in) {
    ViewParam v;
    std::string word = in.word();
    if (word == "out" || word == "inout") {
        v.out = true;
        v.inout = word == "inout";
        word = in.word();
    }
    v.name = word;
    in.need(':');
    v.type_text = in.word();
    if (v.type_text == "any") {
        v.type = ViewParam::any;
    } else if (v.type_text != "T") {
        v.type = ViewParam::fixed;
        bool known = false;
        for (int i = 0; i <= static_cast<int>(DType::complex128); i++)
            if (v.type_text == dtype_name(static_cast<DType>(i))) v.dtype = static_cast<DType>(i), known = true;
        if (!known) fail<Error>("signature \"%s\": no dtype '%s'", in.text, v.type_text.c_str());
    }
    in.need('[');
    if (!in.take(']')) {
        do {
            std::string dim = in.word();
            bool ellipsis = dim == "..." || dim == "any...", literal = std::isdigit(static_cast<unsigned char>(dim[0]));
            if (ellipsis) v.ellipsis = static_cast<int>(v.dims.size());
            else v.rank++;
            v.dims.push_back({ellipsis ? Dim::ellipsis : literal ? Dim::literal : Dim::letter, std::atoll(dim.c_str()), dim});
        } while (in.take(','));
        in.need(']');
    }
    v.optional = in.take('?');
    v.sequence = in.take('*');
    return v;
}

AttrParam parse_attr(Reader& in) {
    AttrParam a;
    a.name = in.word();
    in.need(':');
    std::string type = in.word();
    in.skip();
    if (*in.p == '|') {
        a.type = AttrParam::word;
        a.words.push_back(type);
        while (in.take('|')) a.words.push_back(in.word());
    } else if (type == "int") {
        if (in.take('[')) {
            a.count = std::atoi(in.word().c_str());
            in.need(']');
        }
    } else if (type == "u64") {
        a.type = AttrParam::u64;
    } else if (type == "float") {
        a.type = AttrParam::real;
    } else if (type == "bool") {
        a.type = AttrParam::boolean;
    } else {
        fail<Error>("signature \"%s\": no attribute type '%s'", in.text, type.c_str());
    }
    if (in.take('=')) {
        a.required = false;
        std::string value = in.word();
        if (a.type == AttrParam::real) {
            a.initial.real = std::atof(value.c_str());
        } else if (a.type == AttrParam::word) {
            a.initial.ints[0] = -1;
            for (size_t i = 0; i < a.words.size(); i++)
                if (a.words[i] == value) a.initial.ints[0] = static_cast<int64_t>(i);
            if (a.initial.ints[0] < 0)
                fail<Error>("signature \"%s\": default '%s' is not one of the words", in.text, value.c_str());
        } else {
            int64_t n = value == "true" ? 1 : std::atoll(value.c_str());
            for (int i = 0; i < a.count; i++) a.initial.ints[i] = n;
        }
    }
    return a;
}

}  // namespace

Signature Signature::parse(const char* text) {
    Reader in{text, text};
    Signature s;
    do s.views.push_back(parse_view(in));
    while (in.take(','));
    if (in.take(';') && !in.at_end()) {
        do s.attrs.push_back(parse_attr(in));
        while (in.take(','));
    }
    if (!in.at_end()) fail<Error>("signature \"%s\": cannot read \"%s\"", text, in.p);
    std::vector<std::string> letters;
    for (ViewParam& v : s.views)
        for (Dim& d : v.dims) {
            if (d.kind != Dim::letter) continue;
            auto at = std::find(letters.begin(), letters.end(), d.text);
            d.value = at - letters.begin();
            if (at == letters.end()) letters.push_back(d.text);
        }
    if (letters.size() > kMaxLetters) fail<Error>("signature \"%s\": more than %d letters", text, kMaxLetters);
    return s;
}

namespace {

struct Binding {
    int64_t size;
    const char* from = nullptr;  // the view that bound this letter
};

// The dimensions that '...' stands for.
struct Pack {
    const View* view = nullptr;
    const char* from = nullptr;
    int begin = 0, count = 0;
};

std::string argument_name(const ViewParam& param, int k) {
    return param.sequence ? param.name + "[" + std::to_string(k) + "]" : param.name;
}

void check_pack(const Op& op, const ViewParam& param, int k, const View& view, const Pack& mine, Pack& pack) {
    if (!pack.view) pack = mine;
    bool same = mine.count == pack.count;
    for (int i = 0; same && i < mine.count; i++) same = view.shape[mine.begin + i] == pack.view->shape[pack.begin + i];
    if (same) return;
    std::string arg = argument_name(param, k);
    fail<ShapeError>("%s: expected %s to have the same '...' dimensions as %s, whose shape is %s, got %s.shape == %s",
                     op.contract->op, arg.c_str(), pack.from, pack.view->shape_text().c_str(), arg.c_str(),
                     view.shape_text().c_str());
}

void check_dims(const Op& op, const ViewParam& param, int k, const View& view, Binding* bound, Pack& pack) {
    const char* name = op.contract->op;
    if (param.ellipsis < 0 ? view.ndim != param.rank : view.ndim < param.rank) {
        std::string dims, arg = argument_name(param, k);
        for (const Dim& d : param.dims) dims += (dims.empty() ? "" : ", ") + d.text;
        fail<ShapeError>("%s: expected %s of shape [%s] (%s%d dimensions), got %s.shape == %s", name, arg.c_str(), dims.c_str(),
                         param.ellipsis < 0 ? "" : "at least ", param.rank, arg.c_str(), view.shape_text().c_str());
    }
    int n_dims = static_cast<int>(param.dims.size());
    for (int i = 0; i < n_dims; i++) {
        const Dim& dim = param.dims[i];
        if (dim.kind == Dim::ellipsis) {
            if (dim.text == "...") check_pack(op, param, k, view, {&view, param.name.c_str(), i, view.ndim - param.rank}, pack);
            continue;
        }
        int axis = param.ellipsis >= 0 && i > param.ellipsis ? view.ndim - (n_dims - i) : i;
        int64_t size = view.shape[axis], expected = dim.value;
        std::string why;
        if (dim.kind == Dim::letter) {
            Binding& b = bound[dim.value];
            if (!b.from) {
                b = {size, param.name.c_str()};
                continue;
            }
            if (size == b.size) continue;
            expected = b.size;
            why = " (" + dim.text + " of " + b.from + ")";
        } else if (size == expected) {
            continue;
        }
        std::string arg = argument_name(param, k);
        fail<ShapeError>("%s: expected %s.shape[%d] == %lld%s, got %s.shape == %s", name, arg.c_str(), axis,
                         static_cast<long long>(expected), why.c_str(), arg.c_str(), view.shape_text().c_str());
    }
}

// Does an element have two indices? In order of their strides, dimensions that each step over all that the smaller ones reach never
// meet; where one steps less far, which few people write by hand, the places are compared.
bool self_overlaps(const View& v) {
    if (v.is_contiguous()) return false;
    int order[kMaxDims], n = 0;  // dimensions that are stepped along, the smallest stride first
    for (int i = 0; i < v.ndim; i++) {
        if (v.shape[i] == 0) return false;
        if (v.shape[i] == 1) continue;
        int at = n++;
        for (; at > 0 && std::abs(v.strides[order[at - 1]]) > std::abs(v.strides[i]); at--) order[at] = order[at - 1];
        order[at] = i;
    }
    auto step = [&](int i) { return std::abs(v.strides[order[i]]); };
    int64_t reach = 0;
    bool apart = true;
    for (int i = 0; i < n; i++) {
        if (step(i) == 0) return true;
        apart &= step(i) > reach;
        reach += (v.shape[order[i]] - 1) * step(i);
    }
    if (apart) return false;
    if (reach + 1 < v.size() || v.size() > 1 << 24)
        return true;  // more elements than places; or nobody's layout, not worth the search
    std::vector<int64_t> places{0};
    for (int i = 0; i < n; i++) {
        size_t count = places.size();
        for (int64_t k = 1; k < v.shape[order[i]]; k++)
            for (size_t at = 0; at < count; at++) places.push_back(places[at] + k * step(i));
    }
    std::sort(places.begin(), places.end());
    return std::adjacent_find(places.begin(), places.end()) != places.end();
}

}  // namespace

void check_call(const Op& op, Call& call) {
    const Signature& s = op.signature;
    const ViewParam* typed_by = nullptr;
    Binding bound[kMaxLetters];
    Pack pack;
    for (size_t i = 0; i < s.views.size(); i++) {
        const ViewParam& param = s.views[i];
        for (int k = 0; k < call.count(static_cast<int>(i)); k++) {
            const View& view = call.view(static_cast<int>(i), k);
            if (!view.present()) continue;  // the binding has refused None where it is not optional
            if (param.type == ViewParam::own && !typed_by) {
                typed_by = &param;
                call.dtype = view.dtype;
            }
            bool typed = param.type == ViewParam::any || view.dtype == (param.type == ViewParam::own ? call.dtype : param.dtype);
            if (!typed) {
                std::string arg = argument_name(param, k);
                std::string why = param.type == ViewParam::own ? " (as " + typed_by->name + ")" : "";
                fail<DTypeError>("%s: expected %s.dtype == %s%s, got %s", op.contract->op, arg.c_str(),
                                 dtype_name(param.type == ViewParam::own ? call.dtype : param.dtype), why.c_str(),
                                 dtype_name(view.dtype));
            }
            check_dims(op, param, k, view, bound, pack);
            if (param.out && self_overlaps(view))
                fail<ShapeError>("%s: expected %s to hold each element once, got a view that overlaps itself, shape %s",
                                 op.contract->op, argument_name(param, k).c_str(), view.shape_text().c_str());
        }
    }
    if (typed_by) {
        uint32_t supported = 0;
        for (const Kernel& k : op.kernels) supported |= k.dtypes;
        if (!(supported & dtype_bit(call.dtype))) {
            std::string names;
            for (int t = 0; t <= static_cast<int>(DType::complex128); t++)
                if (supported >> t & 1) names += (names.empty() ? "" : " or ") + std::string(dtype_name(static_cast<DType>(t)));
            fail<DTypeError>("%s: expected %s.dtype == %s, got %s", op.contract->op, typed_by->name.c_str(), names.c_str(),
                             dtype_name(call.dtype));
        }
    }
    if (op.contract->check) op.contract->check(call);
}

}  // namespace ww
