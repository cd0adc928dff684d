// Cross-entropy of class indices on CUDA, softmax included; formulas in softmax.h and cross_entropy.cpp.
//
// A row goes to a thread, a warp or a block, as its length asks (kernels/reduce/reduction.cuh). Forward writes the gradient, too,
// where it is wanted: the row is in the cache then. Bound by bytes for long rows. A target that is no class (which the contract's
// check catches where the host can read it) makes its row NaN.
#include <limits>

#include "kernels/softmax/rows.cuh"

namespace ww::cuda {
namespace {

template <class T>
struct Classes {
    const T* weight;  // nullptr: 1
    int64_t weight_step, count, ignore;
    T smooth, keep;  // e / V, 1 - e

    Classes(const Call& call, int64_t classes) : weight(nullptr), weight_step(0), count(classes), ignore(call.integer(0)) {
        const View& w = call.view(5);
        if (w.present()) weight = w.ptr<T>(), weight_step = w.strides[0];
        smooth = static_cast<T>(call.real(1) / static_cast<double>(classes)), keep = static_cast<T>(1 - call.real(1));
    }
    WW_DEVICE T of(int64_t v) const { return weight ? weight[v * weight_step] : T(1); }
};

// Views of both directions; `loss` is its gradient in backward.
template <class T>
struct EntropyRows {
    RowPlan<5> plan;  // loss, target, stats, grad, logits
    T* loss;
    const int64_t* target;
    T *stats, *grad;  // grad: nullptr where forward has none
    const T* logits;
};

template <class T>
EntropyRows<T> entropy_rows(const View& loss, const View& target, const View& stats, const View& grad, const View& logits) {
    const View& grads = grad.present() ? grad : logits;
    return {RowPlan<5>({&loss, &target, &stats, &grads, &logits}, target.ndim),
            loss.ptr<T>(),
            target.ptr<int64_t>(),
            stats.ptr<T>(),
            grad.present() ? grad.ptr<T>() : nullptr,
            logits.ptr<T>()};
}

template <int group, class T, class Term>
WW_DEVICE T row_sum(int64_t n, Value<T>* scratch, const Term& term) {
    return reduce_group<group>(n, Value<T>{T(0)}, scratch, [&](int64_t v) { return Value<T>{term(v)}; }, Add<T>()).v;
}

// grad_v = p(v) slope - scale (e / V) w_v, and scale (1 - e) w_t less at v = t.
template <int group, class T>
WW_DEVICE void write_gradient(T* grad, int64_t step, const T* x, int64_t x_step, const Classes<T>& classes, Value<T>* scratch,
                              int64_t target, T scale, T maximum, T sum) {
    T total = 0;
    if (classes.smooth != 0) total = row_sum<group, T>(classes.count, scratch, [&](int64_t v) { return classes.of(v); });
    const T hit = classes.keep * classes.of(target), slope = scale * (hit + classes.smooth * total), floor = scale * classes.smooth;
    for_own_elements<group>(classes.count, [&](int64_t v) {
        T value = std::exp(x[v * x_step] - maximum) / sum * slope;
        if (classes.smooth != 0) value -= floor * classes.of(v);
        grad[v * step] = v == target ? value - scale * hit : value;
    });
}

template <int group, class T>
WW_DEVICE void fill_row(T* grad, int64_t step, int64_t n, T value) {
    for_own_elements<group>(n, [&](int64_t v) { grad[v * step] = value; });
}

template <int group, class T>
__global__ void __launch_bounds__(kReduceThreads) entropy_forward(EntropyRows<T> rows, Classes<T> classes, T scale) {
    SharedMemory shared;
    Value<T>* scratch = shared.take<Value<T>>(kReduceThreads / 32);
    for_each_output<group>(rows.plan.rows, [&](int64_t row, bool first) {
        int64_t at[5];
        rows.plan.locate(row, at);
        const int64_t *step = rows.plan.step, n = classes.count, t = rows.target[at[1]];
        T *stats = rows.stats + at[2], *grad = rows.grad ? rows.grad + at[3] : nullptr, loss = 0, maximum = 0, sum = 0;
        const T* x = rows.logits + at[4];
        if (t == classes.ignore || t < 0 || t >= n) {
            if (t != classes.ignore) loss = maximum = sum = std::numeric_limits<T>::quiet_NaN();
            if (grad) fill_row<group>(grad, step[3], n, loss);
        } else {
            maximum = row_maximum<group, T>(n, scratch, [&](int64_t v) { return x[v * step[4]]; });
            sum = row_sum<group, T>(n, scratch, [&](int64_t v) { return std::exp(x[v * step[4]] - maximum); });
            const T log_sum = std::log(sum);
            loss = classes.keep * classes.of(t) * (log_sum - (x[t * step[4]] - maximum));
            if (classes.smooth != 0)
                loss += classes.smooth * row_sum<group, T>(n, scratch, [&](int64_t v) {
                            return classes.of(v) * (log_sum - (x[v * step[4]] - maximum));
                        });
            if (grad) write_gradient<group>(grad, step[3], x, step[4], classes, scratch, t, scale, maximum, sum);
        }
        if (first) rows.loss[at[0]] = loss, stats[0] = maximum, stats[step[2]] = sum;
    });
}

template <int group, class T>
__global__ void __launch_bounds__(kReduceThreads) entropy_backward(EntropyRows<T> rows, Classes<T> classes) {
    SharedMemory shared;
    Value<T>* scratch = shared.take<Value<T>>(kReduceThreads / 32);
    for_each_output<group>(rows.plan.rows, [&](int64_t row, bool) {
        int64_t at[5];
        rows.plan.locate(row, at);
        const int64_t *step = rows.plan.step, n = classes.count, t = rows.target[at[1]];
        T *stats = rows.stats + at[2], *grad = rows.grad + at[3];
        if (t == classes.ignore || t < 0 || t >= n) {
            fill_row<group>(grad, step[3], n, t == classes.ignore ? T(0) : std::numeric_limits<T>::quiet_NaN());
        } else {
            write_gradient<group>(grad, step[3], rows.logits + at[4], step[4], classes, scratch, t, rows.loss[at[0]], stats[0],
                                  stats[step[2]]);
        }
    });
}

template <class T>
void forward(const Call& call) {
    const View &loss = call.view(0), &logits = call.view(3);
    if (loss.size() == 0) return;
    const EntropyRows<T> rows = entropy_rows<T>(loss, call.view(4), call.view(1), call.view(2), logits);
    const Classes<T> classes(call, logits.shape[logits.ndim - 1]);
    const T scale = static_cast<T>(call.real(2));
    launch_rows<T>(rows.plan, [&](auto group, const LaunchConfig& grid) {
        launch<entropy_forward<decltype(group)::value, T>>(grid, rows, classes, scale);
    });
}

template <class T>
void backward_logits(const Call& call) {
    const View &grad = call.view(0), &logits = call.view(3);
    if (grad.size() == 0) return;
    const EntropyRows<T> rows = entropy_rows<T>(call.view(1), call.view(4), call.view(2), grad, logits);
    const Classes<T> classes(call, logits.shape[logits.ndim - 1]);
    launch_rows<T>(rows.plan, [&](auto group, const LaunchConfig& grid) {
        launch<entropy_backward<decltype(group)::value, T>>(grid, rows, classes);
    });
}

constexpr Kernel kernels[] = {
    {&kCrossEntropyForward, "rows", WW_DEVICE_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kCrossEntropyBackwardLogits, "rows", WW_DEVICE_NAME, kFloats, by_float<backward_logits<float>, backward_logits<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
