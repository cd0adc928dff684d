// Conversions between float and the bits of the 16-bit and tf32 formats, for the simulator; on a GPU they are instructions.
#pragma once

#include <cstdint>
#include <cstring>

namespace ww::sim {

inline uint32_t bits_of(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return bits;
}
inline float float_of(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

inline float bf16_bits_to_float(uint16_t bits) { return float_of(static_cast<uint32_t>(bits) << 16); }

// To nearest, ties to even; NaN becomes the canonical one, as cvt.rn.bf16.f32 makes it.
inline uint16_t float_to_bf16_bits(float x) {
    uint32_t bits = bits_of(x);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float half_bits_to_float(uint16_t bits) {
    uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
    if (exponent == 31) return float_of(sign | 0x7f800000 | fraction << 13);
    if (exponent == 0) {
        float magnitude = static_cast<float>(fraction) * 0x1p-24f;  // exact: subnormals of half are normal floats
        return sign ? -magnitude : magnitude;
    }
    return float_of(sign | (exponent + 112) << 23 | fraction << 13);
}

// To nearest, ties to even; overflow becomes infinite; NaN becomes the canonical one, as cvt.rn.f16.f32 makes it.
inline uint16_t float_to_half_bits(float x) {
    uint32_t bits = bits_of(x), magnitude = bits & 0x7fffffff;
    auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
    if (magnitude > 0x7f800000) return 0x7fff;
    if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);  // from 65520 on
    if (magnitude < 0x38800000) {                                              // below 2^-14: the unit is 2^-24
        float scaled = float_of(magnitude) + 0.5f;                             // 0.5 has the unit 2^-24, so this addition rounds
        return static_cast<uint16_t>(sign | (bits_of(scaled) - 0x3f000000));
    }
    uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

// tf32 keeps 10 bits of the fraction; rna rounds ties away from zero. What mma.sync reads, it cuts off.
inline uint32_t float_to_tf32_bits(float x) {
    uint32_t bits = bits_of(x);
    if ((bits & 0x7f800000) == 0x7f800000) return bits;
    return (bits + 0x1000) & 0xffffe000u;
}
inline float tf32_bits_to_float(uint32_t bits) { return float_of(bits & 0xffffe000u); }

}  // namespace ww::sim
