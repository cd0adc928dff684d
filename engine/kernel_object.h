// The Python callable of one raw kernel: whitewolf.kernels.get(...) returns it, and ops/ calls the same object. It is a vectorcall
// type of its own because a recorded 4x4 multiply has to fit in about a microsecond. Included by module.cpp alone.
#pragma once

#if defined(WW_CUDA)
#include "engine/cuda/array_view.h"
#else
#include "engine/numpy_view.h"
#endif
#include "engine/registry.h"
#if defined(WW_CUDASIM)
#include "engine/cuda/sim/guarded_views.h"
#include "engine/cuda/sim/python_interrupt.h"
#endif

namespace ww {

// Calls that touch fewer bytes keep the GIL: giving it up and taking it back costs more than they do. Not so on the simulator,
// where a kernel over the smallest array may never end.
#if defined(WW_CUDASIM)
constexpr int64_t kReleaseGilBytes = 0;
#else
constexpr int64_t kReleaseGilBytes = 32 * 1024;
#endif
constexpr int kMaxViews = 24;  // on the stack; longer sequences (optimizers over all parameters) go to the heap

struct OpNames {  // interned attribute names, so that keywords compare by pointer
    const Op* op;
    std::vector<PyObject*> attrs;
};

struct KernelObject {
    PyObject_HEAD
    vectorcallfunc call;
    const OpNames* names;
    const Kernel* kernel;  // nullptr: the registry chooses
};

// On the simulator a workspace is always guarded, and has the bytes that the kernel asked for, not one more.
#if defined(WW_CUDASIM)
constexpr bool kOwnWorkspace = true;
#else
constexpr bool kOwnWorkspace = false;
#endif

inline PyObject* raise(const std::exception& error) {
    auto* typed = [&]() -> PyObject* {
        if (dynamic_cast<const ShapeError*>(&error)) return PyExc_ValueError;
        if (dynamic_cast<const DTypeError*>(&error)) return PyExc_TypeError;
        if (dynamic_cast<const IndexError*>(&error)) return PyExc_IndexError;
        if (dynamic_cast<const OutOfMemory*>(&error) || dynamic_cast<const std::bad_alloc*>(&error)) return PyExc_MemoryError;
        if (dynamic_cast<const DeviceError*>(&error)) {
            static PyObject* type = py::object(py::module_::import("whitewolf._errors").attr("DeviceError")).release().ptr();
            return type;
        }
        return PyExc_RuntimeError;
    }();
    PyErr_SetString(typed, error.what());
    return nullptr;
}

// What the allocator says, in the name of the op that asked.
inline OutOfMemory named(const OutOfMemory& error, const std::string& op) {
    std::string text = error.what();
    return OutOfMemory(op + text.substr(std::min(text.size(), text.find(':'))));
}

// Everything that a call needs, parsed from Python's arguments.
struct Arguments {
    View fixed_views[kMaxViews];
    std::vector<View> many_views;
    int first[kMaxViews + 1];
    Attr attrs[16];
    PyObject* workspace = nullptr;
    Call call{};
};

inline int64_t read_int(PyObject* value, bool unsigned_bits, const char* op, const std::string& name) {
    PyObject* index = PyNumber_Index(value);
    if (!index) {
        PyErr_Clear();
        fail<DTypeError>("%s: expected %s to be an int, got %s", op, name.c_str(), Py_TYPE(value)->tp_name);
    }
    int64_t n = unsigned_bits ? static_cast<int64_t>(PyLong_AsUnsignedLongLong(index)) : PyLong_AsLongLong(index);
    Py_DECREF(index);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        fail<ShapeError>("%s: expected %s in the range of %s, got an int outside it", op, name.c_str(),
                         unsigned_bits ? "uint64" : "int64");
    }
    return n;
}

inline Attr read_attr(const AttrParam& param, PyObject* value, const char* op) {
    Attr a{};
    switch (param.type) {
        case AttrParam::real:
            a.real = PyFloat_AsDouble(value);
            if (PyErr_Occurred()) {
                PyErr_Clear();
                fail<DTypeError>("%s: expected %s to be a float, got %s", op, param.name.c_str(), Py_TYPE(value)->tp_name);
            }
            break;
        case AttrParam::boolean: {
            if (!PyBool_Check(value))
                fail<DTypeError>("%s: expected %s to be a bool, got %s", op, param.name.c_str(), Py_TYPE(value)->tp_name);
            a.ints[0] = value == Py_True;
            break;
        }
        case AttrParam::word: {
            const char* text = PyUnicode_Check(value) ? PyUnicode_AsUTF8(value) : nullptr;
            for (size_t i = 0; text && i < param.words.size(); i++)
                if (param.words[i] == text) {
                    a.ints[0] = static_cast<int64_t>(i);
                    return a;
                }
            std::string words;
            for (auto& w : param.words) words += (words.empty() ? "'" : ", '") + w + "'";
            PyErr_Clear();
            fail<ShapeError>("%s: expected %s to be one of %s, got %s", op, param.name.c_str(), words.c_str(),
                             py::repr(value).cast<std::string>().c_str());
        }
        default:
            if (param.count > 1 && !PyIndex_Check(value)) {
                PyObject* items = PySequence_Fast(value, "");
                Py_ssize_t n = items ? PySequence_Fast_GET_SIZE(items) : -1;
                PyErr_Clear();
                auto owned = py::reinterpret_steal<py::object>(items);
                if (n != param.count)
                    fail<ShapeError>("%s: expected %s to be an int or %d of them, got %s", op, param.name.c_str(), param.count,
                                     py::repr(value).cast<std::string>().c_str());
                for (int k = 0; k < param.count; k++)
                    a.ints[k] = read_int(PySequence_Fast_GET_ITEM(items, k), false, op, param.name);
            } else {
                int64_t n = read_int(value, param.type == AttrParam::u64, op, param.name);
                for (int k = 0; k < param.count; k++) a.ints[k] = n;
            }
    }
    return a;
}

// Outputs may overlap nothing else, unless the contract allows exactly in place.
inline void check_overlap(const Op& op, const Arguments& in, const std::vector<PyObject*>& objects) {
    int total = in.call.first[op.signature.views.size()];
    std::vector<bool> is_out(total);
    std::vector<const std::string*> names(total);
    for (size_t p = 0; p < op.signature.views.size(); p++)
        for (int v = in.first[p]; v < in.first[p + 1]; v++)
            is_out[v] = op.signature.views[p].out, names[v] = &op.signature.views[p].name;
    std::vector<std::pair<const char*, const char*>> spans(total);
    for (int v = 0; v < total; v++)
        if (in.call.views[v].present()) spans[v] = extent(in.call.views[v]);
    for (int a = 0; a < total; a++) {
        if (!is_out[a] || spans[a].first == spans[a].second) continue;
        for (int b = 0; b < total; b++) {
            if (b == a || (is_out[b] && b < a) || !(spans[a].first < spans[b].second && spans[b].first < spans[a].second)) continue;
            if (op.contract->in_place && !is_out[b] && same_elements(in.call.views[a], in.call.views[b])) continue;
            if (!share_memory(objects[a], objects[b])) continue;
            fail<ShapeError>("%s: expected %s not to overlap %s%s, got views of the same memory", op.contract->op,
                             names[a]->c_str(), names[b]->c_str(), op.contract->in_place ? " unless it is exactly in place" : "");
        }
    }
}

// The workspace is written to: it may overlap no view.
inline void check_workspace_overlap(const Op& op, const Arguments& in, const View& workspace, PyObject* const* args,
                                    Py_ssize_t n_args) {
    auto own = extent(workspace);
    for (size_t p = 0; p < op.signature.views.size(); p++)
        for (int v = in.first[p]; v < in.first[p + 1]; v++) {
            if (!in.call.views[v].present()) continue;
            auto span = extent(in.call.views[v]);
            if (!(own.first < span.second && span.first < own.second)) continue;
            PyObject* object = static_cast<Py_ssize_t>(p) < n_args ? args[p] : Py_None;
            if (op.signature.views[p].sequence) object = PySequence_Fast_GET_ITEM(object, v - in.first[p]);
            if (share_memory(in.workspace, object))
                fail<ShapeError>("%s: expected workspace not to overlap %s, got views of the same memory", op.contract->op,
                                 op.signature.views[p].name.c_str());
        }
}

inline void read_views(const Op& op, PyObject* const* args, Py_ssize_t n_args, Arguments& in) {
    const auto& params = op.signature.views;
    const char* name = op.contract->op;
    View* views = in.fixed_views;
    PyObject* fixed_objects[kMaxViews];
    std::vector<PyObject*> many_objects;
    size_t needed = 0;
    for (size_t i = 0; i < params.size(); i++) {
        bool listed =
            params[i].sequence && static_cast<Py_ssize_t>(i) < n_args && (PyList_Check(args[i]) || PyTuple_Check(args[i]));
        needed += listed ? static_cast<size_t>(PySequence_Fast_GET_SIZE(args[i])) : 1;
    }
    PyObject** objects = fixed_objects;
    if (needed > kMaxViews) {
        in.many_views.resize(needed);
        many_objects.resize(needed);
        views = in.many_views.data();
        objects = many_objects.data();
    }
    int v = 0;
    bool may_overlap = false;
    for (size_t i = 0; i < params.size(); i++) {
        const ViewParam& param = params[i];
        PyObject* value = static_cast<Py_ssize_t>(i) < n_args ? args[i] : Py_None;
        in.first[i] = v;
        if (param.sequence) {
            if (!PyList_Check(value) && !PyTuple_Check(value))
                fail<DTypeError>("%s: expected %s to be a list of arrays, got %s", name, param.name.c_str(),
                                 Py_TYPE(value)->tp_name);
            Py_ssize_t n = PySequence_Fast_GET_SIZE(value);
            for (Py_ssize_t k = 0; k < n; k++) {
                PyObject* item = PySequence_Fast_GET_ITEM(value, k);
                objects[v] = item;
                views[v++] = read_array(item, param.out, name, param.name + "[" + std::to_string(k) + "]");
            }
            may_overlap |= param.out;
            continue;
        }
        objects[v] = value;
        if (value == Py_None) {
            if (!param.optional) fail<DTypeError>("%s: expected %s to be an array, got None", name, param.name.c_str());
            views[v++] = View{};
            continue;
        }
        views[v] = read_array(value, param.out, name, param.name);
        v++;
    }
    in.first[params.size()] = v;
    in.call.views = views;
    in.call.first = in.first;
    in.call.attrs = in.attrs;
    in.call.op = name;
    if (!may_overlap) {  // the usual few views: compare extents before anything heavier
        for (size_t p = 0; p < params.size() && !may_overlap; p++) {
            if (!params[p].out || !views[in.first[p]].present()) continue;
            auto a = extent(views[in.first[p]]);
            for (int b = 0; b < v; b++) {
                if (b == in.first[p] || !views[b].present()) continue;
                auto s = extent(views[b]);
                may_overlap |= a.first < s.second && s.first < a.second;
            }
        }
    }
    if (may_overlap) check_overlap(op, in, std::vector<PyObject*>(objects, objects + v));
}

inline void read_arguments(const KernelObject& self, PyObject* const* args, Py_ssize_t n_args, PyObject* keywords, Arguments& in) {
    const Op& op = *self.names->op;
    const char* name = op.contract->op;
    const auto& attrs = op.signature.attrs;
    Py_ssize_t n_views = static_cast<Py_ssize_t>(op.signature.views.size());
    if (n_args > n_views + static_cast<Py_ssize_t>(attrs.size()))
        fail<DTypeError>("%s: expected at most %zu arguments, got %zd", name, op.signature.views.size() + attrs.size(), n_args);
    begin_arguments();
    read_views(op, args, std::min(n_args, n_views), in);
    uint32_t given = 0;
    for (size_t i = 0; i < attrs.size(); i++) in.attrs[i] = attrs[i].initial;
    for (Py_ssize_t i = n_views; i < n_args; i++) {
        in.attrs[i - n_views] = read_attr(attrs[i - n_views], args[i], name);
        given |= 1u << (i - n_views);
    }
    Py_ssize_t n_keywords = keywords ? PyTuple_GET_SIZE(keywords) : 0;
    for (Py_ssize_t k = 0; k < n_keywords; k++) {
        PyObject* keyword = PyTuple_GET_ITEM(keywords, k);
        size_t i = 0;
        while (i < attrs.size() && self.names->attrs[i] != keyword) i++;
        if (i == attrs.size())  // a keyword that is not interned: rare
            for (i = 0; i < attrs.size() && PyUnicode_Compare(self.names->attrs[i], keyword) != 0;) i++;
        if (i < attrs.size()) {
            if (given >> i & 1) fail<DTypeError>("%s: got %s twice", name, attrs[i].name.c_str());
            in.attrs[i] = read_attr(attrs[i], args[n_args + k], name);
            given |= 1u << i;
        } else if (PyUnicode_CompareWithASCIIString(keyword, "workspace") == 0) {
            in.workspace = args[n_args + k] == Py_None ? nullptr : args[n_args + k];
        } else {
            fail<DTypeError>("%s: got an unexpected keyword argument '%s'", name, PyUnicode_AsUTF8(keyword));
        }
    }
    for (size_t i = 0; i < attrs.size(); i++)
        if (attrs[i].required && !(given >> i & 1)) fail<DTypeError>("%s: expected %s, got nothing", name, attrs[i].name.c_str());
    check_call(op, in.call);
}

inline const Kernel& choose(const KernelObject& self, const Call& call) {
    return select(*self.names->op, call, self.kernel ? self.kernel->variant : nullptr);
}

inline PyObject* kernel_call(PyObject* object, PyObject* const* args, size_t nargsf, PyObject* keywords) {
    auto& self = *reinterpret_cast<KernelObject*>(object);
    try {
        Arguments in;
        read_arguments(self, args, PyVectorcall_NARGS(nargsf), keywords, in);
        const Op& op = *self.names->op;
#if defined(WW_CUDASIM)
        View* views = in.many_views.empty() ? in.fixed_views : in.many_views.data();
        Interruptible interruptible(!updates_in_place(op, views, in.first));
        GuardedViews guarded;
        for (size_t p = 0; p < op.signature.views.size(); p++)
            for (int v = in.first[p]; v < in.first[p + 1]; v++) guarded.add(views[v], extent(views[v]), op.signature.views[p].out);
        guarded.copy_in();
#endif
        const Kernel& kernel = choose(self, in.call);
        size_t bytes = kernel.workspace_bytes ? kernel.workspace_bytes(in.call) : 0;
        if (in.workspace) {
            View w = read_array(in.workspace, true, op.contract->op, "workspace");
            size_t have = static_cast<size_t>(w.size() * item_size(w.dtype));
            if (!w.is_contiguous() || have < bytes)
                fail<ShapeError>("%s: expected workspace to be contiguous with at least %zu bytes, got %zu", op.contract->op, bytes,
                                 have);
            check_workspace_overlap(op, in, w, args, PyVectorcall_NARGS(nargsf));
            in.call.workspace = w.data;
        }
        const bool given = in.workspace && !kOwnWorkspace;
        Workspace own(given ? 0 : bytes);
        if (!given) in.call.workspace = own.data();
        in.call.workspace_bytes = bytes;
        prepare_launch();
        int64_t touched = static_cast<int64_t>(bytes);
        for (int v = 0; v < in.first[op.signature.views.size()]; v++)
            if (in.call.views[v].present()) touched += in.call.views[v].size() * item_size(in.call.views[v].dtype);
        if (touched >= kReleaseGilBytes) {
            py::gil_scoped_release released;
            run(op, kernel, in.call);
        } else {
            run(op, kernel, in.call);
        }
#if defined(WW_CUDASIM)
        guarded.copy_back(op.contract->op);
#endif
        Py_RETURN_NONE;
#if defined(WW_CUDASIM)
    } catch (const sim::Interrupted& error) {
        return PyErr_CheckSignals() < 0 ? nullptr : raise(error);  // in other threads than the main one: a DeviceError
#endif
    } catch (const OutOfMemory& error) {  // of the workspace
        return raise(named(error, self.names->op->contract->op));
    } catch (py::error_already_set& error) {
        error.restore();
        return nullptr;
    } catch (const std::exception& error) {
        return raise(error);
    }
}

}  // namespace ww
