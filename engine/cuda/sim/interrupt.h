// Ctrl-C within a launch. Python runs its handlers between the bytecodes of its main thread, and in a launch there is none: an
// endless kernel would go on until its time is over. So the binding, where Python's handler is the one that raises
// KeyboardInterrupt, lets SIGINT end the launch itself: threads of a kernel stop where they stand, on every OS thread, as when
// their time is over.
#pragma once

#include <csignal>

#include "engine/error.h"

namespace ww::sim {

// Of a launch that Ctrl-C has ended.
struct Interrupted : DeviceError {
    using DeviceError::DeviceError;
};

// While one lives, SIGINT ends the launches of this OS thread with Interrupted; the handler that was there runs as well. One at a
// time in a process.
class EndedByInterrupt {
  public:
    EndedByInterrupt();
    ~EndedByInterrupt();
    EndedByInterrupt(const EndedByInterrupt&) = delete;
    EndedByInterrupt& operator=(const EndedByInterrupt&) = delete;
};

bool interruptible();   // launches of this OS thread
bool interrupt_came();  // since the scope began

}  // namespace ww::sim
