// Contract of the fused elementwise loop: what ww.elementwise runs on the CPU.
#pragma once

#include "engine/registry.h"

namespace ww {

constexpr int kMaxFusedTemporaries = 256;

// Where there are several outputs: the same layout as the first, or one element throughout.
inline bool steps_alike(const View& view, const View& y) {
    bool same = view.ndim == y.ndim, still = true;
    for (int d = 0; d < view.ndim; d++) {
        if (view.shape[d] > 1) still &= view.strides[d] == 0;
        same = same && view.shape[d] == y.shape[d] && (view.shape[d] < 2 || view.strides[d] == y.strides[d]);
    }
    return same || still;
}

inline void check_fused(const Call& call) {
    constexpr int most = 13;
    const int outputs = call.count(0), inputs = call.count(1);
    if (outputs < 1 || outputs + inputs > most)
        fail<ShapeError>("%s: expected an output and at most %d arrays, got %d outputs and %d inputs", call.op, most, outputs,
                         inputs);
    const View& y = call.view(0);
    for (int k = 0; outputs > 1 && k < outputs + inputs; k++) {
        const bool out = k < outputs;
        const View& view = out ? call.view(0, k) : call.view(1, k - outputs);
        bool fits = steps_alike(view, y) && (!out || view.is_dense());
        for (int d = 0; out && fits && d < y.ndim; d++) fits = view.ndim == y.ndim && view.shape[d] == y.shape[d];
        if (!fits)
            fail<ShapeError>(
                "%s: expected, for several outputs, dense ones and all arrays in one layout, got %s[%d].shape == %s and "
                "y[0].shape == %s, or other strides",
                call.op, out ? "y" : "x", out ? k : k - outputs, view.shape_text().c_str(), y.shape_text().c_str());
    }
    for (int k = 0; k < call.count(1); k++) {
        const View& x = call.view(1, k);
        bool fits = x.ndim <= y.ndim;
        for (int d = 0; fits && d < x.ndim; d++) fits = x.shape[d] == 1 || x.shape[d] == y.shape[d + y.ndim - x.ndim];
        if (!fits)
            fail<ShapeError>("%s: expected x[%d] to broadcast to y[0].shape == %s, got x[%d].shape == %s", call.op, k,
                             y.shape_text().c_str(), k, x.shape_text().c_str());
    }
    if (call.u64(0) == 0) fail<ShapeError>("%s: expected the address of a block function, got 0", call.op);
    if (call.integer(1) < 0 || call.integer(1) > kMaxFusedTemporaries)
        fail<ShapeError>("%s: expected temporaries in [0, %d], got %lld", call.op, kMaxFusedTemporaries,
                         static_cast<long long>(call.integer(1)));
}

inline constexpr Contract kFusedForward = {
    "fused_forward",
    "fused",
    "out y: T[any...]*, x: T[any...]*, functions: uint64[k]; block: u64, temporaries: int=0",
    R"(y[0][i], y[1][i], ... = f(x[0][i], x[1][i], ...), f being machine code of the caller's own

y            list, overwritten; one may have any strides and be exactly one of the inputs; several are dense, in one layout
x            list; each broadcasts to y[0]; any strides, but beside several outputs their layout, or all strides zero. With the outputs
             at most 13
functions    [k]  raw kernels of elementwise ops without attributes, as kernel_address(op, dtype) gives them; contiguous
block        the address of  void block(const Context*, T* y, const T* const* x, int64_t n, T* scratch, int64_t step)
             with       struct Context { void (*apply)(uint64_t function, T* y, const T* x1, const T* x2, int64_t n);
                                         const uint64_t* functions; }
temporaries  rows of `step` elements that block may use at `scratch`, at most 256

The rows of x are followed by those of y[1], y[2], ..., to be written to. block computes n <= step elements with unit strides, on any thread; y may be one of the inputs. It may call apply for the ops in
`functions`, on its rows (x2 is null for ops of one input). It must compute each element from its own inputs alone, and throw nothing.
Nobody can check addresses: a wrong one ends the process.)",
    check_fused,
    true};

}  // namespace ww
