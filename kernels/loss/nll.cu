// The negative log likelihood of classes on CUDA: a thread for each row, and backward one for each element of the gradient,
// neighbours along the row. Bound by bytes. A target that is no class (which the contract's check catches where the host can read
// it) gives NaN.
#include <algorithm>
#include <limits>

#include "kernels/common/view_element.cuh"
#include "kernels/loss/loss.h"

namespace ww::cuda {
namespace {

constexpr int kThreads = 256;

inline LaunchConfig grid_of(int64_t threads) {
    return {static_cast<unsigned>(std::min<int64_t>(ceil_div(threads, kThreads), 65536)), kThreads};
}

template <class T>
WW_DEVICE T weight_of(const View& weight, int64_t t) {
    return weight.ndim < 0 ? T(1) : static_cast<const T*>(weight.data)[t * weight.strides[0]];
}

template <class T>
__global__ void __launch_bounds__(kThreads) pick(View loss, View input, View target, View weight, int64_t rows, int64_t ignore) {
    const int dims = target.ndim;
    const int64_t step = int64_t{gridDim.x} * kThreads;
    for (int64_t row = int64_t{blockIdx.x} * kThreads + threadIdx.x; row < rows; row += step) {
        const int64_t t = static_cast<const int64_t*>(target.data)[offset_of_row(target, dims, row)];
        T value = 0;
        if (t != ignore && (t < 0 || t >= input.shape[dims])) value = std::numeric_limits<T>::quiet_NaN();
        else if (t != ignore)
            value = -(weight_of<T>(weight, t) *
                      static_cast<const T*>(input.data)[offset_of_row(input, dims, row) + t * input.strides[dims]]);
        static_cast<T*>(loss.data)[offset_of_row(loss, dims, row)] = value;
    }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    spread(View grads, View grad_loss, View target, View weight, int64_t elements, int64_t ignore) {
    const int dims = target.ndim;
    const int64_t step = int64_t{gridDim.x} * kThreads, classes = grads.shape[dims];
    for (int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x; at < elements; at += step) {
        const int64_t row = at / classes, c = at % classes;
        const int64_t t = static_cast<const int64_t*>(target.data)[offset_of_row(target, dims, row)];
        T value = 0;
        if (t != ignore && (t < 0 || t >= classes)) value = std::numeric_limits<T>::quiet_NaN();
        else if (t == c && t != ignore)
            value = -(weight_of<T>(weight, t) * static_cast<const T*>(grad_loss.data)[offset_of_row(grad_loss, dims, row)]);
        static_cast<T*>(grads.data)[offset_of_row(grads, dims, row) + c * grads.strides[dims]] = value;
    }
}

template <class T>
void forward(const Call& call) {
    const int64_t rows = call.view(2).size();
    if (rows) launch<pick<T>>(grid_of(rows), call.view(0), call.view(1), call.view(2), call.view(3), rows, call.integer(0));
}
template <class T>
void backward(const Call& call) {
    const int64_t elements = call.view(0).size();
    if (elements)
        launch<spread<T>>(grid_of(elements), call.view(0), call.view(1), call.view(2), call.view(3), elements, call.integer(0));
}

constexpr Kernel kernels[] = {
    {&kNllLossForward, "rows", WW_DEVICE_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kNllLossBackwardInput, "elements", WW_DEVICE_NAME, kFloats, by_float<backward<float>, backward<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
