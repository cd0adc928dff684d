// What the simulated device has, and what it refuses to launch: as CUDA does.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/cuda/sim/block.h"

namespace ww::sim {

// A few multiprocessors, so that a grid which must be resident as a whole stays small.
constexpr int kMultiprocessors = 4;

// Of one compute capability (CUDA programming guide, "Technical Specifications per Compute Capability").
struct Limits {
    int arch;
    size_t shared_bytes_per_block, shared_bytes_per_multiprocessor;
    int threads_per_multiprocessor, blocks_per_multiprocessor;
};
const Limits& limits_of(int arch);

struct Shape {
    dim3 grid, block;
    size_t shared_bytes;
    bool cooperative;
    unsigned bound;  // threads of a block that the kernel's __launch_bounds__ allows; 0: it has none
    Location at;     // of the launch
};

// DeviceError for a launch that the device of options() would refuse.
void check_limits(const Shape& shape, const char* kernel);

// Blocks of this kind that one multiprocessor holds at a time.
int resident_blocks(int threads, size_t shared_bytes);

// __launch_bounds__ must reach the launch, but no C++ declaration has room for a number between the return type and the name. GCC's
// patchable_function_entry has: so many instructions that do nothing stand before the kernel's entry, never run, and their address
// is in a table of the object. `code` is the kernel's address, [begin, end) the table of its module; 0 for a kernel without bounds.
// Kernels are static, as a linker that drops one of two equal functions would find its address still in the table.
unsigned launch_bound(const void* code, const uintptr_t* begin, const uintptr_t* end);

}  // namespace ww::sim

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11 && (defined(__x86_64__) || defined(__aarch64__))
#define WW_SIM_FIRST(first, ...) (first)
#define WW_SIM_BOUND(...) (1 + WW_SIM_FIRST(__VA_ARGS__, 0) / 32)
#define __launch_bounds__(...) __attribute__((patchable_function_entry(WW_SIM_BOUND(__VA_ARGS__), WW_SIM_BOUND(__VA_ARGS__))))
#else
#define __launch_bounds__(...)
#endif
