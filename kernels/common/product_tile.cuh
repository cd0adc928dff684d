// Products of 16 x 16 outputs by a block, one output of each part a thread: what the fused steps of recurrent nets are made of.
//
//   sums[part] += sum over l < k of left(row, l) right(part, column, l)
//
// Operands are functions of a place, so that they may be gathered or masked; 16 of k go through shared memory at a time. The sum
// is a chain over l, the same whatever stands beside it.
//
//   shared bytes  (1 + parts) x 16 x 17 elements: 5440 in float32 for the four gates of an LSTM. The odd row length keeps columns
//                 out of each other's banks
// Bound by shared memory: (1 + parts) / parts loads a multiply-add.
#pragma once

#include "kernels/common/epilogue.cuh"

namespace ww::cuda {

constexpr int kProductTile = 16, kProductThreads = kProductTile * kProductTile;

// How neighbouring threads read the right operand: in steps of l, or of columns.
enum class Nearest { l, column };

template <class T, int parts, Nearest nearest = Nearest::l>
class ProductTile {
    static constexpr int kRow = kProductTile + 1, kPart = kProductTile * kRow;

  public:
    static constexpr size_t kSharedBytes = SharedSize().take<T>((1 + parts) * kPart).bytes;

    WW_DEVICE explicit ProductTile(SharedMemory& shared) : left_(shared.take<T>((1 + parts) * kPart)), right_(left_ + kPart) {}

    // This thread's output.
    WW_DEVICE static int row() { return static_cast<int>(threadIdx.x) / kProductTile; }
    WW_DEVICE static int column() { return static_cast<int>(threadIdx.x) % kProductTile; }

    // All threads of the block call.
    template <class Left, class Right>
    WW_DEVICE void add(T (&sums)[parts], int64_t k, const Left& left, const Right& right) const {
        const int slow = row(), fast = column(), to = nearest == Nearest::l ? slow * kRow + fast : fast * kRow + slow;
        for (int64_t l0 = 0; l0 < k; l0 += kProductTile) {
            if (l0 + fast < k) left_[slow * kRow + fast] = left(slow, l0 + fast);
            const int64_t l = l0 + (nearest == Nearest::l ? fast : slow);
            if (l < k)
#pragma unroll
                for (int part = 0; part < parts; part++)
                    right_[part * kPart + to] = right(part, nearest == Nearest::l ? slow : fast, l);
            __syncthreads();
            const int used = static_cast<int>(k - l0 < kProductTile ? k - l0 : kProductTile);
            for (int i = 0; i < used; i++)
#pragma unroll
                for (int part = 0; part < parts; part++)
                    sums[part] = accumulate(left_[row() * kRow + i], right_[part * kPart + column() * kRow + i], sums[part]);
            __syncthreads();
        }
    }

  private:
    T *left_, *right_;  // [row][l] and [part][column][l]
};

// Blocks for m x n outputs: rows along x, which may be many.
inline dim3 product_grid(int64_t m, int64_t n) {
    return {static_cast<unsigned>(ceil_div(m, kProductTile)), static_cast<unsigned>(ceil_div(n, kProductTile))};
}

}  // namespace ww::cuda
