// SGD, Adam and AdamW, RMSprop, Adagrad on CUDA: the formulas of optimizer.h in the order of optimizer.cpp. Every element is
// independent. Bound by bytes.
#include <cmath>

#include "kernels/elementwise/formula.cuh"
#include "kernels/optimizer/multi_tensor.cuh"

namespace ww::cuda {
namespace {

// -grad where the objective is maximised, plus weight_decay * param.
template <class T>
struct Gradient {
    T sign, decay;
    bool decays;

    Gradient(bool maximize, double weight_decay)
        : sign(T(maximize ? -1 : 1)), decay(static_cast<T>(weight_decay)), decays(weight_decay != 0) {}
    WW_DEVICE T operator()(T grad, T param) const { return decays ? std::fma(param, decay, grad * sign) : grad * sign; }
};

// a + weight (b - a), from the nearer end.
template <class T>
WW_DEVICE T lerp(T a, T b, T weight) {
    return weight < T(0.5) ? std::fma(weight, b - a, a) : b - (b - a) * (T(1) - weight);
}

template <class T, bool has_momentum>
struct Sgd {
    static constexpr unsigned lists = has_momentum ? 0b111 : 0b011, written = has_momentum ? 0b101 : 0b001;
    Gradient<T> gradient;
    T minus_lr, momentum, fresh;
    bool nesterov, first;

    explicit Sgd(const Call& call)
        : gradient(call.flag(5), call.real(3)),
          minus_lr(static_cast<T>(-call.real(0))),
          momentum(static_cast<T>(call.real(1))),
          fresh(static_cast<T>(1 - call.real(2))),
          nesterov(call.flag(4)),
          first(call.flag(6)) {}
    WW_DEVICE void operator()(T* v) const {
        T g = gradient(v[1], v[0]);
        if constexpr (has_momentum) {
            v[2] = first ? g : std::fma(g, fresh, v[2] * momentum);
            g = nesterov ? std::fma(v[2], momentum, g) : v[2];
        }
        v[0] = std::fma(g, minus_lr, v[0]);
    }
};

template <class T>
void sgd(const Call& call) {
    call.real(1) != 0 ? step_all<T>(call, Sgd<T, true>(call)) : step_all<T>(call, Sgd<T, false>(call));
}

template <class T, bool amsgrad>
struct Adam {
    static constexpr unsigned lists = amsgrad ? 0b11111 : 0b01111, written = amsgrad ? 0b11101 : 0b01101;
    Gradient<T> gradient;
    T keep, to_grad, b2, to_square, eps, minus_size, root;

    explicit Adam(const Call& call) : gradient(call.flag(7), call.flag(8) ? 0 : call.real(4)) {
        const double lr = call.real(0), beta1 = call.real(1), beta2 = call.real(2);
        const auto step = static_cast<double>(call.integer(5));
        keep = static_cast<T>(call.flag(8) ? 1 - lr * call.real(4) : 1), to_grad = static_cast<T>(1 - beta1);
        b2 = static_cast<T>(beta2), to_square = static_cast<T>(1 - beta2), eps = static_cast<T>(call.real(3));
        minus_size = static_cast<T>(-lr / (1 - std::pow(beta1, step)));
        root = static_cast<T>(std::sqrt(1 - std::pow(beta2, step)));
    }
    WW_DEVICE void operator()(T* v) const {
        const T g = gradient(v[1], v[0]), p = v[0] * keep;
        v[2] = lerp(v[2], g, to_grad);
        v[3] = std::fma(to_square * g, g, v[3] * b2);
        if constexpr (amsgrad) v[4] = max_nan(v[4], v[3]);
        const T divisor = std::sqrt(amsgrad ? v[4] : v[3]) / root + eps;
        v[0] = p + minus_size * v[2] / divisor;
    }
};

template <class T>
void adam(const Call& call) {
    call.flag(6) ? step_all<T>(call, Adam<T, true>(call)) : step_all<T>(call, Adam<T, false>(call));
}

template <class T, bool has_momentum, bool centered>
struct Rmsprop {
    static constexpr unsigned states = 0b00100 | (has_momentum ? 0b01000 : 0) | (centered ? 0b10000 : 0);
    static constexpr unsigned lists = states | 0b11, written = states | 0b01;
    Gradient<T> gradient;
    T minus_lr, alpha, fresh, eps, momentum;

    explicit Rmsprop(const Call& call)
        : gradient(call.flag(6), call.real(3)),
          minus_lr(static_cast<T>(-call.real(0))),
          alpha(static_cast<T>(call.real(1))),
          fresh(static_cast<T>(1 - call.real(1))),
          eps(static_cast<T>(call.real(2))),
          momentum(static_cast<T>(call.real(4))) {}
    WW_DEVICE void operator()(T* v) const {
        const T g = gradient(v[1], v[0]);
        v[2] = std::fma(fresh * g, g, v[2] * alpha);
        T square = v[2];
        if constexpr (centered) {
            v[4] = lerp(v[4], g, fresh);
            square = square - v[4] * v[4];
        }
        const T divisor = std::sqrt(square) + eps;
        if constexpr (has_momentum) {
            v[3] = v[3] * momentum + g / divisor;
            v[0] = std::fma(v[3], minus_lr, v[0]);
        } else {
            v[0] = v[0] + minus_lr * g / divisor;
        }
    }
};

template <class T, bool has_momentum>
void rmsprop_momentum(const Call& call) {
    call.flag(5) ? step_all<T>(call, Rmsprop<T, has_momentum, true>(call))
                 : step_all<T>(call, Rmsprop<T, has_momentum, false>(call));
}
template <class T>
void rmsprop(const Call& call) {
    call.real(4) != 0 ? rmsprop_momentum<T, true>(call) : rmsprop_momentum<T, false>(call);
}

template <class T>
struct Adagrad {
    static constexpr unsigned lists = 0b111, written = 0b101;
    Gradient<T> gradient;
    T minus_lr, eps;

    explicit Adagrad(const Call& call)
        : gradient(call.flag(3), call.real(2)), minus_lr(static_cast<T>(-call.real(0))), eps(static_cast<T>(call.real(1))) {}
    WW_DEVICE void operator()(T* v) const {
        const T g = gradient(v[1], v[0]);
        v[2] = std::fma(g, g, v[2]);
        v[0] = v[0] + minus_lr * g / (std::sqrt(v[2]) + eps);
    }
};

template <class T>
void adagrad(const Call& call) {
    step_all<T>(call, Adagrad<T>(call));
}

constexpr Kernel kernels[] = {
    {&kSgdStep, "elements", WW_DEVICE_NAME, kFloats, by_float<sgd<float>, sgd<double>>},
    {&kAdamStep, "elements", WW_DEVICE_NAME, kFloats, by_float<adam<float>, adam<double>>},
    {&kRmspropStep, "elements", WW_DEVICE_NAME, kFloats, by_float<rmsprop<float>, rmsprop<double>>},
    {&kAdagradStep, "elements", WW_DEVICE_NAME, kFloats, by_float<adagrad<float>, adagrad<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
