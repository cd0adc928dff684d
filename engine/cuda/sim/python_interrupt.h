// When a call from Python may be ended by Ctrl-C in the middle of a launch: engine/cuda/sim/interrupt.h. Included by
// kernel_object.h alone.
#pragma once

#include <pybind11/pybind11.h>

#include <csignal>
#include <optional>

#include "engine/cuda/sim/guarded_memory.h"
#include "engine/cuda/sim/interrupt.h"
#include "engine/registry.h"

namespace ww {

// Whether SIGINT raises KeyboardInterrupt, in the main thread. A handler of the program's own (one that lets a step of an optimizer
// end, one that saves first) is run when the launch is over.
inline bool interrupt_raises() {
    static PyObject *handler_of = nullptr, *raising = nullptr;  // for good: the module is never unloaded
    if (!handler_of) {
        pybind11::module_ signals = pybind11::module_::import("_signal");  // that of signal.py is a hundred times slower
        handler_of = pybind11::object(signals.attr("getsignal")).release().ptr();
        raising = pybind11::object(signals.attr("default_int_handler")).release().ptr();
    }
    return pybind11::handle(handler_of)(SIGINT).ptr() == raising;
}

// Whether the call updates an array where it lies: left half done, it would be half changed. What NumPy made is not, as the kernel
// gets a copy.
inline bool updates_in_place(const Op& op, const View* views, const int* first) {
    const auto& params = op.signature.views;
    for (size_t p = 0; p < params.size(); p++)
        for (int out = first[p]; out < first[p + 1] && params[p].out; out++) {
            if (!views[out].present() || !sim::is_guarded(views[out].data, 1)) continue;
            bool read = params[p].inout;
            for (size_t q = 0; q < params.size(); q++)
                for (int in = first[q]; in < first[q + 1] && !params[q].out; in++) read |= views[in].data == views[out].data;
            if (read) return true;
        }
    return false;
}

// While it lives, Ctrl-C ends the launches of this thread, where that is allowed. It may have come before: then, in the main
// thread, it counts now.
class Interruptible {
  public:
    explicit Interruptible(bool allowed) {
        if (!allowed || !interrupt_raises()) return;
        if (PyErr_CheckSignals() < 0) throw pybind11::error_already_set();
        scope_.emplace();
    }

  private:
    std::optional<sim::EndedByInterrupt> scope_;
};

}  // namespace ww
