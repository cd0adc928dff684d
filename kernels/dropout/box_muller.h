// The normals of engine/random.h for a vector of pairs at once: the same operations in the same order, so the same bits.
#pragma once

#include "engine/simd.h"

namespace ww::WW_ISA {
namespace {

using Doubles = Vec<double>;
using Bits = Doubles::Mask;

WW_INLINE Doubles constant(double x) { return Doubles(x); }

// An integer in [0, 2^52) in each lane, as a number: its bits below those of 2^52.
WW_INLINE Doubles small_integer(Bits n) { return Doubles::from_bits(n | int64_t{0x4330000000000000}) - constant(0x1p52); }

// portable_log
WW_INLINE Doubles normal_log(Doubles x) {
    constexpr int64_t half_root = 0x3FE6A09E667F3BCD;
    Bits exponent = (x.bits() - half_root) >> 52;
    Doubles m = Doubles::from_bits(x.bits() - (exponent << 52));
    Doubles e = small_integer(exponent + 2048) - constant(2048);
    Doubles s = (m - constant(1)) / (m + constant(1)), z = s * s, series = constant(1.0 / 21);
    for (int odd = 19; odd >= 3; odd -= 2) series = series * z + constant(1.0 / odd);
    Doubles two_s = constant(2) * s;
    return e * constant(0x1.62e42feep-1) + (two_s + (two_s * z * series + e * constant(0x1.a39ef35793c76p-33)));
}

// portable_cos_sin
WW_INLINE void normal_cos_sin(Doubles t, Doubles& cosine, Doubles& sine) {
    constexpr double c_terms[] = {-1.0 / 87178291200, 1.0 / 479001600, -1.0 / 3628800, 1.0 / 40320,
                                  -1.0 / 720,         1.0 / 24,        -1.0 / 2,       1};
    constexpr double s_terms[] = {-1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880,
                                  -1.0 / 5040,          1.0 / 120,        -1.0 / 6};
    Doubles fourfold = t * constant(4) + constant(0.5);
    Bits quarter = -((fourfold >= constant(1)) + (fourfold >= constant(2)) + (fourfold >= constant(3)) + (fourfold >= constant(4)));
    Doubles x = (t - small_integer(quarter) * constant(0.25)) * constant(6.283185307179586), z = x * x;
    Doubles c = constant(1.0 / 20922789888000), s = constant(1.0 / 355687428096000);
    for (double term : c_terms) c = c * z + constant(term);
    for (double term : s_terms) s = s * z + constant(term);
    s = s * z * x + x;
    Bits swap = (quarter & 1) != 0;
    Doubles along = where<double>(swap, s, c), across = where<double>(swap, c, s);
    cosine = where<double>(((quarter + 1) & 2) != 0, -along, along);
    sine = where<double>((quarter & 2) != 0, -across, across);
}

// sqrt(-2 ln u) cos(2 pi t) and sqrt(-2 ln u) sin(2 pi t).
WW_INLINE void normal_pair(Doubles u, Doubles t, Doubles& first, Doubles& second) {
    Doubles r = sqrt(constant(-2) * normal_log(u)), cosine, sine;
    normal_cos_sin(t, cosine, sine);
    first = r * cosine;
    second = r * sine;
}

}  // namespace
}  // namespace ww::WW_ISA
