// Typed errors. Every message names the op, the argument, what was expected and what was given; the binding turns each type into
// the Python exception of the same meaning.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace ww {

struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct ShapeError : Error {  // ValueError: shapes, strides, attribute values, aliasing
    using Error::Error;
};
struct DTypeError : Error {  // TypeError: dtypes, wrong kinds of argument
    using Error::Error;
};
struct IndexError : Error {  // IndexError: an index outside its table
    using Error::Error;
};
struct DeviceError : Error {  // ww.DeviceError: a device that is absent, or a launch that failed
    using Error::Error;
};
struct OutOfMemory : Error {  // MemoryError: names the bytes and the op
    using Error::Error;
};

// fail<ShapeError>("conv2d: expected stride >= 1, got %lld", stride);
template <class E>
[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char* format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    throw E(text);
}

}  // namespace ww
