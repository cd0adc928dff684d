// Class indices as the losses take them: in [0, classes), or ignore_index.
#pragma once

#include "engine/registry.h"
#include "kernels/common/view_rows.h"

namespace ww {

// Throws IndexError for the first that is neither.
inline void check_class_index([[maybe_unused]] const Call& call, [[maybe_unused]] const View& target,
                              [[maybe_unused]] int64_t classes, [[maybe_unused]] int64_t ignore_index) {
#if !defined(__CUDACC__)  // the host does not see the memory of a GPU: there the ops check, and the kernel gives NaN
    for (int64_t row = 0; row < row_count(target, target.ndim); row++) {
        int64_t t = target.ptr<int64_t>()[row_offset(target, target.ndim, row)];
        if ((t < 0 || t >= classes) && t != ignore_index)
            fail<IndexError>("%s: expected target in [0, %lld) or ignore_index %lld, got %lld at position %lld", call.op,
                             static_cast<long long>(classes), static_cast<long long>(ignore_index), static_cast<long long>(t),
                             static_cast<long long>(row));
    }
#endif
}

}  // namespace ww
