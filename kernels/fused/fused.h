// Contract of the fused elementwise loop: what ww.elementwise runs on the CPU.
#pragma once

#include "engine/registry.h"

namespace ww {

constexpr int kMaxFusedTemporaries = 256;

inline void check_fused(const Call& call) {
    const View& y = call.view(0);
    constexpr int most = 12;
    if (call.count(1) > most) fail<ShapeError>("%s: expected at most %d inputs, got %d", call.op, most, call.count(1));
    for (int d = 0; d < y.ndim; d++) {
        bool reached = false;
        for (int k = 0; k < call.count(1); k++) {
            const View& x = call.view(1, k);
            const int own = d - (y.ndim - x.ndim);
            reached |= own >= 0 && x.shape[own] == y.shape[d];
        }
        if (!reached)
            fail<ShapeError>("%s: expected y.shape[%d] to be the size to which the inputs broadcast, got y.shape == %s", call.op, d,
                             y.shape_text().c_str());
    }
    for (int k = 0; k < call.count(1); k++) {
        const View& x = call.view(1, k);
        bool fits = x.ndim <= y.ndim;
        for (int d = 0; fits && d < x.ndim; d++) fits = x.shape[d] == 1 || x.shape[d] == y.shape[d + y.ndim - x.ndim];
        if (!fits)
            fail<ShapeError>("%s: expected x[%d] to broadcast to y.shape == %s, got x[%d].shape == %s", call.op, k,
                             y.shape_text().c_str(), k, x.shape_text().c_str());
    }
    if (call.u64(0) == 0) fail<ShapeError>("%s: expected the address of a block function, got 0", call.op);
    if (call.integer(1) < 0 || call.integer(1) > kMaxFusedTemporaries)
        fail<ShapeError>("%s: expected temporaries in [0, %d], got %lld", call.op, kMaxFusedTemporaries,
                         static_cast<long long>(call.integer(1)));
}

inline constexpr Contract kFusedForward = {"fused_forward",
                                           "fused",
                                           "out y: T[any...], x: T[any...]*, functions: uint64[k]; block: u64, temporaries: int=0",
                                           R"(y[i] = f(x[0][i], x[1][i], ...), f being machine code of the caller's own

y            overwritten; any strides; it may be exactly one of the inputs
x            list of 1 to 12; each broadcasts to y; any strides
functions    [k]  raw kernels of elementwise ops without attributes, as kernel_address(op, dtype) gives them; contiguous
block        the address of  void block(const Context*, T* y, const T* const* x, int64_t n, T* scratch, int64_t step)
             with       struct Context { void (*apply)(uint64_t function, T* y, const T* x1, const T* x2, int64_t n);
                                         const uint64_t* functions; }
temporaries  rows of `step` elements that block may use at `scratch`, at most 256

block computes n <= step elements with unit strides, on any thread; y may be one of the inputs. It may call apply for the ops in
`functions`, on its rows (x2 is null for ops of one input). It must compute each element from its own inputs alone, and throw nothing.
Nobody can check addresses: a wrong one ends the process.)",
                                           check_fused,
                                           true};

}  // namespace ww
