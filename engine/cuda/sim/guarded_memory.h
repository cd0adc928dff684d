// Global memory of the simulated device: each block ends at a page that nobody may touch, and begins after one, so that a kernel
// which reads or writes beside its arrays is stopped at once, without a sanitizer.
//
// Blocks are aligned to 16 bytes, as little as a GPU's own memory would ever give a sub-array: up to 15 bytes behind a block, and
// the rest of the page before it, hold NaN and are looked at after each launch. engine/memory.h is implemented by this in _cudasim.
#pragma once

#include <cstddef>
#include <string>

namespace ww::sim {

// Makes accesses to guard pages, from this OS thread, errors of the launch. Cheap after the first time.
void watch_for_faults();

// DeviceError if a launch of `kernel` wrote into the slack beside a block.
void check_guards(const char* kernel);

// " at FILE:LINE" of the access that a guard page stopped on this OS thread in the launch that has just failed, "" for other errors
// and where neither addr2line nor line numbers are there.
std::string fault_line();

}  // namespace ww::sim
