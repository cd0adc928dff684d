// Activation functions and their fused derivatives: formulas and conventions at kinks in elementwise.h. ReLU and its like are
// bound by bytes, the others by the arithmetic of one or two exponentials.
#include "kernels/elementwise/formula.h"

namespace ww::WW_ISA {
namespace {

template <class T>
WW_INLINE Vec<T> silu_slope(Vec<T> x) {
    Vec<T> one = constant<T>(1), s = sigmoid(x);
    return s * fma(x, one - s, one);
}

WW_FORMULA_1(Relu, kCheap, where<T>(x <= Vec<T>::zero(), Vec<T>::zero(), x))
WW_FORMULA_2(ReluBackward, kCheap, where<T>(x2 <= Vec<T>::zero(), Vec<T>::zero(), x1))
WW_FORMULA_1(Sigmoid, kCostly, sigmoid(x))
WW_FORMULA_2(SigmoidBackward, kCheap, (x1 * (x2 * (constant<T>(1) - x2))))
WW_FORMULA_1(Silu, kCostly, (x * sigmoid(x)))
WW_FORMULA_2(SiluBackward, kCostly, (x1 * silu_slope(x2)))

template <class T, int n, int64_t price>
struct WithAlpha {
    static constexpr int inputs = n;
    static constexpr int64_t cost = price;
    Vec<T> alpha;
    explicit WithAlpha(const Call& call) : alpha(static_cast<T>(call.real(0))) {}
};

template <class T>
struct LeakyRelu : WithAlpha<T, 1, kCheap> {
    using WithAlpha<T, 1, kCheap>::WithAlpha;
    WW_INLINE Vec<T> operator()(Vec<T> x) const { return where<T>(x > Vec<T>::zero(), x, this->alpha * x); }
};

template <class T>
struct LeakyReluBackward : WithAlpha<T, 2, kCheap> {
    using WithAlpha<T, 2, kCheap>::WithAlpha;
    WW_INLINE Vec<T> operator()(Vec<T> grad_y, Vec<T> x) const {
        return where<T>(x > Vec<T>::zero(), grad_y, this->alpha * grad_y);
    }
};

template <class T>
struct Elu : WithAlpha<T, 1, kCostly> {
    using WithAlpha<T, 1, kCostly>::WithAlpha;
    WW_INLINE Vec<T> operator()(Vec<T> x) const { return where<T>(x > Vec<T>::zero(), x, this->alpha * expm1(x)); }
};

template <class T>
struct EluBackward : WithAlpha<T, 2, kCostly> {
    using WithAlpha<T, 2, kCostly>::WithAlpha;
    WW_INLINE Vec<T> operator()(Vec<T> grad_y, Vec<T> x) const {
        return where<T>(x > Vec<T>::zero(), grad_y, grad_y * (this->alpha * exp(x)));
    }
};

template <class T, int n>
struct SoftplusBase {
    static constexpr int inputs = n;
    static constexpr int64_t cost = kCostly;
    Vec<T> beta, threshold;
    explicit SoftplusBase(const Call& call) : beta(static_cast<T>(call.real(0))), threshold(static_cast<T>(call.real(1))) {}
};

// log(1 + e^z) = max(z, 0) + log(1 + e^-|z|), which does not overflow.
template <class T>
struct Softplus : SoftplusBase<T, 1> {
    using SoftplusBase<T, 1>::SoftplusBase;
    WW_INLINE Vec<T> operator()(Vec<T> x) const {
        Vec<T> z = this->beta * x, y = (max_nan(z, Vec<T>::zero()) + log1p(exp(-abs(z)))) / this->beta;
        return where<T>(z > this->threshold, x, y);
    }
};

template <class T>
struct SoftplusBackward : SoftplusBase<T, 2> {
    using SoftplusBase<T, 2>::SoftplusBase;
    WW_INLINE Vec<T> operator()(Vec<T> grad_y, Vec<T> x) const {
        Vec<T> z = this->beta * x;
        return where<T>(z > this->threshold, grad_y, grad_y * sigmoid(z));
    }
};

constexpr double kSqrt2OverPi = 0.79788456080286535588, kCubic = 0.044715;

// (1 + tanh(u)) / 2 = sigmoid(2 u): one exponential, and no cancellation for large negative x.
template <class T>
WW_INLINE Vec<T> tanh_gate(Vec<T> x) {
    return sigmoid(constant<T>(2 * kSqrt2OverPi) * x * fma(constant<T>(kCubic), x * x, constant<T>(1)));
}
template <class T>
WW_INLINE Vec<T> gelu_slope(Vec<T> x) {
    Vec<T> density = constant<T>(kSqrt2OverPi / 2) * exp(constant<T>(-0.5) * x * x);
    return fma(x, density, normal_cdf(x));
}
template <class T>
WW_INLINE Vec<T> gelu_tanh_slope(Vec<T> x) {
    Vec<T> one = constant<T>(1), s = tanh_gate(x);
    Vec<T> du = constant<T>(2 * kSqrt2OverPi) * fma(constant<T>(3 * kCubic), x * x, one);
    return s * fma(x * du, one - s, one);
}

WW_FORMULA_1(GeluErf, kCostly, (x * normal_cdf(x)))
WW_FORMULA_1(GeluTanh, kCostly, (x * tanh_gate(x)))
WW_FORMULA_2(GeluErfBackward, kCostly, (x1 * gelu_slope(x2)))
WW_FORMULA_2(GeluTanhBackward, kCostly, (x1 * gelu_tanh_slope(x2)))

template <class T>
void gelu(const Call& call) {
    call.integer(0) == 0 ? map_op<GeluErf, T>(call) : map_op<GeluTanh, T>(call);
}
template <class T>
void gelu_backward(const Call& call) {
    call.integer(0) == 0 ? map_op<GeluErfBackward, T>(call) : map_op<GeluTanhBackward, T>(call);
}

constexpr Kernel kernels[] = {
    WW_FORWARD(Relu),
    WW_BACKWARD_X(Relu),
    WW_FORWARD(LeakyRelu),
    WW_BACKWARD_X(LeakyRelu),
    WW_FORWARD(Elu),
    WW_BACKWARD_X(Elu),
    WW_FORWARD(Sigmoid),
    WW_BACKWARD_X(Sigmoid),
    WW_FORWARD(Silu),
    WW_BACKWARD_X(Silu),
    WW_FORWARD(Softplus),
    WW_BACKWARD_X(Softplus),
    {&kGeluForward, "vector", WW_ISA_NAME, kFloats, by_float<gelu<float>, gelu<double>>},
    {&kGeluBackwardX, "vector", WW_ISA_NAME, kFloats, by_float<gelu_backward<float>, gelu_backward<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
