// The CPU block cache: 64-byte aligned blocks that are kept when freed, because fresh pages cost more than the arithmetic of a
// ReLU. Blocks of 2 MiB and more are aligned to 2 MiB and ask for huge pages. Sizes are rounded up to one of eight steps in each
// power of two (at least 64 bytes, at most an eighth is waste), and a block serves any request of its size class.
//
// The cache keeps at most WHITEWOLF_CACHE_LIMIT bytes (default: a quarter of the memory that this process may use) and lets the
// longest unused go first. WHITEWOLF_POISON=1 (or memory_set_poison) fills each new block with 0xFF bytes: NaN in every floating
// type, so a kernel that reads what nobody wrote shows it. WHITEWOLF_CACHE=0, and every AddressSanitizer build, turns the cache
// off and gives blocks their exact size. A variable that says something else is a ShapeError at the first allocation.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ww {

// Bytes are whole blocks', so in use + cached is what the cache holds of the system's memory.
struct MemoryStats {
    int64_t bytes_in_use;  // handed out and not yet freed
    int64_t bytes_cached;  // freed, kept for reuse
    int64_t peak_in_use;   // highest bytes_in_use since memory_reset_peak()
    int64_t allocations;   // blocks handed out since the start
    int64_t cache_hits;    // of which served without the system
};

void* memory_allocate(size_t bytes);  // never nullptr, also for 0; throws OutOfMemory, which names the bytes
void memory_free(void* block);        // nullptr is legal; from any thread; a double free or a foreign pointer aborts
void memory_release_cached();         // gives every kept block back to the system
void memory_reset_peak();
void memory_set_poison(bool on);
bool memory_poison();
MemoryStats memory_stats();

// A block that frees itself: workspaces.
class Block {
  public:
    explicit Block(size_t bytes) : data_(bytes ? memory_allocate(bytes) : nullptr) {}
    ~Block() { memory_free(data_); }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    void* data() const { return data_; }

  private:
    void* data_;
};

}  // namespace ww
