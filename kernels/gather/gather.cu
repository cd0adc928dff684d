// out[..., j] = x[..., index[..., j]] on CUDA: one thread an element, neighbours along the row. Bound by bytes.
#include <algorithm>

#include "kernels/common/view_element.cuh"
#include "kernels/gather/gather.h"

namespace ww::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) read_places(View out, View x, View index, int64_t elements) {
    const int last = out.ndim - 1;
    const int64_t m = out.shape[last], step = int64_t{gridDim.x} * kThreads;
    for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < elements; i += step) {
        const int64_t row = i / m, j = i % m;
        const int64_t place = static_cast<const int64_t*>(index.data)[offset_of_row(index, last, row) + j * index.strides[last]];
        static_cast<T*>(out.data)[offset_of_row(out, last, row) + j * out.strides[last]] =
            static_cast<const T*>(x.data)[offset_of_row(x, last, row) + place * x.strides[last]];
    }
}

template <class T>
void elements(const Call& call) {
    const View& out = call.view(0);
    const int64_t size = out.size();
    if (size == 0) return;
    const auto blocks = static_cast<unsigned>(std::min<int64_t>(ceil_div(size, kThreads), 65536));
    launch<read_places<T>>({blocks, kThreads}, out, call.view(1), call.view(2), size);
}

constexpr Kernel kernels[] = {{&kGatherForward, "elements", WW_DEVICE_NAME, kFloats, by_float<elements<float>, elements<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
