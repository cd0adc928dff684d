// Softmax and log-softmax along the last dimension, forward and backward.
//
// The four share one shape: an optional maximum m over the row, a sum s of one term an element, and a result an element from m and
// s.
//
// rows     vectors along the row. Four accumulators, then a fixed tree. A row up to about 60,000 floats stays in the L2 cache
// between
//          the passes, so memory sees one read and one write. Strides other than 1 are gathered
// columns  where the row's own dimension is strided and another one is dense (softmax over the channels of an NCHW array): vectors
// of
//          neighbouring rows; each row's sum has the same tree, so that it does not matter which variant a sample meets
//
// Bound by memory from L2 on; within it, by the exponential.
#include <limits>

#include "engine/parallel.h"
#include "kernels/common/vector_math.h"
#include "kernels/common/row.h"
#include "kernels/softmax/softmax.h"

namespace ww::WW_ISA {
namespace {

// term: what is summed. keeps_term: it is written to the output and handed to `result` instead of being computed again.
template <class T>
struct Softmax {
    static constexpr bool has_max = true, keeps_term = true, has_second = false;
    static WW_INLINE Vec<T> term(Vec<T> x, Vec<T>, Vec<T> m) { return exp(x - m); }
    static WW_INLINE Vec<T> finish(Vec<T> s) { return s; }
    static WW_INLINE Vec<T> result(Vec<T> term, Vec<T>, Vec<T>, Vec<T> s) { return term / s; }
};
template <class T>
struct LogSoftmax {
    static constexpr bool has_max = true, keeps_term = false, has_second = false;
    static WW_INLINE Vec<T> term(Vec<T> x, Vec<T>, Vec<T> m) { return exp(x - m); }
    static WW_INLINE Vec<T> finish(Vec<T> s) { return log(s); }
    static WW_INLINE Vec<T> result(Vec<T> x, Vec<T>, Vec<T> m, Vec<T> log_s) { return (x - m) - log_s; }
};
template <class T>
struct SoftmaxBackward {
    static constexpr bool has_max = false, keeps_term = false, has_second = true;
    static WW_INLINE Vec<T> term(Vec<T> grad, Vec<T> y, Vec<T>) { return grad * y; }
    static WW_INLINE Vec<T> finish(Vec<T> s) { return s; }
    static WW_INLINE Vec<T> result(Vec<T> grad, Vec<T> y, Vec<T>, Vec<T> s) { return (grad - s) * y; }
};
template <class T>
struct LogSoftmaxBackward {
    static constexpr bool has_max = false, keeps_term = false, has_second = true;
    static WW_INLINE Vec<T> term(Vec<T> grad, Vec<T>, Vec<T>) { return grad; }
    static WW_INLINE Vec<T> finish(Vec<T> s) { return s; }
    static WW_INLINE Vec<T> result(Vec<T> grad, Vec<T> y, Vec<T>, Vec<T> s) { return grad - exp(y) * s; }
};

template <class T, class Step>
WW_INLINE void one_row(Row<T> out, Row<const T> a, Row<const T> b, int64_t n) {
    Vec<T> m(Step::has_max ? row_max(a, n) : T(0));
    T total = row_sum<T>(n, [&](int64_t i, int lanes) {
        Vec<T> term = Step::term(a.load(i, lanes), Step::has_second ? b.load(i, lanes) : Vec<T>::zero(), m);
        if (Step::keeps_term) out.store(i, lanes, term);
        return term;
    });
    Vec<T> s = Step::finish(Vec<T>(total));
    for_row<T>(n, [&](int64_t i, int lanes) {
        Vec<T> first = Step::keeps_term ? out.load(i, lanes) : a.load(i, lanes);
        out.store(i, lanes, Step::result(first, Step::has_second ? b.load(i, lanes) : Vec<T>::zero(), m, s));
    });
}

template <class T, class Step>
void rows(const Call& call) {
    const View &y = call.view(0), &x = call.view(1), &second = call.view(Step::has_second ? 2 : 1);
    int last = y.ndim - 1;
    int64_t n = y.shape[last];
    parallel_for(row_count(y, last), 1 + 8192 / (n + 1), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) {
            T* out = y.ptr<T>() + row_offset(y, last, row);
            const T *a = x.ptr<T>() + row_offset(x, last, row), *b = second.ptr<T>() + row_offset(second, last, row);
            one_row<T, Step>({out, y.strides[last]}, {a, x.strides[last]}, {b, second.strides[last]}, n);
        }
    });
}

// The dimension along which all views are dense, when it is not the last; -1 where there is none.
inline int dense_dimension(const Call& call, int views) {
    for (int d = 0; d < call.view(0).ndim - 1; d++) {
        bool dense = true;
        for (int v = 0; v < views; v++) dense = dense && call.view(v).strides[d] == 1;
        if (dense) return d;
    }
    return -1;
}

template <class T, class Step>
void columns(const Call& call) {
    constexpr int width = Vec<T>::width, views = Step::has_second ? 3 : 2;
    int dense = dense_dimension(call, views), last = call.view(0).ndim - 1;
    View part[views];  // the same views, with the dense dimension cut into blocks of `width` rows
    int64_t stride[views], size = call.view(0).shape[dense], n = call.view(0).shape[last];
    for (int v = 0; v < views; v++) {
        part[v] = call.view(v);
        stride[v] = part[v].strides[last];
        part[v].shape[dense] = (size + width - 1) / width;
        part[v].strides[dense] = width;
    }
    parallel_for(row_count(part[0], last), 1 + 8192 / (n * width + 1), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) {
            int64_t block = row;
            for (int d = last - 1; d > dense; d--) block /= part[0].shape[d];
            int lanes = static_cast<int>(std::min<int64_t>(width, size - block % part[0].shape[dense] * width));
            T* out = part[0].template ptr<T>() + row_offset(part[0], last, row);
            const T* a = part[1].template ptr<T>() + row_offset(part[1], last, row);
            const T* b = part[views - 1].template ptr<T>() + row_offset(part[views - 1], last, row);
            auto first = [&](int64_t i) { return load_lanes(a + i * stride[1], lanes); };
            auto other = [&](int64_t i) {
                return Step::has_second ? load_lanes(b + i * stride[views - 1], lanes) : Vec<T>::zero();
            };
            Vec<T> m = Vec<T>(Step::has_max ? -std::numeric_limits<T>::infinity() : T(0));
            ColumnSum<T> sum(n);
            for (int64_t i = 0; Step::has_max && i < n; i++) m = max_nan(m, first(i));
            for (int64_t i = 0; i < n; i++) {
                Vec<T> term = Step::term(first(i), other(i), m);
                if (Step::keeps_term) store_lanes(out + i * stride[0], lanes, term);
                sum.add(i, term);
            }
            Vec<T> s = Step::finish(sum.total());
            for (int64_t i = 0; i < n; i++) {
                Vec<T> value = Step::keeps_term ? load_lanes<T>(out + i * stride[0], lanes) : first(i);
                store_lanes(out + i * stride[0], lanes, Step::result(value, other(i), m, s));
            }
        }
    });
}

template <int views>
bool has_dense_columns(const Call& call) {
    int last = call.view(0).ndim - 1;
    for (int v = 0; v < views; v++)
        if (call.view(v).strides[last] == 1) return false;
    return dense_dimension(call, views) >= 0;
}

constexpr Kernel kernels[] = {
    {&kSoftmaxForward, "rows", WW_ISA_NAME, kFloats, by_float<rows<float, Softmax<float>>, rows<double, Softmax<double>>>},
    {&kSoftmaxForward, "columns", WW_ISA_NAME, kFloats, by_float<columns<float, Softmax<float>>, columns<double, Softmax<double>>>,
     1, has_dense_columns<2>},
    {&kLogSoftmaxForward, "rows", WW_ISA_NAME, kFloats, by_float<rows<float, LogSoftmax<float>>, rows<double, LogSoftmax<double>>>},
    {&kLogSoftmaxForward, "columns", WW_ISA_NAME, kFloats,
     by_float<columns<float, LogSoftmax<float>>, columns<double, LogSoftmax<double>>>, 1, has_dense_columns<2>},
    {&kSoftmaxBackwardX, "rows", WW_ISA_NAME, kFloats,
     by_float<rows<float, SoftmaxBackward<float>>, rows<double, SoftmaxBackward<double>>>},
    {&kSoftmaxBackwardX, "columns", WW_ISA_NAME, kFloats,
     by_float<columns<float, SoftmaxBackward<float>>, columns<double, SoftmaxBackward<double>>>, 1, has_dense_columns<3>},
    {&kLogSoftmaxBackwardX, "rows", WW_ISA_NAME, kFloats,
     by_float<rows<float, LogSoftmaxBackward<float>>, rows<double, LogSoftmaxBackward<double>>>},
    {&kLogSoftmaxBackwardX, "columns", WW_ISA_NAME, kFloats,
     by_float<columns<float, LogSoftmaxBackward<float>>, columns<double, LogSoftmaxBackward<double>>>, 1, has_dense_columns<3>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
