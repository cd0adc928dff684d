#include "engine/cuda/sim/launch.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <numeric>

#include "engine/cuda/sim/context.h"
#include "engine/cuda/sim/faults.h"
#include "engine/cuda/sim/guarded_memory.h"
#include "engine/cuda/sim/interrupt.h"
#include "engine/cuda/sim/sanitizers.h"
#include "engine/cuda/sim/termination.h"
#include "engine/error.h"
#include "engine/parallel.h"

namespace ww::sim {
namespace {

constexpr size_t kStacksPerSlab = 64;
constexpr uint64_t kStackMark = 0x57574669627265;  // at the bottom of each stack: overwritten by an overflow

// Below each stack is a page that nobody may touch: kernels are compiled with -fstack-clash-protection, so that no frame passes
// over it. Each is a mapping, of which the system allows only so many: where very many threads live at a time, the later ones'
// overflows land in the stack below, and show in its neighbour's mark.
constexpr size_t kMostGuarded = 4096;
std::atomic<size_t> guarded_stacks{0};
size_t page_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
size_t slab_bytes() { return kStacksPerSlab * (page_bytes() + kStackBytes); }

void add_fibers(Machine& m) {
    size_t page = page_bytes();
    void* slab = mmap(nullptr, slab_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slab == MAP_FAILED) ww::fail<OutOfMemory>("kernel %s: expected %zu bytes for stacks of threads", m.kernel, slab_bytes());
    m.slabs.push_back(slab);
    const bool guarded = guarded_stacks.fetch_add(kStacksPerSlab) < kMostGuarded;
    for (size_t i = 0; i < kStacksPerSlab; i++) {
        auto* thread = new Thread;
        char* guard = static_cast<char*>(slab) + i * (page + kStackBytes);
        if (guarded || i == 0) mprotect(guard, page, PROT_NONE);
        thread->stack = guard + page;
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
    block.mbarriers.clear();
    block.tensor_copies.clear();
    block.unawaited.clear();
    block.warpgroups.assign((threads / 32 + 3) / 4, {});
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
        thread->last = "";
        thread->at = {};
        thread->inside = 1;  // until it is in the kernel
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
        std::string found = shared_overrun(*block, SIZE_MAX);
        if (found.empty()) continue;
        m.error = name_of(*block) + ": " + found + ", seen at its end";
        m.failed = true;
    }
    for (size_t i = 0; i < m.used && !m.failed; i++) {
        if (!std::memcmp(m.pool[i]->stack, &kStackMark, sizeof kStackMark)) continue;
        std::memcpy(m.pool[i]->stack, &kStackMark, sizeof kStackMark);
        m.error =
            "kernel " + std::string(m.kernel) + ": a thread used more than " + std::to_string(kStackBytes) + " bytes of stack";
        m.failed = true;
    }
}

void stop_if_interrupted(const Machine& m) {
    if (interrupted_since(m.interrupts)) throw Interrupted("cudasim: kernel " + std::string(m.kernel) + ": interrupted");
}

// Blocks [first, first + count) at the same time.
void run_blocks(Machine& m, const Shape& shape, uint64_t first, uint64_t count) {
    stop_if_interrupted(m);
    m.used = 0;
    m.gang.clear();
    m.failed = false;
    m.fault = {};
    m.ticks = 0;
    m.steps_left = 0;
    m.expired = false;
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
    if (m.fault.thread) m.error = describe_fault(m.fault);
    tsan_acquire(&m.end_order);
    if (!m.failed) check_gang(m);
    if (m.failed) {
        m.abandoned = true;
        for (Thread* thread : m.pool) std::memcpy(thread->stack, &kStackMark, sizeof kStackMark);
        if (m.over->exchange(true)) return;  // another block has failed before, and its error is the launch's
        stop_if_interrupted(m);
        throw DeviceError("cudasim: " + m.error);
    }
}

}  // namespace

bool in_stacks(const Machine& m, const void* address) {
    for (void* slab : m.slabs)
        if (static_cast<size_t>(static_cast<const char*>(address) - static_cast<char*>(slab)) < slab_bytes()) return true;
    return false;
}

namespace {

// With the OS thread goes its machine.
void release(Machine& m) {
    for (Block* block : m.blocks) {
        release_shared(*block);
        for (Warp& warp : block->warps)
            for (WgmmaOp* op : warp.wgmma) delete op;
        delete block;
    }
    for (Thread* thread : m.pool) {
        free_context(thread->context_slot);
        delete thread;
    }
    for (void* slab : m.slabs) munmap(slab, slab_bytes());
    guarded_stacks -= m.slabs.size() * kStacksPerSlab;
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
    for (const char* space : {"&", "ww::cuda::", "ww::", "{anonymous}::", "<unnamed>::", "(anonymous namespace)::"})
        for (size_t at; (at = name.find(space)) != std::string::npos;) name.erase(at, std::strlen(space));
    return name;
}

// The order in which blocks begin. Under `random` block number (first + i step) mod count is the i-th: each once, as step and count
// have no common factor, and nothing to store for a grid of billions.
class BlockOrder {
  public:
    BlockOrder(const Options& options, uint64_t count) : order_(options.order), count_(count) {
        if (order_ != Order::random) return;
        Random random;
        random.seed(options.seed, count);
        first_ = random.below(count);
        do step_ = random.below(count);
        while (std::gcd(step_, count) != 1);
    }
    uint64_t operator[](uint64_t i) const {
        if (order_ == Order::reverse) return count_ - 1 - i;
        return order_ == Order::random ? static_cast<uint64_t>((first_ + static_cast<unsigned __int128>(i) * step_) % count_) : i;
    }

  private:
    Order order_;
    uint64_t count_, first_ = 0, step_ = 1;
};

}  // namespace

void run_grid(const Shape& shape, const char* name, void (*body)(void*), void* arguments) {
    if (current) launch_fail(shape.at, "launch: expected host code to launch kernels, got a kernel");
    const std::string kernel = kernel_name(name);
    const std::string launched = kernel + (shape.at.line ? ", launched at " + name_of(shape.at) : "");
    check_limits(shape, launched.c_str());
    const Options chosen = options();
    const uint64_t blocks = uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z;
    const uint64_t threads = uint64_t{shape.block.x} * shape.block.y * shape.block.z;
    const int64_t interrupts = interrupts_before();
    const Code code = code_of(reinterpret_cast<const void*>(body));
    static const Code own_code = code_of(reinterpret_cast<const void*>(run_grid));
    std::atomic<bool> over{false};
    const BlockOrder block_at(chosen, blocks);
    auto work = [&](uint64_t first, uint64_t count, int64_t most_ticks) {
        Machine& m = own_machine();
        m.options = chosen;
        m.kernel = kernel.c_str();
        m.body = body;
        m.arguments = arguments;
        m.cooperative = shape.cooperative;
        m.interrupts = interrupts;
        m.over = &over;
        m.code = code;
        m.own_code = own_code;
        m.most_ticks = most_ticks;
        m.main_stack = nullptr;
#if defined(WW_SIM_TSAN)
        m.main_tsan_fiber = __tsan_get_current_fiber();
#endif
        struct Entered {
            explicit Entered(Machine* m) { machine = m; }
            ~Entered() { machine = nullptr, current = nullptr; }
        } entered(&m);
        run_blocks(m, shape, first, count);
    };
    auto work_all = [&](uint64_t first, uint64_t end, uint64_t together) {
        catch_faults();
        Watchdog watchdog(chosen.timeout);
        try {
            for (uint64_t i = first; i < end && !over; i += together)
                work(together == 1 ? block_at[i] : i, together, watchdog.most_ticks());
        } catch (...) {
            over = true;
            throw;
        }
    };
    catch_termination();
    // TSan sees what blocks do to each other only where they run at the same time.
    try {
        if (shape.cooperative || (kTsan && blocks * threads <= 4096)) work_all(0, blocks, blocks);
        else if (kTsan) work_all(0, blocks, 1);
        else
            parallel_for(static_cast<int64_t>(blocks), 1, [&](int64_t begin, int64_t end) {
                work_all(static_cast<uint64_t>(begin), static_cast<uint64_t>(end), 1);
            });
    } catch (...) {
        restore_guards();  // or the next kernel would be blamed
        throw;
    }
    check_guards(launched.c_str());
}

}  // namespace ww::sim
