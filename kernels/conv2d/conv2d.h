// Convolution over the last two dimensions (cross-correlation, as in every network library), with groups.
//   y[n,k,p,q] = activation(sum over c, r, s of w[k,c,r,s] x[n, g Cg + c, p sh + r dh - ph, q sw + s dw - pw] + b[k]),  g = k / Kg
// Its gradients are the two other products of the same three arrays: the sum is linear in x and in w.
// LeCun et al. 1989; sizes and the adjoint: Dumoulin and Visin 2016 (arXiv 1603.07285), sections 2 and 4. Groups: Krizhevsky et al.
// 2012, section 3.2; dilation: Yu and Koltun 2016 (arXiv 1511.07122), eq. 2.
#pragma once

#include <algorithm>

#include "engine/registry.h"

namespace ww {

// One of the two dimensions of the picture.
struct ConvAxis {
    int64_t in, out, filter;  // sizes: H, P, R or W, Q, S
    int64_t stride, padding, dilation;

    int64_t extent() const { return dilation * (filter - 1) + 1; }
    // Where tap r of output p lies; outside [0, in) it is padding.
    int64_t input(int64_t p, int64_t r) const { return p * stride + r * dilation - padding; }
    // Outputs [first, last) whose tap r lies inside the input.
    int64_t first_output(int64_t r) const {
        int64_t before = padding - r * dilation;
        return before <= 0 ? 0 : std::min(out, (before + stride - 1) / stride);
    }
    int64_t last_output(int64_t r) const {
        int64_t room = in - 1 + padding - r * dilation;
        return room < 0 ? 0 : std::min(out, room / stride + 1);
    }
};

// The sizes of a call of any of the three products, read from views and attributes.
struct Conv2d {
    int64_t N, C, K, groups, Cg, Kg;  // Cg and Kg: channels and outputs of one group
    ConvAxis h, w;

    Conv2d(const Call& call, const View& x, const View& w_view, const View& y)
        : N(x.shape[0]),
          C(x.shape[1]),
          K(y.shape[1]),
          groups(call.integer(3)),
          Cg(w_view.shape[1]),
          Kg(K / groups),
          h(axis(call, x, w_view, y, 0)),
          w(axis(call, x, w_view, y, 1)) {}

    static ConvAxis axis(const Call& call, const View& x, const View& w_view, const View& y, int d) {
        return {x.shape[2 + d], y.shape[2 + d], w_view.shape[2 + d], call.integer(0, d), call.integer(1, d), call.integer(2, d)};
    }
    static Conv2d forward(const Call& call) { return {call, call.view(1), call.view(2), call.view(0)}; }
    static Conv2d backward_x(const Call& call) { return {call, call.view(0), call.view(2), call.view(1)}; }
    static Conv2d backward_w(const Call& call) { return {call, call.view(1), call.view(0), call.view(2)}; }
};

namespace conv2d {

struct Names {
    const char *x, *w, *y;
};

inline void check(const Call& call, const View& x, const View& w, const View& y, Names names) {
    using ll = long long;
    constexpr int64_t limit = int64_t{1} << 31;  // products of two of them fit in 64 bits
    int64_t groups = call.integer(3);
    if (groups < 1) fail<ShapeError>("%s: expected groups >= 1, got %lld", call.op, static_cast<ll>(groups));
    if (x.shape[1] % groups)
        fail<ShapeError>("%s: expected %s.shape[1] to be a multiple of groups %lld, got %s.shape == %s", call.op, names.x,
                         static_cast<ll>(groups), names.x, x.shape_text().c_str());
    if (x.shape[1] / groups != w.shape[1])
        fail<ShapeError>("%s: expected %s.shape[1] == %lld (%s channels %lld / groups %lld), got %s.shape == %s", call.op, names.w,
                         static_cast<ll>(x.shape[1] / groups), names.x, static_cast<ll>(x.shape[1]), static_cast<ll>(groups),
                         names.w, w.shape_text().c_str());
    if (w.shape[0] % groups)
        fail<ShapeError>("%s: expected %s.shape[0] to be a multiple of groups %lld, got %s.shape == %s", call.op, names.w,
                         static_cast<ll>(groups), names.w, w.shape_text().c_str());
    for (int d = 0; d < 2; d++) {
        struct {
            const char* name;
            int64_t value, least;
        } given[] = {{"stride", call.integer(0, d), 1}, {"padding", call.integer(1, d), 0}, {"dilation", call.integer(2, d), 1}};
        for (auto& g : given)
            if (g.value < g.least || g.value >= limit)
                fail<ShapeError>("%s: expected %s[%d] >= %lld (and below 2**31), got %lld", call.op, g.name, d,
                                 static_cast<ll>(g.least), static_cast<ll>(g.value));
        ConvAxis a = Conv2d::axis(call, x, w, y, d);
        if (a.filter < 1 || a.filter >= limit)
            fail<ShapeError>("%s: expected %s.shape[%d] >= 1 (and below 2**31), got %s.shape == %s", call.op, names.w, 2 + d,
                             names.w, w.shape_text().c_str());
        int64_t room = a.in + 2 * a.padding - a.extent();
        if (room < 0)
            fail<ShapeError>(
                "%s: expected an input at least as large as the filter, got %c == %lld with padding %lld for an extent of "
                "%lld (%c %lld, dilation %lld)",
                call.op, "HW"[d], static_cast<ll>(a.in), static_cast<ll>(a.padding), static_cast<ll>(a.extent()), "RS"[d],
                static_cast<ll>(a.filter), static_cast<ll>(a.dilation));
        if (a.out != room / a.stride + 1)
            fail<ShapeError>(
                "%s: expected %s.shape[%d] == %lld (%c %lld, %c %lld, stride %lld, padding %lld, dilation %lld), got "
                "%s.shape == %s",
                call.op, names.y, 2 + d, static_cast<ll>(room / a.stride + 1), "HW"[d], static_cast<ll>(a.in), "RS"[d],
                static_cast<ll>(a.filter), static_cast<ll>(a.stride), static_cast<ll>(a.padding), static_cast<ll>(a.dilation),
                names.y, y.shape_text().c_str());
    }
}

inline void check_forward(const Call& call) { check(call, call.view(1), call.view(2), call.view(0), {"x", "w", "y"}); }
inline void check_backward_x(const Call& call) { check(call, call.view(0), call.view(2), call.view(1), {"grad_x", "w", "grad_y"}); }
inline void check_backward_w(const Call& call) { check(call, call.view(1), call.view(0), call.view(2), {"x", "grad_w", "grad_y"}); }

}  // namespace conv2d

inline constexpr Contract kConv2dForward = {
    "conv2d_forward", "conv2d",
    "out y: T[N,K,P,Q], x: T[N,C,H,W], w: T[K,Cg,R,S], b: T[K]?; "
    "stride: int[2]=1, padding: int[2]=0, dilation: int[2]=1, groups: int=1, activation: none|relu|tanh|sigmoid|gelu=none",
    R"(y[n,k,p,q] = activation(sum over c < Cg, r, s of w[k,c,r,s] * x[n, g Cg + c, p stride0 + r dilation0 - padding0,
                                                                  q stride1 + s dilation1 - padding1] + b[k]),  g = k / (K / groups)

y          [N, K, P, Q]   overwritten; any strides, no overlap with an input
x          [N, C, H, W]   any strides; C = Cg groups. Zero outside the picture: a weight that is NaN or infinite makes NaN there too
w          [K, Cg, R, S]  any strides; groups divides K
b          [K]            optional; added before the activation
activation none, relu (NaN stays NaN), tanh, sigmoid, or gelu (the exact one, by erf)

P = floor((H + 2 padding0 - dilation0 (R - 1) - 1) / stride0) + 1, and Q the same with W, S and element 1. padding may be larger
than the filter. An empty sum (C = 0) gives activation(b). The order of a sum depends on sizes, the dtype, the strides and the
instruction set, never on N or the number of threads, so that a sample has the same bits alone and in a batch.

Variant winograd (float32, stride 1; filters of 3x3, and larger ones as sums of parts of 3x3; chosen where it pays) multiplies 16 times
a part for each 2 x 2 outputs. Its error is at most about 8 (n + 8) 2^-24 times the sum over channels and parts of max|x| max|w| under
the part, n = Cg times the number of parts, for weights above 2^-100; that of a plain sum is R S Cg 2^-24 sum |x| |w|. On dense random
data it is no larger, sums being shorter. But a weight of zero does not hide a pixel, which cancels but for rounding: next to pixels of
1e9, or behind the masks of a causal filter, choose variant implicit_gemm, which sums term by term.)",
    conv2d::check_forward};

inline constexpr Contract kConv2dBackwardX = {
    "conv2d_backward_x", "conv2d",
    "out grad_x: T[N,C,H,W], grad_y: T[N,K,P,Q], w: T[K,Cg,R,S]; "
    "stride: int[2]=1, padding: int[2]=0, dilation: int[2]=1, groups: int=1",
    R"(grad_x[n, g Cg + c, h, w] = sum over k in group g and all (p, r), (q, s) with p stride0 + r dilation0 - padding0 = h and
                            q stride1 + s dilation1 - padding1 = w of w[k,c,r,s] * grad_y[n,k,p,q]

grad_x  [N, C, H, W]   overwritten; any strides, no overlap with an input; zero where no tap meets an output
grad_y  [N, K, P, Q]   any strides. Zero outside the picture, at any integers p and q: a weight that is NaN or infinite makes NaN there
w       [K, Cg, R, S]  any strides

Sizes and attributes as for conv2d_forward; variant winograd as there, with grad_y for x. As a forward operation this is the transposed
convolution.)",
    conv2d::check_backward_x};

inline constexpr Contract kConv2dBackwardW = {
    "conv2d_backward_w", "conv2d",
    "out grad_w: T[K,Cg,R,S], x: T[N,C,H,W], grad_y: T[N,K,P,Q]; "
    "stride: int[2]=1, padding: int[2]=0, dilation: int[2]=1, groups: int=1",
    R"(grad_w[k,c,r,s] = sum over n, p, q of grad_y[n,k,p,q] * x[n, g Cg + c, p stride0 + r dilation0 - padding0,
                                                       q stride1 + s dilation1 - padding1],  g = k / (K / groups)

grad_w  [K, Cg, R, S]  overwritten; any strides, no overlap with an input
x       [N, C, H, W]   any strides; zero outside the picture. A variant may leave taps outside out of the sum: there, NaN and
                       infinities of grad_y may or may not make NaN
grad_y  [N, K, P, Q]   any strides

Sizes and attributes as for conv2d_forward; variant winograd as there, with 2 x 2 pixels of grad_y for weights: zeros of grad_y do not hide
a pixel of x. The order of the sum depends on the shapes and the instruction set alone, never on the number of threads.)",
    conv2d::check_backward_w};

inline constexpr Contract kConv2dBackwardB = {"conv2d_backward_b", "conv2d", "out grad_b: T[K], grad_y: T[N,K,P,Q]",
                                              R"(grad_b[k] = sum over n, p, q of grad_y[n,k,p,q]

grad_b  [K]           overwritten; any strides, no overlap with grad_y
grad_y  [N, K, P, Q]  any strides

The sum is a fixed tree, which depends on the shape and the strides alone. Fast where grad_y is dense along K (channels last), or
along P and Q (planar).)"};

}  // namespace ww
