// Probes of the machine's own peak, against which `whitewolf bench` states every figure: multiply-adds from registers, and copies.
#pragma once

#include "engine/registry.h"

namespace ww {

inline constexpr Contract kProbeFma = {
    "probe_fma", "probe", "out count: float64[n], one: T[]; steps: int",
    R"(count[i] = the multiply-adds that one chain of arithmetic has done in `steps` steps, lanes and accumulators included

count  [n]  overwritten; any strides; chains run in parallel, so n should be a multiple of the threads
one    []   the number 1: what is multiplied by and added, unknown to the compiler
steps       at most 2^23, so that a float32 counts exactly

It touches no memory in its loop: 2 * sum(count) / seconds is the machine's peak in FLOP/s.)",
    [](const Call& call) {
        if (call.integer(0) < 0 || call.integer(0) > 1 << 23)
            fail<ShapeError>("probe_fma: expected steps in [0, 2^23], got %lld", static_cast<long long>(call.integer(0)));
    }};

inline constexpr Contract kProbeCopy = {"probe_copy", "probe", "out y: T[n], x: T[n]",
                                        R"(y = x

y  [n]  overwritten; any strides
x  [n]  any strides

Where both are contiguous it is the C library's copy, one run of memory for each thread: 2 * n * itemsize / seconds is the machine's
bandwidth, read and written bytes added.)"};

}  // namespace ww
