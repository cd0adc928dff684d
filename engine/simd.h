// Vec<T>: the one SIMD vector type, on GCC/Clang vector extensions. CPU kernels are compiled once per instruction set with
// WW_ISA naming it (baseline, avx2, avx512); everything here lives in the namespace ww::WW_ISA, so that the linker never mixes
// code of two instruction sets.
//
// Rules that keep results the same for a sample alone and in a batch: tails run the same vector code through load_partial and
// store_partial, and a fused multiply-add is written by name (the build has -ffp-contract=off).
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef WW_ISA
#define WW_ISA baseline
#endif
#define WW_INLINE inline __attribute__((always_inline))
#define WW_TEXT_(x) #x
#define WW_TEXT(x) WW_TEXT_(x)
#define WW_ISA_NAME WW_TEXT(WW_ISA)

namespace ww::WW_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// The vector types behind Vec<T>. GCC drops a vector_size attribute on a dependent type, so they are spelled out.
template <class T>
struct raw_of;
#define WW_RAW(T, I)                                                                                   \
    template <>                                                                                        \
    struct raw_of<T> {                                                                                 \
        using Int = I;                                                                                 \
        typedef T type __attribute__((vector_size(kVectorBytes)));                                     \
        typedef T unaligned __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias)); \
        typedef I mask __attribute__((vector_size(kVectorBytes)));                                     \
    };
WW_RAW(float, int32_t)
WW_RAW(double, int64_t)
WW_RAW(int32_t, int32_t)
WW_RAW(int64_t, int64_t)
WW_RAW(uint32_t, int32_t)
WW_RAW(uint64_t, int64_t)
#undef WW_RAW

template <class T>
struct Vec {
    static constexpr int width = kVectorBytes / static_cast<int>(sizeof(T));
    using Int = typename raw_of<T>::Int;
    using Raw = typename raw_of<T>::type;
    using RawUnaligned = typename raw_of<T>::unaligned;
    using Mask = typename raw_of<T>::mask;
    Raw v;

    WW_INLINE Vec() = default;
    WW_INLINE Vec(Raw raw) : v(raw) {}
    WW_INLINE Vec(T scalar) : v(scalar - Raw{}) {}  // x - 0 keeps NaN, Inf and the sign of zero
    static WW_INLINE Vec zero() { return Vec(Raw{}); }
    static WW_INLINE Vec load(const T* p) { return Vec(Raw(*reinterpret_cast<const RawUnaligned*>(p))); }
    WW_INLINE void store(T* p) const { *reinterpret_cast<RawUnaligned*>(p) = v; }
    static WW_INLINE Vec iota() {  // 0, 1, 2, ...
        Raw r;
        for (int i = 0; i < width; i++) r[i] = static_cast<T>(i);
        return Vec(r);
    }

    // The first n lanes (0 <= n <= width); the others are zero. Nothing outside them is read.
    static WW_INLINE Vec load_partial(const T* p, int n) {
#if defined(__AVX512F__)
        if constexpr (sizeof(T) == 4)
            return Vec(reinterpret_cast<Raw>(_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1), p)));
        else return Vec(reinterpret_cast<Raw>(_mm512_maskz_loadu_epi64(static_cast<__mmask8>((1u << n) - 1), p)));
#elif defined(__AVX2__)
        if constexpr (sizeof(T) == 4)
            return Vec(reinterpret_cast<Raw>(_mm256_maskload_epi32(reinterpret_cast<const int*>(p), first_lanes(n))));
        else return Vec(reinterpret_cast<Raw>(_mm256_maskload_epi64(reinterpret_cast<const long long*>(p), first_lanes(n))));
#else
        Raw r = {};
        std::memcpy(&r, p, sizeof(T) * static_cast<size_t>(n));
        return Vec(r);
#endif
    }
    WW_INLINE void store_partial(T* p, int n) const {
#if defined(__AVX512F__)
        if constexpr (sizeof(T) == 4)
            _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1), reinterpret_cast<__m512i>(v));
        else _mm512_mask_storeu_epi64(p, static_cast<__mmask8>((1u << n) - 1), reinterpret_cast<__m512i>(v));
#elif defined(__AVX2__)
        if constexpr (sizeof(T) == 4)
            _mm256_maskstore_epi32(reinterpret_cast<int*>(p), first_lanes(n), reinterpret_cast<__m256i>(v));
        else _mm256_maskstore_epi64(reinterpret_cast<long long*>(p), first_lanes(n), reinterpret_cast<__m256i>(v));
#else
        std::memcpy(p, &v, sizeof(T) * static_cast<size_t>(n));
#endif
    }
    static WW_INLINE Vec gather(const T* p, int64_t stride, int n = width) {
        Raw r = {};
        for (int i = 0; i < n; i++) r[i] = p[i * stride];
        return Vec(r);
    }
    WW_INLINE void scatter(T* p, int64_t stride, int n = width) const {
        for (int i = 0; i < n; i++) p[i * stride] = v[i];
    }
    WW_INLINE T operator[](int i) const { return v[i]; }

    friend WW_INLINE Vec operator+(Vec a, Vec b) { return Vec(Raw(a.v + b.v)); }
    friend WW_INLINE Vec operator-(Vec a, Vec b) { return Vec(Raw(a.v - b.v)); }
    friend WW_INLINE Vec operator*(Vec a, Vec b) { return Vec(Raw(a.v * b.v)); }
    friend WW_INLINE Vec operator/(Vec a, Vec b) { return Vec(Raw(a.v / b.v)); }
    friend WW_INLINE Vec operator-(Vec a) { return Vec(Raw(-a.v)); }
    friend WW_INLINE Vec operator&(Vec a, Vec b) { return from_bits(a.bits() & b.bits()); }
    friend WW_INLINE Vec operator|(Vec a, Vec b) { return from_bits(a.bits() | b.bits()); }
    friend WW_INLINE Vec operator^(Vec a, Vec b) { return from_bits(a.bits() ^ b.bits()); }
    WW_INLINE Vec& operator+=(Vec b) {
        v += b.v;
        return *this;
    }
    WW_INLINE Vec& operator-=(Vec b) {
        v -= b.v;
        return *this;
    }
    WW_INLINE Vec& operator*=(Vec b) {
        v *= b.v;
        return *this;
    }

    // Masks: all ones where true, all zeros where false. A comparison with NaN is false, but != is true.
    friend WW_INLINE Mask operator<(Vec a, Vec b) { return a.v < b.v; }
    friend WW_INLINE Mask operator<=(Vec a, Vec b) { return a.v <= b.v; }
    friend WW_INLINE Mask operator>(Vec a, Vec b) { return a.v > b.v; }
    friend WW_INLINE Mask operator>=(Vec a, Vec b) { return a.v >= b.v; }
    friend WW_INLINE Mask operator==(Vec a, Vec b) { return a.v == b.v; }
    friend WW_INLINE Mask operator!=(Vec a, Vec b) { return a.v != b.v; }

    WW_INLINE Mask bits() const { return reinterpret_cast<Mask>(v); }
    static WW_INLINE Vec from_bits(Mask m) { return Vec(reinterpret_cast<Raw>(m)); }

  private:
#if defined(__AVX2__) && !defined(__AVX512F__)
    static WW_INLINE __m256i first_lanes(int n) {
        alignas(64) static constexpr int32_t ones_then_zeros[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
        constexpr int words = static_cast<int>(sizeof(T)) / 4;
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ones_then_zeros + 8 - n * words));
    }
#endif
};

// where(mask, a, b): a where the mask is set, else b.
template <class T>
WW_INLINE Vec<T> where(typename Vec<T>::Mask mask, Vec<T> a, Vec<T> b) {
    return Vec<T>(typename Vec<T>::Raw(mask ? a.v : b.v));
}

// a * b + c with one rounding where the instruction set has it (AVX2, AVX-512, NEON); two roundings on x86-64 baseline.
template <class T>
WW_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
    using Raw = typename Vec<T>::Raw;
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<T, float>) return Vec<T>(Raw(_mm512_fmadd_ps(a.v, b.v, c.v)));
    else return Vec<T>(Raw(_mm512_fmadd_pd(a.v, b.v, c.v)));
#elif defined(__FMA__)
    if constexpr (std::is_same_v<T, float>) return Vec<T>(Raw(_mm256_fmadd_ps(a.v, b.v, c.v)));
    else return Vec<T>(Raw(_mm256_fmadd_pd(a.v, b.v, c.v)));
#elif defined(__aarch64__)
    if constexpr (std::is_same_v<T, float>) return Vec<T>(Raw(vfmaq_f32(c.v, a.v, b.v)));
    else return Vec<T>(Raw(vfmaq_f64(c.v, a.v, b.v)));
#else
    return Vec<T>(Raw(a.v * b.v + c.v));
#endif
}

template <class T>
WW_INLINE Vec<T> sqrt(Vec<T> a) {
    using Raw = typename Vec<T>::Raw;
#if defined(__AVX512F__)  // all lanes of the masked form: the other one warns of its own undefined operand in GCC 12
    if constexpr (std::is_same_v<T, float>) return Vec<T>(Raw(_mm512_maskz_sqrt_ps(0xFFFF, a.v)));
    else return Vec<T>(Raw(_mm512_maskz_sqrt_pd(0xFF, a.v)));
#elif defined(__AVX2__)
    if constexpr (std::is_same_v<T, float>) return Vec<T>(Raw(_mm256_sqrt_ps(a.v)));
    else return Vec<T>(Raw(_mm256_sqrt_pd(a.v)));
#elif defined(__x86_64__)
    if constexpr (std::is_same_v<T, float>) return Vec<T>(Raw(_mm_sqrt_ps(a.v)));
    else return Vec<T>(Raw(_mm_sqrt_pd(a.v)));
#elif defined(__aarch64__)
    if constexpr (std::is_same_v<T, float>) return Vec<T>(Raw(vsqrtq_f32(a.v)));
    else return Vec<T>(Raw(vsqrtq_f64(a.v)));
#else
    Raw r;
    for (int i = 0; i < Vec<T>::width; i++) r[i] = std::sqrt(a.v[i]);
    return Vec<T>(r);
#endif
}

template <class T>
WW_INLINE Vec<T> abs(Vec<T> a) {
    using Int = typename Vec<T>::Int;
    constexpr Int sign = static_cast<Int>(Int(1) << (8 * sizeof(T) - 1));
    return Vec<T>::from_bits(a.bits() & static_cast<Int>(~sign));
}

// max and min that carry a NaN from either side, as the array API standard asks.
template <class T>
WW_INLINE Vec<T> max_nan(Vec<T> a, Vec<T> b) {
    return where<T>((a > b) | (a != a), a, b);
}
template <class T>
WW_INLINE Vec<T> min_nan(Vec<T> a, Vec<T> b) {
    return where<T>((a < b) | (a != a), a, b);
}

// A fixed tree over the lanes: halves are folded onto each other.
template <class T>
WW_INLINE T reduce_add(Vec<T> a) {
    T lanes[Vec<T>::width];
    a.store(lanes);
    for (int half = Vec<T>::width / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}
template <class T>
WW_INLINE T reduce_max(Vec<T> a) {
    T best = a[0];
    for (int i = 1; i < Vec<T>::width; i++) best = (a[i] > best || a[i] != a[i]) ? a[i] : best;
    return best;
}

}  // namespace ww::WW_ISA
