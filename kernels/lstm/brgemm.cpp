// The gates of a long short-term memory, on the walk of kernels/common/recurrent.h.
#include "kernels/common/gate_math.h"
#include "kernels/common/recurrent.h"
#include "kernels/lstm/lstm.h"

namespace ww::WW_ISA {
namespace {

using recurrent::Line;
using recurrent::Matrix;
using recurrent::rows_are_dense;

template <class T>
struct Gates {
    static constexpr int gates = 4;
    int64_t units;
    Matrix<T> projected, activated, cell, initial_cell, final_cell;

    void prefetch(int64_t row, int g, int64_t j0, int64_t width) const {
        recurrent::prefetch(projected, row, g * units + j0, width);
        recurrent::prefetch(activated, row, g * units + j0, width);
        if (g == 0) recurrent::prefetch(cell, row, j0, width);
    }
    auto row(int64_t row, int64_t n, int64_t before, bool ends, int64_t j0) const {
        const Line<T> a[4] = {projected.at(row, j0), projected.at(row, units + j0), projected.at(row, 2 * units + j0),
                              projected.at(row, 3 * units + j0)};
        const Line<T> to[4] = {activated.at(row, j0), activated.at(row, units + j0), activated.at(row, 2 * units + j0),
                               activated.at(row, 3 * units + j0)};
        const Line<T> last = before < 0 ? initial_cell.at(n, j0) : cell.at(before, j0);
        const Line<T> now = cell.at(row, j0), end = final_cell.at(n, j0);
        return [=](int64_t j, int lanes, const Vec<T>* sum, Vec<T>) {
            const Vec<T> i = gate_sigmoid(a[0].load(j, lanes) + sum[0]), f = gate_sigmoid(a[1].load(j, lanes) + sum[1]);
            const Vec<T> g = gate_tanh(a[2].load(j, lanes) + sum[2]), o = gate_sigmoid(a[3].load(j, lanes) + sum[3]);
            const Vec<T> c = fma(f, last.load(j, lanes), i * g);
            to[0].store(j, lanes, i), to[1].store(j, lanes, f), to[2].store(j, lanes, g), to[3].store(j, lanes, o);
            now.store(j, lanes, c);
            if (ends) end.store(j, lanes, c);
            return o * gate_tanh(c);
        };
    }
};

template <class T>
struct GateGradients {
    static constexpr int gates = 4;
    static constexpr bool carries = false;  // the hidden state goes back by the product alone
    int64_t units;
    Matrix<T> grad, grad_cell, grad_final_cell, activated, cell, initial_cell;

    void prefetch(int64_t row, int g, int64_t j0, int64_t width) const {
        recurrent::prefetch(activated, row, g * units + j0, width);
        recurrent::prefetch(grad, row, g * units + j0, width);
        if (g == 0) recurrent::prefetch(cell, row, j0, width);
    }
    auto row(int64_t row, int64_t n, int64_t before, bool ends, int64_t j0) const {
        const Line<T> from[4] = {activated.at(row, j0), activated.at(row, units + j0), activated.at(row, 2 * units + j0),
                                 activated.at(row, 3 * units + j0)};
        const Line<T> to[4] = {grad.at(row, j0), grad.at(row, units + j0), grad.at(row, 2 * units + j0),
                               grad.at(row, 3 * units + j0)};
        const Line<T> last = before < 0 ? initial_cell.at(n, j0) : cell.at(before, j0);
        const Line<T> now = cell.at(row, j0), carried = grad_cell.at(n, j0);
        const bool zero = ends && !grad_final_cell;
        const Line<T> incoming = ends ? grad_final_cell.at(n, j0) : carried;
        return [=](int64_t j, int lanes, Vec<T> h) {
            const Vec<T> one(T(1)), squashed = gate_tanh(now.load(j, lanes));
            const Vec<T> i = from[0].load(j, lanes), f = from[1].load(j, lanes), g = from[2].load(j, lanes),
                         o = from[3].load(j, lanes);
            const Vec<T> c = fma(h * o, one - squashed * squashed, zero ? Vec<T>::zero() : incoming.load(j, lanes));
            to[0].store(j, lanes, c * g * (i * (one - i)));
            to[1].store(j, lanes, c * last.load(j, lanes) * (f * (one - f)));
            to[2].store(j, lanes, c * i * (one - g * g));
            to[3].store(j, lanes, h * squashed * (o * (one - o)));
            carried.store(j, lanes, c * f);
        };
    }
};

template <class T>
recurrent::ForwardPlan<T> forward_plan(const Call& call) {
    return {call.workspace,
            call.view(9),
            call.view(0).shape[0],
            call.view(3).shape[0],
            call.view(0).shape[1],
            4,
            call.has(10) ? call.view(10).shape[1] : 0};
}
template <class T>
recurrent::BackwardPlan<T> backward_plan(const Call& call) {
    return {call.workspace, call.view(10), call.view(0).shape[0], call.view(1).shape[0], call.view(1).shape[1], 4};
}

template <class T>
void copy(const View& to, const View& from) {
    for (int64_t n = 0; n < to.shape[0]; n++)
        for_row<T>(to.shape[1], [&](int64_t j, int lanes) {
            Matrix<T>(to).at(n, 0).store(j, lanes, from.present() ? Matrix<T>(from).at(n, 0).load(j, lanes) : Vec<T>::zero());
        });
}

template <class T>
void forward(const Call& call) {
    const View &hidden = call.view(0), &final_cell = call.view(4), &initial_cell = call.view(8), &sizes = call.view(9);
    const auto plan = forward_plan<T>(call);
    const Steps steps(sizes, hidden.shape[0], final_cell.shape[0], call.flag(0), plan.offsets);
    if (steps.count == 0) copy<T>(final_cell, initial_cell);
    const Gates<T> gates{hidden.shape[1],         Matrix<T>(call.view(5)), Matrix<T>(call.view(2)),
                         Matrix<T>(call.view(1)), Matrix<T>(initial_cell), Matrix<T>(final_cell)};
    recurrent::forward<T>(gates, steps, plan, hidden, call.view(3), call.view(6), call.view(7), call.view(10), call.view(11));
}

template <class T>
void backward(const Call& call) {
    const View &grad = call.view(0), &grad_cell = call.view(2), &grad_final_cell = call.view(5), &sizes = call.view(10);
    const auto plan = backward_plan<T>(call);
    const Steps steps(sizes, grad.shape[0], grad_cell.shape[0], call.flag(0), plan.offsets);
    if (steps.count == 0) copy<T>(grad_cell, grad_final_cell);
    const GateGradients<T> gates{grad_cell.shape[1],         Matrix<T>(grad),         Matrix<T>(grad_cell),
                                 Matrix<T>(grad_final_cell), Matrix<T>(call.view(6)), Matrix<T>(call.view(7)),
                                 Matrix<T>(call.view(9))};
    recurrent::backward<T>(gates, steps, plan, grad, call.view(1), call.view(3), call.view(4), call.view(8));
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
    {&kLstmForward, "brgemm", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>, 10,
     rows_are_dense<0, 1, 2, 3, 4, 5, 7, 8>, bytes_by_float<forward_bytes<float>, forward_bytes<double>>},
    {&kLstmBackward, "brgemm", WW_ISA_NAME, kFloats, by_float<backward<float>, backward<double>>, 10,
     rows_are_dense<0, 1, 2, 3, 4, 5, 6, 7, 9>, bytes_by_float<backward_bytes<float>, backward_bytes<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
