// How the files of this folder write an op: a name, its cost, and one formula in the vectors x, or x1, x2, x3.
//
//   WW_FORMULA_2(Add, kCheap, x1 + x2)        defines template <class T> struct Add
//   constexpr Kernel kernels[] = {WW_FORWARD(Add)};
//
// An op with attributes is such a struct written out.
#pragma once

#include "kernels/common/strided_loop.h"
#include "kernels/common/vector_math.h"
#include "kernels/elementwise/elementwise.h"

namespace ww::WW_ISA {

#define WW_FORMULA(Name, n, price, arguments, formula)                  \
    template <class T>                                                  \
    struct Name {                                                       \
        static constexpr int inputs = n;                                \
        static constexpr int64_t cost = price;                          \
        explicit Name(const Call&) {}                                   \
        WW_INLINE Vec<T> operator() arguments const { return formula; } \
    };
#define WW_FORMULA_1(Name, cost, formula) WW_FORMULA(Name, 1, cost, (Vec<T> x), formula)
#define WW_FORMULA_2(Name, cost, formula) WW_FORMULA(Name, 2, cost, (Vec<T> x1, Vec<T> x2), formula)
#define WW_FORMULA_3(Name, cost, formula) WW_FORMULA(Name, 3, cost, (Vec<T> x1, Vec<T> x2, Vec<T> x3), formula)

#define WW_KERNEL(contract, Name) {&contract, "vector", WW_ISA_NAME, kFloats, by_float<map_op<Name, float>, map_op<Name, double>>}
#define WW_FORWARD(Name) WW_KERNEL(k##Name##Forward, Name)
#define WW_BACKWARD_X(Name) WW_KERNEL(k##Name##BackwardX, Name##Backward)

template <class T>
WW_INLINE Vec<T> constant(double value) {
    return Vec<T>(static_cast<T>(value));
}

// f of each lane in turn: for what has no vector form here.
template <class T, class F>
WW_INLINE Vec<T> each_lane(Vec<T> x, F f) {
    Vec<T> y;
    for (int i = 0; i < Vec<T>::width; i++) y.v[i] = f(x[i]);
    return y;
}
template <class T, class F>
WW_INLINE Vec<T> each_lane(Vec<T> x1, Vec<T> x2, F f) {
    Vec<T> y;
    for (int i = 0; i < Vec<T>::width; i++) y.v[i] = f(x1[i], x2[i]);
    return y;
}

}  // namespace ww::WW_ISA
