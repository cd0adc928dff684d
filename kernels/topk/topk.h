// The k largest or smallest elements of a row.
#pragma once

#include "engine/registry.h"
#include "kernels/common/view_rows.h"

namespace ww {

namespace topk {

inline void check(const Call& call) {
    const View &values = call.view(0), &x = call.view(2);
    if (values.shape[values.ndim - 1] > x.shape[x.ndim - 1])
        fail<ShapeError>("%s: expected k <= %lld (x.shape[-1]), got values.shape == %s", call.op,
                         static_cast<long long>(x.shape[x.ndim - 1]), values.shape_text().c_str());
}

}  // namespace topk

inline constexpr Contract kTopkForward = {
    "topk_forward", "topk", "out values: T[...,k], out indices: int64[...,k], x: T[...,n]; largest: bool=true",
    R"(values[..., i] = x[..., indices[..., i]]: the k largest elements of a row, the largest first (or the k smallest)

values   [..., k]  overwritten; any strides, no overlap
indices  [..., k]  overwritten; any strides, no overlap
x        [..., n]  k <= n; any strides: another dimension is a view with that dimension last

Of equal elements the lower index comes first; -0 equals 0. NaN counts as larger than any number, and equals NaN.)",
    topk::check};

}  // namespace ww
