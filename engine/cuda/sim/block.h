// The simulated machine's parts: threads (fibres), warps, blocks with their shared memory and barriers.
//
// A block lives on one OS thread, so nothing here is locked. Kernels see it through device.h and the wrappers of engine/cuda/ptx;
// the runtime's files (scheduler, barrier, shared_memory, mbarrier, wgmma, launch) share it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/cuda/sim/code.h"
#include "engine/cuda/sim/options.h"
#include "engine/cuda/sim/types.h"

namespace ww::sim {

// A place in a kernel's source: the call site, when it is a default argument.
struct Location {
    const char* file = "";
    int line = 0;
    static constexpr Location here(const char* f = __builtin_FILE(), int l = __builtin_LINE()) { return {f, l}; }
    bool operator==(const Location& other) const;
};

struct Warp;
struct Block;

// One cp.async: the first `copied` bytes come from the source, the others are zero.
struct AsyncCopy {
    char* to;
    const char* from;
    int bytes, copied;
    Location at;
};

struct Thread {
    enum class State : uint8_t { ready, waiting, done };
    static constexpr int kMaxCopies = 256, kMaxGroups = 16;

    uint3 index;
    unsigned linear, lane;
    Warp* warp;
    Block* block;
    State state;
    const char* last = "";  // what it asked of the simulator last, and where
    Location at;
    int inside;                    // > 0: it is in the simulator's own code (Inside)
    uint64_t waits_for = 0;        // a shared address or a value of Machine::progress
    AsyncCopy copies[kMaxCopies];  // cp.async issued and not yet landed, oldest first
    int copy_count, group_ends[kMaxGroups], group_count;
    bool wgmma_fenced;
    size_t shared_arrays;  // taken from the carver so far

    void* context = nullptr;  // where it goes on
    void* context_slot = nullptr;
    char* stack = nullptr;
    void* asan_stack = nullptr;
    void* tsan_fiber = nullptr;
};

// Lanes that meet at one collective operation.
struct Rendezvous {
    uint32_t mask, arrived;
    const char* what;
    Location at;
    void* arguments[32];
};

// One wgmma that a warp has issued for its 16 rows; it runs later.
struct WgmmaOp {
    float* accumulators[32];  // of each lane; a NaN stands there from the issue to the wait
    float values[32][128];    // what they would hold: before the operation ran, and after
    int columns;
    uint64_t a, b;  // descriptors
    bool accumulate, half, ran;
    Location at;
};

// What the four warps of a warpgroup must execute alike: each wgmma instruction, in order.
struct WgmmaStep {
    const char* what;
    Location at;
    uint64_t a, b;  // descriptors, or how many groups a wait leaves
    unsigned warp;  // that came to it first
};
struct Warpgroup {
    std::vector<WgmmaStep> steps;  // that not all have executed, and how many went before
    size_t past, done[4];
};

struct Warp {
    static constexpr int kMaxMeetings = 32;  // each has a lane that waits in it
    Block* block;
    Thread* lanes[32];
    uint32_t exist, exited;
    Rendezvous meetings[kMaxMeetings];
    int meeting_count;
    std::vector<WgmmaOp*> wgmma;
    std::vector<size_t> wgmma_groups;  // ends of committed groups
};

struct NamedBarrier {
    int arrived, expected;  // expected < 0: all threads that have not returned
    unsigned generation;
    const char* what;
    Location at;
    const void* place;
    std::vector<Thread*> waiting;
    char order[2];  // what TSan synchronises on, by generation
};

struct TensorMap {  // of a 2-D tensor in global memory: dimension 0 is the contiguous one
    const char* base;
    uint64_t shape[2];
    uint64_t row_bytes;
    uint32_t box[2];
    uint32_t item_bytes;
    bool swizzle_128;
};

struct TensorCopy {
    TensorMap map;
    uint32_t to;
    int x, y;
    uint32_t barrier;
    unsigned phase;  // of the barrier, at its issue
    Location at;
    const Thread* by;
};

struct MbarrierRecord {
    uint32_t address;
    uint64_t word;  // what it must hold
    Location at;    // where it was initialised, and by whom
    const Thread* by;
};

struct SharedArray {
    size_t bytes, alignment;
    bool at_end;  // of its pages; else at their beginning
    char* data;
    char *low, *high;  // its pages
    uint32_t address;  // that of PTX
};

// What ended a thread in the middle of a kernel: a signal, or, without one, what Machine::detail says.
struct Fault {
    int signal = 0;
    const void *address = nullptr, *pc = nullptr;
    Thread* thread = nullptr;         // nullptr: nothing did
    const void* library = nullptr;    // where in a function of the host's library, that `pc` called
    const void* return_to = nullptr;  // of a tick: `pc` may be in a stub between the kernel and a library, which has no line
};

struct Random {
    uint64_t state;
    void seed(uint64_t seed, uint64_t stream);
    uint64_t next();
    uint64_t below(uint64_t n) { return next() % n; }
    bool coin() { return (next() >> 17 & 1) != 0; }
};

struct Block {
    uint3 index;
    dim3 block_dim, grid_dim;
    unsigned live;                       // threads that have not returned
    char* shared = nullptr;              // addresses for its arrays, of which most have no memory
    size_t shared_asked, shared_packed;  // bytes that the launch gave, bytes that the carver has handed out
    std::vector<SharedArray> arrays;     // the first `taken` are this block's, the others were a former one's
    size_t taken;
    std::vector<Warp> warps;
    std::vector<Thread*> threads;
    NamedBarrier barriers[16];
    std::vector<Thread*> mbarrier_waiters;
    std::vector<MbarrierRecord> mbarriers;
    std::vector<TensorCopy> tensor_copies;  // in flight
    std::vector<TensorCopy> unawaited;      // of which no thread has waited for the phase
    std::vector<Warpgroup> warpgroups;
    Random random;
};

// What runs on one OS thread: one block at a time, or all blocks of a cooperative launch.
struct Machine {
    Options options;
    const char* kernel = "";
    void (*body)(void*) = nullptr;
    void* arguments = nullptr;
    bool cooperative = false;
    void* main_context = nullptr;
    const void* main_stack = nullptr;
    size_t main_stack_bytes = 0;
    void* main_asan_stack = nullptr;
    void* main_tsan_fiber = nullptr;
    std::vector<Thread*> pool;  // fibres, reused from block to block
    std::vector<void*> slabs;   // their stacks
    size_t used = 0;
    std::vector<Block*> blocks;  // likewise
    std::vector<Block*> gang;    // those that run now
    std::vector<Thread*> ready;
    size_t ready_head = 0;
    std::vector<Thread*> pollers;
    uint64_t progress = 0;  // counts what might end a poller's wait
    Random random;
    std::string error;
    std::string detail;  // of an error in the making: what stands on the stack of a thread that is left is never destroyed
    bool failed = false;
    Fault fault;
    int64_t most_ticks = 0;               // of the timer
    volatile int64_t ticks = 0;           // since the gang began
    volatile bool expired = false;        // its time is over
    volatile int64_t steps_left = 0;      // > 0: the thread goes by single instructions until it is back in the kernel
    int64_t interrupts = -1;              // that had come before the launch; < 0: Ctrl-C does not end it
    std::atomic<bool>* over = nullptr;    // the launch has failed, here or in a block on another OS thread
    Code code, own_code;                  // the kernel's and the simulator's
    bool abandoned = false;               // fibres of a failed launch were left where they stood
    char start_order = 0, end_order = 0;  // what TSan synchronises the start and the end of a block on
};

#if defined(__SANITIZE_THREAD__) || defined(WW_SIM_TSAN) || defined(__clang__)
#define WW_SIM_TLS thread_local
#else
#define WW_SIM_TLS thread_local __attribute__((tls_model("initial-exec")))
#endif
extern WW_SIM_TLS Thread* current;   // the thread that runs on this OS thread; nullptr outside of kernels
extern WW_SIM_TLS Machine* machine;  // nullptr outside of launches

// For what only kernels may do, called from host code.
[[noreturn]] void not_in_a_kernel(const char* what, Location at);
// The thread that calls.
inline Thread& running(const char* what, Location at = Location::here()) {
    if (__builtin_expect(current == nullptr, 0)) not_in_a_kernel(what, at);
    return *current;
}

// A scope of the simulator's own code, called from a kernel: what is called from where is kept for the report of an error, and a
// timer does not end the thread in here, where it may hold a lock.
struct Inside {
    Thread* self;
    Inside(const char* what, Location at) : self(&running(what, at)) {
        self->last = what;
        self->at = at;
        self->inside++;
    }
    ~Inside() { self->inside--; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
};

// ---- scheduler.cpp

// Ends the launch with a DeviceError that names kernel, block, thread and `at`.
[[noreturn]] void launch_fail(Location at, const char* format, ...) __attribute__((format(printf, 2, 3)));
// The same, of another thread of the block.
[[noreturn]] void launch_fail(const Thread& of, Location at, const char* format, ...) __attribute__((format(printf, 3, 4)));
// The same, for what a thread of the block did without being seen: machine->detail.
[[noreturn]] void block_fail();
[[noreturn]] void misaligned(const char* what, const void* address, size_t bytes, Location at);
// Of assert: an error of the launch in a kernel, else the end of the process.
[[noreturn]] void assert_failed(const char* condition, const char* file, unsigned line, const char* function);
// "kernel K, block (x, y, z)" and, with a thread, ", thread (x, y, z) (warp w, lane l)".
std::string name_of(const Block& block, const Thread* thread = nullptr);
std::string name_of(Location at);
// What is said of a thread that is not to go on; nullptr while it is.
const char* why_end();
// For what not all architectures have.
void require_arch(int arch, const char* what, Location at);
void run_gang();
void wait_here(const char* what, Location at);  // until somebody makes this thread ready
void make_ready(Thread* thread);
void make_ready_all(std::vector<Thread*>& threads);
[[noreturn]] void thread_main();
void switch_to_main();  // from a thread that will not go on
void poll_again(const char* what, Location at);
// Inline, so that a signal in here has the kernel's line; atomic accesses, since TSan takes its threads for real ones.
inline void note_progress() {
    if (machine) __atomic_store_n(&machine->progress, __atomic_load_n(&machine->progress, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}
void maybe_land_copies();

// ---- launch.cpp

bool in_stacks(const Machine& m, const void* address);

// ---- barrier.cpp

// `place` tells barriers of one line apart.
void block_barrier(int id, int count, bool wait, Location at, const char* what, const void* place = nullptr);
void leave_barriers(Thread* thread);  // at its return
using Meet = void (*)(void** arguments, uint32_t mask);
// The lanes of `mask` meet; the last to arrive runs `meet` on all lanes' arguments, then all go on.
void warp_collective(uint32_t mask, const char* what, Location at, void* argument, Meet meet, bool orders_memory = false);

// ---- shared_memory.cpp

void prepare_shared(Block& block, size_t bytes);
void release_shared(Block& block);
char* take_shared(size_t bytes, size_t alignment, Location at);
uint32_t shared_address(const void* pointer, Location at);
char* shared_pointer(uint32_t address, size_t bytes, const char* what, Location at);
char* shared_pointer(const Block& block, uint32_t address);  // of an address that has been checked
// Which array `address` lies beside; "" where it is not in the addresses of the block's shared memory.
std::string describe_shared(const Block& block, const void* address);
// What was written beside its arrays, at most `reach` bytes away; "" for nothing.
std::string shared_overrun(const Block& block, size_t reach);

// ---- mbarrier.cpp

void mbarrier_init(uint32_t address, uint32_t count, Location at);
void mbarrier_invalidate(uint32_t address, Location at);
void mbarrier_arrive(uint32_t address, uint32_t count, int32_t bytes, Location at);
void mbarrier_wait(uint32_t address, uint32_t parity, Location at);
std::string describe_mbarriers(const Block& block);
// A thread that waits for an mbarrier which something has overwritten; nullptr where there is none.
Thread* waits_in_vain(const Block& block);
void tensor_copy(uint32_t to, const TensorMap* map, int x, int y, uint32_t barrier, Location at);
bool land_one_copy();                           // false where none is in flight
void check_copies_awaited(const Block& block);  // at its end

// ---- async_copy.cpp

void issue_copy(uint32_t to, const void* from, int bytes, int copied, Location at);
void commit_copies(Location at);
void wait_copies(int groups_left, Location at);

// ---- matrix.cpp

enum class Format : uint8_t { bf16, half, tf32 };
// `matrices` 8 x 8 matrices of 16-bit elements; lane 8 i + r gives the address of row r of matrix i.
void load_matrices(uint32_t* registers, int matrices, bool transposed, uint32_t address, Location at);
// d (16 x 8) += a b, with k of 16 (8 for tf32), fragments as PTX lays them out.
void multiply_matrices(float* d, const uint32_t* a, const uint32_t* b, Format format, Location at);

// ---- wgmma.cpp

void wgmma_issue(float* accumulators, int columns, uint64_t a, uint64_t b, bool accumulate, bool half, Location at);
void wgmma_fence(Location at);
void wgmma_commit(Location at);
void wgmma_wait(int groups_left, Location at);
void check_wgmma_done(const Warp& warp);  // at the return of one of its threads

}  // namespace ww::sim
