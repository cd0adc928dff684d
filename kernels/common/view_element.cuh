// Elements of a View in a kernel, which takes Views by value.
#pragma once

#include "engine/cuda/device.cuh"
#include "engine/view.h"

namespace ww::cuda {

template <class T>
WW_DEVICE T& element(const View& v, int64_t i, int64_t j) {
    return static_cast<T*>(v.data)[i * v.strides[0] + j * v.strides[1]];
}

// 0 of an argument that was not given.
template <class T>
WW_DEVICE T element_or_zero(const View& v, int64_t i, int64_t j) {
    return v.ndim < 0 ? T(0) : element<T>(v, i, j);
}

// Where row `row` begins; the first `dims` dimensions, counted in C order, name it.
WW_DEVICE int64_t offset_of_row(const View& v, int dims, int64_t row) {
    int64_t offset = 0;
    for (int d = dims - 1; d >= 0; d--) {
        offset += (d > 0 ? row % v.shape[d] : row) * v.strides[d];
        row /= v.shape[d];
    }
    return offset;
}

}  // namespace ww::cuda
