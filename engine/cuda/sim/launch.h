// Running a grid: limits checked as CUDA checks them, blocks spread over the CPU thread pool.
#pragma once

#include "engine/cuda/sim/limits.h"

namespace ww::sim {

#if defined(__SANITIZE_ADDRESS__) || defined(WW_SIM_TSAN)
constexpr size_t kStackBytes = 256 * 1024;
#else
constexpr size_t kStackBytes = 64 * 1024;
#endif

// Runs body(arguments) once for each thread. `name` is the __PRETTY_FUNCTION__ of a template over the kernel. Throws DeviceError.
void run_grid(const Shape& shape, const char* name, void (*body)(void*), void* arguments);

}  // namespace ww::sim
