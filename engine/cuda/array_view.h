// Arrays on a GPU as Views, by the protocol that CuPy, Numba and PyTorch share (__cuda_array_interface__, version 3); workspaces
// and the stream come from the array library. The twin of what numpy_view.h has for the CPU. Included by module.cpp alone.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "engine/cuda/runtime.h"
#include "engine/numpy_view.h"

namespace ww {

// What device.py gave: allocate(bytes) -> array, stream() -> address.
struct ArrayLibrary {
    PyObject *allocate = nullptr, *stream = nullptr;
};
inline ArrayLibrary& library() {
    static ArrayLibrary bound;
    return bound;
}
inline void bind_library(const py::object& allocate, const py::object& stream) {
    library() = {allocate.inc_ref().ptr(), stream.inc_ref().ptr()};  // for good: the module is never unloaded
}

inline bool read_typestr(const std::string& text, DType& out) {
    constexpr struct {
        const char* name;
        DType dtype;
    } known[] = {{"b1", DType::boolean},   {"i1", DType::int8},        {"u1", DType::uint8},   {"i2", DType::int16},
                 {"u2", DType::uint16},    {"i4", DType::int32},       {"u4", DType::uint32},  {"i8", DType::int64},
                 {"u8", DType::uint64},    {"f2", DType::float16},     {"f4", DType::float32}, {"f8", DType::float64},
                 {"c8", DType::complex64}, {"c16", DType::complex128}, {"V2", DType::bfloat16}};  // the last: ml_dtypes', PyTorch's
    if (text.size() < 3 || text[0] == '>') return false;
    for (auto& k : known)
        if (text.compare(1, std::string::npos, k.name) == 0) {
            out = k.dtype;
            return true;
        }
    return false;
}

// The one argument that kernels read on the host, where it plans their launches.
inline bool on_host(const std::string& name) { return name == "batch_sizes"; }

// Streams that arrays of the call under way name: what they hold is there when these have come so far.
inline std::vector<uintptr_t>& named_streams() {
    thread_local std::vector<uintptr_t> all;
    return all;
}
inline void begin_arguments() { named_streams().clear(); }

inline void note_stream(const py::dict& fields, const char* op, const std::string& name) {
    if (!fields.contains("stream") || fields["stream"].is_none()) return;
    const auto stream = fields["stream"].cast<uintptr_t>();
    if (stream == 0)
        fail<ShapeError>("%s: expected %s with a stream that is None or not 0 (1 is the default one), got 0", op, name.c_str());
    auto& all = named_streams();
    if (std::find(all.begin(), all.end(), stream) == all.end()) all.push_back(stream);
}

inline View read_array(PyObject* object, bool writable, const char* op, const std::string& name) {
    if (on_host(name)) return read_numpy_array(object, writable, op, name);
    auto interface = py::reinterpret_steal<py::object>(PyObject_GetAttrString(object, "__cuda_array_interface__"));
    if (!interface || !PyDict_Check(interface.ptr())) {
        PyErr_Clear();
        fail<DTypeError>("%s: expected %s to be an array on a GPU (cupy.ndarray), got %s", op, name.c_str(),
                         Py_TYPE(object)->tp_name);
    }
    auto fields = py::reinterpret_borrow<py::dict>(interface);
    auto data = fields["data"].cast<py::tuple>();
    auto shape = fields["shape"].cast<py::tuple>();
    auto typestr = fields["typestr"].cast<std::string>();
    if (fields.contains("mask") && !fields["mask"].is_none())
        fail<DTypeError>("%s: expected %s without a mask, got one that its __cuda_array_interface__ masks", op, name.c_str());
    note_stream(fields, op, name);
    View view;
    if (!read_typestr(typestr, view.dtype))
        fail<DTypeError>("%s: expected %s of a numeric dtype in native byte order, got %s", op, name.c_str(), typestr.c_str());
    if (shape.size() > kMaxDims)
        fail<ShapeError>("%s: expected %s of at most %d dimensions, got %zu", op, name.c_str(), kMaxDims, shape.size());
    if (writable && data[1].cast<bool>())
        fail<ShapeError>("%s: expected %s to be writable, got a read-only array", op, name.c_str());
    int64_t size = item_size(view.dtype);
    view.ndim = static_cast<int>(shape.size());
    view.data = reinterpret_cast<void*>(data[0].cast<uintptr_t>());
    bool aligned = reinterpret_cast<uintptr_t>(view.data) % static_cast<uintptr_t>(std::min<int64_t>(size, 8)) == 0;
    bool strided = fields.contains("strides") && !fields["strides"].is_none();
    int64_t step = size;
    for (int i = view.ndim - 1; i >= 0; i--) {
        view.shape[i] = shape[i].cast<int64_t>();
        int64_t bytes = strided ? fields["strides"].cast<py::tuple>()[i].cast<int64_t>() : step;
        if (view.shape[i] > 1 && bytes % size != 0) aligned = false;
        view.strides[i] = bytes / size;
        step *= std::max<int64_t>(view.shape[i], 1);
    }
    if (!aligned && view.size() > 0)
        fail<ShapeError>(
            "%s: expected %s aligned to its dtype with strides that are multiples of %d bytes, got an array that is not", op,
            name.c_str(), static_cast<int>(size));
    return view;
}

// NumPy compares addresses and reads nothing, so an array of the same addresses will do.
inline bool share_memory(PyObject* a, PyObject* b) {
    auto stand_in = [](PyObject* object) {
        View v = read_array(object, false, "share_memory", "array");
        std::vector<py::ssize_t> shape(v.shape, v.shape + v.ndim), strides;
        for (int i = 0; i < v.ndim; i++) strides.push_back(v.strides[i] * item_size(v.dtype));
        py::dtype bytes("V" + std::to_string(item_size(v.dtype)));
        return py::array(bytes, shape, strides, v.data, py::capsule(&library(), [](void*) {}));
    };
    return share_numpy_memory(stand_in(a).ptr(), stand_in(b).ptr());
}

// Freed to the library's pool while the kernel may still run: what the pool gives it to comes later on the same stream.
class Workspace {
  public:
    explicit Workspace(size_t bytes) {
        if (!bytes) return;
        owner_ = py::reinterpret_borrow<py::object>(library().allocate)(bytes);
        data_ = read_array(owner_.ptr(), true, "workspace", "workspace").data;
    }
    void* data() const { return data_; }

  private:
    py::object owner_;
    void* data_ = nullptr;
};

// Libraries of ww.kernels.load have a current stream of their own.
inline std::vector<void (*)(uintptr_t)>& stream_followers() {
    static std::vector<void (*)(uintptr_t)> all;
    return all;
}

inline void prepare_launch() {
    const auto stream = py::reinterpret_borrow<py::object>(library().stream)().cast<uintptr_t>();
    cuda::set_stream(stream);
    // The protocol's number of the default stream is 1, CuPy's is 0.
    for (uintptr_t other : named_streams())
        if (other != (stream ? stream : 1)) cuda::wait_for_stream(other);
    for (auto* set_stream : stream_followers()) set_stream(stream);
}

}  // namespace ww
