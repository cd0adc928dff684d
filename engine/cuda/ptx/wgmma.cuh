// Tensor cores by the warpgroup (four warps), compute capability 9.0a: D (64 x n) += A (64 x 16) B^T (n x 16), with both operands
// in shared memory, K-major with the 128-byte swizzle that TMA writes (PTX ISA, "Asynchronous Warpgroup Level Matrix
// Instructions").
//
//   wgmma_fence(); wgmma_bf16(d, a, b, accumulate); ... wgmma_commit(); ... wgmma_wait<0>(d);
//
// Between the first issue and the wait nobody reads, writes or copies d. Lane l of warp w holds, in d[i], row 16 w + l / 4 +
// 8 (i / 2 % 2) and column 8 (i / 4) + l % 4 * 2 + i % 2.
#pragma once

#include "engine/cuda/device.cuh"

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

namespace ww::cuda {

// Of rows of 128 bytes at `address`; groups of 8 rows are `group_bytes` apart. Steps along k add to the address.
WW_DEVICE uint64_t wgmma_descriptor(uint32_t address, uint32_t group_bytes = 1024) {
    return static_cast<uint64_t>((address & 0x3ffff) >> 4) | static_cast<uint64_t>(1) << 16 |
           static_cast<uint64_t>(group_bytes >> 4) << 32 | static_cast<uint64_t>(1) << 62;
}

WW_DEVICE void wgmma_fence(WW_AT_ONLY) {
#if defined(__CUDACC__)
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#else
    sim::wgmma_fence(at);
#endif
}
WW_DEVICE void wgmma_commit(WW_AT_ONLY) {
#if defined(__CUDACC__)
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
    sim::wgmma_commit(at);
#endif
}
// Until at most `left` groups are in flight; the accumulators are named so that the compiler keeps their uses behind the wait.
template <int left, int n>
WW_DEVICE void wgmma_wait(float (&d)[n] WW_AT) {
#if defined(__CUDACC__)
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
#pragma unroll
    for (int i = 0; i < n; i++) asm volatile("" : "+f"(d[i])::"memory");
#else
    static_cast<void>(d);
    sim::wgmma_wait(left, at);
#endif
}

#if defined(__CUDACC__)
#define WW_D8(i) \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define WW_WGMMA_64(type)                                                                                              \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type \
                 " {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, "   \
                 "%21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, p, 1, 1, 0, 0;\n}"                 \
                 : WW_D8(0), WW_D8(8), WW_D8(16), WW_D8(24)                                                            \
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)))
#define WW_WGMMA_128(type)                                                                                              \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\nwgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type \
                 " {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, "    \
                 "%21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, " \
                 "%41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, " \
                 "%61, %62, %63}, %64, %65, p, 1, 1, 0, 0;\n}"                                                          \
                 : WW_D8(0), WW_D8(8), WW_D8(16), WW_D8(24), WW_D8(32), WW_D8(40), WW_D8(48), WW_D8(56)                 \
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)))
#define WW_WGMMA(columns, type) WW_WGMMA_##columns(type)
#define WW_WGMMA_OF(columns, ptx, format) WW_WGMMA(columns, ptx)
#else
#define WW_WGMMA_OF(columns, ptx, half) sim::wgmma_issue(d, columns, a, b, accumulate, half, at)
#endif

// 64 x 64 in 32 registers, or 64 x 128 in 64. Without `accumulate`, d is overwritten.
WW_DEVICE void wgmma_bf16(float (&d)[32], uint64_t a, uint64_t b, bool accumulate WW_AT) { WW_WGMMA_OF(64, "bf16", false); }
WW_DEVICE void wgmma_bf16(float (&d)[64], uint64_t a, uint64_t b, bool accumulate WW_AT) { WW_WGMMA_OF(128, "bf16", false); }
WW_DEVICE void wgmma_half(float (&d)[32], uint64_t a, uint64_t b, bool accumulate WW_AT) { WW_WGMMA_OF(64, "f16", true); }
WW_DEVICE void wgmma_half(float (&d)[64], uint64_t a, uint64_t b, bool accumulate WW_AT) { WW_WGMMA_OF(128, "f16", true); }

#undef WW_WGMMA_OF
#undef WW_WGMMA
#undef WW_WGMMA_64
#undef WW_WGMMA_128
#undef WW_D8

}  // namespace ww::cuda
#endif
