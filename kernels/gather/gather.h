// Sums into places that an index names: the gradient of a gather. (Gathering itself is one NumPy call and has no kernel.)
#pragma once

#include "engine/registry.h"
#include "kernels/common/view_rows.h"

namespace ww {

namespace scatter_add {

inline void check([[maybe_unused]] const Call& call) {
#if !defined(__CUDACC__)  // on a GPU the index is not in this memory: ops/gather.py and ops/embedding.py have checked it
    const View& out = call.view(0);
    View index = call.view(2);
    if (index.size() == 0) return;
    int last = index.ndim - 1;
    for (int d = 0; d < last && index.strides[d] == 0; d++) index.shape[d] = 1;  // rows that are one row
    int64_t n = out.shape[out.ndim - 1], m = index.shape[last];
    for (int64_t row = 0; row < row_count(index, last); row++) {
        const int64_t* at = index.ptr<int64_t>() + row_offset(index, last, row);
        for (int64_t j = 0; j < m; j++) {
            int64_t place = at[j * index.strides[last]];
            if (place < 0 || place >= n)
                fail<IndexError>("%s: expected index in [0, %lld), got %lld at position %lld", call.op, static_cast<long long>(n),
                                 static_cast<long long>(place), static_cast<long long>(row * m + j));
        }
    }
#endif
}

}  // namespace scatter_add

inline constexpr Contract kScatterAddForward = {"scatter_add_forward", "scatter_add",
                                                "inout out: T[...,n], src: T[...,m], index: int64[...,m]",
                                                R"(out[..., index[..., j]] += src[..., j], for j = 0, 1, ... in this order

out    [..., n]  added to; any strides that name no element twice, no overlap with an input
src    [..., m]  any strides
index  [..., m]  in [0, n), anything else is an IndexError before anything is written; any strides, 0 where all rows share it

Another dimension than the last is a view with that dimension last. An element's terms are added in the order of j whatever the
number of threads.)",
                                                scatter_add::check};

}  // namespace ww
