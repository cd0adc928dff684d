// float32 operands rounded to tf32: mma.cuh.
#include "kernels/conv2d/mma.cuh"

namespace ww::cuda {
namespace {

constexpr Kernel tf32(const Contract& contract, void (*fn)(const Call&), bool (*accepts)(const Call&),
                      size_t (*bytes)(const Call&) = nullptr) {
    return {&contract, "mma_tf32", WW_DEVICE_NAME, dtype_bit(DType::float32), fn, 0, accepts, bytes, Determinism::bitwise, "tf32"};
}
constexpr Kernel kernels[] = {
    tf32(kConv2dForward, mma_forward<float>, fits_forward),
    tf32(kConv2dBackwardX, mma_backward_x<float>, fits_backward_x),
    tf32(kConv2dBackwardW, mma_backward_w<float>, fits_backward_w, weight_gemm_bytes<float>),
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
