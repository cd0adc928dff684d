// The batch-reduce GEMM microkernel: one register tile of
//
//     tile[i, j] (+)= sum over blocks t, sum over l < k of A_t[i, l] * B_t[l, j]
//
// Source: Georganas et al. 2019, "High-Performance Deep Learning via a Single Building Block" (arXiv 1906.06440), section 2; the
// shape of the tile as in BLIS (Van Zee and van de Geijn 2015). It carries matmul, convolution and the recurrent nets, which differ
// only in the addresses they hand over: rows of A are read where they lie, each through a pointer of its own (a pixel outside the
// picture points to zeros), and rows of B have unit column stride, in place or packed.
//
// Each element is one chain of multiply-adds in the order of (t, l), starting from zero. It is the same chain in a tile of any
// number of rows, on either side of a product (a*b = b*a), so callers may tile as they like without changing a bit; only where
// they cut the sum into several calls shows in the result.
//
// Tile: accumulators fill the registers but for one row of B and one broadcast of A. Row pointers stay in general registers, which
// bounds the rows at 9 on x86-64. Bound by arithmetic: per step of l, rows * vectors FMAs against rows + vectors loads.
#pragma once

#include "engine/simd.h"

namespace ww::WW_ISA {

template <class T>
struct Tile {
    // `heights`: the numbers of rows that have a kernel; others run in the next larger one.
#if defined(__AVX512F__)
    static constexpr int vectors = 3, heights[] = {1, 2, 4, 6, 9};  // 27 accumulators of 32
#elif defined(__AVX2__)
    static constexpr int vectors = 2, heights[] = {1, 2, 4, 6};  // 12 of 16
#elif defined(__aarch64__)
    static constexpr int vectors = 3, heights[] = {1, 2, 4, 6, 8};  // 24 of 32
#else
    static constexpr int vectors = 2, heights[] = {1, 2, 4};  // 8 of 16: without FMA a product needs a register too
#endif
    static constexpr int kernels = sizeof(heights) / sizeof(*heights);
    static constexpr int rows = heights[kernels - 1];
    static constexpr int lanes = Vec<T>::width;
    static constexpr int columns = vectors * lanes;
    static constexpr int size = rows * columns;
};

template <class T>
struct Blocks {
    int64_t count;  // blocks t
    int64_t k;      // terms in each
    // A_t[i, l] = (rows[t * row_step + i] + a_offset[t])[l * a_stride]
    const T* const* rows;
    int64_t row_step;
    const int64_t* a_offset;
    int64_t a_stride;
    // B_t[l, j] = (b + b_offset[t])[l * b_stride + j]
    const T* b;
    const int64_t* b_offset;
    int64_t b_stride;
};

// Computes the first `rows` rows and `columns` columns (at most a tile) into `tile`: row i at tile + i * Tile<T>::columns.
// A kernel of more rows may run, so callers repeat a valid pointer up to Tile<T>::rows. With `masked`, B is not read
// past `columns`; without it, rows of B are readable up to a whole vector. With `add`, tile is added to, else overwritten. The
// kernels are instantiated once an ISA, in brgemm.cpp.
template <class T>
void brgemm(const Blocks<T>& blocks, int rows, int columns, bool masked, bool add, T* tile);

}  // namespace ww::WW_ISA
