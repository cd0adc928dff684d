// The recurrence as it is written, one sample and unit at a time: the first rung, for any strides.
#include <algorithm>
#include <cmath>

#include "engine/simd.h"
#include "kernels/lstm/lstm.h"

namespace ww::WW_ISA {
namespace {

using recurrent::element;

template <class T>
void forward(const Call& call) {
    const View &hidden = call.view(0), &cell = call.view(1), &gates = call.view(2), &final_hidden = call.view(3),
               &final_cell = call.view(4), &projected = call.view(5), &weight = call.view(6), &initial_hidden = call.view(7),
               &initial_cell = call.view(8), &input = call.view(10), &input_weight = call.view(11);
    const int64_t samples = final_hidden.shape[0], units = hidden.shape[1], features = input.present() ? input.shape[1] : 0;
    const Steps steps(call.view(9), hidden.shape[0], samples, call.flag(0), static_cast<int64_t*>(call.workspace));
    for (int64_t p = 0; p < steps.count; p++) {
        const Step before = steps.at(p - 1), now = steps.at(p), after = steps.at(p + 1);
        for (int64_t n = 0; n < now.size; n++)
            for (int64_t u = 0; u < units; u++) {
                const int64_t row = now.begin + n;
                const bool begins = n >= before.size;
                T a[4];
                for (int g = 0; g < 4; g++) {
                    T sum = 0, product = 0;
                    for (int64_t l = 0; l < features; l++)
                        product = std::fma(element<T>(input, row, l), element<T>(input_weight, g * units + u, l), product);
                    for (int64_t l = 0; l < units; l++)
                        sum = std::fma(begins ? element<T>(initial_hidden, n, l) : element<T>(hidden, before.begin + n, l),
                                       element<T>(weight, g * units + u, l), sum);
                    a[g] = element<T>(projected, row, g * units + u) + (product + sum);
                    a[g] = g == 2 ? std::tanh(a[g]) : 1 / (1 + std::exp(-a[g]));
                    element<T>(gates, row, g * units + u) = a[g];
                }
                const T last = begins ? element<T>(initial_cell, n, u) : element<T>(cell, before.begin + n, u);
                const T c = a[1] * last + a[0] * a[2], h = a[3] * std::tanh(c);
                element<T>(cell, row, u) = c;
                element<T>(hidden, row, u) = h;
                if (n >= after.size) element<T>(final_hidden, n, u) = h, element<T>(final_cell, n, u) = c;
            }
    }
    for (int64_t n = 0; steps.count == 0 && n < samples; n++)
        for (int64_t u = 0; u < units; u++) {
            element<T>(final_hidden, n, u) = element<T>(initial_hidden, n, u);
            element<T>(final_cell, n, u) = element<T>(initial_cell, n, u);
        }
}

template <class T>
void backward(const Call& call) {
    const View &grad = call.view(0), &grad_initial_hidden = call.view(1), &grad_cell = call.view(2), &grad_hidden = call.view(3),
               &grad_final_hidden = call.view(4), &grad_final_cell = call.view(5), &gates = call.view(6), &cell = call.view(7),
               &weight = call.view(8), &initial_cell = call.view(9);
    const int64_t samples = grad_cell.shape[0], units = grad_cell.shape[1];
    const Steps steps(call.view(10), grad.shape[0], samples, call.flag(0), static_cast<int64_t*>(call.workspace));
    auto or_zero = [](const View& v, int64_t i, int64_t j) { return v.present() ? element<T>(v, i, j) : T(0); };
    for (int64_t n = 0; n < samples; n++)
        for (int64_t u = 0; u < units; u++) element<T>(grad_cell, n, u) = or_zero(grad_final_cell, n, u);
    for (int64_t p = steps.count - 1; p >= -1; p--) {
        const Step before = steps.at(p - 1), now = steps.at(p), after = steps.at(p + 1);
        for (int64_t n = 0; n < std::max(now.size, after.size); n++)
            for (int64_t u = 0; u < units; u++) {
                T h = 0;
                for (int64_t l = 0; n < after.size && l < 4 * units; l++)
                    h = std::fma(element<T>(grad, after.begin + n, l), element<T>(weight, l, u), h);
                if (n >= after.size) h = or_zero(grad_final_hidden, n, u);
                if (n >= now.size) {
                    element<T>(grad_initial_hidden, n, u) = h;
                    continue;
                }
                const int64_t row = now.begin + n;
                h += or_zero(grad_hidden, row, u);
                auto gate = [&](int g) { return element<T>(gates, row, g * units + u); };
                const T i = gate(0), f = gate(1), g = gate(2), o = gate(3), squashed = std::tanh(element<T>(cell, row, u));
                const T c = h * o * (1 - squashed * squashed) + element<T>(grad_cell, n, u);
                const T last = n < before.size ? element<T>(cell, before.begin + n, u) : element<T>(initial_cell, n, u);
                element<T>(grad, row, u) = c * g * (i * (1 - i));
                element<T>(grad, row, units + u) = c * last * (f * (1 - f));
                element<T>(grad, row, 2 * units + u) = c * i * (1 - g * g);
                element<T>(grad, row, 3 * units + u) = h * squashed * (o * (1 - o));
                element<T>(grad_cell, n, u) = c * f;
            }
    }
    for (int64_t n = 0; steps.count == 0 && n < samples; n++)
        for (int64_t u = 0; u < units; u++) element<T>(grad_initial_hidden, n, u) = or_zero(grad_final_hidden, n, u);
}

constexpr Kernel kernels[] = {
    {&kLstmForward, "naive", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>, 0, nullptr,
     recurrent::steps_bytes<9, 3>},
    {&kLstmBackward, "naive", WW_ISA_NAME, kFloats, by_float<backward<float>, backward<double>>, 0, nullptr,
     recurrent::steps_bytes<10, 1>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
