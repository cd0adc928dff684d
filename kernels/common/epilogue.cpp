#include "kernels/common/epilogue.h"

#include <algorithm>

#include "kernels/common/brgemm.h"
#include "kernels/common/transpose.h"
#include "kernels/common/unroll.h"
#include "kernels/common/vector_math.h"

namespace ww::WW_ISA {
namespace {

template <class T>
Vec<T> activate(Vec<T> x, Activation activation) {
    switch (activation) {
        case Activation::none: return x;
        case Activation::relu: return where<T>(x < Vec<T>::zero(), Vec<T>::zero(), x);  // NaN is not below zero: it stays
        case Activation::tanh: return tanh(x);
        case Activation::sigmoid: return sigmoid(x);
        case Activation::gelu: return x * normal_cdf(x);
    }
    return x;
}

// A whole row of vectors side by side, with nothing or the commonest things to do on the way: most tiles of a large product.
template <bool Add, bool Bias, bool Relu, class T>
void store_rows(const T* tile, const TileTarget<T>& target, const T* bias) {
    constexpr int vectors = Tile<T>::vectors, lanes = Tile<T>::lanes;
    Vec<T> shift[vectors];
    if constexpr (Bias) unroll<vectors>([&](auto v) { shift[v] = Vec<T>::load(bias + v * lanes); });
    for (int i = 0; i < target.rows; i++) {
        T* out = target.out + target.row_offset[i];
        unroll<vectors>([&](auto v) {
            auto sum = Vec<T>::load(tile + i * Tile<T>::columns + v * lanes);
            if constexpr (Add) sum += Vec<T>::load(out + v * lanes);
            if constexpr (Bias) sum += shift[v];
            if constexpr (Relu) sum = activate(sum, Activation::relu);
            sum.store(out + v * lanes);
        });
    }
}

template <class T>
bool store_simple(const T* tile, const TileTarget<T>& target, bool add, const Epilogue<T>* last) {
    if (target.column_stride != 1 || target.columns != Tile<T>::columns) return false;
    const T* bias = last ? last->bias : nullptr;
    bool relu = last && last->activation == Activation::relu;
    if (last && !relu && last->activation != Activation::none) return false;
    if (bias && (last->column_stride != 1 || last->row_stride != 0)) return false;
    if (add) {
        if (bias) relu ? store_rows<true, true, true>(tile, target, bias) : store_rows<true, true, false>(tile, target, bias);
        else relu ? store_rows<true, false, true>(tile, target, bias) : store_rows<true, false, false>(tile, target, bias);
    } else {
        if (bias) relu ? store_rows<false, true, true>(tile, target, bias) : store_rows<false, true, false>(tile, target, bias);
        else relu ? store_rows<false, false, true>(tile, target, bias) : store_rows<false, false, false>(tile, target, bias);
    }
    return true;
}

// A tile whose rows are neighbours in the output, as when a product is computed as its transpose: turned in registers.
template <class T>
bool store_columns(const T* tile, const TileTarget<T>& target, bool add, const Epilogue<T>* last) {
    constexpr int lanes = Tile<T>::lanes;
    if (target.column_stride == 1 || target.rows < 2 || target.rows > lanes) return false;
    for (int i = 1; i < target.rows; i++)
        if (target.row_offset[i] != target.row_offset[0] + i) return false;
    Vec<T> shift = Vec<T>::zero();
    if (last && last->bias) {
        if (last->row_stride != 1 || last->column_stride != 0) return false;
        shift = Vec<T>::load_partial(last->bias, target.rows);
    }
    for (int j0 = 0; j0 < target.columns; j0 += lanes) {
        Vec<T> square[lanes];
        for (int i = 0; i < lanes; i++)
            square[i] = i < target.rows ? Vec<T>::load(tile + i * Tile<T>::columns + j0) : Vec<T>::zero();
        transpose(square);
        for (int j = 0; j < std::min(lanes, target.columns - j0); j++) {
            T* out = target.out + target.row_offset[0] + (j0 + j) * target.column_stride;
            Vec<T> sum = square[j];
            if (add) sum += Vec<T>::load_partial(out, target.rows);
            if (last) {
                if (last->bias) sum += shift;
                sum = activate(sum, last->activation);
            }
            sum.store_partial(out, target.rows);
        }
    }
    return true;
}

}  // namespace

template <class T>
void store_tile(const T* tile, const TileTarget<T>& target, bool add, const Epilogue<T>* last) {
    if (store_simple(tile, target, add, last) || store_columns(tile, target, add, last)) return;
    constexpr int lanes = Vec<T>::width;
    int64_t step = target.column_stride;
    for (int i = 0; i < target.rows; i++) {
        for (int j = 0; j < target.columns; j += lanes) {
            int n = std::min(lanes, target.columns - j);
            T* out = target.out + target.row_offset[i] + j * step;
            bool whole = step == 1 && n == lanes;
            auto sum = Vec<T>::load(tile + i * Tile<T>::columns + j);
            if (add) sum += whole ? Vec<T>::load(out) : Vec<T>::gather(out, step, n);
            if (last) {
                if (last->bias) {
                    const T* bias = last->bias + i * last->row_stride + j * last->column_stride;
                    if (last->column_stride == 0) sum += Vec<T>(*bias);
                    else if (last->column_stride == 1) sum += n == lanes ? Vec<T>::load(bias) : Vec<T>::load_partial(bias, n);
                    else sum += Vec<T>::gather(bias, last->column_stride, n);
                }
                sum = activate(sum, last->activation);
            }
            if (whole) sum.store(out);
            else sum.scatter(out, step, n);
        }
    }
}

template void store_tile<float>(const float*, const TileTarget<float>&, bool, const Epilogue<float>*);
template void store_tile<double>(const double*, const TileTarget<double>&, bool, const Epilogue<double>*);

}  // namespace ww::WW_ISA
