"""Arrays from nothing, from Python, and from other libraries. Names and arguments as in the array API standard (2024.12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._errors import DeviceError
from ..device import Device
from ..device import device as find_device
from ..dtypes import DType, float32
from ..tensor import Tensor, wrap
from ._common import check_tensor

if TYPE_CHECKING:
    Shape: TypeAlias = "int | Sequence[int]"
    DeviceLike: TypeAlias = "str | Device | None"


def _shape(op: str, shape: Shape) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else shape
    try:
        found = tuple(int(n.__index__()) for n in sizes)
    except (AttributeError, TypeError):
        raise TypeError(f"{op}: expected shape to be an int or a sequence of ints, got {shape!r}") from None
    if any(n < 0 for n in found):
        raise ValueError(f"{op}: expected shape without negative sizes, got {found}")
    return found


def _dtype(dtype: Any, default: DType = float32) -> DType:
    return default if dtype is None else np.dtype(dtype)


def _finish(data: Any, device: Device, requires_grad: bool) -> Tensor:
    result = wrap(data, device)
    return result.requires_grad_() if requires_grad else result


def asarray(obj: Any, /, *, dtype: Any = None, device: DeviceLike = None, copy: bool | None = None) -> Tensor:
    """A tensor of `obj`: numbers, nested lists of them, a NumPy array, anything with `__array__`, or a Tensor.

    NumPy arrays keep their dtype; Python floats become float32, ints int64, complex numbers complex64.

    Args:
        copy: True always copies; False raises where a copy would be needed; None copies where it must.

    Raises:
        TypeError: `obj` holds something else than numbers.
        ValueError: lists of unequal lengths, or copy=False where a copy is needed.
    """
    if isinstance(obj, Tensor):
        from .manipulation import astype

        target = obj.device if device is None else find_device(device)
        if target is not obj.device:
            if copy is False:
                raise ValueError(f"asarray: expected copy=None to move from {obj.device} to {target}, got copy=False")
            return obj.to(target) if dtype is None else obj.to(target).to(dtype)
        if dtype is not None and np.dtype(dtype) != obj.dtype:
            if copy is False:
                raise ValueError(f"asarray: expected copy=None to change dtype {obj.dtype} to {np.dtype(dtype)}, got copy=False")
            return astype(obj, dtype)
        return wrap(obj._data.copy(), obj.device) if copy else obj
    where = find_device(device)
    is_array = isinstance(obj, (np.ndarray, np.generic)) or hasattr(obj, "__array__") or hasattr(obj, "__array_interface__")
    if is_array or isinstance(obj, (memoryview, bytes, bytearray)) and copy is False:
        data = np.asarray(obj)
    else:
        if copy is False:
            raise ValueError(f"asarray: expected an array with copy=False, got {type(obj).__name__}, which must be copied")
        try:
            data = np.array([t.numpy() if isinstance(t, Tensor) else t for t in obj] if isinstance(obj, (list, tuple)) else obj)
        except ValueError as error:
            raise ValueError(f"asarray: expected nested lists of equal lengths, got {error}") from None
        if dtype is None:
            has_arrays = isinstance(obj, (list, tuple)) and any(isinstance(t, (np.ndarray, np.generic, Tensor)) for t in obj)
            if not has_arrays and data.dtype == np.float64:
                data = data.astype(np.float32)
            elif not has_arrays and data.dtype == np.complex128:
                data = data.astype(np.complex64)
    if data.dtype.kind not in "biufcV" or (data.dtype.kind == "V" and data.dtype.name != "bfloat16"):
        raise TypeError(f"asarray: expected numbers, got {type(obj).__name__} of dtype {data.dtype}")
    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    if dtype is not None and data.dtype != np.dtype(dtype):
        if copy is False:
            raise ValueError(f"asarray: expected copy=None to change dtype {data.dtype} to {np.dtype(dtype)}, got copy=False")
        data = data.astype(np.dtype(dtype))
    elif copy and is_array:
        data = np.array(data, order="K")
    return wrap(np.asarray(data), where)


def zeros(shape: Shape, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Zeros; float32 unless `dtype` says otherwise.

    >>> import whitewolf as ww
    >>> ww.zeros(2)
    tensor([0., 0.])
    """
    return full(shape, 0, dtype=_dtype(dtype), device=device, requires_grad=requires_grad)


def ones(shape: Shape, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Ones; float32 unless `dtype` says otherwise."""
    return full(shape, 1, dtype=_dtype(dtype), device=device, requires_grad=requires_grad)


def empty(shape: Shape, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Uninitialised memory from the block cache; float32 unless `dtype` says otherwise.

    Raises:
        MemoryError: it does not fit; the text has the bytes.
    """
    where = find_device(device)
    return wrap(where.empty(_shape("empty", shape), _dtype(dtype)), where)


def full(shape: Shape, fill_value: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """`fill_value` everywhere; its own dtype unless `dtype` is given (float32 for a float, int64 for an int)."""
    where = find_device(device)
    if dtype is None:
        dtype = asarray(fill_value).dtype
    data = where.empty(_shape("full", shape), np.dtype(dtype))
    data.fill(fill_value.item() if isinstance(fill_value, Tensor) else fill_value)
    return _finish(data, where, requires_grad)


def _like(op: str, x: Tensor, value: Any, dtype: Any, device: DeviceLike, requires_grad: bool) -> Tensor:
    x = check_tensor(op, "x", x)
    where = x.device if device is None else find_device(device)
    data = where.empty(x.shape, _dtype(dtype, x.dtype), x._data)
    if value is not None:
        data.fill(value)
    return _finish(data, where, requires_grad)


def zeros_like(x: Tensor, /, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape, dtype, device and dimension order of x."""
    return _like("zeros_like", x, 0, dtype, device, requires_grad)


def ones_like(x: Tensor, /, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape, dtype, device and dimension order of x."""
    return _like("ones_like", x, 1, dtype, device, requires_grad)


def empty_like(x: Tensor, /, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Uninitialised memory of the shape, dtype, device and dimension order of x."""
    return _like("empty_like", x, None, dtype, device, False)


def full_like(
    x: Tensor, /, fill_value: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """`fill_value` in the shape, dtype, device and dimension order of x."""
    return _like("full_like", x, fill_value, dtype, device, requires_grad)


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """start, start + step, ... below stop; int64 if all are ints, else float32.

    >>> import whitewolf as ww
    >>> ww.arange(3)
    tensor([0, 1, 2])
    """
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ValueError("arange: expected step != 0, got 0")
    integers = all(isinstance(v, (int, np.integer)) for v in (start, stop, step))
    data = np.arange(start, stop, step, dtype=_dtype(dtype, np.dtype("int64") if integers else float32))
    return wrap(data, find_device(device))


def linspace(start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: DeviceLike = None, endpoint: bool = True) -> Tensor:
    """`num` evenly spaced numbers from start to stop; float32 unless `dtype` says otherwise."""
    if num < 0:
        raise ValueError(f"linspace: expected num >= 0, got {num}")
    kind = complex if isinstance(start, complex) or isinstance(stop, complex) else float
    default = np.dtype("complex64") if kind is complex else float32
    return wrap(np.linspace(start, stop, num, endpoint=endpoint).astype(_dtype(dtype, default)), find_device(device))


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Ones on the k-th diagonal, zeros elsewhere."""
    return wrap(np.eye(n_rows, n_cols, k=k, dtype=_dtype(dtype)), find_device(device))


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Coordinate arrays from 1-d coordinates; `indexing` is "xy" or "ij"."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: expected indexing to be 'xy' or 'ij', got {indexing!r}")
    from .manipulation import broadcast_to, reshape

    xs = [check_tensor("meshgrid", f"arrays[{i}]", a) for i, a in enumerate(arrays)]
    order = list(range(len(xs)))
    if indexing == "xy" and len(xs) > 1:
        order[0], order[1] = 1, 0
    shape = [0] * len(xs)
    for i, x in enumerate(xs):
        shape[order[i]] = x.size
    return [
        broadcast_to(reshape(x, tuple(x.size if order[i] == d else 1 for d in range(len(xs)))), tuple(shape))
        for i, x in enumerate(xs)
    ]


def from_dlpack(x: Any, /, *, device: DeviceLike = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of another library's array, without a copy on cpu.

    Raises:
        TypeError: `x` has no `__dlpack__`.
        ww.DeviceError: its memory is not on a device that is here.
    """
    if not hasattr(x, "__dlpack__"):
        raise TypeError(f"from_dlpack: expected an object with __dlpack__, got {type(x).__name__}")
    kind = int(x.__dlpack_device__()[0])
    if kind not in (1, 3):  # kDLCPU, kDLCUDAHost
        raise DeviceError(f"from_dlpack: expected memory of the CPU, got DLPack device type {kind}")
    data = np.from_dlpack(x)
    return wrap(data.copy() if copy else data, find_device(device))


__all__ = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "zeros",
    "zeros_like",
]
