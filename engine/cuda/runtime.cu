#include "engine/cuda/runtime.h"

#include "engine/cuda/device.cuh"

namespace ww::cuda {

namespace {
constexpr int kOldest = 80;  // compute capability, times ten, of the oldest GPU that the kernels are compiled for
}

void require_device() {
    int count = 0, device = 0, major = 0, minor = 0;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess) {
        cudaGetLastError();
        fail<DeviceError>("the CUDA runtime finds no GPU: %s (%s)", cudaGetErrorString(status), cudaGetErrorName(status));
    }
    if (count == 0) fail<DeviceError>("the CUDA runtime finds no GPU");
    check(cudaGetDevice(&device), "cudaGetDevice");
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "cudaDeviceGetAttribute");
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "cudaDeviceGetAttribute");
    if (major * 10 + minor < kOldest)
        fail<DeviceError>("expected a GPU of compute capability %d.%d or later, got %d.%d", kOldest / 10, kOldest % 10, major,
                          minor);
}

void set_stream(uintptr_t stream) { current_stream() = reinterpret_cast<cudaStream_t>(stream); }

void wait_for_stream(uintptr_t other) {
    cudaEvent_t event;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    cudaError_t status = cudaEventRecord(event, reinterpret_cast<cudaStream_t>(other));
    if (status == cudaSuccess) status = cudaStreamWaitEvent(current_stream(), event, 0);
    cudaEventDestroy(event);  // when it has happened
    check(status, "an array's stream");
}

void synchronize() { check(cudaStreamSynchronize(current_stream()), "cudaStreamSynchronize"); }

}  // namespace ww::cuda
