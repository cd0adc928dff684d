// An element and its place, and which of two comes first: for reductions that return places.
#pragma once

#include "kernels/reduce/reduction.cuh"

namespace ww::cuda {

template <class T>
struct Placed {
    T v;
    int64_t at;  // < 0: no element yet
    WW_DEVICE Placed shuffled(int by) const {
        return {__shfl_xor_sync(kFullMask, v, by),
                static_cast<int64_t>(__shfl_xor_sync(kFullMask, static_cast<long long>(at), by))};
    }
};

// The more extreme of two, the first of equals. NaN counts as extreme where `nan_first`, else as the least so.
template <class T, bool largest, bool nan_first>
struct Better {
    WW_DEVICE Placed<T> operator()(Placed<T> a, Placed<T> b) const {
        if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
        const bool a_nan = a.v != a.v, b_nan = b.v != b.v;
        if (a_nan != b_nan) return a_nan == nan_first ? a : b;
        if (!a_nan && a.v != b.v) return (largest ? a.v > b.v : a.v < b.v) ? a : b;
        return a.at < b.at ? a : b;
    }
};

}  // namespace ww::cuda
