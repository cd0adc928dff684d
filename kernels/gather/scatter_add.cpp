// out[..., index[..., j]] += src[..., j]: rows are independent, and within one the terms come in order, so no bit depends on
// threads.
//
// Jobs are runs of rows. Where neighbouring rows lie next to each other (sums of whole slices, as index_add takes them), j is the
// outer loop and a run of rows the inner one, so that memory is read in lines; elsewhere a row is done from end to end.
// Bound by memory: a read of src and index, a read and a write of the places.
#include <algorithm>
#include <cstdlib>

#include "engine/parallel.h"
#include "engine/simd.h"
#include "kernels/gather/gather.h"

namespace ww::WW_ISA {
namespace {

constexpr int64_t kRun = 64;  // rows: four lines of float32 a term

template <class T>
void ordered(const Call& call) {
    const View &out = call.view(0), &src = call.view(1), &index = call.view(2);
    int last = out.ndim - 1;
    int64_t m = src.shape[last], rows = row_count(src, last);
    int64_t inner = last > 0 ? src.shape[last - 1] : 1;  // rows are `inner` long runs of one step
    if (m == 0 || rows == 0) return;
    bool neighbours = last > 0 && std::abs(src.strides[last - 1]) < std::abs(src.strides[last]);
    int64_t run = neighbours ? std::min(kRun, inner) : 1, runs = (inner + run - 1) / run;
    int64_t out_step = out.strides[last], src_step = src.strides[last], index_step = index.strides[last];
    int64_t out_row = last > 0 ? out.strides[last - 1] : 0, src_row = last > 0 ? src.strides[last - 1] : 0;
    int64_t index_row = last > 0 ? index.strides[last - 1] : 0;
    const bool slices = index_row == 0 && out_row == 1 && src_row == 1;  // all rows of a run add to one place: whole vectors
    parallel_for(rows / inner * runs, 1 + 8192 / (m * run), [&](int64_t begin, int64_t end) {
        for (int64_t job = begin; job < end; job++) {
            int64_t first = job / runs * inner + job % runs * run, count = std::min(run, inner - job % runs * run);
            T* o = out.ptr<T>() + row_offset(out, last, first);
            const T* s = src.ptr<T>() + row_offset(src, last, first);
            const int64_t* at = index.ptr<int64_t>() + row_offset(index, last, first);
            if (slices) {
                for (int64_t j = 0; j < m; j++, s += src_step, at += index_step) {
                    T* to = o + *at * out_step;
                    for (int64_t r = 0; r < count; r++) to[r] += s[r];
                }
                continue;
            }
            for (int64_t j = 0; j < m; j++, s += src_step, at += index_step)
                for (int64_t r = 0; r < count; r++) o[r * out_row + at[r * index_row] * out_step] += s[r * src_row];
        }
    });
}

constexpr Kernel kernels[] = {{&kScatterAddForward, "ordered", WW_ISA_NAME, kFloats, by_float<ordered<float>, ordered<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
