// Gated recurrent units a step at a time: one launch for the recurrent product of the three gates, the gates and the new state,
// forward and backward through time, for any strides and lengths.
//
//   tile          16 samples x 16 units of three gates a block of 256 threads (product_tile.cuh)
//   shared bytes  4352 (float32) or 8704 forward, 2176 or 4352 backward
// Bound by the recurrent weights, which every step reads again, and by a launch a step.
#include <cmath>

#include "kernels/common/recurrent.cuh"
#include "kernels/gru/gru.h"

namespace ww::cuda {
namespace {

struct GruForward {
    View hidden, gates, final_hidden, projected, weight, bias, initial_hidden;

    explicit GruForward(const Call& call)
        : hidden(call.view(0)),
          gates(call.view(1)),
          final_hidden(call.view(2)),
          projected(call.view(3)),
          weight(call.view(4)),
          bias(call.view(5)),
          initial_hidden(call.view(6)) {}
};

template <class T>
__global__ void __launch_bounds__(kProductThreads) gru_step(GruForward v, Step before, Step now, Step after) {
    StateProduct<T, 3> product(v.hidden, v.initial_hidden, v.weight, before, now);
    const int64_t units = v.hidden.shape[1], n = product.n, u = product.u;
    if (n >= now.size || u >= units) return;
    const int64_t row = now.begin + n;
    T a[3], (&b)[3] = product.sums;
#pragma unroll
    for (int g = 0; g < 3; g++) {
        a[g] = element<T>(v.projected, row, g * units + u);
        if (v.bias.ndim >= 0) b[g] += static_cast<const T*>(v.bias.data)[(g * units + u) * v.bias.strides[0]];
    }
    const T r = T(1) / (T(1) + std::exp(-(a[0] + b[0]))), z = T(1) / (T(1) + std::exp(-(a[1] + b[1])));
    const T m = std::tanh(a[2] + r * b[2]), h = (1 - z) * m + z * state_before<T>(v.hidden, v.initial_hidden, before, n, u);
    element<T>(v.gates, row, u) = r;
    element<T>(v.gates, row, units + u) = z;
    element<T>(v.gates, row, 2 * units + u) = m;
    element<T>(v.gates, row, 3 * units + u) = b[2];
    element<T>(v.hidden, row, u) = h;
    if (n >= after.size) element<T>(v.final_hidden, n, u) = h;
}

template <class T>
void forward(const Call& call) {
    const GruForward v(call);
    const int64_t units = v.hidden.shape[1];
    const Walk walk(call.view(7), v.hidden.shape[0], v.final_hidden.shape[0], call.flag(0));
    if (units == 0) return;
    launch_steps<gru_step<T>>(walk, units, StateProduct<T, 3>::kSharedBytes, v);
    if (!walk.has_steps()) keep_state<T>(v.final_hidden, v.initial_hidden);
}

struct GruBackward {
    View grad, sent, grad_initial, grad_hidden, grad_final, gates, hidden, weight, initial_hidden;

    explicit GruBackward(const Call& call)
        : grad(call.view(0)),
          sent(call.view(1)),
          grad_initial(call.view(2)),
          grad_hidden(call.view(3)),
          grad_final(call.view(4)),
          gates(call.view(5)),
          hidden(call.view(6)),
          weight(call.view(7)),
          initial_hidden(call.view(8)) {}
};

// Between the steps, what z lets pass waits where the gradient of the initial state will be.
template <class T>
__global__ void __launch_bounds__(kProductThreads)
    gru_step_backward(GruBackward v, Step before, Step now, Step after, int64_t samples) {
    const SentProduct<T> product(v.sent, v.weight, after);
    const int64_t units = v.grad_initial.shape[1], n = product.n, u = product.u;
    if (n >= samples || u >= units) return;
    T h = n < after.size ? product.sum + element<T>(v.grad_initial, n, u) : element_or_zero<T>(v.grad_final, n, u);
    if (n >= now.size) {
        element<T>(v.grad_initial, n, u) = h;
        return;
    }
    const int64_t row = now.begin + n;
    h += element_or_zero<T>(v.grad_hidden, row, u);
    const T r = element<T>(v.gates, row, u), z = element<T>(v.gates, row, units + u), m = element<T>(v.gates, row, 2 * units + u);
    const T last = state_before<T>(v.hidden, v.initial_hidden, before, n, u);
    const T by_m = h * (1 - z) * (1 - m * m), by_r = by_m * element<T>(v.gates, row, 3 * units + u) * (r * (1 - r)),
            by_z = h * (last - m) * (z * (1 - z));
    element<T>(v.grad, row, u) = element<T>(v.sent, row, u) = by_r;
    element<T>(v.grad, row, units + u) = element<T>(v.sent, row, units + u) = by_z;
    element<T>(v.grad, row, 2 * units + u) = by_m;
    element<T>(v.sent, row, 2 * units + u) = by_m * r;
    element<T>(v.grad_initial, n, u) = h * z;
}

template <class T>
void backward(const Call& call) {
    const GruBackward v(call);
    const int64_t samples = v.grad_initial.shape[0], units = v.grad_initial.shape[1];
    if (samples == 0 || units == 0) return;
    const Walk walk(call.view(9), v.grad.shape[0], samples, call.flag(0));
    launch_steps_back<gru_step_backward<T>>(walk, units, SentProduct<T>::kSharedBytes, v);
}

constexpr Kernel kernels[] = {
    {&kGruForward, "step", WW_DEVICE_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kGruBackward, "step", WW_DEVICE_NAME, kFloats, by_float<backward<float>, backward<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
