// The LSTM a step at a time: one launch for the recurrent product of all four gates, the gates and the new state, forward and
// backward through time, for any strides and lengths. The product with the inputs, where they are given, is one launch for all
// steps.
//
//   tile          16 samples x 16 units of four gates a block of 256 threads (product_tile.cuh)
//   shared bytes  5440 (float32) or 10880 forward, 2176 or 4352 backward
// Bound by the recurrent weights, which every step reads again, and by a launch a step: `persistent` keeps them on chip. It ranks
// below this one until both have been timed on a GPU.
#include "kernels/common/recurrent.cuh"
#include "kernels/lstm/cell.cuh"
#include "kernels/lstm/input_product.cuh"

namespace ww::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kProductThreads) lstm_step(LstmForward v, Step before, Step now, Step after) {
    SharedMemory shared;
    const ProductTile<T, 4> tile(shared);
    const int64_t units = v.hidden.shape[1], n0 = int64_t{blockIdx.x} * kProductTile, u0 = int64_t{blockIdx.y} * kProductTile;
    T sums[4] = {};
    tile.add(
        sums, units,
        [&](int row, int64_t l) {
            const int64_t n = n0 + row;
            if (n >= now.size) return T(0);
            return n < before.size ? element<T>(v.hidden, before.begin + n, l) : element<T>(v.initial_hidden, n, l);
        },
        [&](int gate, int column, int64_t l) {
            return u0 + column < units ? element<T>(v.weight, gate * units + u0 + column, l) : T(0);
        });
    const int64_t n = n0 + tile.row(), u = u0 + tile.column();
    if (n < now.size && u < units) lstm_cell(v, before, now, after, n, u, sums);
}

template <class T>
void forward(const Call& call) {
    const LstmForward v(call);
    const int64_t samples = v.final_hidden.shape[0], units = v.hidden.shape[1];
    if (v.has_input) input_product<T>(v.gates, call.view(10), call.view(11));
    const Walk walk(call.view(9), v.hidden.shape[0], samples, call.flag(0));
    if (units == 0) return;
    walk.forward([&](Step before, Step now, Step after) {
        launch<lstm_step<T>>({product_grid(now.size, units), kProductThreads, ProductTile<T, 4>::kSharedBytes}, v, before, now,
                             after);
    });
    if (!walk.has_steps()) keep_state<T>(v.final_hidden, v.initial_hidden), keep_state<T>(v.final_cell, v.initial_cell);
}

template <class T>
__global__ void __launch_bounds__(kProductThreads)
    lstm_step_backward(LstmBackward v, Step before, Step now, Step after, int64_t samples) {
    SharedMemory shared;
    const ProductTile<T, 1, Nearest::column> tile(shared);
    const int64_t units = v.grad_cell.shape[1], n0 = int64_t{blockIdx.x} * kProductTile, u0 = int64_t{blockIdx.y} * kProductTile;
    T sum[1] = {};
    if (n0 < after.size)
        tile.add(
            sum, 4 * units,
            [&](int row, int64_t l) { return n0 + row < after.size ? element<T>(v.grad, after.begin + n0 + row, l) : T(0); },
            [&](int, int column, int64_t l) { return u0 + column < units ? element<T>(v.weight, l, u0 + column) : T(0); });
    const int64_t n = n0 + tile.row(), u = u0 + tile.column();
    if (n < samples && u < units) lstm_cell_backward(v, before, now, after, n, u, sum[0]);
}

template <class T>
void backward(const Call& call) {
    const LstmBackward v(call);
    const int64_t samples = v.grad_cell.shape[0], units = v.grad_cell.shape[1];
    if (samples == 0 || units == 0) return;
    const Walk walk(call.view(10), v.grad.shape[0], samples, call.flag(0));
    constexpr size_t bytes = ProductTile<T, 1, Nearest::column>::kSharedBytes;
    walk.backward([&](Step before, Step now, Step after, int64_t active) {
        launch<lstm_step_backward<T>>({product_grid(active, units), kProductThreads, bytes}, v, before, now, after, active);
    });
}

constexpr Kernel kernels[] = {
    {&kLstmForward, "step", WW_DEVICE_NAME, kFloats, by_float<forward<float>, forward<double>>, 1},
    {&kLstmBackward, "step", WW_DEVICE_NAME, kFloats, by_float<backward<float>, backward<double>>, 1},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
