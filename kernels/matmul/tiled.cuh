// The mainloop of the second rung: tiles of both operands go through shared memory, so that each element is read from global memory
// once for a tile of the output, not once for each of its elements (CUDA C++ programming guide, "Shared Memory").
//
//   tile          16 x 16 outputs, one a thread, and 16 of k at a time
//   shared bytes  2 x 16 x 17 elements: 2176 in float32. The odd row length keeps columns out of each other's banks
// Bound by shared memory: two loads for each multiply-add.
//
// A source says where an operand's elements lie. Its rows are the output's rows (left operand) or columns (right operand):
//   bool find(row, l, &from)   whether there is such an element, and where; else it counts as 0
//   bool k_is_nearest()        neighbours along k, not along rows, lie side by side
#pragma once

#include "kernels/common/epilogue.cuh"

namespace ww::cuda {

template <class T>
class TiledMainloop {
  public:
    static constexpr int rows = 16, columns = 16, threads = rows * columns;
    static constexpr size_t shared_bytes() { return SharedSize().take<T>(kElements).template take<T>(kElements).bytes; }

    WW_DEVICE explicit TiledMainloop(SharedMemory& shared) : as_(shared.take<T>(kElements)), bs_(shared.take<T>(kElements)) {}

    // epilogue(row, column, sum) is called for each output of the tile at (row0, column0), by the thread that holds it, also for
    // those outside of the problem. All threads of the block call; shared memory is free again when they return.
    template <class Left, class Right, class Epilogue>
    WW_DEVICE void run(const Left& a, const Right& b, int64_t row0, int64_t column0, int64_t k, const Epilogue& epilogue) {
        const int x = static_cast<int>(threadIdx.x) % kTile, y = static_cast<int>(threadIdx.x) / kTile;
        // Neighbouring threads read along whichever dimension is contiguous.
        const int row = a.k_is_nearest() ? y : x, a_l = a.k_is_nearest() ? x : y;
        const int column = b.k_is_nearest() ? y : x, b_l = b.k_is_nearest() ? x : y;
        T sum = 0;
        for (int64_t l0 = 0; l0 < k; l0 += kTile) {
            const T *from_a, *from_b;
            as_[row * kRow + a_l] = a.find(row0 + row, l0 + a_l, from_a) ? *from_a : T(0);
            bs_[b_l * kRow + column] = b.find(column0 + column, l0 + b_l, from_b) ? *from_b : T(0);
            __syncthreads();
            for (int i = 0; i < kTile; i++) sum = accumulate(as_[y * kRow + i], bs_[i * kRow + x], sum);
            __syncthreads();
        }
        epilogue(row0 + y, column0 + x, sum);
    }

  private:
    static constexpr int kTile = 16, kRow = kTile + 1, kElements = kTile * kRow;
    T* as_;  // [row][l]
    T* bs_;  // [l][column]
};

}  // namespace ww::cuda
