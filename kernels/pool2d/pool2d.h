// Pooling over windows of the last two dimensions.
//   max   y[n,c,p,q] = max over r,s of x[n,c, p sh + r dh - ph, q sw + s dw - pw], over the taps inside the input
//   mean  y[n,c,p,q] = (sum over the window) / divisor
// Waibel et al. 1989 (mean), Riesenhuber & Poggio 1999 (max); overlapping windows: Krizhevsky et al. 2012, section 3.4.
#pragma once

#include <algorithm>

#include "engine/registry.h"

#if !defined(WW_HOST_DEVICE)  // a .cu file has it from engine/cuda/device.cuh
#define WW_HOST_DEVICE inline
#endif

namespace ww {

// One of the two window dimensions.
struct PoolAxis {
    int64_t in, out;  // sizes: H and P, or W and Q
    int64_t kernel, stride, padding, dilation;

    WW_HOST_DEVICE int64_t start(int64_t p) const { return p * stride - padding; }
    // Taps [first, last) of window p that lie inside the input; first >= last where there is none.
    WW_HOST_DEVICE int64_t first_tap(int64_t p) const { return start(p) >= 0 ? 0 : (-start(p) + dilation - 1) / dilation; }
    WW_HOST_DEVICE int64_t last_tap(int64_t p) const {
        if (start(p) + dilation * (kernel - 1) < in) return kernel;
        return start(p) >= in ? 0 : (in - start(p) + dilation - 1) / dilation;
    }
    // Windows [first, last) that may cover input position h.
    WW_HOST_DEVICE int64_t first_window(int64_t h) const {
        int64_t below = h + padding - dilation * (kernel - 1);
        return below <= 0 ? 0 : (below + stride - 1) / stride;
    }
    WW_HOST_DEVICE int64_t last_window(int64_t h) const { return std::min(out, (h + padding) / stride + 1); }
};

constexpr int64_t kMaxCompactTaps = 255;  // windows of at most this many taps have compact (uint8) indices
constexpr uint8_t kNoTap = 255;           // a compact index: the window lies outside the input altogether

namespace pool2d {

// -1 where no window fits. The last window of ceil_mode starts inside the input or its left padding.
inline int64_t output_size(const PoolAxis& a, bool ceil_mode) {
    int64_t room = a.in + 2 * a.padding - a.dilation * (a.kernel - 1) - 1;
    if (room + (ceil_mode ? a.stride - 1 : 0) < 0) return -1;
    int64_t out = (room + (ceil_mode ? a.stride - 1 : 0)) / a.stride + 1;
    return ceil_mode && (out - 1) * a.stride >= a.in + a.padding ? out - 1 : out;
}

// Axis d (0: H and P, 1: W and Q) of a call whose attributes begin with kernel, stride, padding.
inline PoolAxis axis(const Call& call, const View& x, const View& y, int d, int dilation_attr) {
    return {x.shape[2 + d],     y.shape[2 + d],     call.integer(0, d),
            call.integer(1, d), call.integer(2, d), dilation_attr < 0 ? 1 : call.integer(dilation_attr, d)};
}

inline void check_axes(const Call& call, int x_view, int y_view, int dilation_attr, int ceil_attr, const char* y_name) {
    constexpr int64_t limit = int64_t{1} << 31;  // products of two of them fit in 64 bits
    for (int d = 0; d < 2; d++) {
        PoolAxis a = axis(call, call.view(x_view), call.view(y_view), d, dilation_attr);
        struct {
            const char* name;
            int64_t value, least;
        } given[] = {{"kernel", a.kernel, 1}, {"stride", a.stride, 1}, {"padding", a.padding, 0}, {"dilation", a.dilation, 1}};
        for (auto& g : given)
            if (g.value < g.least || g.value >= limit)
                fail<ShapeError>("%s: expected %s[%d] >= %lld (and below 2**31), got %lld", call.op, g.name, d,
                                 static_cast<long long>(g.least), static_cast<long long>(g.value));
        if (a.in < 1)
            fail<ShapeError>("%s: expected %c >= 1, got an input of shape %s", call.op, "HW"[d],
                             call.view(x_view).shape_text().c_str());
        int64_t extent = a.dilation * (a.kernel - 1) + 1;
        if (a.padding > extent / 2)
            fail<ShapeError>("%s: expected padding[%d] <= %lld (half of the window's extent %lld), got %lld", call.op, d,
                             static_cast<long long>(extent / 2), static_cast<long long>(extent), static_cast<long long>(a.padding));
        int64_t expected = output_size(a, call.flag(ceil_attr));
        if (expected < 1)
            fail<ShapeError>(
                "%s: expected an input at least as large as the window, got %c == %lld with padding %lld for an extent of %lld",
                call.op, "HW"[d], static_cast<long long>(a.in), static_cast<long long>(a.padding), static_cast<long long>(extent));
        if (a.out != expected)
            fail<ShapeError>(
                "%s: expected %s.shape[%d] == %lld (%c %lld, kernel %lld, stride %lld, padding %lld, dilation %lld%s), got "
                "%s.shape == %s",
                call.op, y_name, 2 + d, static_cast<long long>(expected), "HW"[d], static_cast<long long>(a.in),
                static_cast<long long>(a.kernel), static_cast<long long>(a.stride), static_cast<long long>(a.padding),
                static_cast<long long>(a.dilation), call.flag(ceil_attr) ? ", ceil_mode" : "", y_name,
                call.view(y_view).shape_text().c_str());
    }
}

inline void check_indices(const Call& call, int indices_view) {
    const View& indices = call.view(indices_view);
    if (!indices.present()) return;
    if (indices.dtype != DType::int64 && indices.dtype != DType::uint8)
        fail<DTypeError>("%s: expected indices.dtype == int64 or uint8, got %s", call.op, dtype_name(indices.dtype));
    if (indices.dtype == DType::uint8 && call.integer(0, 0) * call.integer(0, 1) > kMaxCompactTaps)
        fail<DTypeError>("%s: expected indices.dtype == int64 for a window of more than %lld taps, got uint8", call.op,
                         static_cast<long long>(kMaxCompactTaps));
}

inline void check_max_forward(const Call& call) { check_axes(call, 2, 0, 3, 4, "y"), check_indices(call, 1); }
inline void check_max_backward(const Call& call) { check_axes(call, 0, 1, 3, 4, "grad_y"), check_indices(call, 2); }
inline void check_max_gather(const Call& call) { check_axes(call, 1, 0, 3, 4, "y"), check_indices(call, 2); }
inline void check_avg_forward(const Call& call) { check_axes(call, 1, 0, -1, 3, "y"); }
inline void check_avg_backward(const Call& call) { check_axes(call, 0, 1, -1, 3, "grad_y"); }

inline void check_adaptive(const Call& call, const View& x, const View& y) {
    for (int d = 2; d < 4; d++)
        if (x.shape[d] == 0 && y.shape[d] > 0)
            fail<ShapeError>("%s: expected a window of at least one element, got an input of shape %s", call.op,
                             x.shape_text().c_str());
}
inline void check_adaptive_forward(const Call& call) { check_adaptive(call, call.view(1), call.view(0)); }
inline void check_adaptive_backward(const Call& call) { check_adaptive(call, call.view(0), call.view(1)); }

}  // namespace pool2d

inline constexpr Contract kMaxPool2dForward = {
    "max_pool2d_forward", "max_pool2d",
    "out y: T[N,C,P,Q], out indices: any[N,C,P,Q]?, x: T[N,C,H,W]; "
    "kernel: int[2], stride: int[2], padding: int[2]=0, dilation: int[2]=1, ceil_mode: bool=false",
    R"(y[n,c,p,q] = max over (r, s) of x[n,c, p stride0 + r dilation0 - padding0, q stride1 + s dilation1 - padding1]

y        [N, C, P, Q]  overwritten; any strides, no overlap with x
indices  [N, C, P, Q]  optional, overwritten. int64: the position h W + w of the maximum in its plane. uint8: its tap
                       r kernel1 + s, for windows of at most 255 taps; an eighth of the bytes, and what backward likes best
x        [N, C, H, W]  any strides

Only taps inside the input count. Of equal maxima the first in scan order is taken. A NaN is greater than any number; of several
NaN the last is taken. A window outside the input altogether (dilation > 1 can give one) has y = -inf and index -1 (uint8: 255).
P = floor((H + 2 padding0 - dilation0 (kernel0 - 1) - 1) / stride0) + 1, with ceil for ceil_mode, where the last window must start
inside the input or its left padding; padding is at most half of the window's extent. Fast where x, y and indices are dense along
C (channels last) or along W.)",
    pool2d::check_max_forward};

inline constexpr Contract kMaxPool2dBackwardX = {
    "max_pool2d_backward_x", "max_pool2d",
    "out grad_x: T[N,C,H,W], grad_y: T[N,C,P,Q], indices: any[N,C,P,Q]; "
    "kernel: int[2], stride: int[2], padding: int[2]=0, dilation: int[2]=1, ceil_mode: bool=false",
    R"(grad_x[n,c,h,w] = sum over the windows (p, q) whose maximum is at (h, w) of grad_y[n,c,p,q], in scan order

grad_x   [N, C, H, W]  overwritten; any strides, no overlap with an input
grad_y   [N, C, P, Q]  any strides
indices  [N, C, P, Q]  as max_pool2d_forward wrote them, with the same attributes; int64 or uint8, any strides

Index -1, and a tap outside the input, add nothing. Any other int64 index outside the plane is an IndexError and leaves grad_x
undefined.)",
    pool2d::check_max_backward};

inline constexpr Contract kMaxPool2dGather = {
    "max_pool2d_gather", "max_pool2d",
    "out y: T[N,C,P,Q], x: T[N,C,H,W], indices: any[N,C,P,Q]; "
    "kernel: int[2], stride: int[2], padding: int[2]=0, dilation: int[2]=1, ceil_mode: bool=false",
    R"(y[n,c,p,q] = x[n,c] at indices[n,c,p,q]: the transpose of max_pool2d_backward_x, and so its own derivative

y        [N, C, P, Q]  overwritten; any strides, no overlap with an input; 0 for index -1 and for a tap outside
x        [N, C, H, W]  any strides
indices  [N, C, P, Q]  as max_pool2d_forward wrote them, with the same attributes; int64 or uint8, any strides

Any other int64 index outside the plane is an IndexError and leaves y undefined.)",
    pool2d::check_max_gather};

inline constexpr Contract kAvgPool2dForward = {
    "avg_pool2d_forward", "avg_pool2d",
    "out y: T[N,C,P,Q], x: T[N,C,H,W]; "
    "kernel: int[2], stride: int[2], padding: int[2]=0, ceil_mode: bool=false, count_include_pad: bool=true, divisor_override: "
    "int=0",
    R"(y[n,c,p,q] = (sum over (r, s) of x[n,c, p stride0 + r - padding0, q stride1 + s - padding1]) / divisor, in scan order

y  [N, C, P, Q]  overwritten; any strides, no overlap with x
x  [N, C, H, W]  any strides; zero outside

divisor: divisor_override if that is not 0; else the window's elements inside the padded input (count_include_pad) or inside the
input. Sizes as for max_pool2d_forward. Fast where x and y are dense along C (channels last) or along W.)",
    pool2d::check_avg_forward};

inline constexpr Contract kAvgPool2dBackwardX = {
    "avg_pool2d_backward_x", "avg_pool2d",
    "out grad_x: T[N,C,H,W], grad_y: T[N,C,P,Q]; "
    "kernel: int[2], stride: int[2], padding: int[2]=0, ceil_mode: bool=false, count_include_pad: bool=true, divisor_override: "
    "int=0",
    R"(grad_x[n,c,h,w] = sum over the windows (p, q) that cover (h, w) of grad_y[n,c,p,q] / divisor(p, q), in scan order

grad_x  [N, C, H, W]  overwritten; any strides, no overlap with grad_y
grad_y  [N, C, P, Q]  any strides)",
    pool2d::check_avg_backward};

inline constexpr Contract kAdaptiveAvgPool2dForward = {
    "adaptive_avg_pool2d_forward", "avg_pool2d", "out y: T[N,C,P,Q], x: T[N,C,H,W]",
    R"(y[n,c,p,q] = mean of x[n,c,h,w] over floor(p H / P) <= h < ceil((p + 1) H / P) and the same for w, in scan order

y  [N, C, P, Q]  overwritten; any strides, no overlap with x
x  [N, C, H, W]  any strides)",
    pool2d::check_adaptive_forward};

inline constexpr Contract kAdaptiveAvgPool2dBackwardX = {
    "adaptive_avg_pool2d_backward_x", "avg_pool2d", "out grad_x: T[N,C,H,W], grad_y: T[N,C,P,Q]",
    R"(grad_x[n,c,h,w] = sum over the windows (p, q) that cover (h, w) of grad_y[n,c,p,q] / (window's size), in scan order

grad_x  [N, C, H, W]  overwritten; any strides, no overlap with grad_y
grad_y  [N, C, P, Q]  any strides)",
    pool2d::check_adaptive_backward};

}  // namespace ww
