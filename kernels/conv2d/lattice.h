// What kernels on channels-last memory share: the picture in that order, and the lattices that a strided gradient falls into.
#pragma once

#include <algorithm>

#include "engine/parallel.h"
#include "engine/simd.h"
#include "kernels/common/transpose.h"
#include "kernels/conv2d/conv2d.h"

namespace ww::WW_ISA {
namespace {

// to[n, h, w, c] in C order from a view [N, C, H, W].
template <class T>
void to_channels_last(const View& x, T* to) {
    constexpr int lanes = Vec<T>::width;
    int64_t C = x.shape[1], H = x.shape[2], W = x.shape[3];
    parallel_for(x.shape[0] * H, 1 + 4096 / (C * W + 1), [&](int64_t begin, int64_t end) {
        for (int64_t line = begin; line < end; line++) {
            const T* from = x.ptr<T>() + line / H * x.strides[0] + line % H * x.strides[2];
            T* row = to + line * W * C;
            int64_t w0 = 0;
            if (x.strides[3] == 1 && C >= lanes) {
                for (; w0 + lanes <= W; w0 += lanes)
                    for (int64_t c = 0; c < C; c += lanes) {
                        int n = static_cast<int>(std::min<int64_t>(lanes, C - c));
                        Vec<T> square[lanes];
                        for (int i = 0; i < lanes; i++)
                            square[i] = Vec<T>::load(from + (c + std::min(i, n - 1)) * x.strides[1] + w0);
                        transpose(square);
                        if (n == lanes) unroll<lanes>([&](auto i) { square[i].store(row + (w0 + i) * C + c); });
                        else unroll<lanes>([&](auto i) { square[i].store_partial(row + (w0 + i) * C + c, n); });
                    }
            }
            for (int64_t w = w0; w < W; w++)
                for (int64_t c = 0; c < C; c++) row[w * C + c] = from[c * x.strides[1] + w * x.strides[3]];
        }
    });
}

// The strides of a picture whose channels lie side by side: the view's own, or those of a copy in the workspace.
template <class T>
struct Picture {
    bool copied;
    int64_t n, h, w;  // strides

    explicit Picture(const View& x) {
        int64_t C = x.shape[1];
        copied = C > 1 && x.strides[1] != 1;
        n = copied ? x.shape[2] * x.shape[3] * C : x.strides[0];
        h = copied ? x.shape[3] * C : x.strides[2];
        w = copied ? C : x.strides[3];
    }
};

// The taps and positions of one phase of one axis: h = phase + i * stride.
struct Phase {
    int64_t positions, first_tap, tap_step, taps;

    static Phase of(const ConvAxis& axis, int64_t phase) {
        Phase p{phase < axis.in ? (axis.in - phase - 1) / axis.stride + 1 : 0, 0, 0, 0};
        for (int64_t r = 0; r < axis.filter; r++) {
            if ((phase + axis.padding - r * axis.dilation) % axis.stride) continue;
            if (p.taps == 0) p.first_tap = r;
            else if (p.taps == 1) p.tap_step = r - p.first_tap;
            p.taps++;
        }
        return p;
    }
    int64_t tap(int64_t i) const { return first_tap + i * tap_step; }
    // The output that tap i meets at position 0, outside [0, out) none; at position j it is j further on. The division is exact.
    int64_t output(const ConvAxis& axis, int64_t phase, int64_t i) const {
        return (phase + axis.padding - tap(i) * axis.dilation) / axis.stride;
    }
};

}  // namespace
}  // namespace ww::WW_ISA
