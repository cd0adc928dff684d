// gates[r, g] = sum over l of input[r, l] input_weight[g, l], for all rows of all steps at once.
#pragma once

#include "kernels/common/product_tile.cuh"
#include "kernels/common/view_element.cuh"

namespace ww::cuda {

template <class T>
__global__ void __launch_bounds__(kProductThreads) multiply_inputs(View gates, View input, View weight) {
    SharedMemory shared;
    const ProductTile<T, 1> tile(shared);
    const int64_t r0 = int64_t{blockIdx.x} * kProductTile, g0 = int64_t{blockIdx.y} * kProductTile;
    T sum[1] = {};
    tile.add(
        sum, input.shape[1], [&](int row, int64_t l) { return r0 + row < gates.shape[0] ? element<T>(input, r0 + row, l) : T(0); },
        [&](int, int column, int64_t l) { return g0 + column < gates.shape[1] ? element<T>(weight, g0 + column, l) : T(0); });
    const int64_t r = r0 + tile.row(), g = g0 + tile.column();
    if (r < gates.shape[0] && g < gates.shape[1]) element<T>(gates, r, g) = sum[0];
}

template <class T>
void input_product(const View& gates, const View& input, const View& weight) {
    if (gates.size() == 0) return;
    launch<multiply_inputs<T>>({product_grid(gates.shape[0], gates.shape[1]), kProductThreads, ProductTile<T, 1>::kSharedBytes},
                               gates, input, weight);
}

}  // namespace ww::cuda
