// The k best of a row by k rounds, each a reduction (kernels/reduce/reduction.cuh) to the best of those that come after the one
// before: k reads of the row, no memory but the outputs. Bound by bytes, k times over: for small k.
#include "kernels/common/view_element.cuh"
#include "kernels/reduce/placed.cuh"
#include "kernels/topk/topk.h"

namespace ww::cuda {
namespace {

template <int group, class T, bool largest>
__global__ void __launch_bounds__(kReduceThreads) select_best(View values, View indices, View x, int64_t rows) {
    SharedMemory shared;
    Placed<T>* scratch = shared.take<Placed<T>>(kReduceThreads / 32);
    const int last = x.ndim - 1;
    const int64_t n = x.shape[last], k = values.shape[last];
    const Better<T, largest, largest> better;
    for_each_output<group>(rows, [&](int64_t row, bool first) {
        const T* from = static_cast<const T*>(x.data) + offset_of_row(x, last, row);
        T* value = static_cast<T*>(values.data) + offset_of_row(values, last, row);
        int64_t* index = static_cast<int64_t*>(indices.data) + offset_of_row(indices, last, row);
        Placed<T> before{T(0), -1};
        for (int64_t i = 0; i < k; i++) {
            const Placed<T> best = reduce_group<group>(
                n, Placed<T>{T(0), -1}, scratch,
                [&](int64_t r) {
                    const Placed<T> here{from[r * x.strides[last]], r};
                    const bool after = before.at < 0 || (r != before.at && better(before, here).at == before.at);
                    return after ? here : Placed<T>{T(0), -1};
                },
                better);
            if (first) value[i * values.strides[last]] = best.v, index[i * indices.strides[last]] = best.at;
            before = best;
        }
    });
}

template <class T, bool largest>
void run_rows(const Call& call) {
    const View &values = call.view(0), &x = call.view(2);
    const int64_t rows = row_count(x, x.ndim - 1), n = x.shape[x.ndim - 1];
    if (values.size() == 0) return;
    const LaunchConfig grid = reduction_grid(rows, reduction_group(n), sizeof(Placed<T>));
    with_group(n,
               [&](auto group) { launch<select_best<decltype(group)::value, T, largest>>(grid, values, call.view(1), x, rows); });
}

template <class T>
void selection(const Call& call) {
    call.flag(0) ? run_rows<T, true>(call) : run_rows<T, false>(call);
}

constexpr Kernel kernels[] = {{&kTopkForward, "selection", WW_DEVICE_NAME, kFloats, by_float<selection<float>, selection<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
