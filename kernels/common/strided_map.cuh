// y[i] = f(x1[i], x2[i], ...) over any strides with NumPy's broadcasting: the one driver of the elementwise kernels on CUDA.
//
// One thread an element, in steps of the grid, in the order of the output's memory; dimensions that lie behind each other in all
// views are one. Bound by bytes where neighbouring threads touch neighbouring elements.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "engine/cuda/device.cuh"
#include "engine/registry.h"

namespace ww::cuda {

// Dimension 0 is the innermost; strides are in elements, 0 where broadcast. View 0 is the output.
template <int views>
struct MapPlan {
    int64_t size = 1;
    int dims = 0;
    int64_t shape[kMaxDims], strides[views][kMaxDims];

    // In the order of the memory of view 0, or in C order.
    explicit MapPlan(const View* const (&given)[views], bool c_order = false) {
        const View& y = *given[0];
        int order[kMaxDims];
        for (int i = 0; i < y.ndim; i++) order[i] = c_order ? y.ndim - 1 - i : i, size *= y.shape[i];
        if (!c_order)
            std::stable_sort(order, order + y.ndim,
                             [&](int a, int b) { return std::llabs(y.strides[a]) < std::llabs(y.strides[b]); });
        for (int i = 0; i < y.ndim; i++) {
            const int d = order[i];
            if (y.shape[d] == 1) continue;
            shape[dims] = y.shape[d];
            for (int v = 0; v < views; v++) {
                const View& view = *given[v];
                const int own = d - (y.ndim - view.ndim);
                strides[v][dims] = own >= 0 && view.shape[own] != 1 ? view.strides[own] : 0;
            }
            bool joins = dims > 0;
            for (int v = 0; joins && v < views; v++) joins = strides[v][dims] == strides[v][dims - 1] * shape[dims - 1];
            if (joins) shape[dims - 1] *= shape[dims];
            else dims++;
        }
    }

    // Where element `index` of the output's order lies in each view.
    WW_DEVICE void locate(int64_t index, int64_t (&offsets)[views]) const {
#pragma unroll
        for (int v = 0; v < views; v++) offsets[v] = 0;
        for (int d = 0; d < dims; d++) {
            const int64_t at = d + 1 < dims ? index % shape[d] : index;
            index /= shape[d];
#pragma unroll
            for (int v = 0; v < views; v++) offsets[v] += at * strides[v][d];
        }
    }
};

constexpr int kMapThreads = 256;

inline LaunchConfig map_grid(int64_t elements) {
    return {static_cast<unsigned>(std::min<int64_t>(ceil_div(elements, kMapThreads), 4096)), kMapThreads};
}

template <class F, size_t... input, class... Inputs>
WW_DEVICE auto apply_at(const F& f, const int64_t* at, std::index_sequence<input...>, const Inputs*... x) {
    return f(x[at[1 + input]]...);
}

template <class F, class T, class... Inputs>
__global__ void __launch_bounds__(kMapThreads) map_elements(MapPlan<1 + sizeof...(Inputs)> plan, F f, T* y, const Inputs*... x) {
    const int64_t step = int64_t{gridDim.x} * kMapThreads;
    for (int64_t i = int64_t{blockIdx.x} * kMapThreads + threadIdx.x; i < plan.size; i += step) {
        int64_t at[1 + sizeof...(Inputs)];
        plan.locate(i, at);
        y[at[0]] = apply_at(f, at, std::index_sequence_for<Inputs...>(), x...);
    }
}

template <class T, class... Inputs, class F, size_t... input>
void launch_map_views(const View* const (&views)[1 + sizeof...(Inputs)], const F& f, std::index_sequence<input...>) {
    MapPlan<1 + sizeof...(Inputs)> plan(views);
    if (plan.size == 0) return;
    launch<map_elements<F, T, Inputs...>>(map_grid(plan.size), plan, f, views[0]->template ptr<T>(),
                                          static_cast<const Inputs*>(views[1 + input]->data)...);
}

// y from inputs of the given types.
template <class T, class... Inputs, class F, class... Views>
void launch_map_over(const F& f, const View& y, const Views&... inputs) {
    launch_map_views<T, Inputs...>({&y, &inputs...}, f, std::index_sequence_for<Inputs...>());
}

template <class T, class... Inputs, class F, size_t... input>
void launch_map_call(const Call& call, const F& f, std::index_sequence<input...>) {
    launch_map_over<T, Inputs...>(f, call.view(0), call.view(1 + static_cast<int>(input))...);
}

// Inputs are views 1, 2, ... of the given types.
template <class T, class... Inputs, class F>
void launch_map(const Call& call, const F& f) {
    launch_map_call<T, Inputs...>(call, f, std::index_sequence_for<Inputs...>());
}

}  // namespace ww::cuda
