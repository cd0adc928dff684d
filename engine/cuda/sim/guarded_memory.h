// Global memory of the simulated device: each block lies between pages that nobody may touch, as many as the block itself has, at
// least 64 KiB, so that a kernel which reads or writes beside its arrays is stopped at once, without a sanitizer. Under one half of
// the orders (options.h) a block ends where they begin, to the byte; under the others it begins where they end. What the pages
// leave beside a block holds NaN and is looked at after each launch.
//
// engine/memory.h is implemented by this in _cudasim.
#pragma once

#include <cstddef>
#include <string>

namespace ww::sim {

// Freed by memory_free. Alignment is the least that data of this kind may have: a sub-array of a GPU's memory has no more.
void* allocate_guarded(size_t bytes, size_t alignment);

// All of these bytes lie in one block. With `given`, a kernel is about to get it.
bool is_guarded(const void* from, size_t bytes, bool given = false);

// What new memory holds, and what lies beside a block, is still there.
bool untouched(const char* from, const char* to);

// DeviceError if a launch of `kernel` wrote into the slack beside a block: all of it where the kernel was given the block, or
// nobody says what is given, the nearest bytes of all others.
void check_guards(const char* kernel);

// After a launch that failed: what it wrote there is gone, and no later launch is blamed for it.
void restore_guards();

// What an access to `address`, which the system stopped, means: which block is the nearest, how far away.
std::string describe_global(const void* address);

}  // namespace ww::sim
