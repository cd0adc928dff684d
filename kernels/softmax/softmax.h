// Softmax along the last dimension of a view, its logarithm, and the cross-entropy of class indices.
//   softmax      y_i = exp(x_i - m) / s,   m = max_j x_j,  s = sum_j exp(x_j - m)
//   log_softmax  y_i = (x_i - m) - log(s)
// Bridle 1990; the shift by m keeps every exponent <= 0, so nothing overflows.
#pragma once

#include "engine/registry.h"
#include "kernels/common/class_index.h"

namespace ww {

inline constexpr Contract kSoftmaxForward = {
    "softmax_forward",
    "softmax",
    "out y: T[...,n], x: T[...,n]",
    R"(y[..., i] = exp(x[..., i] - m) / sum over j of exp(x[..., j] - m), with m = max over j of x[..., j]

y  [..., n]  overwritten; any strides; may be exactly x
x  [..., n]  any strides: another axis is a view with that axis last, never a copy

A row with a NaN or +Inf, or with nothing but -Inf, is NaN. The order of the sums depends on n, never on strides, the number of rows
or threads.)",
    nullptr,
    true};

inline constexpr Contract kLogSoftmaxForward = {
    "log_softmax_forward",
    "softmax",
    "out y: T[...,n], x: T[...,n]",
    R"(y[..., i] = (x[..., i] - m) - log(sum over j of exp(x[..., j] - m)), with m = max over j of x[..., j]

y  [..., n]  overwritten; any strides; may be exactly x
x  [..., n]  any strides

A row with a NaN or +Inf, or with nothing but -Inf, is NaN. The order of the sums is that of softmax_forward.)",
    nullptr,
    true};

inline constexpr Contract kSoftmaxBackwardX = {
    "softmax_backward_x",
    "softmax",
    "out grad_x: T[...,n], grad_y: T[...,n], y: T[...,n]",
    R"(grad_x[..., i] = (grad_y[..., i] - sum over j of grad_y[..., j] y[..., j]) y[..., i]

grad_x  [..., n]  overwritten; any strides; may be exactly grad_y or y
grad_y  [..., n]  any strides
y       [..., n]  any strides; softmax_forward's output)",
    nullptr,
    true};

inline constexpr Contract kLogSoftmaxBackwardX = {"log_softmax_backward_x",
                                                  "softmax",
                                                  "out grad_x: T[...,n], grad_y: T[...,n], y: T[...,n]",
                                                  R"(grad_x[..., i] = grad_y[..., i] - exp(y[..., i]) sum over j of grad_y[..., j]

grad_x  [..., n]  overwritten; any strides; may be exactly grad_y or y
grad_y  [..., n]  any strides
y       [..., n]  any strides; log_softmax_forward's output)",
                                                  nullptr,
                                                  true};

namespace cross_entropy {

// Both contracts have logits and target at the same positions, and begin with the same attributes.
inline void check(const Call& call) {
    const View &logits = call.view(3), &target = call.view(4);
    double smoothing = call.real(1);
    if (!(smoothing >= 0 && smoothing <= 1)) fail<ShapeError>("%s: expected label_smoothing in [0, 1], got %g", call.op, smoothing);
    check_class_index(call, target, logits.shape[logits.ndim - 1], call.integer(0));
}

}  // namespace cross_entropy

inline constexpr Contract kCrossEntropyForward = {
    "cross_entropy_forward", "cross_entropy",
    "out loss: T[...], out stats: T[...,2], out grad_logits: T[...,V]?, logits: T[...,V], target: int64[...], weight: T[V]?; "
    "ignore_index: int=-100, label_smoothing: float=0, grad_scale: float=1",
    R"(loss = (1 - e) w_t (L - x_t) + (e / V) sum over v of w_v (L - x_v), with L = log(sum over v of exp(x_v)), t = target, e = label_smoothing

loss         [...]     overwritten; any strides, no overlap. 0 where target is ignore_index, whatever the row holds
stats        [..., 2]  overwritten; m = max x_v and s = sum exp(x_v - m), so that L = m + log(s), for cross_entropy_backward_logits
                       (L itself would lose the digits that a large m takes); 0 where target is ignore_index
grad_logits  [..., V]  optional, overwritten: what cross_entropy_backward_logits gives for grad_loss = grad_scale in all rows, to the
                       bit, but written while the row is in the cache
logits       [..., V]  any strides
target       [...]     class indices in [0, V), or ignore_index; anything else is an IndexError before anything is written
weight       [V]       optional, any strides; 1 where it is not given

Label smoothing: Szegedy et al. 2016 (arXiv 1512.00567), section 7. The order of the sums depends on V, never on the number of
rows or threads.)",
    cross_entropy::check};

inline constexpr Contract kCrossEntropyBackwardLogits = {
    "cross_entropy_backward_logits",
    "cross_entropy",
    "out grad_logits: T[...,V], grad_loss: T[...], stats: T[...,2], logits: T[...,V], target: int64[...], weight: T[V]?; "
    "ignore_index: int=-100, label_smoothing: float=0",
    R"(grad_logits_v = grad_loss (exp(x_v - L) ((1 - e) w_t + (e / V) sum of w) - (1 - e) w_t [v = t] - (e / V) w_v)

grad_logits  [..., V]  overwritten; any strides; may be exactly logits. Zero where target is ignore_index
grad_loss    [...]     any strides: 0 where one number serves all rows
stats        [..., 2]  any strides; as cross_entropy_forward wrote it
logits, target, weight, attributes: as given to cross_entropy_forward

One read of logits and one write of grad_logits.)",
    cross_entropy::check,
    true};

}  // namespace ww
