// The binding, compiled once per device: _cpu, _cudasim and _cuda from the same file.
#include <pybind11/stl.h>
#include <structmember.h>  // T_PYSSIZET: Python.h itself has it from 3.12 on

#include <cstring>
#include <map>
#include <memory>

#include "engine/kernel_object.h"
#include "engine/library.h"
#include "engine/memory.h"
#include "engine/parallel.h"
#if defined(WW_CPU)
#include "engine/record.h"
#endif
#include "engine/registry.h"
#if defined(WW_CUDASIM)
#include "engine/cuda/sim/options.h"
#endif
#if defined(WW_CUDA)
#include <dlfcn.h>

#include "engine/cuda/runtime.h"
#endif

#ifndef WW_MODULE
#define WW_MODULE _cpu
#endif

namespace ww {
namespace {

PyTypeObject* kernel_type = nullptr;

std::map<std::string, std::unique_ptr<OpNames>>& all_names() {
    static std::map<std::string, std::unique_ptr<OpNames>> all;
    return all;
}

const OpNames* names_of(const Op& op) {
    auto& entry = all_names()[op.contract->op];
    if (!entry) {
        entry = std::make_unique<OpNames>();
        entry->op = &op;
        for (auto& a : op.signature.attrs) entry->attrs.push_back(PyUnicode_InternFromString(a.name.c_str()));
    }
    return entry.get();
}

py::object make_kernel(const std::string& name, const py::object& variant) {
    const Op* op = find_op(name);
    if (!op) fail<ShapeError>("kernels.get: expected a registered op, got '%s'; kernels.list() has them all", name.c_str());
    const Kernel* kernel = nullptr;
    if (!variant.is_none()) {
        auto wanted = variant.cast<std::string>();
        kernel = op->find(wanted);
        std::string have;
        for (auto& k : op->kernels) have += (have.empty() ? "" : ", ") + std::string(k.variant);
        if (!kernel)
            fail<ShapeError>("kernels.get: expected variant of %s in {%s}, got '%s'", name.c_str(), have.c_str(), wanted.c_str());
    }
    auto* self = PyObject_New(KernelObject, kernel_type);
    if (!self) throw py::error_already_set();
    self->call = kernel_call;
    self->names = names_of(*op);
    self->kernel = kernel;
    return py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(self));
}

KernelObject& as_kernel(PyObject* self) { return *reinterpret_cast<KernelObject*>(self); }

PyObject* text(const char* s) { return PyUnicode_FromString(s); }

PyObject* kernel_variant(PyObject* self, void*) {
    const Kernel* kernel = as_kernel(self).kernel;
    if (!kernel) Py_RETURN_NONE;
    return text(kernel->variant);
}

PyObject* kernel_repr(PyObject* object) {
    auto& self = as_kernel(object);
    return PyUnicode_FromFormat("<kernel %s%s%s (%s)>", self.names->op->contract->op, self.kernel ? ":" : "",
                                self.kernel ? self.kernel->variant : "", self.names->op->contract->signature);
}

// The variant that these arguments would run, and the workspace it would need.
template <class Result>
PyObject* kernel_ask(PyObject* object, PyObject* const* args, Py_ssize_t n_args, PyObject* keywords, Result result) {
    try {
        Arguments in;
        read_arguments(as_kernel(object), args, n_args, keywords, in);
        return result(choose(as_kernel(object), in.call), in.call);
    } catch (py::error_already_set& error) {
        error.restore();
        return nullptr;
    } catch (const std::exception& error) {
        return raise(error);
    }
}

PyObject* kernel_workspace_bytes(PyObject* object, PyObject* const* args, Py_ssize_t n_args, PyObject* keywords) {
    return kernel_ask(object, args, n_args, keywords, [](const Kernel& k, const Call& call) {
        return PyLong_FromSize_t(k.workspace_bytes ? k.workspace_bytes(call) : 0);
    });
}

PyObject* kernel_choice(PyObject* object, PyObject* const* args, Py_ssize_t n_args, PyObject* keywords) {
    return kernel_ask(object, args, n_args, keywords, [](const Kernel& k, const Call&) { return text(k.variant); });
}

PyMethodDef kernel_methods[] = {
    {"workspace_bytes", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(kernel_workspace_bytes)),
     METH_FASTCALL | METH_KEYWORDS,
     "Bytes of workspace that a call with these arguments needs, for the number of threads now in force; nothing is run."},
    {"choice", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(kernel_choice)), METH_FASTCALL | METH_KEYWORDS,
     "The variant that a call with these arguments would run; nothing is run."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef kernel_fields[] = {
    {"op", [](PyObject* self, void*) { return text(as_kernel(self).names->op->contract->op); }, nullptr, "Registered name.",
     nullptr},
    {"__name__", [](PyObject* self, void*) { return text(as_kernel(self).names->op->contract->op); }, nullptr, nullptr, nullptr},
    {"__doc__", [](PyObject* self, void*) { return text(as_kernel(self).names->op->contract->doc); }, nullptr, nullptr, nullptr},
    {"signature", [](PyObject* self, void*) { return text(as_kernel(self).names->op->contract->signature); }, nullptr,
     "Views and attributes, in the signature language of engine/registry.h.", nullptr},
    {"variant", kernel_variant, nullptr, "The variant it is bound to; None where the registry chooses.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef kernel_members[] = {{"__vectorcalloffset__", T_PYSSIZET, offsetof(KernelObject, call), READONLY, nullptr},
                                {nullptr, 0, 0, 0, nullptr}};

void kernel_free(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_Free(self);
    Py_DECREF(type);
}

PyTypeObject* make_kernel_type() {
    PyType_Slot slots[] = {{Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                           {Py_tp_methods, kernel_methods},
                           {Py_tp_getset, kernel_fields},
                           {Py_tp_members, kernel_members},
                           {Py_tp_repr, reinterpret_cast<void*>(kernel_repr)},
                           {Py_tp_dealloc, reinterpret_cast<void*>(kernel_free)},
                           {0, nullptr}};
    PyType_Spec spec = {"whitewolf.kernels.Kernel", sizeof(KernelObject), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    auto* type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    if (!type) throw py::error_already_set();
    return type;
}

#if !defined(WW_CUDA)  // there, arrays come from CuPy's pool: device.py
// The public function that is running: the innermost whose name has no underscore in front. Asked for in errors only.
std::string running_function() {
    PyFrameObject* frame = PyEval_GetFrame();
    Py_XINCREF(frame);
    std::string found;
    while (frame && found.empty()) {
        PyCodeObject* code = PyFrame_GetCode(frame);
        const char* name = PyUnicode_AsUTF8(code->co_name);
        if (name && name[0] != '_' && name[0] != '<') found = name;
        Py_DECREF(code);
        PyFrameObject* back = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    return found.empty() ? "empty" : found;
}

// empty(shape, dtype, layout): layout None is C order, True channels last, an array its order of dimensions.
PyObject* module_empty(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    try {
        if (n_args < 2 || n_args > 3 || !PyTuple_Check(args[0]))
            fail<DTypeError>("empty: expected (shape tuple, numpy dtype, layout)");
        PyObject* like = n_args == 3 ? args[2] : Py_None;
        Py_ssize_t ndim = PyTuple_GET_SIZE(args[0]);
        if (ndim > 64) fail<ShapeError>("empty: expected at most 64 dimensions, got %zd", ndim);
        Py_intptr_t shape[64], strides[64];
        for (Py_ssize_t i = 0; i < ndim; i++) {
            shape[i] = read_int(PyTuple_GET_ITEM(args[0], i), false, "empty", "shape");
            if (shape[i] < 0) fail<ShapeError>("empty: expected shape[%zd] >= 0, got %lld", i, static_cast<long long>(shape[i]));
        }
        if (!py::detail::npy_api::get().PyArrayDescr_Check_(args[1])) fail<DTypeError>("empty: expected a numpy.dtype");
        int64_t item = py::reinterpret_borrow<py::dtype>(args[1]).itemsize();
        const Py_intptr_t* layout = nullptr;
        if (like == Py_True && ndim > 2) {
            Py_intptr_t step = item;
            strides[1] = step;
            step *= std::max<Py_intptr_t>(shape[1], 1);
            for (Py_ssize_t i = ndim - 1; i >= 0; i--) {
                if (i == 1) continue;
                strides[i] = step;
                step *= std::max<Py_intptr_t>(shape[i], 1);
            }
            layout = strides;
        } else if (is_numpy_array(like) && array_fields(like).nd == ndim && ndim <= kMaxDims && ndim > 1) {
            strides_like(array_fields(like), shape, item, strides);
            layout = strides;
        }
        return new_array(args[1], static_cast<int>(ndim), shape, layout, item);
    } catch (const OutOfMemory& error) {
        return raise(named(error, running_function()));
    } catch (py::error_already_set& error) {
        error.restore();
        return nullptr;
    } catch (const std::exception& error) {
        return raise(error);
    }
}

PyMethodDef empty_method = {"empty", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(module_empty)), METH_FASTCALL,
                            "empty(shape, dtype, layout=None): an uninitialised array on the block cache."};
#endif

py::dict kernel_row(const Kernel& k) {
    py::dict row;
    py::list dtypes;
    for (int t = 0; t <= static_cast<int>(DType::complex128); t++)
        if (k.dtypes >> t & 1) dtypes.append(dtype_name(static_cast<DType>(t)));
    constexpr const char* promises[] = {"bitwise", "run_to_run", "none"};
    row["op"] = k.contract->op;
    row["family"] = k.contract->family;
    row["variant"] = k.variant;
    row["isa"] = k.isa;
    row["dtypes"] = py::tuple(dtypes);
    row["rank"] = k.rank;
    row["signature"] = k.contract->signature;
    row["precision"] = k.precision;
    row["determinism"] = promises[static_cast<int>(k.determinism)];
    return row;
}

py::list list_kernels() {
    py::list rows;
    for (const Op& op : ops())
        for (const Kernel& k : op.kernels) rows.append(kernel_row(k));
    return rows;
}

py::list library_rows(const Library& library) {
    py::list rows;
    for (const Kernel* k : library.kernels) rows.append(kernel_row(*k));
    return rows;
}

py::list check_library(const std::string& path, const std::string& source) { return library_rows(open_library(path, source)); }

void add_checked_library(const std::string& path, const std::string& source) {
    const Library& library = open_library(path, source);
    add_library(library);
    for (auto& [name, names] : all_names()) names->op = find_op(name);  // kernels that were handed out before know them, too
#if defined(WW_CUDA)
    auto* set_stream = reinterpret_cast<void (*)(uintptr_t)>(dlsym(library.handle, "ww_set_stream"));
    if (set_stream) stream_followers().push_back(set_stream);
#endif
}

// The function of the kernel that runs calls of this dtype, for machine code that calls it itself: kernels/fused/fused.h.
uint64_t kernel_address(const std::string& name, const std::string& dtype) {
    const Op* op = find_op(name);
    for (size_t i = 0; op && op->signature.attrs.empty() && i < op->kernels.size(); i++) {
        const Kernel& k = op->kernels[i];
        bool typed = false;
        for (int t = 0; t <= static_cast<int>(DType::complex128); t++)
            typed |= dtype == dtype_name(static_cast<DType>(t)) && (k.dtypes >> t & 1);
        const bool offered = k.determinism == Determinism::bitwise && !std::strcmp(k.precision, "dtype");
        if (typed && offered && !k.workspace_bytes && !k.accepts) return reinterpret_cast<uint64_t>(k.fn);
    }
    fail<ShapeError>("kernel_address: expected an op without attributes and workspace that takes %s, got %s", dtype.c_str(),
                     name.c_str());
}

py::dict memory_stats_dict() {
    MemoryStats s = memory_stats();
    py::dict d;
    d["bytes_in_use"] = s.bytes_in_use;
    d["bytes_cached"] = s.bytes_cached;
    d["peak_in_use"] = s.peak_in_use;
    d["allocations"] = s.allocations;
    d["cache_hits"] = s.cache_hits;
    return d;
}

uint64_t use_variant(const std::string& family, const std::string& variant) {
    bool family_known = false, variant_known = false;
    for (const Op& op : ops())
        if (family == op.contract->family) {
            family_known = true;
            variant_known |= op.find(variant) != nullptr;
        }
    if (!family_known) fail<ShapeError>("kernels.use: expected a family of kernels, got '%s'", family.c_str());
    if (!variant_known) fail<ShapeError>("kernels.use: expected a variant of %s, got '%s'", family.c_str(), variant.c_str());
    return push_variant(family, variant);
}

}  // namespace
}  // namespace ww

PYBIND11_MODULE(WW_MODULE, m) {
    using namespace ww;
    py::register_exception_translator([](std::exception_ptr p) {
        try {
            if (p) std::rethrow_exception(p);
        } catch (const Error& error) {
            raise(error);
        }
    });
    kernel_type = make_kernel_type();
    m.attr("Kernel") = py::handle(reinterpret_cast<PyObject*>(kernel_type));
#if defined(WW_CUDA)
    // allocate(bytes) gives a workspace, stream() the address of the stream to launch on: both the array library's.
    m.def("bind", &bind_library, py::arg("allocate"), py::arg("stream"));
    m.def("require_device", &cuda::require_device);
    m.def("synchronize", &cuda::synchronize);
#else
    m.add_object("empty", py::reinterpret_steal<py::object>(PyCFunction_New(&empty_method, nullptr)));
#endif
#if defined(WW_CPU)
    define_record(m);
#endif
    m.def("get", &make_kernel, py::arg("op"), py::arg("variant") = py::none());
    m.def("list", &list_kernels);
    // First check_library, which gives the rows, on every device; then add_library, which does not fail.
    m.def("check_library", &check_library, py::arg("path"), py::arg("source"));
    m.def("add_library", &add_checked_library, py::arg("path"), py::arg("source"));
    m.def("kernel_address", &kernel_address, py::arg("op"), py::arg("dtype"));
    m.def("op_names", [] {
        std::vector<std::string> names;
        for (const Op& op : ops()) names.push_back(op.contract->op);
        return names;
    });
    m.def("isa", [] { return std::string(selected_isa()); });
    m.def("push_variant", &use_variant);
    m.def("pop_variant", &pop_variant);
    m.def("num_threads", &num_threads);
    m.def("set_num_threads", &set_num_threads);
    m.def("memory_stats", &memory_stats_dict);
    m.def("memory_release_cached", &memory_release_cached);
    m.def("memory_reset_peak", &memory_reset_peak);
    m.def("memory_set_poison", &memory_set_poison);
    m.def("memory_poison", &memory_poison);
#if defined(WW_CUDASIM)
    // (order, asynchrony, seed) of launches from this thread.
    m.def("schedule", [] {
        const sim::Options& now = sim::options();
        return py::make_tuple(sim::name_of(now.order), sim::name_of(now.asynchrony), now.seed);
    });
    m.def("set_schedule", [](const std::string& order, const std::string& asynchrony, uint64_t seed) {
        const sim::Options& now = sim::options();
        sim::options() = {sim::order_named(order.c_str(), "cudasim: order"),
                          sim::asynchrony_named(asynchrony.c_str(), "cudasim: asynchrony"), seed, now.arch, now.timeout};
    });
    // (arch, timeout) likewise.
    m.def("limits", [] { return py::make_tuple(sim::options().arch, sim::options().timeout); });
    m.def("set_limits", [](int64_t arch, double timeout) {
        const int checked = sim::check_arch(arch, "cudasim: arch");
        sim::options().timeout = sim::check_timeout(timeout, "cudasim: timeout");
        sim::options().arch = checked;
    });
#endif
    m.def("profile_start", &profile_start);
    m.def("profile_stop", [] {
        py::list rows;
        for (auto& r : profile_stop()) rows.append(py::make_tuple(r.kernel->contract->op, r.kernel->variant, r.seconds, r.bytes));
        return rows;
    });
}
