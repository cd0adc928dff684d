// The unit of a simple recurrent net, on the walk of kernels/common/recurrent.h.
#include "kernels/common/gate_math.h"
#include "kernels/common/recurrent.h"
#include "kernels/rnn/rnn.h"

namespace ww::WW_ISA {
namespace {

using recurrent::Line;
using recurrent::Matrix;
using recurrent::rows_are_dense;

template <class T>
struct Unit {
    static constexpr int gates = 1;
    bool relu;
    Matrix<T> projected;

    void prefetch(int64_t row, int, int64_t j0, int64_t width) const { recurrent::prefetch(projected, row, j0, width); }
    auto row(int64_t row, int64_t, int64_t, bool, int64_t j0) const {
        const Line<T> a = projected.at(row, j0);
        return [a, relu = relu](int64_t j, int lanes, const Vec<T>* sum, Vec<T>) {
            const Vec<T> x = a.load(j, lanes) + sum[0], zero = Vec<T>::zero();
            return relu ? where<T>(x < zero, zero, x) : gate_tanh(x);  // NaN is not below zero: it stays
        };
    }
};

template <class T>
struct UnitGradient {
    static constexpr int gates = 1;
    static constexpr bool carries = false;
    bool relu;
    Matrix<T> grad, hidden;

    void prefetch(int64_t row, int, int64_t j0, int64_t width) const { recurrent::prefetch(hidden, row, j0, width); }
    auto row(int64_t row, int64_t, int64_t, bool, int64_t j0) const {
        const Line<T> to = grad.at(row, j0), from = hidden.at(row, j0);
        return [to, from, relu = relu](int64_t j, int lanes, Vec<T> h) {
            const Vec<T> y = from.load(j, lanes), zero = Vec<T>::zero();
            to.store(j, lanes, relu ? where<T>(y <= zero, zero, h) : h * (Vec<T>(T(1)) - y * y));
        };
    }
};

template <class T>
recurrent::ForwardPlan<T> forward_plan(const Call& call) {
    return {call.workspace, call.view(5), call.view(0).shape[0], call.view(1).shape[0], call.view(0).shape[1], 1};
}
template <class T>
recurrent::BackwardPlan<T> backward_plan(const Call& call) {
    return {call.workspace, call.view(6), call.view(0).shape[0], call.view(1).shape[0], call.view(1).shape[1], 1};
}

template <class T>
void forward(const Call& call) {
    const View &hidden = call.view(0), &final_hidden = call.view(1);
    const auto plan = forward_plan<T>(call);
    const Steps steps(call.view(5), hidden.shape[0], final_hidden.shape[0], call.flag(0), plan.offsets);
    const Unit<T> unit{call.integer(1) == 1, Matrix<T>(call.view(2))};
    recurrent::forward<T>(unit, steps, plan, hidden, final_hidden, call.view(3), call.view(4));
}

template <class T>
void backward(const Call& call) {
    const View &grad = call.view(0), &grad_initial = call.view(1);
    const auto plan = backward_plan<T>(call);
    const Steps steps(call.view(6), grad.shape[0], grad_initial.shape[0], call.flag(0), plan.offsets);
    const UnitGradient<T> unit{call.integer(1) == 1, Matrix<T>(grad), Matrix<T>(call.view(4))};
    recurrent::backward<T>(unit, steps, plan, grad, grad_initial, call.view(2), call.view(3), call.view(5));
}

template <class T>
size_t forward_bytes(const Call& call) {
    return forward_plan<T>(call).bytes;
}
template <class T>
size_t backward_bytes(const Call& call) {
    return backward_plan<T>(call).bytes;
}

constexpr Kernel kernels[] = {
    {&kRnnForward, "brgemm", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>, 10, rows_are_dense<0, 1, 2, 4>,
     bytes_by_float<forward_bytes<float>, forward_bytes<double>>},
    {&kRnnBackward, "brgemm", WW_ISA_NAME, kFloats, by_float<backward<float>, backward<double>>, 10, rows_are_dense<0, 1, 2, 3, 4>,
     bytes_by_float<backward_bytes<float>, backward_bytes<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
