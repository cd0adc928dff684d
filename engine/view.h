// View: all that a kernel sees of a tensor. It owns nothing.
#pragma once

#include <cstdint>
#include <string>

namespace ww {

// Enough for any layout that people write by hand; NumPy's own limit is 64, but a View is copied on every call.
constexpr int kMaxDims = 12;

enum class DType : uint8_t {
    boolean,
    int8,
    uint8,
    int16,
    uint16,
    int32,
    uint32,
    int64,
    uint64,
    float16,
    bfloat16,
    float32,
    float64,
    complex64,
    complex128,
};

constexpr int item_size(DType t) {
    constexpr int bytes[] = {1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8, 8, 16};
    return bytes[static_cast<int>(t)];
}

constexpr const char* dtype_name(DType t) {
    constexpr const char* names[] = {"bool",   "int8",    "uint8",    "int16",   "uint16",  "int32",     "uint32",    "int64",
                                     "uint64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128"};
    return names[static_cast<int>(t)];
}

template <class T>
struct dtype_of;
template <>
struct dtype_of<bool> {
    static constexpr DType value = DType::boolean;
};
template <>
struct dtype_of<uint8_t> {
    static constexpr DType value = DType::uint8;
};
template <>
struct dtype_of<int32_t> {
    static constexpr DType value = DType::int32;
};
template <>
struct dtype_of<int64_t> {
    static constexpr DType value = DType::int64;
};
template <>
struct dtype_of<uint64_t> {
    static constexpr DType value = DType::uint64;
};
template <>
struct dtype_of<float> {
    static constexpr DType value = DType::float32;
};
template <>
struct dtype_of<double> {
    static constexpr DType value = DType::float64;
};

struct View {
    void* data = nullptr;       // element (0, ..., 0), aligned to its type
    int64_t shape[kMaxDims];    // elements
    int64_t strides[kMaxDims];  // elements, not bytes; any sign, zero where broadcast
    int ndim = -1;              // -1: an optional argument that was not given
    DType dtype = DType::float32;

    bool present() const { return ndim >= 0; }

    template <class T>
    T* ptr() const {
        return static_cast<T*>(data);
    }

    int64_t size() const {
        int64_t n = 1;
        for (int i = 0; i < ndim; i++) n *= shape[i];
        return n;
    }

    // C order without gaps; the stride of a dimension of size 1 says nothing.
    bool is_contiguous() const {
        int64_t expected = 1;
        for (int i = ndim - 1; i >= 0; i--) {
            if (shape[i] == 0) return true;
            if (shape[i] != 1 && strides[i] != expected) return false;
            expected *= shape[i];
        }
        return true;
    }

    // Every element once and no gaps, in whatever order of dimensions (channels-last counts).
    bool is_dense() const {
        int64_t expected = 1, left = size();
        if (left == 0) return true;
        bool used[kMaxDims] = {};
        for (int step = 0; step < ndim; step++) {
            int next = -1;
            for (int i = 0; i < ndim; i++)
                if (!used[i] && shape[i] != 1 && strides[i] == expected) next = i;
            if (next < 0) break;
            used[next] = true;
            expected *= shape[next];
        }
        return expected == left;
    }

    std::string shape_text() const {
        std::string text = "(";
        for (int i = 0; i < ndim; i++) text += (i ? ", " : "") + std::to_string(shape[i]);
        return text + (ndim == 1 ? ",)" : ")");
    }
};

}  // namespace ww
