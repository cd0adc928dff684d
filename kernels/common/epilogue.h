// From a register tile to the output: partial sums added up, then bias and activation on the last of them, while the tile is in the
// first-level cache. Instantiated once an ISA, in epilogue.cpp.
#pragma once

#include <cstdint>

namespace ww::WW_ISA {

// In the order of the word attribute "none|relu|tanh|sigmoid|gelu" of matmul_forward and conv2d_forward.
enum class Activation : int64_t { none, relu, tanh, sigmoid, gelu };

template <class T>
struct Epilogue {
    const T* bias;  // nullptr: none. Element (i, j) gets bias[i * row_stride + j * column_stride]
    int64_t row_stride, column_stride;
    Activation activation;
};

// Where a tile goes: element (i, j) at out + row_offset[i] + j * column_stride.
template <class T>
struct TileTarget {
    T* out;
    const int64_t* row_offset;
    int64_t column_stride;
    int rows, columns;
};

// out = tile, or out += tile with `add`; with `last` (not nullptr) also bias and activation, whose (0, 0) is the tile's own.
template <class T>
void store_tile(const T* tile, const TileTarget<T>& target, bool add, const Epilogue<T>* last);

}  // namespace ww::WW_ISA
