// Compiled into each library of ww.kernels.load for a GPU, which has a current stream of its own: the binding sets both.
#include "engine/cuda/device.cuh"

extern "C" __attribute__((visibility("default"))) void ww_set_stream(uintptr_t stream) {
    ww::cuda::current_stream() = reinterpret_cast<cudaStream_t>(stream);
}
