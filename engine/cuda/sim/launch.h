// Running a grid: limits checked as CUDA checks them, blocks spread over the CPU thread pool.
#pragma once

#include <cstddef>
#include <string>

#include "engine/cuda/sim/block.h"

namespace ww::sim {

// The simulated device: a few multiprocessors, so that a grid which must be resident as a whole stays small, with the limits of
// compute capability 9.0 (CUDA programming guide, "Technical Specifications per Compute Capability").
constexpr int kMultiprocessors = 4;
constexpr size_t kSharedBytesPerBlock = 227 * 1024, kSharedBytesPerMultiprocessor = 228 * 1024, kSharedBytesReserved = 1024;
constexpr int kThreadsPerBlock = 1024, kThreadsPerMultiprocessor = 2048, kBlocksPerMultiprocessor = 32;

#if defined(__SANITIZE_ADDRESS__) || defined(WW_SIM_TSAN)
constexpr size_t kStackBytes = 256 * 1024;
#else
constexpr size_t kStackBytes = 64 * 1024;
#endif

struct Shape {
    dim3 grid, block;
    size_t shared_bytes;
    bool cooperative;
};

// Blocks of this kind that one multiprocessor holds at a time.
int resident_blocks(int threads, size_t shared_bytes);

// Runs body(arguments) once for each thread. `name` is the __PRETTY_FUNCTION__ of a template over the kernel. Throws DeviceError.
void run_grid(const Shape& shape, const char* name, void (*body)(void*), void* arguments);

}  // namespace ww::sim
