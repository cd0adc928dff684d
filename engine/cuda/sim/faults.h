// Signals that a kernel's own code raises, and the timer that ends an endless loop: each becomes an error of the launch, which goes
// on as if the thread had called launch_fail. Outside of kernels they go where they went before.
//
// A signal's handler only notes what happened and leaves the fibre where it stands; the OS thread's own stack, back in run_blocks,
// makes the words. Not under ASan and TSan, which have handlers of their own.
#pragma once

#include <string>

#include "engine/cuda/sim/block.h"

namespace ww::sim {

// From now on, on this OS thread, also where a handler has come since the last time. Cheap after the first.
void catch_faults();

// Kernel, block, thread, file and line, and what the address or the instruction was. The line is addr2line's (binutils), from the
// line numbers of a build with -g1; without either, it is that of the thread's last call of the simulator, and said to be that.
std::string describe_fault(const Fault& fault);

// While it lives, a timer counts the CPU time of this OS thread: a block (or a gang of them) that takes `timeout` seconds, up to an
// eighth more, is ended; and a launch that Ctrl-C ends, at the next of its ticks.
class Watchdog {
  public:
    explicit Watchdog(double timeout);
    ~Watchdog();
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;
    int64_t most_ticks() const { return most_ticks_; }  // of the timer, for Machine

  private:
    bool armed_ = false;
    int64_t most_ticks_ = 0;
};

}  // namespace ww::sim
