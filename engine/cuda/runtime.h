// What the binding asks of the CUDA runtime, in words that a C++ compiler without CUDA's headers understands.
#pragma once

#include <cstdint>

namespace ww::cuda {

// Throws DeviceError, with the reason, unless there is a GPU that the kernels can run on.
void require_device();

// The stream of launches from this host thread, by its address; 0 is the default one.
void set_stream(uintptr_t stream);

// Waits for that stream; an error of its kernels is a DeviceError.
void synchronize();

}  // namespace ww::cuda
