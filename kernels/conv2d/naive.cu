// The first rung of the ladder for convolution and its gradients on a GPU. Any strides, sizes, groups and dilation; formulas in
// conv2d.h.
//
//   "naive"      one thread an output, a loop over its products
//   "depthwise"  the same kernels of forward and backward_x, for filters of one channel each, whose outputs share nothing that
//                a tile could keep; of backward_w, with the sum over pictures by a thread, a warp or a block, as its length asks
//                (kernels/reduce/reduction.cuh)
//   "groups"     backward_b: a reduction like any other
// Bound by the latency of global memory; depthwise by bytes.
#include "kernels/common/epilogue.cuh"
#include "kernels/conv2d/conv2d.h"
#include "kernels/reduce/reduction.cuh"

namespace ww::cuda {
namespace {

constexpr int kThreads = 256;

struct Axis {
    int64_t in, out, filter, stride, padding, dilation;
    Axis(const ConvAxis& a) : in(a.in), out(a.out), filter(a.filter), stride(a.stride), padding(a.padding), dilation(a.dilation) {}

    WW_DEVICE int64_t input(int64_t p, int64_t r) const { return p * stride + r * dilation - padding; }
    // Where, counted in outputs, tap r meets position h of the input; false where that is between two outputs.
    WW_DEVICE bool meets(int64_t h, int64_t r, int64_t& p) const {
        const int64_t from = h + padding - r * dilation;
        p = from / stride;
        return from % stride == 0;
    }
    WW_DEVICE bool is_input(int64_t h) const { return h >= 0 && h < in; }
    WW_DEVICE bool is_output(int64_t p) const { return p >= 0 && p < out; }
};

// An array of four dimensions by element steps.
template <class T>
struct Array4 {
    T* data;
    int64_t step[4];
    Array4(const View& v) : data(v.ptr<T>()), step{v.strides[0], v.strides[1], v.strides[2], v.strides[3]} {}
    WW_DEVICE T& at(int64_t a, int64_t b, int64_t c, int64_t d) const {
        return data[a * step[0] + b * step[1] + c * step[2] + d * step[3]];
    }
};

struct Sizes {
    int64_t N, C, K, Cg, Kg;
    Axis h, w;
    explicit Sizes(const Conv2d& c) : N(c.N), C(c.C), K(c.K), Cg(c.Cg), Kg(c.Kg), h(c.h), w(c.w) {}
};

template <class T>
__global__ void __launch_bounds__(kThreads)
    naive_forward(Sizes z, Array4<T> y, Array4<T> x, Array4<T> w, const T* bias, int64_t bias_step, Activation activation) {
    const int64_t size = z.N * z.K * z.h.out * z.w.out, step = int64_t{gridDim.x} * kThreads;
    for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < size; i += step) {
        const int64_t q = i % z.w.out, p = i / z.w.out % z.h.out, k = i / z.w.out / z.h.out % z.K, n = i / z.w.out / z.h.out / z.K;
        const int64_t c0 = k / z.Kg * z.Cg;
        T sum = 0;
        for (int64_t c = 0; c < z.Cg; c++)
            for (int64_t r = 0; r < z.h.filter; r++)
                for (int64_t s = 0; s < z.w.filter; s++) {
                    const int64_t h = z.h.input(p, r), l = z.w.input(q, s);
                    const T value = z.h.is_input(h) && z.w.is_input(l) ? x.at(n, c0 + c, h, l) : T(0);
                    sum = accumulate(w.at(k, c, r, s), value, sum);
                }
        if (bias) sum += bias[k * bias_step];
        y.at(n, k, p, q) = activate(sum, activation);
    }
}

template <class T>
__global__ void __launch_bounds__(kThreads) naive_backward_x(Sizes z, Array4<T> grad_x, Array4<T> grad_y, Array4<T> w) {
    const int64_t size = z.N * z.C * z.h.in * z.w.in, step = int64_t{gridDim.x} * kThreads;
    for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < size; i += step) {
        const int64_t l = i % z.w.in, h = i / z.w.in % z.h.in, c = i / z.w.in / z.h.in % z.C, n = i / z.w.in / z.h.in / z.C;
        const int64_t k0 = c / z.Cg * z.Kg;
        T sum = 0;
        for (int64_t r = 0; r < z.h.filter; r++)
            for (int64_t s = 0; s < z.w.filter; s++) {
                int64_t p, q;
                if (!z.h.meets(h, r, p) || !z.w.meets(l, s, q)) continue;
                const bool inside = z.h.is_output(p) && z.w.is_output(q);
                for (int64_t k = k0; k < k0 + z.Kg; k++)
                    sum = accumulate(w.at(k, c % z.Cg, r, s), inside ? grad_y.at(n, k, p, q) : T(0), sum);
            }
        grad_x.at(n, c, h, l) = sum;
    }
}

template <int group, class T>
__global__ void __launch_bounds__(kReduceThreads) naive_backward_w(Sizes z, Array4<T> grad_w, Array4<T> x, Array4<T> grad_y) {
    SharedMemory shared;
    Value<T>* scratch = shared.take<Value<T>>(kReduceThreads / 32);
    for_each_output<group>(z.K * z.Cg * z.h.filter * z.w.filter, [&](int64_t i, bool first) {
        const int64_t s = i % z.w.filter, r = i / z.w.filter % z.h.filter, c = i / z.w.filter / z.h.filter % z.Cg;
        const int64_t k = i / z.w.filter / z.h.filter / z.Cg;
        auto product = [&](int64_t at) -> Value<T> {
            const int64_t q = at % z.w.out, p = at / z.w.out % z.h.out, n = at / z.w.out / z.h.out;
            const int64_t h = z.h.input(p, r), l = z.w.input(q, s);
            if (!z.h.is_input(h) || !z.w.is_input(l)) return {T(0)};
            return {grad_y.at(n, k, p, q) * x.at(n, k / z.Kg * z.Cg + c, h, l)};
        };
        const T sum = reduce_group<group>(z.N * z.h.out * z.w.out, Value<T>{T(0)}, scratch, product, Add<T>()).v;
        if (first) grad_w.at(k, c, r, s) = sum;
    });
}

unsigned blocks(int64_t outputs) { return static_cast<unsigned>(std::min<int64_t>(ceil_div(outputs, kThreads), 65536)); }

template <class T>
void forward(const Call& call) {
    const View &y = call.view(0), &b = call.view(3);
    if (y.size() == 0) return;
    launch<naive_forward<T>>({blocks(y.size()), kThreads}, Sizes(Conv2d::forward(call)), y, call.view(1), call.view(2),
                             b.present() ? b.ptr<T>() : nullptr, b.present() ? b.strides[0] : 0,
                             static_cast<Activation>(call.integer(4)));
}

template <class T>
void backward_x(const Call& call) {
    const View& grad_x = call.view(0);
    if (grad_x.size() == 0) return;
    launch<naive_backward_x<T>>({blocks(grad_x.size()), kThreads}, Sizes(Conv2d::backward_x(call)), grad_x, call.view(1),
                                call.view(2));
}

template <int group, class T>
void launch_backward_w(const Call& call) {
    const View& grad_w = call.view(0);
    if (grad_w.size() == 0) return;
    const LaunchConfig grid = reduction_grid(grad_w.size(), group, sizeof(Value<T>));
    launch<naive_backward_w<group, T>>(grid, Sizes(Conv2d::backward_w(call)), grad_w, call.view(1), call.view(2));
}
template <class T>
void grouped_backward_w(const Call& call) {
    const View& grad_y = call.view(2);
    with_group(grad_y.size() / std::max<int64_t>(1, grad_y.shape[1]),
               [&](auto group) { launch_backward_w<decltype(group)::value, T>(call); });
}

template <class T>
void backward_b(const Call& call) {
    View grad_b = call.view(0);
    grad_b.ndim = 4;  // [1, K, 1, 1]
    for (int d : {0, 2, 3}) grad_b.shape[d] = 1;
    grad_b.shape[1] = call.view(0).shape[0], grad_b.strides[1] = call.view(0).strides[0];
    sum_elements<T>(grad_b, call.view(1));
}

bool is_depthwise(const Conv2d& c) { return c.Cg == 1 && c.groups > 1; }
bool depthwise_forward(const Call& call) { return is_depthwise(Conv2d::forward(call)); }
bool depthwise_backward_x(const Call& call) { return is_depthwise(Conv2d::backward_x(call)); }
bool depthwise_backward_w(const Call& call) { return is_depthwise(Conv2d::backward_w(call)); }

constexpr auto run_forward = by_float<forward<float>, forward<double>>;
constexpr auto run_backward_x = by_float<backward_x<float>, backward_x<double>>;
constexpr Kernel kernels[] = {
    {&kConv2dForward, "naive", WW_DEVICE_NAME, kFloats, run_forward},
    {&kConv2dForward, "depthwise", WW_DEVICE_NAME, kFloats, run_forward, 15, depthwise_forward},
    {&kConv2dBackwardX, "naive", WW_DEVICE_NAME, kFloats, run_backward_x},
    {&kConv2dBackwardX, "depthwise", WW_DEVICE_NAME, kFloats, run_backward_x, 15, depthwise_backward_x},
    {&kConv2dBackwardW, "naive", WW_DEVICE_NAME, kFloats, by_float<launch_backward_w<1, float>, launch_backward_w<1, double>>},
    {&kConv2dBackwardW, "depthwise", WW_DEVICE_NAME, kFloats, by_float<grouped_backward_w<float>, grouped_backward_w<double>>, 15,
     depthwise_backward_w},
    {&kConv2dBackwardB, "groups", WW_DEVICE_NAME, kFloats, by_float<backward_b<float>, backward_b<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
