// Sums, products, extremes, means, variances and logsumexp: one tree (tree.h) over different maps and combinations.
//
// A reduction F maps each element, combines two results, and finishes:
//   identity()       what changes nothing when combined
//   map(x, p)        of an element; p is what y holds before the pass (the mean, the maximum), for reductions in two passes
//   combine(a, b)    the same on both sides of the tree
//   finish(a, p, n)  what is written to y; n is the number to divide by, where there is one
#include <limits>

#include "kernels/common/vector_math.h"
#include "kernels/reduce/reduce.h"
#include "kernels/reduce/tree.h"

namespace ww::WW_ISA {
namespace {

template <class T>
struct Sum {
    static constexpr bool reads_y = false;
    static T identity() { return 0; }
    static WW_INLINE Vec<T> map(Vec<T> x, Vec<T>) { return x; }
    static WW_INLINE Vec<T> combine(Vec<T> a, Vec<T> b) { return a + b; }
    static WW_INLINE Vec<T> finish(Vec<T> a, Vec<T>, Vec<T>) { return a; }
};

template <class T>
struct SumSquares : Sum<T> {
    static WW_INLINE Vec<T> map(Vec<T> x, Vec<T>) { return x * x; }
};

template <class T>
struct Mean : Sum<T> {
    static WW_INLINE Vec<T> finish(Vec<T> a, Vec<T>, Vec<T> n) { return a / n; }
};

// The second pass of var: p is the mean.
template <class T>
struct Spread : Mean<T> {
    static constexpr bool reads_y = true;
    static WW_INLINE Vec<T> map(Vec<T> x, Vec<T> p) { return (x - p) * (x - p); }
};

template <class T>
struct Prod : Sum<T> {
    static T identity() { return 1; }
    static WW_INLINE Vec<T> combine(Vec<T> a, Vec<T> b) { return a * b; }
};

template <class T>
struct Max : Sum<T> {
    static T identity() { return -std::numeric_limits<T>::infinity(); }
    static WW_INLINE Vec<T> combine(Vec<T> a, Vec<T> b) { return max_nan(a, b); }
};

template <class T>
struct Min : Sum<T> {
    static T identity() { return std::numeric_limits<T>::infinity(); }
    static WW_INLINE Vec<T> combine(Vec<T> a, Vec<T> b) { return min_nan(a, b); }
};

// The two passes of logsumexp. An infinite maximum is replaced by 0, since Inf - Inf is NaN while e^Inf and log(0) are right.
template <class T>
struct FiniteMax : Max<T> {
    static WW_INLINE Vec<T> finish(Vec<T> a, Vec<T>, Vec<T>) {
        return where<T>(abs(a) == Vec<T>(std::numeric_limits<T>::infinity()), Vec<T>::zero(), a);
    }
};
template <class T>
struct SumExp : Sum<T> {
    static constexpr bool reads_y = true;
    static WW_INLINE Vec<T> map(Vec<T> x, Vec<T> p) { return exp(x - p); }
    static WW_INLINE Vec<T> finish(Vec<T> a, Vec<T> p, Vec<T>) { return p + log(a); }
};

// Lane i of the result is lane i + by of v, counted round.
template <int by, class T>
WW_INLINE Vec<T> rotate(Vec<T> v) {
    constexpr int w = Vec<T>::width;
#if defined(__clang__)
    typename Vec<T>::Raw r;
    for (int i = 0; i < w; i++) r[i] = v.v[(i + by) % w];
    return Vec<T>(r);
#else
    typename Vec<T>::Mask order;
    for (int i = 0; i < w; i++) order[i] = (i + by) % w;
    return Vec<T>(__builtin_shuffle(v.v, order));
#endif
}

// Combines the lanes in halves: lane 0 of the result holds all of them.
template <class F, int half, class T>
WW_INLINE Vec<T> fold_lanes(Vec<T> v) {
    if constexpr (half == 0) return v;
    else return fold_lanes<F, half / 2>(F::combine(v, rotate<half>(v)));
}

// One block of one output: n <= Tree<T>::block elements side by side.
template <class F, class T>
T reduce_block(const T* x, int64_t n, T before) {
    using V = Vec<T>;
    const V p(before);
    constexpr int w = V::width;
    const V identity(F::identity());
    V even = identity, odd = identity;
    int64_t i = 0;
    for (; i + 2 * w <= n; i += 2 * w) {
        even = F::combine(even, F::map(V::load(x + i), p));
        odd = F::combine(odd, F::map(V::load(x + i + w), p));
    }
    auto rest = [&](V sum) {  // lanes beyond the end hold the identity
        if (i >= n) return sum;
        int count = static_cast<int>(std::min<int64_t>(w, n - i));
        V mapped = F::map(V::load_partial(x + i, count), p);
        i += count;
        return F::combine(sum, where<T>(V::iota() < V(static_cast<T>(count)), mapped, identity));
    };
    even = rest(even);
    odd = rest(odd);
    return fold_lanes<F, w / 2>(F::combine(even, odd))[0];
}

// One lane of `used` neighbouring outputs. Four rows at a time: enough to keep the result in a register for a while, few enough
// for the hardware to follow each row along.
template <class F, class T>
void reduce_lane(T* result, const Rows<T>& rows, const T* p, int64_t used) {
    using V = Vec<T>;
    constexpr int64_t w = V::width, step = Tree<T>::lanes;
    const V identity(F::identity());
    for (int64_t i = 0; i < rows.count; i += 4) {
        const T* row[4];
        int n = static_cast<int>(std::min<int64_t>(4, rows.count - i));
        for (int k = 0; k < n; k++) row[k] = rows.x + rows.offsets[(i + k) * step];
        int64_t c = 0;
        for (; n == 4 && rows.stride == 1 && c + w <= used; c += w) {
            V sum = i == 0 ? identity : V::load(result + c), before = F::reads_y ? V::load(p + c) : identity;
            for (int k = 0; k < 4; k++) sum = F::combine(sum, F::map(V::load(row[k] + c), before));
            sum.store(result + c);
        }
        for (; c < used; c += w) {
            int lanes = static_cast<int>(std::min(w, used - c));
            V sum = i == 0 ? identity : V::load(result + c), before = F::reads_y ? V::load(p + c) : identity;
            for (int k = 0; k < n; k++) {
                const T* at = row[k] + c * rows.stride;
                sum = F::combine(sum,
                                 F::map(rows.stride == 1 ? V::load_partial(at, lanes) : V::gather(at, rows.stride, lanes), before));
            }
            sum.store(result + c);
        }
    }
}

template <class F, class T>
void combine_values(T* into, const T* from, int64_t used) {
    using V = Vec<T>;
    for (int64_t c = 0; c < used; c += V::width) F::combine(V::load(into + c), V::load(from + c)).store(into + c);
}

template <class F, class T>
void finish_values(T* values, const T* p, int64_t used, double attribute) {
    using V = Vec<T>;
    for (int64_t c = 0; c < used; c += V::width)
        F::finish(V::load(values + c), V::load(p + c), V(static_cast<T>(attribute))).store(values + c);
}

template <template <class> class F, class T>
void pass(const ReducePlan& plan, const Call& call, double attribute = 0) {
    using R = F<T>;
    const Reduction<T> op = {R::identity(),        R::reads_y,          reduce_block<R, T>, reduce_lane<R, T>,
                             combine_values<R, T>, finish_values<R, T>, attribute};
    reduce_pass(op, plan, call.view(1).ptr<T>(), call.view(0).ptr<T>(), static_cast<T*>(call.workspace));
}

size_t workspace(const Call& call) {
    ReducePlan plan(call.view(0), call.view(1), false);
    bool narrow = call.dtype == DType::float32;
    return static_cast<size_t>(narrow ? reduce_workspace<float>(plan) * 4 : reduce_workspace<double>(plan) * 8);
}

template <template <class> class F, class T>
void simple(const Call& call) {
    pass<F, T>(ReducePlan(call.view(0), call.view(1), false), call);
}

template <class T>
void mean(const Call& call) {
    ReducePlan plan(call.view(0), call.view(1), false);
    pass<Mean, T>(plan, call, static_cast<double>(plan.n));
}

template <class T>
void var(const Call& call) {
    ReducePlan plan(call.view(0), call.view(1), false);
    pass<Mean, T>(plan, call, static_cast<double>(plan.n));
    pass<Spread, T>(plan, call, std::max(0.0, static_cast<double>(plan.n) - call.real(0)));
}

template <class T>
void logsumexp(const Call& call) {
    ReducePlan plan(call.view(0), call.view(1), false);
    pass<FiniteMax, T>(plan, call);
    pass<SumExp, T>(plan, call);
}

#define WW_REDUCE(Name, ...) {&k##Name##Forward, "tree", WW_ISA_NAME, kFloats, by_float<__VA_ARGS__>, 0, nullptr, workspace}
constexpr Kernel kernels[] = {
    WW_REDUCE(Sum, simple<Sum, float>, simple<Sum, double>),
    WW_REDUCE(SumSquares, simple<SumSquares, float>, simple<SumSquares, double>),
    WW_REDUCE(Mean, mean<float>, mean<double>),
    WW_REDUCE(Prod, simple<Prod, float>, simple<Prod, double>),
    WW_REDUCE(Max, simple<Max, float>, simple<Max, double>),
    WW_REDUCE(Min, simple<Min, float>, simple<Min, double>),
    WW_REDUCE(Var, var<float>, var<double>),
    WW_REDUCE(Logsumexp, logsumexp<float>, logsumexp<double>),
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
