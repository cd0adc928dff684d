// Elementwise arithmetic: formulas in elementwise.h. Bound by bytes, the square root and division of small tensors apart.
#include "kernels/elementwise/formula.h"

namespace ww::WW_ISA {
namespace {

// fmod is exact and has the sign of a; a remainder of the other sign moves by one b.
template <class T>
T remainder_of(T a, T b) {
    T r = std::fmod(a, b);
    if (r == 0) return std::copysign(r, b);
    return (r < 0) != (b < 0) ? r + b : r;
}

// (a - r) / b is within rounding of an integer.
template <class T>
T floor_quotient(T a, T b) {
    if (b == 0) return a / b;
    T r = std::fmod(a, b), q = (a - r) / b;
    if (r != 0 && (r < 0) != (b < 0)) q -= 1;
    return q == 0 ? std::copysign(T(0), a / b) : std::nearbyint(q);
}

WW_FORMULA_2(Add, kCheap, x1 + x2)
WW_FORMULA_2(Subtract, kCheap, x1 - x2)
WW_FORMULA_2(Multiply, kCheap, (x1 * x2))
WW_FORMULA_2(Divide, kCheap, x1 / x2)
WW_FORMULA_2(Maximum, kCheap, max_nan(x1, x2))
WW_FORMULA_2(Minimum, kCheap, min_nan(x1, x2))
WW_FORMULA_2(Remainder, kCostly, each_lane(x1, x2, remainder_of<T>))
WW_FORMULA_2(FloorDivide, kCostly, each_lane(x1, x2, floor_quotient<T>))
WW_FORMULA_2(Copysign, kCheap, math::copy_sign(x1, x2))
WW_FORMULA_1(Negative, kCheap, -x)
WW_FORMULA_1(Abs, kCheap, abs(x))
WW_FORMULA_1(Sign, kCheap,
             where<T>(x > Vec<T>::zero(), constant<T>(1), where<T>(x < Vec<T>::zero(), constant<T>(-1), x + Vec<T>::zero())))
WW_FORMULA_1(Square, kCheap, (x * x))
WW_FORMULA_1(Sqrt, kCheap, sqrt(x))
WW_FORMULA_1(Rsqrt, kCheap, constant<T>(1) / sqrt(x))
WW_FORMULA_1(Reciprocal, kCheap, constant<T>(1) / x)
WW_FORMULA_1(Floor, kCheap, floor(x))
WW_FORMULA_1(Ceil, kCheap, ceil(x))
WW_FORMULA_1(Trunc, kCheap, trunc(x))
WW_FORMULA_1(Round, kCheap, round(x))
WW_FORMULA_1(Copy, kCheap, x)
WW_FORMULA_3(Where, kCheap, where<T>(x1 != Vec<T>::zero(), x2, x3))

template <class T>
struct Bounds {
    static constexpr int64_t cost = kCheap;
    Vec<T> low, high;
    explicit Bounds(const Call& call) : low(static_cast<T>(call.real(0))), high(static_cast<T>(call.real(1))) {}
};

template <class T>
struct Clip : Bounds<T> {
    static constexpr int inputs = 1;
    using Bounds<T>::Bounds;
    WW_INLINE Vec<T> operator()(Vec<T> x) const { return min_nan(max_nan(x, this->low), this->high); }
};

template <class T>
struct ClipBackward : Bounds<T> {
    static constexpr int inputs = 2;
    using Bounds<T>::Bounds;
    WW_INLINE Vec<T> operator()(Vec<T> grad_y, Vec<T> x) const {
        return where<T>((x >= this->low) & (x <= this->high), grad_y, Vec<T>::zero());
    }
};

constexpr Kernel kernels[] = {
    WW_FORWARD(Add),        WW_FORWARD(Subtract),  WW_FORWARD(Multiply),    WW_FORWARD(Divide),   WW_FORWARD(Maximum),
    WW_FORWARD(Minimum),    WW_FORWARD(Remainder), WW_FORWARD(FloorDivide), WW_FORWARD(Copysign), WW_FORWARD(Negative),
    WW_FORWARD(Abs),        WW_FORWARD(Sign),      WW_FORWARD(Square),      WW_FORWARD(Sqrt),     WW_FORWARD(Rsqrt),
    WW_FORWARD(Reciprocal), WW_FORWARD(Floor),     WW_FORWARD(Ceil),        WW_FORWARD(Trunc),    WW_FORWARD(Round),
    WW_FORWARD(Copy),       WW_FORWARD(Where),     WW_FORWARD(Clip),        WW_BACKWARD_X(Clip),
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
