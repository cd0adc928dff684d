// argmax and argmin: the place, in C order over the reduced dimensions, of the first extreme element; a NaN counts as extreme, as
// in the array API standard. Elements side by side are compared by vectors, a block at a time: only the block that holds the best
// so far is searched for its place, at the end. Bound by bytes there, by the comparison elsewhere.
#include "kernels/reduce/reduce.h"
#include "kernels/reduce/tree.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kColumns = 256;  // neighbouring outputs whose best values stay in the L1 cache

template <class T, bool largest>
bool better(T x, T best) {
    return (largest ? x > best : x < best) || (x != x && best == best);
}

constexpr int64_t kBlock = 1024;

// The extreme of n >= 1 elements side by side.
template <class T, bool largest>
T extreme(const T* x, int64_t n) {
    using V = Vec<T>;
    auto pick = [](V a, V b) { return largest ? max_nan(a, b) : min_nan(a, b); };
    V best(x[0]), other = best;
    int64_t i = 0;
    for (; i + 2 * V::width <= n; i += 2 * V::width) {
        best = pick(best, V::load(x + i));
        other = pick(other, V::load(x + i + V::width));
    }
    for (; i < n; i++) other = pick(other, V(x[i]));
    best = pick(best, other);
    T found = best[0];
    for (int lane = 1; lane < V::width; lane++)
        if (better<T, largest>(best[lane], found)) found = best[lane];
    return found;
}

template <class T, bool largest>
int64_t row(const ReducePlan& plan, const T* x) {
    ReducedPosition position(plan, 0);
    T best = x[0];
    int64_t at = 0, stride = plan.strides[0];
    const T* block = x;  // that of the best, its first element being number `at`
    for (int64_t r = 0; r < plan.n;) {
        int64_t count = std::min(kBlock, position.left_in_run());
        const T* run = x + position.offset;
        if (stride == 1) {
            T found = extreme<T, largest>(run, count);
            if (better<T, largest>(found, best)) best = found, at = r, block = run;
        } else {
            for (int64_t i = 0; i < count; i++)
                if (better<T, largest>(run[i * stride], best)) best = run[i * stride], at = r + i, block = run + i * stride;
        }
        position.advance(count);
        r += count;
    }
    while (!(*block == best || (best != best && *block != *block))) block++, at++;
    return at;
}

template <class T, bool largest>
void columns(const ReducePlan& plan, const T* x, int64_t used, int64_t* at) {
    T best[kColumns];
    ReducedPosition position(plan, 0);
    for (int64_t r = 0; r < plan.n; r++, position.advance(1)) {
        const T* run = x + position.offset;
        for (int64_t c = 0; c < used; c++) {
            T value = run[c * plan.kept_strides[0]];
            bool take = r == 0 || better<T, largest>(value, best[c]);
            best[c] = take ? value : best[c];
            at[c] = take ? r : at[c];
        }
    }
}

template <class T, bool largest>
void arg(const Call& call) {
    ReducePlan plan(call.view(0), call.view(1), true);
    if (plan.outputs == 0) return;
    const T* x = call.view(1).ptr<T>();
    auto* y = call.view(0).ptr<int64_t>();
    int64_t chunk = plan.by_columns(Tree<T>::lanes) ? kColumns : 1, length = plan.kept_shape[0],
            chunks = (length + chunk - 1) / chunk;
    parallel_for(plan.outputs / length * chunks, 1 + 16384 / (plan.n * chunk), [&](int64_t begin, int64_t end) {
        int64_t at[kColumns];
        for (int64_t index = begin; index < end; index++) {
            int64_t first = index % chunks * chunk, used = std::min(chunk, length - first);
            KeptPosition kept(plan, index / chunks * length + first);
            if (chunk == 1) at[0] = row<T, largest>(plan, x + kept.x);
            else columns<T, largest>(plan, x + kept.x, used, at);
            for (int64_t c = 0; c < used; c++) y[kept.y + c * plan.y_strides[0]] = at[c];
        }
    });
}

constexpr Kernel kernels[] = {
    {&kArgmaxForward, "scan", WW_ISA_NAME, kFloats, by_float<arg<float, true>, arg<double, true>>},
    {&kArgminForward, "scan", WW_ISA_NAME, kFloats, by_float<arg<float, false>, arg<double, false>>},
};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
