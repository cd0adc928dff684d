// Gated recurrent units over a batch of sequences: Cho et al. 2014 (arXiv 1406.1078), with the reset gate applied after the
// recurrent product, as in cuDNN and PyTorch. The input's part of the gates, x_t W_ih^T + b_ih, comes in as `projected`.
#pragma once

#include "kernels/common/sequence.h"

namespace ww {

inline constexpr Contract kGruForward = {
    "gru_forward", "gru",
    "out hidden: T[R,U], out gates: T[R,K], out final_hidden: T[N,U], projected: T[R,G], weight: T[G,U], bias: T[G]?, "
    "initial_hidden: T[N,U], batch_sizes: int64[S]?; reverse: bool=false",
    R"(For each step t: b = hidden[t-1] weight^T + bias and a = projected[t], in three parts of U: r = sigmoid(a_r + b_r),
z = sigmoid(a_z + b_z), n = tanh(a_n + r b_n); hidden[t] = (1 - z) n + z hidden[t-1]

hidden           [R, U]   overwritten; rows are samples within steps (kernels/common/sequence.h)
gates            [R, 4U]  overwritten with r, z, n, b_n, for the gradient
final_hidden     [N, U]   overwritten with the states after each sample's last step
projected        [R, 3U]  the inputs' part, with the biases of the inputs
weight           [3U, U]  the recurrent weights in PyTorch's order of gates
bias             [3U]     optional: the recurrent biases, of which the third is inside the product with r
initial_hidden   [N, U]   the states before each sample's first step
batch_sizes      [S]      samples of each step, none growing, the first N; none: N in each of R / N steps
reverse          from the last step to the first

Any strides; no output overlaps another array. An element's sums are chains over U, cut by U alone: the same bits for any N, lengths
of other samples and number of threads.)",
    [](const Call& call) {
        recurrent::check_gates(call, 1, 0, 4);
        recurrent::check_gates(call, 3, 0, 3);
        recurrent::check_sizes(call, 7, 0, 2);
    }};

inline constexpr Contract kGruBackward = {
    "gru_backward", "gru",
    "out grad_projected: T[R,G], out grad_recurrent: T[R,G], out grad_initial_hidden: T[N,U], grad_hidden: T[R,U]?, "
    "grad_final_hidden: T[N,U]?, gates: T[R,K], hidden: T[R,U], weight: T[G,U], initial_hidden: T[N,U], batch_sizes: int64[S]?; "
    "reverse: bool=false",
    R"(Back through time. With h' = grad_hidden[t] + grad_recurrent[t+1] weight + z[t+1] h'[t+1] and n' = h' (1 - z) (1 - n^2):
grad_projected[t] = (n' b_n r (1 - r), h' (hidden[t-1] - n) z (1 - z), n'); grad_recurrent[t] is the same with n' r in its third part

grad_projected       [R, 3U] overwritten; gradients by the inputs and their weights and biases are products with it
grad_recurrent       [R, 3U] overwritten; gradients by weight and bias are products with it
grad_initial_hidden  [N, U]  overwritten
grad_hidden, grad_final_hidden  optional: none is zeros
gates, hidden        as gru_forward wrote them
weight, initial_hidden, batch_sizes, reverse    as gru_forward took them

Any strides; no output overlaps another array. An element's sums are chains over 3U, cut by U alone: the same bits for any N and
number of threads.)",
    [](const Call& call) {
        recurrent::check_gates(call, 0, 2, 3);
        recurrent::check_gates(call, 5, 2, 4);
        recurrent::check_sizes(call, 9, 0, 2);
    }};

}  // namespace ww
