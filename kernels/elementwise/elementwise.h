// Contracts of the elementwise family: y[i] = f(x[i], ...) with NumPy's broadcasting, one table.
//
// Each op's raw kernel is <op>_forward(y, x), (y, x1, x2) or (y, condition, x1, x2); the fused derivatives are
// <op>_backward_x(grad_x, grad_y, ...). Special values follow C's annex F and the array API standard (2024.12).
#pragma once

#include "engine/registry.h"

namespace ww {

// View 0 has exactly the shape to which the inputs, views 1 to n, broadcast.
template <int n>
inline void check_broadcast(const Call& call) {
    const View& y = call.view(0);
    for (int d = 0; d < y.ndim; d++) {
        bool reached = false;
        for (int k = 1; k <= n; k++) {
            int own = d - (y.ndim - call.view(k).ndim);
            reached |= own >= 0 && call.view(k).shape[own] == y.shape[d];
        }
        if (!reached)
            fail<ShapeError>("%s: expected %s.shape[%d] to be the size to which the inputs broadcast, got %s.shape == %s", call.op,
                             find_op(call.op)->signature.views[0].name.c_str(), d,
                             find_op(call.op)->signature.views[0].name.c_str(), y.shape_text().c_str());
    }
    for (int k = 1; k <= n; k++) {
        const View& x = call.view(k);
        bool fits = x.ndim <= y.ndim;
        for (int d = 0; fits && d < x.ndim; d++) fits = x.shape[d] == 1 || x.shape[d] == y.shape[d + y.ndim - x.ndim];
        if (fits) continue;
        const auto& views = find_op(call.op)->signature.views;
        fail<ShapeError>("%s: expected %s to broadcast to %s.shape == %s, got %s.shape == %s", call.op, views[k].name.c_str(),
                         views[0].name.c_str(), y.shape_text().c_str(), views[k].name.c_str(), x.shape_text().c_str());
    }
}

inline void check_copy(const Call& call) {
    check_broadcast<1>(call);
    DType from = call.view(1).dtype;
    constexpr uint32_t known = kFloats | dtype_bit(DType::boolean) | dtype_bit(DType::int32) | dtype_bit(DType::int64);
    if (!(known >> static_cast<int>(from) & 1))
        fail<DTypeError>("%s: expected x.dtype == bool, int32, int64, float32 or float64, got %s", call.op, dtype_name(from));
}

#define WW_RULES                                                                                                                 \
    "\n\nInputs have the shape of the output, or broadcast to it as NumPy's do: fewer dimensions, or size 1. Any strides. The\n" \
    "output is overwritten; it may be exactly one of the inputs (same data, shape and strides), and overlap none otherwise.\n"   \
    "Each element depends on its own inputs alone, bit for bit."
#define WW_OP(Name, op, suffix, check, signature, doc) \
    inline constexpr Contract k##Name = {op suffix, op, signature, doc WW_RULES, check, true};
#define WW_UNARY(Name, op, doc, attrs) \
    WW_OP(Name##Forward, #op, "_forward", check_broadcast<1>, "out y: T[any...], x: T[any...]" attrs, doc)
#define WW_BINARY(Name, op, doc) \
    WW_OP(Name##Forward, #op, "_forward", check_broadcast<2>, "out y: T[any...], x1: T[any...], x2: T[any...]", doc)
#define WW_BACKWARD(Name, op, of, doc, attrs)                      \
    WW_OP(Name##BackwardX, #op, "_backward_x", check_broadcast<2>, \
          "out grad_x: T[any...], grad_y: T[any...], " #of ": T[any...]" attrs, doc)

// ---- arithmetic.cpp --------------------------------------------------------------------------------------------------------

WW_BINARY(Add, add, "y = x1 + x2")
WW_BINARY(Subtract, subtract, "y = x1 - x2")
WW_BINARY(Multiply, multiply, "y = x1 * x2")
WW_BINARY(Divide, divide, "y = x1 / x2")
WW_BINARY(Maximum, maximum, "y = the larger of x1 and x2; NaN if either is NaN")
WW_BINARY(Minimum, minimum, "y = the smaller of x1 and x2; NaN if either is NaN")
WW_BINARY(Remainder, remainder, "y = x1 - floor(x1 / x2) * x2, exactly: the remainder with the sign of x2 (Python's %)")
WW_BINARY(FloorDivide, floor_divide, "y = floor of the exact quotient x1 / x2, as Python's // gives it")
WW_BINARY(Copysign, copysign, "y = |x1| with the sign bit of x2")
WW_UNARY(Negative, negative, "y = -x", "")
WW_UNARY(Abs, abs, "y = |x|", "")
WW_UNARY(Sign, sign, "y = -1, 0 or 1 with the sign of x; sign(-0) = 0, sign(NaN) = NaN", "")
WW_UNARY(Square, square, "y = x * x", "")
WW_UNARY(Sqrt, sqrt, "y = square root of x, correctly rounded; NaN below 0", "")
WW_UNARY(Rsqrt, rsqrt, "y = 1 / sqrt(x), both correctly rounded", "")
WW_UNARY(Reciprocal, reciprocal, "y = 1 / x", "")
WW_UNARY(Floor, floor, "y = the largest integer <= x", "")
WW_UNARY(Ceil, ceil, "y = the smallest integer >= x", "")
WW_UNARY(Trunc, trunc, "y = x without its fraction", "")
WW_UNARY(Round, round, "y = the nearest integer, ties to even", "")
WW_UNARY(Clip, clip, "y = min(max(x, lower bound), upper bound); NaN stays NaN; where the bounds cross, the upper one wins",
         "; min: float=-inf, max: float=inf")
WW_BACKWARD(Clip, clip, x, "grad_x = grad_y where x lies in [min, max], bounds included, else 0, also for NaN",
            "; min: float=-inf, max: float=inf")
WW_OP(WhereForward, "where", "_forward", check_broadcast<3>,
      "out y: T[any...], condition: bool[any...], x1: T[any...], x2: T[any...]", "y = x1 where the condition holds, else x2")
WW_OP(CopyForward, "copy", "_forward", check_copy, "out y: T[any...], x: any[any...]",
      "y = x, from any strides to any strides; x is bool, int32, int64, float32 or float64, and converted to y's dtype")

// ---- transcendental.cpp: errors in kernels/common/vector_math.h; those said to be the C library's go lane by lane ----------

WW_UNARY(Exp, exp, "y = e^x", "")
WW_UNARY(Exp2, exp2, "y = 2^x", "")
WW_UNARY(Expm1, expm1, "y = e^x - 1, accurate near 0", "")
WW_UNARY(Log, log, "y = natural logarithm of x; -Inf at 0, NaN below", "")
WW_UNARY(Log2, log2, "y = logarithm of x to base 2; exact at powers of 2", "")
WW_UNARY(Log10, log10, "y = logarithm of x to base 10 (the C library's)", "")
WW_UNARY(Log1p, log1p, "y = log(1 + x), accurate near 0", "")
WW_UNARY(Sin, sin, "y = sin(x), with exact reduction of the argument at any size", "")
WW_UNARY(Cos, cos, "y = cos(x), with exact reduction of the argument at any size", "")
WW_UNARY(Tan, tan, "y = tan(x) (the C library's)", "")
WW_UNARY(Asin, asin, "y = arc sine of x (the C library's)", "")
WW_UNARY(Acos, acos, "y = arc cosine of x (the C library's)", "")
WW_UNARY(Atan, atan, "y = arc tangent of x (the C library's)", "")
WW_UNARY(Sinh, sinh, "y = sinh(x) (the C library's)", "")
WW_UNARY(Cosh, cosh, "y = cosh(x) (the C library's)", "")
WW_UNARY(Tanh, tanh, "y = tanh(x)", "")
WW_UNARY(Asinh, asinh, "y = inverse of sinh at x (the C library's)", "")
WW_UNARY(Acosh, acosh, "y = inverse of cosh at x (the C library's)", "")
WW_UNARY(Atanh, atanh, "y = inverse of tanh at x (the C library's)", "")
WW_UNARY(Erf, erf, "y = 2 / sqrt(pi) * integral of exp(-t^2) from 0 to x", "")
WW_BINARY(Pow, pow, "y = x1 to the power x2; float32 by way of float64, float64 the C library's")
WW_BINARY(Atan2, atan2, "y = the angle of the point (x2, x1), in [-pi, pi] (the C library's)")
WW_BINARY(Hypot, hypot, "y = sqrt(x1^2 + x2^2) without overflow on the way (the C library's)")
WW_BINARY(Logaddexp, logaddexp, "y = log(e^x1 + e^x2) without overflow on the way; to rounding of the larger input")
WW_BACKWARD(Tanh, tanh, y, "grad_x = grad_y * (1 - y^2), y = tanh(x)", "")

// ---- activation.cpp --------------------------------------------------------------------------------------------------------

WW_UNARY(Relu, relu, "y = max(x, 0); NaN stays NaN", "")
WW_BACKWARD(Relu, relu, x, "grad_x = 0 where x <= 0, else grad_y: relu'(0) = 0. The output y does as well as x", "")
WW_UNARY(LeakyRelu, leaky_relu, "y = x where x > 0, else alpha * x", "; alpha: float=0.01")
WW_BACKWARD(LeakyRelu, leaky_relu, x, "grad_x = grad_y where x > 0, else alpha * grad_y, at x = 0 too", "; alpha: float=0.01")
WW_UNARY(Elu, elu, "y = x where x > 0, else alpha * (e^x - 1) (Clevert et al. 2016, arXiv 1511.07289, eq. 15)", "; alpha: float=1")
WW_BACKWARD(Elu, elu, x, "grad_x = grad_y where x > 0, else grad_y * alpha * e^x, at x = 0 too", "; alpha: float=1")
WW_UNARY(Sigmoid, sigmoid, "y = 1 / (1 + e^-x)", "")
WW_BACKWARD(Sigmoid, sigmoid, y, "grad_x = grad_y * y * (1 - y), y = sigmoid(x)", "")
WW_UNARY(Silu, silu, "y = x * sigmoid(x) (Elfwing et al. 2018, arXiv 1702.03118, eq. 5)", "")
WW_BACKWARD(Silu, silu, x, "grad_x = grad_y * s * (1 + x * (1 - s)), s = sigmoid(x)", "")
WW_UNARY(Softplus, softplus, "y = log(1 + e^(beta x)) / beta, and x itself where beta x > threshold",
         "; beta: float=1, threshold: float=20")
WW_BACKWARD(Softplus, softplus, x, "grad_x = grad_y * sigmoid(beta x), and grad_y where beta x > threshold",
            "; beta: float=1, threshold: float=20")
WW_UNARY(Gelu, gelu,
         "y = x * (1 + erf(x / sqrt(2))) / 2 (Hendrycks and Gimpel 2016, arXiv 1606.08415, section 2); or, approximate='tanh',\n"
         "x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2",
         "; approximate: none|tanh=none")
WW_BACKWARD(Gelu, gelu, x, "grad_x = grad_y * the derivative of gelu at x, of the same form", "; approximate: none|tanh=none")

#undef WW_OP
#undef WW_UNARY
#undef WW_BINARY
#undef WW_BACKWARD
#undef WW_RULES

}  // namespace ww
