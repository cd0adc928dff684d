// SGD, Adam and AdamW, RMSprop, Adagrad: the formulas of optimizer.h, in the order in which PyTorch rounds them, so that
// trajectories agree to rounding. Every element is independent. Bound by memory: SGD with momentum moves 20 bytes a float32
// parameter, Adam 28; the square root and divisions of Adam hide behind them.
#include <cmath>

#include "kernels/optimizer/multi_tensor.h"

namespace ww::WW_ISA {
namespace {

// -grad where the objective is maximised, plus weight_decay * param.
template <class T>
struct Gradient {
    Vec<T> sign, decay;
    bool decays;

    Gradient(bool maximize, double weight_decay)
        : sign(T(maximize ? -1 : 1)), decay(static_cast<T>(weight_decay)), decays(weight_decay != 0) {}
    WW_INLINE Vec<T> operator()(Vec<T> grad, Vec<T> param) const {
        grad = grad * sign;
        return decays ? fma(param, decay, grad) : grad;
    }
};

// a + weight (b - a), from the nearer end.
template <class T>
WW_INLINE Vec<T> lerp(Vec<T> a, Vec<T> b, T weight) {
    return weight < T(0.5) ? fma(Vec<T>(weight), b - a, a) : b - (b - a) * Vec<T>(T(1) - weight);
}

template <class T, bool has_momentum>
void sgd_lists(const Call& call) {
    const Gradient<T> gradient(call.flag(5), call.real(3));
    const T minus_lr = static_cast<T>(-call.real(0)), momentum = static_cast<T>(call.real(1)),
            fresh = static_cast<T>(1 - call.real(2));
    const bool nesterov = call.flag(4), first = call.flag(6);
    step_all<T, has_momentum ? 0b111 : 0b011, has_momentum ? 0b101 : 0b001>(call, [=](Vec<T>* v) {
        Vec<T> g = gradient(v[1], v[0]);
        if (has_momentum) {
            v[2] = first ? g : fma(g, Vec<T>(fresh), v[2] * Vec<T>(momentum));
            g = nesterov ? fma(v[2], Vec<T>(momentum), g) : v[2];
        }
        v[0] = fma(g, Vec<T>(minus_lr), v[0]);
    });
}

template <class T>
void sgd(const Call& call) {
    call.real(1) != 0 ? sgd_lists<T, true>(call) : sgd_lists<T, false>(call);
}

template <class T, bool amsgrad>
void adam_lists(const Call& call) {
    const double lr = call.real(0), beta1 = call.real(1), beta2 = call.real(2), decay = call.real(4);
    const auto step = static_cast<double>(call.integer(5));
    const bool decoupled = call.flag(8);
    const Gradient<T> gradient(call.flag(7), decoupled ? 0 : decay);
    const T keep = static_cast<T>(decoupled ? 1 - lr * decay : 1), to_grad = static_cast<T>(1 - beta1), b2 = static_cast<T>(beta2);
    const T to_square = static_cast<T>(1 - beta2), eps = static_cast<T>(call.real(3));
    const T minus_size = static_cast<T>(-lr / (1 - std::pow(beta1, step))),
            root = static_cast<T>(std::sqrt(1 - std::pow(beta2, step)));
    step_all<T, amsgrad ? 0b11111 : 0b01111, amsgrad ? 0b11101 : 0b01101>(call, [=](Vec<T>* v) {
        Vec<T> g = gradient(v[1], v[0]), p = v[0] * Vec<T>(keep);
        v[2] = lerp(v[2], g, to_grad);
        v[3] = fma(Vec<T>(to_square) * g, g, v[3] * Vec<T>(b2));
        if (amsgrad) v[4] = max_nan(v[4], v[3]);
        Vec<T> divisor = sqrt(amsgrad ? v[4] : v[3]) / Vec<T>(root) + Vec<T>(eps);
        v[0] = p + Vec<T>(minus_size) * v[2] / divisor;
    });
}

template <class T>
void adam(const Call& call) {
    call.flag(6) ? adam_lists<T, true>(call) : adam_lists<T, false>(call);
}

template <class T, bool has_momentum, bool centered>
void rmsprop_lists(const Call& call) {
    const Gradient<T> gradient(call.flag(6), call.real(3));
    const T minus_lr = static_cast<T>(-call.real(0)), alpha = static_cast<T>(call.real(1)),
            fresh = static_cast<T>(1 - call.real(1));
    const T eps = static_cast<T>(call.real(2)), momentum = static_cast<T>(call.real(4));
    constexpr unsigned states = 0b00100 | (has_momentum ? 0b01000 : 0) | (centered ? 0b10000 : 0);
    step_all<T, states | 0b11, states | 0b01>(call, [=](Vec<T>* v) {
        Vec<T> g = gradient(v[1], v[0]);
        v[2] = fma(Vec<T>(fresh) * g, g, v[2] * Vec<T>(alpha));
        Vec<T> square = v[2];
        if (centered) {
            v[4] = lerp(v[4], g, fresh);
            square = square - v[4] * v[4];
        }
        Vec<T> divisor = sqrt(square) + Vec<T>(eps);
        if (has_momentum) {
            v[3] = v[3] * Vec<T>(momentum) + g / divisor;
            v[0] = fma(v[3], Vec<T>(minus_lr), v[0]);
        } else {
            v[0] = v[0] + Vec<T>(minus_lr) * g / divisor;
        }
    });
}

template <class T>
void rmsprop(const Call& call) {
    bool has_momentum = call.real(4) != 0, centered = call.flag(5);
    if (has_momentum) centered ? rmsprop_lists<T, true, true>(call) : rmsprop_lists<T, true, false>(call);
    else centered ? rmsprop_lists<T, false, true>(call) : rmsprop_lists<T, false, false>(call);
}

template <class T>
void adagrad(const Call& call) {
    const Gradient<T> gradient(call.flag(3), call.real(2));
    const T minus_lr = static_cast<T>(-call.real(0)), eps = static_cast<T>(call.real(1));
    step_all<T, 0b111, 0b101>(call, [=](Vec<T>* v) {
        Vec<T> g = gradient(v[1], v[0]);
        v[2] = fma(g, g, v[2]);
        v[0] = v[0] + Vec<T>(minus_lr) * g / (sqrt(v[2]) + Vec<T>(eps));
    });
}

constexpr Kernel kernels[] = {
    {&kSgdStep, "fused", WW_ISA_NAME, kFloats, by_float<sgd<float>, sgd<double>>, 0, nullptr, ends_bytes},
    {&kAdamStep, "fused", WW_ISA_NAME, kFloats, by_float<adam<float>, adam<double>>, 0, nullptr, ends_bytes},
    {&kRmspropStep, "fused", WW_ISA_NAME, kFloats, by_float<rmsprop<float>, rmsprop<double>>, 0, nullptr, ends_bytes},
    {&kAdagradStep, "fused", WW_ISA_NAME, kFloats, by_float<adagrad<float>, adagrad<double>>, 0, nullptr, ends_bytes},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
