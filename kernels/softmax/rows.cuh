// What softmax and cross-entropy on CUDA share: views as rows along their last dimension, each row a thread's, a warp's or a
// block's.
#pragma once

#include <initializer_list>
#include <limits>

#include "kernels/elementwise/formula.cuh"
#include "kernels/reduce/reduction.cuh"
#include "kernels/softmax/softmax.h"

namespace ww::cuda {

// The first `dims` dimensions of some views, counted in C order, name a row; view v's row has elements `step[v]` apart.
template <int views>
struct RowPlan {
    int dims;
    int64_t rows = 1, n = 1, shape[kMaxDims], steps[views][kMaxDims], step[views];

    // n is the length of the last view's rows; a view of `dims` dimensions has rows of one element.
    RowPlan(std::initializer_list<const View*> of, int dims_) : dims(dims_) {
        int v = 0;
        for (const View* view : of) {
            for (int d = 0; d < dims; d++) steps[v][d] = view->strides[d], shape[d] = view->shape[d];
            step[v] = view->ndim > dims ? view->strides[dims] : 0;
            if (view->ndim > dims) n = view->shape[dims];
            v++;
        }
        for (int d = 0; d < dims; d++) rows *= shape[d];
    }

    WW_DEVICE void locate(int64_t row, int64_t (&at)[views]) const {
#pragma unroll
        for (int v = 0; v < views; v++) at[v] = 0;
        for (int d = dims - 1; d >= 0; d--) {
            const int64_t i = row % shape[d];
            row /= shape[d];
#pragma unroll
            for (int v = 0; v < views; v++) at[v] += i * steps[v][d];
        }
    }
};

// The elements of its row that a thread reads in reduce_group, too.
template <int group, class Body>
WW_DEVICE void for_own_elements(int64_t n, const Body& body) {
    for (int64_t i = threadIdx.x % group; i < n; i += group) body(i);
}

template <class T>
struct Largest {
    WW_DEVICE Value<T> operator()(Value<T> a, Value<T> b) const { return {max_nan(a.v, b.v)}; }
};

template <int group, class T, class Read>
WW_DEVICE T row_maximum(int64_t n, Value<T>* scratch, const Read& read) {
    const Value<T> lowest = {-std::numeric_limits<T>::infinity()};
    return reduce_group<group>(n, lowest, scratch, [&](int64_t i) { return Value<T>{read(i)}; }, Largest<T>()).v;
}

// Calls start(group size, an integral constant; grid).
template <class T, class Plan, class Start>
void launch_rows(const Plan& plan, const Start& start) {
    with_group(plan.n, [&](auto group) { start(group, reduction_grid(plan.rows, group, sizeof(Value<T>))); });
}

}  // namespace ww::cuda
