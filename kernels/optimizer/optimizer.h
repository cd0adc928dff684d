// One step of an optimizer over all parameters in one pass, and what clipping the gradient needs. The lists of a call run in
// parallel: tensor k of each has the shape of params[k]; a list of state that the attributes do not ask for is empty.
#pragma once

#include "engine/registry.h"

namespace ww {

namespace optimizer {

// List `list`, called `name`, runs in parallel with list 0, or is empty where it is not `needed`.
inline void check_list(const Call& call, int list, const char* name, bool needed) {
    int expected = needed ? call.count(0) : 0, got = call.count(list);
    if (got != expected)
        fail<ShapeError>("%s: expected %d tensors in %s (%s), got %d", call.op, expected, name,
                         needed ? "one for each of params" : "the attributes ask for none", got);
    for (int k = 0; k < got; k++) {
        const View &param = call.view(0, k), &view = call.view(list, k);
        bool same = param.ndim == view.ndim;
        for (int d = 0; same && d < param.ndim; d++) same = param.shape[d] == view.shape[d];
        if (!same)
            fail<ShapeError>("%s: expected %s[%d].shape == params[%d].shape == %s, got %s", call.op, name, k, k,
                             param.shape_text().c_str(), view.shape_text().c_str());
    }
}

inline void check_sgd(const Call& call) {
    check_list(call, 1, "grads", true);
    check_list(call, 2, "momenta", call.real(1) != 0);
}
inline void check_adam(const Call& call) {
    check_list(call, 1, "grads", true);
    check_list(call, 2, "exp_avgs", true);
    check_list(call, 3, "exp_avg_sqs", true);
    check_list(call, 4, "max_exp_avg_sqs", call.flag(6));
    if (call.integer(5) < 1) fail<ShapeError>("%s: expected step >= 1, got %lld", call.op, static_cast<long long>(call.integer(5)));
}
inline void check_rmsprop(const Call& call) {
    check_list(call, 1, "grads", true);
    check_list(call, 2, "square_avgs", true);
    check_list(call, 3, "momenta", call.real(4) != 0);
    check_list(call, 4, "grad_avgs", call.flag(5));
}
inline void check_adagrad(const Call& call) {
    check_list(call, 1, "grads", true);
    check_list(call, 2, "state_sums", true);
}

}  // namespace optimizer

inline constexpr Contract kSgdStep = {
    "sgd_step", "optimizer",
    "inout params: T[any...]*, grads: T[any...]*, inout momenta: T[any...]*; lr: float, momentum: float=0, dampening: float=0, "
    "weight_decay: float=0, nesterov: bool=false, maximize: bool=false, first_step: bool=false",
    R"(g = (maximize: -grad, else grad) + weight_decay p;  b = momentum b + (1 - dampening) g, or g at first_step;
p = p - lr (nesterov: g + momentum b; else b; without momentum g)

params   list, updated; any strides, no overlap between tensors of the call
grads    list
momenta  list, updated, and only written at first_step; empty where momentum is 0

Polyak 1964; Nesterov's form as in Sutskever et al. 2013. All tensors are one range of elements that is cut evenly over the
threads. Fast where the tensors k share one dense layout.)",
    optimizer::check_sgd};

inline constexpr Contract kAdamStep = {
    "adam_step", "optimizer",
    "inout params: T[any...]*, grads: T[any...]*, inout exp_avgs: T[any...]*, inout exp_avg_sqs: T[any...]*, "
    "inout max_exp_avg_sqs: T[any...]*; lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, step: int, "
    "amsgrad: bool=false, maximize: bool=false, decoupled: bool=false",
    R"(g = maximize: -grad, else grad;  decoupled (AdamW): p = p - lr weight_decay p, else g = g + weight_decay p
m = m + (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g g;  amsgrad: w = max(w, v), else w = v
p = p - lr / (1 - beta1**step) m / (sqrt(w) / sqrt(1 - beta2**step) + eps)

params, exp_avgs (m), exp_avg_sqs (v), max_exp_avg_sqs (w; empty without amsgrad)  lists, updated; any strides, no overlap
grads  list
step   how many steps with this one: 1 at the first

Kingma and Ba 2015 (arXiv 1412.6980), algorithm 1; Loshchilov and Hutter 2019 (arXiv 1711.05101), algorithm 2; amsgrad: Reddi et
al. 2018.)",
    optimizer::check_adam};

inline constexpr Contract kRmspropStep = {
    "rmsprop_step", "optimizer",
    "inout params: T[any...]*, grads: T[any...]*, inout square_avgs: T[any...]*, inout momenta: T[any...]*, "
    "inout grad_avgs: T[any...]*; lr: float, alpha: float, eps: float, weight_decay: float=0, momentum: float=0, "
    "centered: bool=false, maximize: bool=false",
    R"(g = (maximize: -grad, else grad) + weight_decay p;  v = alpha v + (1 - alpha) g g
centered: a = a + (1 - alpha) (g - a), d = sqrt(v - a a) + eps; else d = sqrt(v) + eps
momentum: b = momentum b + g / d, p = p - lr b; else p = p - lr g / d

params, square_avgs (v), momenta (b; empty without momentum), grad_avgs (a; empty unless centered)  lists, updated; any strides
grads  list

Tieleman and Hinton 2012, lecture 6.5; centered: Graves 2013 (arXiv 1308.0850), equations 38 to 45.)",
    optimizer::check_rmsprop};

inline constexpr Contract kAdagradStep = {
    "adagrad_step", "optimizer",
    "inout params: T[any...]*, grads: T[any...]*, inout state_sums: T[any...]*; lr: float, eps: float, weight_decay: float=0, "
    "maximize: bool=false",
    R"(g = (maximize: -grad, else grad) + weight_decay p;  s = s + g g;  p = p - lr g / (sqrt(s) + eps)

params, state_sums (s)  lists, updated; any strides
grads  list
lr     with its decay, lr / (1 + (step - 1) lr_decay), already taken

Duchi, Hazan and Singer 2011.)",
    optimizer::check_adagrad};

inline constexpr Contract kScaleStep = {"scale_step", "optimizer", "inout tensors: T[any...]*; factor: float",
                                        R"(Every element of every tensor is multiplied by factor.

tensors  list, updated; any strides, no overlap)"};

inline constexpr Contract kSumSquares = {"sum_squares", "optimizer", "out total: float64[], tensors: T[any...]*",
                                         R"(total = sum of the squares of all elements of all tensors

total    [], float64, overwritten
tensors  list; any strides

All sums are float64: no float32 gradient overflows here. Each tensor is cut into blocks of 4096 elements, a block is summed by a
fixed tree, the blocks in order, so the bits depend on shapes and strides alone.)"};

}  // namespace ww
