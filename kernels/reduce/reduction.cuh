// The one scheme by which reductions run on CUDA, over any strides.
//
// The reduced elements of an output, r = 0, 1, ..., n - 1, go to a group of threads whose size depends on n alone, so that an
// output has the same bits whatever stands beside it: one thread up to 32 elements, a warp up to 1024, else a block of 256. The
// elements are cut into segments of 16 for each thread; thread t adds up r = t, t + group, ... of a segment in order, the group's
// partial results are combined pairwise by shuffles, and the segments' pairwise like carries of a binary counter (pairwise
// summation: Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 4.2). Bound by bytes where reduced elements lie
// side by side; one block an output is the most that a long reduction gets.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <type_traits>

#include "engine/cuda/device.cuh"
#include "engine/cuda/ptx/storage.cuh"
#include "kernels/reduce/reduce.h"

namespace ww::cuda {

constexpr int kReduceThreads = 256, kPerThread = 16, kSegmentLevels = 48;
constexpr int64_t kThreadLongest = 32, kWarpLongest = 1024;

// How many threads share a reduction of n elements.
inline int reduction_group(int64_t n) { return n <= kThreadLongest ? 1 : n <= kWarpLongest ? 32 : kReduceThreads; }

// Dimension 0 is the innermost of each group; strides are in elements.
struct ReductionPlan {
    int kept = 0, reduced = 0;
    int64_t kept_shape[kMaxDims], kept_x[kMaxDims], kept_y[kMaxDims], shape[kMaxDims], strides[kMaxDims];
    int64_t outputs = 1, n = 1;

    // c_order: reduced dimensions as they stand, for reductions that return a place; else in the order of memory.
    ReductionPlan(const View& y, const View& x, bool c_order) {
        int order[kMaxDims];
        for (int i = 0; i < x.ndim; i++) order[i] = x.ndim - 1 - i;
        if (!c_order)
            std::stable_sort(order, order + x.ndim,
                             [&](int a, int b) { return std::llabs(x.strides[a]) < std::llabs(x.strides[b]); });
        for (int i = 0; i < x.ndim; i++) {
            const int d = order[i];
            if (x.shape[d] == 1) continue;
            if (y.shape[d] == x.shape[d]) {
                kept_shape[kept] = x.shape[d], kept_x[kept] = x.strides[d], kept_y[kept] = y.strides[d];
                outputs *= x.shape[d];
                kept++;
            } else {
                n *= x.shape[d];
                if (reduced && x.strides[d] == strides[reduced - 1] * shape[reduced - 1]) {
                    shape[reduced - 1] *= x.shape[d];
                } else {
                    shape[reduced] = x.shape[d], strides[reduced] = x.strides[d];
                    reduced++;
                }
            }
        }
        if (y.size() == 0) outputs = 0;
    }

    WW_DEVICE int64_t element(int64_t r) const {
        int64_t offset = 0;
        for (int d = 0; d < reduced; d++) {
            offset += (d + 1 < reduced ? r % shape[d] : r) * strides[d];
            r /= shape[d];
        }
        return offset;
    }
    WW_DEVICE void output(int64_t index, int64_t& x, int64_t& y) const {
        x = y = 0;
        for (int d = 0; d < kept; d++) {
            const int64_t at = index % kept_shape[d];
            index /= kept_shape[d];
            x += at * kept_x[d], y += at * kept_y[d];
        }
    }
    int group() const { return reduction_group(n); }
};

// What most reductions combine.
template <class T>
struct Value {
    T v;
    WW_DEVICE Value shuffled(int by) const { return {__shfl_xor_sync(kFullMask, v, by)}; }
};
template <class T>
struct Add {
    WW_DEVICE Value<T> operator()(Value<T> a, Value<T> b) const { return {a.v + b.v}; }
};

// One lane's value combined with those of all others of its group; every thread gets the result. `scratch` has room for a value of
// each warp of the block. All threads of the block call, together.
template <int group, class V, class Combine>
WW_DEVICE V combine_group(V value, V* scratch, const Combine& combine) {
    if constexpr (group > 1) {
#pragma unroll
        for (int by = 1; by < 32; by *= 2) value = combine(value, value.shuffled(by));
    }
    if constexpr (group > 32) {
        const int warp = static_cast<int>(threadIdx.x / 32);
        __syncthreads();  // the last round's results have been read
        if (threadIdx.x % 32 == 0) scratch[warp] = value;
        __syncthreads();
        V pairs[group / 32];
#pragma unroll
        for (int i = 0; i < group / 32; i++) pairs[i] = scratch[i];
#pragma unroll
        for (int width = group / 64; width; width /= 2)
#pragma unroll
            for (int i = 0; i < width; i++) pairs[i] = combine(pairs[2 * i], pairs[2 * i + 1]);
        value = pairs[0];
    }
    return value;
}

// The reduction of element(0), ..., element(n - 1), which begin(r) reads, by a group; the result in every thread of it.
template <int group, class V, class Read, class Combine>
WW_DEVICE V reduce_group(int64_t n, V identity, V* scratch, const Read& read, const Combine& combine) {
    const int thread = group == 1 ? 0 : static_cast<int>(threadIdx.x) % group;
    constexpr int64_t segment = int64_t{group} * (group == 1 ? kThreadLongest : group == 32 ? kWarpLongest / 32 : kPerThread);
    V stack[kSegmentLevels];
    int depth = 0;
    uint64_t pushed = 0;
    for (int64_t first = 0; first < n || pushed == 0; first += segment) {
        V sum = identity;
        for (int64_t r = first + thread; r < n && r < first + segment; r += group) sum = combine(sum, read(r));
        stack[depth++] = combine_group<group>(sum, scratch, combine);
        for (uint64_t segments = pushed++; segments & 1; segments >>= 1, depth--)
            stack[depth - 2] = combine(stack[depth - 2], stack[depth - 1]);
    }
    for (; depth > 1; depth--) stack[depth - 2] = combine(stack[depth - 2], stack[depth - 1]);
    return stack[0];
}

template <int group>
constexpr int64_t groups_per_block() {
    return kReduceThreads / group;
}

// Calls body(output index, thread is the group's first) for each output; whole groups, whole warps.
template <int group, class Body>
WW_DEVICE void for_each_output(int64_t outputs, const Body& body) {
    const int64_t own = int64_t{blockIdx.x} * groups_per_block<group>() + threadIdx.x / group,
                  step = gridDim.x * groups_per_block<group>();
    const int64_t rounds = ceil_div(outputs, step);
    for (int64_t round = 0; round < rounds; round++) {
        const int64_t output = own + round * step;
        // Groups of a warp and more leave together; single threads take part in nothing that others wait for.
        if (output < outputs) body(output, threadIdx.x % group == 0);
    }
}

// run(integral constant of the group) for reductions of n elements.
template <class Run>
void with_group(int64_t n, const Run& run) {
    switch (reduction_group(n)) {
        case 1: return run(std::integral_constant<int, 1>());
        case 32: return run(std::integral_constant<int, 32>());
        default: return run(std::integral_constant<int, kReduceThreads>());
    }
}

inline LaunchConfig reduction_grid(int64_t outputs, int group, size_t value_bytes) {
    const int64_t blocks = ceil_div(outputs, kReduceThreads / group);
    return {static_cast<unsigned>(std::min<int64_t>(blocks, 65536)), kReduceThreads, kReduceThreads / 32 * value_bytes};
}
inline LaunchConfig reduction_grid(const ReductionPlan& plan, size_t value_bytes) {
    return reduction_grid(plan.outputs, plan.group(), value_bytes);
}

// y = sum of x over the dimensions where y has size 1: sum_forward as a part of other ops (reduce.cu).
template <class T>
void sum_elements(const View& y, const View& x);

}  // namespace ww::cuda
