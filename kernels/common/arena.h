// A workspace cut into aligned pieces. Run once over no memory it measures; run again over the workspace it hands out.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ww {

class Arena {
  public:
    explicit Arena(void* base) : base_(static_cast<char*>(base)) {}

    template <class T>
    T* take(int64_t count) {
        size_t at = used_;
        used_ += (static_cast<size_t>(count) * sizeof(T) + 63) / 64 * 64;
        return base_ ? reinterpret_cast<T*>(base_ + at) : nullptr;
    }
    size_t used() const { return used_; }

  private:
    char* base_;
    size_t used_ = 0;
};

}  // namespace ww
