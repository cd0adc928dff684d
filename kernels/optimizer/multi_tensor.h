// Lists of tensors as one range of elements: what the optimizers and gradient clipping run over.
#pragma once

#include <algorithm>

#include "engine/parallel.h"
#include "kernels/common/row.h"
#include "kernels/optimizer/optimizer.h"

namespace ww::WW_ISA {
namespace {

// ends[k] is one past the last element of tensor k of list 0, counted through the whole list.
inline size_t ends_bytes(const Call& call) { return sizeof(int64_t) * static_cast<size_t>(call.count(0)); }

constexpr int kMaxLists = 5;

// Do the tensors k of the lists lie in memory in one and the same order, without gaps? Then memory order serves.
inline bool share_layout(const Call& call, int k, unsigned lists) {
    const View& first = call.view(0, k);
    if (!first.is_dense()) return false;
    for (int list = 1; list < kMaxLists; list++) {
        if (!(lists >> list & 1)) continue;
        const View& other = call.view(list, k);
        for (int d = 0; d < first.ndim; d++)
            if (first.shape[d] > 1 && first.strides[d] != other.strides[d]) return false;
    }
    return true;
}

template <class T, unsigned lists, unsigned written, bool unit, class Step>
WW_INLINE void step_row(const Row<T>* rows, int64_t n, const Step& step) {
    for_row<T>(n, [&](int64_t i, int lanes) {
        Vec<T> v[kMaxLists];
        for (int list = 0; list < kMaxLists; list++)
            if (lists >> list & 1) v[list] = unit ? load_lanes<T>(rows[list].data + i, lanes) : rows[list].load(i, lanes);
        step(v);
        for (int list = 0; list < kMaxLists; list++) {
            if (!(written >> list & 1)) continue;
            if (unit) store_lanes(rows[list].data + i, lanes, v[list]);
            else rows[list].store(i, lanes, v[list]);
        }
    });
}

// Elements [from, to) of the tensors k.
template <class T, unsigned lists, unsigned written, class Step>
void step_range(const Call& call, int k, int64_t from, int64_t to, const Step& step) {
    bool dense = share_layout(call, k, lists);
    const View& first = call.view(0, k);
    int64_t length = dense || first.ndim == 0 ? to : first.shape[first.ndim - 1];
    for (int64_t e = from; e < to;) {
        int64_t count = std::min(to - e, length - e % length);
        Row<T> rows[kMaxLists];
        for (int list = 0; list < kMaxLists; list++) {
            if (!(lists >> list & 1)) continue;
            Rows of(call.view(list, k), dense);
            rows[list] = {of.view.ptr<T>() + of.offset(e), of.stride()};
        }
        if (dense) step_row<T, lists, written, true>(rows, count, step);
        else step_row<T, lists, written, false>(rows, count, step);
        e += count;
    }
}

// Runs over the lists of the call whose bits are set: step(v) gets one vector of each and changes those of `written`. Elements, not
// tensors, are cut over the threads, so that many small tensors and a few large ones cost each thread the same.
template <class T, unsigned lists, unsigned written, class Step>
void step_all(const Call& call, const Step& step) {
    auto* ends = static_cast<int64_t*>(call.workspace);
    int64_t total = 0;
    for (int k = 0; k < call.count(0); k++) ends[k] = total += call.view(0, k).size();
    parallel_for(total, 16384, [&](int64_t begin, int64_t end) {
        int k = static_cast<int>(std::upper_bound(ends, ends + call.count(0), begin) - ends);
        for (; begin < end; k++) {
            int64_t start = k ? ends[k - 1] : 0, stop = std::min(end, ends[k]);
            if (begin < stop) step_range<T, lists, written>(call, k, begin - start, stop - start, step);
            begin = std::max(begin, stop);
        }
    });
}

}  // namespace
}  // namespace ww::WW_ISA
