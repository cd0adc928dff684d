// Lists of tensors on CUDA: a launch for each tensor k of the lists, one thread an element of any strides, in the order of the
// memory of list 0.
#pragma once

#include "kernels/common/strided_map.cuh"
#include "kernels/optimizer/optimizer.h"

namespace ww::cuda {

constexpr int kMaxLists = 5;

template <class T>
struct ListPointers {
    T* data[kMaxLists];
};

// step(v) gets one element of each list whose bit is set in Step::lists and changes those in Step::written.
template <class T, class Step>
__global__ void __launch_bounds__(kMapThreads) step_elements(MapPlan<kMaxLists> plan, Step step, ListPointers<T> pointers) {
    const int64_t stride = int64_t{gridDim.x} * kMapThreads;
    for (int64_t i = int64_t{blockIdx.x} * kMapThreads + threadIdx.x; i < plan.size; i += stride) {
        int64_t at[kMaxLists];
        plan.locate(i, at);
        T v[kMaxLists];
#pragma unroll
        for (int list = 0; list < kMaxLists; list++)
            if (Step::lists >> list & 1) v[list] = pointers.data[list][at[list]];
        step(v);
#pragma unroll
        for (int list = 0; list < kMaxLists; list++)
            if (Step::written >> list & 1) pointers.data[list][at[list]] = v[list];
    }
}

template <class T, class Step>
void step_all(const Call& call, const Step& step) {
    for (int k = 0; k < call.count(0); k++) {
        const View* views[kMaxLists];
        ListPointers<T> pointers = {};
        for (int list = 0; list < kMaxLists; list++) {
            const bool used = Step::lists >> list & 1;
            views[list] = used ? &call.view(list, k) : &call.view(0, k);
            if (used) pointers.data[list] = views[list]->template ptr<T>();
        }
        const MapPlan<kMaxLists> plan(views);
        if (plan.size > 0) launch<step_elements<T, Step>>(map_grid(plan.size), plan, step, pointers);
    }
}

}  // namespace ww::cuda
