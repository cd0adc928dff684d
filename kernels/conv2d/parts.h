// Convolutions that other kernels run on a part: leftover_filters.cpp on some of the filters, winograd.cpp on one picture.
#pragma once

#include <cstddef>

#include "kernels/conv2d/conv2d.h"

namespace ww::WW_ISA {

template <class T>
void implicit_gemm_forward(const Call& call);
template <class T>
size_t implicit_gemm_forward_bytes(const Call& call);

template <class T>
void implicit_gemm_backward_x(const Call& call);
template <class T>
size_t implicit_gemm_backward_x_bytes(const Call& call);
template <class T>
void implicit_gemm_backward_w(const Call& call);
template <class T>
size_t implicit_gemm_backward_w_bytes(const Call& call);

template <class T>
void pixel_lanes_forward(const Call& call);
template <class T>
size_t pixel_lanes_forward_bytes(const Call& call);

// Whether the columns that pixel_lanes computes in vain, where a filter hangs over the end of a row, are not more than the others.
inline bool pixel_lanes_waste_little(const Conv2d& g) {
    return g.h.stride == 1 && g.w.stride == 1 && 2 * g.w.out >= g.w.in + 2 * g.w.padding;
}

}  // namespace ww::WW_ISA
