// The simulated machine's parts: threads (fibres), warps, blocks with their shared memory and barriers.
//
// A block lives on one OS thread, so nothing here is locked. Kernels see it through device.h and the wrappers of engine/cuda/ptx;
// the runtime's files (scheduler, barrier, shared_memory, mbarrier, wgmma, launch) share it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

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
};

struct Thread {
    enum class State : uint8_t { ready, waiting, done };
    static constexpr int kMaxCopies = 256, kMaxGroups = 16;

    uint3 index;
    unsigned linear, lane;
    Warp* warp;
    Block* block;
    State state;
    const char* waits_in = "";  // and where: for reports of a deadlock
    Location at;
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

// One wgmma that a warp has issued for its 16 rows; it takes effect later.
struct WgmmaOp {
    float* accumulators[32];  // of each lane
    float before[32][128];    // what they held; NaN stands there while the operation is in flight
    int columns;
    uint64_t a, b;  // descriptors
    bool accumulate, half;
};

struct Warp {
    static constexpr int kMaxMeetings = 8;
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
    Location at;
};

struct SharedArray {
    size_t begin, bytes, alignment;  // within the block's memory
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
    unsigned live;                    // threads that have not returned
    char* shared = nullptr;           // its memory, red zones included
    size_t shared_room = 0;           // bytes of that
    size_t shared_asked, shared_end;  // what the launch gave, what the carver has handed out (red zones apart and included)
    size_t shared_packed;
    std::vector<SharedArray> arrays;
    std::vector<Warp> warps;
    std::vector<Thread*> threads;
    NamedBarrier barriers[16];
    std::vector<Thread*> mbarrier_waiters;
    std::vector<TensorCopy> tensor_copies;
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
    bool failed = false;
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

// ---- scheduler.cpp

// Ends the launch with a DeviceError that names kernel, block, thread and `at`.
[[noreturn]] void launch_fail(Location at, const char* format, ...) __attribute__((format(printf, 2, 3)));
void run_gang();
void wait_here(const char* what, Location at);  // until somebody makes this thread ready
void make_ready(Thread* thread);
void make_ready_all(std::vector<Thread*>& threads);
[[noreturn]] void thread_main();
void switch_to_main();  // from a thread that will not go on
void poll_again(const char* what, Location at);
void note_progress();
void maybe_land_copies();

// ---- barrier.cpp

void block_barrier(int id, int count, bool wait, Location at, const char* what);
void leave_barriers(Thread* thread);  // at its return
using Meet = void (*)(void** arguments, uint32_t mask);
// The lanes of `mask` meet; the last to arrive runs `meet` on all lanes' arguments, then all go on.
void warp_collective(uint32_t mask, const char* what, Location at, void* argument, Meet meet, bool orders_memory = false);

// ---- shared_memory.cpp

constexpr uint32_t kSharedWindow = 1024;  // 32-bit shared addresses begin here, so that 0 is never one
void prepare_shared(Block& block, size_t bytes);
char* take_shared(size_t bytes, size_t alignment, Location at);
uint32_t shared_address(const void* pointer, Location at);
char* shared_pointer(uint32_t address, size_t bytes, const char* what, Location at);
std::string red_zone_report(const Block& block);  // what was written outside of its arrays; "" for nothing
void check_red_zones(Block& block, const char* when, Location at);

// ---- mbarrier.cpp

void mbarrier_init(uint32_t address, uint32_t count, Location at);
void mbarrier_arrive(uint32_t address, uint32_t count, int32_t bytes, Location at);
void mbarrier_wait(uint32_t address, uint32_t parity, Location at);
std::string describe_mbarriers(const Block& block);
void tensor_copy(uint32_t to, const TensorMap* map, int x, int y, uint32_t barrier, Location at);
bool land_one_copy();  // false where none is in flight

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

}  // namespace ww::sim
