// argmax, argmin and running sums on CUDA. The former are reductions (reduction.cuh) of pairs, an element and its place in C order
// over the reduced dimensions, in which the first of equals wins and a NaN counts as extreme; the latter has a thread for each
// line.
#include "kernels/reduce/placed.cuh"

namespace ww::cuda {
namespace {

template <int group, class T, bool largest>
__global__ void __launch_bounds__(kReduceThreads) find_extreme(ReductionPlan plan, const T* x, int64_t* y) {
    SharedMemory shared;
    Placed<T>* scratch = shared.take<Placed<T>>(kReduceThreads / 32);
    for_each_output<group>(plan.outputs, [&](int64_t output, bool first) {
        int64_t from, to;
        plan.output(output, from, to);
        const Placed<T> found = reduce_group<group>(
            plan.n, Placed<T>{T(0), -1}, scratch, [&](int64_t r) { return Placed<T>{x[from + plan.element(r)], r}; },
            Better<T, largest, true>());
        if (first) y[to] = found.at;
    });
}

template <class T, bool largest>
void run_place(const Call& call) {
    const ReductionPlan plan(call.view(0), call.view(1), true);
    if (plan.outputs == 0) return;
    const LaunchConfig grid = reduction_grid(plan, sizeof(Placed<T>));
    const T* x = call.view(1).ptr<T>();
    auto* y = call.view(0).ptr<int64_t>();
    switch (plan.group()) {
        case 1: return launch<find_extreme<1, T, largest>>(grid, plan, x, y);
        case 32: return launch<find_extreme<32, T, largest>>(grid, plan, x, y);
        default: return launch<find_extreme<kReduceThreads, T, largest>>(grid, plan, x, y);
    }
}

// Lines along one dimension; the others are counted as outputs of a reduction along it.
template <class T>
__global__ void __launch_bounds__(kReduceThreads)
    add_up_lines(ReductionPlan lines, int64_t n, int64_t x_step, int64_t y_step, const T* x, T* y) {
    const int64_t step = int64_t{gridDim.x} * kReduceThreads;
    for (int64_t line = int64_t{blockIdx.x} * kReduceThreads + threadIdx.x; line < lines.outputs; line += step) {
        int64_t from, to;
        lines.output(line, from, to);
        double sum = 0;
        for (int64_t i = 0; i < n; i++) y[to + i * y_step] = static_cast<T>(sum += static_cast<double>(x[from + i * x_step]));
    }
}

template <class T>
void run_cumulative_sum(const Call& call) {
    View y = call.view(0), x = call.view(1);
    const auto axis = static_cast<int>(call.integer(0));
    const int64_t n = x.shape[axis];
    if (x.size() == 0) return;
    y.shape[axis] = x.shape[axis] = 1;
    const ReductionPlan lines(y, x, false);
    const auto blocks = static_cast<unsigned>(std::min<int64_t>(ceil_div(lines.outputs, kReduceThreads), 65536));
    launch<add_up_lines<T>>({blocks, kReduceThreads}, lines, n, x.strides[axis], y.strides[axis], x.ptr<T>(), y.ptr<T>());
}

constexpr Kernel kernels[] = {
    {&kArgmaxForward, "groups", WW_DEVICE_NAME, kFloats, by_float<run_place<float, true>, run_place<double, true>>},
    {&kArgminForward, "groups", WW_DEVICE_NAME, kFloats, by_float<run_place<float, false>, run_place<double, false>>},
    {&kCumulativeSumForward, "lines", WW_DEVICE_NAME, kFloats, by_float<run_cumulative_sum<float>, run_cumulative_sum<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
