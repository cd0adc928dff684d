// Softmax and log-softmax along the last dimension on CUDA, forward and backward, any strides.
//
// A row goes to a thread, a warp or a block, as its length asks (kernels/reduce/reduction.cuh): a maximum, a sum, and one more pass
// that writes, each over the same elements by the same threads, so that after the first they come from the cache. The order of the
// sums depends on n alone. Bound by bytes for long rows.
#include "kernels/softmax/rows.cuh"

namespace ww::cuda {
namespace {

// x: what softmax is taken of, or the gradient of y. second: y, for backward.
template <class T>
struct SoftmaxRows {
    RowPlan<3> plan;
    T* out;
    const T *x, *second;
};

enum class Kind { softmax, log_softmax, softmax_backward, log_softmax_backward };

template <Kind kind, int group, class T>
__global__ void __launch_bounds__(kReduceThreads) softmax_rows(SoftmaxRows<T> rows) {
    SharedMemory shared;
    Value<T>* scratch = shared.take<Value<T>>(kReduceThreads / 32);
    for_each_output<group>(rows.plan.rows, [&](int64_t row, bool) {
        int64_t at[3];
        rows.plan.locate(row, at);
        const int64_t *step = rows.plan.step, n = rows.plan.n;
        T* out = rows.out + at[0];
        const T *x = rows.x + at[1], *y = rows.second + at[2];
        auto sum = [&](auto term) {
            return reduce_group<group>(n, Value<T>{T(0)}, scratch, [&](int64_t i) { return Value<T>{term(i)}; }, Add<T>()).v;
        };
        auto write = [&](auto value) { for_own_elements<group>(n, [&](int64_t i) { out[i * step[0]] = value(i); }); };
        if constexpr (kind == Kind::softmax || kind == Kind::log_softmax) {
            const T m = row_maximum<group, T>(n, scratch, [&](int64_t i) { return x[i * step[1]]; });
            const T s = sum([&](int64_t i) { return std::exp(x[i * step[1]] - m); });
            if constexpr (kind == Kind::softmax) {
                write([&](int64_t i) { return std::exp(x[i * step[1]] - m) / s; });
            } else {
                const T log_s = std::log(s);
                write([&](int64_t i) { return (x[i * step[1]] - m) - log_s; });
            }
        } else if constexpr (kind == Kind::softmax_backward) {
            const T s = sum([&](int64_t i) { return x[i * step[1]] * y[i * step[2]]; });
            write([&](int64_t i) { return (x[i * step[1]] - s) * y[i * step[2]]; });
        } else {
            const T s = sum([&](int64_t i) { return x[i * step[1]]; });
            write([&](int64_t i) { return x[i * step[1]] - std::exp(y[i * step[2]]) * s; });
        }
    });
}

template <Kind kind, class T>
void run(const Call& call) {
    constexpr bool backward = kind == Kind::softmax_backward || kind == Kind::log_softmax_backward;
    const View &out = call.view(0), &x = call.view(1), &second = call.view(backward ? 2 : 1);
    if (out.size() == 0) return;
    const SoftmaxRows<T> rows = {RowPlan<3>({&out, &x, &second}, out.ndim - 1), out.ptr<T>(), x.ptr<T>(), second.ptr<T>()};
    launch_rows<T>(rows.plan, [&](auto group, const LaunchConfig& grid) {
        launch<softmax_rows<kind, decltype(group)::value, T>>(grid, rows);
    });
}

#define WW_SOFTMAX(Name, kind) \
    {&k##Name, "rows", WW_DEVICE_NAME, kFloats, by_float<run<Kind::kind, float>, run<Kind::kind, double>>}
constexpr Kernel kernels[] = {
    WW_SOFTMAX(SoftmaxForward, softmax),
    WW_SOFTMAX(LogSoftmaxForward, log_softmax),
    WW_SOFTMAX(SoftmaxBackwardX, softmax_backward),
    WW_SOFTMAX(LogSoftmaxBackwardX, log_softmax_backward),
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
