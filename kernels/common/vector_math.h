// Elementary functions on Vec<float> and Vec<double>, all lanes at once and without branches (sin and cos apart, see there).
//
// Each reduces its argument to a short interval and evaluates one polynomial there. Reductions and reconstructions: Cody and Waite,
// Software Manual for the Elementary Functions (1980); Muller, Elementary Functions (2016), chapters 9 to 11.
//
// Largest error in ulp against 64-bit mantissas, over several million samples of every binade, with FMA (baseline, without it):
//
//            float         double                    float         double
//   exp      1.01 (0.96)   1.03 (0.98)     sigmoid   1.50 (1.70)   1.66 (1.79)
//   expm1    1.38 (1.44)   1.81 (1.91)     tanh      1.41 (1.41)   1.39 (1.38)
//   log      0.93 (0.93)   0.90 (0.90)     erf       1.36 (1.43)   1.54 (1.72)
//   log1p    0.88 (0.88)   0.89 (0.89)     sin, cos  0.51 (0.51)   0.86 (0.90)
//   exp2     0.99 (0.97)   1.09 (1.06)     log2      1.63 (1.83)   1.55 (1.69)
//
// normal_cdf: 2.5 ulp above -1; below it exp magnifies the rounding of x^2 / 2, to at most 2 x^2 ulp.
//
// NaN gives NaN; infinities, signed zeros, overflow and subnormal arguments and results are as IEEE 754 and C's annex F say.
#pragma once

#include <limits>

#include "engine/simd.h"
#include "kernels/common/math_constants.h"

namespace ww::WW_ISA {
namespace math {

template <class T>
using Unsigned = typename raw_of<typename MathConstants<T>::Unsigned>::type;

template <class T>
WW_INLINE Unsigned<T> as_unsigned(Vec<T> x) {
    return reinterpret_cast<Unsigned<T>>(x.v);
}
template <class T>
WW_INLINE Vec<T> from_unsigned(Unsigned<T> bits) {
    return Vec<T>(reinterpret_cast<typename Vec<T>::Raw>(bits));
}

// c[0] + c[1] x + c[2] x^2 + ..., by Horner's rule.
template <class T, int N>
WW_INLINE Vec<T> polynomial(Vec<T> x, const T (&c)[N]) {
    Vec<T> y(c[N - 1]);
    for (int i = N - 2; i >= 0; i--) y = fma(y, x, Vec<T>(c[i]));
    return y;
}

// The nearest integer, ties to even, where |x| < 2^(mantissa bits - 1).
template <class T>
WW_INLINE Vec<T> nearest_small(Vec<T> x) {
    Vec<T> shift(MathConstants<T>::round_shift);
    return (x + shift) - shift;
}

// 2^n for an integer n within the range of normal exponents.
template <class T>
WW_INLINE Vec<T> power_of_two(Vec<T> n) {
    using C = MathConstants<T>;
    Vec<T> shifted = n + Vec<T>(C::round_shift);
    return from_unsigned<T>((as_unsigned(shifted) << C::mantissa_bits) + (typename C::Unsigned(C::bias) << C::mantissa_bits));
}

template <class T>
WW_INLINE Vec<T> copy_sign(Vec<T> magnitude, Vec<T> sign) {
    Vec<T> bit(T(-0.0));
    return abs(magnitude) | (sign & bit);
}

// exp(r) for |r| <= ln(2) / 2.
template <class T>
WW_INLINE Vec<T> exp_fraction(Vec<T> r) {
    return Vec<T>(T(1)) + fma(r * r, polynomial(r, MathConstants<T>::exp_q), r);
}

// 2^n y in two steps, since 2^n overflows before the result does, and so that a subnormal result is rounded once.
template <class T>
WW_INLINE Vec<T> scale(Vec<T> y, Vec<T> n) {
    Vec<T> half = nearest_small(n * Vec<T>(T(0.5)));
    return (y * power_of_two(half)) * power_of_two(n - half);
}

// x = n ln(2) + r with |r| <= ln(2) / 2.
template <class T>
struct ExpParts {
    Vec<T> n, r;
    WW_INLINE explicit ExpParts(Vec<T> x) {
        using C = MathConstants<T>;
        n = nearest_small(x * Vec<T>(C::log2_e));
        r = fma(n, Vec<T>(-C::ln2_high), x);
        r = fma(n, Vec<T>(-C::ln2_low), r);
    }
};

// exp(x) where the result is known to be a normal number.
template <class T>
WW_INLINE Vec<T> exp_normal(Vec<T> x) {
    ExpParts<T> parts(x);
    return exp_fraction(parts.r) * power_of_two(parts.n);
}

// y = 2^exponent m with m in [sqrt(1/2), sqrt(2)), y a positive finite number.
template <class T>
struct LogParts {
    Vec<T> exponent, m;
    WW_INLINE explicit LogParts(Vec<T> y) {
        using C = MathConstants<T>;
        using U = typename C::Unsigned;
        auto subnormal = y < Vec<T>(std::numeric_limits<T>::min());
        y = where<T>(subnormal, y * Vec<T>(C::subnormal_scale), y);
        constexpr U one = U(C::bias) << C::mantissa_bits, mantissa = (U(1) << C::mantissa_bits) - 1;
        auto bits = as_unsigned(y) + (one - C::sqrt_half_bits);
        m = from_unsigned<T>((bits & mantissa) + C::sqrt_half_bits);
        // An integer below 2^mantissa_bits becomes a float by way of the mantissa of 2^mantissa_bits.
        Vec<T> biased = from_unsigned<T>(bits >> C::mantissa_bits) | Vec<T>(C::integer_shift);
        exponent =
            (biased - Vec<T>(C::integer_shift + C::bias)) - where<T>(subnormal, Vec<T>(T(C::subnormal_shift)), Vec<T>::zero());
    }
};

// log(1 + f) = f - tail(f) for 1 + f in [sqrt(1/2), sqrt(2)): with s = f / (2 + f), 2 s = f - s f.
template <class T>
WW_INLINE Vec<T> log_tail(Vec<T> f) {
    Vec<T> s = f / (Vec<T>(T(2)) + f), z = s * s;
    return s * (f - z * polynomial(z, MathConstants<T>::log_l));
}

// y where 0 < x < infinity; what log(x) is at and beyond the ends elsewhere.
template <class T>
WW_INLINE Vec<T> log_ends(Vec<T> x, Vec<T> y) {
    Vec<T> infinity(std::numeric_limits<T>::infinity()), nan(std::numeric_limits<T>::quiet_NaN()), zero = Vec<T>::zero();
    Vec<T> end = where<T>(x == zero, -infinity, where<T>(x > zero, x, nan));
    return where<T>((x > zero) & (x < infinity), y, end);
}

}  // namespace math

template <class T>
WW_INLINE Vec<T> exp(Vec<T> x) {
    using C = MathConstants<T>;
    Vec<T> low(C::exp_low), high(C::exp_high);
    math::ExpParts<T> parts(where<T>(x > high, high, where<T>(x < low, low, x)));
    return math::scale(math::exp_fraction(parts.r), parts.n);
}

// exp(x) - 1. With t = exp(r) - 1: 2^n t + (2^n - 1), computed at half its size because 2^n overflows first.
template <class T>
WW_INLINE Vec<T> expm1(Vec<T> x) {
    using C = MathConstants<T>;
    Vec<T> low(C::expm1_low), high(C::exp_high), half(T(0.5));
    math::ExpParts<T> parts(where<T>(x > high, high, where<T>(x < low, low, x)));
    Vec<T> r = parts.r, t = fma(r * r, math::polynomial(r, C::expm1_q), r);
    Vec<T> scale = math::power_of_two(parts.n - Vec<T>(T(1)));
    Vec<T> y = fma(scale, t, scale - half);
    return where<T>(abs(x) < Vec<T>(std::numeric_limits<T>::epsilon() / 4), x, y + y);
}

// 2^n e^(r ln 2), where x = n + r is exact.
template <class T>
WW_INLINE Vec<T> exp2(Vec<T> x) {
    using C = MathConstants<T>;
    Vec<T> low(C::exp2_low), high(C::exp2_high);
    Vec<T> inside = where<T>(x > high, high, where<T>(x < low, low, x)), n = math::nearest_small(inside);
    return math::scale(math::exp_fraction((inside - n) * Vec<T>(T(0.69314718055994530942))), n);
}

template <class T>
WW_INLINE Vec<T> log(Vec<T> x) {
    using C = MathConstants<T>;
    math::LogParts<T> parts(x);
    Vec<T> f = parts.m - Vec<T>(T(1)), e = parts.exponent;
    Vec<T> y = e * Vec<T>(C::ln2_high) + (f - (math::log_tail(f) - e * Vec<T>(C::ln2_low)));
    return math::log_ends(x, y);
}

template <class T>
WW_INLINE Vec<T> log2(Vec<T> x) {
    using C = MathConstants<T>;
    math::LogParts<T> parts(x);
    Vec<T> f = parts.m - Vec<T>(T(1)), l = f - math::log_tail(f);
    return math::log_ends(x, fma(l, Vec<T>(C::log2_e), fma(l, Vec<T>(C::log2_e_low), parts.exponent)));
}

// log(1 + x). u = 1 + x is rounded by c; where u is near 1, x itself is the fraction, elsewhere c / u is the first-order mend.
template <class T>
WW_INLINE Vec<T> log1p(Vec<T> x) {
    using C = MathConstants<T>;
    Vec<T> one(T(1)), u = one + x;
    Vec<T> c = where<T>(x > one, one - (u - x), x - (u - one));
    math::LogParts<T> parts(u);
    Vec<T> e = parts.exponent;
    auto near = e == Vec<T>::zero();
    Vec<T> f = where<T>(near, x, parts.m - one), mend = where<T>(near, Vec<T>::zero(), c / u);
    Vec<T> y = e * Vec<T>(C::ln2_high) + (f - (math::log_tail(f) - fma(e, Vec<T>(C::ln2_low), mend)));
    return where<T>(x == Vec<T>::zero(), x, math::log_ends(u, y));
}

// 1 / (1 + exp(-x)). With e = exp(-|x|), so that nothing overflows, and q = e / (1 + e): 1 - q for x >= 0, else e - e q.
template <class T>
WW_INLINE Vec<T> sigmoid(Vec<T> x) {
    Vec<T> one(T(1)), e = exp(-abs(x)), q = e / (one + e);
    Vec<T> start = where<T>(x < Vec<T>::zero(), e, one);
    return fma(-start, q, start);
}

// Odd polynomial below 0.5625, else 1 - 2 / (exp(2 |x|) + 1), which is 1 to the last digit beyond 20.
template <class T>
WW_INLINE Vec<T> tanh(Vec<T> x) {
    Vec<T> one(T(1)), two(T(2)), limit(T(20)), a = abs(x), z = x * x;
    Vec<T> small = fma(a * z, math::polynomial(z, MathConstants<T>::tanh_p), a);
    Vec<T> e = math::exp_normal(two * where<T>(a > limit, limit, a));
    Vec<T> large = one - two / (e + one);
    return math::copy_sign(where<T>(a < Vec<T>(T(0.5625)), small, large), x);
}

namespace math {

constexpr double kErfSmall = 0.84375;

template <class T>
WW_INLINE Vec<T> erf_small(Vec<T> x) {
    return fma(x, polynomial(x * x, MathConstants<T>::erf_q), x);
}

// erfc(a) for a >= kErfSmall.
template <class T>
WW_INLINE Vec<T> erfc_large(Vec<T> a) {
    using C = MathConstants<T>;
    Vec<T> zero_from(C::erfc_zero), c(C::erfc_c);
    a = where<T>(a > zero_from, zero_from, a);
    Vec<T> q = Vec<T>(T(1)) / (a + c);
    return exp(-(a * a)) * (polynomial((a - c) * q, C::erfc_g) * q);
}

}  // namespace math

template <class T>
WW_INLINE Vec<T> erf(Vec<T> x) {
    Vec<T> a = abs(x);
    Vec<T> large = math::copy_sign(Vec<T>(T(1)) - math::erfc_large(a), x);
    return where<T>(a < Vec<T>(T(math::kErfSmall)), math::erf_small(x), large);
}

// (1 + erf(x / sqrt(2))) / 2, the cumulative normal distribution, without cancellation in the lower tail.
template <class T>
WW_INLINE Vec<T> normal_cdf(Vec<T> x) {
    Vec<T> half(T(0.5)), y = x * Vec<T>(T(0.70710678118654752440)), a = abs(y);
    Vec<T> tail = half * math::erfc_large(a);
    Vec<T> large = where<T>(x < Vec<T>::zero(), tail, Vec<T>(T(1)) - tail);
    return where<T>(a < Vec<T>(T(math::kErfSmall)), fma(half, math::erf_small(y), half), large);
}

namespace math {

// Whether any lane of the mask is set.
template <class T>
WW_INLINE bool any(typename Vec<T>::Mask mask) {
#if defined(__AVX512F__)
    return _mm512_test_epi64_mask(reinterpret_cast<__m512i>(mask), reinterpret_cast<__m512i>(mask)) != 0;
#elif defined(__AVX2__)
    return !_mm256_testz_si256(reinterpret_cast<__m256i>(mask), reinterpret_cast<__m256i>(mask));
#elif defined(__x86_64__)
    return _mm_movemask_epi8(reinterpret_cast<__m128i>(mask)) != 0;
#else
    typename Vec<T>::Int set = 0;
    for (int i = 0; i < Vec<T>::width; i++) set |= mask[i];
    return set != 0;
#endif
}

// sin(x + turns pi / 2), by quadrants: x = k pi/2 + high + low with |high| <= pi/4, and pi/2 in three parts of 33, 33 and 53
// bits, so that k times each of the first two is exact below 2^20. Beyond that, next to a multiple of pi/2 (where digits of pi
// run out) and for what is not finite, the few lanes concerned go to the C library. S and C are the polynomials of
// sin(r) = r + r z S(z) and cos(r) = 1 - z/2 + z^2 C(z); float arguments, which are computed in double, take shorter ones.
template <bool cosine, int NS, int NC>
WW_INLINE Vec<double> sine(Vec<double> x, const double (&s)[NS], const double (&c)[NC]) {
    using D = Vec<double>;
    D shift(0x1.8p52), one(1.0), half(0.5);
    D shifted = x * D(0.63661977236758138) + shift, k = shifted - shift;
    D w = x - k * D(0x1.921fb544p0), b = k * D(0x1.0b4611a6p-34);  // both products are exact
    D r = w - b, lost = ((w - r) - b) - k * D(2.0222662487959506e-21);
    D high = r + lost, low = (r - high) + lost, z = high * high, hz = half * z, u = one - hz;
    D sin_r = high + fma(high * z, polynomial(z, s), low);
    D cos_r = u + (((one - u) - hz) + (z * z * polynomial(z, c) - high * low));
    auto quadrant = as_unsigned(shifted) + (cosine ? 1u : 0u);
    auto odd = reinterpret_cast<D::Mask>(-(quadrant & 1));
    D y = where<double>(odd, cos_r, sin_r) ^ from_unsigned<double>((quadrant >> 1) << 63);
    D a = abs(x);
    D::Mask hard = ~(a < D(0x1p20)) | ((abs(high) < D(0x1p-30)) & (a > half));
    if (__builtin_expect(any<double>(hard), 0))
        for (int i = 0; i < D::width; i++)
            if (hard[i]) y.v[i] = cosine ? std::cos(x[i]) : std::sin(x[i]);
    return y;
}

template <bool cosine>
WW_INLINE Vec<double> sine(Vec<double> x) {
    constexpr double s[] = {-0.16666666666666632,   0.0083333333333224131,   -0.00019841269829807718,
                            2.7557313691888099e-06, -2.5050758110951846e-08, 1.5896795425027574e-10};  // 2^-58
    constexpr double c[] = {0.041666666666666602,    -0.0013888888888874125, 2.4801587289482201e-05,
                            -2.7557314352335767e-07, 2.0875723273460323e-09, -1.1359647807722764e-11};  // 2^-64
    return sine<cosine>(x, s, c);
}

template <bool cosine>
WW_INLINE Vec<float> sine(Vec<float> x) {
    constexpr double s[] = {-0.16666666641606953, 0.0083333293835676954, -0.00019839334078077545, 2.7183041841500593e-06};  // 2^-38
    constexpr double c[] = {0.041666646854608858, -0.0013887366910274397, 2.4438379503811327e-05};                          // 2^-33
    typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
    Half part[2];
    std::memcpy(part, &x.v, sizeof part);
    for (Half& p : part) {
        Vec<double> wide(__builtin_convertvector(p, Vec<double>::Raw));
        p = __builtin_convertvector(sine<cosine>(wide, s, c).v, Half);
    }
    std::memcpy(&x.v, part, sizeof part);
    return x;
}

}  // namespace math

template <class T>
WW_INLINE Vec<T> sin(Vec<T> x) {
    Vec<T> y = math::sine<false>(x);
    return where<T>(x == Vec<T>::zero(), x, y);
}
template <class T>
WW_INLINE Vec<T> cos(Vec<T> x) {
    return math::sine<true>(x);
}

// The nearest integer, ties to even. From 2^mantissa_bits on every number is one already.
template <class T>
WW_INLINE Vec<T> round(Vec<T> x) {
    Vec<T> big(MathConstants<T>::integer_shift), a = abs(x);
    return where<T>(a < big, math::copy_sign((a + big) - big, x), x);
}
template <class T>
WW_INLINE Vec<T> floor(Vec<T> x) {
    Vec<T> y = round(x);
    return math::copy_sign(y - where<T>(y > x, Vec<T>(T(1)), Vec<T>::zero()), x);
}
template <class T>
WW_INLINE Vec<T> ceil(Vec<T> x) {
    return -floor(-x);
}
template <class T>
WW_INLINE Vec<T> trunc(Vec<T> x) {
    return math::copy_sign(floor(abs(x)), x);
}

}  // namespace ww::WW_ISA
