// The simple recurrent net a step at a time: one launch for the recurrent product and the activation, forward and backward through
// time, for any strides and lengths.
//
//   tile          16 samples x 16 units a block of 256 threads (product_tile.cuh)
//   shared bytes  2176 (float32) or 4352
// Bound by the recurrent weights, which every step reads again, and by a launch a step.
#include <cmath>

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
    const StateProduct<T, 1> product(v.hidden, v.initial_hidden, v.weight, before, now);
    const int64_t n = product.n, u = product.u;
    if (n >= now.size || u >= v.hidden.shape[1]) return;
    const T a = element<T>(v.projected, now.begin + n, u) + product.sums[0];
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
    launch_steps<rnn_step<T>>(walk, units, StateProduct<T, 1>::kSharedBytes, v);
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
__global__ void __launch_bounds__(kProductThreads) rnn_step_backward(RnnBackward v, Step, Step now, Step after, int64_t samples) {
    const SentProduct<T> product(v.grad, v.weight, after);
    const int64_t n = product.n, u = product.u;
    if (n >= samples || u >= v.grad_initial.shape[1]) return;
    T h = n < after.size ? product.sum : element_or_zero<T>(v.grad_final, n, u);
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
    launch_steps_back<rnn_step_backward<T>>(walk, units, SentProduct<T>::kSharedBytes, v);
}

constexpr Kernel kernels[] = {
    {&kRnnForward, "step", WW_DEVICE_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kRnnBackward, "step", WW_DEVICE_NAME, kFloats, by_float<backward<float>, backward<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
