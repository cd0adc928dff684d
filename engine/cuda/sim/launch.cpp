#include "engine/cuda/sim/launch.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "engine/cuda/sim/context.h"
#include "engine/cuda/sim/guarded_memory.h"
#include "engine/cuda/sim/sanitizers.h"
#include "engine/error.h"
#include "engine/parallel.h"

namespace ww::sim {
namespace {

constexpr size_t kStacksPerSlab = 64;
constexpr uint64_t kStackMark = 0x57574669627265;  // at the bottom of each stack: overwritten by an overflow

// Stacks come in slabs, since a guard page for each would be more mappings than the system allows. Below the first of a slab is
// room for one more: an overflow lands there or in the next stack, and shows in the mark.
size_t page_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
size_t slab_bytes() { return page_bytes() + (1 + kStacksPerSlab) * kStackBytes; }

void add_fibers(Machine& m) {
    size_t page = page_bytes();
    void* slab = mmap(nullptr, slab_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slab == MAP_FAILED) ww::fail<OutOfMemory>("kernel %s: expected %zu bytes for stacks of threads", m.kernel, slab_bytes());
    mprotect(slab, page, PROT_NONE);
    m.slabs.push_back(slab);
    for (size_t i = 0; i < kStacksPerSlab; i++) {
        auto* thread = new Thread;
        thread->stack = static_cast<char*>(slab) + page + (i + 1) * kStackBytes;
        std::memcpy(thread->stack, &kStackMark, sizeof kStackMark);
        m.pool.push_back(thread);
    }
}

Thread* new_thread(Machine& m) {
    if (m.used == m.pool.size()) add_fibers(m);
    size_t number = m.used++;
    Thread* thread = m.pool[number];
    asan_unpoison(thread->stack, kStackBytes);
    // Tops of stacks at different offsets: else all of them share one set of the cache.
    char* top = thread->stack + kStackBytes - 128 - number * 5 % 256 * 64;
    thread->context = new_context(thread->stack, top, thread_main, &thread->context_slot);
#if defined(WW_SIM_TSAN)
    // The same logical thread from block to block: start_order and end_order put the blocks after each other.
    if (!thread->tsan_fiber || m.abandoned) thread->tsan_fiber = __tsan_create_fiber(0);
#endif
    return thread;
}

void prepare_block(Machine& m, Block& block, const Shape& shape, uint64_t number) {
    unsigned threads = shape.block.x * shape.block.y * shape.block.z;
    block.index = {static_cast<unsigned>(number % shape.grid.x), static_cast<unsigned>(number / shape.grid.x % shape.grid.y),
                   static_cast<unsigned>(number / shape.grid.x / shape.grid.y)};
    block.block_dim = shape.block;
    block.grid_dim = shape.grid;
    block.live = threads;
    block.random.seed(m.options.seed, number);
    block.mbarrier_waiters.clear();
    block.tensor_copies.clear();
    for (NamedBarrier& barrier : block.barriers) {
        barrier.arrived = 0;
        barrier.waiting.clear();
    }
    block.warps.resize(threads / 32);
    block.threads.resize(threads);
    for (Warp& warp : block.warps) {
        warp.block = &block;
        warp.exist = ~0u;
        warp.exited = 0;
        warp.meeting_count = 0;
        for (WgmmaOp* op : warp.wgmma) delete op;
        warp.wgmma.clear();
        warp.wgmma_groups.clear();
    }
    for (unsigned i = 0; i < threads; i++) {
        Thread* thread = new_thread(m);
        thread->linear = i;
        thread->lane = i % 32;
        thread->index = {i % shape.block.x, i / shape.block.x % shape.block.y, i / (shape.block.x * shape.block.y)};
        thread->block = &block;
        thread->warp = &block.warps[i / 32];
        thread->warp->lanes[i % 32] = thread;
        thread->state = Thread::State::ready;
        thread->at = {};
        thread->copy_count = thread->group_count = 0;
        thread->wgmma_fenced = false;
        thread->shared_arrays = 0;
        block.threads[i] = thread;
    }
    prepare_shared(block, shape.shared_bytes);
}

// After a gang has come to its end: what was overwritten without a barrier that would have seen it.
void check_gang(Machine& m) {
    for (Block* block : m.gang) {
        if (m.failed) break;
        std::string found = red_zone_report(*block);
        if (!found.empty()) {
            m.error = "kernel " + std::string(m.kernel) + ", block (" + std::to_string(block->index.x) + ", " +
                      std::to_string(block->index.y) + ", " + std::to_string(block->index.z) + "): " + found + " (seen at its end)";
            m.failed = true;
        }
    }
    for (size_t i = 0; i < m.used && !m.failed; i++) {
        if (!std::memcmp(m.pool[i]->stack, &kStackMark, sizeof kStackMark)) continue;
        std::memcpy(m.pool[i]->stack, &kStackMark, sizeof kStackMark);
        m.error =
            "kernel " + std::string(m.kernel) + ": a thread used more than " + std::to_string(kStackBytes) + " bytes of stack";
        m.failed = true;
    }
}

// Blocks [first, first + count) at the same time.
void run_blocks(Machine& m, const Shape& shape, uint64_t first, uint64_t count) {
    m.used = 0;
    m.gang.clear();
    m.failed = false;
    m.error.clear();
    m.progress = 0;
    m.random.seed(m.options.seed + 0x5eed, first);
    while (m.blocks.size() < count) m.blocks.push_back(new Block());
    for (uint64_t i = 0; i < count; i++) {
        prepare_block(m, *m.blocks[i], shape, first + i);
        m.gang.push_back(m.blocks[i]);
    }
    m.abandoned = false;
    tsan_release(&m.start_order);
    run_gang();
    current = nullptr;
    tsan_acquire(&m.end_order);
    if (!m.failed) check_gang(m);
    if (m.failed) {
        m.abandoned = true;
        throw DeviceError("cudasim: " + m.error + fault_line());
    }
}

// With the OS thread goes its machine.
void release(Machine& m) {
    for (Block* block : m.blocks) {
        if (block->shared) asan_unpoison(block->shared, block->shared_room);
        std::free(block->shared);
        for (Warp& warp : block->warps)
            for (WgmmaOp* op : warp.wgmma) delete op;
        delete block;
    }
    for (Thread* thread : m.pool) {
        free_context(thread->context_slot);
        delete thread;
    }
    for (void* slab : m.slabs) munmap(slab, slab_bytes());
}

Machine& own_machine() {
    struct Release {
        void operator()(Machine* m) const {
            release(*m);
            delete m;
        }
    };
    thread_local std::unique_ptr<Machine, Release> own(new Machine);
    return *own;
}

// "...[with auto kernel = ww::cuda::{anonymous}::naive<float>; Arguments = {...}]" -> "naive<float>"
std::string kernel_name(const char* pretty) {
    const char* from = std::strstr(pretty, "kernel = ");
    std::string name = from ? from + std::strlen("kernel = ") : pretty;
    size_t end = name.find(';');
    if (end == std::string::npos) end = name.find(", Arguments");
    if (end == std::string::npos) end = name.rfind(']');
    name.resize(std::min(end, name.size()));
    for (const char* space : {"&", "ww::cuda::", "ww::", "{anonymous}::", "(anonymous namespace)::"})
        for (size_t at; (at = name.find(space)) != std::string::npos;) name.erase(at, std::strlen(space));
    return name;
}

void check_limits(const Shape& shape, const char* kernel) {
    auto refuse = [&](const char* what, size_t most, size_t got) {
        ww::fail<DeviceError>("cudasim: kernel %s: expected a launch with %s of 1 to %zu, got %zu", kernel, what, most, got);
    };
    auto within = [&](const char* what, size_t value, size_t most) {
        if (value < 1 || value > most) refuse(what, most, value);
    };
    within("grid.x", shape.grid.x, 0x7fffffff);
    within("grid.y", shape.grid.y, 65535);
    within("grid.z", shape.grid.z, 65535);
    within("block.x", shape.block.x, 1024);
    within("block.y", shape.block.y, 1024);
    within("block.z", shape.block.z, 64);
    size_t threads = size_t{shape.block.x} * shape.block.y * shape.block.z;
    within("threads a block", threads, kThreadsPerBlock);
    if (threads % 32)
        ww::fail<DeviceError>("cudasim: kernel %s: expected a multiple of 32 threads a block, got %zu", kernel, threads);
    if (shape.shared_bytes > kSharedBytesPerBlock)
        ww::fail<DeviceError>("cudasim: kernel %s: expected at most %zu bytes of shared memory a block, got %zu", kernel,
                              kSharedBytesPerBlock, shape.shared_bytes);
    if (!shape.cooperative) return;
    size_t blocks = size_t{shape.grid.x} * shape.grid.y * shape.grid.z;
    size_t most = static_cast<size_t>(kMultiprocessors * resident_blocks(static_cast<int>(threads), shape.shared_bytes));
    if (blocks > most)
        ww::fail<DeviceError>(
            "cudasim: kernel %s: expected a cooperative launch of at most %zu blocks, which is what can be resident, got %zu",
            kernel, most, blocks);
}

}  // namespace

int resident_blocks(int threads, size_t shared_bytes) {
    int by_threads = kThreadsPerMultiprocessor / std::max(threads, 1);
    auto by_shared = static_cast<int>(kSharedBytesPerMultiprocessor / (shared_bytes + kSharedBytesReserved));
    return std::min({by_threads, by_shared, kBlocksPerMultiprocessor});
}

void run_grid(const Shape& shape, const char* name, void (*body)(void*), void* arguments) {
    const std::string kernel = kernel_name(name);
    check_limits(shape, kernel.c_str());
    const Options chosen = options();
    const uint64_t blocks = uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z;
    const uint64_t threads = uint64_t{shape.block.x} * shape.block.y * shape.block.z;
    auto work = [&](uint64_t first, uint64_t count) {
        Machine& m = own_machine();
        m.options = chosen;
        m.kernel = kernel.c_str();
        m.body = body;
        m.arguments = arguments;
        m.cooperative = shape.cooperative;
        m.main_stack = nullptr;
#if defined(WW_SIM_TSAN)
        m.main_tsan_fiber = __tsan_get_current_fiber();
#endif
        struct Entered {
            explicit Entered(Machine* m) { machine = m; }
            ~Entered() { machine = nullptr, current = nullptr; }
        } entered(&m);
        watch_for_faults();
        run_blocks(m, shape, first, count);
    };
    // TSan sees what blocks do to each other only where they run at the same time.
    if (shape.cooperative || (kTsan && blocks * threads <= 4096)) {
        work(0, blocks);
    } else if (kTsan) {
        for (uint64_t i = 0; i < blocks; i++) work(i, 1);
    } else {
        parallel_for(static_cast<int64_t>(blocks), 1, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i++)
                work(chosen.order == Order::reverse ? blocks - 1 - static_cast<uint64_t>(i) : static_cast<uint64_t>(i), 1);
        });
    }
    check_guards(kernel.c_str());
}

}  // namespace ww::sim
