// The gates of a gated recurrent unit, on the walk of kernels/common/recurrent.h.
#include "kernels/common/gate_math.h"
#include "kernels/common/recurrent.h"
#include "kernels/gru/gru.h"

namespace ww::WW_ISA {
namespace {

using recurrent::Line;
using recurrent::Matrix;
using recurrent::rows_are_dense;

template <class T>
struct Gates {
    static constexpr int gates = 3;
    int64_t units;
    Matrix<T> projected, activated;
    Line<T> bias;  // of the recurrent product, or nothing

    void prefetch(int64_t row, int g, int64_t j0, int64_t width) const {
        recurrent::prefetch(projected, row, g * units + j0, width);
        recurrent::prefetch(activated, row, g * units + j0, width);
    }
    auto row(int64_t row, int64_t, int64_t, bool, int64_t j0) const {
        const Line<T> a[3] = {projected.at(row, j0), projected.at(row, units + j0), projected.at(row, 2 * units + j0)};
        const Line<T> to[4] = {activated.at(row, j0), activated.at(row, units + j0), activated.at(row, 2 * units + j0),
                               activated.at(row, 3 * units + j0)};
        return [=, this](int64_t j, int lanes, const Vec<T>* sum, Vec<T> before) {
            auto product = [&](int g) { return bias.data ? sum[g] + bias.load(g * units + j0 + j, lanes) : sum[g]; };
            const Vec<T> r = gate_sigmoid(a[0].load(j, lanes) + product(0)), z = gate_sigmoid(a[1].load(j, lanes) + product(1));
            const Vec<T> b = product(2), n = gate_tanh(fma(r, b, a[2].load(j, lanes)));
            to[0].store(j, lanes, r), to[1].store(j, lanes, z), to[2].store(j, lanes, n), to[3].store(j, lanes, b);
            return fma(z, before, (Vec<T>(T(1)) - z) * n);
        };
    }
};

template <class T>
struct GateGradients {
    static constexpr int gates = 3;
    static constexpr bool carries = true;  // z times the gradient passes the product by
    int64_t units;
    Matrix<T> grad, sent, activated, hidden, initial;

    void prefetch(int64_t row, int g, int64_t j0, int64_t width) const {
        recurrent::prefetch(activated, row, g * units + j0, width);
        recurrent::prefetch(grad, row, g * units + j0, width);
        recurrent::prefetch(sent, row, g * units + j0, width);
    }
    auto row(int64_t row, int64_t n, int64_t before, bool, int64_t j0) const {
        const Line<T> from[4] = {activated.at(row, j0), activated.at(row, units + j0), activated.at(row, 2 * units + j0),
                                 activated.at(row, 3 * units + j0)};
        const Line<T> to[3] = {grad.at(row, j0), grad.at(row, units + j0), grad.at(row, 2 * units + j0)};
        const Line<T> too[3] = {sent.at(row, j0), sent.at(row, units + j0), sent.at(row, 2 * units + j0)};
        const Line<T> last = before < 0 ? initial.at(n, j0) : hidden.at(before, j0);
        return [=](int64_t j, int lanes, Vec<T> h) {
            const Vec<T> one(T(1)), r = from[0].load(j, lanes), z = from[1].load(j, lanes), m = from[2].load(j, lanes);
            const Vec<T> by_n = h * (one - z) * (one - m * m);
            const Vec<T> by_r = by_n * from[3].load(j, lanes) * (r * (one - r));
            const Vec<T> by_z = h * (last.load(j, lanes) - m) * (z * (one - z));
            to[0].store(j, lanes, by_r), to[1].store(j, lanes, by_z), to[2].store(j, lanes, by_n);
            too[0].store(j, lanes, by_r), too[1].store(j, lanes, by_z), too[2].store(j, lanes, by_n * r);
            return h * z;
        };
    }
};

template <class T>
recurrent::ForwardPlan<T> forward_plan(const Call& call) {
    return {call.workspace, call.view(7), call.view(0).shape[0], call.view(2).shape[0], call.view(0).shape[1], 3};
}
template <class T>
recurrent::BackwardPlan<T> backward_plan(const Call& call) {
    return {call.workspace, call.view(9), call.view(0).shape[0], call.view(2).shape[0], call.view(2).shape[1], 3};
}

template <class T>
void forward(const Call& call) {
    const View &hidden = call.view(0), &final_hidden = call.view(2), &bias = call.view(5);
    const auto plan = forward_plan<T>(call);
    const Steps steps(call.view(7), hidden.shape[0], final_hidden.shape[0], call.flag(0), plan.offsets);
    const Gates<T> gates{hidden.shape[1], Matrix<T>(call.view(3)), Matrix<T>(call.view(1)),
                         Line<T>{bias.present() ? bias.ptr<T>() : nullptr}};
    recurrent::forward<T>(gates, steps, plan, hidden, final_hidden, call.view(4), call.view(6));
}

template <class T>
void backward(const Call& call) {
    const View &grad = call.view(0), &sent = call.view(1), &grad_initial = call.view(2);
    const auto plan = backward_plan<T>(call);
    const Steps steps(call.view(9), grad.shape[0], grad_initial.shape[0], call.flag(0), plan.offsets);
    const GateGradients<T> gates{grad_initial.shape[1],   Matrix<T>(grad),         Matrix<T>(sent),
                                 Matrix<T>(call.view(5)), Matrix<T>(call.view(6)), Matrix<T>(call.view(8))};
    recurrent::backward<T>(gates, steps, plan, sent, grad_initial, call.view(3), call.view(4), call.view(7));
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
    {&kGruForward, "brgemm", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>, 10, rows_are_dense<0, 1, 2, 3, 5, 6>,
     bytes_by_float<forward_bytes<float>, forward_bytes<double>>},
    {&kGruBackward, "brgemm", WW_ISA_NAME, kFloats, by_float<backward<float>, backward<double>>, 10,
     rows_are_dense<0, 1, 2, 3, 4, 5, 6, 8>, bytes_by_float<backward_bytes<float>, backward_bytes<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
