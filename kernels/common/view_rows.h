// A view as rows: its first `dims` dimensions, counted in C order, name a row, and the others are what is in it.
#pragma once

#include "engine/view.h"

namespace ww {

inline int64_t row_offset(const View& v, int dims, int64_t row) {
    int64_t offset = 0;
    for (int d = dims - 1; d >= 0; d--) {
        offset += row % v.shape[d] * v.strides[d];
        row /= v.shape[d];
    }
    return offset;
}

inline int64_t row_count(const View& v, int dims) {
    int64_t n = 1;
    for (int d = 0; d < dims; d++) n *= v.shape[d];
    return n;
}

}  // namespace ww
