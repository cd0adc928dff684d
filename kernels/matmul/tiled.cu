// The second rung: tiles of x and w go through shared memory, so that each element is read from global memory once for a tile of
// the output, not once for each of its elements (CUDA C++ programming guide, "Shared Memory").
//
//   tile          16 x 16 outputs, one a thread, and 16 of k at a time
//   shared bytes  2 x 16 x 17 elements: 2176 in float32. The odd row length keeps columns out of each other's banks
// Bound by shared memory: two loads for each multiply-add.
#include "kernels/matmul/problem.cuh"

namespace ww::cuda {
namespace {

constexpr int kTile = 16, kRow = kTile + 1, kThreads = kTile * kTile;

template <class T>
__global__ void __launch_bounds__(kThreads) tiled(MatmulProblem p, MatmulOperands<T> all) {
    SharedMemory shared;
    T* as = shared.take<T>(kTile * kRow);  // [row][l]
    T* bs = shared.take<T>(kTile * kRow);  // [l][column]
    const int x = static_cast<int>(threadIdx.x) % kTile, y = static_cast<int>(threadIdx.x) / kTile;
    const TileOrigin origin(p, kTile, kTile);
    for (int64_t product = blockIdx.y; product < p.batch; product += gridDim.y) {
        MatmulOperands<T> o = all.at(p, product);
        T sum = 0;
        for (int64_t l0 = 0; l0 < p.k; l0 += kTile) {
            // Neighbouring threads read along whichever dimension is contiguous.
            int row = p.a_row == 1 ? x : y, l = p.a_row == 1 ? y : x;
            as[row * kRow + l] =
                origin.row + row < p.m && l0 + l < p.k ? o.a[(origin.row + row) * p.a_row + (l0 + l) * p.a_k] : T(0);
            int column = p.b_k == 1 ? y : x;
            l = p.b_k == 1 ? x : y;
            bs[l * kRow + column] =
                l0 + l < p.k && origin.column + column < p.n ? o.b[(l0 + l) * p.b_k + (origin.column + column) * p.b_column] : T(0);
            __syncthreads();
            for (int i = 0; i < kTile; i++) sum = accumulate(as[y * kRow + i], bs[i * kRow + x], sum);
            __syncthreads();
        }
        if (origin.row + y < p.m && origin.column + x < p.n) finish(p, o, origin.row + y, origin.column + x, sum);
    }
}

template <class T>
void run_tiled(const Call& call) {
    MatmulProblem p = read_matmul(call);
    if (p.outputs() == 0) return;
    constexpr size_t bytes = SharedSize().take<T>(kTile * kRow).template take<T>(kTile * kRow).bytes;
    launch<tiled<T>>({tile_grid(p, kTile, kTile), kThreads, bytes}, p, matmul_operands<T>(call));
}

constexpr Kernel kernels[] = {
    {&kMatmulForward, "tiled", WW_DEVICE_NAME, kFloats, by_float<run_tiled<float>, run_tiled<double>>, 5},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
