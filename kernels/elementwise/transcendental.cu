// Exponentials, logarithms, trigonometry and powers on CUDA: formulas in elementwise.h. The functions are CUDA's own (at most 2 ulp
// for most: CUDA C++ programming guide, "Mathematical Functions"), in the simulator the C library's. Bound by arithmetic or bytes.
#include "kernels/elementwise/formula.cuh"

namespace ww::cuda {
namespace {

// Exponents of which a product or quotient gives the correctly rounded power take that.
WW_DEVICE double power(double a, double b) { return b == 2 ? a * a : b == 1 ? a : b == -1 ? 1 / a : std::pow(a, b); }
// By way of float64, whose error vanishes in the rounding.
WW_DEVICE float power(float a, float b) { return static_cast<float>(power(static_cast<double>(a), static_cast<double>(b))); }

template <class T>
WW_DEVICE T log_sum(T x1, T x2) {
    if (x1 == x2) return x1 + constant<T>(0.69314718055994530942);  // also where both are the same infinity
    return max_nan(x1, x2) + std::log1p(std::exp(-std::fabs(x1 - x2)));
}

WW_FORMULA_1(Exp, std::exp(x))
WW_FORMULA_1(Exp2, std::exp2(x))
WW_FORMULA_1(Expm1, std::expm1(x))
WW_FORMULA_1(Log, std::log(x))
WW_FORMULA_1(Log2, std::log2(x))
WW_FORMULA_1(Log10, std::log10(x))
WW_FORMULA_1(Log1p, std::log1p(x))
WW_FORMULA_1(Sin, std::sin(x))
WW_FORMULA_1(Cos, std::cos(x))
WW_FORMULA_1(Tan, std::tan(x))
WW_FORMULA_1(Asin, std::asin(x))
WW_FORMULA_1(Acos, std::acos(x))
WW_FORMULA_1(Atan, std::atan(x))
WW_FORMULA_1(Sinh, std::sinh(x))
WW_FORMULA_1(Cosh, std::cosh(x))
WW_FORMULA_1(Tanh, std::tanh(x))
WW_FORMULA_1(Asinh, std::asinh(x))
WW_FORMULA_1(Acosh, std::acosh(x))
WW_FORMULA_1(Atanh, std::atanh(x))
WW_FORMULA_1(Erf, std::erf(x))
WW_FORMULA_2(Pow, power(x1, x2))
WW_FORMULA_2(Atan2, std::atan2(x1, x2))
WW_FORMULA_2(Hypot, std::hypot(x1, x2))
WW_FORMULA_2(Logaddexp, log_sum(x1, x2))
WW_FORMULA_2(TanhBackward, (x1 * std::fma(-x2, x2, T(1))))

constexpr Kernel kernels[] = {
    WW_FORWARD(Exp),   WW_FORWARD(Exp2),  WW_FORWARD(Expm1), WW_FORWARD(Log),       WW_FORWARD(Log2),
    WW_FORWARD(Log10), WW_FORWARD(Log1p), WW_FORWARD(Sin),   WW_FORWARD(Cos),       WW_FORWARD(Tan),
    WW_FORWARD(Asin),  WW_FORWARD(Acos),  WW_FORWARD(Atan),  WW_FORWARD(Sinh),      WW_FORWARD(Cosh),
    WW_FORWARD(Tanh),  WW_FORWARD(Asinh), WW_FORWARD(Acosh), WW_FORWARD(Atanh),     WW_FORWARD(Erf),
    WW_FORWARD(Pow),   WW_FORWARD(Atan2), WW_FORWARD(Hypot), WW_FORWARD(Logaddexp), WW_BACKWARD_X(Tanh),
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
