// Local-response normalisation over windows of channels on CUDA, forward and backward: one thread an element, which adds up the
// terms of its window in the order of the channels. Bound by the L1 cache, from which an element is read once for each window it is
// in.
#include <algorithm>
#include <cmath>

#include "kernels/common/view_element.cuh"
#include "kernels/norm/norm.h"

namespace ww::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
WW_DEVICE T& at(const View& v, int64_t n, int64_t c, int64_t l) {
    return static_cast<T*>(v.data)[n * v.strides[0] + c * v.strides[1] + l * v.strides[2]];
}

// d^-beta. The exponent of the paper, 3/4, is two square roots.
template <class T>
struct Power {
    T beta;
    bool three_quarters;
    explicit Power(double b) : beta(static_cast<T>(b)), three_quarters(b == 0.75) {}
    WW_DEVICE T operator()(T d) const {
        if (!three_quarters) return std::pow(d, -beta);
        const T root = std::sqrt(d);
        return T(1) / (root * std::sqrt(root));
    }
};

// body(n, c, l, first, last) for each element of [N, C, L]; its window is the channels [first, last].
template <class Body>
WW_DEVICE void each_window(const View& v, int64_t before, int64_t after, const Body& body) {
    const int64_t channels = v.shape[1], length = v.shape[2], size = v.shape[0] * channels * length;
    const int64_t step = int64_t{gridDim.x} * kThreads;
    for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < size; i += step) {
        const int64_t l = i % length, c = i / length % channels, room = channels - 1 - c;
        body(i / length / channels, c, l, c < before ? 0 : c - before, c + (after < room ? after : room));
    }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    normalize(View y, View scales, View x, Power<T> power, T share, T k, int64_t before, int64_t after) {
    each_window(y, before, after, [&](int64_t n, int64_t c, int64_t l, int64_t first, int64_t last) {
        T sum = 0;
        for (int64_t j = first; j <= last; j++) sum += at<T>(x, n, j, l) * at<T>(x, n, j, l);
        const T d = k + share * sum;
        if (scales.ndim >= 0) at<T>(scales, n, c, l) = d;
        at<T>(y, n, c, l) = at<T>(x, n, c, l) * power(d);
    });
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    differentiate(View grad_x, View grad_y, View scales, View x, Power<T> power, T factor, int64_t before, int64_t after) {
    each_window(grad_x, before, after, [&](int64_t n, int64_t c, int64_t l, int64_t first, int64_t last) {
        T sum = 0;
        for (int64_t j = first; j <= last; j++) {
            const T d = at<T>(scales, n, j, l);
            sum += at<T>(grad_y, n, j, l) * at<T>(x, n, j, l) * power(d) / d;
        }
        const T direct = at<T>(grad_y, n, c, l) * power(at<T>(scales, n, c, l));
        at<T>(grad_x, n, c, l) = direct - factor * at<T>(x, n, c, l) * sum;
    });
}

LaunchConfig element_grid(const View& v) {
    return {static_cast<unsigned>(std::min<int64_t>(ceil_div(v.size(), kThreads), 65536)), kThreads};
}

template <class T>
void forward(const Call& call) {
    const View& y = call.view(0);
    const int64_t size = call.integer(0);
    if (y.size() == 0) return;
    launch<normalize<T>>(element_grid(y), y, call.view(1), call.view(2), Power<T>(call.real(2)),
                         static_cast<T>(call.real(1) / static_cast<double>(size)), static_cast<T>(call.real(3)), size / 2,
                         (size - 1) / 2);
}

template <class T>
void backward_x(const Call& call) {
    const View& grad_x = call.view(0);
    const int64_t size = call.integer(0);
    if (grad_x.size() == 0) return;
    launch<differentiate<T>>(element_grid(grad_x), grad_x, call.view(1), call.view(2), call.view(3), Power<T>(call.real(2)),
                             static_cast<T>(2 * call.real(1) * call.real(2) / static_cast<double>(size)), (size - 1) / 2, size / 2);
}

constexpr Kernel kernels[] = {
    {&kLocalResponseNormForward, "windows", WW_DEVICE_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kLocalResponseNormBackwardX, "windows", WW_DEVICE_NAME, kFloats, by_float<backward_x<float>, backward_x<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
