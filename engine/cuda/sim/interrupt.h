// Ctrl-C within a launch. Python runs its handlers between the bytecodes of its main thread, and in a launch there is none: an
// endless kernel would go on until its time is over. So the binding, where Python's handler is the one that raises
// KeyboardInterrupt, lets SIGINT end launches itself, those of all of the program's threads: threads of a kernel stop where they
// stand, on every OS thread, as when their time is over.
#pragma once

#include <cstdint>

#include "engine/error.h"

namespace ww::sim {

// Of a launch that Ctrl-C has ended.
struct Interrupted : DeviceError {
    using DeviceError::DeviceError;
};

// While one lives, SIGINT ends the launches of this OS thread with Interrupted; the handler that was there runs as well. Several
// OS threads may have one at a time, each one.
class EndedByInterrupt {
  public:
    EndedByInterrupt();
    ~EndedByInterrupt();
    EndedByInterrupt(const EndedByInterrupt&) = delete;
    EndedByInterrupt& operator=(const EndedByInterrupt&) = delete;
};

// How many interrupts had come when the scope of this OS thread began; -1 where there is none.
int64_t interrupts_before();
bool interrupted_since(int64_t before);  // false for -1

}  // namespace ww::sim
