// The simple recurrent net over a batch of sequences: Elman 1990. The input's part, x_t W_ih^T + b, comes in as `projected`.
#pragma once

#include "kernels/common/sequence.h"

namespace ww {

inline constexpr Contract kRnnForward = {
    "rnn_forward", "rnn",
    "out hidden: T[R,U], out final_hidden: T[N,U], projected: T[R,U], weight: T[U,U], initial_hidden: T[N,U], "
    "batch_sizes: int64[S]?; reverse: bool=false, activation: tanh|relu=tanh",
    R"(For each step t: hidden[t] = activation(projected[t] + hidden[t-1] weight^T)

hidden           [R, U]  overwritten; rows are samples within steps (kernels/common/sequence.h)
final_hidden     [N, U]  overwritten with the states after each sample's last step
projected        [R, U]  the inputs' part, biases included
weight           [U, U]  the recurrent weights
initial_hidden   [N, U]  the states before each sample's first step
batch_sizes      [S]     samples of each step, none growing, the first N; none: N in each of R / N steps
reverse          from the last step to the first

Any strides; no output overlaps another array. An element's sums are chains over U, cut by U alone: the same bits for any N, lengths
of other samples and number of threads.)",
    [](const Call& call) { recurrent::check_sizes(call, 5, 0, 1); }};

inline constexpr Contract kRnnBackward = {
    "rnn_backward", "rnn",
    "out grad_projected: T[R,U], out grad_initial_hidden: T[N,U], grad_hidden: T[R,U]?, grad_final_hidden: T[N,U]?, "
    "hidden: T[R,U], weight: T[U,U], batch_sizes: int64[S]?; reverse: bool=false, activation: tanh|relu=tanh",
    R"(Back through time: grad_projected[t] = (grad_hidden[t] + grad_projected[t+1] weight) * slope, which is 1 - hidden[t]^2 for tanh, and
for relu 1 where hidden[t] > 0, else 0

grad_projected       [R, U] overwritten; gradients by weight, biases and inputs are products with it
grad_initial_hidden  [N, U] overwritten
grad_hidden, grad_final_hidden  optional: none is zeros
hidden               as rnn_forward wrote it
weight, batch_sizes, reverse, activation  as rnn_forward took them

Any strides; no output overlaps another array. An element's sums are chains over U, cut by U alone: the same bits for any N and
number of threads.)",
    [](const Call& call) { recurrent::check_sizes(call, 6, 0, 1); }};

}  // namespace ww
