// Contracts of the reductions: y, which has size 1 where x is reduced, from x.
#pragma once

#include "engine/registry.h"

namespace ww {

// y.shape[d] is x.shape[d], or 1 where dimension d is reduced.
inline void check_reduction(const Call& call) {
    const View &y = call.view(0), &x = call.view(1);
    bool fits = y.ndim == x.ndim;
    for (int d = 0; fits && d < x.ndim; d++) fits = y.shape[d] == x.shape[d] || y.shape[d] == 1;
    if (!fits)
        fail<ShapeError>("%s: expected y.shape to be that of x, %s, with size 1 at each reduced dimension, got y.shape == %s",
                         call.op, x.shape_text().c_str(), y.shape_text().c_str());
}

inline void check_not_empty(const Call& call) {
    check_reduction(call);
    const View &y = call.view(0), &x = call.view(1);
    if (y.size() > 0 && x.size() == 0)
        fail<ShapeError>("%s: expected at least one element to choose from, got x.shape == %s", call.op, x.shape_text().c_str());
}

#define WW_REDUCTION_RULES                                                                                                         \
    "\n\ny  [any...]  size 1 at each reduced dimension, the size of x elsewhere; overwritten; any strides, no overlap with x\n"    \
    "x  [any...]  any strides\n\n"                                                                                                 \
    "The order of the reduction is a fixed tree over the reduced elements: it depends on their number, the dtype, the order of\n"  \
    "the reduced dimensions in memory and the instruction set's width, never on the threads or on what is not reduced. A sum of\n" \
    "n elements has an error of at most about (40 + log2 n) / 2 ulp of the sum of their magnitudes."
#define WW_REDUCTION(Name, op, check, type, attrs, doc)                                                               \
    inline constexpr Contract k##Name##Forward = {#op "_forward", #op, "out y: " type "[any...], x: T[any...]" attrs, \
                                                  doc WW_REDUCTION_RULES, check};

WW_REDUCTION(Sum, sum, check_reduction, "T", "", "y = sum of x; 0 of nothing")
WW_REDUCTION(SumSquares, sum_squares, check_reduction, "T", "", "y = sum of x * x; 0 of nothing")
WW_REDUCTION(Mean, mean, check_reduction, "T", "", "y = sum of x / number of elements; NaN of nothing")
WW_REDUCTION(Prod, prod, check_reduction, "T", "", "y = product of x; 1 of nothing")
WW_REDUCTION(Max, max, check_not_empty, "T", "", "y = the largest x; NaN if one is NaN")
WW_REDUCTION(Min, min, check_not_empty, "T", "", "y = the smallest x; NaN if one is NaN")
WW_REDUCTION(Var, var, check_reduction, "T", "; correction: float=0",
             "y = sum of (x - mean)^2 / (n - correction), in two passes; NaN where n <= correction")
WW_REDUCTION(Logsumexp, logsumexp, check_reduction, "T", "",
             "y = log of the sum of e^x, as m + log(sum of e^(x - m)) with m = max x; -Inf of nothing")
WW_REDUCTION(Argmax, argmax, check_not_empty, "int64", "",
             "y = place of the first largest x among the reduced elements in C order; the first NaN if there is one")
WW_REDUCTION(Argmin, argmin, check_not_empty, "int64", "",
             "y = place of the first smallest x among the reduced elements in C order; the first NaN if there is one")

#undef WW_REDUCTION
#undef WW_REDUCTION_RULES

inline void check_cumulative(const Call& call) {
    int64_t ndim = call.view(1).ndim, axis = call.integer(0);
    if (axis < 0 || axis >= ndim)
        fail<IndexError>("%s: expected axis in [0, %lld), got %lld", call.op, static_cast<long long>(ndim),
                         static_cast<long long>(axis));
}

inline constexpr Contract kCumulativeSumForward = {
    "cumulative_sum_forward",
    "cumulative_sum",
    "out y: T[...], x: T[...]; axis: int",
    R"(y[..., i, ...] = x[..., 0, ...] + ... + x[..., i, ...] along the dimension `axis`

y  [...]  overwritten; any strides; may be x itself, and overlap it in no other way
x  [...]  any strides

Added up from the first element to the last, in float64 for both dtypes.)",
    check_cumulative,
    true};

}  // namespace ww
