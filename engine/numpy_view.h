// NumPy arrays as Views, and new arrays on the block cache. Included by module.cpp alone.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "engine/error.h"
#include "engine/memory.h"
#include "engine/view.h"
#if defined(WW_CUDASIM)
#include "engine/cuda/sim/guarded_memory.h"
#endif

namespace ww {

namespace py = pybind11;

inline bool is_numpy_array(PyObject* object) {
    static PyTypeObject* type = py::detail::npy_api::get().PyArray_Type_;
    return PyObject_TypeCheck(object, type);
}

inline const py::detail::PyArray_Proxy& array_fields(PyObject* array) {
    return *reinterpret_cast<const py::detail::PyArray_Proxy*>(array);
}

// The dtype of a NumPy descriptor; false for what no kernel knows (objects, strings, foreign byte order, ...).
inline bool read_dtype(PyObject* descriptor, DType& out) {
    auto* d = py::detail::array_descriptor1_proxy(descriptor);
    switch (d->type_num) {
        case 0: out = DType::boolean; break;
        case 1: out = DType::int8; break;
        case 2: out = DType::uint8; break;
        case 3: out = DType::int16; break;
        case 4: out = DType::uint16; break;
        case 5: out = DType::int32; break;
        case 6: out = DType::uint32; break;
        case 7: out = sizeof(long) == 8 ? DType::int64 : DType::int32; break;
        case 8: out = sizeof(long) == 8 ? DType::uint64 : DType::uint32; break;
        case 9: out = DType::int64; break;
        case 10: out = DType::uint64; break;
        case 11: out = DType::float32; break;
        case 12: out = DType::float64; break;
        case 14: out = DType::complex64; break;
        case 15: out = DType::complex128; break;
        case 23: out = DType::float16; break;
        default:
            if (std::strstr(reinterpret_cast<PyTypeObject*>(d->typeobj)->tp_name, "bfloat16") == nullptr) return false;
            out = DType::bfloat16;  // ml_dtypes registers it at run time, under a number of its own
    }
    return d->byteorder != '>';
}

// `name` and `op` are for the error text.
inline View read_numpy_array(PyObject* object, bool writable, const char* op, const std::string& name) {
    if (!is_numpy_array(object))
        fail<DTypeError>("%s: expected %s to be a numpy.ndarray, got %s", op, name.c_str(), Py_TYPE(object)->tp_name);
    auto& array = array_fields(object);
    View view;
    if (!read_dtype(array.descr, view.dtype)) {
        auto text = py::str(py::handle(array.descr)).cast<std::string>();
        fail<DTypeError>("%s: expected %s of a numeric dtype in native byte order, got %s", op, name.c_str(), text.c_str());
    }
    if (array.nd > kMaxDims)
        fail<ShapeError>("%s: expected %s of at most %d dimensions, got %d", op, name.c_str(), kMaxDims, array.nd);
    if (writable && !(array.flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_))
        fail<ShapeError>("%s: expected %s to be writable, got a read-only array", op, name.c_str());
    int64_t size = item_size(view.dtype);
    view.ndim = array.nd;
    view.data = array.data;
    bool aligned = array.flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    for (int i = 0; i < array.nd; i++) {
        view.shape[i] = array.dimensions[i];
        view.strides[i] = array.strides[i] / size;
        // A dimension of size 0 or 1 is never stepped along, and NumPy leaves any stride there.
        if (array.dimensions[i] > 1 && array.strides[i] % size != 0) aligned = false;
    }
    if (!aligned && view.size() > 0)
        fail<ShapeError>(
            "%s: expected %s aligned to its dtype with strides that are multiples of %d bytes, got an array that is not", op,
            name.c_str(), static_cast<int>(size));
    return view;
}

// First and one-past-last address that a view can touch.
inline std::pair<const char*, const char*> extent(const View& v) {
    auto* low = static_cast<const char*>(v.data);
    auto* high = low + item_size(v.dtype);
    for (int i = 0; i < v.ndim; i++) {
        if (v.shape[i] == 0) return {low, low};
        int64_t span = (v.shape[i] - 1) * v.strides[i] * item_size(v.dtype);
        (span < 0 ? low : high) += span;
    }
    return {low, high};
}

inline bool same_elements(const View& a, const View& b) {
    if (a.data != b.data || a.ndim != b.ndim || a.dtype != b.dtype) return false;
    for (int i = 0; i < a.ndim; i++)
        if (a.shape[i] != b.shape[i] || (a.shape[i] > 1 && a.strides[i] != b.strides[i])) return false;
    return true;
}

// Do two arrays whose extents overlap share an element? Exact, and only asked in that rare case. For some strides that takes longer
// than anyone waits: what is not decided in a fraction of a second counts as overlap.
inline bool share_numpy_memory(PyObject* a, PyObject* b) {
    py::module_ numpy = py::module_::import("numpy");
    try {
        return numpy.attr("shares_memory")(py::handle(a), py::handle(b), py::arg("max_work") = 1000000).cast<bool>();
    } catch (py::error_already_set& error) {
        if (!error.matches(numpy.attr("exceptions").attr("TooHardError"))) throw;
        return true;
    }
}

// How arguments and workspaces of kernels are read on this device; engine/cuda/array_view.h has the same names for a GPU's.
#if !defined(WW_CUDA)
inline View read_array(PyObject* object, bool writable, const char* op, const std::string& name) {
    return read_numpy_array(object, writable, op, name);
}
inline bool share_memory(PyObject* a, PyObject* b) { return share_numpy_memory(a, b); }
using Workspace = Block;
inline void begin_arguments() {}
inline void prepare_launch() {}
#endif

// Below this, malloc's own caches are as good and a capsule costs more than it saves. On the simulator every array is guarded.
constexpr size_t kSmallBlock = 4096;

// strides: nullptr for C order.
inline PyObject* new_array(PyObject* descriptor, int ndim, const Py_intptr_t* shape, const Py_intptr_t* strides, int64_t item) {
    size_t bytes = static_cast<size_t>(item);
    for (int i = 0; i < ndim; i++)
        if (shape[i] != 0 && __builtin_mul_overflow(bytes, static_cast<size_t>(shape[i]), &bytes))
            fail<OutOfMemory>("empty: expected a size that fits in memory, got more than 2**64 bytes");
    for (int i = 0; i < ndim; i++)
        if (shape[i] == 0) bytes = 0;
    auto& api = py::detail::npy_api::get();
#if defined(WW_CUDASIM)
    void* block = sim::allocate_guarded(bytes, bytes ? static_cast<size_t>(item) & -static_cast<size_t>(item) : 1);
#else
    void* block = bytes >= kSmallBlock ? memory_allocate(bytes) : nullptr;
#endif
    Py_INCREF(descriptor);  // PyArray_NewFromDescr steals it
    int flags = block ? py::detail::npy_api::NPY_ARRAY_WRITEABLE_ : 0;
    PyObject* array = api.PyArray_NewFromDescr_(api.PyArray_Type_, descriptor, ndim, shape, strides, block, flags, nullptr);
    if (!array) {
        memory_free(block);
        throw py::error_already_set();
    }
    if (block) {
        PyObject* owner = PyCapsule_New(block, "whitewolf.block",
                                        [](PyObject* capsule) { memory_free(PyCapsule_GetPointer(capsule, "whitewolf.block")); });
        if (!owner || api.PyArray_SetBaseObject_(array, owner) < 0) {
            if (!owner) memory_free(block);
            Py_DECREF(array);
            throw py::error_already_set();
        }
    } else if (memory_poison() && bytes) {
        std::memset(array_fields(array).data, 0xFF, bytes);
    }
    return array;
}

// Dense strides with the dimensions in the order of `like`: the one with the largest stride there is outermost.
inline void strides_like(const py::detail::PyArray_Proxy& like, const Py_intptr_t* shape, int64_t item, Py_intptr_t* strides) {
    int order[kMaxDims], n = like.nd;
    for (int i = 0; i < n; i++) order[i] = i;
    std::stable_sort(order, order + n, [&](int a, int b) {
        if (shape[a] <= 1 || shape[b] <= 1) return false;
        return std::llabs(like.strides[a]) > std::llabs(like.strides[b]);
    });
    Py_intptr_t step = item;
    for (int i = n - 1; i >= 0; i--) {
        strides[order[i]] = step;
        step *= std::max<Py_intptr_t>(shape[order[i]], 1);
    }
}

}  // namespace ww
