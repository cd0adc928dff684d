// The k best of a row by a heap of k that lies in the outputs, its root the worst of them: an element that is better than the root
// takes its place, and in the end the heap is sorted where it lies (Williams 1964, heapsort). n + m log k comparisons for m
// elements that enter; bound by the reading of x where few do.
#include <algorithm>
#include <utility>

#include "engine/parallel.h"
#include "engine/simd.h"
#include "kernels/topk/topk.h"

namespace ww::WW_ISA {
namespace {

template <class T, bool largest>
bool better(T a, T b) {  // equals are not better: the index decides
    const bool a_nan = a != a, b_nan = b != b;
    if (a_nan || b_nan) return largest ? a_nan && !b_nan : b_nan && !a_nan;
    return largest ? a > b : a < b;
}

constexpr int64_t kSkip = 64;

// Whether surely none of kSkip elements is better than the root. NaN is for `better` to judge.
template <class T, bool largest>
bool none_enters(const T* x, T root) {
    using V = Vec<T>;
    V best = V::load(x);
    for (int64_t j = V::width; j < kSkip; j += V::width)
        best = largest ? max_nan(best, V::load(x + j)) : min_nan(best, V::load(x + j));
    return largest ? reduce_max(best) <= root : -reduce_max(-best) >= root;
}

// One row's outputs as a heap in which no element comes before its children in the result.
template <class T, bool largest>
struct Heap {
    T* values;
    int64_t* indices;
    int64_t value_step, index_step;

    T& value(int64_t i) const { return values[i * value_step]; }
    int64_t& index(int64_t i) const { return indices[i * index_step]; }
    bool later(int64_t a, int64_t b) const {
        return better<T, largest>(value(b), value(a)) || (!better<T, largest>(value(a), value(b)) && index(b) < index(a));
    }
    void exchange(int64_t a, int64_t b) const {
        std::swap(value(a), value(b));
        std::swap(index(a), index(b));
    }
    void sink(int64_t i, int64_t size) const {
        for (int64_t child; (child = 2 * i + 1) < size; i = child) {
            if (child + 1 < size && later(child + 1, child)) child++;
            if (!later(child, i)) return;
            exchange(i, child);
        }
    }
};

template <class T, bool largest>
void row(const Heap<T, largest>& heap, int64_t k, const T* x, int64_t step, int64_t n) {
    for (int64_t i = 0; i < k; i++) heap.value(i) = x[i * step], heap.index(i) = i;
    for (int64_t i = k / 2; i-- > 0;) heap.sink(i, k);
    for (int64_t first = k; first < n; first += kSkip) {
        const int64_t end = std::min(n, first + kSkip);
        if (step == 1 && end == first + kSkip && none_enters<T, largest>(x + first, heap.value(0))) continue;
        for (int64_t i = first; i < end; i++) {
            if (!better<T, largest>(x[i * step], heap.value(0))) continue;  // of equals the earlier stays
            heap.value(0) = x[i * step], heap.index(0) = i;
            heap.sink(0, k);
        }
    }
    for (int64_t size = k; size-- > 1;) {
        heap.exchange(0, size);
        heap.sink(0, size);
    }
}

template <class T, bool largest>
void rows(const Call& call) {
    const View &values = call.view(0), &indices = call.view(1), &x = call.view(2);
    const int last = x.ndim - 1;
    const int64_t n = x.shape[last], k = values.shape[last];
    if (k == 0) return;
    parallel_for(row_count(x, last), 1 + 8192 / (n + 1), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const Heap<T, largest> heap = {values.ptr<T>() + row_offset(values, last, r),
                                           indices.ptr<int64_t>() + row_offset(indices, last, r), values.strides[last],
                                           indices.strides[last]};
            row(heap, k, x.ptr<T>() + row_offset(x, last, r), x.strides[last], n);
        }
    });
}

template <class T>
void heap(const Call& call) {
    call.flag(0) ? rows<T, true>(call) : rows<T, false>(call);
}

constexpr Kernel kernels[] = {{&kTopkForward, "heap", WW_ISA_NAME, kFloats, by_float<heap<float>, heap<double>>}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
