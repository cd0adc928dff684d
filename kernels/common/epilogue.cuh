// From a sum in registers to the output: bias, activation, rounding to the storage type. The CUDA twin of epilogue.h.
#pragma once

#include "engine/cuda/ptx.cuh"

namespace ww::cuda {

// In the order of the word attribute "none|relu|tanh|sigmoid|gelu" of matmul_forward and conv2d_forward.
enum class Activation : int { none, relu, tanh, sigmoid, gelu };

// What a sum of products of T is kept in, and what a T is read as.
template <class T>
struct Arithmetic {
    using type = float;
};
template <>
struct Arithmetic<double> {
    using type = double;
};
template <class T>
using Sum = typename Arithmetic<T>::type;

WW_DEVICE float load_value(const float* at) { return *at; }
WW_DEVICE double load_value(const double* at) { return *at; }
WW_DEVICE float load_value(const bfloat16* at) { return to_float(*at); }
WW_DEVICE float load_value(const half* at) { return to_float(*at); }
WW_DEVICE void store_value(float* at, float x) { *at = x; }
WW_DEVICE void store_value(double* at, double x) { *at = x; }
WW_DEVICE void store_value(bfloat16* at, float x) { *at = from_float<bfloat16>(x); }
WW_DEVICE void store_value(half* at, float x) { *at = from_float<half>(x); }

// a * b + c: one instruction and one rounding on a GPU; two roundings in the simulator, where one would be a call.
template <class S>
WW_DEVICE S accumulate(S a, S b, S c) {
#if defined(__CUDACC__)
    return multiply_add(a, b, c);
#else
    return a * b + c;
#endif
}

WW_DEVICE float activate(float x, Activation activation) {
    switch (activation) {
        case Activation::none: return x;
        case Activation::relu: return x < 0.0f ? 0.0f : x;  // NaN is not below zero: it stays
        case Activation::tanh: return tanhf(x);
        case Activation::sigmoid: return 1.0f / (1.0f + expf(-x));
        case Activation::gelu: return x * 0.5f * erfcf(x * -0.70710678f);
    }
    return x;
}
WW_DEVICE double activate(double x, Activation activation) {
    switch (activation) {
        case Activation::none: return x;
        case Activation::relu: return x < 0.0 ? 0.0 : x;
        case Activation::tanh: return tanh(x);
        case Activation::sigmoid: return 1.0 / (1.0 + exp(-x));
        case Activation::gelu: return x * 0.5 * erfc(x * -0.70710678118654752);
    }
    return x;
}

}  // namespace ww::cuda
