// Which thread runs next, and what happens when none can.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "engine/cuda/sim/block.h"
#include "engine/cuda/sim/context.h"
#include "engine/cuda/sim/interrupt.h"
#include "engine/cuda/sim/launch.h"
#include "engine/cuda/sim/sanitizers.h"

namespace ww::sim {

WW_SIM_TLS Thread* current = nullptr;
WW_SIM_TLS Machine* machine = nullptr;

bool Location::operator==(const Location& other) const { return line == other.line && !std::strcmp(file, other.file); }

// splitmix64 (Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators"): any seed will do, also 0.
void Random::seed(uint64_t seed, uint64_t stream) { state = seed * 0x9e3779b97f4a7c15 + (stream + 1) * 0xd1342543de82ef95; }
uint64_t Random::next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

namespace {

// nullptr is the OS thread's own stack.
void enter(Thread* from, Thread* to) {
#if defined(WW_SIM_ASAN)
    void** keep = !from ? &machine->main_asan_stack : from->state == Thread::State::done ? nullptr : &from->asan_stack;
    __sanitizer_start_switch_fiber(keep, to ? to->stack : machine->main_stack, to ? kStackBytes : machine->main_stack_bytes);
#endif
#if defined(WW_SIM_TSAN)
    __tsan_switch_to_fiber(to ? to->tsan_fiber : machine->main_tsan_fiber, 1);  // 1: a switch orders nothing
#endif
    current = to;
    switch_context(from ? &from->context : &machine->main_context, to ? to->context : machine->main_context);
#if defined(WW_SIM_ASAN)
    __sanitizer_finish_switch_fiber(from ? from->asan_stack : machine->main_asan_stack, nullptr, nullptr);
#endif
}

// The next thread that can run, or nullptr.
Thread* pick() {
    auto& ready = machine->ready;
    if (machine->ready_head == ready.size()) {
        ready.clear();
        machine->ready_head = 0;
        return nullptr;
    }
    if (machine->options.order == Order::lockstep) return ready[machine->ready_head++];
    if (machine->options.order == Order::random) std::swap(ready[machine->random.below(ready.size())], ready.back());
    Thread* next = ready.back();
    ready.pop_back();
    return next;
}

std::string triple(const uint3& index) {
    return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")";
}

std::string describe_deadlock() {
    std::string text = "kernel " + std::string(machine->kernel) + ": deadlock: no thread can go on";
    int shown = 0;
    for (Block* block : machine->gang) {
        if (!block->live) continue;
        if (shown++ == 3) return text + "; and so on in other blocks";
        std::map<std::string, std::vector<unsigned>> waiting;
        for (Thread* thread : block->threads)
            if (thread->state != Thread::State::done)
                waiting[std::string(thread->last) + " at " + name_of(thread->at)].push_back(thread->linear);
        text += "; block " + triple(block->index) + ": " + std::to_string(block->threads.size() - block->live) + " of " +
                std::to_string(block->threads.size()) + " threads have returned";
        for (auto& [where, threads] : waiting)
            text += ", " + std::to_string(threads.size()) + " (from " + std::to_string(threads.front()) + " to " +
                    std::to_string(threads.back()) + ") wait in " + where;
        for (int id = 0; id < 16; id++) {
            const NamedBarrier& barrier = block->barriers[id];
            if (barrier.arrived)
                text += ", barrier " + std::to_string(id) + " has " + std::to_string(barrier.arrived) + " of " +
                        std::to_string(barrier.expected < 0 ? static_cast<int>(block->live) : barrier.expected);
        }
        text += describe_mbarriers(*block);
    }
    return text;
}

void deadlock() {
    machine->error = describe_deadlock();
    for (const Block* block : machine->gang)
        if (const Thread* thread = waits_in_vain(*block))
            machine->error = name_of(*block, thread) + ", " + name_of(thread->at) + ": " + thread->last +
                             ": expected an mbarrier at shared address " + std::to_string(thread->waits_for) +
                             ", got what something else has overwritten";
    machine->failed = true;
}

}  // namespace

std::string name_of(Location at) { return std::string(at.file) + ":" + std::to_string(at.line); }

std::string name_of(const Block& block, const Thread* thread) {
    std::string text = "kernel " + std::string(machine->kernel) + ", block " + triple(block.index);
    if (thread)
        text += ", thread " + triple(thread->index) + " (warp " + std::to_string(thread->linear / 32) + ", lane " +
                std::to_string(thread->lane) + ")";
    return text;
}

namespace {

[[noreturn]] void fail_with(const Thread& of, Location at, const char* format, va_list arguments) {
    Inside inside(current->last, at);
    Quiet quiet;
    char text[2048];
    vsnprintf(text, sizeof text, format, arguments);
    if (!machine->failed) machine->error = name_of(*of.block, &of) + (at.line ? ", " + name_of(at) : "") + ": " + text;
    machine->failed = true;
    switch_to_main();
    __builtin_unreachable();
}

}  // namespace

void launch_fail(Location at, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fail_with(*current, at, format, arguments);
}

void launch_fail(const Thread& of, Location at, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fail_with(of, at, format, arguments);
}

void misaligned(const char* what, const void* address, size_t bytes, Location at) {
    launch_fail(at, "%s: misaligned: expected an address that is a multiple of %zu, got %p", what, bytes, address);
}

void assert_failed(const char* condition, const char* file, unsigned line, const char* function) {
    if (current) launch_fail({file, static_cast<int>(line)}, "assertion '%s' failed", condition);
    fprintf(stderr, "%s:%u: %s: Assertion `%s' failed.\n", file, line, function, condition);  // the host's own
    std::abort();
}

void block_fail() {
    if (!machine->failed) machine->error = name_of(*current->block) + ": " + machine->detail;
    machine->failed = true;
    switch_to_main();
    __builtin_unreachable();
}

void not_in_a_kernel(const char* what, Location at) {
    ww::fail<DeviceError>(
        "cudasim: %s at %s: expected a kernel to do this, got host code; launch<kernel>(shape, arguments...) runs one", what,
        name_of(at).c_str());
}

void require_arch(int arch, const char* what, Location at) {
    const int have = machine->options.arch;
    if (have < arch)
        launch_fail(at, "%s: expected a device of compute capability %d.%d, got %d.%d: ww.cudasim(arch=%d), WHITEWOLF_SIM_ARCH",
                    what, arch / 10, arch % 10, have / 10, have % 10, arch);
}

const char* why_end() {
    if (machine->over->load(std::memory_order_relaxed)) return "another block has failed";  // not said: the other's error is
    if (interrupted_since(machine->interrupts)) return "interrupted";
    if (!machine->expired) return nullptr;
    return "its time is over: an endless loop, or more to do than ww.cudasim(timeout=), WHITEWOLF_SIM_TIMEOUT";
}

// The thread is left where it stands: kernels own nothing that would need destruction.
void switch_to_main() {
    Thread* self = current;
    self->state = Thread::State::done;
    machine->abandoned = true;
    tsan_release(&machine->end_order);
    enter(self, nullptr);
}

void make_ready(Thread* thread) {
    thread->state = Thread::State::ready;
    machine->ready.push_back(thread);
}

void make_ready_all(std::vector<Thread*>& threads) {
    std::sort(threads.begin(), threads.end(), [](Thread* a, Thread* b) { return a->linear < b->linear; });
    if (machine->options.order == Order::forward) std::reverse(threads.begin(), threads.end());  // the last made ready runs first
    for (Thread* thread : threads) make_ready(thread);
    threads.clear();
}

void wait_here(const char* what, Location at) {
    Inside inside(what, at);
    Thread* self = current;
    if (const char* why = why_end()) launch_fail(at, "%s: %s", what, why);
    self->state = Thread::State::waiting;
    for (;;) {
        if (Thread* next = pick()) {
            if (next != self) enter(self, next);
            return;
        }
        if (land_one_copy()) continue;  // it may make this very thread ready
        enter(self, nullptr);           // run_gang knows what a machine that stands still means
        return;
    }
}

void poll_again(const char* what, Location at) {
    Inside inside(what, at);
    Quiet quiet;
    if (!machine->cooperative && current->block->grid_dim.x * current->block->grid_dim.y * current->block->grid_dim.z > 1)
        launch_fail(at, "%s waits for another block, but the launch is not cooperative: that block need not be resident", what);
    current->waits_for = machine->progress;
    machine->pollers.push_back(current);
    wait_here(what, at);
}

void maybe_land_copies() {
    if (machine->options.asynchrony == Asynchrony::random && machine->random.below(8) == 0) land_one_copy();
}

void thread_main() {
#if defined(WW_SIM_ASAN)
    bool first = machine->main_stack == nullptr;
    __sanitizer_finish_switch_fiber(nullptr, first ? &machine->main_stack : nullptr, first ? &machine->main_stack_bytes : nullptr);
#endif
    tsan_acquire(&machine->start_order);
    current->inside = 0;
    machine->body(machine->arguments);
    current->inside = 1;
    tsan_release(&machine->end_order);
    {
        Quiet quiet;
        leave_barriers(current);
        current->state = Thread::State::done;
    }
    for (;;) {
        if (Thread* next = pick()) enter(current, next);
        else if (!land_one_copy()) enter(current, nullptr);
    }
}

void run_gang() {
    machine->ready.clear();
    machine->ready_head = 0;
    machine->pollers.clear();
    std::vector<Thread*> all;
    for (Block* block : machine->gang) all.insert(all.end(), block->threads.begin(), block->threads.end());
    if (machine->options.order == Order::forward) std::reverse(all.begin(), all.end());
    for (Thread* thread : all) make_ready(thread);
    uint64_t seen = machine->progress;
    bool idle = false;  // every poller has looked since anything happened
    for (;;) {
        if (Thread* next = pick()) enter(nullptr, next);
        if (machine->failed) return;
        if (std::all_of(machine->gang.begin(), machine->gang.end(), [](Block* b) { return b->live == 0; })) return;
        if (machine->ready_head < machine->ready.size() || land_one_copy()) continue;
        if (machine->pollers.empty() || (idle && seen == machine->progress)) return deadlock();
        idle = seen == machine->progress;
        seen = machine->progress;
        std::vector<Thread*> again;
        again.swap(machine->pollers);
        for (Thread* thread : again) make_ready(thread);
    }
}

}  // namespace ww::sim
