// Activation functions and their fused derivatives on CUDA: formulas and conventions at kinks in elementwise.h. Bound by bytes.
#include "kernels/elementwise/formula.cuh"

namespace ww::cuda {
namespace {

WW_FORMULA_1(Relu, x <= 0 ? T(0) : x)
WW_FORMULA_2(ReluBackward, x2 <= 0 ? T(0) : x1)
WW_FORMULA_1(Sigmoid, sigmoid(x))
WW_FORMULA_2(SigmoidBackward, (x1 * (x2 * (T(1) - x2))))
WW_FORMULA_1(Silu, (x * sigmoid(x)))

template <class T>
WW_DEVICE T silu_slope(T x) {
    T s = sigmoid(x);
    return s * std::fma(x, T(1) - s, T(1));
}
WW_FORMULA_2(SiluBackward, (x1 * silu_slope(x2)))

template <class T, int n>
struct WithAlpha {
    static constexpr int inputs = n;
    T alpha;
    explicit WithAlpha(const Call& call) : alpha(static_cast<T>(call.real(0))) {}
};

template <class T>
struct LeakyRelu : WithAlpha<T, 1> {
    using WithAlpha<T, 1>::WithAlpha;
    WW_DEVICE T operator()(T x) const { return x > 0 ? x : this->alpha * x; }
};
template <class T>
struct LeakyReluBackward : WithAlpha<T, 2> {
    using WithAlpha<T, 2>::WithAlpha;
    WW_DEVICE T operator()(T grad_y, T x) const { return x > 0 ? grad_y : this->alpha * grad_y; }
};
template <class T>
struct Elu : WithAlpha<T, 1> {
    using WithAlpha<T, 1>::WithAlpha;
    WW_DEVICE T operator()(T x) const { return x > 0 ? x : this->alpha * std::expm1(x); }
};
template <class T>
struct EluBackward : WithAlpha<T, 2> {
    using WithAlpha<T, 2>::WithAlpha;
    WW_DEVICE T operator()(T grad_y, T x) const { return x > 0 ? grad_y : grad_y * (this->alpha * std::exp(x)); }
};

template <class T, int n>
struct SoftplusBase {
    static constexpr int inputs = n;
    T beta, threshold;
    explicit SoftplusBase(const Call& call) : beta(static_cast<T>(call.real(0))), threshold(static_cast<T>(call.real(1))) {}
};
// log(1 + e^z) = max(z, 0) + log(1 + e^-|z|), which does not overflow.
template <class T>
struct Softplus : SoftplusBase<T, 1> {
    using SoftplusBase<T, 1>::SoftplusBase;
    WW_DEVICE T operator()(T x) const {
        T z = this->beta * x;
        return z > this->threshold ? x : (max_nan(z, T(0)) + std::log1p(std::exp(-std::fabs(z)))) / this->beta;
    }
};
template <class T>
struct SoftplusBackward : SoftplusBase<T, 2> {
    using SoftplusBase<T, 2>::SoftplusBase;
    WW_DEVICE T operator()(T grad_y, T x) const {
        T z = this->beta * x;
        return z > this->threshold ? grad_y : grad_y * sigmoid(z);
    }
};

constexpr double kSqrt2OverPi = 0.79788456080286535588, kCubic = 0.044715;

// (1 + tanh(u)) / 2 = sigmoid(2 u): one exponential, and no cancellation for large negative x.
template <class T>
WW_DEVICE T tanh_gate(T x) {
    return sigmoid(constant<T>(2 * kSqrt2OverPi) * x * std::fma(constant<T>(kCubic), x * x, T(1)));
}
template <class T>
WW_DEVICE T gelu_slope(T x) {
    T density = constant<T>(kSqrt2OverPi / 2) * std::exp(T(-0.5) * x * x);
    return std::fma(x, density, normal_cdf(x));
}
template <class T>
WW_DEVICE T gelu_tanh_slope(T x) {
    T s = tanh_gate(x), du = constant<T>(2 * kSqrt2OverPi) * std::fma(constant<T>(3 * kCubic), x * x, T(1));
    return s * std::fma(x * du, T(1) - s, T(1));
}

WW_FORMULA_1(GeluErf, (x * normal_cdf(x)))
WW_FORMULA_1(GeluTanh, (x * tanh_gate(x)))
WW_FORMULA_2(GeluErfBackward, (x1 * gelu_slope(x2)))
WW_FORMULA_2(GeluTanhBackward, (x1 * gelu_tanh_slope(x2)))

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
    {&kGeluForward, "map", WW_DEVICE_NAME, kFloats, by_float<gelu<float>, gelu<double>>},
    {&kGeluBackwardX, "map", WW_DEVICE_NAME, kFloats, by_float<gelu_backward<float>, gelu_backward<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
