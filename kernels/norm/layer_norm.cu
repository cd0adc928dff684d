// Layer and root mean square normalisation of rows on CUDA: y = (x - mean) rstd weight + bias, forward and backward.
//
// A row's sums are reductions (kernels/reduce/reduction.cuh) by a thread, a warp or a block, which then writes the row; the
// gradient by weight and bias is a reduction over the rows for each column. Bound by bytes: a row is read twice more from the L2
// cache, and columns are read across the rows.
#include <cmath>

#include "kernels/common/view_element.cuh"
#include "kernels/norm/norm.h"
#include "kernels/reduce/reduction.cuh"

namespace ww::cuda {
namespace {

// Row `row` of a view whose last dimension is the row.
template <class T>
struct Line {
    T* data;
    int64_t step;
    WW_DEVICE Line(const View& v, int64_t row) : data(static_cast<T*>(v.data)), step(v.ndim < 0 ? 0 : v.strides[v.ndim - 1]) {
        if (v.ndim > 0) data += offset_of_row(v, v.ndim - 1, row);
    }
    WW_DEVICE T& operator[](int64_t i) const { return data[i * step]; }
};

template <class T>
WW_DEVICE T& statistic(const View& v, int64_t row) {
    return static_cast<T*>(v.data)[offset_of_row(v, v.ndim, row)];
}

template <int group>
WW_DEVICE int first_of_thread() {
    return group == 1 ? 0 : static_cast<int>(threadIdx.x) % group;
}

template <int group, class T>
__global__ void __launch_bounds__(kReduceThreads)
    normalize(View y, View means, View rstds, View x, View weight, View bias, int64_t rows, T eps) {
    SharedMemory shared;
    Value<T>* scratch = shared.take<Value<T>>(kReduceThreads / 32);
    const int64_t n = y.shape[y.ndim - 1];
    for_each_output<group>(rows, [&](int64_t row, bool first) {
        const Line<T> in(x, row), out(y, row), w(weight, 0), b(bias, 0);
        auto sum = [&](auto term) {
            return reduce_group<group>(n, Value<T>{T(0)}, scratch, [&](int64_t i) { return Value<T>{term(in[i])}; }, Add<T>()).v;
        };
        T mean = 0;
        if (means.ndim >= 0) {
            // Differences from the first element: equal elements have exactly that mean, and a large one costs no digits.
            const T start = n ? in[0] : T(0);
            mean = start + sum([start](T v) { return v - start; }) / static_cast<T>(n);
            if (first) statistic<T>(means, row) = mean;
        }
        const T rstd = T(1) / std::sqrt(sum([mean](T v) { return (v - mean) * (v - mean); }) / static_cast<T>(n) + eps);
        if (first) statistic<T>(rstds, row) = rstd;
        for (int64_t i = first_of_thread<group>(); i < n; i += group) {
            T z = (in[i] - mean) * rstd;
            if (weight.ndim >= 0) z *= w[i];
            out[i] = bias.ndim >= 0 ? z + b[i] : z;
        }
    });
}

template <class T>
void forward(const Call& call) {
    const View& y = call.view(0);
    const int64_t rows = row_count(y, y.ndim - 1), n = y.shape[y.ndim - 1];
    if (rows == 0) return;
    with_group(n, [&](auto group) {
        launch<normalize<decltype(group)::value, T>>(reduction_grid(rows, decltype(group)::value, sizeof(Value<T>)), y,
                                                     call.view(1), call.view(2), call.view(3), call.view(4), call.view(5), rows,
                                                     static_cast<T>(call.real(0)));
    });
}

template <int group, class T>
__global__ void __launch_bounds__(kReduceThreads)
    differentiate_rows(View grad_x, View grad_y, View means, View rstds, View x, View weight, int64_t rows) {
    SharedMemory shared;
    Value<T>* scratch = shared.take<Value<T>>(kReduceThreads / 32);
    const int64_t n = x.shape[x.ndim - 1];
    const auto count = static_cast<T>(n);
    for_each_output<group>(rows, [&](int64_t row, bool) {
        const Line<T> in(x, row), grad(grad_y, row), out(grad_x, row), w(weight, 0);
        const T mean = means.ndim >= 0 ? statistic<T>(means, row) : T(0), rstd = statistic<T>(rstds, row);
        auto g = [&](int64_t i) { return weight.ndim >= 0 ? grad[i] * w[i] : grad[i]; };
        auto z = [&](int64_t i) { return (in[i] - mean) * rstd; };
        auto average = [&](auto term) {
            return reduce_group<group>(
                       n, Value<T>{T(0)}, scratch, [&](int64_t i) { return Value<T>{term(i)}; }, Add<T>())
                       .v /
                   count;
        };
        const T along = average([&](int64_t i) { return g(i) * z(i); }), level = means.ndim >= 0 ? average(g) : T(0);
        for (int64_t i = first_of_thread<group>(); i < n; i += group) out[i] = (g(i) - z(i) * along - level) * rstd;
    });
}

template <class T>
void backward_x(const Call& call) {
    const View& x = call.view(4);
    const int64_t rows = row_count(x, x.ndim - 1), n = x.shape[x.ndim - 1];
    if (rows == 0) return;
    with_group(n, [&](auto group) {
        launch<differentiate_rows<decltype(group)::value, T>>(reduction_grid(rows, decltype(group)::value, sizeof(Value<T>)),
                                                              call.view(0), call.view(1), call.view(2), call.view(3), x,
                                                              call.view(5), rows);
    });
}

template <class T>
struct Sums {
    T weight, bias;
    WW_DEVICE Sums shuffled(int by) const { return {__shfl_xor_sync(kFullMask, weight, by), __shfl_xor_sync(kFullMask, bias, by)}; }
};
template <class T>
struct AddSums {
    WW_DEVICE Sums<T> operator()(Sums<T> a, Sums<T> b) const { return {a.weight + b.weight, a.bias + b.bias}; }
};

template <int group, class T>
__global__ void __launch_bounds__(kReduceThreads)
    sum_rows(View grad_weight, View grad_bias, View grad_y, View means, View rstds, View x, int64_t rows) {
    SharedMemory shared;
    Sums<T>* scratch = shared.take<Sums<T>>(kReduceThreads / 32);
    for_each_output<group>(grad_weight.shape[0], [&](int64_t i, bool first) {
        const Sums<T> sums = reduce_group<group>(
            rows, Sums<T>{T(0), T(0)}, scratch,
            [&](int64_t row) {
                const T mean = means.ndim >= 0 ? statistic<T>(means, row) : T(0), g = Line<T>(grad_y, row)[i];
                return Sums<T>{g * ((Line<T>(x, row)[i] - mean) * statistic<T>(rstds, row)), g};
            },
            AddSums<T>());
        if (!first) return;
        Line<T>(grad_weight, 0)[i] = sums.weight;
        if (grad_bias.ndim >= 0) Line<T>(grad_bias, 0)[i] = sums.bias;
    });
}

template <class T>
void backward_wb(const Call& call) {
    const View& x = call.view(5);
    const int64_t rows = row_count(x, x.ndim - 1), n = x.shape[x.ndim - 1];
    if (n == 0) return;
    with_group(rows, [&](auto group) {
        launch<sum_rows<decltype(group)::value, T>>(reduction_grid(n, decltype(group)::value, sizeof(Sums<T>)), call.view(0),
                                                    call.view(1), call.view(2), call.view(3), call.view(4), x, rows);
    });
}

constexpr Kernel kernels[] = {
    {&kLayerNormForward, "groups", WW_DEVICE_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kLayerNormBackwardX, "groups", WW_DEVICE_NAME, kFloats, by_float<backward_x<float>, backward_x<double>>},
    {&kLayerNormBackwardWb, "groups", WW_DEVICE_NAME, kFloats, by_float<backward_wb<float>, backward_wb<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
