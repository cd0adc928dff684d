// Storage types of 16 bits and the rounding of tf32. Arithmetic is in float: cuda_bf16.h and cuda_fp16.h do not exist without the
// toolkit.
#pragma once

#include "engine/cuda/device.cuh"

namespace ww::cuda {

struct bfloat16 {
    uint16_t bits;
};
struct half {
    uint16_t bits;
};

WW_DEVICE float to_float(bfloat16 x) { return __uint_as_float(static_cast<uint32_t>(x.bits) << 16); }
WW_DEVICE float to_float(half x) {
#if defined(__CUDACC__)
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
#else
    return sim::half_bits_to_float(x.bits);
#endif
}

// Rounded to nearest, ties to even.
template <class T>
WW_DEVICE T from_float(float x);
template <>
WW_DEVICE bfloat16 from_float<bfloat16>(float x) {
#if defined(__CUDACC__)
    bfloat16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
#else
    return {sim::float_to_bf16_bits(x)};
#endif
}
template <>
WW_DEVICE half from_float<half>(float x) {
#if defined(__CUDACC__)
    half y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
#else
    return {sim::float_to_half_bits(x)};
#endif
}

// The operand of a tf32 matrix instruction: rounded to 10 bits of fraction, ties away from zero.
WW_DEVICE uint32_t to_tf32(float x) {
#if defined(__CUDACC__)
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
#else
    return sim::float_to_tf32_bits(x);
#endif
}

// a * b + c, rounded once.
WW_DEVICE float multiply_add(float a, float b, float c) {
#if defined(__CUDACC__)
    return __fmaf_rn(a, b, c);
#else
    return std::fma(a, b, c);
#endif
}
WW_DEVICE double multiply_add(double a, double b, double c) {
#if defined(__CUDACC__)
    return __fma_rn(a, b, c);
#else
    return std::fma(a, b, c);
#endif
}

}  // namespace ww::cuda
