// Losses of one element each, and their slopes: formulas in loss.h. The binary cross-entropy and the divergence are bound by their
// exponentials and logarithms, the others by bytes.
#include "kernels/elementwise/formula.h"
#include "kernels/loss/loss.h"

namespace ww::WW_ISA {
namespace {

template <class T>
WW_INLINE Vec<T> sign(Vec<T> d) {  // NaN stays NaN
    return where<T>(d > Vec<T>::zero(), constant<T>(1), where<T>(d < Vec<T>::zero(), constant<T>(-1), d + Vec<T>::zero()));
}

WW_FORMULA_2(Mse, kCheap, ((x1 - x2) * (x1 - x2)))
WW_FORMULA_3(MseBackward, kCheap, (x1 * (constant<T>(2) * (x2 - x3))))
WW_FORMULA_2(L1, kCheap, abs(x1 - x2))
WW_FORMULA_3(L1Backward, kCheap, (x1 * sign(x2 - x3)))

template <class T, int n>
struct WithBeta {
    static constexpr int inputs = n;
    static constexpr int64_t cost = kCheap;
    Vec<T> beta;
    explicit WithBeta(const Call& call) : beta(static_cast<T>(call.real(0))) {}
};
template <class T>
struct SmoothL1 : WithBeta<T, 2> {
    using WithBeta<T, 2>::WithBeta;
    WW_INLINE Vec<T> operator()(Vec<T> x, Vec<T> target) const {
        Vec<T> d = x - target, size = abs(d), half = constant<T>(0.5);
        return where<T>(size < this->beta, d * d * (half / this->beta), size - half * this->beta);
    }
};
template <class T>
struct SmoothL1Backward : WithBeta<T, 3> {
    using WithBeta<T, 3>::WithBeta;
    WW_INLINE Vec<T> operator()(Vec<T> grad, Vec<T> x, Vec<T> target) const {
        Vec<T> d = x - target;
        return grad * where<T>(abs(d) < this->beta, d / this->beta, sign(d));
    }
};

template <class T>
WW_INLINE Vec<T> bce_with_logits(Vec<T> x, Vec<T> t) {
    return (constant<T>(1) - t) * x + (max_nan(-x, Vec<T>::zero()) + log1p(exp(-abs(x))));
}
WW_FORMULA_2(BceWithLogits, kCostly, bce_with_logits(x1, x2))
WW_FORMULA_3(BceWithLogitsBackward, kCostly, (x1 * (sigmoid(x2) - x3)))

WW_FORMULA_2(KlOfTarget, kCostly, (x2 * log(where<T>(x2 == Vec<T>::zero(), constant<T>(1), x2)) - x2 * x1))
WW_FORMULA_2(KlOfLogTarget, kCostly, (exp(x2) * (x2 - x1)))
WW_FORMULA_2(KlOfTargetBackward, kCheap, (-(x1 * x2)))
WW_FORMULA_2(KlOfLogTargetBackward, kCostly, (-(x1 * exp(x2))))

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
    {&kKlDivForward, "vector", WW_ISA_NAME, kFloats, by_float<kl_div<float>, kl_div<double>>},
    {&kKlDivBackwardInput, "vector", WW_ISA_NAME, kFloats, by_float<kl_div_backward<float>, kl_div_backward<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
