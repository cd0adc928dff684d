// Cross-entropy of class indices, softmax included.
//   loss = (1 - e) w_t (L - x_t) + (e / V) sum over v of w_v (L - x_v)
//   dloss/dx_v = exp(x_v - L) ((1 - e) w_t + (e / V) W) - (1 - e) w_t [v = t] - (e / V) w_v,   W = sum of w
//
// Differences from L are taken as (x_v - m) - log(s), with m the row's maximum and s = sum exp(x_v - m), so that large logits lose
// no digits. The row stays in the cache between its passes: forward reads memory once; with grad_logits it also writes once, and a
// training step needs no second read. Bound by memory for rows past the cache, else by one exponential an element.
#include "engine/parallel.h"
#include "kernels/common/vector_math.h"
#include "kernels/common/row.h"
#include "kernels/softmax/softmax.h"

namespace ww::WW_ISA {
namespace {

// What all rows of a call share.
template <class T>
struct Classes {
    int64_t count, ignore;
    Row<const T> weight;
    bool weighted;
    T smooth, keep, total_weight;  // e / V, 1 - e, W

    explicit Classes(const Call& call, int64_t classes) : count(classes), ignore(call.integer(0)) {
        const View& w = call.view(5);
        weighted = w.present();
        weight = {weighted ? w.ptr<T>() : nullptr, weighted ? w.strides[0] : 0};
        double e = call.real(1);
        smooth = static_cast<T>(e / static_cast<double>(classes));
        keep = static_cast<T>(1 - e);
        total_weight = static_cast<T>(classes);
        if (weighted) total_weight = row_sum<T>(classes, [&](int64_t v, int lanes) { return weight.load(v, lanes); });
    }
    T of_class(int64_t v) const { return weighted ? weight.data[v * weight.stride] : T(1); }
    WW_INLINE Vec<T> weights(int64_t v, int lanes) const { return weighted ? weight.load(v, lanes) : Vec<T>(T(1)); }
};

template <class T>
void clear(Row<T> row, int64_t n) {
    for_row<T>(n, [&](int64_t v, int lanes) { row.store(v, lanes, Vec<T>::zero()); });
}

// grad_v = p(v) * slope - scale (e / V) w_v, and scale (1 - e) w_t less at v = t.
template <class T, class Probability>
WW_INLINE void write_gradient(Row<T> grad, const Classes<T>& classes, int64_t target, T scale, Probability&& probability) {
    T hit = classes.keep * classes.of_class(target);
    Vec<T> slope(scale * (hit + classes.smooth * classes.total_weight)), floor(scale * classes.smooth);
    for_row<T>(classes.count, [&](int64_t v, int lanes) {
        Vec<T> value = probability(v, lanes) * slope;
        if (classes.smooth != 0) value = value - floor * classes.weights(v, lanes);
        grad.store(v, lanes, value);
    });
    grad.data[target * grad.stride] -= scale * hit;
}

template <class T>
void forward(const Call& call) {
    const View &loss = call.view(0), &stats = call.view(1), &grads = call.view(2), &logits = call.view(3), &target = call.view(4);
    int dims = loss.ndim;
    int64_t n = logits.shape[dims];
    Classes<T> classes(call, n);
    T scale = static_cast<T>(call.real(2));
    parallel_for(row_count(loss, dims), 1 + 8192 / (n + 1), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) {
            T &out = loss.ptr<T>()[row_offset(loss, dims, row)], *stat = stats.ptr<T>() + row_offset(stats, dims, row);
            T &maximum = stat[0], &sum = stat[stats.strides[dims]];
            int64_t t = target.ptr<int64_t>()[row_offset(target, dims, row)];
            Row<const T> x = {logits.ptr<T>() + row_offset(logits, dims, row), logits.strides[dims]};
            Row<T> grad = {nullptr, 0};
            if (grads.present()) grad = {grads.ptr<T>() + row_offset(grads, dims, row), grads.strides[dims]};
            if (t == classes.ignore) {
                out = maximum = sum = 0;
                if (grad.data) clear(grad, n);
                continue;
            }
            maximum = row_max(x, n);
            Vec<T> m(maximum);
            sum = row_sum<T>(n, [&](int64_t v, int lanes) {
                Vec<T> term = exp(x.load(v, lanes) - m);
                if (grad.data) grad.store(v, lanes, term);
                return term;
            });
            const T log_sum = log(Vec<T>(sum))[0];
            out = classes.keep * classes.of_class(t) * (log_sum - (x.data[t * x.stride] - maximum));
            if (classes.smooth != 0) {
                Vec<T> shift(log_sum);
                out += classes.smooth * row_sum<T>(n, [&](int64_t v, int lanes) {
                           return classes.weights(v, lanes) * (shift - (x.load(v, lanes) - m));
                       });
            }
            Vec<T> total(sum);
            if (grad.data)
                write_gradient(grad, classes, t, scale, [&](int64_t v, int lanes) { return grad.load(v, lanes) / total; });
        }
    });
}

template <class T>
void backward_logits(const Call& call) {
    const View &grads = call.view(0), &grad_loss = call.view(1), &stats = call.view(2), &logits = call.view(3),
               &target = call.view(4);
    int dims = target.ndim;
    int64_t n = logits.shape[dims];
    Classes<T> classes(call, n);
    parallel_for(row_count(target, dims), 1 + 8192 / (n + 1), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) {
            int64_t t = target.ptr<int64_t>()[row_offset(target, dims, row)];
            Row<const T> x = {logits.ptr<T>() + row_offset(logits, dims, row), logits.strides[dims]};
            Row<T> grad = {grads.ptr<T>() + row_offset(grads, dims, row), grads.strides[dims]};
            if (t == classes.ignore) {
                clear(grad, n);
                continue;
            }
            const T* stat = stats.ptr<T>() + row_offset(stats, dims, row);
            Vec<T> m(stat[0]), total(stat[stats.strides[dims]]);
            write_gradient(grad, classes, t, grad_loss.ptr<T>()[row_offset(grad_loss, dims, row)],
                           [&](int64_t v, int lanes) { return exp(x.load(v, lanes) - m) / total; });
        }
    });
}

constexpr Kernel kernels[] = {
    {&kCrossEntropyForward, "rows", WW_ISA_NAME, kFloats, by_float<forward<float>, forward<double>>},
    {&kCrossEntropyBackwardLogits, "rows", WW_ISA_NAME, kFloats, by_float<backward_logits<float>, backward_logits<double>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
