// The simple recurrent net a step at a time: one launch for the recurrent product and the activation, forward and backward through
// time, for any strides and lengths.
//
//   tile          16 samples x 16 units a block of 256 threads (product_tile.cuh)
//   shared bytes  2176 (float32) or 4352
// Bound by the recurrent weights, which every step reads again, and by a launch a step.
#include <cmath>

#include "kernels/common/product_tile.cuh"
#include "kernels/common/recurrent.cuh"
#include "kernels/rnn/rnn.h"

namespace ww::cuda {
namespace {

struct RnnForward {
    View hidden, final_hidden, projected, weight, initial_hidden;
    bool relu;

    explicit RnnForward(const Call& call)
        : hidden(call.view(0)),
          final_hidden(call.view(1)),
          projected(call.view(2)),
          weight(call.view(3)),
          initial_hidden(call.view(4)),
          relu(call.integer(1) == 1) {}
};

template <class T>
__global__ void __launch_bounds__(kProductThreads) rnn_step(RnnForward v, Step before, Step now, Step after) {
    SharedMemory shared;
    const ProductTile<T, 1> tile(shared);
    const int64_t units = v.hidden.shape[1], n0 = int64_t{blockIdx.x} * kProductTile, u0 = int64_t{blockIdx.y} * kProductTile;
    T sum[1] = {};
    tile.add(
        sum, units,
        [&](int row, int64_t l) {
            const int64_t n = n0 + row;
            if (n >= now.size) return T(0);
            return n < before.size ? element<T>(v.hidden, before.begin + n, l) : element<T>(v.initial_hidden, n, l);
        },
        [&](int, int column, int64_t l) { return u0 + column < units ? element<T>(v.weight, u0 + column, l) : T(0); });
    const int64_t n = n0 + tile.row(), u = u0 + tile.column();
    if (n >= now.size || u >= units) return;
    const T a = element<T>(v.projected, now.begin + n, u) + sum[0];
    const T h = !v.relu ? std::tanh(a) : a < 0 ? T(0) : a;  // NaN is not below zero: it stays
    element<T>(v.hidden, now.begin + n, u) = h;
    if (n >= after.size) element<T>(v.final_hidden, n, u) = h;
}

template <class T>
void forward(const Call& call) {
    const RnnForward v(call);
    const int64_t units = v.hidden.shape[1];
    const Walk walk(call.view(5), v.hidden.shape[0], v.final_hidden.shape[0], call.flag(0));
    if (units == 0) return;
    walk.forward([&](Step before, Step now, Step after) {
        launch<rnn_step<T>>({product_grid(now.size, units), kProductThreads, ProductTile<T, 1>::kSharedBytes}, v, before, now,
                            after);
    });
    if (!walk.has_steps()) keep_state<T>(v.final_hidden, v.initial_hidden);
}

struct RnnBackward {
    View grad, grad_initial, grad_hidden, grad_final, hidden, weight;
    bool relu;

    explicit RnnBackward(const Call& call)
        : grad(call.view(0)),
          grad_initial(call.view(1)),
          grad_hidden(call.view(2)),
          grad_final(call.view(3)),
          hidden(call.view(4)),
          weight(call.view(5)),
          relu(call.integer(1) == 1) {}
};

template <class T>
__global__ void __launch_bounds__(kProductThreads) rnn_step_backward(RnnBackward v, Step now, Step after, int64_t samples) {
    SharedMemory shared;
    const ProductTile<T, 1, Nearest::column> tile(shared);
    const int64_t units = v.grad_initial.shape[1], n0 = int64_t{blockIdx.x} * kProductTile, u0 = int64_t{blockIdx.y} * kProductTile;
    T sum[1] = {};
    if (n0 < after.size)
        tile.add(
            sum, units,
            [&](int row, int64_t l) { return n0 + row < after.size ? element<T>(v.grad, after.begin + n0 + row, l) : T(0); },
            [&](int, int column, int64_t l) { return u0 + column < units ? element<T>(v.weight, l, u0 + column) : T(0); });
    const int64_t n = n0 + tile.row(), u = u0 + tile.column();
    if (n >= samples || u >= units) return;
    T h = n < after.size ? sum[0] : element_or_zero<T>(v.grad_final, n, u);
    if (n >= now.size) {
        element<T>(v.grad_initial, n, u) = h;
        return;
    }
    h += element_or_zero<T>(v.grad_hidden, now.begin + n, u);
    const T y = element<T>(v.hidden, now.begin + n, u);
    element<T>(v.grad, now.begin + n, u) = !v.relu ? h * (1 - y * y) : y <= 0 ? T(0) : h;
}

template <class T>
void backward(const Call& call) {
    const RnnBackward v(call);
    const int64_t samples = v.grad_initial.shape[0], units = v.grad_initial.shape[1];
    if (samples == 0 || units == 0) return;
    const Walk walk(call.view(6), v.grad.shape[0], samples, call.flag(0));
    constexpr size_t bytes = ProductTile<T, 1, Nearest::column>::kSharedBytes;
    walk.backward([&](Step, Step now, Step after, int64_t active) {
        launch<rnn_step_backward<T>>({product_grid(active, units), kProductThreads, bytes}, v, now, after, active);
    });
}

constexpr Kernel kernels[] = {
    {&kRnnForward, "step", WW_DEVICE_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kRnnBackward, "step", WW_DEVICE_NAME, kFloats, by_float<backward<float>, backward<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
