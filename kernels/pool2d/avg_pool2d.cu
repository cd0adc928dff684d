// Mean pooling on CUDA, strided and adaptive windows, any strides; sums in scan order, as on the CPU.
//
// forward     one thread a window
// backward_x  one thread an input position, which gathers from the windows that cover it: no atomics, and grad_x is written once
// Bound by bytes.
#include "kernels/pool2d/planes.cuh"

namespace ww::cuda {
namespace {

// Window p covers [begin(p), end(p)) of the input and counts as extent(p) elements long in the divisor; windows
// [first_window(h), last_window(h)) cover position h.
struct MeanAxis {
    PoolAxis axis;
    bool adaptive, padding_counts;

    WW_DEVICE int64_t begin(int64_t p) const {
        if (adaptive) return p * axis.in / axis.out;
        return axis.start(p) > 0 ? axis.start(p) : 0;
    }
    WW_DEVICE int64_t end(int64_t p) const {
        if (adaptive) return ceil_div((p + 1) * axis.in, axis.out);
        return axis.start(p) + axis.kernel < axis.in ? axis.start(p) + axis.kernel : axis.in;
    }
    WW_DEVICE int64_t extent(int64_t p) const {
        if (!padding_counts) return end(p) - begin(p);
        const int64_t room = axis.in + axis.padding - axis.start(p);
        return room < axis.kernel ? room : axis.kernel;
    }
    WW_DEVICE int64_t first_window(int64_t h) const { return adaptive ? h * axis.out / axis.in : axis.first_window(h); }
    WW_DEVICE int64_t last_window(int64_t h) const {
        return adaptive ? ceil_div((h + 1) * axis.out, axis.in) : axis.last_window(h);
    }
};

struct MeanWindows {
    MeanAxis h, w;
    int64_t divisor_override = 0;

    // A contract without attributes is the adaptive one.
    MeanWindows(const Call& call, const View& x, const View& y, bool adaptive) {
        for (int d = 0; d < 2; d++) {
            MeanAxis& axis = d ? w : h;
            if (adaptive) axis = {{x.shape[2 + d], y.shape[2 + d], 0, 0, 0, 1}, true, false};
            else axis = {pool2d::axis(call, x, y, d, -1), false, call.flag(4)};
        }
        if (!adaptive) divisor_override = call.integer(5);
    }
    template <class T>
    WW_DEVICE T divisor(int64_t p, int64_t q) const {
        return static_cast<T>(divisor_override ? divisor_override : h.extent(p) * w.extent(q));
    }
};

template <class T>
__global__ void __launch_bounds__(kPoolThreads) mean_forward(MeanWindows windows, Planes<T> y, Planes<T> x) {
    for_each_place(y, [&](int64_t n, int64_t c, int64_t p, int64_t q) {
        const int64_t h1 = windows.h.end(p), w0 = windows.w.begin(q), w1 = windows.w.end(q);
        T sum = 0;
        for (int64_t h = windows.h.begin(p); h < h1; h++)
            for (int64_t w = w0; w < w1; w++) sum += x.at(n, c, h, w);
        y.at(n, c, p, q) = sum / windows.divisor<T>(p, q);
    });
}

template <class T>
__global__ void __launch_bounds__(kPoolThreads) mean_backward_x(MeanWindows windows, Planes<T> grad_x, Planes<T> grad_y) {
    for_each_place(grad_x, [&](int64_t n, int64_t c, int64_t h, int64_t w) {
        const int64_t p1 = windows.h.last_window(h), q0 = windows.w.first_window(w), q1 = windows.w.last_window(w);
        T sum = 0;
        for (int64_t p = windows.h.first_window(h); p < p1; p++)
            for (int64_t q = q0; q < q1; q++) sum += grad_y.at(n, c, p, q) / windows.divisor<T>(p, q);
        grad_x.at(n, c, h, w) = sum;
    });
}

template <class T, bool adaptive>
void forward(const Call& call) {
    const View &y = call.view(0), &x = call.view(1);
    const Planes<T> out(y);
    if (y.size() > 0) launch<mean_forward<T>>(place_grid(out), MeanWindows(call, x, y, adaptive), out, Planes<T>(x));
}
template <class T, bool adaptive>
void backward_x(const Call& call) {
    const View &grad_x = call.view(0), &grad_y = call.view(1);
    const Planes<T> out(grad_x);
    if (grad_x.size() == 0) return;
    launch<mean_backward_x<T>>(place_grid(out), MeanWindows(call, grad_x, grad_y, adaptive), out, Planes<T>(grad_y));
}

constexpr Kernel kernels[] = {
    {&kAvgPool2dForward, "naive", WW_DEVICE_NAME, kFloats, by_float<forward<float, false>, forward<double, false>>},
    {&kAvgPool2dBackwardX, "naive", WW_DEVICE_NAME, kFloats, by_float<backward_x<float, false>, backward_x<double, false>>},
    {&kAdaptiveAvgPool2dForward, "naive", WW_DEVICE_NAME, kFloats, by_float<forward<float, true>, forward<double, true>>},
    {&kAdaptiveAvgPool2dBackwardX, "naive", WW_DEVICE_NAME, kFloats, by_float<backward_x<float, true>, backward_x<double, true>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
