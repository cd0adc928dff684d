// y[..., :] = weight[index[...], :]: a copy of a row for each index. Jobs are runs of indices. Bound by memory: rows are read where
// they lie, in the order of the indices, and y is written once.
#include <algorithm>

#include "engine/parallel.h"
#include "engine/simd.h"
#include "kernels/embedding/embedding.h"

namespace ww::WW_ISA {
namespace {

template <class T>
void rows(const Call& call) {
    const View &y = call.view(0), &index = call.view(1), &weight = call.view(2);
    const int64_t size = weight.shape[1], step = weight.strides[1], out_step = y.strides[y.ndim - 1], skip = call.integer(0);
    parallel_for(index.size(), 1 + 16384 / (size + 1), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t row = index.ptr<int64_t>()[row_offset(index, index.ndim, i)];
            T* out = y.ptr<T>() + row_offset(y, y.ndim - 1, i);
            const T* in = weight.ptr<T>() + row * weight.strides[0];
            if (row == skip)
                for (int64_t d = 0; d < size; d++) out[d * out_step] = 0;
            else if (step == 1 && out_step == 1) std::copy_n(in, size, out);
            else
                for (int64_t d = 0; d < size; d++) out[d * out_step] = in[d * step];
        }
    });
}

constexpr Kernel kernels[] = {{&kEmbeddingForward, "rows", WW_ISA_NAME, kFloats, by_float<rows<float>, rows<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
