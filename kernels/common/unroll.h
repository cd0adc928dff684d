// unroll<N>(f): f(0), ..., f(N - 1) with an index known at compile time, which keeps arrays of vectors in registers.
#pragma once

#include <type_traits>
#include <utility>

#include "engine/simd.h"

namespace ww::WW_ISA {

template <class F, int... I>
WW_INLINE constexpr void unroll_(F&& f, std::integer_sequence<int, I...>) {
    (f(std::integral_constant<int, I>{}), ...);
}
template <int N, class F>
WW_INLINE constexpr void unroll(F&& f) {
    unroll_(f, std::make_integer_sequence<int, N>{});
}

}  // namespace ww::WW_ISA
