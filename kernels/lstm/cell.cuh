// What the CUDA variants of the LSTM share: their arrays, the gates of one unit at one step, and the product with the inputs.
#pragma once

#include <cmath>

#include "kernels/common/recurrent.cuh"
#include "kernels/lstm/lstm.h"

namespace ww::cuda {

struct LstmForward {
    View hidden, cell, gates, final_hidden, final_cell, projected, weight, initial_hidden, initial_cell;
    bool has_input;  // `gates` holds the product of the inputs, which is still to be added

    explicit LstmForward(const Call& call)
        : hidden(call.view(0)),
          cell(call.view(1)),
          gates(call.view(2)),
          final_hidden(call.view(3)),
          final_cell(call.view(4)),
          projected(call.view(5)),
          weight(call.view(6)),
          initial_hidden(call.view(7)),
          initial_cell(call.view(8)),
          has_input(call.has(10)) {}
};

// One unit of one sample, from the product of its four gates with the state before.
template <class T>
WW_DEVICE void lstm_cell(const LstmForward& v, Step before, Step now, Step after, int64_t n, int64_t u, const T (&sums)[4]) {
    const int64_t row = now.begin + n, units = v.hidden.shape[1];
    T a[4];
#pragma unroll
    for (int g = 0; g < 4; g++) {
        T& gate = element<T>(v.gates, row, g * units + u);
        const T sum = element<T>(v.projected, row, g * units + u) + (v.has_input ? gate + sums[g] : sums[g]);
        gate = a[g] = g == 2 ? std::tanh(sum) : T(1) / (T(1) + std::exp(-sum));
    }
    const T last = state_before<T>(v.cell, v.initial_cell, before, n, u);
    const T c = a[1] * last + a[0] * a[2], h = a[3] * std::tanh(c);
    element<T>(v.cell, row, u) = c;
    element<T>(v.hidden, row, u) = h;
    if (n >= after.size) element<T>(v.final_hidden, n, u) = h, element<T>(v.final_cell, n, u) = c;
}

struct LstmBackward {
    View grad, grad_initial_hidden, grad_cell, grad_hidden, grad_final_hidden, grad_final_cell, gates, cell, weight, initial_cell;

    explicit LstmBackward(const Call& call)
        : grad(call.view(0)),
          grad_initial_hidden(call.view(1)),
          grad_cell(call.view(2)),
          grad_hidden(call.view(3)),
          grad_final_hidden(call.view(4)),
          grad_final_cell(call.view(5)),
          gates(call.view(6)),
          cell(call.view(7)),
          weight(call.view(8)),
          initial_cell(call.view(9)) {}
};

// The gradients of one unit of one sample; `sum` is what the gates of the step after send back. Between the steps the gradient of
// the cell waits where that of the initial cell will be.
template <class T>
WW_DEVICE void lstm_cell_backward(const LstmBackward& v, Step before, Step now, Step after, int64_t n, int64_t u, T sum) {
    const int64_t row = now.begin + n, units = v.grad_cell.shape[1];
    T h = n < after.size ? sum : element_or_zero<T>(v.grad_final_hidden, n, u);
    const T sent = n < after.size ? element<T>(v.grad_cell, n, u) : element_or_zero<T>(v.grad_final_cell, n, u);
    if (n >= now.size) {
        element<T>(v.grad_initial_hidden, n, u) = h;
        element<T>(v.grad_cell, n, u) = sent;
        return;
    }
    h += element_or_zero<T>(v.grad_hidden, row, u);
    T a[4];
#pragma unroll
    for (int g = 0; g < 4; g++) a[g] = element<T>(v.gates, row, g * units + u);
    const T squashed = std::tanh(element<T>(v.cell, row, u)), c = h * a[3] * (1 - squashed * squashed) + sent;
    const T last = state_before<T>(v.cell, v.initial_cell, before, n, u);
    element<T>(v.grad, row, u) = c * a[2] * (a[0] * (1 - a[0]));
    element<T>(v.grad, row, units + u) = c * last * (a[1] * (1 - a[1]));
    element<T>(v.grad, row, 2 * units + u) = c * a[0] * (1 - a[2] * a[2]);
    element<T>(v.grad, row, 3 * units + u) = h * squashed * (a[3] * (1 - a[3]));
    element<T>(v.grad_cell, n, u) = c * a[1];
}

}  // namespace ww::cuda
