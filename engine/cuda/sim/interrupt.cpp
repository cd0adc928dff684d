#include "engine/cuda/sim/interrupt.h"

#include <signal.h>

#include <atomic>
#include <mutex>

namespace ww::sim {
namespace {

std::atomic<int64_t> came{0};
static_assert(std::atomic<int64_t>::is_always_lock_free, "a signal's handler counts");
thread_local int64_t came_before = -1;

std::mutex installing;
int scopes = 0;
struct sigaction before;

void on_interrupt(int number, siginfo_t* info, void* context) {
    came++;
    if (before.sa_flags & SA_SIGINFO) before.sa_sigaction(number, info, context);
    else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) before.sa_handler(number);
}

bool installed() {
    struct sigaction now;
    return sigaction(SIGINT, nullptr, &now) == 0 && now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_interrupt;
}

}  // namespace

EndedByInterrupt::EndedByInterrupt() {
    came_before = came;
    std::lock_guard<std::mutex> lock(installing);
    scopes++;
    if (installed()) return;  // another thread's launch has done it; or nobody has, or the program has set a handler since
    struct sigaction action = {};
    action.sa_sigaction = on_interrupt;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;  // ONSTACK: a fibre's stack is small
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, nullptr, &before);  // first: the handler reads it
    sigaction(SIGINT, &action, nullptr);
}

EndedByInterrupt::~EndedByInterrupt() {
    came_before = -1;
    std::lock_guard<std::mutex> lock(installing);
    if (--scopes == 0 && installed()) sigaction(SIGINT, &before, nullptr);
}

int64_t interrupts_before() { return came_before; }

bool interrupted_since(int64_t before_launch) { return before_launch >= 0 && came != before_launch; }

}  // namespace ww::sim
