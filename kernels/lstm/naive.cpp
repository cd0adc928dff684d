// The recurrence as it is written, one sample and unit at a time: the first rung, for any strides.
#include <cmath>

#include "engine/simd.h"
#include "kernels/lstm/lstm.h"

namespace ww::WW_ISA {
namespace {

template <class T>
T& at(const View& v, int64_t i, int64_t j) {
    return v.ptr<T>()[i * v.strides[0] + j * v.strides[1]];
}
template <class T>
T& at(const View& v, int64_t t, int64_t i, int64_t j) {
    return v.ptr<T>()[t * v.strides[0] + i * v.strides[1] + j * v.strides[2]];
}

template <class T>
void forward(const Call& call) {
    const View &hidden = call.view(0), &cell = call.view(1), &gates = call.view(2), &projected = call.view(3),
               &weight = call.view(4);
    int64_t steps = hidden.shape[0], samples = hidden.shape[1], units = hidden.shape[2];
    for (int64_t t = 0; t < steps; t++)
        for (int64_t n = 0; n < samples; n++)
            for (int64_t u = 0; u < units; u++) {
                T a[4];
                for (int g = 0; g < 4; g++) {
                    T sum = 0;
                    for (int64_t l = 0; l < units; l++)
                        sum = std::fma(t ? at<T>(hidden, t - 1, n, l) : at<T>(call.view(5), n, l), at<T>(weight, g * units + u, l),
                                       sum);
                    a[g] = at<T>(projected, t, n, g * units + u) + sum;
                    a[g] = g == 2 ? std::tanh(a[g]) : 1 / (1 + std::exp(-a[g]));
                    at<T>(gates, t, n, g * units + u) = a[g];
                }
                T c = a[1] * (t ? at<T>(cell, t - 1, n, u) : at<T>(call.view(6), n, u)) + a[0] * a[2];
                at<T>(cell, t, n, u) = c;
                at<T>(hidden, t, n, u) = a[3] * std::tanh(c);
            }
}

template <class T>
void backward(const Call& call) {
    const View &grad = call.view(0), &grad_h = call.view(1), &grad_c = call.view(2), &from = call.view(3),
               &final_cell = call.view(4);
    const View &gates = call.view(5), &cell = call.view(6), &weight = call.view(7);
    int64_t steps = grad.shape[0], samples = grad.shape[1], units = grad_h.shape[1];
    auto by_hidden = [&](int64_t t, int64_t n, int64_t u) {  // what step t sends back to the hidden state before it
        T sum = 0;
        for (int64_t l = 0; l < 4 * units; l++) sum = std::fma(at<T>(grad, t, n, l), at<T>(weight, l, u), sum);
        return sum;
    };
    for (int64_t n = 0; n < samples; n++)
        for (int64_t u = 0; u < units; u++) at<T>(grad_c, n, u) = final_cell.present() ? at<T>(final_cell, n, u) : 0;
    for (int64_t t = steps - 1; t >= 0; t--)
        for (int64_t n = 0; n < samples; n++)
            for (int64_t u = 0; u < units; u++) {
                auto gate = [&](int g) { return at<T>(gates, t, n, g * units + u); };
                T i = gate(0), f = gate(1), g = gate(2), o = gate(3), squashed = std::tanh(at<T>(cell, t, n, u));
                T h = at<T>(from, t, n, u) + (t + 1 < steps ? by_hidden(t + 1, n, u) : 0);
                T c = h * o * (1 - squashed * squashed) + at<T>(grad_c, n, u);
                T before = t ? at<T>(cell, t - 1, n, u) : at<T>(call.view(8), n, u);
                at<T>(grad, t, n, u) = c * g * i * (1 - i);
                at<T>(grad, t, n, units + u) = c * before * f * (1 - f);
                at<T>(grad, t, n, 2 * units + u) = c * i * (1 - g * g);
                at<T>(grad, t, n, 3 * units + u) = h * squashed * o * (1 - o);
                at<T>(grad_c, n, u) = c * f;
            }
    for (int64_t n = 0; n < samples; n++)
        for (int64_t u = 0; u < units; u++) at<T>(grad_h, n, u) = steps ? by_hidden(0, n, u) : 0;
}

constexpr Kernel kernels[] = {
    {&kLstmForward, "naive", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kLstmBackward, "naive", WW_ISA_NAME, kFloats, by_float<backward<float>, backward<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
