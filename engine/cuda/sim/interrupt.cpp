#include "engine/cuda/sim/interrupt.h"

#include <signal.h>

namespace ww::sim {
namespace {

volatile sig_atomic_t came = 0;
struct sigaction before;
thread_local bool inside = false;

void on_interrupt(int number, siginfo_t* info, void* context) {
    came = 1;
    if (before.sa_flags & SA_SIGINFO) before.sa_sigaction(number, info, context);
    else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) before.sa_handler(number);
}

}  // namespace

EndedByInterrupt::EndedByInterrupt() {
    came = 0;
    inside = true;
    struct sigaction action = {};
    action.sa_sigaction = on_interrupt;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;  // ONSTACK: a fibre's stack is small
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, nullptr, &before);  // first: the handler reads it
    sigaction(SIGINT, &action, nullptr);
}

EndedByInterrupt::~EndedByInterrupt() {
    sigaction(SIGINT, &before, nullptr);
    inside = false;
}

bool interruptible() { return inside; }

bool interrupt_came() { return came != 0; }

}  // namespace ww::sim
