#include "engine/cuda/sim/guarded_memory.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "engine/cuda/sim/block.h"
#include "engine/cuda/sim/sanitizers.h"
#include "engine/error.h"
#include "engine/memory.h"

namespace ww {
namespace {

constexpr size_t kAlign = 16, kFrontChecked = 64;

struct Allocation {
    size_t bytes, mapped;  // of the data; of the whole mapping, guard pages included
    char* base;            // of the mapping
};

// Leaked on purpose: Python frees arrays after static destructors have run.
struct Table {
    std::mutex mutex;
    std::map<char*, Allocation> live;  // by address of the data
    MemoryStats stats = {};
    bool poison = false;
};
Table& table() {
    static Table* one = new Table;
    return *one;
}

size_t page_bytes() {
    static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return bytes;
}

bool untouched(const char* from, const char* to) {
    for (; from < to; from++)
        if (static_cast<unsigned char>(*from) != 0xFF) return false;
    return true;
}

}  // namespace

#if defined(WW_SIM_ASAN)

// Under ASan its own red zones do the work, down to the byte.
void* memory_allocate(size_t bytes) {
    void* block = nullptr;
    if (posix_memalign(&block, 64, bytes ? bytes : 1) != 0)
        fail<OutOfMemory>("memory_allocate: expected %zu bytes, the system has none", bytes);
    std::memset(block, 0xFF, bytes);
    return block;
}
void memory_free(void* block) { std::free(block); }

#else

void* memory_allocate(size_t bytes) {
    if (bytes > size_t{1} << 46) fail<OutOfMemory>("memory_allocate: expected at most 2**46 bytes, got %zu", bytes);
    size_t page = page_bytes(), room = (std::max(bytes, size_t{1}) + kAlign - 1) / kAlign * kAlign;
    size_t middle = (room + page - 1) / page * page, mapped = middle + 2 * page;
    void* raw = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED || mprotect(static_cast<char*>(raw) + page, middle, PROT_READ | PROT_WRITE) != 0) {
        if (raw != MAP_FAILED) munmap(raw, mapped);
        fail<OutOfMemory>("memory_allocate: expected %zu bytes, the system has none", bytes);
    }
    char* base = static_cast<char*>(raw);
    char* data = base + page + middle - room;
    std::memset(base + page, 0xFF, middle);
    Table& t = table();
    std::lock_guard<std::mutex> lock(t.mutex);
    t.live[data] = {bytes, mapped, base};
    t.stats.allocations++;
    t.stats.bytes_in_use += static_cast<int64_t>(middle);
    t.stats.peak_in_use = std::max(t.stats.peak_in_use, t.stats.bytes_in_use);
    return data;
}

void memory_free(void* block) {
    if (!block) return;
    Table& t = table();
    std::lock_guard<std::mutex> lock(t.mutex);
    auto found = t.live.find(static_cast<char*>(block));
    if (found == t.live.end()) {
        fprintf(stderr, "whitewolf: memory_free(%p): expected a block of memory_allocate in use\n", block);
        abort();
    }
    t.stats.bytes_in_use -= static_cast<int64_t>(found->second.mapped - 2 * page_bytes());
    munmap(found->second.base, found->second.mapped);
    t.live.erase(found);
}

#endif

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
namespace {

struct sigaction before;
WW_SIM_TLS void* fault_at = nullptr;

// Which block's guard page `address` lies in, and how far from its data. The mutex is free: a kernel never allocates.
bool describe_access(char* address, char* text, size_t size) {
    Table& t = table();
    std::lock_guard<std::mutex> lock(t.mutex);
    for (auto after = t.live.upper_bound(address);; --after) {
        if (after != t.live.end()) {
            auto& [data, block] = *after;
            if (address >= block.base && address < block.base + block.mapped) {
                if (address < data)
                    snprintf(text, size, "global memory: access %zu bytes before a block of %zu bytes",
                             static_cast<size_t>(data - address), block.bytes);
                else
                    snprintf(text, size, "global memory: access %zu bytes past the end of a block of %zu bytes",
                             static_cast<size_t>(address - data) - block.bytes, block.bytes);
                return true;
            }
            if (block.base <= address) return false;
        }
        if (after == t.live.begin()) return false;
    }
}

void on_fault(int number, siginfo_t* info, void* context) {
    char text[256];
    if (current && machine && describe_access(static_cast<char*>(info->si_addr), text, sizeof text)) {
        auto* where = static_cast<ucontext_t*>(context);
#if defined(__x86_64__)
        fault_at = reinterpret_cast<void*>(where->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
        fault_at = reinterpret_cast<void*>(where->uc_mcontext.pc);
#else
        static_cast<void>(where);
#endif
        launch_fail({}, "%s", text);  // leaves this stack, and the handler with it
    }
    // Not ours: as if this handler were not there.
    if (before.sa_flags & SA_SIGINFO && before.sa_sigaction) return before.sa_sigaction(number, info, context);
    if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) return before.sa_handler(number);
    signal(number, SIG_DFL);
}

}  // namespace

void watch_for_faults() {
    if (kAsan || kTsan) return;
    static const bool once = [] {
        struct sigaction action = {};
        action.sa_sigaction = on_fault;
        action.sa_flags = SA_SIGINFO | SA_NODEFER;  // the handler is left by a switch of stacks: the signal must not stay blocked
        sigemptyset(&action.sa_mask);
        return sigaction(SIGSEGV, &action, &before) == 0;
    }();
    static_cast<void>(once);
    static thread_local const bool unblocked = [] {  // the pool's threads block all signals
        sigset_t fault;
        sigemptyset(&fault);
        sigaddset(&fault, SIGSEGV);
        return pthread_sigmask(SIG_UNBLOCK, &fault, nullptr) == 0;
    }();
    static_cast<void>(unblocked);
}

void check_guards(const char* kernel) {
    Table& t = table();
    std::lock_guard<std::mutex> lock(t.mutex);
    for (auto& [data, block] : t.live) {
        char* end = data + block.bytes;
        char* first = std::max(block.base + page_bytes(), data - kFrontChecked);
        char* last = block.base + block.mapped - page_bytes();
        bool behind = !untouched(end, last);
        if (!behind && untouched(first, data)) continue;
        std::memset(end, 0xFF, static_cast<size_t>(last - end));
        std::memset(first, 0xFF, static_cast<size_t>(data - first));
        fail<DeviceError>("cudasim: kernel %s: global memory: wrote within %zu bytes %s a block of %zu bytes", kernel,
                          behind ? static_cast<size_t>(last - end) : static_cast<size_t>(data - first),
                          behind ? "past the end of" : "before", block.bytes);
    }
}

std::string fault_line() {
    void* pc = fault_at;
    fault_at = nullptr;
    Dl_info module;
    if (!pc || !dladdr(pc, &module) || !module.dli_fname || std::strchr(module.dli_fname, '\'')) return "";
    char command[1024], line[1024];
    snprintf(command, sizeof command, "addr2line -i -e '%s' 0x%zx 2>/dev/null", module.dli_fname,
             static_cast<size_t>(static_cast<char*>(pc) - static_cast<char*>(module.dli_fbase)));
    FILE* pipe = popen(command, "r");
    if (!pipe) return "";
    std::string text;  // the access, and what it was inlined into, out to the kernel itself
    while (fgets(line, sizeof line, pipe) && line[0] != '?') {
        line[std::strcspn(line, "\n ")] = 0;
        const char* path = line;
        while (const char* up = std::strstr(path, "../")) path = up + 3;
        text += (text.empty() ? " at " : ", inlined at ") + std::string(path);
        if (std::strstr(path, ".cu:")) break;
    }
    pclose(pipe);
    return text;
}

}  // namespace sim
}  // namespace ww
