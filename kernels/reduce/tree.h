// The one tree by which every reduction is computed, over any strides.
//
// The reduced elements of one output, numbered r = 0, 1, ..., n - 1, are cut into blocks of `block`. Within a block, element r goes
// to lane r mod `lanes`, each lane adds up in order, and the lanes are folded in halves. Blocks are then combined pairwise: (0, 1),
// (2, 3), ... and so on upwards (pairwise summation: Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 4.2).
// The tree is a function of n alone, so two ways of walking the memory give the same bits, and the faster one may be chosen:
//
//   rows     the reduced elements lie side by side: a vector holds neighbouring lanes of one output
//   columns  the kept elements lie side by side: a vector holds one lane of neighbouring outputs, and that lane's elements, every
//            `lanes`-th row of the block, are added up in a register
//
// Threads share outputs and, of long reductions, whole subtrees of a power of two blocks, whose results wait in the workspace.
// Bound by bytes.
#pragma once

#include <algorithm>

#include "engine/parallel.h"
#include "engine/registry.h"
#include "engine/simd.h"

namespace ww::WW_ISA {

template <class T>
struct Tree {
    static constexpr int width = Vec<T>::width;
    static constexpr int64_t lanes = 2 * width;
    static constexpr int64_t block = 32 * lanes;
    static constexpr int64_t row_subtree = 64 * block;                          // elements of one task, rows
    static constexpr int64_t column_subtree = 4 * block;                        // rows of one task, columns
    static constexpr int64_t columns = 4096 / static_cast<int64_t>(sizeof(T));  // of one task: pages and prefetchers want long rows
};

constexpr int kSubtreeLevels = 8, kTreeLevels = 48;  // of pairs, within a task and over all tasks
constexpr int64_t kJoined = 128;                     // outputs whose subtrees are joined at a time

// x seen as [kept..., reduced...], dimension 0 innermost in each group, size 1 left out, neighbours merged where strides allow.
struct ReducePlan {
    int kept = 0, reduced = 0;
    int64_t kept_shape[kMaxDims], kept_strides[kMaxDims], y_strides[kMaxDims];
    int64_t shape[kMaxDims], strides[kMaxDims];
    int64_t outputs = 1, n = 1;
    int64_t x_start = 0, y_start = 0;  // of the first output, where a kept dimension is walked backwards

    // c_order: reduced dimensions as they stand, for reductions that return a place; else by strides, largest outermost.
    ReducePlan(const View& y, const View& x, bool c_order);
    bool by_columns(int64_t lanes) const;
};

// Where an output's elements begin in x, and where it stands in y.
struct KeptPosition {
    int64_t x, y;
    KeptPosition(const ReducePlan& plan, int64_t output) : x(plan.x_start), y(plan.y_start) {
        for (int d = 0; d < plan.kept; d++) {
            x += output % plan.kept_shape[d] * plan.kept_strides[d];
            y += output % plan.kept_shape[d] * plan.y_strides[d];
            output /= plan.kept_shape[d];
        }
    }
};

// The place of reduced element r, stepped on by runs of the innermost dimension.
struct ReducedPosition {
    const ReducePlan& plan;
    int64_t at[kMaxDims], offset = 0;

    ReducedPosition(const ReducePlan& p, int64_t r) : plan(p) {
        for (int d = 0; d < plan.reduced; d++) {
            at[d] = r % plan.shape[d];
            r /= plan.shape[d];
            offset += at[d] * plan.strides[d];
        }
    }
    int64_t left_in_run() const { return plan.shape[0] - at[0]; }
    void advance(int64_t count) {  // count <= left_in_run()
        at[0] += count;
        offset += count * plan.strides[0];
        for (int d = 0; at[d] == plan.shape[d] && d + 1 < plan.reduced; d++) {
            at[d] = 0;
            offset += plan.strides[d + 1] - plan.shape[d] * plan.strides[d];
            at[d + 1]++;
        }
    }
};

// Rows of neighbouring outputs: x[offsets[i * Tree<T>::lanes] + c * stride] for i < count.
template <class T>
struct Rows {
    const T* x;
    const int64_t* offsets;
    int64_t count, stride;
};

// What a reduction consists of, over `used` neighbouring values at a time; arrays have room for whole vectors.
template <class T>
struct Reduction {
    T identity;                              // changes nothing when combined
    bool reads_y;                            // map and finish use what y holds before the pass (the mean, the maximum)
    T (*block)(const T* x, int64_t n, T p);  // of n <= Tree<T>::block elements
    void (*lane)(T* result, const Rows<T>& rows, const T* p, int64_t used);  // of rows, for neighbouring outputs
    void (*combine)(T* into, const T* from, int64_t used);
    void (*finish)(T* values, const T* p, int64_t used, double attribute);  // to what is written to y
    double attribute = 0;
};

// Combines the results of blocks 0, 1, 2, ... pairwise as they arrive, like carries of a binary counter.
template <class T, int64_t count, int levels>
class PairStack {
  public:
    explicit PairStack(const Reduction<T>& op) : op_(op) {}
    void push(const T* values, int64_t used) {
        std::copy_n(values, used, stack_[depth_]);
        for (uint64_t blocks = pushed_++; blocks & 1; blocks >>= 1, depth_--) op_.combine(stack_[depth_ - 1], stack_[depth_], used);
        depth_++;
    }
    T* finish(int64_t used) {  // after one push or more
        for (; depth_ > 1; depth_--) op_.combine(stack_[depth_ - 2], stack_[depth_ - 1], used);
        return stack_[0];
    }

  private:
    alignas(64) T stack_[levels][count];
    const Reduction<T>& op_;
    int depth_ = 0;
    uint64_t pushed_ = 0;
};

// y = op over x along the plan's reduced dimensions. `partials`: reduce_workspace(plan) values.
template <class T>
void reduce_pass(const Reduction<T>& op, const ReducePlan& plan, const T* x, T* y, T* partials);
template <class T>
int64_t reduce_workspace(const ReducePlan& plan);

}  // namespace ww::WW_ISA
