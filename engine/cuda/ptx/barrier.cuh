// Barriers beyond __syncthreads: named ones, mbarrier objects, flags in global memory and the grid barrier made of them (PTX ISA,
// "Parallel Synchronization and Communication Instructions"). Blocks talk to each other through these alone.
#pragma once

#include "engine/cuda/device.cuh"

namespace ww::cuda {

// Barrier `id` of the block (1 to 15; 0 is __syncthreads') among `threads` threads, whole warps.
WW_DEVICE void named_barrier_sync(int id, int threads WW_AT) {
#if defined(__CUDACC__)
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#else
    sim::block_barrier(id, threads, true, at, "bar.sync");
#endif
}
WW_DEVICE void named_barrier_arrive(int id, int threads WW_AT) {
#if defined(__CUDACC__)
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#else
    sim::block_barrier(id, threads, false, at, "bar.arrive");
#endif
}

// ---- flags in global memory ------------------------------------------------------------------------------------------------

WW_DEVICE uint32_t load_acquire(const uint32_t* address WW_AT) {
#if defined(__CUDACC__)
    uint32_t value;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
    return value;
#else
    sim::check_aligned(address, "load_acquire", at);
    return __atomic_load_n(address, __ATOMIC_ACQUIRE);
#endif
}

WW_DEVICE void add_release(uint32_t* address, uint32_t value WW_AT) {
#if defined(__CUDACC__)
    asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(address), "r"(value) : "memory");
#else
    sim::check_aligned(address, "add_release", at);
    __atomic_fetch_add(address, value, __ATOMIC_RELEASE);
    sim::note_progress();
#endif
}

// The old value; what this thread wrote before is seen by whoever adds later.
WW_DEVICE uint32_t add_acquire_release(uint32_t* address, uint32_t value WW_AT) {
#if defined(__CUDACC__)
    uint32_t before;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(before) : "l"(address), "r"(value) : "memory");
    return before;
#else
    sim::check_aligned(address, "add_acquire_release", at);
    uint32_t before = __atomic_fetch_add(address, value, __ATOMIC_ACQ_REL);
    sim::note_progress();
    return before;
#endif
}

// The one loop that may wait for another block; the launch must be cooperative.
WW_DEVICE void poll_until_ge(const uint32_t* address, uint32_t value WW_AT) {
#if defined(__CUDACC__)
    while (load_acquire(address) < value) __nanosleep(20);
#else
    while (load_acquire(address, at) < value) sim::poll_again("poll_until_ge", at);
#endif
}

// All threads of a cooperative launch meet. `counter` is 0 at the launch; `round` is 1, 2, 3, ... in turn.
#if defined(__CUDACC__)
#define WW_PASS_AT
#define WW_PASS_AT_ONLY
#else
#define WW_PASS_AT , at
#define WW_PASS_AT_ONLY at
#endif
WW_DEVICE void grid_barrier(uint32_t* counter, uint32_t round WW_AT) {
    __syncthreads(WW_PASS_AT_ONLY);
    if (threadIdx.x == 0 && threadIdx.y == 0 && threadIdx.z == 0) {
        uint32_t blocks = gridDim.x * gridDim.y * gridDim.z;
        add_release(counter, 1 WW_PASS_AT);
        poll_until_ge(counter, round * blocks WW_PASS_AT);
    }
    __syncthreads(WW_PASS_AT_ONLY);
}

// ---- mbarrier objects in shared memory -------------------------------------------------------------------------------------

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
WW_DEVICE void mbarrier_init(uint32_t barrier, uint32_t arrivals WW_AT) {
#if defined(__CUDACC__)
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
#else
    sim::mbarrier_init(barrier, arrivals, at);
#endif
}
// Before its memory is used for anything else, another mbarrier_init included.
WW_DEVICE void mbarrier_invalidate(uint32_t barrier WW_AT) {
#if defined(__CUDACC__)
    asm volatile("mbarrier.inval.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
#else
    sim::mbarrier_invalidate(barrier, at);
#endif
}
WW_DEVICE void mbarrier_arrive(uint32_t barrier WW_AT) {
#if defined(__CUDACC__)
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
#else
    sim::mbarrier_arrive(barrier, 1, 0, at);
#endif
}
WW_DEVICE void mbarrier_arrive_expect(uint32_t barrier, uint32_t bytes WW_AT) {
#if defined(__CUDACC__)
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
#else
    sim::mbarrier_arrive(barrier, 1, static_cast<int32_t>(bytes), at);
#endif
}
// Until the phase of that parity is over.
WW_DEVICE void mbarrier_wait(uint32_t barrier, uint32_t parity WW_AT) {
#if defined(__CUDACC__)
    asm volatile(
        "{\n.reg .pred done;\nAGAIN: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n@done bra OVER;\nbra AGAIN;\n"
        "OVER:\n}" ::"r"(barrier),
        "r"(parity)
        : "memory");
#else
    sim::mbarrier_wait(barrier, parity, at);
#endif
}
// After mbarrier_init, before the barrier that lets others use it.
WW_DEVICE void fence_mbarrier_init() {
#if defined(__CUDACC__)
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}
// Between ordinary writes to shared memory and wgmma or TMA that read them.
WW_DEVICE void fence_proxy_async() {
#if defined(__CUDACC__)
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}
#endif

}  // namespace ww::cuda
