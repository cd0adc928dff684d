// argmax and argmin: the place, in C order over the reduced dimensions, of the first extreme element; a NaN counts as extreme, as
// in the array API standard. Bound by the comparison, about one element a cycle along rows; by bytes where neighbouring outputs
// are compared side by side.
#include "kernels/reduce/reduce.h"
#include "kernels/reduce/tree.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kColumns = 256;  // neighbouring outputs whose best values stay in the L1 cache

template <class T, bool largest>
bool better(T x, T best) {
    return (largest ? x > best : x < best) || (x != x && best == best);
}

template <class T, bool largest>
int64_t row(const ReducePlan& plan, const T* x) {
    ReducedPosition position(plan, 0);
    T best = x[0];
    int64_t at = 0;
    for (int64_t r = 0; r < plan.n;) {
        int64_t count = position.left_in_run(), stride = plan.strides[0];
        const T* run = x + position.offset;
        for (int64_t i = 0; i < count; i++)
            if (better<T, largest>(run[i * stride], best)) best = run[i * stride], at = r + i;
        position.advance(count);
        r += count;
    }
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
    int64_t chunk = plan.by_columns(Tree<T>::lanes) ? kColumns : 1, length = plan.kept_shape[0], chunks = (length + chunk - 1) / chunk;
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
