// The third rung, the best that float32 has without tensor cores: each thread keeps 8 x 4 outputs in registers, so that 12 loads
// from shared memory serve 32 multiply-adds; the next tile is read from global memory while this one is multiplied (V. Volkov and
// J. W. Demmel, "Benchmarking GPUs to Tune Dense Linear Algebra", 2008, section 4).
//
//   block         64 x 64 outputs, 128 threads; a warp has 32 x 32 of them, a lane 8 x 4
//   k             16 at a time, two buffers
//   shared bytes  2 x 2 x 16 x 68 floats = 17408; rows are 4 floats longer than a tile, so that 16-byte loads stay aligned and the
//                 columns of neighbouring k start in different banks
// Bound by arithmetic. An output's sum runs over k from first to last, whatever m and n are.
#include "kernels/matmul/problem.cuh"

namespace ww::cuda {
namespace {

constexpr int kTile = 64, kDepth = 16, kThreads = 128, kRow = kTile + 4, kBuffer = kDepth * kRow;
constexpr int kLoads = kTile * kDepth / kThreads;  // elements of each operand that a thread brings

// Element e of a 64 x 16 tile: neighbours along k where that is contiguous, else along the tile's edge.
struct Place {
    int edge, l;
    WW_DEVICE Place(int e, bool k_contiguous) {
        edge = k_contiguous ? e / kDepth : e % kTile;
        l = k_contiguous ? e % kDepth : e / kTile;
    }
};

__global__ void __launch_bounds__(kThreads) warp_tiled(MatmulProblem p, MatmulOperands<float> all) {
    SharedMemory shared;
    float* as = shared.take<float, 16>(2 * kBuffer);  // [buffer][l][row]
    float* bs = shared.take<float, 16>(2 * kBuffer);  // [buffer][l][column]
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
    const int row0 = warp / 2 * 32 + lane / 8 * 8, column0 = warp % 2 * 32 + lane % 8 * 4;
    const TileOrigin origin(p, kTile, kTile);
    const bool a_by_k = p.a_k == 1, b_by_k = p.b_k == 1;
    for (int64_t product = blockIdx.y; product < p.batch; product += gridDim.y) {
        MatmulOperands<float> o = all.at(p, product);
        float a_next[kLoads], b_next[kLoads], sums[8][4] = {};
        auto load = [&](int64_t l0) {
#pragma unroll
            for (int i = 0; i < kLoads; i++) {
                Place a(thread + i * kThreads, a_by_k), b(thread + i * kThreads, b_by_k);
                int64_t row = origin.row + a.edge, column = origin.column + b.edge;
                a_next[i] = row < p.m && l0 + a.l < p.k ? __ldg(o.a + row * p.a_row + (l0 + a.l) * p.a_k) : 0.0f;
                b_next[i] = column < p.n && l0 + b.l < p.k ? __ldg(o.b + (l0 + b.l) * p.b_k + column * p.b_column) : 0.0f;
            }
        };
        auto store = [&](int buffer) {
#pragma unroll
            for (int i = 0; i < kLoads; i++) {
                Place a(thread + i * kThreads, a_by_k), b(thread + i * kThreads, b_by_k);
                as[buffer * kBuffer + a.l * kRow + a.edge] = a_next[i];
                bs[buffer * kBuffer + b.l * kRow + b.edge] = b_next[i];
            }
        };
        load(0);
        store(0);
        __syncthreads();
        int buffer = 0;
        for (int64_t l0 = 0; l0 < p.k; l0 += kDepth, buffer ^= 1) {
            bool more = l0 + kDepth < p.k;
            if (more) load(l0 + kDepth);
#pragma unroll
            for (int l = 0; l < kDepth; l++) {
                const float* a_row = as + buffer * kBuffer + l * kRow + row0;
                const float4 a0 = *reinterpret_cast<const float4*>(a_row), a1 = *reinterpret_cast<const float4*>(a_row + 4);
                const float4 b0 = *reinterpret_cast<const float4*>(bs + buffer * kBuffer + l * kRow + column0);
                const float a[8] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w}, b[4] = {b0.x, b0.y, b0.z, b0.w};
#pragma unroll
                for (int i = 0; i < 8; i++)
#pragma unroll
                    for (int j = 0; j < 4; j++) sums[i][j] = accumulate(a[i], b[j], sums[i][j]);
            }
            if (more) store(buffer ^ 1);
            __syncthreads();
        }
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                int64_t row = origin.row + row0 + i, column = origin.column + column0 + j;
                if (row < p.m && column < p.n) finish(p, o, row, column, sums[i][j]);
            }
        __syncthreads();  // the next product's first tile goes where the last of this one is read
    }
}

void run_warp_tiled(const Call& call) {
    MatmulProblem p = read_matmul(call);
    if (p.outputs() == 0) return;
    constexpr size_t bytes = SharedSize().take<float, 16>(2 * kBuffer).take<float, 16>(2 * kBuffer).bytes;
    launch<warp_tiled>({tile_grid(p, kTile, kTile), kThreads, bytes}, p, matmul_operands<float>(call));
}

constexpr Kernel kernels[] = {
    {&kMatmulForward, "warp_tiled", WW_DEVICE_NAME, dtype_bit(DType::float32), run_warp_tiled, 10},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
