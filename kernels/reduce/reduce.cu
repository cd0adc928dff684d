// Sums, products, extremes, means, variances and logsumexp on CUDA: one scheme (reduction.cuh) over different maps and
// combinations.
#include <limits>

#include "kernels/elementwise/formula.cuh"
#include "kernels/reduce/reduction.cuh"

namespace ww::cuda {
namespace {

enum class Kind { sum, sum_squares, mean, prod, max, min, var, logsumexp };

template <class T>
struct Multiply {
    WW_DEVICE Value<T> operator()(Value<T> a, Value<T> b) const { return {a.v * b.v}; }
};
template <class T>
struct Larger {
    WW_DEVICE Value<T> operator()(Value<T> a, Value<T> b) const { return {max_nan(a.v, b.v)}; }
};
template <class T>
struct Smaller {
    WW_DEVICE Value<T> operator()(Value<T> a, Value<T> b) const { return {min_nan(a.v, b.v)}; }
};

// divisor: what mean and var divide by.
template <Kind kind, int group, class T>
__global__ void __launch_bounds__(kReduceThreads) reduce(ReductionPlan plan, const T* x, T* y, T divisor) {
    SharedMemory shared;
    Value<T>* scratch = shared.take<Value<T>>(kReduceThreads / 32);
    constexpr T infinity = std::numeric_limits<T>::infinity();
    for_each_output<group>(plan.outputs, [&](int64_t output, bool first) {
        int64_t from, to;
        plan.output(output, from, to);
        auto each = [&](auto map, T identity, auto combine) {
            return reduce_group<group>(
                       plan.n, Value<T>{identity}, scratch, [&](int64_t r) { return Value<T>{map(x[from + plan.element(r)])}; },
                       combine)
                .v;
        };
        auto same = [](T v) { return v; };
        T result;
        if constexpr (kind == Kind::sum) {
            result = each(same, T(0), Add<T>());
        } else if constexpr (kind == Kind::sum_squares) {
            result = each([](T v) { return v * v; }, T(0), Add<T>());
        } else if constexpr (kind == Kind::mean) {
            result = each(same, T(0), Add<T>()) / divisor;
        } else if constexpr (kind == Kind::prod) {
            result = each(same, T(1), Multiply<T>());
        } else if constexpr (kind == Kind::max) {
            result = each(same, -infinity, Larger<T>());
        } else if constexpr (kind == Kind::min) {
            result = each(same, infinity, Smaller<T>());
        } else if constexpr (kind == Kind::var) {
            const T mean = each(same, T(0), Add<T>()) / static_cast<T>(plan.n);
            result = each([mean](T v) { return (v - mean) * (v - mean); }, T(0), Add<T>()) / divisor;
        } else {
            // An infinite maximum is replaced by 0, since Inf - Inf is NaN while e^Inf and log(0) are right.
            T largest = each(same, -infinity, Larger<T>());
            if (std::fabs(largest) == infinity) largest = 0;
            result = largest + std::log(each([largest](T v) { return std::exp(v - largest); }, T(0), Add<T>()));
        }
        if (first) y[to] = result;
    });
}

template <Kind kind, class T>
void run_views(const View& y_view, const View& x_view, double correction) {
    const ReductionPlan plan(y_view, x_view, false);
    if (plan.outputs == 0) return;
    const double divisor = std::max(0.0, static_cast<double>(plan.n) - correction);
    const LaunchConfig grid = reduction_grid(plan, sizeof(Value<T>));
    const T* x = x_view.ptr<T>();
    T* y = y_view.ptr<T>();
    switch (plan.group()) {
        case 1: return launch<reduce<kind, 1, T>>(grid, plan, x, y, static_cast<T>(divisor));
        case 32: return launch<reduce<kind, 32, T>>(grid, plan, x, y, static_cast<T>(divisor));
        default: return launch<reduce<kind, kReduceThreads, T>>(grid, plan, x, y, static_cast<T>(divisor));
    }
}

template <Kind kind, class T>
void run(const Call& call) {
    run_views<kind, T>(call.view(0), call.view(1), kind == Kind::var ? call.real(0) : 0.0);
}

#define WW_REDUCE(Name, kind) \
    {&k##Name##Forward, "groups", WW_DEVICE_NAME, kFloats, by_float<run<Kind::kind, float>, run<Kind::kind, double>>}
constexpr Kernel kernels[] = {
    WW_REDUCE(Sum, sum),   WW_REDUCE(SumSquares, sum_squares),
    WW_REDUCE(Mean, mean), WW_REDUCE(Prod, prod),
    WW_REDUCE(Max, max),   WW_REDUCE(Min, min),
    WW_REDUCE(Var, var),   WW_REDUCE(Logsumexp, logsumexp),
};
const Registrar registrar(kernels);

}  // namespace

template <class T>
void sum_elements(const View& y, const View& x) {
    run_views<Kind::sum, T>(y, x, 0);
}
template void sum_elements<float>(const View&, const View&);
template void sum_elements<double>(const View&, const View&);

}  // namespace ww::cuda
