// What the binding asks of the CUDA runtime, in words that a C++ compiler without CUDA's headers understands.
#pragma once

#include <cstdint>

namespace ww::cuda {

// Throws DeviceError, with the reason, unless there is a GPU that the kernels can run on.
void require_device();

// The stream of launches from this host thread, by its address; 0 is the default one.
void set_stream(uintptr_t stream);

// What is launched from this host thread from now on comes after what `other` has been given by now; the host does not wait.
void wait_for_stream(uintptr_t other);

// Waits for the stream of launches; an error of its kernels is a DeviceError.
void synchronize();

}  // namespace ww::cuda
