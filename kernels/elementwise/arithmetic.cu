// Elementwise arithmetic on CUDA: formulas in elementwise.h. Bound by bytes.
#include "kernels/elementwise/formula.cuh"

namespace ww::cuda {
namespace {

// fmod is exact and has the sign of a; a remainder of the other sign moves by one b.
template <class T>
WW_DEVICE T remainder_of(T a, T b) {
    T r = std::fmod(a, b);
    if (r == 0) return std::copysign(r, b);
    return (r < 0) != (b < 0) ? r + b : r;
}

// (a - r) / b is within rounding of an integer.
template <class T>
WW_DEVICE T floor_quotient(T a, T b) {
    if (b == 0) return a / b;
    T r = std::fmod(a, b), q = (a - r) / b;
    if (r != 0 && (r < 0) != (b < 0)) q -= 1;
    return q == 0 ? std::copysign(T(0), a / b) : std::nearbyint(q);
}

WW_FORMULA_2(Add, x1 + x2)
WW_FORMULA_2(Subtract, x1 - x2)
WW_FORMULA_2(Multiply, (x1 * x2))
WW_FORMULA_2(Divide, x1 / x2)
WW_FORMULA_2(Maximum, max_nan(x1, x2))
WW_FORMULA_2(Minimum, min_nan(x1, x2))
WW_FORMULA_2(Remainder, remainder_of(x1, x2))
WW_FORMULA_2(FloorDivide, floor_quotient(x1, x2))
WW_FORMULA_2(Copysign, std::copysign(x1, x2))
WW_FORMULA_1(Negative, -x)
WW_FORMULA_1(Abs, std::fabs(x))
WW_FORMULA_1(Sign, x > 0 ? T(1) : x < 0 ? T(-1) : x + T(0))
WW_FORMULA_1(Square, (x * x))
WW_FORMULA_1(Sqrt, std::sqrt(x))
WW_FORMULA_1(Rsqrt, T(1) / std::sqrt(x))
WW_FORMULA_1(Reciprocal, T(1) / x)
WW_FORMULA_1(Floor, std::floor(x))
WW_FORMULA_1(Ceil, std::ceil(x))
WW_FORMULA_1(Trunc, std::trunc(x))
WW_FORMULA_1(Round, std::nearbyint(x))

template <class T, int n>
struct Bounds {
    static constexpr int inputs = n;
    T low, high;
    explicit Bounds(const Call& call) : low(static_cast<T>(call.real(0))), high(static_cast<T>(call.real(1))) {}
};

template <class T>
struct Clip : Bounds<T, 1> {
    using Bounds<T, 1>::Bounds;
    WW_DEVICE T operator()(T x) const { return min_nan(max_nan(x, this->low), this->high); }
};

template <class T>
struct ClipBackward : Bounds<T, 2> {
    using Bounds<T, 2>::Bounds;
    WW_DEVICE T operator()(T grad_y, T x) const { return x >= this->low && x <= this->high ? grad_y : T(0); }
};

template <class T>
struct Where {
    WW_DEVICE T operator()(bool condition, T x1, T x2) const { return condition ? x1 : x2; }
};
template <class T>
void run_where(const Call& call) {
    launch_map<T, bool, T, T>(call, Where<T>());
}

template <class T>
struct Convert {
    template <class From>
    WW_DEVICE T operator()(From x) const {
        return static_cast<T>(x);
    }
};
template <class T>
void run_copy(const Call& call) {
    switch (call.view(1).dtype) {
        case DType::boolean: return launch_map<T, bool>(call, Convert<T>());
        case DType::int32: return launch_map<T, int32_t>(call, Convert<T>());
        case DType::int64: return launch_map<T, int64_t>(call, Convert<T>());
        case DType::float32: return launch_map<T, float>(call, Convert<T>());
        default: return launch_map<T, double>(call, Convert<T>());  // check_copy lets nothing else through
    }
}

constexpr Kernel kernels[] = {
    WW_FORWARD(Add),
    WW_FORWARD(Subtract),
    WW_FORWARD(Multiply),
    WW_FORWARD(Divide),
    WW_FORWARD(Maximum),
    WW_FORWARD(Minimum),
    WW_FORWARD(Remainder),
    WW_FORWARD(FloorDivide),
    WW_FORWARD(Copysign),
    WW_FORWARD(Negative),
    WW_FORWARD(Abs),
    WW_FORWARD(Sign),
    WW_FORWARD(Square),
    WW_FORWARD(Sqrt),
    WW_FORWARD(Rsqrt),
    WW_FORWARD(Reciprocal),
    WW_FORWARD(Floor),
    WW_FORWARD(Ceil),
    WW_FORWARD(Trunc),
    WW_FORWARD(Round),
    WW_FORWARD(Clip),
    WW_BACKWARD_X(Clip),
    {&kWhereForward, "map", WW_DEVICE_NAME, kFloats, by_float<run_where<float>, run_where<double>>},
    {&kCopyForward, "map", WW_DEVICE_NAME, kFloats, by_float<run_copy<float>, run_copy<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
