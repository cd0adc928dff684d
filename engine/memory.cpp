// The block cache of memory.h.
//
// Before each block lies a 64-byte header, so memory_free needs only the pointer. Freed blocks wait in one list per size class,
// most recently freed first (its lines are the likeliest to be in a CPU cache). One mutex guards it all: one op allocates once,
// so nobody queues here, and the figures are exact. The system is only called outside the mutex.
//
// Blocks of 2 MiB and more come from mmap, their data at a multiple of 2 MiB and the header at the end of the page before it.
#include "engine/memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "engine/error.h"

#if defined(__SANITIZE_ADDRESS__)
#define WW_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WW_ASAN 1
#endif
#endif
#if defined(WW_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace ww {
namespace {

constexpr size_t kAlign = 64;
constexpr size_t kHugePage = size_t{2} << 20;
// Beyond kMaxBytes lies more than an address space holds, so no sum of sizes overflows below it.
#if defined(WW_ASAN)
constexpr size_t kMaxBytes = size_t{1} << 39;  // ASan's malloc aborts beyond 2^40
constexpr size_t kMapFrom = SIZE_MAX;          // its red zones are worth more than huge pages
#else
constexpr size_t kMaxBytes = size_t{1} << 47;
constexpr size_t kMapFrom = kHugePage;
#endif
constexpr int kClasses = 320;

struct alignas(kAlign) Header {
    uint64_t mark;  // kInUse or kFree, xor the header's own address: a copy of a header is not a header
    size_t capacity;
    int size_class;
    bool mapped;
    uint64_t freed_at;  // in memory_free calls
    Header *newer, *older;

    void* data() { return this + 1; }
};
static_assert(sizeof(Header) == kAlign, "the data must stay aligned");
constexpr uint64_t kInUse = 0x57574c4956453a29, kFree = 0x57574652454544a1;

struct List {
    Header *newest, *oldest;

    void push(Header* block) {
        block->newer = nullptr;
        block->older = newest;
        (newest ? newest->newer : oldest) = block;
        newest = block;
    }
    void remove(Header* block) {
        (block->newer ? block->newer->older : newest) = block->older;
        (block->older ? block->older->newer : oldest) = block->newer;
    }
};

// Trivially destructible and never destroyed: Python frees arrays after static destructors have run.
struct {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    bool configured = false, enabled = false, poison = false;
    int64_t limit = 0;
    uint64_t frees = 0;
    MemoryStats stats = {};
    List lists[kClasses] = {};
} cache;

struct Lock {
    Lock() { pthread_mutex_lock(&cache.mutex); }
    ~Lock() { pthread_mutex_unlock(&cache.mutex); }
};

// A fork from one thread while another holds the mutex would leave it locked for ever in the child.
[[maybe_unused]] const int at_fork =
    pthread_atfork([] { pthread_mutex_lock(&cache.mutex); }, [] { pthread_mutex_unlock(&cache.mutex); },
                   [] { pthread_mutex_unlock(&cache.mutex); });

bool flag_variable(const char* name, bool otherwise) {
    const char* text = getenv(name);
    if (!text || !*text) return otherwise;
    if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0) fail<ShapeError>("%s: expected 0 or 1, got '%s'", name, text);
    return *text == '1';
}

int64_t limit_variable() {
    const char* text = getenv("WHITEWOLF_CACHE_LIMIT");
    if (text && *text) {
        char* end;
        errno = 0;
        const long long bytes = strtoll(text, &end, 10);
        if (*end || errno || bytes < 0) fail<ShapeError>("WHITEWOLF_CACHE_LIMIT: expected bytes >= 0, got '%s'", text);
        return bytes;
    }
    int64_t memory = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
    for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
        int64_t bytes;
        if (std::ifstream(path) >> bytes) memory = std::min(memory, bytes);  // "max" is not a number
    }
    return memory / 4;
}

// Under the mutex.
void configure() {
    if (cache.configured) return;
    cache.limit = limit_variable();
    cache.poison = flag_variable("WHITEWOLF_POISON", false);
    cache.enabled = flag_variable("WHITEWOLF_CACHE", true);
#if defined(WW_ASAN)
    cache.enabled = false;
#endif
    cache.configured = true;
}

// Units of 64 bytes: 1, 2, ..., 16, 18, ..., 32, 36, ...
int size_class_of(size_t bytes) {
    const size_t last = bytes ? (bytes - 1) / kAlign : 0;
    const int shift = 60 - __builtin_clzll(last | 8);
    return shift * 8 + static_cast<int>(last >> shift);
}

size_t class_capacity(int size_class) {
    const int shift = std::max(0, size_class / 8 - 1);
    return static_cast<size_t>(size_class - shift * 8 + 1) << shift << 6;
}

size_t page_bytes() {
    static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return bytes;
}

// nullptr where the system refuses.
Header* system_allocate(size_t capacity) {
    Header* header = nullptr;
    const bool map = capacity >= kMapFrom;
    if (map) {
        capacity = (capacity + page_bytes() - 1) & ~(page_bytes() - 1);
        // Room to slide the data to a multiple of 2 MiB, after at least one page for the header; the rest goes back at once.
        const size_t page = page_bytes(), wanted = capacity + kHugePage + page;
        void* raw = mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (raw == MAP_FAILED) return nullptr;
        const uintptr_t start = reinterpret_cast<uintptr_t>(raw);
        const uintptr_t data = (start + page + kHugePage - 1) & ~(kHugePage - 1);
        const uintptr_t first = data - page, end = data + capacity;
        if (first > start) munmap(raw, first - start);
        if (start + wanted > end) munmap(reinterpret_cast<void*>(end), start + wanted - end);
#if defined(MADV_HUGEPAGE)
        madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#endif
        header = reinterpret_cast<Header*>(data) - 1;
    } else {
        void* raw = nullptr;
        if (posix_memalign(&raw, kAlign, sizeof(Header) + capacity) != 0) return nullptr;
        header = static_cast<Header*>(raw);
    }
    header->capacity = capacity;
    header->mapped = map;
    return header;
}

void system_free(Header* header) {
    header->mark = 0;
    if (!header->mapped) return free(header);
    char* data = static_cast<char*>(header->data());
    munmap(data - page_bytes(), page_bytes() + header->capacity);
}

void system_free_all(Header* chain) {
    while (chain) {
        Header* next = chain->older;
        system_free(chain);
        chain = next;
    }
}

// Under the mutex: unlinks the longest unused blocks until at most `limit` bytes are cached; returns them chained by `older`.
Header* evict(int64_t limit) {
    Header* chain = nullptr;
    while (cache.stats.bytes_cached > limit) {
        Header* victim = nullptr;
        for (const List& list : cache.lists)
            if (list.oldest && (!victim || list.oldest->freed_at < victim->freed_at)) victim = list.oldest;
        cache.lists[victim->size_class].remove(victim);
        cache.stats.bytes_cached -= static_cast<int64_t>(victim->capacity);
        victim->older = chain;
        chain = victim;
    }
    return chain;
}

// Under the mutex.
void hand_out(Header* header) {
    header->mark = kInUse ^ reinterpret_cast<uintptr_t>(header);
    cache.stats.allocations++;
    cache.stats.bytes_in_use += static_cast<int64_t>(header->capacity);
    cache.stats.peak_in_use = std::max(cache.stats.peak_in_use, cache.stats.bytes_in_use);
}

// ASan sees a kernel that writes in front of its block: into the header.
void guard([[maybe_unused]] Header* header, [[maybe_unused]] bool on) {
#if defined(WW_ASAN)
    on ? __asan_poison_memory_region(header, sizeof *header) : __asan_unpoison_memory_region(header, sizeof *header);
#endif
}

[[noreturn]] void die(const void* block, const char* what) {
    fprintf(stderr, "whitewolf: memory_free(%p): expected a block of memory_allocate in use, got %s\n", block, what);
    abort();
}

}  // namespace

void* memory_allocate(size_t bytes) {
    Header* header = nullptr;
    int size_class = 0;
    bool enabled, poison;
    {
        Lock lock;
        configure();
        enabled = cache.enabled;
        poison = cache.poison;
        if (bytes <= kMaxBytes) {
            size_class = size_class_of(bytes);
            header = cache.lists[size_class].newest;
        }
        if (header) {
            cache.lists[size_class].remove(header);
            cache.stats.bytes_cached -= static_cast<int64_t>(header->capacity);
            cache.stats.cache_hits++;
            hand_out(header);
        }
    }
    if (!header) {
        const size_t capacity = enabled ? class_capacity(size_class) : std::max(bytes, size_t{1});
        header = bytes <= kMaxBytes ? system_allocate(capacity) : nullptr;
        if (!header && bytes <= kMaxBytes) {
            memory_release_cached();
            header = system_allocate(capacity);
        }
        Lock lock;
        if (!header)
            fail<OutOfMemory>("memory_allocate: expected %zu bytes, the system has none; in use %lld, cached %lld", bytes,
                              static_cast<long long>(cache.stats.bytes_in_use), static_cast<long long>(cache.stats.bytes_cached));
        header->size_class = size_class;
        hand_out(header);
    }
    void* data = header->data();
    if (poison) memset(data, 0xFF, header->capacity);
    guard(header, true);
    return data;
}

void memory_free(void* block) {
    if (!block) return;
    if (reinterpret_cast<uintptr_t>(block) % kAlign) die(block, "a pointer into the middle of something");
    Header* header = static_cast<Header*>(block) - 1;
    Header* chain = nullptr;
    guard(header, false);
    {
        Lock lock;
        const uint64_t self = reinterpret_cast<uintptr_t>(header);
        if (header->mark == (kFree ^ self)) die(block, "one that was already freed");
        if (header->mark != (kInUse ^ self)) die(block, "a foreign pointer, or a block whose header was overwritten");
        header->mark = kFree ^ self;
        cache.stats.bytes_in_use -= static_cast<int64_t>(header->capacity);
        if (cache.enabled && static_cast<int64_t>(header->capacity) <= cache.limit) {
            header->freed_at = cache.frees++;
            cache.lists[header->size_class].push(header);
            cache.stats.bytes_cached += static_cast<int64_t>(header->capacity);
            chain = evict(cache.limit);
        } else {
            header->older = nullptr;
            chain = header;
        }
    }
    system_free_all(chain);
}

void memory_release_cached() {
    Header* chain;
    {
        Lock lock;
        chain = evict(0);
    }
    system_free_all(chain);
}

void memory_reset_peak() {
    Lock lock;
    cache.stats.peak_in_use = cache.stats.bytes_in_use;
}

void memory_set_poison(bool on) {
    Lock lock;
    configure();
    cache.poison = on;
}

bool memory_poison() {
    Lock lock;
    configure();
    return cache.poison;
}

MemoryStats memory_stats() {
    Lock lock;
    return cache.stats;
}

}  // namespace ww
