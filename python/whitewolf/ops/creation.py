"""Arrays from nothing, from Python, and from other libraries. Names and arguments as in the array API standard (2024.12)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._dlpack import borrow_bfloat16
from .._errors import DeviceError
from ..device import Array, Device
from ..device import device as find_device
from ..dtypes import DType, find_dtype, float32, is_tensors
from ..tensor import Tensor, wrap
from ._common import MAX_NDIM, SCALARS, check_flag, check_ints, check_tensor, share_memory
from ._lists import from_python

if TYPE_CHECKING:
    Shape: TypeAlias = "int | Sequence[int]"
    DeviceLike: TypeAlias = "str | Device | None"


def _shape(op: str, shape: Shape) -> tuple[int, ...]:
    if isinstance(shape, (list, tuple)):  # a tensor's sizes may be 0-d tensors
        shape = [n.item() if isinstance(n, Tensor) and n.ndim == 0 else n for n in shape]
    found = check_ints(op, "shape", shape)
    if any(n < 0 for n in found):
        raise ValueError(f"{op}: expected shape without negative sizes, got {found}")
    return found


def _dtype(op: str, dtype: Any, default: DType = float32) -> DType:
    return default if dtype is None else find_dtype(op, dtype)


def _number(op: str, name: str, value: Any) -> Any:
    """A Python or NumPy number, or a 0-d tensor's."""
    if isinstance(value, Tensor) and value.ndim == 0:
        value = value.item()
    if not isinstance(value, SCALARS):
        raise TypeError(f"{op}: expected {name} to be a number, got {type(value).__name__}")
    return value


def fill(op: str, name: str, data: Any, value: Any) -> None:
    """Fills an array with a number, which the text of an error calls `name`.

    Raises:
        TypeError: it is no number, or a complex one for an array of real numbers.
        OverflowError: it is outside the range of an integer dtype.
    """
    value = _number(op, name, value)
    if isinstance(value, complex) and data.dtype.kind != "c":
        raise TypeError(f"{op}: expected {name} of a real number for dtype {data.dtype}, got {value}")
    if data.dtype.kind in "iu" and not (
        math.isfinite(value.real) and np.iinfo(data.dtype).min <= value.real <= np.iinfo(data.dtype).max
    ):
        raise OverflowError(f"{op}: expected {name} in the range of {data.dtype}, got {value}")
    with np.errstate(all="ignore"):
        data.fill(value)


def _finish(op: str, data: Any, device: Device, requires_grad: bool) -> Tensor:
    result = wrap(data, device)
    return result.requires_grad_() if check_flag(op, "requires_grad", requires_grad) else result


def asarray(obj: Any, /, *, dtype: Any = None, device: DeviceLike = None, copy: bool | None = None) -> Tensor:
    """A tensor of `obj`: numbers, nested lists of them, a NumPy array, anything with `__array__`, or a Tensor.

    NumPy arrays keep their dtype; Python floats become float32, ints int64, complex numbers complex64. In lists, tensors and arrays keep
    theirs, too, and the Python numbers beside them follow; tensors are copied outside the graph (`ww.stack` joins them inside).

    Args:
        copy: True always copies; False raises where a copy would be needed; None copies where it must.

    Raises:
        TypeError: `obj` holds something else than numbers, or does not give them (a tensor of PyTorch's that requires grad, or on a GPU).
        ValueError: lists of unequal lengths, or copy=False where a copy is needed.
        OverflowError: a Python int is outside the range of `dtype`, or of int64.

    >>> import whitewolf as ww
    >>> ww.asarray([[1, 2], [3, 4]], dtype=ww.float64)
    tensor([[1., 2.],
            [3., 4.]], dtype=float64)
    """
    return _convert("asarray", "obj", obj, dtype, device, copy)


def _convert(op: str, name: str, obj: Any, dtype: Any, device: DeviceLike, copy: bool | None) -> Tensor:
    wanted = None if dtype is None else find_dtype(op, dtype)
    if copy is not None:
        check_flag(op, "copy", copy)
    if isinstance(obj, Tensor):
        from .manipulation import astype

        target = obj.device if device is None else find_device(device)
        if target is not obj.device:
            if copy is False:
                raise ValueError(f"{op}: expected copy=None to move from {obj.device} to {target}, got copy=False")
            return obj.to(target) if wanted is None else obj.to(target).to(wanted)
        if wanted is not None and wanted != obj.dtype:
            if copy is False:
                raise ValueError(f"{op}: expected copy=None to change dtype {obj.dtype} to {wanted}, got copy=False")
            return astype(obj, wanted)
        return astype(obj, obj.dtype) if copy else obj
    where = find_device(device)
    is_array = isinstance(obj, (np.ndarray, np.generic)) or hasattr(obj, "__array__") or hasattr(obj, "__array_interface__")
    if is_array or isinstance(obj, (memoryview, bytes, bytearray)) and copy is False:
        try:
            data = np.asarray(obj)
        except (TypeError, ValueError, RuntimeError) as error:  # PyTorch's tensors on a GPU, or that require grad
            raise TypeError(f"{op}: expected {name} that gives NumPy its numbers, got {type(obj).__name__}: {error}") from None
    else:
        if copy is False:
            raise ValueError(f"{op}: expected an array with copy=False, got {type(obj).__name__}, which must be copied")
        data = from_python(op, name, obj, wanted)
    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    if not is_tensors(data.dtype) and (wanted is None or data.dtype.kind not in "fc"):
        raise TypeError(
            f"{op}: expected {name} of numbers of a dtype that tensors have, got {type(obj).__name__} of dtype {data.dtype}"
        )
    if wanted is not None and data.dtype != wanted:
        if copy is False:
            raise ValueError(f"{op}: expected copy=None to change dtype {data.dtype} to {wanted}, got copy=False")
        if data.dtype.kind == "c" and wanted.kind not in "cb":
            raise TypeError(f"{op}: expected a complex dtype for complex numbers, got {wanted}")
        if not is_array and wanted.kind in "iu" and data.dtype.kind in "iuf" and data.size:
            low, high = data.min().item(), data.max().item()
            if not np.iinfo(wanted).min <= low <= high <= np.iinfo(wanted).max:  # NaN is in no bounds
                raise OverflowError(f"{op}: expected {name} of numbers that {wanted} holds, got {low} to {high}")
        with np.errstate(all="ignore"):
            data = data.astype(wanted)
    elif copy and is_array:
        data = np.array(data, order="K")
    if where.name == "cudasim" and copy is not False:  # into guarded memory at once, else each kernel copies it there
        return wrap(where.hold(np.asarray(data)), where)
    return wrap(np.asarray(data), where)


def zeros(shape: Shape, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Zeros; float32 unless `dtype` says otherwise.

    Raises:
        ValueError: a size is negative.

    >>> import whitewolf as ww
    >>> ww.zeros(2)
    tensor([0., 0.])
    """
    return _filled("zeros", shape, 0, _dtype("zeros", dtype), device, requires_grad)


def ones(shape: Shape, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Ones; float32 unless `dtype` says otherwise.

    Raises:
        ValueError: a size is negative.

    >>> import whitewolf as ww
    >>> ww.ones((1, 2), dtype=ww.int8)
    tensor([[1, 1]], dtype=int8)
    """
    return _filled("ones", shape, 1, _dtype("ones", dtype), device, requires_grad)


def empty(shape: Shape, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Uninitialised memory from the block cache; float32 unless `dtype` says otherwise.

    Raises:
        MemoryError: it does not fit; the text has the bytes.
        ValueError: a size is negative.

    >>> import whitewolf as ww
    >>> ww.empty((2, 0)).shape
    (2, 0)
    """
    where = find_device(device)
    return wrap(_empty("empty", where, _shape("empty", shape), _dtype("empty", dtype)), where)


def _empty(op: str, where: Device, shape: tuple[int, ...], dtype: DType, layout: Any = None) -> Any:
    """Memory for the functions that a user hands a shape: what does not fit is an error that names the op."""
    size = math.prod(shape) * dtype.itemsize
    if len(shape) > MAX_NDIM:
        raise ValueError(f"{op}: expected a shape (x.shape) of at most {MAX_NDIM} dimensions, got {len(shape)}")
    try:
        return where.empty(shape, dtype, layout)
    except (MemoryError, ValueError, OverflowError, TypeError):
        raise MemoryError(
            f"{op}: expected shape of a size that fits in memory, got {size} bytes (shape {shape}, {dtype})"
        ) from None


def _filled(op: str, shape: Shape, value: Any, dtype: DType, device: DeviceLike, requires_grad: bool) -> Tensor:
    where = find_device(device)
    data = _empty(op, where, _shape(op, shape), dtype)
    fill(op, "fill_value", data, value)
    return _finish(op, data, where, requires_grad)


def full(shape: Shape, fill_value: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """`fill_value` everywhere; its own dtype unless `dtype` is given (float32 for a float, int64 for an int).

    Raises:
        OverflowError: an integer `dtype` cannot hold `fill_value`.
        ValueError: a size is negative.

    >>> import whitewolf as ww
    >>> ww.full(3, True)
    tensor([ True,  True,  True])
    """
    fill_value = _number("full", "fill_value", fill_value)
    kind = np.asarray(fill_value).dtype if dtype is None else _dtype("full", dtype)
    if dtype is None and not isinstance(fill_value, np.generic):
        kind = {"f": float32, "c": np.dtype("complex64"), "O": np.dtype("int64"), "u": np.dtype("int64")}.get(kind.kind, kind)
    return _filled("full", shape, fill_value, kind, device, requires_grad)


def _like(op: str, x: Tensor, value: Any, dtype: Any, device: DeviceLike, requires_grad: bool) -> Tensor:
    x = check_tensor(op, "x", x)
    where = x.device if device is None else find_device(device)
    data = _empty(op, where, x.shape, _dtype(op, dtype, x.dtype), x._data)
    if value is not None:
        fill(op, "fill_value", data, value)
    return _finish(op, data, where, requires_grad)


def zeros_like(x: Tensor, /, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape, dtype, device and dimension order of x.

    >>> import whitewolf as ww
    >>> ww.zeros_like(ww.asarray([1, 2]))
    tensor([0, 0])
    """
    return _like("zeros_like", x, 0, dtype, device, requires_grad)


def ones_like(x: Tensor, /, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape, dtype, device and dimension order of x.

    >>> import whitewolf as ww
    >>> ww.ones_like(ww.asarray([2.0, 3.0]))
    tensor([1., 1.])
    """
    return _like("ones_like", x, 1, dtype, device, requires_grad)


def empty_like(x: Tensor, /, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Uninitialised memory of the shape, dtype, device and dimension order of x.

    >>> import whitewolf as ww
    >>> ww.empty_like(ww.zeros((2, 3)), dtype=ww.int8).dtype
    dtype('int8')
    """
    return _like("empty_like", x, None, dtype, device, False)


def full_like(
    x: Tensor, /, fill_value: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """`fill_value` in the shape, dtype, device and dimension order of x.

    >>> import whitewolf as ww
    >>> ww.full_like(ww.zeros(2), 7)
    tensor([7., 7.])
    """
    return _like("full_like", x, fill_value, dtype, device, requires_grad)


def from_dlpack(x: Any, /, *, device: DeviceLike = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of another library's array, without a copy on cpu and cuda: a write to one is seen in the other.

    What the other library writes, no version counts: backward cannot tell that a value it saved was overwritten.

    Args:
        x: an array of NumPy, PyTorch, ...: anything with `__dlpack__` and `__dlpack_device__`.
        device: where the tensor shall live; without one, cuda for memory of a GPU, else cpu.
        copy: True always copies; False raises where a copy would be needed; None copies where it must.

    Raises:
        TypeError: `x` has no `__dlpack__`.
        ww.DeviceError: its memory is not on a device that is here.
        BufferError: the library refuses to lend the memory: it requires grad, or has a dtype that we lack.
        ValueError: copy=False where a copy is needed.

    >>> import numpy as np, whitewolf as ww
    >>> a = np.zeros(2)
    >>> x = ww.from_dlpack(a)
    >>> a[0] = 1
    >>> x
    tensor([1., 0.], dtype=float64)
    """
    if not (hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__")):
        raise TypeError(f"from_dlpack: expected x with __dlpack__ and __dlpack_device__, got {type(x).__name__}")
    if copy is not None:
        check_flag("from_dlpack", "copy", copy)
    kind = int(x.__dlpack_device__()[0])
    if kind not in (1, 2, 3):  # kDLCPU, kDLCUDA, kDLCUDAHost
        raise DeviceError(f"from_dlpack: expected x in memory of the CPU or of a CUDA device, got DLPack device type {kind}")
    where = find_device("cuda" if device is None and kind == 2 else device)
    if kind == 2:
        home = find_device("cuda")
        if where is not home and copy is False:
            raise ValueError(f"from_dlpack: expected copy=None to bring x to {where}, got copy=False")
        lent = wrap(home.xp.from_dlpack(x), home)
        lent = share_memory(x, lent) if isinstance(x, Tensor) else lent
        return lent.to(where) if where is not home else wrap(lent._data.copy(), home) if copy else lent
    if where.name != "cpu" and copy is False:
        raise ValueError(f"from_dlpack: expected copy=None to bring x to {where}, got copy=False")
    try:
        if isinstance(x, Tensor):  # the same memory without NumPy between: before 2.2 it makes what it is lent read-only
            x.__dlpack__(max_version=(1, 0))
        data = x._data.view() if isinstance(x, Tensor) else _borrow(x)
    except (BufferError, RuntimeError, ValueError, TypeError) as error:
        raise BufferError(f"from_dlpack: expected x that can be lent, got {type(error).__name__}: {error}") from None
    if copy or where.name != "cpu":
        return wrap(data.copy(), where)
    # Our own tensor, round about: a write to one must make what was saved of the other stale.
    return share_memory(x, wrap(data, where)) if isinstance(x, Tensor) else wrap(data, where)


def _borrow(x: Any) -> Array:
    try:
        return np.from_dlpack(x)
    except (BufferError, RuntimeError, TypeError) as refusal:  # NumPy knows no bfloat16
        data: Array | None = borrow_bfloat16(x)
        if data is None:
            raise refusal
        return data


__all__ = [
    "asarray",
    "empty",
    "empty_like",
    "from_dlpack",
    "full",
    "full_like",
    "ones",
    "ones_like",
    "zeros",
    "zeros_like",
]
