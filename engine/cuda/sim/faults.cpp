#include "engine/cuda/sim/faults.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <mutex>

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
constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, kTrap};
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

void end_thread(int number, const void* address, void* context) {
    machine->fault = {number, address, program_counter(context), current};
    machine->failed = true;
    current->inside++;
    switch_to_main();  // leaves this stack, and the handler with it
}

void on_fault(int number, siginfo_t* info, void* context) {
    // For an address that no process can have, the system gives 0 as the place.
    const void* address = info->si_code == SI_KERNEL ? reinterpret_cast<void*>(UINTPTR_MAX) : info->si_addr;
    if (current && machine && info->si_code > 0) end_thread(number, address, context);
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
    if (!why_end()) return;
    if (current && !current->inside) end_thread(number, nullptr, context);
}

void handle(int number, void (*handler)(int, siginfo_t*, void*), struct sigaction* old) {
    struct sigaction action = {};
    action.sa_sigaction = handler;
    // NODEFER: the handler is left by a switch of stacks, and the signal must not stay blocked.
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
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

// "kernels/a/b.cuh:12, inlined at kernels/a/c.cu:34": the instruction, and what it was inlined into, out to the kernel itself.
std::string line_of(const void* code) {
    Dl_info module;
    if (!code || !dladdr(code, &module) || !module.dli_fname || std::strchr(module.dli_fname, '\'')) return "";
    char command[1024], line[1024];
    snprintf(command, sizeof command, "addr2line -i -e '%s' 0x%zx 2>/dev/null", module.dli_fname,
             static_cast<size_t>(static_cast<const char*>(code) - static_cast<char*>(module.dli_fbase)));
    FILE* pipe = popen(command, "r");
    if (!pipe) return "";
    std::string text;
    while (fgets(line, sizeof line, pipe) && line[0] != '?') {
        line[std::strcspn(line, "\n ")] = 0;
        const char* path = line;
        while (const char* up = std::strstr(path, "../")) path = up + 3;
        text += (text.empty() ? "" : ", inlined at ") + std::string(path);
        if (std::strstr(path, ".cu:")) break;
    }
    pclose(pipe);
    const bool known = text.size() > 2 && text.compare(text.size() - 2, 2, ":0") != 0;
    const size_t ours = text.find("engine/cuda/sim/"), source = text.find(".cpp:");
    return known && (ours == std::string::npos || source < ours || source == std::string::npos) ? text : "";  // not of ours
}

std::string what_happened(const Fault& fault) {
    if (fault.signal == kTrap)
        return "misaligned: expected an address that is a multiple of its type's size or alignment (or this is a trap of another "
               "kind)";
    if (fault.signal == SIGILL) return "illegal instruction";
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
    if (!line.empty()) text += ", " + line;
    else if (thread.at.line) text += ", after its " + std::string(thread.last) + " at " + name_of(thread.at);
    return text + ": " + what_happened(fault);
}

Watchdog::Watchdog(double timeout) {
    armed_ = !kAsan && !kTsan && tick && timeout < 1e9 && own().have_timer();
    const double period = std::min(kTick, timeout / 8);
    most_ticks_ = armed_ ? static_cast<int64_t>(std::ceil(timeout / period)) : 0;
    if (armed_) set_timer(own_timer, period);
}

Watchdog::~Watchdog() {
    if (armed_) set_timer(own_timer, 0);
}

}  // namespace ww::sim
