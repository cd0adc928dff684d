// A square of lanes x lanes elements, transposed in registers: log2(lanes) rounds in which blocks off the diagonal change places.
#pragma once

#include <utility>

#include "engine/simd.h"
#include "kernels/common/unroll.h"

namespace ww::WW_ISA {

// Lanes of the two rows after a round with blocks of `Block`: I < width takes lane I of a, I >= width lane I - width of b.
template <int Block, bool Second, class T, int... I>
WW_INLINE Vec<T> exchange_(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
    constexpr int width = Vec<T>::width;
    constexpr int shift = Second ? Block : 0;
#if defined(__clang__)
    return Vec<T>(
        typename Vec<T>::Raw(__builtin_shufflevector(a.v, b.v, ((I & Block) == 0 ? I + shift : I - Block + shift + width)...)));
#else
    constexpr typename Vec<T>::Mask lanes = {((I & Block) == 0 ? I + shift : I - Block + shift + width)...};
    return Vec<T>(typename Vec<T>::Raw(__builtin_shuffle(a.v, b.v, lanes)));
#endif
}

template <int Block, class T>
WW_INLINE void transpose_round_(Vec<T>* rows) {
    constexpr int width = Vec<T>::width;
    if constexpr (Block > 0) {
        using Lanes = std::make_integer_sequence<int, width>;
        unroll<width>([&](auto i) {
            if constexpr ((i & Block) == 0) {
                Vec<T> a = rows[i], b = rows[i + Block];
                rows[i] = exchange_<Block, false>(a, b, Lanes{});
                rows[i + Block] = exchange_<Block, true>(a, b, Lanes{});
            }
        });
        transpose_round_<Block / 2>(rows);
    }
}

template <class T>
WW_INLINE void transpose(Vec<T> (&rows)[Vec<T>::width]) {
    transpose_round_<Vec<T>::width / 2>(rows);
}

}  // namespace ww::WW_ISA
