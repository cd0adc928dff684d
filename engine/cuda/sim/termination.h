// What would end the process ends the launch instead, where a kernel does it: a C++ exception that nobody catches, std::terminate,
// and, in code that includes engine/cuda/device.cuh and that GCC compiles, exit, _Exit, quick_exit and abort. Outside of kernels
// they are what they were.
#pragma once

namespace ww::sim {

// From now on, also where somebody has set another handler of std::terminate since the last time. Cheap.
void catch_termination();

}  // namespace ww::sim

extern "C" {
[[noreturn]] void ww_sim_exit(int status);
[[noreturn]] void ww_sim_exit_now(int status);
[[noreturn]] void ww_sim_quick_exit(int status);
[[noreturn]] void ww_sim_abort();
}
