// Tensor cores by the warp: ldmatrix brings fragments from shared memory, mma.sync multiplies them (PTX ISA, "Warp Level Matrix
// Instructions"). Fragments are named array references; accumulators are float32.
#pragma once

#include "engine/cuda/device.cuh"

namespace ww::cuda {

// Four 8 x 8 matrices of 16-bit elements: lane 8 i + r gives the shared address of row r of matrix i, a multiple of 16; register i
// then holds elements (lane / 4, lane % 4 * 2 + {0, 1}) of matrix i, or of its transpose.
WW_DEVICE void load_matrices_x4(uint32_t (&registers)[4], uint32_t address WW_AT) {
#if defined(__CUDACC__)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(address)
                 : "memory");
#else
    sim::load_matrices(registers, 4, false, address, at);
#endif
}
WW_DEVICE void load_matrices_x4_transposed(uint32_t (&registers)[4], uint32_t address WW_AT) {
#if defined(__CUDACC__)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(address)
                 : "memory");
#else
    sim::load_matrices(registers, 4, true, address, at);
#endif
}

// d (16 x 8) += a (16 x 16) b (16 x 8), bfloat16 or half operands, two to a register.
#if defined(__CUDACC__)
#define WW_MMA(shape, type)                                                             \
    asm volatile("mma.sync.aligned." shape ".row.col.f32." type "." type                \
                 ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                       \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#endif
WW_DEVICE void multiply_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2] WW_AT) {
#if defined(__CUDACC__)
    WW_MMA("m16n8k16", "bf16");
#else
    sim::multiply_matrices(d, a, b, sim::Format::bf16, at);
#endif
}
WW_DEVICE void multiply_half(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2] WW_AT) {
#if defined(__CUDACC__)
    WW_MMA("m16n8k16", "f16");
#else
    sim::multiply_matrices(d, a, b, sim::Format::half, at);
#endif
}
// d (16 x 8) += a (16 x 8) b (8 x 8), tf32 operands (storage.cuh: to_tf32).
WW_DEVICE void multiply_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2] WW_AT) {
#if defined(__CUDACC__)
    WW_MMA("m16n8k8", "tf32");
#else
    sim::multiply_matrices(d, a, b, sim::Format::tf32, at);
#endif
}
#undef WW_MMA

}  // namespace ww::cuda
