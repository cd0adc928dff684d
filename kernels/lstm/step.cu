// The LSTM a step at a time: one launch for the recurrent product of all four gates, the gates and the new state, forward and
// backward through time, for any strides and lengths. The product with the inputs, where they are given, is one launch for all
// steps.
//
//   tile          16 samples x 16 units of four gates a block of 256 threads (product_tile.cuh)
//   shared bytes  5440 (float32) or 10880 forward, 2176 or 4352 backward
// Bound by the recurrent weights, which every step reads again, and by a launch a step: `persistent` keeps them on chip. It ranks
// below this one until both have been timed on a GPU.
#include "kernels/lstm/cell.cuh"
#include "kernels/lstm/input_product.cuh"

namespace ww::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kProductThreads) lstm_step(LstmForward v, Step before, Step now, Step after) {
    const StateProduct<T, 4> product(v.hidden, v.initial_hidden, v.weight, before, now);
    if (product.n < now.size && product.u < v.hidden.shape[1]) lstm_cell(v, before, now, after, product.n, product.u, product.sums);
}

template <class T>
void forward(const Call& call) {
    const LstmForward v(call);
    const int64_t samples = v.final_hidden.shape[0], units = v.hidden.shape[1];
    if (v.has_input) input_product<T>(v.gates, call.view(10), call.view(11));
    const Walk walk(call.view(9), v.hidden.shape[0], samples, call.flag(0));
    if (units == 0) return;
    launch_steps<lstm_step<T>>(walk, units, StateProduct<T, 4>::kSharedBytes, v);
    if (!walk.has_steps()) keep_state<T>(v.final_hidden, v.initial_hidden), keep_state<T>(v.final_cell, v.initial_cell);
}

template <class T>
__global__ void __launch_bounds__(kProductThreads)
    lstm_step_backward(LstmBackward v, Step before, Step now, Step after, int64_t samples) {
    const SentProduct<T> product(v.grad, v.weight, after);
    if (product.n < samples && product.u < v.grad_cell.shape[1])
        lstm_cell_backward(v, before, now, after, product.n, product.u, product.sum);
}

template <class T>
void backward(const Call& call) {
    const LstmBackward v(call);
    const int64_t samples = v.grad_cell.shape[0], units = v.grad_cell.shape[1];
    if (samples == 0 || units == 0) return;
    const Walk walk(call.view(10), v.grad.shape[0], samples, call.flag(0));
    launch_steps_back<lstm_step_backward<T>>(walk, units, SentProduct<T>::kSharedBytes, v);
}

constexpr Kernel kernels[] = {
    {&kLstmForward, "step", WW_DEVICE_NAME, kFloats, by_float<forward<float>, forward<double>>, 1},
    {&kLstmBackward, "step", WW_DEVICE_NAME, kFloats, by_float<backward<float>, backward<double>>, 1},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
