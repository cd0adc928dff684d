// Dropout and fills with random numbers. All are functions of (seed, offset) and of an element's place in C order, so that every
// device, layout and number of threads gives the same numbers: those of engine/random.h, whose function each contract names.
// `offset` tells the calls of one seed apart, so each call takes one that no other call has.
#pragma once

#include "engine/registry.h"

namespace ww {

namespace dropout {

inline void check_p(const Call& call) {
    if (!(call.real(0) >= 0 && call.real(0) <= 1)) fail<ShapeError>("%s: expected p in [0, 1], got %g", call.op, call.real(0));
}
inline void check_range(const Call& call) {
    if (call.integer(0) >= call.integer(1))
        fail<ShapeError>("%s: expected low < high, got low %lld and high %lld", call.op, static_cast<long long>(call.integer(0)),
                         static_cast<long long>(call.integer(1)));
}

}  // namespace dropout

inline constexpr Contract kDropoutForward = {"dropout_forward",
                                             "dropout",
                                             "out y: T[...], x: T[...]; p: float, seed: u64, offset: u64",
                                             R"(y = x / (1 - p) where the element is kept, x * 0 where it is dropped

y  [...]  overwritten; any strides; may be exactly x
x  [...]  any strides

Element e (its index in C order) is kept where random_word(seed, offset, e) is below (1 - p) 2**32, rounded to an integer. Backward
is the same call on grad_y: the mask is computed again, never stored. A NaN or Inf that is dropped gives NaN. Srivastava et al. 2014, section 10 (the inverted form).)",
                                             dropout::check_p,
                                             true};

inline constexpr Contract kUniformForward = {
    "uniform_forward", "random", "out y: T[...]; low: float=0, high: float=1, seed: u64, offset: u64",
    R"(y = low + (high - low) u, u uniform on [0, 1); rounding of the product may give high itself

y  [...]  overwritten; any strides

u is random_float(seed, offset, e) of element e, random_double in float64.)"};

inline constexpr Contract kNormalForward = {"normal_forward", "random",
                                            "out y: T[...]; mean: float=0, std: float=1, seed: u64, offset: u64",
                                            R"(y = mean + std z, z standard normal by Box and Muller 1958

y  [...]  overwritten; any strides

z is random_normal_float(seed, offset, e) of element e, random_normal_double in float64.)"};

inline constexpr Contract kRandintForward = {
    "randint_forward", "random", "out y: T[...]; low: int, high: int, seed: u64, offset: u64",
    R"(y = low + random_below(seed, offset, e, high - low), e the element's index in C order: uniform on [low, high)

y  [...]  int64, overwritten; any strides)",
    dropout::check_range};

}  // namespace ww
