// The recurrence as it is written, one sample and unit at a time: the first rung, for any strides.
#include <algorithm>
#include <cmath>

#include "engine/simd.h"
#include "kernels/gru/gru.h"

namespace ww::WW_ISA {
namespace {

using recurrent::element;

template <class T>
void forward(const Call& call) {
    const View &hidden = call.view(0), &gates = call.view(1), &final_hidden = call.view(2), &projected = call.view(3),
               &weight = call.view(4), &bias = call.view(5), &initial = call.view(6);
    const int64_t samples = final_hidden.shape[0], units = hidden.shape[1];
    const Steps steps(call.view(7), hidden.shape[0], samples, call.flag(0), static_cast<int64_t*>(call.workspace));
    for (int64_t p = 0; p < steps.count; p++) {
        const Step before = steps.at(p - 1), now = steps.at(p), after = steps.at(p + 1);
        for (int64_t n = 0; n < now.size; n++)
            for (int64_t u = 0; u < units; u++) {
                const int64_t row = now.begin + n;
                auto last = [&](int64_t l) {
                    return n < before.size ? element<T>(hidden, before.begin + n, l) : element<T>(initial, n, l);
                };
                T a[3], b[3];
                for (int g = 0; g < 3; g++) {
                    T sum = 0;
                    for (int64_t l = 0; l < units; l++) sum = std::fma(last(l), element<T>(weight, g * units + u, l), sum);
                    a[g] = element<T>(projected, row, g * units + u);
                    b[g] = bias.present() ? sum + bias.ptr<T>()[(g * units + u) * bias.strides[0]] : sum;
                }
                const T r = 1 / (1 + std::exp(-(a[0] + b[0]))), z = 1 / (1 + std::exp(-(a[1] + b[1])));
                const T m = std::tanh(a[2] + r * b[2]), h = (1 - z) * m + z * last(u);
                const T kept[4] = {r, z, m, b[2]};
                for (int g = 0; g < 4; g++) element<T>(gates, row, g * units + u) = kept[g];
                element<T>(hidden, row, u) = h;
                if (n >= after.size) element<T>(final_hidden, n, u) = h;
            }
    }
    for (int64_t n = 0; steps.count == 0 && n < samples; n++)
        for (int64_t u = 0; u < units; u++) element<T>(final_hidden, n, u) = element<T>(initial, n, u);
}

template <class T>
void backward(const Call& call) {
    const View &grad = call.view(0), &sent = call.view(1), &grad_initial = call.view(2), &grad_hidden = call.view(3),
               &grad_final = call.view(4), &gates = call.view(5), &hidden = call.view(6), &weight = call.view(7),
               &initial = call.view(8);
    const int64_t samples = grad_initial.shape[0], units = grad_initial.shape[1];
    const Steps steps(call.view(9), grad.shape[0], samples, call.flag(0), static_cast<int64_t*>(call.workspace));
    auto or_zero = [](const View& v, int64_t i, int64_t j) { return v.present() ? element<T>(v, i, j) : T(0); };
    for (int64_t n = 0; n < samples; n++)
        for (int64_t u = 0; u < units; u++) element<T>(grad_initial, n, u) = or_zero(grad_final, n, u);
    for (int64_t p = steps.count - 1; p >= -1; p--) {
        const Step before = steps.at(p - 1), now = steps.at(p), after = steps.at(p + 1);
        for (int64_t n = 0; n < std::max(now.size, after.size); n++)
            for (int64_t u = 0; u < units; u++) {
                T h = 0;
                for (int64_t l = 0; n < after.size && l < 3 * units; l++)
                    h = std::fma(element<T>(sent, after.begin + n, l), element<T>(weight, l, u), h);
                h += element<T>(grad_initial, n, u);  // what z let pass, or the gradient by the last state
                if (n >= now.size) {
                    element<T>(grad_initial, n, u) = h;
                    continue;
                }
                const int64_t row = now.begin + n;
                h += or_zero(grad_hidden, row, u);
                auto gate = [&](int g) { return element<T>(gates, row, g * units + u); };
                const T r = gate(0), z = gate(1), m = gate(2);
                const T last = n < before.size ? element<T>(hidden, before.begin + n, u) : element<T>(initial, n, u);
                const T by_n = h * (1 - z) * (1 - m * m);
                const T by[3] = {by_n * gate(3) * (r * (1 - r)), h * (last - m) * (z * (1 - z)), by_n};
                for (int g = 0; g < 3; g++) {
                    element<T>(grad, row, g * units + u) = by[g];
                    element<T>(sent, row, g * units + u) = g == 2 ? by_n * r : by[g];
                }
                element<T>(grad_initial, n, u) = h * z;
            }
    }
}

constexpr Kernel kernels[] = {
    {&kGruForward, "naive", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>, 0, nullptr,
     recurrent::steps_bytes<7, 2>},
    {&kGruBackward, "naive", WW_ISA_NAME, kFloats, by_float<backward<float>, backward<double>>, 0, nullptr,
     recurrent::steps_bytes<9, 2>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
