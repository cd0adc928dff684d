// The CUDA runtime as the binding sees it, over the simulator: module.cpp's road for GPUs is run where there is none. The
// environment says what a test wants to see: WW_STANDIN_ERROR is what require_device() fails with.
#include <cstdlib>

#include "engine/cuda/runtime.h"
#include "engine/error.h"

namespace ww::cuda {

void require_device() {
    if (const char* error = std::getenv("WW_STANDIN_ERROR")) fail<DeviceError>("%s", error);
}

void set_stream(uintptr_t stream) {
    if (stream == 13) fail<DeviceError>("stand-in: launched on stream 13");  // for the test that the stream arrives
}

void wait_for_stream(uintptr_t other) {
    fail<DeviceError>("stand-in: waits for stream %llu", static_cast<unsigned long long>(other));
}

void synchronize() {}

}  // namespace ww::cuda
