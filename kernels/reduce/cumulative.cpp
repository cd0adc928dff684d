// Running sums along one dimension. Lines are walked side by side where they are neighbours in memory, one by one elsewhere; in
// both ways each line is added up from its first element to its last in float64. Bound by the latency of an addition along a
// single line, by bytes side by side.
#include <algorithm>

#include "engine/parallel.h"
#include "engine/simd.h"
#include "kernels/reduce/reduce.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kLines = 64;

template <class T>
void cumulative_sum(const Call& call) {
    const View &y = call.view(0), &x = call.view(1);
    int axis = static_cast<int>(call.integer(0)), last = x.ndim - 1 == axis ? axis - 1 : x.ndim - 1;
    int64_t n = x.shape[axis], row = last < 0 ? 1 : x.shape[last], lines = n ? x.size() / n : 0;
    if (lines == 0) return;
    int64_t chunks = (row + kLines - 1) / kLines;
    int64_t sx = last < 0 ? 0 : x.strides[last], sy = last < 0 ? 0 : y.strides[last];
    parallel_for(lines / row * chunks, 1 + 8192 / (n * std::min(row, kLines)), [&](int64_t begin, int64_t end) {
        for (int64_t index = begin; index < end; index++) {
            int64_t first = index % chunks * kLines, used = std::min(kLines, row - first), rest = index / chunks;
            const T* from = x.ptr<T>() + first * sx;
            T* to = y.ptr<T>() + first * sy;
            for (int d = x.ndim - 1; d >= 0; d--) {
                if (d == axis || d == last) continue;
                int64_t at = rest % x.shape[d];
                rest /= x.shape[d];
                from += at * x.strides[d], to += at * y.strides[d];
            }
            double sums[kLines] = {};
            for (int64_t i = 0; i < n; i++, from += x.strides[axis], to += y.strides[axis])
                for (int64_t c = 0; c < used; c++) to[c * sy] = static_cast<T>(sums[c] += static_cast<double>(from[c * sx]));
        }
    });
}

constexpr Kernel kernels[] = {
    {&kCumulativeSumForward, "lines", WW_ISA_NAME, kFloats, by_float<cumulative_sum<float>, cumulative_sum<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
