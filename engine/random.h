// Philox 4x32-10: random numbers as a pure function of (seed, offset, element), the same on every device and for any number of
// threads. Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, sections 3.3 and 4.
//
// The key is the seed. The counter is (block, offset): `offset` numbers the calls of a generator, so no two calls overlap
// however long they are, and `block` counts inside a call. A block is four 32-bit words, and gives
//
//   uniform float32   4 a block   24 high bits of a word * 2^-24: in [0, 1), every value exact
//   uniform float64   2 a block   53 high bits of two words * 2^-53: in [0, 1)
//   integers below n  1 a block   floor(128-bit word * n / 2^128): no rejection loop, hence the same work for every element; each
//                                 value is within 2^-64 of as likely as any other, for any 64-bit n
//   normal float32    4 a block   Box-Muller on words (0, 1) and (2, 3): cosine first, then sine
//   normal float64    2 a block   Box-Muller on words (0, 1 | 2, 3)
//
// Normals use the logarithm, sine and cosine below, not libm's: sums, products, one division and one square root in float64, each
// rounded as IEEE 754 says, so they too have the same bits everywhere (design.md asks for 2 ulp). C++ needs -ffp-contract=off for
// it, as all of this project has; a compiler that contracts all the same moves a float32 normal by at most an ulp.
//
// Kernels that produce many elements go block by block; random_*(seed, offset, i) gives element i of the same stream.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#if !defined(WW_HOST_DEVICE)
#if defined(__CUDACC__)
#define WW_HOST_DEVICE __host__ __device__ inline
#else
#define WW_HOST_DEVICE inline
#endif
#endif

namespace ww {

struct Philox {
    uint32_t word[4];
};

WW_HOST_DEVICE uint64_t join_words(uint32_t low, uint32_t high) { return static_cast<uint64_t>(high) << 32 | low; }

WW_HOST_DEVICE Philox philox4x32(Philox counter, uint64_t key) {
    uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
    uint32_t c0 = counter.word[0], c1 = counter.word[1], c2 = counter.word[2], c3 = counter.word[3];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = static_cast<uint64_t>(c0) * 0xD2511F53u, p1 = static_cast<uint64_t>(c2) * 0xCD9E8D57u;
        c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
        c1 = static_cast<uint32_t>(p1);
        c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
        c3 = static_cast<uint32_t>(p0);
        k0 += 0x9E3779B9u;  // the golden ratio and sqrt(3) - 1: Weyl sequences
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

WW_HOST_DEVICE Philox philox_block(uint64_t seed, uint64_t offset, uint64_t block) {
    return philox4x32({{static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), static_cast<uint32_t>(offset),
                        static_cast<uint32_t>(offset >> 32)}},
                      seed);
}

// ---- from words to numbers -------------------------------------------------------------------------------------------------

WW_HOST_DEVICE float uniform_float(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

WW_HOST_DEVICE double uniform_double(uint32_t low, uint32_t high) {
    return static_cast<double>(join_words(low, high) >> 11) * 0x1p-53;
}

WW_HOST_DEVICE uint64_t multiply_high(uint64_t a, uint64_t b) {
#if defined(__CUDA_ARCH__)
    return __umul64hi(a, b);
#else
    __extension__ typedef unsigned __int128 u128;
    return static_cast<uint64_t>(static_cast<u128>(a) * b >> 64);
#endif
}

// In [0, n), n >= 1. Of the 2^128 words, each value gets floor or ceil of 2^128 / n, so a probability is off by a factor of at
// most 1 + n / 2^128 < 1 + 2^-64.
WW_HOST_DEVICE uint64_t integer_below(const Philox& block, uint64_t n) {
    const uint64_t low = join_words(block.word[0], block.word[1]), high = join_words(block.word[2], block.word[3]);
    const uint64_t middle = high * n, carry = multiply_high(low, n);
    return multiply_high(high, n) + (middle + carry < middle);
}

// a * b + c with both roundings: nvcc would contract it.
WW_HOST_DEVICE double product_sum(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
    return __dadd_rn(__dmul_rn(a, b), c);
#else
    return a * b + c;
#endif
}

// ln(x) for a positive normal x: x = 2^e m with m in [sqrt(1/2), sqrt(2)), ln m = 2 atanh(s), s = (m - 1) / (m + 1). |s| < 0.172,
// so the series' first left-out term, s^23 / 23, is below 2^-60 of the sum. Within 2 ulp.
WW_HOST_DEVICE double portable_log(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint64_t from_half = bits - 0x3FE6A09E667F3BCDull;  // the bits of sqrt(1/2)
    const int64_t exponent = static_cast<int64_t>(from_half) >> 52;
    bits -= static_cast<uint64_t>(exponent) << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    const double s = (m - 1) / (m + 1), z = s * s;
    double series = 1.0 / 21;
    series = product_sum(series, z, 1.0 / 19);
    series = product_sum(series, z, 1.0 / 17);
    series = product_sum(series, z, 1.0 / 15);
    series = product_sum(series, z, 1.0 / 13);
    series = product_sum(series, z, 1.0 / 11);
    series = product_sum(series, z, 1.0 / 9);
    series = product_sum(series, z, 1.0 / 7);
    series = product_sum(series, z, 1.0 / 5);
    series = product_sum(series, z, 1.0 / 3);
    // ln 2 in two parts: e times the first, 32 bits long, is exact, contracted or not. Small terms add up first.
    const double e = static_cast<double>(exponent), high = 0x1.62e42feep-1, low = 0x1.a39ef35793c76p-33;
    return e * high + (2 * s + product_sum(2 * s * z, series, e * low));
}

// cos and sin of a whole turn times t, t in [0, 1) and a multiple of 2^-53: the reduction to an eighth of a turn is exact.
// Taylor: the first terms left out, x^18 / 18! and x^19 / 19!, are below 2^-58 of the result at x = pi / 4.
WW_HOST_DEVICE void portable_cos_sin(double t, double* cosine, double* sine) {
    const int quarter = static_cast<int>(t * 4 + 0.5);
    const double x = (t - quarter * 0.25) * 6.283185307179586, z = x * x;
    double c = 1.0 / 20922789888000, s = 1.0 / 355687428096000;
    c = product_sum(c, z, -1.0 / 87178291200);
    c = product_sum(c, z, 1.0 / 479001600);
    c = product_sum(c, z, -1.0 / 3628800);
    c = product_sum(c, z, 1.0 / 40320);
    c = product_sum(c, z, -1.0 / 720);
    c = product_sum(c, z, 1.0 / 24);
    c = product_sum(c, z, -1.0 / 2);
    c = product_sum(c, z, 1);
    s = product_sum(s, z, -1.0 / 1307674368000);
    s = product_sum(s, z, 1.0 / 6227020800);
    s = product_sum(s, z, -1.0 / 39916800);
    s = product_sum(s, z, 1.0 / 362880);
    s = product_sum(s, z, -1.0 / 5040);
    s = product_sum(s, z, 1.0 / 120);
    s = product_sum(s, z, -1.0 / 6);
    s = product_sum(s * z, x, x);
    const double long_side = quarter & 1 ? s : c, short_side = quarter & 1 ? c : s;
    *cosine = (quarter + 1) & 2 ? -long_side : long_side;
    *sine = quarter & 2 ? -short_side : short_side;
}

// Box and Muller 1958: sqrt(-2 ln u) cos(2 pi t), sqrt(-2 ln u) sin(2 pi t). u lies in the middle of its cell: never 0, never 1.
WW_HOST_DEVICE void normal_floats(uint32_t radius, uint32_t angle, float* first, float* second) {
    double cosine, sine;
    const double r = sqrt(-2 * portable_log((radius + 0.5) * 0x1p-32));
    portable_cos_sin(angle * 0x1p-32, &cosine, &sine);
    *first = static_cast<float>(r * cosine);
    *second = static_cast<float>(r * sine);
}

WW_HOST_DEVICE void normal_doubles(const Philox& block, double* first, double* second) {
    double cosine, sine;
    const uint64_t cell = join_words(block.word[0], block.word[1]) >> 12;
    const double r = sqrt(-2 * portable_log((static_cast<double>(cell) + 0.5) * 0x1p-52));
    portable_cos_sin(uniform_double(block.word[2], block.word[3]), &cosine, &sine);
    *first = r * cosine;
    *second = r * sine;
}

// ---- element i of a stream -------------------------------------------------------------------------------------------------

WW_HOST_DEVICE uint32_t random_word(uint64_t seed, uint64_t offset, uint64_t i) {
    return philox_block(seed, offset, i / 4).word[i % 4];
}

WW_HOST_DEVICE float random_float(uint64_t seed, uint64_t offset, uint64_t i) {
    return uniform_float(random_word(seed, offset, i));
}

WW_HOST_DEVICE double random_double(uint64_t seed, uint64_t offset, uint64_t i) {
    const Philox block = philox_block(seed, offset, i / 2);
    return uniform_double(block.word[i % 2 * 2], block.word[i % 2 * 2 + 1]);
}

WW_HOST_DEVICE uint64_t random_below(uint64_t seed, uint64_t offset, uint64_t i, uint64_t n) {
    return integer_below(philox_block(seed, offset, i), n);
}

WW_HOST_DEVICE float random_normal_float(uint64_t seed, uint64_t offset, uint64_t i) {
    const Philox block = philox_block(seed, offset, i / 4);
    float pair[2];
    normal_floats(block.word[i / 2 % 2 * 2], block.word[i / 2 % 2 * 2 + 1], &pair[0], &pair[1]);
    return pair[i % 2];
}

WW_HOST_DEVICE double random_normal_double(uint64_t seed, uint64_t offset, uint64_t i) {
    double pair[2];
    normal_doubles(philox_block(seed, offset, i / 2), &pair[0], &pair[1]);
    return pair[i % 2];
}

}  // namespace ww
