#include "engine/cuda/sim/faults.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <mutex>

#include "engine/cuda/sim/code.h"
#include "engine/cuda/sim/guarded_memory.h"
#include "engine/cuda/sim/launch.h"
#include "engine/cuda/sim/sanitizers.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace ww::sim {
namespace {

#if defined(__aarch64__)
constexpr int kTrap = SIGTRAP;  // of __builtin_trap, which stands where an address is misaligned (CMakeLists.txt)
#else
constexpr int kTrap = SIGILL;
#endif
constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
struct sigaction before[5];
WW_SIM_TLS int passing_on = 0;  // > 0: a handler from before or behind ours is at work
int tick = 0;                   // the timer's signal; 0: none was free
constexpr double kTick = 0.1;   // seconds between its ticks, or less: how soon Ctrl-C is seen
WW_SIM_TLS int own_timer = -1;

const void* program_counter(void* context) {
    [[maybe_unused]] auto* where = static_cast<ucontext_t*>(context);
#if defined(__x86_64__)
    return reinterpret_cast<const void*>(where->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
    return reinterpret_cast<const void*>(where->uc_mcontext.pc);
#else
    return nullptr;
#endif
}

// The call that has just been made, where nothing has been put on the stack since.
const void* return_address(void* context) {
    [[maybe_unused]] auto* where = static_cast<ucontext_t*>(context);
#if defined(__x86_64__)
    return *reinterpret_cast<char**>(where->uc_mcontext.gregs[REG_RSP]) - 1;
#elif defined(__aarch64__)
    return reinterpret_cast<char*>(where->uc_mcontext.regs[30]) - 1;
#else
    return nullptr;
#endif
}

// Where it is known whether an instruction is the kernel's: elsewhere all are taken for such.
bool outside_kernel(const void* instruction) { return instruction && !in_kernel(instruction); }

void end_thread(int number, const void* address, const void* instruction, void* context) {
    if (!machine->failed) {  // else it is this very look at the stack that has failed
        machine->failed = true;
        machine->fault = {number, address, instruction, current};
        current->inside++;
        if (number == tick) machine->fault.return_to = return_address(context);
        if (outside_kernel(instruction)) {
            machine->fault.library = instruction;
            machine->fault.pc = nullptr;
            if (address != instruction) machine->fault.pc = caller_in_kernel();
            else if (in_kernel(return_address(context))) machine->fault.pc = return_address(context);  // a jump to nowhere
        }
    }
    sigset_t ticks;
    sigemptyset(&ticks);
    sigaddset(&ticks, tick);
    if (tick) pthread_sigmask(SIG_UNBLOCK, &ticks, nullptr);
    switch_to_main();  // leaves this stack, and the handler with it
}

// ---- Leaving a function of the host's library (printf, malloc, ...), which may hold a lock: a thread whose time is over is not
// ended in there. On x86-64 it goes on by single instructions until it is back in the kernel; elsewhere, until a tick sees it
// there.

constexpr int64_t kSteps = 20000;  // between two ticks: some 30 ms

void step_out([[maybe_unused]] void* context) {
#if defined(__x86_64__)
    if (!machine->steps_left) machine->steps_left = kSteps;
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= 0x100;  // the trap flag
#endif
}

// Whether a trap is that of such a step.
bool stepped([[maybe_unused]] void* context) {
#if defined(__x86_64__)
    if (!machine || !machine->steps_left) return false;
    const void* instruction = program_counter(context);
    if (current && !current->inside && in_kernel(instruction)) {
        machine->steps_left = 0;
        end_thread(tick, nullptr, static_cast<const char*>(instruction) - 1, context);  // the call that has just returned
    }
    if (--machine->steps_left == 0) static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~0x100;
    return true;
#else
    return false;
#endif
}

void on_fault(int number, siginfo_t* info, void* context) {
    if (number == SIGTRAP && stepped(context)) return;
    // For an address that no process can have, the system gives 0 as the place.
    const void* address = info->si_code == SI_KERNEL ? reinterpret_cast<void*>(UINTPTR_MAX) : info->si_addr;
    if (current && machine && info->si_code > 0) end_thread(number, address, program_counter(context), context);
    // Not a kernel's: as if this handler were not there.
    size_t i = 0;
    while (kFaults[i] != number) i++;
    const struct sigaction& other = before[i];
    if (other.sa_handler == SIG_IGN && info->si_code <= 0) return;
    // One that came behind us (Python's faulthandler) may raise the signal anew for whoever it took for the one before: us.
    const bool again = passing_on > 0 && info->si_code <= 0;
    if (other.sa_handler != SIG_DFL && other.sa_handler != SIG_IGN && !again) {
        passing_on++;
        if (other.sa_flags & SA_SIGINFO) other.sa_sigaction(number, info, context);
        else other.sa_handler(number);
        passing_on--;
        return;
    }
    signal(number, SIG_DFL);
    if (info->si_code <= 0) raise(number);  // sent by somebody: there is no instruction to raise it again
}

void set_timer(int timer, double seconds) {
    struct itimerspec when = {};
    when.it_value.tv_sec = static_cast<time_t>(seconds);
    when.it_value.tv_nsec = static_cast<long>((seconds - std::floor(seconds)) * 1e9) + (seconds > 0);
    when.it_interval = when.it_value;
    syscall(SYS_timer_settime, timer, 0, &when, nullptr);
}

// Once the time is over it comes again and again: a thread that is in the simulator's code may hold a lock, and is left in peace
// until it waits, or is seen in the kernel.
void on_tick(int number, siginfo_t*, void* context) {
    if (!machine) return;
    if (++machine->ticks > machine->most_ticks) {
        if (!machine->expired) set_timer(own_timer, 0.01);
        machine->expired = true;
    }
    if (!why_end() || !current || current->inside) return;
    const void* instruction = program_counter(context);
    if (outside_kernel(instruction)) step_out(context);
    else end_thread(number, nullptr, instruction, context);
}

void handle(int number, void (*handler)(int, siginfo_t*, void*), struct sigaction* old) {
    struct sigaction action = {};
    action.sa_sigaction = handler;
    // NODEFER: the handler is left by a switch of stacks, and the signal must not stay blocked.
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
    if (tick && number != tick) sigaddset(&action.sa_mask, tick);  // what it saw in here would be taken for the kernel's code
    sigaction(number, &action, old);
}

// Of one OS thread: a stack for handlers, since a fibre's may be what is broken, and the timer.
struct Own {
    static constexpr size_t kBytes = 64 * 1024;
    void* stack = nullptr;
    pid_t process = 0;  // of the timer: it does not survive a fork

    Own() {
        stack_t old;
        if (sigaltstack(nullptr, &old) == 0 && old.ss_flags & SS_DISABLE) {
            stack = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            stack_t own = {};
            own.ss_sp = stack, own.ss_size = kBytes;
            if (stack == MAP_FAILED || sigaltstack(&own, nullptr) != 0) stack = nullptr;
        }
        sigset_t ours;  // the pool's threads block all signals
        sigemptyset(&ours);
        for (int number : kFaults) sigaddset(&ours, number);
        if (tick) sigaddset(&ours, tick);
        pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
    }
    ~Own() {
        if (own_timer >= 0 && process == getpid()) syscall(SYS_timer_delete, own_timer);
        if (!stack) return;
        stack_t none = {};
        none.ss_flags = SS_DISABLE;
        sigaltstack(&none, nullptr);
        munmap(stack, kBytes);
    }
    bool have_timer() {
        if (process == getpid()) return own_timer >= 0;
        process = getpid();
        struct sigevent event = {};
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = tick;
        event.sigev_notify_thread_id = static_cast<pid_t>(syscall(SYS_gettid));
        if (syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &event, &own_timer) != 0) own_timer = -1;
        return own_timer >= 0;
    }
};
Own& own() {
    thread_local Own one;
    return one;
}

std::string what_happened(const Fault& fault) {
    if (!fault.signal) return machine->detail;
    if (fault.signal == kTrap)
        return "misaligned: expected an address that is a multiple of its type's size or alignment (or this is a trap of another "
               "kind)";
    if (fault.signal == SIGILL) return "illegal instruction";
    if (fault.signal == SIGTRAP) return "a breakpoint";
    if (fault.signal == SIGFPE) return "integer division by zero, or of the smallest integer by -1 (on a GPU: any number)";
    if (fault.signal == tick) return why_end();
    if (in_stacks(*machine, fault.address)) return "this thread used more than " + std::to_string(kStackBytes) + " bytes of stack";
    std::string shared = describe_shared(*fault.thread->block, fault.address);
    if (!shared.empty()) return shared;
    std::string text = describe_global(fault.address);
    if (fault.signal == SIGBUS) text += " (SIGBUS)";
    return text;
}

}  // namespace

void catch_faults() {
    if (kAsan || kTsan) return;
    static const bool once = [] {
        for (int number = SIGRTMAX - 1; number > SIGRTMIN && !tick; number--) {
            struct sigaction now;
            if (sigaction(number, nullptr, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL) tick = number;
        }
        if (tick) handle(tick, on_tick, nullptr);
        return true;
    }();
    static_cast<void>(once);
    static std::mutex mutex;
    {
        std::lock_guard<std::mutex> lock(mutex);
        for (size_t i = 0; i < std::size(kFaults); i++) {  // at each launch: somebody may have come since the last
            struct sigaction now;
            if (sigaction(kFaults[i], nullptr, &now) == 0 && now.sa_sigaction != on_fault) handle(kFaults[i], on_fault, &before[i]);
        }
    }
    own();
}

std::string describe_fault(const Fault& fault) {
    const Thread& thread = *fault.thread;
    std::string text = name_of(*thread.block, &thread);
    // In the simulator's own code, the call is what matters.
    std::string line = thread.inside > 1 ? name_of(thread.at) : line_of(fault.pc);
    if (line.empty()) line = line_of(fault.return_to);
    if (!line.empty()) text += ", " + line;
    else if (thread.at.line) text += ", after its " + std::string(thread.last) + " at " + name_of(thread.at);
    const std::string library = thread.inside > 1 ? "" : function_of(fault.library);
    return text + ": " + what_happened(fault) + (library.empty() ? "" : ", in " + library);
}

Watchdog::Watchdog(double timeout) {
    armed_ = !kAsan && !kTsan && tick && own().have_timer();
    if (!armed_) return;
    const double period = std::min(kTick, timeout / 8), ticks = std::ceil(timeout / period);
    constexpr int64_t most = std::numeric_limits<int64_t>::max() / 2;
    most_ticks_ = ticks < static_cast<double>(most) ? static_cast<int64_t>(ticks) : most;  // of any time, infinite ones too
    set_timer(own_timer, period);
}

Watchdog::~Watchdog() {
    if (armed_) set_timer(own_timer, 0);
}

}  // namespace ww::sim
