// The one tiled mainloop of the tensor-core kernels: a tile of rows x columns of sums over k, from two operands that sources
// describe, handed to an epilogue. cp.async brings `kStages` slices of k ahead, ldmatrix reads them, mma.sync multiplies (Ampere's
// way: NVIDIA, "CUTLASS: Efficient GEMM in CUDA", and PTX ISA, "Warp Level Matrix Instructions").
//
// A source says where an operand's elements lie. Its rows are the output's rows (left operand) or columns (right operand):
//   bool find(row, l, &from)          whether there is such an element, and where; else it counts as 0, and `from` is left as it is
//   int along_k(row, l, n, &from)     how many of the n elements from (row, l) on, side by side along k, exist; `from` the first
//   int along_rows(row, l, n, &from)  the same along rows
// Its Access says which of them may be used: k_vector and row_vector promise 16-byte aligned runs of 16 bytes.
//
// In shared memory a slice is [rows][slice bytes along k], or [k][rows] for row_vector (16-bit elements only: ldmatrix can
// transpose those). Chunks of 16 bytes are permuted within their lines, so that neither the copies nor the 8 rows of ldmatrix meet
// in a bank.
//
// The sum of one output runs over k from first to last, 16 (tf32: 8) at a time, whatever the tile: bits do not depend on m and n.
#pragma once

#include <type_traits>

#include "kernels/common/epilogue.cuh"

namespace ww::cuda {

enum class Access : int { k_vector, row_vector, scalar };

// A block of (rows / warp_rows) x (columns / warp_columns) warps.
template <int rows_, int columns_, int warp_rows_, int warp_columns_>
struct MmaTile {
    static constexpr int rows = rows_, columns = columns_, warp_rows = warp_rows_, warp_columns = warp_columns_;
    static constexpr int warps_across = columns / warp_columns, threads = rows / warp_rows * warps_across * 32;
};

constexpr int kStages = 3, kSliceBytes = 64, kChunk = 16;  // a slice of k is 64 bytes: 32 elements of 16 bits, 16 of tf32

template <class T>
constexpr int kSlice = kSliceBytes / static_cast<int>(sizeof(T));

// One operand's slices in shared memory.
template <class T, int rows, int threads, Access access>
class MmaOperand {
  public:
    static constexpr int kPerChunk = kChunk / static_cast<int>(sizeof(T)), kBytes = rows * kSliceBytes;
    static_assert(access != Access::row_vector || sizeof(T) == 2, "ldmatrix transposes 16-bit elements only");

    WW_DEVICE explicit MmaOperand(SharedMemory& shared)
        : memory_(shared.take<char, 128>(kStages * kBytes)), address_(shared_address(memory_)) {}

    // Begins to bring rows [row0, row0 + rows) and k [l0, l0 + kSlice) to a stage.
    template <class Source>
    WW_DEVICE void load(const Source& source, int stage, int64_t row0, int64_t l0) {
        constexpr int elements = access == Access::scalar ? 1 : kPerChunk;
        constexpr int count = rows * kSlice<T> / elements / threads;
        static_assert(count * elements * threads == rows * kSlice<T>, "threads share a slice evenly");
        // Addresses of 16 elements at once, all that a slice of single 16-bit elements has, are more than registers hold: unrolled
        // as a whole it took 255 and spilled 164 bytes (nvcc 13, sm_80); by 8, it takes 94 and spills none.
        [[maybe_unused]] constexpr int unrolled = access == Access::scalar && count > 8 ? 8 : count;
#pragma unroll unrolled
        for (int i = 0; i < count; i++) {
            const int e = static_cast<int>(threadIdx.x) + i * threads;
            if constexpr (access == Access::k_vector) {
                const int row = e / (kSlice<T> / kPerChunk), chunk = e % (kSlice<T> / kPerChunk);
                const T* from = nullptr;
                int there = source.along_k(row0 + row, l0 + chunk * kPerChunk, kPerChunk, from);
                copy_async<kChunk>(stage_address(stage) + k_line(row, chunk), from, there * static_cast<int>(sizeof(T)));
            } else if constexpr (access == Access::row_vector) {
                const int l = e / (rows / kPerChunk), chunk = e % (rows / kPerChunk);
                const T* from = nullptr;
                int there = source.along_rows(row0 + chunk * kPerChunk, l0 + l, kPerChunk, from);
                copy_async<kChunk>(stage_address(stage) + row_line(l, chunk), from, there * static_cast<int>(sizeof(T)));
            } else {
                const bool by_k = source.k_is_nearest();
                const int row = by_k ? e / kSlice<T> : e % rows, l = by_k ? e % kSlice<T> : e / rows;
                const T* from = source.base();
                const bool found = source.find(row0 + row, l0 + l, from);
                const uint32_t to = k_line(row, l / kPerChunk) + static_cast<uint32_t>(l % kPerChunk * static_cast<int>(sizeof(T)));
                if constexpr (sizeof(T) == 4) {
                    copy_async<4>(stage_address(stage) + to, from, found ? 4 : 0);
                } else {  // cp.async has no 2-byte copies: through a register, and seen by others after the same barrier
                    *reinterpret_cast<T*>(memory_ + stage * kBytes + to) = found ? *from : T{0};
                }
            }
        }
    }

    // Fragments of rows [row, row + 16) and the half `half` of a slice, as the left operand of mma.
    WW_DEVICE void left(uint32_t (&fragment)[4], int stage, int row, int half) const {
        const int lane = static_cast<int>(threadIdx.x % 32);
        if constexpr (access == Access::row_vector)
            load_matrices_x4_transposed(
                fragment, stage_address(stage) + row_line(half * 16 + lane / 16 * 8 + lane % 8, row / 8 + lane / 8 % 2));
        else load_matrices_x4(fragment, stage_address(stage) + k_line(row + lane % 16, half * 2 + lane / 16));
    }

    // The same as the right operand: registers 0 and 1 are for rows [row, row + 8), 2 and 3 for the 8 after them.
    WW_DEVICE void right(uint32_t (&fragment)[4], int stage, int row, int half) const {
        const int lane = static_cast<int>(threadIdx.x % 32);
        if constexpr (access == Access::row_vector)
            load_matrices_x4_transposed(fragment, stage_address(stage) + row_line(half * 16 + lane % 16, row / 8 + lane / 16));
        else load_matrices_x4(fragment, stage_address(stage) + k_line(row + lane / 16 * 8 + lane % 8, half * 2 + lane / 8 % 2));
    }

  private:
    WW_DEVICE uint32_t stage_address(int stage) const { return address_ + static_cast<uint32_t>(stage * kBytes); }
    // [rows][4 chunks]: two lines share 128 bytes, one access of all banks.
    WW_DEVICE static uint32_t k_line(int row, int chunk) {
        return static_cast<uint32_t>(row * kSliceBytes + (chunk ^ row / 2 % 4) * kChunk);
    }
    // [k][rows / 8 chunks]
    WW_DEVICE static uint32_t row_line(int l, int chunk) {
        return static_cast<uint32_t>(l * rows * static_cast<int>(sizeof(T)) + (chunk ^ l % 8) * kChunk);
    }

    char* memory_;
    uint32_t address_;
};

WW_DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], bfloat16) { multiply_bf16(d, a, b); }
WW_DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], half) { multiply_half(d, a, b); }
WW_DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], float) { multiply_tf32(d, a, b); }

// float32 elements are rounded to tf32 as they are read; the 16-bit types are what they are.
template <class T>
WW_DEVICE void round_fragment([[maybe_unused]] uint32_t (&fragment)[4]) {
    if constexpr (std::is_same_v<T, float>)
#pragma unroll
        for (uint32_t& bits : fragment) bits = to_tf32(__uint_as_float(bits));
}

// epilogue(row, column, sum) is called for each output of the tile at (row0, column0), by the thread that holds it, also for those
// outside of the problem. All threads of the block call; the operands' stages are free again when they return.
template <class Tile, class T, class Left, class Right, class LeftSource, class RightSource, class Epilogue>
WW_DEVICE void mma_mainloop(Left& left, Right& right, const LeftSource& a, const RightSource& b, int64_t row0, int64_t column0,
                            int64_t k, const Epilogue& epilogue) {
    constexpr int tiles_m = Tile::warp_rows / 16, tiles_n = Tile::warp_columns / 8;
    static_assert(tiles_n % 2 == 0, "the right operand is read for 16 columns at a time");
    const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
    const int warp_row = warp / Tile::warps_across * Tile::warp_rows, warp_column = warp % Tile::warps_across * Tile::warp_columns;
    const int64_t slices = ceil_div(k, kSlice<T>);
    float sums[tiles_m][tiles_n][4] = {};
#pragma unroll
    for (int stage = 0; stage < kStages - 1; stage++) {
        if (stage < slices) {
            left.load(a, stage, row0, stage * kSlice<T>);
            right.load(b, stage, column0, stage * kSlice<T>);
        }
        copy_async_commit();
    }
    for (int64_t slice = 0; slice < slices; slice++) {
        copy_async_wait<kStages - 2>();
        __syncthreads();  // this slice is here for all, and all have done with the one before, whose stage is filled next
        const int64_t next = slice + kStages - 1;
        if (next < slices) {
            left.load(a, static_cast<int>(next % kStages), row0, next * kSlice<T>);
            right.load(b, static_cast<int>(next % kStages), column0, next * kSlice<T>);
        }
        copy_async_commit();
        const int stage = static_cast<int>(slice % kStages);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            uint32_t fa[tiles_m][4], fb[tiles_n / 2][4];
#pragma unroll
            for (int i = 0; i < tiles_m; i++) {
                left.left(fa[i], stage, warp_row + i * 16, half);
                round_fragment<T>(fa[i]);
            }
#pragma unroll
            for (int j = 0; j < tiles_n / 2; j++) {
                right.right(fb[j], stage, warp_column + j * 16, half);
                round_fragment<T>(fb[j]);
            }
#pragma unroll
            for (int i = 0; i < tiles_m; i++)
#pragma unroll
                for (int j = 0; j < tiles_n; j++) {
                    const uint32_t pair[2] = {fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]};
                    mma(sums[i][j], fa[i], pair, T{});
                }
        }
    }
    copy_async_wait<0>();
    __syncthreads();
#pragma unroll
    for (int i = 0; i < tiles_m; i++)
#pragma unroll
        for (int j = 0; j < tiles_n; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                epilogue(row0 + warp_row + i * 16 + lane / 4 + e / 2 * 8, column0 + warp_column + j * 8 + lane % 4 * 2 + e % 2,
                         sums[i][j][e]);
}

// The same as an object, as the SIMT mainloops (kernels/matmul/tiled.cuh, warp_tiled.cuh) are.
template <class T, class Tile, Access a_access, Access b_access>
class MmaMainloop {
  public:
    static constexpr int rows = Tile::rows, columns = Tile::columns, threads = Tile::threads;
    static constexpr size_t shared_bytes() {
        return SharedSize()
            .take<char, 128>(kStages * rows * kSliceBytes)
            .template take<char, 128>(kStages * columns * kSliceBytes)
            .bytes;
    }

    WW_DEVICE explicit MmaMainloop(SharedMemory& shared) : left_(shared), right_(shared) {}

    template <class Left, class Right, class Epilogue>
    WW_DEVICE void run(const Left& a, const Right& b, int64_t row0, int64_t column0, int64_t k, const Epilogue& epilogue) {
        mma_mainloop<Tile, T>(left_, right_, a, b, row0, column0, k, epilogue);
    }

  private:
    MmaOperand<T, rows, threads, a_access> left_;
    MmaOperand<T, columns, threads, b_access> right_;
};

}  // namespace ww::cuda
