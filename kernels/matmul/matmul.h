// Matrix product: out[..., i, j] = activation(sum over l of x[..., i, l] w[..., l, j] + bias[j]).
//
// This folder is a ladder: each rung computes the same with less traffic than the one before (mma in other precisions, too), and
// says what it adds. In order:
//
//   CUDA  problem.cuh        a call as the kernels see it, the end they share, and the source that says where an operand lies
//         naive.cu           one thread an output, everything from global memory
//         tiled.cuh, .cu     a block brings tiles of both operands to shared memory, which its threads use many times
//         warp_tiled.cuh, .cu  each thread keeps 8 x 4 sums in registers, and loads the next tile while it computes on this one
//         mma_mainloop.cuh, mma.cu  tensor cores: cp.async brings slices ahead in stages, ldmatrix reads them, mma.sync multiplies
//         matmul_numba.py    the tiled rung once more, in Python
//   CPU   naive.cpp          the sum as it is written
//         brgemm.cpp         blocks for the caches, packed, on the microkernel kernels/common/brgemm.h
//
// conv2d climbs the same rungs with the same mainloops, over sources that gather pictures (kernels/conv2d/gather.cuh).
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
