// Blocks of rows times blocks of columns on the batch-reduce GEMM microkernel: the products of attention, in and out of scratch.
#pragma once

#include "kernels/attention/scores.h"
#include "kernels/common/pack.h"
#include "kernels/common/unroll.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A block of the short side, whose weights stay in the cache: 288 float32 columns x 72 rows are 81 KiB beside the packed operand.
template <class T>
struct Block {
    static constexpr int64_t rows = 8 * Tile<T>::rows, columns = ceil_div(256, Tile<T>::columns) * Tile<T>::columns;
    int64_t most_rows, most_columns;  // no more than the problem has

    Block(int64_t m, int64_t n)
        : most_rows(std::min<int64_t>(rows, ceil_div(std::max<int64_t>(m, 1), Tile<T>::rows) * Tile<T>::rows)),
          most_columns(std::min<int64_t>(columns, ceil_div(std::max<int64_t>(n, 1), Tile<T>::columns) * Tile<T>::columns)) {}

    int64_t scores_size() const { return most_rows * most_columns; }
    int64_t sums_size(int64_t n) const { return most_rows / Tile<T>::rows * ceil_div(n, Tile<T>::columns) * Tile<T>::size; }
};

// body(row pointers, rows) for tiles of rows [0, m) of `a`.
template <class T, class Body>
WW_INLINE void for_row_tiles(Matrix<const T> a, int64_t m, Body&& body) {
    constexpr int rows = Tile<T>::rows;
    for (int64_t i = 0; i < m; i += rows) {
        int height = static_cast<int>(std::min<int64_t>(rows, m - i));
        const T* row[rows];
        for (int r = 0; r < rows; r++) row[r] = a.at(i + std::min(r, height - 1), 0);
        body(i, row, height);
    }
}

// to[i * step + j] = sum over l < k of a(i, l) b(j, l), i < m, j < n; b is packed transposed. Whole vectors of `to` are written.
template <class T>
void products(T* to, int64_t step, Matrix<const T> a, int64_t m, int64_t k, const T* packed, int64_t n) {
    constexpr int columns = Tile<T>::columns, lanes = Tile<T>::lanes;
    alignas(64) T tile[Tile<T>::size];
    const int64_t none = 0;
    for (int64_t j = 0; j < n; j += columns) {
        int width = static_cast<int>(std::min<int64_t>(columns, n - j));
        const T* b = packed + j / columns * panel_step<T>(k);
        for_row_tiles(a, m, [&](int64_t i, const T* const* row, int height) {
            brgemm(Blocks<T>{1, k, row, 0, &none, a.column, b, &none, panel_width<T>(n, j)}, height, width, false, false, tile);
            for (int r = 0; r < height; r++)
                for (int c = 0; c < width; c += lanes) Vec<T>::load(tile + r * columns + c).store(to + (i + r) * step + j + c);
        });
    }
}

// Sums [m, n], kept as tiles: tile (i, j) of rows and columns at data + (i * panels + j) * Tile::size.
template <class T>
struct Sums {
    static constexpr int rows = Tile<T>::rows, columns = Tile<T>::columns, lanes = Tile<T>::lanes;
    T* data;
    int64_t n, panels;

    Sums(T* data, int64_t n) : data(data), n(n), panels(ceil_div(n, columns)) {}

    T* row(int64_t i, int64_t j) const { return data + (i / rows * panels + j / columns) * Tile<T>::size + i % rows * columns; }
    void clear(int64_t m) const { std::fill_n(data, ceil_div(m, rows) * panels * Tile<T>::size, T(0)); }

    // += a b, a [m, k] and b [k, n] read where it lies, or from `packed` where its columns are apart.
    void add(Matrix<const T> a, int64_t m, int64_t k, Matrix<const T> b, T* packed) const {
        const int64_t none = 0;
        bool in_place = b.column == 1;
        if (!in_place) pack(packed, b.data, k, n, b.row, b.column);
        for (int64_t j = 0; j < n; j += columns) {
            int width = static_cast<int>(std::min<int64_t>(columns, n - j));
            const T* from = in_place ? b.data + j : packed + j / columns * panel_step<T>(k);
            int64_t step = in_place ? b.row : panel_width<T>(n, j);
            for_row_tiles(a, m, [&](int64_t i, const T* const* row_at, int height) {
                brgemm(Blocks<T>{1, k, row_at, 0, &none, a.column, from, &none, step}, height, width, in_place, true, row(i, j));
            });
        }
    }
    WW_INLINE void scale_row(int64_t i, T factor) const {
        for (int64_t j = 0; j < n; j += columns)
            for (int c = 0; c < std::min<int64_t>(columns, n - j); c += lanes)
                (Vec<T>::load(row(i, j) + c) * Vec<T>(factor)).store(row(i, j) + c);
    }
    // Row i, times `factor`, to out(i_out, :).
    WW_INLINE void store_row(int64_t i, T factor, Matrix<T> out, int64_t i_out) const {
        for (int64_t j = 0; j < n; j += lanes) {
            Vec<T> v = Vec<T>::load(row(i, j) + j % columns) * Vec<T>(factor);
            Row<T>{out.at(i_out, 0), out.column}.store(j, static_cast<int>(std::min<int64_t>(lanes, n - j)), v);
        }
    }
};

}  // namespace
}  // namespace ww::WW_ISA
