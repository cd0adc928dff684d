// Scaled dot-product attention: out = softmax(scale query key^T + bias) value, without the matrix of the weights in memory.
// Vaswani et al. 2017 (arXiv 1706.03762), section 3.2.1.
#pragma once

#include "engine/registry.h"

namespace ww {

inline constexpr Contract kAttentionForward = {
    "attention_forward", "attention",
    "out out: T[...,L,F], out logsumexp: T[...,L], query: T[...,L,E], key: T[...,S,E], value: T[...,S,F], bias: T[...,L,S]?, "
    "keep: bool[...,L,S]?; scale: float, causal: bool=false",
    R"(out[..., i, :] = sum over j of p_ij value[..., j, :], with p_ij = exp(s_ij) / sum over j of exp(s_ij),
s_ij = scale (query[..., i, :] . key[..., j, :]) + bias[..., i, j], and s_ij = -Inf where keep is false, or j > i with causal

out        [..., L, F]  overwritten; any strides, no overlap
logsumexp  [..., L]     overwritten; log(sum over j of exp(s_ij)), for the gradients
query      [..., L, E]  any strides
key        [..., S, E]  any strides; heads that are shared have stride 0
value      [..., S, F]  any strides
bias, keep [..., L, S]  optional; any strides, 0 where broadcast

A row whose s are all -Inf is 0, with logsumexp -Inf. Otherwise a NaN or +Inf among the s makes a NaN row. A NaN or Inf in a value whose
weight is 0 comes out (0 Inf is NaN), unless causal lets a variant leave it unread. The order of the sums depends on S, E and i, never on the
leading dimensions or the number of threads.)"};

inline constexpr Contract kAttentionBackwardQuery = {
    "attention_backward_query", "attention",
    "out grad_query: T[...,L,E], grad_out: T[...,L,F], delta: T[...,L], logsumexp: T[...,L], query: T[...,L,E], key: T[...,S,E], "
    "value: T[...,S,F], bias: T[...,L,S]?, keep: bool[...,L,S]?; scale: float, causal: bool=false",
    R"(grad_query[..., i, :] = scale sum over j of d_ij key[..., j, :], with d_ij = p_ij (grad_out[..., i, :] . value[..., j, :] - delta[..., i])

grad_query  [..., L, E]  overwritten; any strides, no overlap
grad_out    [..., L, F]  any strides
delta       [..., L]     any strides; grad_out[..., i, :] . out[..., i, :]
logsumexp, query, key, value, bias, keep, attributes: as attention_forward took and wrote them; p as there

A row that is all masked has gradient 0. A key that is NaN or Inf and whose d is 0 comes out, unless causal lets a variant leave it
unread.)"};

inline constexpr Contract kAttentionBackwardKeyValue = {
    "attention_backward_key_value", "attention",
    "out grad_key: T[...,S,E], out grad_value: T[...,S,F], grad_out: T[...,L,F], delta: T[...,L], logsumexp: T[...,L], "
    "query: T[...,L,E], key: T[...,S,E], value: T[...,S,F], bias: T[...,L,S]?, keep: bool[...,L,S]?; scale: float, causal: "
    "bool=false",
    R"(grad_key[..., j, :] = scale sum over i of d_ij query[..., i, :];  grad_value[..., j, :] = sum over i of p_ij grad_out[..., i, :]

grad_key    [..., S, E]  overwritten; any strides, no overlap: for heads that share keys, one gradient each
grad_value  [..., S, F]  overwritten; any strides, no overlap
The rest as in attention_backward_query; NaN and Inf of queries and of grad_out, too, where d and p are 0.

The order of the sums depends on L, E, F and j, never on the leading dimensions or the number of threads.)"};

}  // namespace ww
