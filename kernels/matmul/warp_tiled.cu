// The third rung: tiles in shared memory, 8 x 4 outputs a thread in registers. The mainloop, and what bounds it, is in
// warp_tiled.cuh.
#include "kernels/matmul/warp_tiled.cuh"
#include "kernels/matmul/problem.cuh"

namespace ww::cuda {
namespace {

__global__ void __launch_bounds__(WarpTiledMainloop::threads) warp_tiled(MatmulProblem p, MatmulOperands<float> all) {
    multiply_tiles<WarpTiledMainloop>(p, all);
}

void run_warp_tiled(const Call& call) {
    const MatmulProblem p = read_matmul(call);
    if (p.outputs() > 0) launch<warp_tiled>(tile_launch<WarpTiledMainloop>(p), p, matmul_operands<float>(call));
}

constexpr Kernel kernels[] = {
    {&kMatmulForward, "warp_tiled", WW_DEVICE_NAME, dtype_bit(DType::float32), run_warp_tiled, 10},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
