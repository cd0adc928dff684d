// Reading and adding at places that an index names: each is the other's gradient.
#pragma once

#include "engine/registry.h"
#include "kernels/common/view_rows.h"

namespace ww {

namespace gather {

// Throws IndexError for the first index that is not in [0, n).
inline void check_index([[maybe_unused]] const Call& call, [[maybe_unused]] View index, [[maybe_unused]] int64_t n) {
#if !defined(__CUDACC__)  // on a GPU the index is not in this memory: ops/gather.py and ops/embedding.py have checked it
    if (index.size() == 0) return;
    int last = index.ndim - 1;
    for (int d = 0; d < last && index.strides[d] == 0; d++) index.shape[d] = 1;  // rows that are one row
    int64_t m = index.shape[last];
    for (int64_t row = 0; row < row_count(index, last); row++) {
        const int64_t* at = index.ptr<int64_t>() + row_offset(index, last, row);
        int64_t signs = 0;  // negative where a place is, or n - 1 less it
        if (index.strides[last] == 1)
            for (int64_t j = 0; j < m; j++) signs |= at[j] | (n - 1 - at[j]);
        else
            for (int64_t j = 0; j < m; j++) signs |= at[j * index.strides[last]] | (n - 1 - at[j * index.strides[last]]);
        for (int64_t j = 0; signs < 0 && j < m; j++) {
            int64_t place = at[j * index.strides[last]];
            if (place < 0 || place >= n)
                fail<IndexError>("%s: expected index in [0, %lld), got %lld at position %lld", call.op, static_cast<long long>(n),
                                 static_cast<long long>(place), static_cast<long long>(row * m + j));
        }
    }
#endif
}

inline void check_forward(const Call& call) {
    const View& x = call.view(1);
    check_index(call, call.view(2), x.shape[x.ndim - 1]);
}
inline void check_scatter(const Call& call) {
    const View& out = call.view(0);
    check_index(call, call.view(2), out.shape[out.ndim - 1]);
}

}  // namespace gather

inline constexpr Contract kGatherForward = {"gather_forward", "gather", "out out: T[...,m], x: T[...,n], index: int64[...,m]",
                                            R"(out[..., j] = x[..., index[..., j]]

out    [..., m]  overwritten; any strides, no overlap
x      [..., n]  any strides: another dimension is a view with that dimension last
index  [..., m]  in [0, n), anything else is an IndexError before anything is written; any strides, 0 where all rows share it)",
                                            gather::check_forward};

inline constexpr Contract kScatterAddForward = {"scatter_add_forward", "scatter_add",
                                                "inout out: T[...,n], src: T[...,m], index: int64[...,m]",
                                                R"(out[..., index[..., j]] += src[..., j], for j = 0, 1, ... in this order

out    [..., n]  added to; any strides that name no element twice, no overlap with an input
src    [..., m]  any strides
index  [..., m]  in [0, n), anything else is an IndexError before anything is written; any strides, 0 where all rows share it

Another dimension than the last is a view with that dimension last. An element's terms are added in the order of j whatever the
number of threads.)",
                                                gather::check_scatter};

}  // namespace ww
