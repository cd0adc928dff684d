// Matrix product: out[..., i, j] = activation(sum over l of x[..., i, l] w[..., l, j] + bias[j]).
#pragma once

#include "engine/registry.h"

namespace ww {

inline constexpr Contract kMatmulForward = {
    "matmul_forward", "matmul",
    "out out: T[...,m,n], x: T[...,m,k], w: T[...,k,n], bias: T[n]?; activation: none|relu|tanh|sigmoid|gelu=none",
    R"(out[..., i, j] = activation(sum over l of x[..., i, l] * w[..., l, j] + bias[j])

out        [..., m, n]  overwritten; any strides, no overlap with an input
x          [..., m, k]  any strides: a transposed operand is a view, never a copy
w          [..., k, n]  any strides; its leading dimensions, like those of x, equal those of out, with stride 0 where broadcast
bias       [n]          optional; added before the activation
activation none, relu, tanh, sigmoid, or gelu (the exact one, by erf)

An empty sum (k = 0) gives activation(bias). The order of the sum over l depends on k, n, the dtype and the operands' strides,
never on m or the number of threads, so that a row has the same bits alone and in a batch.)"};

}  // namespace ww
