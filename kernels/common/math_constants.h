// Constants of the elementary functions in vector_math.h. The polynomials are minimax in relative error (Remez exchange, 60
// digits), rounded to the type; the power of two beside each is its error before that.
#pragma once

#include <cstdint>

#include "engine/simd.h"

namespace ww::WW_ISA {

// The layout of a floating type, and the constants of every function for it. Polynomials are lowest coefficient first.
template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
    using Unsigned = uint32_t;
    static constexpr int mantissa_bits = 23, bias = 127, subnormal_shift = 25;
    static constexpr float round_shift = 0x1.8p23f;  // adding it leaves an integer in the low bits
    static constexpr float integer_shift = 0x1p23f, subnormal_scale = 0x1p25f;
    static constexpr float log2_e = 1.44269502f, log2_e_low = 1.92596303e-08f;
    static constexpr float ln2_high = 0.69287109375f, ln2_low = 0.000276086823f;  // high: 11 bits
    static constexpr Unsigned sqrt_half_bits = 0x3f3504f3;
    static constexpr float exp_low = -105, exp_high = 89, exp2_low = -151, exp2_high = 128;
    static constexpr float expm1_low = -20, erfc_zero = 11;
    // exp(r) = 1 + r + r^2 q(r), |r| <= ln(2) / 2, 2^-28.3; expm1 asks for more, 2^-32
    static constexpr float exp_q[] = {0.49999994f, 0.166665196f, 0.0416683927f, 0.00836878084f, 0.001381448f};
    static constexpr float expm1_q[] = {0.5f, 0.166666672f, 0.041666355f, 0.00833327323f, 0.00139411027f, 0.000199143018f};
    // log(1 + f) = 2 s + s z l(z), s = f / (2 + f), z = s^2, 2^-30.2
    static constexpr float log_l[] = {0.666667759f, 0.399774969f, 0.298730731f};
    // tanh(x) = x + x z p(z), z = x^2 <= 0.5625^2, 2^-29.5
    static constexpr float tanh_p[] = {-0.333333135f, 0.133324713f, -0.0538392477f, 0.0210142769f, -0.00618863711f};
    // erf(x) = x + x q(z), z = x^2 <= 0.84375^2, 2^-27.4
    static constexpr float erf_q[] = {0.128379166f, -0.376125813f, 0.112828247f, -0.0268070213f, 0.0050586788f, -0.000635999488f};
    // erfc(a) = exp(-a^2) g((a - c) / (a + c)) / (a + c), a >= 0.8, 2^-27.5
    static constexpr float erfc_c = 2;
    static constexpr float erfc_g[] = {1.02158272f,    -0.687160611f,  0.279471755f,     -0.0364456736f,  -0.021501191f,
                                       0.00651397463f, 0.00299862842f, -0.000931300106f, -0.000360952312f};
};

template <>
struct MathConstants<double> {
    using Unsigned = uint64_t;
    static constexpr int mantissa_bits = 52, bias = 1023, subnormal_shift = 54;
    static constexpr double round_shift = 0x1.8p52;
    static constexpr double integer_shift = 0x1p52, subnormal_scale = 0x1p54;
    static constexpr double log2_e = 1.4426950408889634, log2_e_low = 2.0355273740931033e-17;
    static constexpr double ln2_high = 0x1.62e42fefa38p-1, ln2_low = 5.497923018708371e-14;  // high: 42 bits
    static constexpr Unsigned sqrt_half_bits = 0x3fe6a09e667f3bcd;
    static constexpr double exp_low = -746, exp_high = 710, exp2_low = -1076, exp2_high = 1024;
    static constexpr double expm1_low = -40, erfc_zero = 28;
    // 2^-57.9 and 2^-61.7
    static constexpr double exp_q[] = {
        0.50000000000000111,   0.1666666666666641,     0.041666666666529191,   0.008333333333495627,   0.0013888888943922714,
        0.0001984126950475609, 2.4801492762708938e-05, 2.7557587350851224e-06, 2.7630378653102626e-07, 2.4999962513515322e-08};
    static constexpr double expm1_q[] = {0.5,
                                         0.16666666666666677,
                                         0.041666666666666699,
                                         0.0083333333333215302,
                                         0.0013888888888866687,
                                         0.00019841269886402221,
                                         2.4801587360862874e-05,
                                         2.7557243910631309e-06,
                                         2.7557242493356655e-07,
                                         2.510914772227813e-08,
                                         2.0924526585441853e-09};
    // 2^-59.5
    static constexpr double log_l[] = {0.66666666666667351, 0.39999999999411084, 0.28571428743264704, 0.22222198475784061,
                                       0.18183569749580858, 0.15313903017739175, 0.14797509797569788};
    // 2^-59.9
    static constexpr double tanh_p[] = {-0.33333333333333282,   0.13333333333323469,    -0.053968253961902836,
                                        0.021869488331970277,   -0.0088632317081407709, 0.0035920829133800499,
                                        -0.0014554836055998585, 0.00058819881695800825, -0.00023275218783586334,
                                        8.2409061745248945e-05, -1.8931747815870187e-05};
    // 2^-56.5
    static constexpr double erf_q[] = {0.12837916709551256,     -0.3761263890318341,    0.11283791670935671,
                                       -0.026866170640844369,   0.0052239775769663474,  -0.00085483238220030627,
                                       0.00012055200925246474,  -1.492214100512822e-05, 1.6401861576570787e-06,
                                       -1.5715992988005936e-07, 1.0730874790715763e-08};
    // 2^-55.3
    static constexpr double erfc_c = 3;
    static constexpr double erfc_g[] = {
        1.0740069070883398,     -0.88339445316988419,    0.59022835710410881,     -0.31046726190049262,    0.11952776128674872,
        -0.026827234627300012,  -0.0012124166108408217,  0.0030340620463646063,   -0.00054830994246378916, -0.0002767781902428874,
        0.00010756365916509978, 3.039923792983529e-05,   -1.7481658580954509e-05, -4.7481164822793995e-06, 2.7983701126083909e-06,
        9.8131833206731248e-07, -4.6050651325577969e-07, -1.8661556943594698e-07, 8.0086343069423595e-08,  4.708556032292395e-09};
};

}  // namespace ww::WW_ISA
