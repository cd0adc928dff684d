// Losses of one element each, and their slopes, on CUDA: formulas in loss.h. Bound by bytes.
#include "kernels/elementwise/formula.cuh"
#include "kernels/loss/loss.h"

namespace ww::cuda {
namespace {

template <class T>
WW_DEVICE T sign(T d) {  // NaN stays NaN
    return d > 0 ? T(1) : d < 0 ? T(-1) : d + T(0);
}

WW_FORMULA_2(Mse, ((x1 - x2) * (x1 - x2)))
WW_FORMULA_3(MseBackward, (x1 * (T(2) * (x2 - x3))))
WW_FORMULA_2(L1, std::fabs(x1 - x2))
WW_FORMULA_3(L1Backward, (x1 * sign(x2 - x3)))

template <class T, int n>
struct WithBeta {
    static constexpr int inputs = n;
    T beta;
    explicit WithBeta(const Call& call) : beta(static_cast<T>(call.real(0))) {}
};
template <class T>
struct SmoothL1 : WithBeta<T, 2> {
    using WithBeta<T, 2>::WithBeta;
    WW_DEVICE T operator()(T x, T target) const {
        const T d = x - target, size = std::fabs(d);
        return size < this->beta ? d * d * (T(0.5) / this->beta) : size - T(0.5) * this->beta;
    }
};
template <class T>
struct SmoothL1Backward : WithBeta<T, 3> {
    using WithBeta<T, 3>::WithBeta;
    WW_DEVICE T operator()(T grad, T x, T target) const {
        const T d = x - target;
        return grad * (std::fabs(d) < this->beta ? d / this->beta : sign(d));
    }
};

template <class T>
WW_DEVICE T bce_with_logits(T x, T t) {
    return (T(1) - t) * x + (max_nan(-x, T(0)) + std::log1p(std::exp(-std::fabs(x))));
}
WW_FORMULA_2(BceWithLogits, bce_with_logits(x1, x2))
WW_FORMULA_3(BceWithLogitsBackward, (x1 * (sigmoid(x2) - x3)))

WW_FORMULA_2(KlOfTarget, (x2 * std::log(x2 == 0 ? T(1) : x2) - x2 * x1))
WW_FORMULA_2(KlOfLogTarget, (std::exp(x2) * (x2 - x1)))
WW_FORMULA_2(KlOfTargetBackward, (-(x1 * x2)))
WW_FORMULA_2(KlOfLogTargetBackward, (-(x1 * std::exp(x2))))

template <class T>
void kl_div(const Call& call) {
    call.flag(0) ? map_op<KlOfLogTarget, T>(call) : map_op<KlOfTarget, T>(call);
}
template <class T>
void kl_div_backward(const Call& call) {
    call.flag(0) ? map_op<KlOfLogTargetBackward, T>(call) : map_op<KlOfTargetBackward, T>(call);
}

#define WW_BOTH(Name) WW_KERNEL(k##Name##Forward, Name), WW_KERNEL(k##Name##BackwardInput, Name##Backward)

constexpr Kernel kernels[] = {
    WW_BOTH(Mse),
    WW_BOTH(L1),
    WW_BOTH(SmoothL1),
    WW_BOTH(BceWithLogits),
    {&kKlDivForward, "map", WW_DEVICE_NAME, kFloats, by_float<kl_div<float>, kl_div<double>>},
    {&kKlDivBackwardInput, "map", WW_DEVICE_NAME, kFloats, by_float<kl_div_backward<float>, kl_div_backward<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
