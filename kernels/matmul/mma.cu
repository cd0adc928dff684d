// The fourth rung: tensor cores. bfloat16 and float16 operands with float32 sums ("mma"), and float32 operands rounded to tf32, 10
// bits of fraction ("mma_tf32"), which nobody gets without asking. The mainloop is kernels/matmul/mma_mainloop.cuh.
//
//   block         64 x 64 outputs, 4 warps of 32 x 32; 128 x 128 and 8 warps of 64 x 32 where both operands come in 16-byte runs
//                 and the output is large enough to fill a GPU with such blocks
//   k             32 elements at a time (tf32: 16), 3 stages
//   shared bytes  24576, or 49152
// An operand is read in runs of 16 bytes along k, or along its other dimension (16-bit types), where strides and alignment allow,
// else element by element: every transposition and any stride works. Bound by arithmetic, or by bytes when m or n is small.
#include "kernels/matmul/mma_mainloop.cuh"
#include "kernels/matmul/problem.cuh"

namespace ww::cuda {
namespace {

template <class T, class Tile, Access a_access, Access b_access>
__global__ void __launch_bounds__(Tile::threads) mma_product(MatmulProblem p, MatmulOperands<T> all) {
    multiply_tiles<MmaMainloop<T, Tile, a_access, b_access>>(p, all);
}

// How an operand may be read: its steps along k and along rows, and where it and each matrix of the batch begin.
template <class T>
Access access_of(const T* data, int64_t k_step, int64_t row_step, const MatmulProblem& p, const int64_t* batch_steps) {
    constexpr int64_t run = kChunk / static_cast<int64_t>(sizeof(T));
    bool aligned = reinterpret_cast<uintptr_t>(data) % kChunk == 0;
    for (int d = 0; d < p.batch_dims; d++) aligned &= batch_steps[d] % run == 0;
    if (aligned && k_step == 1 && row_step % run == 0) return Access::k_vector;
    if (aligned && sizeof(T) == 2 && row_step == 1 && k_step % run == 0) return Access::row_vector;
    return Access::scalar;
}

template <class T, class Tile, Access a_access, Access b_access>
void launch_tile(const MatmulProblem& p, const MatmulOperands<T>& o) {
    launch<mma_product<T, Tile, a_access, b_access>>(tile_launch<MmaMainloop<T, Tile, a_access, b_access>>(p), p, o);
}

using SmallTile = MmaTile<64, 64, 32, 32>;
using LargeTile = MmaTile<128, 128, 64, 32>;
constexpr int64_t kLargeOutputs = 128 * 128 * 64;  // from which large tiles are taken: a guess that no GPU has measured

template <class T, Access a_access, Access b_access>
void launch_access(const MatmulProblem& p, const MatmulOperands<T>& o) {
    if constexpr (a_access != Access::scalar && b_access != Access::scalar)
        if (p.outputs() >= kLargeOutputs) return launch_tile<T, LargeTile, a_access, b_access>(p, o);
    launch_tile<T, SmallTile, a_access, b_access>(p, o);
}

template <class T, Access a_access>
void launch_right(const MatmulProblem& p, const MatmulOperands<T>& o) {
    switch (access_of(o.b, p.b_k, p.b_column, p, p.batch_b)) {
        case Access::k_vector: return launch_access<T, a_access, Access::k_vector>(p, o);
        case Access::row_vector:
            if constexpr (sizeof(T) == 2) return launch_access<T, a_access, Access::row_vector>(p, o);
            break;
        case Access::scalar: break;
    }
    launch_access<T, a_access, Access::scalar>(p, o);
}

template <class T>
void run_mma(const Call& call) {
    MatmulProblem p = read_matmul(call);
    MatmulOperands<T> o = matmul_operands<T>(call);
    if (p.outputs() == 0) return;
    switch (access_of(o.a, p.a_k, p.a_row, p, p.batch_a)) {
        case Access::k_vector: return launch_right<T, Access::k_vector>(p, o);
        case Access::row_vector:
            if constexpr (sizeof(T) == 2) return launch_right<T, Access::row_vector>(p, o);
            break;
        case Access::scalar: break;
    }
    launch_right<T, Access::scalar>(p, o);
}

void run_mma_16(const Call& call) { call.dtype == DType::bfloat16 ? run_mma<bfloat16>(call) : run_mma<half>(call); }

constexpr Kernel kernels[] = {
    {&kMatmulForward, "mma", WW_DEVICE_NAME, dtype_bit(DType::bfloat16) | dtype_bit(DType::float16), run_mma_16, 20},
    {&kMatmulForward, "mma_tf32", WW_DEVICE_NAME, dtype_bit(DType::float32), run_mma<float>, 0, nullptr, nullptr,
     Determinism::bitwise, "tf32"},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
