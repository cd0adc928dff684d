// What all pooling kernels share: how work is cut, and vectors of every second element, which windows of stride 2 along a dense
// row load.
#pragma once

#include <utility>

#include "engine/simd.h"
#include "kernels/pool2d/pool2d.h"

namespace ww::WW_ISA {
namespace {

// Indices that a chunk of parallel_for takes: about a quarter of the work that pays for a thread's wake-up.
inline int64_t grain(int64_t operations_each) { return 1 + 32768 / std::max<int64_t>(1, operations_each); }

// Vectors along the rows, and along the channels; a single channel is no vector.
WW_INLINE bool dense_rows(const View& v) { return v.shape[3] <= 1 || v.strides[3] == 1; }
WW_INLINE bool dense_channels(const View& v) { return v.shape[1] > 1 && v.strides[1] == 1; }

// The first n channels at p.
template <class T>
WW_INLINE Vec<T> load_channels(const T* p, int64_t stride, int n) {
    if (stride != 1) return Vec<T>::gather(p, stride, n);
    return n == Vec<T>::width ? Vec<T>::load(p) : Vec<T>::load_partial(p, n);
}

// Windows [first, second) have all their taps inside the input.
inline std::pair<int64_t, int64_t> inner_windows(const PoolAxis& a) {
    int64_t first = std::min(a.out, (a.padding + a.stride - 1) / a.stride);
    int64_t room = a.in + a.padding - a.dilation * (a.kernel - 1) - 1;
    return {first, room < 0 ? first : std::max(first, std::min(a.out, room / a.stride + 1))};
}

// p[0], p[2], ..., p[2 width - 2]; nothing after the last of them is read.
template <class T>
WW_INLINE Vec<T> load_even(const T* p) {
    constexpr int width = Vec<T>::width;
    using Raw = typename Vec<T>::Raw;
    Raw a = Vec<T>::load(p).v, b = Vec<T>::load(p + width - 1).v;  // even elements of a, odd ones of b
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
        const __m512i pick = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
        return Vec<T>(Raw(_mm512_permutex2var_ps(a, pick, b)));
    } else {
        return Vec<T>(Raw(_mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 2, 4, 6, 9, 11, 13, 15), b)));
    }
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4) {
        __m256 mixed = _mm256_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 2, 0));  // by halves: a0 a2 b1 b3, a4 a6 b5 b7
        return Vec<T>(Raw(_mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), _MM_SHUFFLE(3, 1, 2, 0)))));
    } else {
        __m256d mixed = _mm256_shuffle_pd(a, b, 0b1010);  // a0 b1, a2 b3
        return Vec<T>(Raw(_mm256_permute4x64_pd(mixed, _MM_SHUFFLE(3, 1, 2, 0))));
    }
#elif defined(__x86_64__)
    if constexpr (sizeof(T) == 4) return Vec<T>(Raw(_mm_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 2, 0))));
    else return Vec<T>(Raw(_mm_shuffle_pd(a, b, 0b10)));
#else
    Raw r;
    for (int i = 0; i < width; i++) r[i] = 2 * i < width ? a[2 * i] : b[2 * i - width + 1];
    return Vec<T>(r);
#endif
}

// p[0], p[stride], ..., p[(width - 1) stride].
template <class T>
WW_INLINE Vec<T> load_every(const T* p, int64_t stride) {
    return stride == 1 ? Vec<T>::load(p) : stride == 2 ? load_even(p) : Vec<T>::gather(p, stride);
}

}  // namespace
}  // namespace ww::WW_ISA
