// What kernels on channels-last memory share: the picture in that order, and the lattices that a strided gradient falls into.
#pragma once

#include <algorithm>

#include "engine/parallel.h"
#include "engine/simd.h"
#include "kernels/common/transpose.h"
#include "kernels/conv2d/conv2d.h"

namespace ww::WW_ISA {
namespace {

// to[pixel, c] = from[c * channel_stride + pixel], for pixels of unit stride, in squares turned in registers.
template <class T>
void turn_pixels(const T* from, int64_t channel_stride, int64_t pixels, int64_t channels, T* to) {
    constexpr int lanes = Vec<T>::width;
    for (int64_t c = 0; c < channels; c += lanes) {
        const int height = static_cast<int>(std::min<int64_t>(lanes, channels - c));
        for (int64_t at = 0; at < pixels; at += lanes) {
            const int width = static_cast<int>(std::min<int64_t>(lanes, pixels - at));
            Vec<T> square[lanes];
            for (int i = 0; i < lanes; i++) {
                const T* row = from + (c + std::min(i, height - 1)) * channel_stride + at;
                square[i] = width == lanes ? Vec<T>::load(row) : Vec<T>::load_partial(row, width);
            }
            transpose(square);
            T* rows = to + at * channels + c;
            if (width == lanes && height == lanes) unroll<lanes>([&](auto i) { square[i].store(rows + i * channels); });
            else
                for (int i = 0; i < width; i++) square[i].store_partial(rows + i * channels, height);
        }
    }
}

// to[n, h, w, c] in C order from a view [N, C, H, W].
template <class T>
void to_channels_last(const View& x, T* to) {
    constexpr int64_t kRun = 64;  // pixels of a job: some lines of each channel, which stay in the cache while they are turned
    const int64_t C = x.shape[1], H = x.shape[2], W = x.shape[3];
    const bool plane = x.strides[2] == W * x.strides[3];  // the pixels of a picture are one line
    const int64_t lines = plane ? 1 : H, length = plane ? H * W : W, runs = (length + kRun - 1) / kRun;
    parallel_for(x.shape[0] * lines * runs, 1 + 4096 / (C * kRun + 1), [&](int64_t begin, int64_t end) {
        for (int64_t job = begin; job < end; job++) {
            int64_t line = job / runs, first = job % runs * kRun, pixels = std::min(kRun, length - first);
            const T* from = x.ptr<T>() + line / lines * x.strides[0] + line % lines * x.strides[2] + first * x.strides[3];
            T* row = to + (line * length + first) * C;
            if (x.strides[3] == 1 && C >= Vec<T>::width) turn_pixels(from, x.strides[1], pixels, C, row);
            else
                for (int64_t at = 0; at < pixels; at++)
                    for (int64_t c = 0; c < C; c++) row[at * C + c] = from[c * x.strides[1] + at * x.strides[3]];
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
