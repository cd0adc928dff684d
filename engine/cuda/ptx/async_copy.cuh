// cp.async: copies from global to shared memory that a thread issues, commits in groups and waits for (PTX ISA, "Data Movement and
// Conversion Instructions: Non-bulk copy"). What one thread has waited for, others see after a barrier.
#pragma once

#include "engine/cuda/device.cuh"

namespace ww::cuda {

// Copies `copied` of `bytes` bytes and fills the rest with zeros. 16 bytes bypass the first-level cache. Both addresses are
// multiples of `bytes`.
template <int bytes>
WW_DEVICE void copy_async(uint32_t to, const void* from, int copied = bytes WW_AT) {
    static_assert(bytes == 4 || bytes == 8 || bytes == 16, "cp.async copies 4, 8 or 16 bytes");
#if defined(__CUDACC__)
    if constexpr (bytes == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(copied) : "memory");
    else asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(from), "n"(bytes), "r"(copied) : "memory");
#else
    sim::issue_copy(to, from, bytes, copied, at);
#endif
}

WW_DEVICE void copy_async_commit(WW_AT_ONLY) {
#if defined(__CUDACC__)
    asm volatile("cp.async.commit_group;" ::: "memory");
#else
    sim::commit_copies(at);
#endif
}

// Until at most `left` of this thread's latest groups are in flight.
template <int left>
WW_DEVICE void copy_async_wait(WW_AT_ONLY) {
#if defined(__CUDACC__)
    asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
#else
    sim::wait_copies(left, at);
#endif
}

// TMA: one thread copies a box of a 2-D tensor; `barrier` is told of its bytes. Compute capability 9.0.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
WW_DEVICE void copy_tensor_async(uint32_t to, const TensorMap* map, int x, int y, uint32_t barrier WW_AT) {
#if defined(__CUDACC__)
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(to),
        "l"(map), "r"(x), "r"(y), "r"(barrier)
        : "memory");
#else
    sim::tensor_copy(to, map, x, y, barrier, at);
#endif
}
#endif

}  // namespace ww::cuda
