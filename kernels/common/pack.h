// Panels of B for the microkernel: a matrix [k, n] of any strides, cut into panels of Tile<T>::columns columns, each stored row by
// row. The last panel is only as wide as its vectors, with zeros in the lanes past n. Bound by bytes; a matrix that lies in the
// other order is transposed in registers, a square of lanes x lanes at a time.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/common/brgemm.h"
#include "kernels/common/transpose.h"

namespace ww::WW_ISA {

template <class T>
constexpr int64_t round_to_lanes(int64_t n) {
    return (n + Tile<T>::lanes - 1) / Tile<T>::lanes * Tile<T>::lanes;
}

// The panel of columns [j0, ...) begins at packed + j0 / Tile<T>::columns * panel_step(k); its rows are panel_width() apart. The
// line between panels keeps the streams that pack() writes out of one another's cache sets.
template <class T>
constexpr int64_t panel_step(int64_t k) {
    return Tile<T>::columns * k + 64 / static_cast<int64_t>(sizeof(T));
}
template <class T>
constexpr int64_t panel_width(int64_t n, int64_t j0) {
    return std::min<int64_t>(Tile<T>::columns, round_to_lanes<T>(n - j0));
}
// Elements that pack() may write to.
template <class T>
constexpr int64_t packed_size(int64_t k, int64_t n) {
    return (n + Tile<T>::columns - 1) / Tile<T>::columns * panel_step<T>(k);
}

namespace packing {

// Columns that lie next to each other: rows are read from end to end, as memory likes it.
template <class T>
void rows_in_order(T* packed, const T* b, int64_t k, int64_t n, int64_t k_stride) {
    constexpr int lanes = Tile<T>::lanes;
    for (int64_t l = 0; l < k; l++) {
        const T* row = b + l * k_stride;
        for (int64_t j0 = 0; j0 < n; j0 += Tile<T>::columns) {
            int64_t width = panel_width<T>(n, j0), left = n - j0;
            T* to = packed + j0 / Tile<T>::columns * panel_step<T>(k) + l * width;
            for (int64_t j = 0; j < width; j += lanes) {
                __builtin_prefetch(row + j0 + j + 8 * k_stride);  // rows are far apart: the hardware does not foresee the next one
                if (left - j >= lanes) Vec<T>::load(row + j0 + j).store(to + j);
                else Vec<T>::load_partial(row + j0 + j, static_cast<int>(left - j)).store(to + j);
            }
        }
    }
}

// Rows that lie next to each other (a transposed operand): squares of lanes columns, read along k.
template <class T>
void columns_in_order(T* packed, const T* b, int64_t k, int64_t n, int64_t n_stride) {
    constexpr int lanes = Tile<T>::lanes;
    for (int64_t j = 0; j < n; j += lanes) {
        int64_t j0 = j / Tile<T>::columns * Tile<T>::columns, width = panel_width<T>(n, j0);
        int columns = static_cast<int>(std::min<int64_t>(lanes, n - j));
        T* to = packed + j0 / Tile<T>::columns * panel_step<T>(k) + (j - j0);
        for (int64_t l = 0; l < k; l += lanes) {
            int depth = static_cast<int>(std::min<int64_t>(lanes, k - l));
            Vec<T> square[lanes];
            for (int i = 0; i < lanes; i++) {
                const T* from = b + (j + std::min(i, columns - 1)) * n_stride + l;
                square[i] = i >= columns ? Vec<T>::zero() : depth == lanes ? Vec<T>::load(from) : Vec<T>::load_partial(from, depth);
            }
            transpose(square);
            if (depth == lanes) unroll<lanes>([&](auto i) { square[i].store(to + (l + i) * width); });
            else
                unroll<lanes>([&](auto i) {
                    if (i < depth) square[i].store(to + (l + i) * width);
                });
        }
    }
}

template <class T>
void any_order(T* packed, const T* b, int64_t k, int64_t n, int64_t k_stride, int64_t n_stride) {
    for (int64_t j0 = 0; j0 < n; j0 += Tile<T>::columns) {
        int64_t width = panel_width<T>(n, j0), columns = std::min<int64_t>(width, n - j0);
        T* to = packed + j0 / Tile<T>::columns * panel_step<T>(k);
        for (int64_t l = 0; l < k; l++, to += width) {
            for (int64_t j = 0; j < columns; j++) to[j] = b[l * k_stride + (j0 + j) * n_stride];
            for (int64_t j = columns; j < width; j++) to[j] = 0;
        }
    }
}

}  // namespace packing

// B(l, j) = b[l * k_stride + j * n_stride], l < k, j < n.
template <class T>
void pack(T* packed, const T* b, int64_t k, int64_t n, int64_t k_stride, int64_t n_stride) {
    if (n_stride == 1) packing::rows_in_order(packed, b, k, n, k_stride);
    else if (k_stride == 1) packing::columns_in_order(packed, b, k, n, n_stride);
    else packing::any_order(packed, b, k, n, k_stride, n_stride);
}

}  // namespace ww::WW_ISA
