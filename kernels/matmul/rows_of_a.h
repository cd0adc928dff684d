// The left operand of a product for the microkernel: where its rows are, in place or packed.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/common/brgemm.h"

namespace ww::WW_ISA {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// Where rows of A are read: row i begins at row(i), its elements are k_step apart.
template <class T>
struct RowsOfA {
    static constexpr int64_t rows = Tile<T>::rows;
    const T* base;
    int64_t tile_step, row_step, k_step;

    const T* row(int64_t i) const { return base + i / rows * tile_step + i % rows * row_step; }

    // Packed rows keep the order in which A lies: whole rows, or tiles whose rows are side by side. Whole rows are kept a line
    // apart, for rows of a power of two would share a few sets of the cache.
    static RowsOfA packed(T* to, int64_t k, int64_t a_k) {
        int64_t row = row_elements(k);
        return a_k == 1 ? RowsOfA{to, rows * row, row, 1} : RowsOfA{to, rows * row, 1, rows};
    }
    static int64_t row_elements(int64_t k) {
        constexpr int64_t line = 64 / sizeof(T);
        return round_up(k, line) + line;
    }
    static int64_t packed_size(int64_t m, int64_t k) { return round_up(m, rows) * row_elements(k); }

    // Copies rows [begin, end) of `from`, k long.
    void fill(const RowsOfA& from, int64_t begin, int64_t end, int64_t k) const {
        if (k_step == 1) {
            size_t bytes = static_cast<size_t>(k) * sizeof(T);
            for (int64_t i = begin; i < end; i++) std::memcpy(const_cast<T*>(row(i)), from.row(i), bytes);
            return;
        }
        for (int64_t i = begin; i < end; i += rows) {
            int64_t n = std::min(rows, end - i);
            T* to = const_cast<T*>(row(i));
            const T* source = from.row(i);
            for (int64_t l = 0; l < k; l++, to += rows, source += from.k_step)
                for (int64_t r = 0; r < n; r++) to[r] = source[r * from.row_step];
        }
    }
};

}  // namespace ww::WW_ISA
