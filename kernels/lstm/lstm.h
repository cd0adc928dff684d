// Long short-term memory over a sequence: Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000. The input's
// part of the gates, x_t W_ih^T + b, is one product over all steps and comes in as `projected`; these kernels are the recurrence.
#pragma once

#include "engine/registry.h"

namespace ww {

namespace lstm {
inline void check_gates(const Call& call, int gates, int units) {
    int64_t have = call.view(gates).shape[call.view(gates).ndim - 1], u = call.view(units).shape[call.view(units).ndim - 1];
    if (have != 4 * u)
        fail<ShapeError>("%s: expected 4 x %lld gates (i, f, g, o) for %lld units, got %lld", call.op, static_cast<long long>(u),
                         static_cast<long long>(u), static_cast<long long>(have));
}
}  // namespace lstm

inline constexpr Contract kLstmForward = {
    "lstm_forward", "lstm",
    "out hidden: T[S,N,U], out cell: T[S,N,U], out gates: T[S,N,G], projected: T[S,N,G], weight: T[G,U], initial_hidden: T[N,U], "
    "initial_cell: T[N,U]",
    R"(For each step t: a = projected[t] + hidden[t-1] weight^T, in four parts of U: i = sigmoid(a_i), f = sigmoid(a_f), g = tanh(a_g),
o = sigmoid(a_o); cell[t] = f cell[t-1] + i g; hidden[t] = o tanh(cell[t])

hidden, cell     [S, N, U]  overwritten; any strides (a reversed sequence has negative ones), no overlap
gates            [S, N, 4U] overwritten with i, f, g, o after their activations, for the gradient
projected        [S, N, 4U] any strides; the inputs' part, biases included
weight           [4U, U]    any strides; the recurrent weights in PyTorch's order of gates
initial_hidden, initial_cell [N, U]  the states before step 0

An element's sums are chains over U in order: the same bits for any N and number of threads.)",
    [](const Call& call) { lstm::check_gates(call, 2, 0); }};

inline constexpr Contract kLstmBackward = {
    "lstm_backward", "lstm",
    "out grad_projected: T[S,N,G], out grad_initial_hidden: T[N,U], out grad_initial_cell: T[N,U], grad_hidden: T[S,N,U], "
    "grad_final_cell: T[N,U]?, gates: T[S,N,G], cell: T[S,N,U], weight: T[G,U], initial_cell: T[N,U]",
    R"(Back through time. With h' = grad_hidden[t] + grad_projected[t+1] weight and c' = h' o (1 - tanh(cell[t])^2) + f[t+1] c'[t+1]:
grad_projected[t] = (c' g i (1 - i), c' cell[t-1] f (1 - f), c' i (1 - g^2), h' tanh(cell[t]) o (1 - o))

grad_projected       [S, N, 4U] overwritten; gradients by weight, biases and inputs are products with it
grad_initial_hidden, grad_initial_cell [N, U]  overwritten
grad_hidden          [S, N, U]  any strides, 0 where broadcast; the gradient by the last hidden state is added to its last step
grad_final_cell      [N, U]     optional: the gradient by cell[S-1]; none is zeros
gates, cell          as lstm_forward wrote them
weight, initial_cell as lstm_forward took them

An element's sums are chains over 4U in order: the same bits for any N and number of threads.)",
    [](const Call& call) { lstm::check_gates(call, 0, 1); }};

}  // namespace ww
