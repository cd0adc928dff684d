// The negative log likelihood of classes: one element of each row, and its gradient. Bound by memory: forward touches one line of a
// row, backward writes all of grad_input once.
#include <algorithm>

#include "engine/parallel.h"
#include "engine/simd.h"
#include "kernels/loss/loss.h"

namespace ww::WW_ISA {
namespace {

template <class T>
struct Weights {
    const View& view;
    T of(int64_t t) const { return view.present() ? view.ptr<T>()[t * view.strides[0]] : T(1); }
};

template <class T>
void forward(const Call& call) {
    const View &loss = call.view(0), &input = call.view(1), &target = call.view(2);
    const Weights<T> weight{call.view(3)};
    const int dims = target.ndim;
    parallel_for(row_count(target, dims), 1024, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) {
            int64_t t = target.ptr<int64_t>()[row_offset(target, dims, row)];
            T& out = loss.ptr<T>()[row_offset(loss, dims, row)];
            out = t == call.integer(0) ? T(0)
                                       : -(weight.of(t) * input.ptr<T>()[row_offset(input, dims, row) + t * input.strides[dims]]);
        }
    });
}

template <class T>
void backward(const Call& call) {
    const View &grads = call.view(0), &grad_loss = call.view(1), &target = call.view(2);
    const Weights<T> weight{call.view(3)};
    const int dims = target.ndim;
    const int64_t classes = grads.shape[dims], step = grads.strides[dims];
    parallel_for(row_count(target, dims), 1 + 16384 / (classes + 1), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) {
            int64_t t = target.ptr<int64_t>()[row_offset(target, dims, row)];
            T* grad = grads.ptr<T>() + row_offset(grads, dims, row);
            if (step == 1) std::fill_n(grad, classes, T(0));
            else
                for (int64_t c = 0; c < classes; c++) grad[c * step] = 0;
            if (t != call.integer(0)) grad[t * step] = -(weight.of(t) * grad_loss.ptr<T>()[row_offset(grad_loss, dims, row)]);
        }
    });
}

constexpr Kernel kernels[] = {
    {&kNllLossForward, "rows", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kNllLossBackwardInput, "rows", WW_ISA_NAME, kFloats, by_float<backward<float>, backward<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
