// Batch, instance and group normalisation on CUDA: the four passes over [B, N, C, L] of norm.h. The statistics of a channel are
// reductions (kernels/reduce/reduction.cuh) over N and L, the other two passes maps of elements (strided_map.cuh). Bound by bytes;
// the moments read a channel twice.
#include "kernels/common/strided_map.cuh"
#include "kernels/norm/norm.h"
#include "kernels/reduce/reduction.cuh"

namespace ww::cuda {
namespace {

// Channel (b, c) of a view, counted over N and L.
template <class T>
struct Channel {
    const T* data;
    int64_t length, n_step, l_step;
    WW_DEVICE Channel(const View& x, int64_t b, int64_t c)
        : data(static_cast<const T*>(x.data) + b * x.strides[0] + c * x.strides[2]),
          length(x.shape[3]),
          n_step(x.strides[1]),
          l_step(x.strides[3]) {}
    WW_DEVICE T operator[](int64_t r) const { return data[r / length * n_step + r % length * l_step]; }
};

template <class T>
WW_DEVICE T& coefficient(const View& v, int64_t b, int64_t c) {
    return static_cast<T*>(v.data)[b * v.strides[0] + c * v.strides[1]];
}

template <class T>
struct Sums {
    T total, product;
    WW_DEVICE Sums shuffled(int by) const {
        return {__shfl_xor_sync(kFullMask, total, by), __shfl_xor_sync(kFullMask, product, by)};
    }
};
template <class T>
struct AddSums {
    WW_DEVICE Sums<T> operator()(Sums<T> a, Sums<T> b) const { return {a.total + b.total, a.product + b.product}; }
};

// The second pass adds up the deviations, too: what they leave of a sum of zero is the rounding of the mean (the corrected two-pass
// algorithm: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance").
template <int group, class T>
__global__ void __launch_bounds__(kReduceThreads) find_moments(View means, View vars, View x) {
    SharedMemory shared;
    Sums<T>* scratch = shared.take<Sums<T>>(kReduceThreads / 32);
    const int64_t channels = x.shape[2], n = x.shape[1] * x.shape[3];
    const auto count = static_cast<T>(n);
    for_each_output<group>(x.shape[0] * channels, [&](int64_t output, bool first) {
        const int64_t b = output / channels, c = output % channels;
        const Channel<T> in(x, b, c);
        auto sum = [&](auto term) {
            return reduce_group<group>(n, Sums<T>{T(0), T(0)}, scratch, [&](int64_t r) { return term(in[r]); }, AddSums<T>());
        };
        const T start = n ? in[0] : T(0);  // differences from it: equal elements have exactly that mean
        const T mean = start + sum([start](T v) { return Sums<T>{v - start, T(0)}; }).total / count;
        const Sums<T> sums = sum([mean](T v) { return Sums<T>{v - mean, (v - mean) * (v - mean)}; });
        const T rest = sums.total / count;
        if (!first) return;
        coefficient<T>(means, b, c) = rest == rest ? mean + rest : mean;  // a mean of Inf has deviations of NaN, and stays
        coefficient<T>(vars, b, c) = sums.product / count - rest * rest;
    });
}

template <int group, class T>
__global__ void __launch_bounds__(kReduceThreads) sum_channels(View totals, View products, View grad_y, View x, View means) {
    SharedMemory shared;
    Sums<T>* scratch = shared.take<Sums<T>>(kReduceThreads / 32);
    const int64_t channels = x.shape[2], n = x.shape[1] * x.shape[3];
    for_each_output<group>(x.shape[0] * channels, [&](int64_t output, bool first) {
        const int64_t b = output / channels, c = output % channels;
        const Channel<T> in(x, b, c), grad(grad_y, b, c);
        const T mean = coefficient<T>(means, b, c);
        const Sums<T> sums = reduce_group<group>(
            n, Sums<T>{T(0), T(0)}, scratch, [&](int64_t r) { return Sums<T>{grad[r], grad[r] * (in[r] - mean)}; }, AddSums<T>());
        if (first) coefficient<T>(totals, b, c) = sums.total, coefficient<T>(products, b, c) = sums.product;
    });
}

// launch(group, grid) for a reduction of each channel of x.
template <class T, class Launch>
void each_channel(const View& x, const Launch& run) {
    const int64_t outputs = x.shape[0] * x.shape[2], n = x.shape[1] * x.shape[3];
    if (outputs) with_group(n, [&](auto group) { run(group, reduction_grid(outputs, decltype(group)::value, sizeof(Sums<T>))); });
}

template <class T>
void moments(const Call& call) {
    each_channel<T>(call.view(2), [&](auto group, const LaunchConfig& grid) {
        launch<find_moments<decltype(group)::value, T>>(grid, call.view(0), call.view(1), call.view(2));
    });
}

template <class T>
void sums(const Call& call) {
    each_channel<T>(call.view(3), [&](auto group, const LaunchConfig& grid) {
        launch<sum_channels<decltype(group)::value, T>>(grid, call.view(0), call.view(1), call.view(2), call.view(3), call.view(4));
    });
}

// A number for each channel, [B, C], as [B, 1, C, 1].
View beside_channels(View v) {
    v.ndim = 4;
    v.shape[2] = v.shape[1], v.strides[2] = v.strides[1];
    v.shape[1] = v.shape[3] = 1, v.strides[1] = v.strides[3] = 0;
    return v;
}

template <class T>
struct Scale {
    WW_DEVICE T operator()(T x, T mean, T scale) const { return (x - mean) * scale; }
};
template <class T>
struct ScaleAndShift {
    WW_DEVICE T operator()(T x, T mean, T scale, T shift) const { return (x - mean) * scale + shift; }
};

template <class T>
void forward(const Call& call) {
    const View &y = call.view(0), &x = call.view(1), mean = beside_channels(call.view(2)), scale = beside_channels(call.view(3));
    if (call.has(4)) launch_map_over<T, T, T, T, T>(ScaleAndShift<T>(), y, x, mean, scale, beside_channels(call.view(4)));
    else launch_map_over<T, T, T, T>(Scale<T>(), y, x, mean, scale);
}

template <class T>
struct ChannelGradient {
    WW_DEVICE T operator()(T grad_y, T x, T mean, T a, T b, T c) const { return a * grad_y + (b * (x - mean) + c); }
};

template <class T>
void backward_x(const Call& call) {
    launch_map_over<T, T, T, T, T, T, T>(ChannelGradient<T>(), call.view(0), call.view(1), call.view(2),
                                         beside_channels(call.view(3)), beside_channels(call.view(4)),
                                         beside_channels(call.view(5)), beside_channels(call.view(6)));
}

constexpr Kernel kernels[] = {
    {&kChannelNormMoments, "groups", WW_DEVICE_NAME, kFloats, by_float<moments<float>, moments<double>>},
    {&kChannelNormForward, "groups", WW_DEVICE_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kChannelNormSums, "groups", WW_DEVICE_NAME, kFloats, by_float<sums<float>, sums<double>>},
    {&kChannelNormBackwardX, "groups", WW_DEVICE_NAME, kFloats, by_float<backward_x<float>, backward_x<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
