// The one header of every .cu file: real CUDA under nvcc, the simulator under a C++ compiler.
//
//   launch<kernel>({grid, block, shared_bytes}, arguments...)     checked; an error names the kernel (here, and the line of this)
//   SharedMemory shared; float* tile = shared.take<float, 16>(n)  the only way to shared memory, same order in all threads
//   SharedSize().take<float, 16>(n).bytes                         the bytes that those takes need, for the launch
//   shared_address(pointer)                                       32-bit address, for the wrappers of engine/cuda/ptx.cuh
//   WW_DEVICE, WW_HOST_DEVICE                                     inline functions of kernels, and of both sides
//
// Rules of what may stand in a .cu file: no <<<>>>, asm, __shared__ or cooperative groups; whole warps exit; blocks of multiples of
// 32 threads; one barrier call a source line; __syncwarp where lanes exchange through shared memory.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#else
#include "engine/cuda/sim/types.h"
#endif

namespace ww::cuda {

struct LaunchConfig {
    dim3 grid, block;
    size_t shared_bytes = 0;
    bool cooperative = false;  // all blocks are resident at once and may wait for each other
#if !defined(__CUDACC__)
    const char* file = __builtin_FILE();  // of the launch, for its errors
    int line = __builtin_LINE();
#endif
};

struct SharedSize {
    size_t bytes = 0;
    template <class T, int alignment = static_cast<int>(alignof(T))>
    constexpr SharedSize take(size_t count) const {
        return {(bytes + alignment - 1) / alignment * alignment + count * sizeof(T)};
    }
};

}  // namespace ww::cuda

#if defined(__CUDACC__)
#include "engine/cuda/native.cuh"
#define WW_DEVICE_NAME "cuda"
#else
#include "engine/cuda/sim/device.h"
#define WW_DEVICE_NAME "cudasim"
#endif

namespace ww::cuda {

WW_HOST_DEVICE constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace ww::cuda
