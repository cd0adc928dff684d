// y[..., :] = weight[index[...], :]: one thread an element, neighbours along the row. Bound by bytes.
#include <algorithm>

#include "kernels/common/view_element.cuh"
#include "kernels/embedding/embedding.h"

namespace ww::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) look_up(View y, View index, View weight, int64_t indices, int64_t skip) {
    const int64_t size = weight.shape[1], step = int64_t{gridDim.x} * kThreads;
    for (int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x; at < indices * size; at += step) {
        const int64_t i = at / size, d = at % size;
        const int64_t row = static_cast<const int64_t*>(index.data)[offset_of_row(index, index.ndim, i)];
        T& out = static_cast<T*>(y.data)[offset_of_row(y, y.ndim - 1, i) + d * y.strides[y.ndim - 1]];
        out = row == skip ? T(0) : element<T>(weight, row, d);
    }
}

template <class T>
void rows(const Call& call) {
    const View &y = call.view(0), &index = call.view(1), &weight = call.view(2);
    const int64_t size = y.size();
    if (size == 0) return;
    const auto blocks = static_cast<unsigned>(std::min<int64_t>(ceil_div(size, kThreads), 65536));
    launch<look_up<T>>({blocks, kThreads}, y, index, weight, index.size(), call.integer(0));
}

constexpr Kernel kernels[] = {{&kEmbeddingForward, "rows", WW_DEVICE_NAME, kFloats, by_float<rows<float>, rows<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
