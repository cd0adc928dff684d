// Normalisation: contracts.
//
//   layer_norm    statistics of each row, weights along the row: layer and RMS normalisation
//   channel_norm  statistics of each channel, weights one a channel: batch, instance and group normalisation. What is computed
//                 between its passes concerns [B, C] numbers, and ops/norm.py does it
//   local_response_norm  by the squares of neighbouring channels
#pragma once

#include "engine/registry.h"
#include "kernels/common/view_rows.h"

namespace ww {

// ---- rows ------------------------------------------------------------------------------------------------------------------

inline constexpr Contract kLayerNormForward = {
    "layer_norm_forward", "layer_norm",
    "out y: T[...,n], out mean: T[...]?, out rstd: T[...], x: T[...,n], weight: T[n]?, bias: T[n]?; eps: float",
    R"(y_i = (x_i - mean) rstd weight_i + bias_i,   mean = sum of x / n,   rstd = 1 / sqrt(sum of (x - mean)^2 / n + eps)

y       [..., n]  overwritten; any strides, no overlap with an input
mean    [...]     overwritten; without it, it is 0: root mean square normalisation
rstd    [...]     overwritten
x       [..., n]  any strides
weight  [n]       1 unless given
bias    [n]       0 unless given

Ba, Kiros and Hinton 2016 (arXiv 1607.06450), equation 4; Zhang and Sennrich 2019 (arXiv 1910.07467), equation 4. The bits of a row
depend on its elements alone.)"};

inline constexpr Contract kLayerNormBackwardX = {
    "layer_norm_backward_x", "layer_norm",
    "out grad_x: T[...,n], grad_y: T[...,n], mean: T[...]?, rstd: T[...], x: T[...,n], weight: T[n]?",
    R"(grad_x_i = rstd (g_i - (sum of g) / n - z_i (sum of g z) / n),   g = grad_y weight,   z = (x - mean) rstd

grad_x      [..., n]  overwritten; any strides, no overlap with an input
mean, rstd  [...]     from layer_norm_forward; without mean, the term (sum of g) / n is left out
The others are as in layer_norm_forward; any strides.)"};

inline constexpr Contract kLayerNormBackwardWb = {
    "layer_norm_backward_wb", "layer_norm",
    "out grad_weight: T[n], out grad_bias: T[n]?, grad_y: T[...,n], mean: T[...]?, rstd: T[...], x: T[...,n]",
    R"(grad_weight = sum over rows of grad_y z,   grad_bias = sum over rows of grad_y,   z = (x - mean) rstd

grad_weight, grad_bias  [n]  overwritten; any strides, no overlap with an input
The others are as in layer_norm_backward_x; any strides.
Workspace: two rows for each part of the rows; how these are cut depends on their number alone.)"};

// ---- channels --------------------------------------------------------------------------------------------------------------

#define WW_CHANNELS                                                                                                              \
    "\n\nB is 1 and N the batch where statistics are taken over it; B is the batch and N is 1 where each sample has its own. L " \
    "is\n"                                                                                                                       \
    "what else there is: height times width. Arrays [B, N, C, L] and [B, C] have any strides; outputs overlap no input.\n"

inline constexpr Contract kChannelNormMoments = {
    "channel_norm_moments", "channel_norm", "out mean: T[B,C], out var: T[B,C], x: T[B,N,C,L]",
    "mean = sum over N, L of x / (N L),   var = sum over N, L of (x - mean)^2 / (N L); both NaN of nothing" WW_CHANNELS
    R"(
mean, var  [B, C]  overwritten

In one read: the mean and squares of a block that stays in the L1 cache, and blocks joined pairwise (Chan, Golub and LeVeque 1979,
equation 2.1), so that a large mean costs the variance no digits. Which elements make a block depends on N, L and the variant.)"};

inline constexpr Contract kChannelNormForward = {"channel_norm_forward", "channel_norm",
                                                 "out y: T[B,N,C,L], x: T[B,N,C,L], mean: T[B,C], scale: T[B,C], shift: T[B,C]?",
                                                 "y = (x - mean) scale + shift" WW_CHANNELS R"(
y      [B, N, C, L]  overwritten
shift  [B, C]        0 unless given

Ioffe and Szegedy 2015 (arXiv 1502.03167), algorithm 1; Wu and He 2018 (arXiv 1803.08494), equation 2.)"};

inline constexpr Contract kChannelNormSums = {
    "channel_norm_sums", "channel_norm", "out total: T[B,C], out product: T[B,C], grad_y: T[B,N,C,L], x: T[B,N,C,L], mean: T[B,C]",
    "total = sum over N, L of grad_y,   product = sum over N, L of grad_y (x - mean); both 0 of nothing" WW_CHANNELS R"(
total, product  [B, C]  overwritten

All that the gradients need, in one read. Sums are pairwise; their order depends on N, L and the variant.)"};

inline constexpr Contract kChannelNormBackwardX = {
    "channel_norm_backward_x", "channel_norm",
    "out grad_x: T[B,N,C,L], grad_y: T[B,N,C,L], x: T[B,N,C,L], mean: T[B,C], a: T[B,C], b: T[B,C], c: T[B,C]",
    "grad_x = a grad_y + (b (x - mean) + c)" WW_CHANNELS R"(
grad_x   [B, N, C, L]  overwritten
a, b, c  [B, C]        for the mean of m elements: a = weight rstd, b = -rstd^3 (sum of weight product) / m,
                       c = -rstd (sum of weight total) / m)"};

#undef WW_CHANNELS

// ---- neighbouring channels -------------------------------------------------------------------------------------------------

inline void check_window(const Call& call) {
    if (call.integer(0) < 1) fail<ShapeError>("%s: expected size >= 1, got %lld", call.op, static_cast<long long>(call.integer(0)));
}

inline constexpr Contract kLocalResponseNormForward = {
    "local_response_norm_forward", "local_response_norm",
    "out y: T[N,C,L], out scale: T[N,C,L]?, x: T[N,C,L]; size: int, alpha: float=1e-4, beta: float=0.75, k: float=1",
    R"(y_c = x_c scale_c^-beta,   scale_c = k + alpha / size (sum of x_j^2 for j in [c - size / 2, c + (size - 1) / 2])

y      [N, C, L]  overwritten; any strides, no overlap with an input
scale  [N, C, L]  overwritten, where given: local_response_norm_backward_x wants it
x      [N, C, L]  any strides; channels outside count as zeros

Krizhevsky, Sutskever and Hinton 2012, section 3.3. A window's terms are added in the order of the channels.)",
    check_window};

inline constexpr Contract kLocalResponseNormBackwardX = {
    "local_response_norm_backward_x", "local_response_norm",
    "out grad_x: T[N,C,L], grad_y: T[N,C,L], scale: T[N,C,L], x: T[N,C,L]; size: int, alpha: float=1e-4, beta: float=0.75",
    R"(grad_x_c = grad_y_c scale_c^-beta - 2 alpha beta / size x_c (sum of grad_y_j x_j scale_j^(-beta - 1) for the j whose window
holds c: those in [c - (size - 1) / 2, c + size / 2])

grad_x  [N, C, L]  overwritten; any strides, no overlap with an input
scale   [N, C, L]  from local_response_norm_forward
The others are as there; any strides.)",
    check_window};

}  // namespace ww
