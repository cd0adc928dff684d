// How the .cu files of this folder write an op: a name and one formula in the values x, or x1, x2, x3. The CUDA twin of formula.h.
//
//   WW_FORMULA_2(Add, x1 + x2)                 defines template <class T> struct Add
//   constexpr Kernel kernels[] = {WW_FORWARD(Add)};
//
// An op with attributes is such a struct written out.
#pragma once

#include <cmath>

#include "kernels/common/strided_map.cuh"
#include "kernels/elementwise/elementwise.h"

namespace ww::cuda {

#define WW_FORMULA(Name, n, arguments, formula)                    \
    template <class T>                                             \
    struct Name {                                                  \
        static constexpr int inputs = n;                           \
        explicit Name(const Call&) {}                              \
        WW_DEVICE T operator() arguments const { return formula; } \
    };
#define WW_FORMULA_1(Name, formula) WW_FORMULA(Name, 1, (T x), formula)
#define WW_FORMULA_2(Name, formula) WW_FORMULA(Name, 2, (T x1, T x2), formula)
#define WW_FORMULA_3(Name, formula) WW_FORMULA(Name, 3, (T x1, T x2, T x3), formula)

#define WW_KERNEL(contract, Name) {&contract, "map", WW_DEVICE_NAME, kFloats, by_float<map_op<Name, float>, map_op<Name, double>>}
#define WW_FORWARD(Name) WW_KERNEL(k##Name##Forward, Name)
#define WW_BACKWARD_X(Name) WW_KERNEL(k##Name##BackwardX, Name##Backward)

template <template <class> class F, class T>
void map_op(const Call& call) {
    if constexpr (F<T>::inputs == 1) launch_map<T, T>(call, F<T>(call));
    else if constexpr (F<T>::inputs == 2) launch_map<T, T, T>(call, F<T>(call));
    else launch_map<T, T, T, T>(call, F<T>(call));
}

// The same value in the precision of the formula.
template <class T>
WW_DEVICE T constant(double value) {
    return static_cast<T>(value);
}

template <class T>
WW_DEVICE bool is_nan(T x) {
    return x != x;
}
// NaN if either is NaN.
template <class T>
WW_DEVICE T max_nan(T a, T b) {
    return a > b || is_nan(a) ? a : b;
}
template <class T>
WW_DEVICE T min_nan(T a, T b) {
    return a < b || is_nan(a) ? a : b;
}

template <class T>
WW_DEVICE T sigmoid(T x) {
    return T(1) / (T(1) + std::exp(-x));
}

// The normal distribution function, erfc(z) / 2 with z = -x / sqrt(2). erfc multiplies a relative error of z by 2 z^2, so the part
// of z that its rounding lost is put back by the derivative.
template <class T>
WW_DEVICE T normal_cdf(T x) {
    const T high = constant<T>(-0.70710678118654752440), low = constant<T>(-0.70710678118654752440 - static_cast<double>(high));
    const T z = x * high, lost = std::fma(x, high, -z) + x * low;
    const T value = std::erfc(z);
    return T(0.5) * (std::isfinite(lost) ? value - constant<T>(1.12837916709551257390) * std::exp(-z * z) * lost : value);
}

}  // namespace ww::cuda
