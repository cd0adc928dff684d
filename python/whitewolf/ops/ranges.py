"""Numbers in order: ranges, the identity, grids of coordinates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..device import device as find_device
from ..dtypes import float32
from ..tensor import Tensor, wrap
from ._common import check_flag, check_int, check_size, check_tensor, check_word
from .creation import _dtype, _empty, _number

if TYPE_CHECKING:
    from .creation import DeviceLike


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
        with np.errstate(all="ignore"):
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

    Raises:
        ValueError: a size is negative.

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
    check_word("meshgrid", "indexing", indexing, "xy", "ij")
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


__all__ = ["arange", "eye", "linspace", "meshgrid"]
