// Winograd's minimal algorithm F(2x2, 3x3): four outputs of a 3x3 filter by 16 multiplications in place of 36.
//
//     Y = A' [ (G g G') * (B' d B) ] A,   B' = 1  0 -1  0    G = 1    0    0     A' = 1 1  1  0
//                                              0  1  1  0        1/2  1/2  1/2        0 1 -1 -1
//                                              0 -1  1  0        1/2 -1/2  1/2
//                                              0  1  0 -1        0    0    1
//
// Sources: Winograd 1980, "Arithmetic Complexity of Computations"; Lavin and Gray 2015 (arXiv 1509.09308), section 4.1. The
// gradient to g is the adjoint, G' [ (A dY A') * (B' d B) ] G.
//
// Accuracy. Entries of B and A are 0 and +-1, those of G powers of two: integers stay exact as long as sums fit in the mantissa. An
// output is made of the pixels under its own parts of the filter alone (y0 of x0 to x2, y1 of x1 to x3), so others do not leak into
// it, not even NaN; but the error is relative to the largest pixel and weight there, where that of a plain sum is relative to the
// terms: a weight of zero does not hide a pixel, which cancels but for rounding. Sums over channels are nine times shorter than
// those of a plain sum: on dense random data the error is no larger forward, and up to twice as large in gradients. Where an
// infinity would be lost (infinity minus itself), callers compute again by implicit_gemm.
#pragma once

#include "kernels/common/brgemm.h"
#include "kernels/common/pack.h"
#include "kernels/common/unroll.h"
#include "kernels/conv2d/conv2d.h"

namespace ww::WW_ISA {
namespace winograd {

constexpr int kPoints = 16;  // products of a tile: (i, j) at 4 i + j

// Larger filters are sums of parts of 3x3, the last of them filled up with zeros: 5x5 is four parts, 64 products in place of 100.
constexpr int64_t kMostParts = 9;
inline int64_t parts(const ConvAxis& axis) { return (axis.filter + 2) / 3; }

constexpr int64_t kMostTaps = 9 * kMostParts;

// The products that a plain sum makes along one axis: taps outside the picture are none of its.
inline int64_t plain_products(const ConvAxis& axis) {
    int64_t found = 0;
    for (int64_t r = 0; r < axis.filter; r++) found += std::max<int64_t>(0, axis.last_output(r) - axis.first_output(r));
    return found;
}

// What pays: clearly fewer products over a lattice of rows x columns outputs, and enough channels on both sides for them to
// outweigh the transformations. Filters of several parts, which gain less, want more channels, and outputs (the lanes of the
// product) that fill vectors. The number of pictures has no say: a sample has the same bits alone and in a batch.
inline bool fits(const Conv2d& g, int64_t outputs, int64_t rows, int64_t columns) {
    for (const ConvAxis& a : {g.h, g.w})
        if (a.stride != 1 || a.dilation != 1 || a.padding >= a.filter) return false;
    const int64_t count = parts(g.h) * parts(g.w), channels = std::min(g.Cg, g.Kg);
    if (count > kMostParts || channels < (count == 1 ? 16 : 32)) return false;
    if (count > 1 && 16 * round_to_lanes<float>(outputs) > 17 * outputs) return false;
    const double products = static_cast<double>(kPoints * count) * static_cast<double>((rows + 1) / 2 * ((columns + 1) / 2));
    return products <= 0.8 * static_cast<double>(plain_products(g.h)) * static_cast<double>(plain_products(g.w));
}

// The tiles of 2 x 2 outputs that cover pictures of P x Q; the last of a row or column may hang over.
struct Tiles {
    int64_t down, across, count;

    Tiles(int64_t N, int64_t P, int64_t Q) : down((P + 1) / 2), across((Q + 1) / 2), count(N * down * across) {}

    struct At {
        int64_t n, p, q;  // the picture, and the tile's first output
    };
    At at(int64_t t) const { return {t / (down * across), t / across % down * 2, t % across * 2}; }
};

// B' d B of four by four pixels; `pixel(i, j)` loads one.
template <class T, class Pixel>
WW_INLINE void transform_input(Pixel pixel, Vec<T> (&to)[kPoints]) {
    Vec<T> half[4][4];
    unroll<4>([&](auto j) {
        Vec<T> d0 = pixel(0, j), d1 = pixel(1, j), d2 = pixel(2, j), d3 = pixel(3, j);
        half[0][j] = d0 - d2, half[1][j] = d1 + d2, half[2][j] = d2 - d1, half[3][j] = d1 - d3;
    });
    unroll<4>([&](auto i) {
        Vec<T>* row = half[i];
        to[4 * i] = row[0] - row[2], to[4 * i + 1] = row[1] + row[2];
        to[4 * i + 2] = row[2] - row[1], to[4 * i + 3] = row[1] - row[3];
    });
}

// G g G' of three by three weights; `weight(i, j)` loads one.
template <class T, class Weight>
WW_INLINE void transform_filter(Weight weight, Vec<T> (&to)[kPoints]) {
    const Vec<T> half_of(T(0.5));
    Vec<T> half[4][3];
    unroll<3>([&](auto j) {
        Vec<T> first = weight(0, j), middle = weight(1, j), last = weight(2, j), ends = first + last;
        half[0][j] = first, half[1][j] = half_of * (ends + middle), half[2][j] = half_of * (ends - middle), half[3][j] = last;
    });
    unroll<4>([&](auto i) {
        Vec<T>* row = half[i];
        Vec<T> ends = row[0] + row[2];
        to[4 * i] = row[0], to[4 * i + 1] = half_of * (ends + row[1]);
        to[4 * i + 2] = half_of * (ends - row[1]), to[4 * i + 3] = row[2];
    });
}

// A' m A: two by two outputs, (i, j) at 2 i + j.
template <class T, class Product>
WW_INLINE void transform_products(Product product, Vec<T> (&to)[4]) {
    Vec<T> half[2][4];
    unroll<4>([&](auto j) {
        Vec<T> m0 = product(0, j), m1 = product(1, j), m2 = product(2, j), m3 = product(3, j);
        half[0][j] = m0 + m1 + m2, half[1][j] = m1 - m2 - m3;
    });
    unroll<2>([&](auto i) {
        Vec<T>* row = half[i];
        to[2 * i] = row[0] + row[1] + row[2], to[2 * i + 1] = row[1] - row[2] - row[3];
    });
}

// A y A' of two by two gradients of outputs.
template <class T>
WW_INLINE void transform_gradient(const Vec<T> (&y)[4], Vec<T> (&to)[kPoints]) {
    Vec<T> half[4][2];
    unroll<2>([&](auto j) {
        Vec<T> a = y[j], b = y[2 + j];
        half[0][j] = a, half[1][j] = a + b, half[2][j] = a - b, half[3][j] = -b;
    });
    unroll<4>([&](auto i) {
        Vec<T> a = half[i][0], b = half[i][1];
        to[4 * i] = a, to[4 * i + 1] = a + b, to[4 * i + 2] = a - b, to[4 * i + 3] = -b;
    });
}

// G' s G: the gradient of three by three weights from sums of products, (i, j) at 3 i + j.
template <class T, class Sum>
WW_INLINE void transform_sums(Sum sum, Vec<T> (&to)[9]) {
    const Vec<T> half_of(T(0.5));
    Vec<T> half[3][4];
    unroll<4>([&](auto j) {
        Vec<T> s0 = sum(0, j), s1 = sum(1, j), s2 = sum(2, j), s3 = sum(3, j), both = half_of * (s1 + s2);
        half[0][j] = s0 + both, half[1][j] = half_of * (s1 - s2), half[2][j] = both + s3;
    });
    unroll<3>([&](auto i) {
        Vec<T>* row = half[i];
        Vec<T> both = half_of * (row[1] + row[2]);
        to[3 * i] = row[0] + both, to[3 * i + 1] = half_of * (row[1] - row[2]), to[3 * i + 2] = both + row[3];
    });
}

// Where the 16 pixels of a tile lie: channel 0 of each, or of `zeros` outside the picture.
template <class T>
struct Window {
    const T* pixel[kPoints];

    // Its first pixel is (h, w) of a picture of height x width.
    Window(const T* picture, int64_t h_stride, int64_t w_stride, int64_t height, int64_t width, int64_t h, int64_t w,
           const T* zeros) {
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) {
                bool inside = h + i >= 0 && h + i < height && w + j >= 0 && w + j < width;
                pixel[4 * i + j] = inside ? picture + (h + i) * h_stride + (w + j) * w_stride : zeros;
            }
    }
};

// B' d B of channels [0, channels) of a window: point x of channel c at to[x * point_step + c], zeros up to whole vectors.
template <class T>
void write_input(const Window<T>& window, int64_t channels, int64_t point_step, T* to) {
    constexpr int lanes = Vec<T>::width;
    Vec<T> v[kPoints];
    int64_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
        transform_input<T>([&](int i, int j) { return Vec<T>::load(window.pixel[4 * i + j] + c); }, v);
        unroll<kPoints>([&](auto x) { v[x].store(to + x * point_step + c); });
    }
    if (int n = static_cast<int>(channels - c)) {
        transform_input<T>([&](int i, int j) { return Vec<T>::load_partial(window.pixel[4 * i + j] + c, n); }, v);
        unroll<kPoints>([&](auto x) { v[x].store(to + x * point_step + c); });
    }
}

// All taps of n filters that lie `step` apart, a filter a lane; each filter's taps are neighbours, as in [K, C, R, S].
template <class T>
WW_INLINE void load_filters(const T* from, int64_t step, int n, int64_t taps, Vec<T>* tap) {
    constexpr int lanes = Vec<T>::width;
    for (int64_t first = 0; first < taps; first += lanes) {
        const int some = static_cast<int>(std::min<int64_t>(lanes, taps - first));
        Vec<T> square[lanes];
        for (int i = 0; i < lanes; i++) square[i] = i < n ? Vec<T>::load_partial(from + i * step + first, some) : Vec<T>::zero();
        transpose(square);
        for (int i = 0; i < some; i++) tap[first + i] = square[i];
    }
}
template <class T>
WW_INLINE void store_filters(const Vec<T>* tap, int64_t step, int n, int64_t taps, T* to) {
    constexpr int lanes = Vec<T>::width;
    for (int64_t first = 0; first < taps; first += lanes) {
        const int some = static_cast<int>(std::min<int64_t>(lanes, taps - first));
        Vec<T> square[lanes];
        for (int i = 0; i < lanes; i++) square[i] = i < some ? tap[first + i] : Vec<T>::zero();
        transpose(square);
        for (int i = 0; i < n; i++) square[i].store_partial(to + i * step + first, some);
    }
}

// Elements from one row of transformed pixels to the next: a line more than the channels, so that rows do not share cache sets.
template <class T>
constexpr int64_t row_step(int64_t channels) {
    return round_to_lanes<T>(channels) + 64 / static_cast<int64_t>(sizeof(T));
}

template <class T>
WW_INLINE bool any_nan(Vec<T> a) {
    auto mask = a != a;
    typename Vec<T>::Int found = 0;
    for (int i = 0; i < Vec<T>::width; i++) found |= mask[i];
    return found != 0;
}

}  // namespace winograd
}  // namespace ww::WW_ISA
