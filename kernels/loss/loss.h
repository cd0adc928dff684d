// Contracts of the losses: one number for each element, or (nll_loss) for each row; means and sums are the reduce family's.
// Cross-entropy, which has softmax in it, is with softmax.
#pragma once

#include "engine/registry.h"
#include "kernels/common/class_index.h"

namespace ww {

#define WW_RULES                                                                                                          \
    "\n\nAll views have one shape and any strides: 0 where one number serves all. The output is overwritten; it may be\n" \
    "exactly one of the inputs, and overlap none otherwise. Each element depends on its own inputs alone, bit for bit."
#define WW_CONTRACT(Name, op, suffix, signature, doc) \
    inline constexpr Contract k##Name = {op suffix, op, signature, doc WW_RULES, nullptr, true};
#define WW_LOSS(Name, op, attrs, doc) \
    WW_CONTRACT(Name##Forward, op, "_forward", "out loss: T[...], input: T[...], target: T[...]" attrs, doc)
#define WW_SLOPE(Name, op, attrs, doc)                      \
    WW_CONTRACT(Name##BackwardInput, op, "_backward_input", \
                "out grad_input: T[...], grad_loss: T[...], input: T[...], target: T[...]" attrs, doc)

WW_LOSS(Mse, "mse_loss", "", "loss = (input - target)^2")
WW_SLOPE(Mse, "mse_loss", "", "grad_input = 2 grad_loss (input - target)")
WW_LOSS(L1, "l1_loss", "", "loss = |input - target|")
WW_SLOPE(L1, "l1_loss", "", "grad_input = grad_loss sign(input - target): 0 where they are equal")
WW_LOSS(
    SmoothL1, "smooth_l1_loss", "; beta: float=1",
    "loss = d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, d = input - target, beta > 0 (Girshick 2015, equation 3, with\n"
    "beta 1)")
WW_SLOPE(SmoothL1, "smooth_l1_loss", "; beta: float=1",
         "grad_input = grad_loss d / beta where |d| < beta, else grad_loss sign(d), d = input - target")
WW_LOSS(BceWithLogits, "binary_cross_entropy_with_logits", "",
        "loss = -t log s - (1 - t) log(1 - s), s = 1 / (1 + e^-input), t = target, as (1 - t) x + max(-x, 0) + log(1 + e^-|x|),\n"
        "x = input, which does not overflow")
WW_SLOPE(BceWithLogits, "binary_cross_entropy_with_logits", "", "grad_input = grad_loss (s - target), s = 1 / (1 + e^-input)")
WW_LOSS(KlDiv, "kl_div", "; log_target: bool=false",
        "loss = target (log target - input), 0 log 0 being 0; with log_target, e^target (target - input)\n"
        "(Kullback and Leibler 1951)")
WW_CONTRACT(KlDivBackwardInput, "kl_div", "_backward_input",
            "out grad_input: T[...], grad_loss: T[...], target: T[...]; log_target: bool=false",
            "grad_input = -grad_loss target; with log_target, -grad_loss e^target")

#undef WW_CONTRACT
#undef WW_SLOPE
#undef WW_LOSS
#undef WW_RULES

namespace nll_loss {

inline void check_forward(const Call& call) {
    const View& x = call.view(1);
    check_class_index(call, call.view(2), x.shape[x.ndim - 1], call.integer(0));
}
inline void check_backward(const Call& call) {
    const View& grad = call.view(0);
    check_class_index(call, call.view(2), grad.shape[grad.ndim - 1], call.integer(0));
}

}  // namespace nll_loss

inline constexpr Contract kNllLossForward = {
    "nll_loss_forward", "nll_loss", "out loss: T[...], input: T[...,C], target: int64[...], weight: T[C]?; ignore_index: int=-100",
    R"(loss = -weight[t] input[..., t], t = target[...]

loss    [...]     overwritten; any strides, no overlap. 0 where t is ignore_index, whatever the row holds
input   [..., C]  log-probabilities; any strides
target  [...]     class indices in [0, C), or ignore_index; anything else is an IndexError before anything is written
weight  [C]       optional, any strides; 1 where it is not given)",
    nll_loss::check_forward};

inline constexpr Contract kNllLossBackwardInput = {
    "nll_loss_backward_input", "nll_loss",
    "out grad_input: T[...,C], grad_loss: T[...], target: int64[...], weight: T[C]?; ignore_index: int=-100",
    R"(grad_input[..., c] = -weight[t] grad_loss[...] where c = t = target[...], else 0

grad_input  [..., C]  overwritten; any strides, no overlap. 0 where t is ignore_index
grad_loss   [...]     any strides: 0 where one number serves all rows
target, weight, ignore_index: as given to nll_loss_forward)",
    nll_loss::check_backward};

}  // namespace ww
