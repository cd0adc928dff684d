// A workspace cut into aligned pieces. Run once over no memory it measures; run again over the workspace it hands out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/error.h"

namespace ww {

class Arena {
  public:
    explicit Arena(void* base) : base_(static_cast<char*>(base)) {}

    template <class T>
    T* take(int64_t count) {
        size_t at = used_, bytes;
        if (__builtin_mul_overflow(static_cast<size_t>(count), sizeof(T), &bytes) || __builtin_add_overflow(bytes, 63, &bytes) ||
            __builtin_add_overflow(used_, bytes / 64 * 64, &used_))
            fail<OutOfMemory>("expected a workspace of less than 2**64 bytes, got one with %lld elements of %zu bytes",
                              static_cast<long long>(count), sizeof(T));
        return base_ ? reinterpret_cast<T*>(base_ + at) : nullptr;
    }
    size_t used() const { return used_; }

  private:
    char* base_;
    size_t used_ = 0;
};

}  // namespace ww
