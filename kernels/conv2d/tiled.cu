// The second rung for convolution: implicit GEMM over 16 x 16 tiles in shared memory (kernels/matmul/tiled.cuh), float32 and
// float64.
#include "kernels/conv2d/implicit_gemm.cuh"
#include "kernels/matmul/tiled.cuh"

namespace ww::cuda {
namespace {

constexpr Kernel kernels[] = {
    {&kConv2dForward, "tiled", WW_DEVICE_NAME, kFloats,
     by_float<gemm_forward<TiledMainloop<float>, float>, gemm_forward<TiledMainloop<double>, double>>, 5, fits_forward},
    {&kConv2dBackwardX, "tiled", WW_DEVICE_NAME, kFloats,
     by_float<gemm_backward_x<TiledMainloop<float>, float>, gemm_backward_x<TiledMainloop<double>, double>>, 5, fits_backward_x},
    {&kConv2dBackwardW, "tiled", WW_DEVICE_NAME, kFloats,
     by_float<launch_weights<TiledMainloop<float>, float>, launch_weights<TiledMainloop<double>, double>>, 5, fits_backward_w,
     bytes_by_float<weight_gemm_bytes<float>, weight_gemm_bytes<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
