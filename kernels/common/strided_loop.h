// One loop over any strides: y[i] = f(x1[i], x2[i], ...) with NumPy's broadcasting.
//
// The work is split so that an op costs one small vector loop and no more: `map_strided` orders the dimensions by the output's
// strides, merges those that lie behind one another (a channels-last tensor is one flat row), cuts the rows among the threads and
// hands each piece to the op's unit-stride loop. An operand that does not have unit stride there (stepped, reversed, a broadcast
// scalar, another dtype that has to be converted) is first gathered into a block on the stack that stays in the L1 cache.
#pragma once

#include "engine/registry.h"
#include "engine/simd.h"

namespace ww::WW_ISA {

constexpr int kMaxInputs = 12;
constexpr int kBlockBytes = 2048;  // of each operand: four of them, what most ops have, take a quarter of an L1 cache

// f over n elements with unit strides. `y` may be one of the inputs.
template <class T>
using UnitLoop = void (*)(const void* f, T* y, const T* const* x, int64_t n);

// How many elements are worth another thread: a few microseconds of work.
enum Cost : int64_t { kCheap = 32768, kCostly = 4096 };

// y is view 0 of the call, the inputs are views [1, inputs + 1) and broadcast to it; their dtype is T, bool (0 or 1), int32,
// int64 or the other float.
template <class T>
void map_strided(const Call& call, int inputs, UnitLoop<T> loop, const void* f, int64_t grain);

namespace detail {

template <class F, class T, int... I>
void unit_loop(const void* f, T* y, const T* const* x, int64_t n) {
    using V = Vec<T>;
    const F op = *static_cast<const F*>(f);
    const T* p[] = {x[I]...};
    int64_t i = 0;
    for (; i + V::width <= n; i += V::width) op(V::load(p[I] + i)...).store(y + i);
    int rest = static_cast<int>(n - i);
    if (rest) op(V::load_partial(p[I] + i, rest)...).store_partial(y + i, rest);
}

template <class F, class T, int... I>
constexpr UnitLoop<T> loop_of(std::integer_sequence<int, I...>) {
    return unit_loop<F, T, I...>;
}

}  // namespace detail

// F<T> is built from the call (its attributes) and maps F<T>::inputs vectors to one.
template <template <class> class F, class T>
void map_op(const Call& call) {
    const F<T> f(call);
    map_strided<T>(call, F<T>::inputs, detail::loop_of<F<T>, T>(std::make_integer_sequence<int, F<T>::inputs>()), &f, F<T>::cost);
}

}  // namespace ww::WW_ISA
