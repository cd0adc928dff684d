// Where in a kernel's code something happened: in which module an instruction is, who called it, which line it belongs to.
#pragma once

#include <cstdint>
#include <string>

namespace ww::sim {

// The instructions of one module: a library of kernels, or the simulator.
struct Code {
    uintptr_t begin = 0, end = 0;
    bool holds(const void* instruction) const {
        const auto at = reinterpret_cast<uintptr_t>(instruction);
        return at >= begin && at < end;
    }
};

// Of the module that `instruction` is in. The last answer of each OS thread is kept.
Code code_of(const void* instruction);

// In the module of the kernel that runs on this OS thread, or in the simulator's; else in a library of the host's. Safe in a
// signal's handler, as the next one is.
bool in_kernel(const void* instruction);

// For a function of the host's library that is running now, or in which a signal came: the call, in the kernel, from which it was
// reached; nullptr where the stack does not say.
const void* caller_in_kernel();

// "kernels/a/b.cuh:12, inlined at kernels/a/c.cu:34": the instruction, and what it was inlined into, out to the kernel itself. ""
// where it is not known, or the line is one of the simulator's own .cpp files.
std::string line_of(const void* instruction);

// "strlen of libc.so.6": the function and the module; "" where they are not known.
std::string function_of(const void* instruction);

}  // namespace ww::sim
