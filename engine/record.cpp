// `record` of python/whitewolf/graph.py, which says what it does. In C++ because every op pays for it: the slots of Tensor and Node
// are filled where they lie, in 0.3 us, where Python takes 1.1, more than the kernel of a small op.
#include "engine/record.h"

#include <structmember.h>

#include <initializer_list>

namespace ww {
namespace {

namespace py = pybind11;

// A new reference, given up at the end of its scope; null where there was an error.
py::object own(PyObject* reference) { return py::reinterpret_steal<py::object>(reference); }

// The place of a slot in the objects of a class with __slots__.
using Slot = Py_ssize_t;

PyObject*& at(PyObject* object, Slot slot) { return *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(object) + slot); }

void put(PyObject* object, Slot slot, PyObject* value) {  // of a new object, whose slots are empty
    Py_INCREF(value);
    at(object, slot) = value;
}

// What `prepare_record` was given.
struct {
    PyTypeObject *tensor, *node, *device;
    struct {
        Slot data, device, grad, requires_grad, node, output, version;
    } of_tensor;
    struct {
        Slot name, number, backward, edges, saved, versions, n_outputs, context, precision;
    } of_node;
    Slot device_array;
    PyObject *mode, *numbers, *wrap;
    PyObject *enabled, *precision, *dtype, *kind, *zero, *one, *empty;  // constants
} g;

Slot slot_of(PyObject* type, const char* name) {
    py::object member = own(PyObject_GetAttrString(type, name));
    if (!member) throw py::error_already_set();
    if (Py_TYPE(member.ptr()) != &PyMemberDescr_Type) throw py::type_error(std::string("record: expected a slot ") + name);
    return reinterpret_cast<PyMemberDescrObject*>(member.ptr())->d_member->offset;
}

void prepare_record(const py::object& tensor, const py::object& node, const py::object& device, const py::object& mode,
                    const py::object& numbers, const py::object& wrap) {
    PyObject *t = tensor.ptr(), *n = node.ptr();
    g.of_tensor = {slot_of(t, "_data"), slot_of(t, "device"),  slot_of(t, "_grad"),   slot_of(t, "_requires_grad"),
                   slot_of(t, "_node"), slot_of(t, "_output"), slot_of(t, "_version")};
    g.of_node = {slot_of(n, "name"),      slot_of(n, "number"),  slot_of(n, "backward"),
                 slot_of(n, "edges"),     slot_of(n, "_saved"),  slot_of(n, "_versions"),
                 slot_of(n, "n_outputs"), slot_of(n, "context"), slot_of(n, "precision")};
    g.device_array = slot_of(device.ptr(), "array");
    g.tensor = reinterpret_cast<PyTypeObject*>(t), g.node = reinterpret_cast<PyTypeObject*>(n);
    g.device = reinterpret_cast<PyTypeObject*>(device.ptr());
    g.mode = mode.ptr(), g.numbers = numbers.ptr(), g.wrap = wrap.ptr();
    for (PyObject* kept : {t, n, device.ptr(), g.mode, g.numbers, g.wrap}) Py_INCREF(kept);  // for as long as the process lives
    g.enabled = PyUnicode_InternFromString("enabled"), g.precision = PyUnicode_InternFromString("precision");
    g.dtype = PyUnicode_InternFromString("dtype"), g.kind = PyUnicode_InternFromString("kind");
    g.zero = PyLong_FromLong(0), g.one = PyLong_FromLong(1), g.empty = PyTuple_New(0);
}

// tensor.wrap(array, device).
PyObject* wrap(PyObject* array, PyObject* device) {
    if (reinterpret_cast<PyObject*>(Py_TYPE(array)) != at(device, g.device_array))
        return PyObject_CallFunctionObjArgs(g.wrap, array, device, nullptr);
    py::object version = own(PyList_New(1)), tensor = own(g.tensor->tp_alloc(g.tensor, 0));
    if (!version || !tensor) return nullptr;
    Py_INCREF(g.zero);
    PyList_SET_ITEM(version.ptr(), 0, g.zero);
    put(tensor.ptr(), g.of_tensor.data, array);
    put(tensor.ptr(), g.of_tensor.device, device);
    put(tensor.ptr(), g.of_tensor.grad, Py_None);
    put(tensor.ptr(), g.of_tensor.requires_grad, Py_False);
    put(tensor.ptr(), g.of_tensor.node, Py_None);
    put(tensor.ptr(), g.of_tensor.output, g.zero);
    at(tensor.ptr(), g.of_tensor.version) = version.release().ptr();
    return tensor.release().ptr();
}

void replace(PyObject* object, Slot slot, PyObject* value) {
    Py_INCREF(value);
    PyObject* before = at(object, slot);
    at(object, slot) = value;
    Py_XDECREF(before);
}

// Ties an output to its node; `position` among several, or null.
void tie(PyObject* tensor, PyObject* node, PyObject* position) {
    replace(tensor, g.of_tensor.requires_grad, Py_True);
    replace(tensor, g.of_tensor.node, node);
    if (position) replace(tensor, g.of_tensor.output, position);
}

bool is_whole(PyObject* tensor) {
    if (!PyObject_TypeCheck(tensor, g.tensor)) return false;
    const auto& slots = g.of_tensor;
    PyObject *device = at(tensor, slots.device), *version = at(tensor, slots.version);
    return at(tensor, slots.data) && at(tensor, slots.node) && at(tensor, slots.requires_grad) && at(tensor, slots.output) &&
           version && PyList_Check(version) && device && PyObject_TypeCheck(device, g.device);
}

// Whether all are Tensors with the slots that are read here (`del x._node` empties one); else false, with an error.
bool require_tensors(PyObject* tuple, const char* which) {
    if (!PyTuple_Check(tuple))
        return PyErr_Format(PyExc_TypeError, "record: expected %s to be a tuple, got %s", which, Py_TYPE(tuple)->tp_name), false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject* tensor = PyTuple_GET_ITEM(tuple, i);
        if (!is_whole(tensor))
            return PyErr_Format(PyExc_TypeError, "record: expected %s[%zd] to be a whole Tensor, got %s", which, i,
                                Py_TYPE(tensor)->tp_name),
                   false;
    }
    return true;
}

// Where the gradient of an input goes: itself, its node, (its node, which output), or None.
PyObject* edge(PyObject* tensor) {
    PyObject* made_by = at(tensor, g.of_tensor.node);
    if (made_by == Py_None) {
        PyObject* to = at(tensor, g.of_tensor.requires_grad) == Py_True ? tensor : Py_None;
        Py_INCREF(to);
        return to;
    }
    if (Py_TYPE(made_by) != g.node || !at(made_by, g.of_node.n_outputs))
        return PyErr_Format(PyExc_TypeError, "record: expected the _node of a Tensor to be a Node, got %s",
                            Py_TYPE(made_by)->tp_name);
    py::object node = own(Py_NewRef(made_by));  // a new tuple may run the garbage collector, and that whatever it finds
    if (at(node.ptr(), g.of_node.n_outputs) == g.one) return node.release().ptr();
    const long n = PyLong_AsLong(at(node.ptr(), g.of_node.n_outputs));
    if (n == 1 || (n == -1 && PyErr_Occurred())) return n == 1 ? node.release().ptr() : nullptr;
    py::object output = own(Py_NewRef(at(tensor, g.of_tensor.output)));
    return PyTuple_Pack(2, node.ptr(), output.ptr());
}

PyObject* new_node(PyObject* name, PyObject* outputs, PyObject* inputs, PyObject* backward, PyObject* saved, PyObject* context) {
    const Py_ssize_t n_inputs = PyTuple_GET_SIZE(inputs), n_saved = PyTuple_GET_SIZE(saved);
    py::object node = own(g.node->tp_alloc(g.node, 0)), edges = own(PyTuple_New(n_inputs)), versions = own(PyTuple_New(n_saved));
    if (!node || !edges || !versions) return nullptr;
    for (Py_ssize_t i = 0; i < n_inputs; i++) {
        PyObject* to = edge(PyTuple_GET_ITEM(inputs, i));
        if (!to) return nullptr;
        PyTuple_SET_ITEM(edges.ptr(), i, to);
    }
    for (Py_ssize_t i = 0; i < n_saved; i++) {
        PyObject* version = PyList_GetItem(at(PyTuple_GET_ITEM(saved, i), g.of_tensor.version), 0);
        if (!version) return nullptr;
        Py_INCREF(version);
        PyTuple_SET_ITEM(versions.ptr(), i, version);
    }
    py::object number = own(Py_TYPE(g.numbers)->tp_iternext(g.numbers)), precision = own(PyObject_GetAttr(g.mode, g.precision));
    py::object count = own(PyTuple_Check(outputs) ? PyLong_FromSsize_t(PyTuple_GET_SIZE(outputs)) : Py_NewRef(g.one));
    if (!number || !precision || !count) return nullptr;
    PyObject* to = node.ptr();
    put(to, g.of_node.name, name), put(to, g.of_node.backward, backward);
    put(to, g.of_node.saved, saved), put(to, g.of_node.context, context);
    at(to, g.of_node.number) = number.release().ptr();
    at(to, g.of_node.precision) = precision.release().ptr();
    at(to, g.of_node.n_outputs) = count.release().ptr();
    at(to, g.of_node.edges) = edges.release().ptr();
    at(to, g.of_node.versions) = versions.release().ptr();
    return node.release().ptr();
}

// Whether gradients flow to an output: to floating and complex numbers, and to bfloat16, whose kind NumPy calls V.
int differentiable(PyObject* tensor) {
    py::object dtype = own(PyObject_GetAttr(at(tensor, g.of_tensor.data), g.dtype));
    if (!dtype) return -1;
    py::object kind = own(PyObject_GetAttr(dtype.ptr(), g.kind));
    if (!kind) return -1;
    const Py_UCS4 letter = PyUnicode_READ_CHAR(kind.ptr(), 0);
    return letter == 'f' || letter == 'c' || letter == 'V';
}

// Whether an op on these inputs is recorded; -1 with an error.
int records(PyObject* inputs) {
    bool wanted = false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs); i++)
        wanted |= at(PyTuple_GET_ITEM(inputs, i), g.of_tensor.requires_grad) == Py_True;
    if (!wanted) return 0;
    py::object enabled = own(PyObject_GetAttr(g.mode, g.enabled));
    return enabled ? PyObject_IsTrue(enabled.ptr()) : -1;
}

PyObject* record(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args < 4 || n_args > 6) return PyErr_Format(PyExc_TypeError, "record: expected 4 to 6 arguments, got %zd", n_args);
    if (!g.tensor) return PyErr_Format(PyExc_RuntimeError, "record: expected prepare_record before it");
    PyObject *outputs = args[1], *inputs = args[2], *saved = n_args > 4 ? args[4] : g.empty;
    if (!require_tensors(inputs, "inputs") || !require_tensors(saved, "saved")) return nullptr;
    if (PyTuple_GET_SIZE(inputs) == 0) return PyErr_Format(PyExc_TypeError, "record: expected an input, got none");
    PyObject* device = at(PyTuple_GET_ITEM(inputs, 0), g.of_tensor.device);
    const int recording = records(inputs);
    if (recording < 0) return nullptr;
    py::object node = own(recording ? new_node(args[0], outputs, inputs, args[3], saved, n_args > 5 ? args[5] : Py_None) : nullptr);
    if (recording && !node) return nullptr;
    if (!PyTuple_Check(outputs)) {
        py::object result = own(wrap(outputs, device));
        if (result && node) tie(result.ptr(), node.ptr(), nullptr);
        return result.release().ptr();
    }
    py::object results = own(PyTuple_New(PyTuple_GET_SIZE(outputs)));
    if (!results) return nullptr;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(outputs); i++) {
        PyObject* result = wrap(PyTuple_GET_ITEM(outputs, i), device);
        if (!result) return nullptr;
        PyTuple_SET_ITEM(results.ptr(), i, result);
        if (!node) continue;
        const int flows = differentiable(result);
        if (flows < 0) return nullptr;
        py::object position = own(PyLong_FromSsize_t(i));
        if (!position) return nullptr;
        if (flows) tie(result, node.ptr(), position.ptr());
    }
    return results.release().ptr();
}

PyObject* edge_of(PyObject*, PyObject* tensor) {
    if (g.tensor && is_whole(tensor)) return edge(tensor);
    return PyErr_Format(PyExc_TypeError, "edge_of: expected a whole Tensor, got %s", Py_TYPE(tensor)->tp_name);
}

PyMethodDef edge_method = {"edge_of", edge_of, METH_O, "edge_of(tensor): where its gradient goes; see whitewolf/graph.py."};
PyMethodDef record_method = {"record", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(record)), METH_FASTCALL,
                             "record(name, outputs, inputs, backward, saved=(), context=None): see whitewolf/graph.py."};

}  // namespace

void define_record(py::module_& m) {
    m.def("prepare_record", &prepare_record);
    m.add_object("edge_of", own(PyCFunction_New(&edge_method, nullptr)));
    m.add_object("record", own(PyCFunction_New(&record_method, nullptr)));
}

}  // namespace ww
