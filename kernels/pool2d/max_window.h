// What the max pooling kernels share: a call's geometry, one window by scalar code, and the two forms of an index.
#pragma once

#include <limits>

#include "kernels/pool2d/pool_common.h"

namespace ww::WW_ISA {
namespace {

struct MaxPool {
    PoolAxis h, w;
    int64_t n, c;

    MaxPool(const Call& call, const View& x, const View& y)
        : h(pool2d::axis(call, x, y, 0, 3)), w(pool2d::axis(call, x, y, 1, 3)), n(x.shape[0]), c(x.shape[1]) {}

    // Position of a tap in its input plane, for the window at (p, q).
    int64_t row(int64_t p, int64_t tap) const { return h.start(p) + tap / w.kernel * h.dilation; }
    int64_t column(int64_t q, int64_t tap) const { return w.start(q) + tap % w.kernel * w.dilation; }
    int64_t flat(int64_t p, int64_t q, int64_t tap) const { return tap < 0 ? -1 : row(p, tap) * w.in + column(q, tap); }
};

// The window of elements x[r * step_h + s * step_w]; -1 where it has no tap inside the input.
template <class T>
WW_INLINE int64_t max_window(const MaxPool& pool, int64_t p, int64_t q, const T* plane, int64_t stride_h, int64_t stride_w,
                             T& best) {
    int64_t r0 = pool.h.first_tap(p), r1 = pool.h.last_tap(p), s0 = pool.w.first_tap(q), s1 = pool.w.last_tap(q);
    best = -std::numeric_limits<T>::infinity();
    if (r0 >= r1 || s0 >= s1) return -1;
    int64_t tap = r0 * pool.w.kernel + s0;
    for (int64_t r = r0; r < r1; r++) {
        const T* line = plane + (pool.h.start(p) + r * pool.h.dilation) * stride_h;
        for (int64_t s = s0; s < s1; s++) {
            T value = line[(pool.w.start(q) + s * pool.w.dilation) * stride_w];
            if (value > best || value != value) best = value, tap = r * pool.w.kernel + s;
        }
    }
    return tap;
}

WW_INLINE void store_index(const View& indices, int64_t offset, const MaxPool& pool, int64_t p, int64_t q, int64_t tap) {
    if (indices.dtype == DType::uint8) indices.ptr<uint8_t>()[offset] = tap < 0 ? kNoTap : static_cast<uint8_t>(tap);
    else indices.ptr<int64_t>()[offset] = pool.flat(p, q, tap);
}

constexpr int64_t kNowhere = std::numeric_limits<int64_t>::min();

// Where the index at `offset` points: the element's offset in a plane of these strides, kNowhere where there is no tap.
WW_INLINE int64_t read_index(const View& indices, int64_t offset, const Call& call, const MaxPool& pool, int64_t p, int64_t q,
                             int64_t stride_h, int64_t stride_w) {
    if (indices.dtype == DType::uint8) {
        uint8_t tap = indices.ptr<uint8_t>()[offset];
        int64_t row = pool.row(p, tap), column = pool.column(q, tap);
        bool outside = row < 0 || row >= pool.h.in || column < 0 || column >= pool.w.in || tap >= pool.h.kernel * pool.w.kernel;
        return outside ? kNowhere : row * stride_h + column * stride_w;
    }
    int64_t index = indices.ptr<int64_t>()[offset];
    if (index == -1) return kNowhere;
    if (index < 0 || index >= pool.h.in * pool.w.in)
        fail<IndexError>("%s: expected indices in [-1, %lld) (input planes of %lld x %lld), got %lld at window (%lld, %lld)",
                         call.op, static_cast<long long>(pool.h.in * pool.w.in), static_cast<long long>(pool.h.in),
                         static_cast<long long>(pool.w.in), static_cast<long long>(index), static_cast<long long>(p),
                         static_cast<long long>(q));
    return index / pool.w.in * stride_h + index % pool.w.in * stride_w;
}

}  // namespace
}  // namespace ww::WW_ISA
