// The recurrence as it is written, one sample and unit at a time: the first rung, for any strides.
#include <algorithm>
#include <cmath>

#include "engine/simd.h"
#include "kernels/rnn/rnn.h"

namespace ww::WW_ISA {
namespace {

using recurrent::element;

template <class T>
void forward(const Call& call) {
    const View &hidden = call.view(0), &final_hidden = call.view(1), &projected = call.view(2), &weight = call.view(3),
               &initial = call.view(4);
    const int64_t samples = final_hidden.shape[0], units = hidden.shape[1];
    const bool relu = call.integer(1) == 1;
    const Steps steps(call.view(5), hidden.shape[0], samples, call.flag(0), static_cast<int64_t*>(call.workspace));
    for (int64_t p = 0; p < steps.count; p++) {
        const Step before = steps.at(p - 1), now = steps.at(p), after = steps.at(p + 1);
        for (int64_t n = 0; n < now.size; n++)
            for (int64_t u = 0; u < units; u++) {
                T sum = 0;
                for (int64_t l = 0; l < units; l++)
                    sum = std::fma(n < before.size ? element<T>(hidden, before.begin + n, l) : element<T>(initial, n, l),
                                   element<T>(weight, u, l), sum);
                const T a = element<T>(projected, now.begin + n, u) + sum;
                const T h = !relu ? std::tanh(a) : a < 0 ? T(0) : a;
                element<T>(hidden, now.begin + n, u) = h;
                if (n >= after.size) element<T>(final_hidden, n, u) = h;
            }
    }
    for (int64_t n = 0; steps.count == 0 && n < samples; n++)
        for (int64_t u = 0; u < units; u++) element<T>(final_hidden, n, u) = element<T>(initial, n, u);
}

template <class T>
void backward(const Call& call) {
    const View &grad = call.view(0), &grad_initial = call.view(1), &grad_hidden = call.view(2), &grad_final = call.view(3),
               &hidden = call.view(4), &weight = call.view(5);
    const int64_t samples = grad_initial.shape[0], units = grad_initial.shape[1];
    const bool relu = call.integer(1) == 1;
    const Steps steps(call.view(6), grad.shape[0], samples, call.flag(0), static_cast<int64_t*>(call.workspace));
    auto or_zero = [](const View& v, int64_t i, int64_t j) { return v.present() ? element<T>(v, i, j) : T(0); };
    for (int64_t p = steps.count - 1; p >= -1; p--) {
        const Step now = steps.at(p), after = steps.at(p + 1);
        for (int64_t n = 0; n < std::max(now.size, after.size); n++)
            for (int64_t u = 0; u < units; u++) {
                T h = 0;
                for (int64_t l = 0; n < after.size && l < units; l++)
                    h = std::fma(element<T>(grad, after.begin + n, l), element<T>(weight, l, u), h);
                if (n >= after.size) h = or_zero(grad_final, n, u);
                if (n >= now.size) {
                    element<T>(grad_initial, n, u) = h;
                    continue;
                }
                h += or_zero(grad_hidden, now.begin + n, u);
                const T y = element<T>(hidden, now.begin + n, u);
                element<T>(grad, now.begin + n, u) = !relu ? h * (1 - y * y) : y <= 0 ? T(0) : h;
            }
    }
    for (int64_t n = 0; steps.count == 0 && n < samples; n++)
        for (int64_t u = 0; u < units; u++) element<T>(grad_initial, n, u) = or_zero(grad_final, n, u);
}

constexpr Kernel kernels[] = {
    {&kRnnForward, "naive", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>, 0, nullptr,
     recurrent::steps_bytes<5, 1>},
    {&kRnnBackward, "naive", WW_ISA_NAME, kFloats, by_float<backward<float>, backward<double>>, 0, nullptr,
     recurrent::steps_bytes<6, 1>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
