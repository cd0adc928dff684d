// The third rung for convolution, and what float32 runs: implicit GEMM with 8 x 4 outputs a thread in registers
// (kernels/matmul/warp_tiled.cuh).
#include "kernels/conv2d/implicit_gemm.cuh"
#include "kernels/matmul/warp_tiled.cuh"

namespace ww::cuda {
namespace {

constexpr uint32_t kFloat32 = dtype_bit(DType::float32);
constexpr Kernel kernels[] = {
    {&kConv2dForward, "warp_tiled", WW_DEVICE_NAME, kFloat32, gemm_forward<WarpTiledMainloop, float>, 10, fits_forward},
    {&kConv2dBackwardX, "warp_tiled", WW_DEVICE_NAME, kFloat32, gemm_backward_x<WarpTiledMainloop, float>, 10, fits_backward_x},
    {&kConv2dBackwardW, "warp_tiled", WW_DEVICE_NAME, kFloat32, launch_weights<WarpTiledMainloop, float>, 10, fits_backward_w,
     weight_gemm_bytes<float>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
