// Rows of a view as vectors: whole vectors first, then a partial one through the same code.
#pragma once

#include <limits>

#include "engine/simd.h"
#include "engine/view.h"

namespace ww::WW_ISA {
namespace {

template <class T>
WW_INLINE Vec<T> load_lanes(const T* p, int n) {
    return n == Vec<T>::width ? Vec<T>::load(p) : Vec<T>::load_partial(p, n);
}
template <class T>
WW_INLINE void store_lanes(T* p, int n, Vec<T> v) {
    if (n == Vec<T>::width) v.store(p);
    else v.store_partial(p, n);
}

// Element i lies at data[i * stride]. T is const where the row is only read.
template <class T>
struct Row {
    using Element = std::remove_const_t<T>;
    T* data;
    int64_t stride;

    WW_INLINE Vec<Element> load(int64_t i, int n) const {
        return stride == 1 ? load_lanes<Element>(data + i, n) : Vec<Element>::gather(data + i * stride, stride, n);
    }
    WW_INLINE void store(int64_t i, int n, Vec<Element> v) const {
        if (stride == 1) store_lanes(data + i, n, v);
        else v.scatter(data + i * stride, stride, n);
    }
};

// A view as rows of its last dimension; one row where it has no gaps.
struct Rows {
    View view;
    int64_t length;

    explicit Rows(const View& v, bool as_one_row) : view(v) {
        if (as_one_row || v.ndim == 0) view.ndim = 1, view.shape[0] = v.size(), view.strides[0] = 1;
        length = view.shape[view.ndim - 1];
    }
    // The offset of element e in C order.
    int64_t offset(int64_t e) const {
        int64_t at = 0;
        for (int d = view.ndim - 1; d >= 0; d--) at += e % view.shape[d] * view.strides[d], e /= view.shape[d];
        return at;
    }
    int64_t stride() const { return view.strides[view.ndim - 1]; }
};

// body(i, lanes) for every vector of n elements.
template <class T, class Body>
WW_INLINE void for_row(int64_t n, Body&& body) {
    constexpr int width = Vec<T>::width;
    int64_t i = 0;
    for (; i + width <= n; i += width) body(i, width);
    if (i < n) body(i, static_cast<int>(n - i));
}

// Lanes of `v` from n on become `rest`.
template <class T>
WW_INLINE Vec<T> keep_first(Vec<T> v, int n, T rest) {
    return n == Vec<T>::width ? v : where<T>(Vec<T>::iota() < Vec<T>(static_cast<T>(n)), v, Vec<T>(rest));
}

// The sum of term(i, lanes) over a row: vector j of each four goes to accumulator j, and the accumulators into a fixed tree.
template <class T, class Term>
WW_INLINE T row_sum(int64_t n, Term&& term) {
    constexpr int width = Vec<T>::width;
    Vec<T> sum[4] = {Vec<T>::zero(), Vec<T>::zero(), Vec<T>::zero(), Vec<T>::zero()};
    int64_t i = 0;
    for (; i + 4 * width <= n; i += 4 * width)
        for (int j = 0; j < 4; j++) sum[j] += term(i + j * width, width);
    for (; i + width <= n; i += width) sum[0] += term(i, width);
    if (i < n) sum[1] += keep_first(term(i, static_cast<int>(n - i)), static_cast<int>(n - i), T(0));
    return reduce_add((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

// row_sum for as many rows as a vector has lanes, the same tree in each: terms come one element of all rows at a time.
template <class T>
class ColumnSum {
    static constexpr int width = Vec<T>::width;
    Vec<T> sum[4 * width];   // accumulator j, lane l of row_sum at j * width + l
    int64_t whole, vectors;  // elements in blocks of four vectors, and in vectors

  public:
    WW_INLINE explicit ColumnSum(int64_t n) : whole(n - n % (4 * width)), vectors(n - n % width) {
        for (auto& s : sum) s = Vec<T>::zero();
    }
    WW_INLINE void add(int64_t i, Vec<T> term) {
        sum[i < whole ? i % (4 * width) : i < vectors ? i % width : width + i % width] += term;
    }
    WW_INLINE Vec<T> total() {
        for (int l = 0; l < width; l++) sum[l] = (sum[l] + sum[width + l]) + (sum[2 * width + l] + sum[3 * width + l]);
        for (int half = width / 2; half > 0; half /= 2)
            for (int l = 0; l < half; l++) sum[l] += sum[l + half];
        return sum[0];
    }
};

// -Inf for an empty row.
template <class T>
WW_INLINE std::remove_const_t<T> row_max(Row<T> row, int64_t n) {
    using E = std::remove_const_t<T>;
    constexpr int width = Vec<E>::width;
    constexpr E low = -std::numeric_limits<E>::infinity();
    Vec<E> best[4] = {Vec<E>(low), Vec<E>(low), Vec<E>(low), Vec<E>(low)};
    int64_t i = 0;
    for (; i + 4 * width <= n; i += 4 * width)
        for (int j = 0; j < 4; j++) best[j] = max_nan(best[j], row.load(i + j * width, width));
    for (; i + width <= n; i += width) best[0] = max_nan(best[0], row.load(i, width));
    if (i < n) best[1] = max_nan(best[1], keep_first(row.load(i, static_cast<int>(n - i)), static_cast<int>(n - i), low));
    return reduce_max(max_nan(max_nan(best[0], best[1]), max_nan(best[2], best[3])));
}

}  // namespace
}  // namespace ww::WW_ISA
