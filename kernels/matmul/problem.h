// A matrix product as the CPU's kernel sees it: sizes and strides, with leading dimensions folded into rows where they can be.
#pragma once

#include <algorithm>

#include "engine/registry.h"
#include "kernels/common/brgemm.h"

namespace ww::WW_ISA {

// One product of the batch, in elements: A(i, l) = a[i * a_row + l * a_k], and so on. Strides of the batch follow for each operand.
struct Problem {
    int64_t m, n, k;
    int64_t a_row, a_k, b_k, b_column, c_row, c_column;
    int64_t bias_row = 0, bias_column = 0;
    int a_view = 1, b_view = 2;
    int batch_dims = 0;
    int64_t batch = 1, batch_shape[kMaxDims], batch_a[kMaxDims], batch_b[kMaxDims], batch_c[kMaxDims];
};

inline Problem read(const Call& call) {
    const View &out = call.view(0), &x = call.view(1), &w = call.view(2), &bias = call.view(3);
    int d = out.ndim - 2;
    Problem p;
    p.m = out.shape[d], p.n = out.shape[d + 1], p.k = x.shape[d + 1];
    p.a_row = x.strides[d], p.a_k = x.strides[d + 1];
    p.b_k = w.strides[d], p.b_column = w.strides[d + 1];
    p.c_row = out.strides[d], p.c_column = out.strides[d + 1];
    if (bias.present()) p.bias_column = bias.strides[0];
    // Leading dimensions along which w does not move, and x and out move as if they were rows, become rows.
    for (int i = d - 1; i >= 0; i--) {
        int64_t size = out.shape[i];
        if (size == 1) continue;
        if (p.batch_dims == 0 && w.strides[i] == 0 && p.m == 1) p.a_row = x.strides[i], p.c_row = out.strides[i];
        if (p.batch_dims == 0 && w.strides[i] == 0 && x.strides[i] == p.m * p.a_row && out.strides[i] == p.m * p.c_row) {
            p.m *= size;
            continue;
        }
        int at = p.batch_dims++;
        p.batch *= size;
        p.batch_shape[at] = size;
        p.batch_a[at] = x.strides[i], p.batch_b[at] = w.strides[i], p.batch_c[at] = out.strides[i];
    }
    return p;
}

// A transposed w becomes A, read in place, and x the narrow B: lanes past its columns are lost. With the fewest columns packing w,
// where caches hold it, takes less than that.
template <class T>
bool better_transposed(const Problem& p) {
    const bool packed_sooner = p.m <= Tile<T>::lanes / 4 && p.k * p.n * static_cast<int64_t>(sizeof(T)) <= (8 << 20);
    bool w_by_k = p.b_k == 1 && p.b_column != 1;
    bool x_by_m = p.a_row == 1 && p.a_k != 1;
    return (w_by_k && !packed_sooner && p.m <= 64 && p.m < p.n) || (x_by_m && p.n <= Tile<T>::rows && p.n < p.m);
}

inline void transpose_problem(Problem& p) {
    std::swap(p.m, p.n);
    std::swap(p.a_row, p.b_column);
    std::swap(p.a_k, p.b_k);
    std::swap(p.c_row, p.c_column);
    std::swap(p.bias_row, p.bias_column);
    std::swap(p.a_view, p.b_view);
    std::swap(p.batch_a, p.batch_b);
}

}  // namespace ww::WW_ISA
