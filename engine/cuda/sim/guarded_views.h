// What a kernel on cudasim gets in place of arrays that do not lie in guarded memory: those that NumPy made. Each stretch of memory
// that views of one call share is copied into a block of its own, element by element, so that what lies between the elements of a
// strided view is NaN that nobody may write; outputs are copied back. Included by kernel_object.h alone.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/cuda/sim/guarded_memory.h"
#include "engine/error.h"
#include "engine/memory.h"
#include "engine/view.h"

namespace ww {

class GuardedViews {
  public:
    GuardedViews() = default;
    GuardedViews(const GuardedViews&) = delete;
    GuardedViews& operator=(const GuardedViews&) = delete;
    ~GuardedViews() {
        for (const Region& r : regions_) memory_free(r.copy);
    }

    // From now on `view` is one of its copy; `extent` is what it can touch. All are added before the first copy is made.
    void add(View& view, std::pair<const char*, const char*> extent, bool written) {
        if (!view.present() || extent.first == extent.second) return;
        if (sim::is_guarded(extent.first, 1, true)) return;
        moved_.push_back({&view, static_cast<char*>(view.data), extent.first, extent.second, written});
    }

    void copy_in() {
        std::sort(moved_.begin(), moved_.end(), [](const Moved& a, const Moved& b) { return a.low < b.low; });
        for (Moved& m : moved_) {
            if (regions_.empty() || m.low >= regions_.back().high) regions_.push_back({m.low, m.high, nullptr, 1});
            Region& r = regions_.back();
            r.high = std::max(r.high, m.high);
            r.alignment = std::max(r.alignment, static_cast<size_t>(item_size(m.view->dtype)));
            m.region = regions_.size() - 1;
        }
        for (Region& r : regions_) {
            r.low -= reinterpret_cast<uintptr_t>(r.low) % r.alignment;
            r.copy = static_cast<char*>(sim::allocate_guarded(static_cast<size_t>(r.high - r.low), r.alignment));
        }
        for (Moved& m : moved_) {
            m.view->data = regions_[m.region].copy + (m.data - regions_[m.region].low);
            each_run(m, [](char* here, char* copy, size_t bytes) { std::memcpy(copy, here, bytes); });
        }
    }

    // After the launch. DeviceError where something was written between the elements.
    void copy_back(const char* op) {
        for (const Moved& m : moved_)
            if (m.written) each_run(m, [](char* here, char* copy, size_t bytes) { std::memcpy(here, copy, bytes); });
        for (const Moved& m : moved_) each_run(m, [](char*, char* copy, size_t bytes) { std::memset(copy, 0xFF, bytes); });
        for (const Region& r : regions_)
            if (!sim::untouched(r.copy, r.copy + (r.high - r.low)))
                fail<DeviceError>("cudasim: %s: global memory: wrote between the elements of a strided array", op);
    }

  private:
    struct Moved {
        View* view;
        char* data;
        const char *low, *high;
        bool written;
        size_t region = 0;
    };
    struct Region {
        const char *low, *high;
        char* copy;
        size_t alignment;
    };

    // copy(here, there, bytes) for all elements, contiguous ones at once, and those that a broadcast repeats only once.
    template <class Copy>
    static void each_run(const Moved& m, Copy copy) {
        const View& v = *m.view;
        int64_t size = item_size(v.dtype), run = 1, index[kMaxDims] = {}, shape[kMaxDims];
        int dims = v.ndim;
        for (int d = 0; d < dims; d++) shape[d] = v.strides[d] == 0 ? 1 : v.shape[d];
        while (dims > 0 && (shape[dims - 1] == 1 || v.strides[dims - 1] == run)) run *= shape[--dims];
        for (;;) {
            int64_t offset = 0;
            for (int d = 0; d < dims; d++) offset += index[d] * v.strides[d] * size;
            copy(m.data + offset, static_cast<char*>(v.data) + offset, static_cast<size_t>(run * size));
            int d = dims - 1;
            while (d >= 0 && ++index[d] == shape[d]) index[d--] = 0;
            if (d < 0) return;
        }
    }

    std::vector<Moved> moved_;
    std::vector<Region> regions_;
};

}  // namespace ww
