// What the kernels of attention share: matrices of a batch, and s_ij out of a row of products.
#pragma once

#include <algorithm>
#include <limits>

#include "kernels/attention/attention.h"
#include "kernels/common/row.h"

namespace ww::WW_ISA {
namespace {

// One matrix of a batch: element (i, j) at data[i * row + j * column]. data is nullptr for an argument that was not given.
template <class T>
struct Matrix {
    T* data;
    int64_t row, column;

    T* at(int64_t i, int64_t j) const { return data + i * row + j * column; }
    Matrix transposed() const { return {data, column, row}; }
};

// Matrix `index` of a view [..., rows, columns]; a view [..., rows] is a column.
template <class T>
Matrix<T> matrix_of(const View& v, int lead, int64_t index) {
    if (!v.present()) return {nullptr, 0, 0};
    T* data = v.ptr<T>();
    for (int d = lead - 1; d >= 0; d--) data += index % v.shape[d] * v.strides[d], index /= v.shape[d];
    return {data, v.strides[lead], v.ndim > lead + 1 ? v.strides[lead + 1] : 0};
}

inline int64_t batch_of(const View& v, int lead) {
    int64_t n = 1;
    for (int d = 0; d < lead; d++) n *= v.shape[d];
    return n;
}

// Rows are queries and columns keys, or (`by_key`) the other way round.
template <class T>
struct Scores {
    T scale;
    bool causal, by_key;
    Matrix<const T> bias;
    Matrix<const bool> keep;

    Scores(const Call& call, int first, int lead, int64_t index, bool by_key)
        : scale(static_cast<T>(call.real(0))),
          causal(call.flag(1)),
          by_key(by_key),
          bias(matrix_of<const T>(call.view(first), lead, index)),
          keep(matrix_of<const bool>(call.view(first + 1), lead, index)) {
        if (by_key) bias = bias.transposed(), keep = keep.transposed();
    }

    // Whole vectors of a row; what is before and behind them is masked.
    struct Range {
        int64_t begin, end;
    };

    // n elements of `s`, products of row i with columns from j, become scores where the range says so; -Inf from n to its end.
    WW_INLINE Range finish(T* s, int64_t i, int64_t j, int64_t n) const {
        constexpr int width = Vec<T>::width;
        const Vec<T> low(-std::numeric_limits<T>::infinity());
        // Of the queries of a key causal leaves those from it on, of the keys of a query those up to it.
        int64_t first = causal && by_key ? std::clamp<int64_t>(i - j, 0, n) : 0;
        int64_t end = causal && !by_key ? std::clamp<int64_t>(i - j + 1, 0, n) : n;
        Range range{first / width * width, (end + width - 1) / width * width};
        for (int64_t at = range.begin; at < range.end; at += width) {
            int lanes = static_cast<int>(std::min<int64_t>(width, end - at));
            Vec<T> v = Vec<T>::load(s + at) * Vec<T>(scale);
            if (bias.data) v += Row<const T>{bias.at(i, j + at), bias.column}.load(0, lanes);
            if (keep.data) v = where<T>(kept(keep.at(i, j + at), lanes) == Vec<T>::zero(), low, v);
            if (at < first) v = where<T>(Vec<T>::iota() < Vec<T>(static_cast<T>(first - at)), low, v);
            keep_first(v, lanes, -std::numeric_limits<T>::infinity()).store(s + at);
        }
        return range;
    }

  private:
    WW_INLINE Vec<T> kept(const bool* from, int lanes) const {
        constexpr int width = Vec<T>::width;
        T flags[width] = {};
        if (keep.column == 1 && lanes == width)
            for (int l = 0; l < width; l++) flags[l] = static_cast<T>(from[l]);
        else
            for (int l = 0; l < lanes; l++) flags[l] = static_cast<T>(from[l * keep.column]);
        return Vec<T>::load(flags);
    }
};

}  // namespace
}  // namespace ww::WW_ISA
