// out[..., j] = x[..., index[..., j]], a row at a time. Bound by memory: index and out are read and written in order, x where the
// index points.
#include "engine/parallel.h"
#include "engine/simd.h"
#include "kernels/gather/gather.h"

namespace ww::WW_ISA {
namespace {

template <class T>
void rows(const Call& call) {
    const View &out = call.view(0), &x = call.view(1), &index = call.view(2);
    const int last = out.ndim - 1;
    const int64_t m = out.shape[last], out_step = out.strides[last], x_step = x.strides[last], index_step = index.strides[last];
    if (m == 0) return;
    parallel_for(row_count(out, last), 1 + 16384 / (m + 1), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) {
            T* to = out.ptr<T>() + row_offset(out, last, row);
            const T* from = x.ptr<T>() + row_offset(x, last, row);
            const int64_t* at = index.ptr<int64_t>() + row_offset(index, last, row);
            for (int64_t j = 0; j < m; j++) to[j * out_step] = from[at[j * index_step] * x_step];
        }
    });
}

constexpr Kernel kernels[] = {{&kGatherForward, "rows", WW_ISA_NAME, kFloats, by_float<rows<float>, rows<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
