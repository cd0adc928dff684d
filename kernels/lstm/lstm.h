// Long short-term memory over a batch of sequences: Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000. The
// input's part of the gates, x_t W_ih^T + b, comes in as `projected`, or as its bias with x and W_ih beside it: then it is never in
// memory as a whole.
#pragma once

#include "kernels/common/sequence.h"

namespace ww {

inline constexpr Contract kLstmForward = {
    "lstm_forward", "lstm",
    "out hidden: T[R,U], out cell: T[R,U], out gates: T[R,G], out final_hidden: T[N,U], out final_cell: T[N,U], projected: T[R,G], "
    "weight: T[G,U], initial_hidden: T[N,U], initial_cell: T[N,U], batch_sizes: int64[S]?, input: T[R,D]?, "
    "input_weight: T[G,D]?; reverse: bool=false",
    R"(For each step t: a = projected[t] + (input[t] input_weight^T + hidden[t-1] weight^T), in four parts of U: i = sigmoid(a_i), f = sigmoid(a_f), g = tanh(a_g),
o = sigmoid(a_o); cell[t] = f cell[t-1] + i g; hidden[t] = o tanh(cell[t])

hidden, cell     [R, U]   overwritten; rows are samples within steps (kernels/common/sequence.h)
gates            [R, 4U]  overwritten with i, f, g, o after their activations, for the gradient
final_hidden, final_cell      [N, U]  overwritten with the states after each sample's last step
projected        [R, 4U]  the inputs' part, biases included
weight           [4U, U]  the recurrent weights in PyTorch's order of gates
initial_hidden, initial_cell  [N, U]  the states before each sample's first step
batch_sizes      [S]      samples of each step, none growing, the first N; none: N in each of R / N steps
input, input_weight           [R, D], [4U, D]  optional, both or none: inputs whose product is not in `projected` yet
reverse          from the last step to the first

Any strides; no output overlaps another array. An element's sums are a chain over D and one over U: the same bits for any N, lengths
of other samples and number of threads.)",
    [](const Call& call) {
        if (call.has(10) != call.has(11))
            fail<ShapeError>("%s: expected input and input_weight, or neither, got only %s", call.op,
                             call.has(10) ? "input" : "input_weight");
        recurrent::check_gates(call, 2, 0, 4);
        recurrent::check_sizes(call, 9, 0, 3);
    }};

inline constexpr Contract kLstmBackward = {
    "lstm_backward", "lstm",
    "out grad_projected: T[R,G], out grad_initial_hidden: T[N,U], out grad_initial_cell: T[N,U], grad_hidden: T[R,U]?, "
    "grad_final_hidden: T[N,U]?, grad_final_cell: T[N,U]?, gates: T[R,G], cell: T[R,U], weight: T[G,U], initial_cell: T[N,U], "
    "batch_sizes: int64[S]?; reverse: bool=false",
    R"(Back through time. With h' = grad_hidden[t] + grad_projected[t+1] weight and c' = h' o (1 - tanh(cell[t])^2) + f[t+1] c'[t+1]:
grad_projected[t] = (c' g i (1 - i), c' cell[t-1] f (1 - f), c' i (1 - g^2), h' tanh(cell[t]) o (1 - o))

grad_projected       [R, 4U] overwritten; gradients by weight, biases and inputs are products with it
grad_initial_hidden, grad_initial_cell          [N, U]  overwritten
grad_hidden, grad_final_hidden, grad_final_cell  optional: none is zeros
gates, cell          as lstm_forward wrote them
weight, initial_cell, batch_sizes, reverse      as lstm_forward took them

Any strides; no output overlaps another array. An element's sums are chains over 4U, cut by U alone: the same bits for any N and
number of threads.)",
    [](const Call& call) {
        recurrent::check_gates(call, 0, 1, 4);
        recurrent::check_sizes(call, 10, 0, 1);
    }};

}  // namespace ww
