// What the mean pooling kernels share: where the windows lie, for strided windows and for adaptive ones.
#pragma once

#include "kernels/pool2d/pool_common.h"

namespace ww::WW_ISA {
namespace {

// Window p covers [begin(p), end(p)) of the input; it counts as `extent(p)` elements long in the divisor. Windows
// [first_window(h), last_window(h)) cover position h.
struct AvgAxis {
    PoolAxis axis;
    bool adaptive, padding_counts;

    int64_t begin(int64_t p) const { return adaptive ? p * axis.in / axis.out : std::max<int64_t>(0, axis.start(p)); }
    int64_t end(int64_t p) const {
        return adaptive ? ((p + 1) * axis.in + axis.out - 1) / axis.out : std::min(axis.in, axis.start(p) + axis.kernel);
    }
    int64_t extent(int64_t p) const {
        return padding_counts ? std::min(axis.kernel, axis.in + axis.padding - axis.start(p)) : end(p) - begin(p);
    }
    int64_t first_window(int64_t h) const { return adaptive ? h * axis.out / axis.in : axis.first_window(h); }
    int64_t last_window(int64_t h) const { return adaptive ? ((h + 1) * axis.out + axis.in - 1) / axis.in : axis.last_window(h); }
};

struct AvgPool {
    AvgAxis h, w;
    int64_t n, c, divisor_override = 0;

    // A contract without attributes is the adaptive one.
    AvgPool(const Call& call, const View& x, const View& y, bool adaptive) : n(x.shape[0]), c(x.shape[1]) {
        for (int d = 0; d < 2; d++) {
            AvgAxis& axis = d ? w : h;
            axis = {{x.shape[2 + d], y.shape[2 + d], 0, 0, 0, 1}, adaptive, false};
            if (!adaptive) axis = {pool2d::axis(call, x, y, d, -1), false, call.flag(4)};
        }
        if (!adaptive) divisor_override = call.integer(5);
    }
    template <class T>
    T divisor(int64_t p, int64_t q) const {
        return static_cast<T>(divisor_override ? divisor_override : h.extent(p) * w.extent(q));
    }
};

}  // namespace
}  // namespace ww::WW_ISA
