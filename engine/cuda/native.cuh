// The same names over real CUDA. Included by engine/cuda/device.cuh alone.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

#include "engine/error.h"

#define WW_DEVICE __device__ __forceinline__
#define WW_HOST_DEVICE __host__ __device__ __forceinline__
#define WW_GRID_CONSTANT __grid_constant__
#define WW_AT_ONLY
#define WW_AT

constexpr uint32_t kFullMask = 0xffffffffu;

namespace ww::cuda {

using TensorMap = CUtensorMap;

// Dynamic shared memory under one name and type for all kernels: two declarations of one name with different types do not compile.
WW_DEVICE char* shared_base() {
    extern __shared__ __align__(1024) char ww_shared_base[];
    return ww_shared_base;
}

struct SharedMemory {
    char* next;
    WW_DEVICE SharedMemory() : next(shared_base()) {}
    template <class T, int alignment = static_cast<int>(alignof(T))>
    WW_DEVICE T* take(size_t count) {
        next =
            reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(next) + alignment - 1) & ~static_cast<uintptr_t>(alignment - 1));
        T* taken = reinterpret_cast<T*>(next);
        next += count * sizeof(T);
        return taken;
    }
};

WW_DEVICE uint32_t shared_address(const void* pointer) { return static_cast<uint32_t>(__cvta_generic_to_shared(pointer)); }

// The stream of launches from this host thread; Python sets it to the array library's current one.
inline cudaStream_t& current_stream() {
    thread_local cudaStream_t stream = nullptr;
    return stream;
}

inline void check(cudaError_t status, const char* what) {
    if (status == cudaSuccess) return;
    cudaGetLastError();  // else the next call would report it again
    fail<DeviceError>("cuda: %s: %s (%s)", what, cudaGetErrorString(status), cudaGetErrorName(status));
}

struct DeviceProperties {
    int multiprocessors;
    size_t shared_bytes_per_block;
};
inline DeviceProperties device_properties() {
    int device = 0, multiprocessors = 0, shared = 0;
    check(cudaGetDevice(&device), "cudaGetDevice");
    check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device), "cudaDeviceGetAttribute");
    check(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "cudaDeviceGetAttribute");
    return {multiprocessors, static_cast<size_t>(shared)};
}

template <auto kernel>
void allow_shared_bytes(size_t bytes) {
    if (bytes > 48 * 1024)
        check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(bytes)),
              __PRETTY_FUNCTION__);
}

template <auto kernel>
int resident_blocks(int threads, size_t shared_bytes) {
    int blocks = 0;
    allow_shared_bytes<kernel>(shared_bytes);
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, reinterpret_cast<const void*>(kernel), threads, shared_bytes),
          __PRETTY_FUNCTION__);
    return blocks;
}

template <class T>
struct Same {
    using type = T;
};

// Arguments are converted to the kernel's own parameter types, of which the runtime wants pointers.
template <auto kernel, class... Parameters>
void launch_bound(void (*)(Parameters...), const LaunchConfig& config, typename Same<Parameters>::type... arguments) {
    void* pointers[] = {const_cast<void*>(static_cast<const void*>(&arguments))..., nullptr};
    allow_shared_bytes<kernel>(config.shared_bytes);
    auto* function = reinterpret_cast<const void*>(kernel);
    cudaError_t status =
        config.cooperative
            ? cudaLaunchCooperativeKernel(function, config.grid, config.block, pointers, config.shared_bytes, current_stream())
            : cudaLaunchKernel(function, config.grid, config.block, pointers, config.shared_bytes, current_stream());
    check(status, __PRETTY_FUNCTION__);  // its text holds the kernel's name
}

template <auto kernel, class... Arguments>
void launch(const LaunchConfig& config, Arguments&&... arguments) {
    launch_bound<kernel>(kernel, config, std::forward<Arguments>(arguments)...);
}

}  // namespace ww::cuda
