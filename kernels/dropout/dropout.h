// Dropout and fills with random numbers. All are functions of (seed, offset) and of an element's place in C order, so that every
// device, layout and number of threads gives the same numbers: element e takes its bits from Philox block offset + e / 4 or
// offset + e / 2 (kernels/common/philox.h), as each contract says.
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

inline constexpr Contract kDropoutForward = {
    "dropout_forward", "dropout", "out y: T[...], x: T[...]; p: float, seed: u64, offset: u64",
    R"(y = x / (1 - p) where the element is kept, x * 0 where it is dropped

y  [...]  overwritten; any strides; may be exactly x
x  [...]  any strides

Element e (its index in C order) is kept where word e % 4 of Philox block offset + e / 4 is below (1 - p) 2**32, rounded to an
integer. Backward is the same call on grad_y: the mask is computed again, never stored. A NaN or Inf that is dropped gives NaN.
Srivastava et al. 2014, section 10 (the inverted form).)",
    dropout::check_p, true};

inline constexpr Contract kUniformForward = {
    "uniform_forward", "random", "out y: T[...]; low: float=0, high: float=1, seed: u64, offset: u64",
    R"(y = low + (high - low) u, u uniform on [0, 1); rounding of the product may give high itself

y  [...]  overwritten; any strides

float32: u = (word e % 4 of block offset + e / 4) >> 8, times 2**-24. float64: with a and b the words 2 (e % 2) and 2 (e % 2) + 1 of
block offset + e / 2, u = ((b >> 6) 2**27 + (a >> 5)) 2**-53.)"};

inline constexpr Contract kNormalForward = {
    "normal_forward", "random", "out y: T[...]; mean: float=0, std: float=1, seed: u64, offset: u64",
    R"(y = mean + std z, z standard normal by Box and Muller 1958: of each pair of uniforms u, v of the stream of uniform_forward,
z = sqrt(-2 log(1 - u)) cos(2 pi v) at the even element and sqrt(-2 log(1 - u)) sin(2 pi v) at the odd one

y  [...]  overwritten; any strides)"};

inline constexpr Contract kRandintForward = {
    "randint_forward", "random", "out y: T[...]; low: int, high: int, seed: u64, offset: u64",
    R"(y = low + floor(w (high - low) / 2**64), with w = a + 2**32 b and the words a, b of uniform_forward's float64

y  [...]  int64, overwritten; any strides

Each integer of [low, high) has probability 1 / (high - low) to within 2**-64.)",
    dropout::check_range};

}  // namespace ww
