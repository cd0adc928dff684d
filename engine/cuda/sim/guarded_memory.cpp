#include "engine/cuda/sim/guarded_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "engine/cuda/sim/options.h"
#include "engine/cuda/sim/sanitizers.h"
#include "engine/error.h"
#include "engine/memory.h"

namespace ww {
namespace {

constexpr size_t kLeastGuard = size_t{1} << 16, kMostGuard = size_t{1} << 30;
constexpr size_t kNear = 64;            // bytes beside a block that no kernel was given which are looked at all the same
constexpr size_t kWorkspaceAlign = 16;  // a kernel may count on more of its workspace on a GPU, never of an array

struct Allocation {
    size_t bytes, guard;                // of the data; of the pages before it, as many as behind it
    char *low, *high;                   // the pages that it lies on
    bool given = true, always = false;  // to a kernel, since the guards were last looked at; to all of them, for all that is known
    void* from_malloc = nullptr;        // where it has no pages of its own
};

// Leaked on purpose: Python frees arrays after static destructors have run.
struct Table {
    std::mutex mutex;
    std::map<char*, Allocation> live;  // by address of the data
    MemoryStats stats = {};
    bool poison = false;
    size_t paged = 0;   // blocks on pages of their own
    bool told = false;  // that there are too many of them
};
Table& table() {
    static Table* one = new Table;
    return *one;
}

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

size_t page_bytes() {
    static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return bytes;
}

void keep(char* data, const Allocation& one) {
    Table& t = table();
    std::lock_guard<std::mutex> lock(t.mutex);
    t.live[data] = one;
    t.paged += !one.from_malloc;
    t.stats.allocations++;
    t.stats.bytes_in_use += one.high - one.low;
    t.stats.peak_in_use = std::max(t.stats.peak_in_use, t.stats.bytes_in_use);
}

// Blocks on pages of their own take two mappings each, of which the system allows a process only so many; three quarters are ours.
size_t most_paged() {
    static const size_t most = [] {
        size_t mappings = 65530;
        if (FILE* file = fopen("/proc/sys/vm/max_map_count", "r")) {
            if (fscanf(file, "%zu", &mappings) != 1) mappings = 65530;
            fclose(file);
        }
        return mappings / 8 * 3;
    }();
    return most;
}

bool too_many() {
    Table& t = table();
    std::lock_guard<std::mutex> lock(t.mutex);
    if (t.paged < most_paged()) return false;
    if (!t.told && !sim::kAsan)
        fprintf(
            stderr,
            "whitewolf: cudasim: more than %zu arrays at a time: those that come now lie between margins of %zu bytes instead of "
            "guard pages (vm.max_map_count)\n",
            most_paged(), kNear);
    t.told = true;
    return true;
}

void* allocate(size_t bytes, size_t alignment, bool always) {
    if (bytes > size_t{1} << 46) fail<OutOfMemory>("memory_allocate: expected at most 2**46 bytes, got %zu", bytes);
    // ASan's own red zones do the work; and where mappings run out, a margin that is looked at after launches must do.
    if (const bool many = too_many(); sim::kAsan || many) {
        const size_t margin = sim::kAsan ? 0 : round_up(kNear, alignment);
        void* block = nullptr;
        if (posix_memalign(&block, std::max<size_t>(alignment, 16), std::max<size_t>(bytes + 2 * margin, 1)) != 0)
            fail<OutOfMemory>("memory_allocate: expected %zu bytes, the system has none", bytes);
        std::memset(block, 0xFF, bytes + 2 * margin);
        char* low = static_cast<char*>(block);
        keep(low + margin, {bytes, 0, low, low + bytes + 2 * margin, true, always, block});
        return low + margin;
    }
    size_t page = page_bytes(), room = round_up(std::max<size_t>(bytes, 1), alignment), middle = round_up(room, page);
    size_t guard = std::clamp(middle, kLeastGuard, kMostGuard), mapped = middle + 2 * guard;
    void* raw = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char* low = static_cast<char*>(raw) + guard;
    if (raw == MAP_FAILED || mprotect(low, middle, PROT_READ | PROT_WRITE) != 0) {
        if (raw != MAP_FAILED) munmap(raw, mapped);
        fail<OutOfMemory>("memory_allocate: expected %zu bytes, the system has none", bytes);
    }
    std::memset(low, 0xFF, middle);
    char* data = sim::ends_at_guard(sim::options()) ? low + middle - room : low;
    keep(data, {bytes, guard, low, low + middle, true, always});
    return data;
}

}  // namespace

void* memory_allocate(size_t bytes) { return allocate(bytes, kWorkspaceAlign, true); }

void memory_free(void* block) {
    if (!block) return;
    Table& t = table();
    std::lock_guard<std::mutex> lock(t.mutex);
    auto found = t.live.find(static_cast<char*>(block));
    if (found == t.live.end()) {
        fprintf(stderr, "whitewolf: memory_free(%p): expected a block of memory_allocate in use\n", block);
        abort();
    }
    const Allocation& one = found->second;
    t.stats.bytes_in_use -= one.high - one.low;
    t.paged -= !one.from_malloc;
    if (one.from_malloc) std::free(one.from_malloc);
    else munmap(one.low - one.guard, static_cast<size_t>(one.high - one.low) + 2 * one.guard);
    t.live.erase(found);
}

void memory_release_cached() {}  // nothing is kept: a block that was freed must fault
void memory_reset_peak() {
    std::lock_guard<std::mutex> lock(table().mutex);
    table().stats.peak_in_use = table().stats.bytes_in_use;
}
void memory_set_poison(bool on) { table().poison = on; }  // new memory always holds NaN here
bool memory_poison() { return table().poison; }
MemoryStats memory_stats() {
    std::lock_guard<std::mutex> lock(table().mutex);
    return table().stats;
}

namespace sim {

void* allocate_guarded(size_t bytes, size_t alignment) { return allocate(bytes, alignment, false); }

bool is_guarded(const void* from, size_t bytes, bool given) {
    auto* begin = static_cast<char*>(const_cast<void*>(from));
    Table& t = table();
    std::lock_guard<std::mutex> lock(t.mutex);
    auto next = t.live.upper_bound(begin);
    if (next == t.live.begin()) return false;
    auto& [data, block] = *--next;
    const bool inside = static_cast<size_t>(begin - data) + bytes <= block.bytes;
    block.given |= inside && given;
    return inside;
}

// All bytes are alike if they are when moved by one: memcmp is the fastest look at them.
bool untouched(const char* from, const char* to) {
    return from == to || (*from == '\xFF' && std::memcmp(from, from + 1, static_cast<size_t>(to - from) - 1) == 0);
}

namespace {

// What launches wrote beside arrays is poison again; the first of it is told where there is a kernel to name.
void look_at_guards(const char* kernel) {
    Table& t = table();
    std::lock_guard<std::mutex> lock(t.mutex);
    for (auto& [data, block] : t.live) {
        const size_t reach = block.given ? SIZE_MAX : kNear;
        char* end = data + block.bytes;
        char* first = data - std::min(reach, static_cast<size_t>(data - block.low));
        char* last = end + std::min(reach, static_cast<size_t>(block.high - end));
        block.given &= block.always;
        const bool behind = !untouched(end, last);
        if (!behind && untouched(first, data)) continue;
        const char* byte = behind ? end : data - 1;
        while (*byte == '\xFF') byte += behind ? 1 : -1;
        std::memset(end, 0xFF, static_cast<size_t>(block.high - end));
        std::memset(block.low, 0xFF, static_cast<size_t>(data - block.low));
        if (!kernel) continue;
        fail<DeviceError>("cudasim: kernel %s: global memory: wrote %zu bytes %s a block of %zu bytes, seen after the launch",
                          kernel, static_cast<size_t>(behind ? byte - end : data - byte), behind ? "past the end of" : "before",
                          block.bytes);
    }
}

}  // namespace

void check_guards(const char* kernel) { look_at_guards(kernel); }
void restore_guards() { look_at_guards(nullptr); }

std::string describe_global(const void* address) {
    auto* at = static_cast<char*>(const_cast<void*>(address));
    char text[256];
    snprintf(text, sizeof text, "address 0x%zx", reinterpret_cast<size_t>(address));
    std::string found = reinterpret_cast<uintptr_t>(at) < 0x10000 ? text + std::string(", a null pointer") : text;
    Table& t = table();
    std::lock_guard<std::mutex> lock(t.mutex);
    auto next = t.live.upper_bound(at);
    size_t past = SIZE_MAX, before = SIZE_MAX;
    if (next != t.live.end()) before = static_cast<size_t>(next->first - at);
    if (next != t.live.begin()) {
        auto& [data, block] = *std::prev(next);
        past = at < data + block.bytes ? 0 : static_cast<size_t>(at - (data + block.bytes));
    }
    if (std::min(past, before) == SIZE_MAX) return "global memory: access to " + found + ": there is no block";
    const Allocation& nearest = past < before ? std::prev(next)->second : next->second;
    const char* side = past < before ? "past the end of" : "before";
    const bool beside = at >= nearest.low - nearest.guard && at < nearest.high + nearest.guard;
    snprintf(text, sizeof text,
             beside ? "global memory: access %zu bytes %s a block of %zu bytes"
                    : ", in no block: %zu bytes %s the nearest, of %zu bytes",
             std::min(past, before), side, nearest.bytes);
    return beside ? text : "global memory: access to " + found + text;
}

}  // namespace sim
}  // namespace ww
