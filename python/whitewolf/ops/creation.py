"""Arrays from nothing, from Python, and from other libraries. Names and arguments as in the array API standard (2024.12)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._errors import DeviceError
from ..device import Device
from ..device import device as find_device
from ..dtypes import DType, find_dtype, float32
from ..tensor import Tensor, wrap
from ._common import MAX_NDIM, SCALARS, check_flag, check_int, check_ints, check_size, check_tensor, share_memory

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


def _fill(op: str, data: Any, value: Any) -> None:
    value = _number(op, "fill_value", value)
    if isinstance(value, complex) and data.dtype.kind != "c":
        raise TypeError(f"{op}: expected fill_value of a real number for dtype {data.dtype}, got {value}")
    if data.dtype.kind in "iu" and not (
        math.isfinite(value.real) and np.iinfo(data.dtype).min <= value.real <= np.iinfo(data.dtype).max
    ):
        raise OverflowError(f"{op}: expected fill_value in the range of {data.dtype}, got {value}")
    with np.errstate(all="ignore"):
        data.fill(value)


def _finish(op: str, data: Any, device: Device, requires_grad: bool) -> Tensor:
    result = wrap(data, device)
    return result.requires_grad_() if check_flag(op, "requires_grad", requires_grad) else result


def asarray(obj: Any, /, *, dtype: Any = None, device: DeviceLike = None, copy: bool | None = None) -> Tensor:
    """A tensor of `obj`: numbers, nested lists of them, a NumPy array, anything with `__array__`, or a Tensor.

    NumPy arrays keep their dtype; Python floats become float32, ints int64, complex numbers complex64.

    Args:
        copy: True always copies; False raises where a copy would be needed; None copies where it must.

    Raises:
        TypeError: `obj` holds something else than numbers.
        ValueError: lists of unequal lengths, or copy=False where a copy is needed.

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
        data = np.asarray(obj)
    else:
        if copy is False:
            raise ValueError(f"{op}: expected an array with copy=False, got {type(obj).__name__}, which must be copied")
        try:
            data = np.array([t.numpy() if isinstance(t, Tensor) else t for t in obj] if isinstance(obj, (list, tuple)) else obj)
        except (ValueError, RuntimeError, RecursionError) as error:
            raise ValueError(f"{op}: expected {name} of nested lists of equal lengths, got {error}") from None
        if dtype is None:
            has_arrays = isinstance(obj, (list, tuple)) and any(isinstance(t, (np.ndarray, np.generic, Tensor)) for t in obj)
            if not has_arrays and data.dtype == np.float64:
                data = data.astype(np.float32)
            elif not has_arrays and data.dtype == np.complex128:
                data = data.astype(np.complex64)
    if data.dtype.kind not in "biufcV" or (data.dtype.kind == "V" and data.dtype.name != "bfloat16"):
        raise TypeError(f"{op}: expected {name} of numbers, got {type(obj).__name__} of dtype {data.dtype}")
    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    if wanted is not None and data.dtype != wanted:
        if copy is False:
            raise ValueError(f"{op}: expected copy=None to change dtype {data.dtype} to {wanted}, got copy=False")
        if data.dtype.kind == "c" and wanted.kind not in "cb":
            raise TypeError(f"{op}: expected a complex dtype for complex numbers, got {wanted}")
        with np.errstate(all="ignore"):
            data = data.astype(wanted)
    elif copy and is_array:
        data = np.array(data, order="K")
    return wrap(np.asarray(data), where)


def zeros(shape: Shape, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Zeros; float32 unless `dtype` says otherwise.

    >>> import whitewolf as ww
    >>> ww.zeros(2)
    tensor([0., 0.])
    """
    return _filled("zeros", shape, 0, _dtype("zeros", dtype), device, requires_grad)


def ones(shape: Shape, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Ones; float32 unless `dtype` says otherwise.

    >>> import whitewolf as ww
    >>> ww.ones((1, 2), dtype=ww.int8)
    tensor([[1, 1]], dtype=int8)
    """
    return _filled("ones", shape, 1, _dtype("ones", dtype), device, requires_grad)


def empty(shape: Shape, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Uninitialised memory from the block cache; float32 unless `dtype` says otherwise.

    Raises:
        MemoryError: it does not fit; the text has the bytes.

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
    _fill(op, data, value)
    return _finish(op, data, where, requires_grad)


def full(shape: Shape, fill_value: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """`fill_value` everywhere; its own dtype unless `dtype` is given (float32 for a float, int64 for an int).

    Raises:
        OverflowError: an integer `dtype` cannot hold `fill_value`.

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
        _fill(op, data, value)
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


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """start, start + step, ... below stop; int64 if all are ints, else float32.

    Raises:
        ValueError: step is 0.
        MemoryError: there are more numbers than fit.

    >>> import whitewolf as ww
    >>> ww.arange(3)
    tensor([0, 1, 2])
    """
    if stop is None:
        start, stop = 0, start
    start, stop, step = (_real("arange", n, v) for n, v in (("start", start), ("stop", stop), ("step", step)))
    if step == 0:
        raise ValueError("arange: expected step != 0, got 0")
    integers = all(isinstance(v, (int, np.integer)) for v in (start, stop, step))
    kind, where = _dtype("arange", dtype, np.dtype("int64") if integers else float32), find_device(device)
    span = (stop - start) / step
    if not math.isfinite(span):
        raise ValueError(f"arange: expected finite start, stop and step, got {start}, {stop} and {step}")
    n = max(0, -((start - stop) // step) if integers else math.ceil(span))
    if kind.kind == "b" and n > 2:
        raise TypeError(f"arange: expected dtype of numbers, got {kind}")
    check_size("arange", int(n), kind, "stop")
    try:
        data = np.arange(start, stop, step, dtype=kind)
    except OverflowError:
        raise OverflowError(f"arange: expected start and stop in the range of {kind}, got {start} and {stop}") from None
    return wrap(data, where)


def _real(op: str, name: str, value: Any) -> Any:
    value = _number(op, name, value)
    if isinstance(value, (complex, np.complexfloating)):
        raise TypeError(f"{op}: expected {name} to be a real number, got {value}")
    return value


def linspace(start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: DeviceLike = None, endpoint: bool = True) -> Tensor:
    """`num` evenly spaced numbers from start to stop; float32 unless `dtype` says otherwise.

    Args:
        endpoint: whether stop is the last of them.

    Raises:
        ValueError: num < 0.

    >>> import whitewolf as ww
    >>> ww.linspace(0, 1, 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    start, stop, num = _number("linspace", "start", start), _number("linspace", "stop", stop), check_int("linspace", "num", num)
    check_flag("linspace", "endpoint", endpoint)
    for name, end in (("start", start), ("stop", stop)):
        if isinstance(end, int) and abs(end) > 2**63:
            raise OverflowError(f"linspace: expected {name} in the range of int64, got {end}")
    if num < 0:
        raise ValueError(f"linspace: expected num >= 0, got {num}")
    complex_ends = isinstance(start, (complex, np.complexfloating)) or isinstance(stop, (complex, np.complexfloating))
    kind = _dtype("linspace", dtype, np.dtype("complex64") if complex_ends else float32)
    if complex_ends and kind.kind != "c":
        raise TypeError(f"linspace: expected a complex dtype between {start} and {stop}, got {kind}")
    check_size("linspace", num, np.dtype("float64"), "num")
    where = find_device(device)
    with np.errstate(all="ignore"):
        return wrap(np.linspace(start, stop, num, endpoint=endpoint).astype(kind), where)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Ones on the k-th diagonal of a matrix, zeros elsewhere.

    >>> import whitewolf as ww
    >>> ww.eye(2, 3, k=1)
    tensor([[0., 1., 0.],
            [0., 0., 1.]])
    """
    rows = check_int("eye", "n_rows", n_rows), check_int("eye", "n_cols", n_rows if n_cols is None else n_cols)
    for name, n in zip(("n_rows", "n_cols"), rows):
        if n < 0:
            raise ValueError(f"eye: expected {name} >= 0, got {n}")
    kind, where, k = _dtype("eye", dtype), find_device(device), check_int("eye", "k", k)
    check_size("eye", rows[0] * rows[1], kind, "n_rows and n_cols")
    data = _empty("eye", where, rows, kind)
    data.fill(0)
    for_row = max(0, -k)  # the first row that the diagonal crosses
    n = min(rows[0] - for_row, rows[1] - max(0, k))
    if n > 0:
        at = np.arange(n)
        data[at + for_row, at + max(0, k)] = 1
    return wrap(data, where)


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Coordinate arrays from 1-d coordinates: array i varies along dimension i alone ("xy": with the first two exchanged).

    Raises:
        ValueError: `indexing` is neither "xy" nor "ij", an array is not 1-d, or their dtypes differ.

    >>> import whitewolf as ww
    >>> x, y = ww.meshgrid(ww.asarray([1, 2]), ww.asarray([3, 4, 5]))
    >>> x.shape, y[:, 0]
    ((3, 2), tensor([3, 4, 5]))
    """
    if not isinstance(indexing, str) or indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: expected indexing to be 'xy' or 'ij', got {indexing!r}")
    from .manipulation import broadcast_to, reshape

    xs = [check_tensor("meshgrid", f"arrays[{i}]", a) for i, a in enumerate(arrays)]
    for i, x in enumerate(xs):
        if x.ndim != 1:
            raise ValueError(f"meshgrid: expected arrays[{i}] of 1 dimension, got shape {x.shape}")
        if x.dtype != xs[0].dtype:
            raise ValueError(f"meshgrid: expected arrays[{i}].dtype == {xs[0].dtype} (as arrays[0]), got {x.dtype}")
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
    """A tensor over the memory of another library's array, without a copy on cpu and cuda: a write to one is seen in the other.

    What the other library writes, no version counts: backward cannot tell that a value it saved was overwritten.

    Args:
        x: an array of NumPy, PyTorch, ...: anything with `__dlpack__` and `__dlpack_device__`.
        device: where the tensor shall live; without one, cuda for memory of a GPU, else cpu.
        copy: True always copies; False raises where a copy would be needed; None copies where it must.

    Raises:
        TypeError: `x` has no `__dlpack__`.
        ww.DeviceError: its memory is not on a device that is here.
        BufferError: the library refuses to lend the memory: it requires grad, or has a dtype that NumPy lacks (bfloat16).
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
        data = x._data.view() if isinstance(x, Tensor) else np.from_dlpack(x)
    except (BufferError, RuntimeError, ValueError, TypeError) as error:
        raise BufferError(f"from_dlpack: expected x that can be lent, got {type(error).__name__}: {error}") from None
    if copy or where.name != "cpu":
        return wrap(data.copy(), where)
    # Our own tensor, round about: a write to one must make what was saved of the other stale.
    return share_memory(x, wrap(data, where)) if isinstance(x, Tensor) else wrap(data, where)


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
