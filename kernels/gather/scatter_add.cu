// out[..., index[..., j]] += src[..., j] without atomics, so that an element's terms are added in the order of j: each place
// belongs to one thread, which reads all indices of its row and adds the terms of its own places.
//
// A block has 256 threads: 8 rows, each of 32 threads that own every 32nd place. Bound by the reading of the indices, which a warp
// does as one.
#include <algorithm>

#include "kernels/common/view_element.cuh"
#include "kernels/gather/gather.h"

namespace ww::cuda {
namespace {

constexpr int kThreads = 256, kOwners = 32, kRows = kThreads / kOwners;

template <class T>
__global__ void __launch_bounds__(kThreads) add_owned(View out, View src, View index, int64_t rows) {
    const int last = out.ndim - 1;
    const auto owner = static_cast<int64_t>(threadIdx.x % kOwners);
    const int64_t step = int64_t{gridDim.x} * kRows;
    for (int64_t row = int64_t{blockIdx.x} * kRows + threadIdx.x / kOwners; row < rows; row += step) {
        T* to = static_cast<T*>(out.data) + offset_of_row(out, last, row);
        const T* from = static_cast<const T*>(src.data) + offset_of_row(src, last, row);
        const int64_t* places = static_cast<const int64_t*>(index.data) + offset_of_row(index, last, row);
        for (int64_t j = 0; j < src.shape[last]; j++) {
            const int64_t place = places[j * index.strides[last]];
            if (place % kOwners == owner) to[place * out.strides[last]] += from[j * src.strides[last]];
        }
    }
}

template <class T>
void owned(const Call& call) {
    const View &out = call.view(0), &src = call.view(1);
    if (src.size() == 0) return;
    const int64_t rows = row_count(src, src.ndim - 1);
    const auto blocks = static_cast<unsigned>(std::min<int64_t>(ceil_div(rows, kRows), 65536));
    launch<add_owned<T>>({blocks, kThreads}, out, src, call.view(2), rows);
}

constexpr Kernel kernels[] = {{&kScatterAddForward, "owned", WW_DEVICE_NAME, kFloats, by_float<owned<float>, owned<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
