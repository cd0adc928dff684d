"""What every op needs: its operands as tensors of one device and dtype, and broadcasting there and back."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._errors import DeviceError
from ..dtypes import is_sixteen_bit, promote, scalar_dtype
from ..graph import is_grad_enabled
from ..tensor import Tensor, wrap

if TYPE_CHECKING:
    Operand: TypeAlias = "Tensor | complex"

KERNEL_FLOATS = (np.dtype("float32"), np.dtype("float64"))
MAX_LAYERS = 10_000  # of a stack made in one call, or rounds of one: more would not end, whatever their size
MAX_NDIM = 12  # what a kernel's View holds
SCALARS = (int, float, complex, np.generic)  # bool is an int


def check_tensor(op: str, name: str, value: object) -> Tensor:
    """`value`, if it is a Tensor.

    Raises:
        TypeError: it is not; the text names op and argument.
    """
    if not isinstance(value, Tensor):
        hint = "; ww.asarray makes one" if isinstance(value, (np.ndarray, list, tuple)) else ""
        raise TypeError(f"{op}: expected {name} to be a Tensor, got {type(value).__name__}{hint}")
    return value


def share_memory(x: Tensor, view: Tensor) -> Tensor:
    """Notes that `view` sees x's memory: one version for both, and each knows of the other. Returns `view`.

    The cell that they share holds the version, then weak references to all who share it: an assignment in a graph must know whether
    anyone else sees what it overwrites.
    """
    cell = x._version
    if len(cell) == 1:
        cell.append(weakref.ref(x))
    elif len(cell) >= 64 and len(cell) & (len(cell) - 1) == 0:  # now and then, those that are gone
        cell[1:] = [sharer for sharer in cell[1:] if sharer() is not None]
    cell.append(weakref.ref(view))
    view._version = cell
    return view


def is_writable(x: Tensor) -> bool:
    """Whether x's memory may be written to. CuPy's arrays all are, and their flags do not say so."""
    return bool(getattr(x._data.flags, "writeable", True))


def check_same_device(op: str, **tensors: Tensor | None) -> None:
    """Raises DeviceError, naming the tensors, unless all that are given live on one device."""
    first: tuple[str, Tensor] | None = None
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        check_tensor(op, name, tensor)
        if first is None:
            first = name, tensor
        elif tensor.device is not first[1].device:
            raise DeviceError(
                f"{op}: expected {name} on {first[1].device}, as {first[0]} (shape {first[1].shape}), "
                f"got {name} (shape {tensor.shape}) on {tensor.device}; move one with .to()"
            )


class SixteenBit(TypeError):
    """16-bit floats, which an op's own kernels do not take: _sixteen.py computes it in float32."""


def check_float(op: str, name: str, tensor: Tensor) -> None:
    """Raises TypeError unless the dtype is float32 or float64, what the kernels compute in: SixteenBit for 16-bit floats."""
    if tensor._data.dtype not in KERNEL_FLOATS:
        if is_sixteen_bit(tensor.dtype):
            raise SixteenBit(f"{op}: expected {name}.dtype == float32 or float64, got {tensor.dtype}")
        raise TypeError(f"{op}: expected {name}.dtype == float32 or float64, got {tensor.dtype}")


MAX_DIMS = 12  # of the kernels: kMaxDims in engine/view.h


def check_dims(op: str, name: str, tensor: Tensor) -> None:
    """Raises ValueError where the tensor has more dimensions than a kernel takes."""
    if tensor.ndim > MAX_DIMS:
        raise ValueError(f"{op}: expected {name} of at most {MAX_DIMS} dimensions, got {tensor.ndim}")


def check_flag(op: str, name: str, value: Any) -> bool:
    """Raises TypeError unless `value` is True or False: what else is true in Python was hardly meant."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{op}: expected {name} to be True or False, got {type(value).__name__}")
    return bool(value)


def check_int(op: str, name: str, value: Any) -> int:
    """`value` as an int, if it is one of Python's or NumPy's."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{op}: expected {name} to be an int, got {type(value).__name__}")
    return int(value)


def check_word(op: str, name: str, value: Any, *words: str) -> str:
    """`value`, if it is one of the words.

    Raises:
        TypeError: it is no string.
        ValueError: it is another.
    """
    listed = " or ".join(map(repr, words))
    if not isinstance(value, str):
        raise TypeError(f"{op}: expected {name} to be {listed}, got {type(value).__name__}")
    if value not in words:
        raise ValueError(f"{op}: expected {name} to be {listed}, got {value!r}")
    return value


def check_ints(op: str, name: str, value: Any) -> tuple[int, ...]:
    """An int, or a sequence of them, as a tuple."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return (int(value),)
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise TypeError(f"{op}: expected {name} to be an int or a sequence of ints, got {type(value).__name__}")
    return tuple(check_int(op, f"{name}[{i}]", n) for i, n in enumerate(value))


def check_tensors(op: str, name: str, value: Any) -> list[Tensor]:
    """A sequence of tensors, as a list."""
    if not isinstance(value, (Sequence, Tensor)) or isinstance(value, (str, bytes)) or isinstance(value, Tensor) and not value.ndim:
        raise TypeError(f"{op}: expected {name} to be a sequence of Tensors, got {type(value).__name__}")
    return [check_tensor(op, f"{name}[{i}]", t) for i, t in enumerate(value)]


def check_size(op: str, n: int, dtype: Any, name: str) -> None:
    """Raises MemoryError for `n` elements that no machine has room for, which NumPy would refuse in other ways, or try in vain."""
    if n * dtype.itemsize >= 2**47:
        raise MemoryError(f"{op}: expected {name} that fits in memory, got {n * dtype.itemsize} bytes ({n} of {dtype})")


def check_number(op: str, name: str, value: Any) -> None:
    """Raises TypeError unless `value` is a real number of Python's or NumPy's."""
    if isinstance(value, (complex, np.complexfloating)) or not isinstance(value, SCALARS):
        raise TypeError(f"{op}: expected {name} to be a real number, got {type(value).__name__}")


def check_ordered(op: str, name: str, tensor: Tensor) -> None:
    """Raises TypeError for complex dtypes, which have no order."""
    if tensor._data.dtype.kind == "c":
        raise TypeError(f"{op}: expected {name} of real numbers, got dtype {tensor.dtype}")


def check_same_dtype(op: str, **tensors: Tensor | None) -> None:
    """Raises TypeError, naming the tensors, unless all that are given have one dtype."""
    first: tuple[str, Tensor] | None = None
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        check_tensor(op, name, tensor)
        if first is None:
            first = name, tensor
        elif tensor.dtype != first[1].dtype:
            raise TypeError(f"{op}: expected {name}.dtype == {first[1].dtype} (as {first[0]}), got {tensor.dtype}")


def from_scalar(op: str, name: str, value: object, beside: Tensor) -> Tensor:
    """A number as a 0-d tensor on the device of `beside`, in its dtype unless the number's kind is wider.

    Raises:
        TypeError: it is no number, or of a dtype that combines with none of ours.
        OverflowError: it is an int outside the dtype's range.
    """
    if not isinstance(value, SCALARS):
        check_tensor(op, name, value)
    try:
        dtype = scalar_dtype(value, beside.dtype)
    except TypeError as error:  # NumPy's numbers of wide dtypes
        raise TypeError(f"{op}: expected {name} of a dtype that combines with {beside.dtype}, got {value!r}: {error}") from None
    if dtype.kind in "iu" and isinstance(value, int) and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        raise OverflowError(f"{op}: expected {name} in the range of {dtype}, got {value}")
    if isinstance(value, (int, float)) and -65504 <= value <= 65504:
        return wrap(beside.device.xp.asarray(value, dtype), beside.device)
    with np.errstate(over="ignore"):  # a number beyond a float's range is infinite
        return wrap(beside.device.xp.asarray(value, dtype), beside.device)


def operands(op: str, x1: Operand, x2: Operand) -> tuple[Tensor, Tensor]:
    """Both as tensors of one device and dtype. A Python scalar takes the tensor's dtype unless its kind is wider.

    Raises:
        TypeError: neither is a Tensor, or one is something else than a Tensor or a number, or the dtypes have no common one.
        ww.DeviceError: they live on different devices.
    """
    if isinstance(x1, Tensor):
        if not isinstance(x2, Tensor):
            x2 = from_scalar(op, "x2", x2, x1)
        elif x1.device is not x2.device:
            check_same_device(op, x1=x1, x2=x2)
    elif isinstance(x2, Tensor):
        x1 = from_scalar(op, "x1", x1, x2)
    else:
        x1 = check_tensor(op, "x1", x1)
    if x1._data.dtype is not x2._data.dtype and x1.dtype != x2.dtype:  # type: ignore[union-attr]  # tensors both, by here
        from .manipulation import astype

        try:
            dtype = promote(x1.dtype, x2.dtype)  # type: ignore[union-attr]
        except TypeError as error:
            given = f"{x1.dtype} and {x2.dtype}"  # type: ignore[union-attr]  # as above
            raise TypeError(f"{op}: expected x1 and x2 of dtypes that combine, got {given}: {error}") from None
        if dtype.kind == "c" and is_grad_enabled():
            for name, x in (("x1", x1), ("x2", x2)):
                if x._requires_grad:  # type: ignore[union-attr]  # both are Tensors here
                    raise TypeError(f"{op}: expected {name} that requires no grad beside complex numbers, in which nothing is "
                                    f"differentiated; {name}.detach() is one")  # fmt: skip
        return astype(x1, dtype, copy=False), astype(x2, dtype, copy=False)  # type: ignore[arg-type]
    return x1, x2  # type: ignore[return-value]


def broadcast_shape(op: str, a: Tensor, b: Tensor) -> tuple[int, ...]:
    """The shape that two tensors broadcast to.

    Raises:
        ValueError: they do not.
    """
    s, t = a._data.shape, b._data.shape
    if s == t or not t:
        return s
    if not s:
        return t
    try:
        return np.broadcast_shapes(s, t)
    except ValueError:
        raise ValueError(f"{op}: expected shapes that broadcast to one, got x1.shape == {s}, x2.shape == {t}") from None


def unbroadcast(grad: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The sum of `grad` over the dimensions along which `shape` was broadcast: the adjoint of broadcasting."""
    if grad._data.shape == shape:
        return grad
    from .manipulation import reshape
    from .reduce import sum

    lead = grad.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and grad.shape[lead + i] != 1)
    return reshape(sum(grad, axis=axes, keepdims=True), shape)


def normalize_axis(op: str, axis: int, ndim: int, name: str = "axis") -> int:
    """`axis` counted from the front.

    Raises:
        IndexError: it is outside [-ndim, ndim).
    """
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise TypeError(f"{op}: expected {name} to be an int, got {type(axis).__name__}")
    if not -ndim <= axis < ndim:
        raise IndexError(f"{op}: expected {name} in [{-ndim}, {ndim}), got {axis}")
    return int(axis) % ndim if ndim else 0


def normalize_axes(op: str, axis: int | Sequence[int] | None, ndim: int, name: str = "axis") -> tuple[int, ...]:
    """All axes for None; otherwise the given ones counted from the front.

    Raises:
        ValueError: an axis is named twice.
    """
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(normalize_axis(op, a, ndim, name) for a in check_ints(op, name, axis))
    if len(set(axes)) != len(axes):
        raise ValueError(f"{op}: expected each axis once, got {name} == {axis}")
    return axes


def check_count(op: str, name: str, value: Any, least: int = 0, most: int | None = None) -> int:
    """`value` as an int of at least `least`, and at most `most`.

    Raises:
        TypeError: it is no int.
        ValueError: it is less, or more.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{op}: expected {name} to be an int, got {value!r} ({type(value).__name__})")
    if value < least:
        raise ValueError(f"{op}: expected {name} >= {least}, got {value}")
    if most is not None and value > most:
        raise ValueError(f"{op}: expected {name} <= {most}, got {value}")
    return int(value)


def check_window(op: str, **values: Any) -> None:
    """Raises ValueError unless kernel_size, stride and dilation are at least 1, and paddings at least 0; each an int or several."""
    for name, value in values.items():
        parts = value if isinstance(value, (tuple, list)) else (value,)
        for part in parts:
            check_count(op, name, part, 0 if "padding" in name else 1)


def pair(op: str, name: str, value: Any, n: int = 2) -> tuple[int, ...]:
    """An int for all `n` dimensions, or `n` ints."""
    if type(value) is tuple and len(value) == n and all([type(v) is int for v in value]):  # what layers keep
        return value
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return (int(value),) * n
    text = f"{op}: expected {name} to be an int or {n} ints, got {value!r}"
    if not isinstance(value, (tuple, list)) or not all(isinstance(v, (int, np.integer)) for v in value):
        raise TypeError(text)
    if len(value) != n:
        raise ValueError(text)
    return tuple(int(v) for v in value)
