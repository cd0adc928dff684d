// bfloat16, and what both 16-bit types are registered as: mma.cuh.
#include "kernels/conv2d/mma.cuh"

namespace ww::cuda {

extern template void mma_forward<half>(const Call&);  // mma_half.cu
extern template void mma_backward_x<half>(const Call&);
extern template void mma_backward_w<half>(const Call&);

namespace {

template <void (*of_bfloat16)(const Call&), void (*of_half)(const Call&)>
void either(const Call& call) {
    call.dtype == DType::bfloat16 ? of_bfloat16(call) : of_half(call);
}

constexpr Kernel short_floats(const Contract& contract, void (*fn)(const Call&), bool (*accepts)(const Call&),
                              size_t (*bytes)(const Call&) = nullptr) {
    return {&contract, "mma", WW_DEVICE_NAME, dtype_bit(DType::bfloat16) | dtype_bit(DType::float16), fn, 20, accepts, bytes};
}
constexpr Kernel kernels[] = {
    short_floats(kConv2dForward, either<mma_forward<bfloat16>, mma_forward<half>>, fits_forward),
    short_floats(kConv2dBackwardX, either<mma_backward_x<bfloat16>, mma_backward_x<half>>, fits_backward_x),
    short_floats(kConv2dBackwardW, either<mma_backward_w<bfloat16>, mma_backward_w<half>>, fits_backward_w,
                 weight_gemm_bytes<half>),
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
