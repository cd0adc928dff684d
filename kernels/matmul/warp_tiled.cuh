// The mainloop of the third rung, the last without tensor cores: each thread keeps 8 x 4 outputs in registers, so
// that 12 loads from shared memory serve 32 multiply-adds; the next tile is read from global memory while this one is multiplied
// (V. Volkov and J. W. Demmel, "Benchmarking GPUs to Tune Dense Linear Algebra", 2008, section 4).
//
//   block         64 x 64 outputs, 128 threads; a warp has 32 x 32 of them, a lane 8 x 4
//   k             16 at a time, two buffers
//   shared bytes  2 x 2 x 16 x 68 floats = 17408; rows are 4 floats longer than a tile, so that 16-byte loads stay aligned and the
//                 columns of neighbouring k start in different banks
// Bound by arithmetic. An output's sum runs over k from first to last, whatever the tile. Sources and epilogue as in tiled.cuh.
#pragma once

#include "kernels/common/epilogue.cuh"

namespace ww::cuda {

class WarpTiledMainloop {
  public:
    static constexpr int rows = 64, columns = 64, threads = 128;
    static constexpr size_t shared_bytes() { return SharedSize().take<float, 16>(2 * kBuffer).take<float, 16>(2 * kBuffer).bytes; }

    WW_DEVICE explicit WarpTiledMainloop(SharedMemory& shared)
        : as_(shared.take<float, 16>(2 * kBuffer)), bs_(shared.take<float, 16>(2 * kBuffer)) {}

    template <class Left, class Right, class Epilogue>
    WW_DEVICE void run(const Left& a, const Right& b, int64_t row_origin, int64_t column_origin, int64_t k,
                       const Epilogue& epilogue) {
        const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
        const int row0 = warp / 2 * 32 + lane / 8 * 8, column0 = warp % 2 * 32 + lane % 8 * 4;
        const bool a_by_k = a.k_is_nearest(), b_by_k = b.k_is_nearest();
        float a_next[kLoads], b_next[kLoads], sums[8][4] = {};
        auto load = [&](int64_t l0) {
#pragma unroll
            for (int i = 0; i < kLoads; i++) {
                const Place at_a(thread + i * threads, a_by_k), at_b(thread + i * threads, b_by_k);
                const float *from_a, *from_b;
                a_next[i] = a.find(row_origin + at_a.edge, l0 + at_a.l, from_a) ? __ldg(from_a) : 0.0f;
                b_next[i] = b.find(column_origin + at_b.edge, l0 + at_b.l, from_b) ? __ldg(from_b) : 0.0f;
            }
        };
        auto store = [&](int buffer) {
#pragma unroll
            for (int i = 0; i < kLoads; i++) {
                const Place at_a(thread + i * threads, a_by_k), at_b(thread + i * threads, b_by_k);
                as_[buffer * kBuffer + at_a.l * kRow + at_a.edge] = a_next[i];
                bs_[buffer * kBuffer + at_b.l * kRow + at_b.edge] = b_next[i];
            }
        };
        load(0);
        store(0);
        __syncthreads();
        int buffer = 0;
        for (int64_t l0 = 0; l0 < k; l0 += kDepth, buffer ^= 1) {
            const bool more = l0 + kDepth < k;
            if (more) load(l0 + kDepth);
#pragma unroll
            for (int l = 0; l < kDepth; l++) {
                const float* a_row = as_ + buffer * kBuffer + l * kRow + row0;
                const float4 a0 = *reinterpret_cast<const float4*>(a_row), a1 = *reinterpret_cast<const float4*>(a_row + 4);
                const float4 b0 = *reinterpret_cast<const float4*>(bs_ + buffer * kBuffer + l * kRow + column0);
                const float left[8] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w}, right[4] = {b0.x, b0.y, b0.z, b0.w};
#pragma unroll
                for (int i = 0; i < 8; i++)
#pragma unroll
                    for (int j = 0; j < 4; j++) sums[i][j] = accumulate(left[i], right[j], sums[i][j]);
            }
            if (more) store(buffer ^ 1);
            __syncthreads();
        }
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) epilogue(row_origin + row0 + i, column_origin + column0 + j, sums[i][j]);
        __syncthreads();  // the next product's first tile goes where the last of this one is read
    }

  private:
    static constexpr int kDepth = 16, kRow = rows + 4, kBuffer = kDepth * kRow;
    static constexpr int kLoads = rows * kDepth / threads;  // elements of each operand that a thread brings

    // Element e of a 64 x 16 tile: neighbours along k where that is contiguous, else along the tile's edge.
    struct Place {
        int edge, l;
        WW_DEVICE Place(int e, bool k_contiguous) {
            edge = k_contiguous ? e / kDepth : e % rows;
            l = k_contiguous ? e % kDepth : e / rows;
        }
    };

    float* as_;  // [buffer][l][row]
    float* bs_;  // [buffer][l][column]
};

}  // namespace ww::cuda
