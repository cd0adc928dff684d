// The second rung: tiles of x and w go through shared memory. The mainloop, and what bounds it, is in tiled.cuh.
#include "kernels/matmul/tiled.cuh"
#include "kernels/matmul/problem.cuh"

namespace ww::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(TiledMainloop<T>::threads) tiled(MatmulProblem p, MatmulOperands<T> all) {
    multiply_tiles<TiledMainloop<T>>(p, all);
}

template <class T>
void run_tiled(const Call& call) {
    const MatmulProblem p = read_matmul(call);
    if (p.outputs() > 0) launch<tiled<T>>(tile_launch<TiledMainloop<T>>(p), p, matmul_operands<T>(call));
}

constexpr Kernel kernels[] = {
    {&kMatmulForward, "tiled", WW_DEVICE_NAME, kFloats, by_float<run_tiled<float>, run_tiled<double>>, 5},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
