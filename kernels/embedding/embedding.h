// Rows of a table by their index. (The gradient, sums into the rows that an index names, is kernels/gather's.)
#pragma once

#include "engine/registry.h"
#include "kernels/common/view_rows.h"

namespace ww {

namespace embedding {

inline void check([[maybe_unused]] const Call& call) {
#if !defined(__CUDACC__)  // on a GPU the index is not in this memory: ops/embedding.py has checked it
    const View &index = call.view(1), &weight = call.view(2);
    int64_t rows = weight.shape[0];
    for (int64_t i = 0; i < index.size(); i++) {
        int64_t row = index.ptr<int64_t>()[row_offset(index, index.ndim, i)];
        if (row < 0 || row >= rows)
            fail<IndexError>("%s: expected index in [0, %lld) (weight.shape[0]), got %lld at position %lld", call.op,
                             static_cast<long long>(rows), static_cast<long long>(row), static_cast<long long>(i));
    }
#endif
}

}  // namespace embedding

inline constexpr Contract kEmbeddingForward = {"embedding_forward", "embedding",
                                               "out y: T[...,D], index: int64[...], weight: T[V,D]; skip: int=-1",
                                               R"(y[..., :] = weight[index[...], :], or zeros where index is `skip`

y       [..., D]  overwritten; any strides, no overlap with an input
index   [...]     in [0, V), anything else is an IndexError before anything is read; any strides
weight  [V, D]    any strides

Bengio et al. 2003, section 2: the matrix C.)",
                                               embedding::check};

}  // namespace ww
