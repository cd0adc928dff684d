// Zeros of grad_y outside its picture: the contract of backward_x multiplies them too.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/conv2d/conv2d.h"

namespace ww::WW_ISA {

// Where `hidden[(r, s, c)]`, what zero times the filters' weights of that tap add up to, is NaN, so is each element of rows
// [row0, row1) of grad_x that the tap reaches from outside. `sum(h, w, c)` is a reference to the element.
template <class T, class Sum>
void add_outside(const Conv2d& g, const T* hidden, int64_t row0, int64_t row1, const Sum& sum) {
    for (int64_t at = 0; at < g.h.filter * g.w.filter * g.Cg; at++) {
        if (!std::isnan(hidden[at])) continue;
        int64_t tap = at / g.Cg, r = tap / g.w.filter, s = tap % g.w.filter, c = at % g.Cg;
        for (int64_t h = row0; h < row1; h++)
            for (int64_t x = 0; x < g.w.in; x++) {
                int64_t down = h + g.h.padding - r * g.h.dilation, right = x + g.w.padding - s * g.w.dilation;
                if (down % g.h.stride || right % g.w.stride) continue;
                int64_t p = down / g.h.stride, q = right / g.w.stride;
                if (p < 0 || p >= g.h.out || q < 0 || q >= g.w.out) sum(h, x, c) = hidden[at];
            }
    }
}

}  // namespace ww::WW_ISA
