"""The precision of matrix products and convolutions: never less than the dtype's unless it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from inspect import isgeneratorfunction
from types import TracebackType
from typing import Any

import numpy as np

from .device import Array, Device
from .dtypes import float32, is_sixteen_bit
from .graph import _mode

NAMES = ("float32", "tf32", "bfloat16", "float16")


class precision:
    """A scope, or a decorator, in which float32 products may be less exact: matmul, linear layers and convolutions, all their gradients.

    Both operands are rounded: "tf32" keeps 10 bits of the fraction and all exponents, "bfloat16" 7 bits, "float16" 10 bits and
    magnitudes up to 65504 (beyond that they become infinite, and below 2^-24 zero: scale the loss, see `ww.amp.GradScaler`). Products
    and sums are float32, as in tensor cores, which compute them where the device has kernels for that precision
    (`ww.kernels.list()` says); elsewhere the operands are rounded first and float32 kernels run. "float32" ends the outer scope's.

    An op's backward runs in the precision of its forward, wherever it is called. Everything else computes in the dtype of its tensors:
    float64 products, recurrent layers' own kernels, attention, sums, elementwise functions.

    Args:
        name: "float32", "tf32", "bfloat16" or "float16". The scope is for this thread alone.

    Raises:
        ValueError: there is no precision of that name.
        TypeError: it is no string.

    >>> import whitewolf as ww
    >>> x = ww.asarray([[1 + 2**-9]])
    >>> with ww.precision("bfloat16"):
    ...     y = x @ x
    >>> y.item(), ww.precision("tf32")(ww.matmul)(x, x).item() == (x @ x).item()
    (1.0, True)
    """

    __slots__ = ("_name", "_before")

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"precision: expected name to be a string, got {type(name).__name__}")
        if name not in NAMES:
            raise ValueError(f"precision: expected name to be one of {', '.join(NAMES)}, got {name!r}")
        self._name = name
        self._before: list[str] = []

    def __enter__(self) -> None:
        self._before.append(_mode.precision)
        _mode.precision = self._name

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _mode.precision = self._before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if isgeneratorfunction(function):  # it would run after the scope has ended
            raise TypeError(f"precision: expected a function, got the generator {function.__qualname__}; write `with` in it")

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with precision(self._name):
                return function(*args, **kwargs)

        return wrapped


def get_precision() -> str:
    """The precision of float32 products in this thread.

    >>> import whitewolf as ww
    >>> ww.get_precision()
    'float32'
    """
    return _mode.precision


def run_product(device: Device, op: str, out: Array, left: Array, right: Array, *rest: Any, **attributes: Any) -> None:
    """Runs a kernel that multiplies `left` with `right`, in the precision of the scope."""
    name = _mode.precision
    if name == "float32" or out.dtype != np.float32:
        if out.dtype.itemsize == 2 and not _takes(device, op, out.dtype.name):
            run_rounded(device, op, out, left, right, *rest, **attributes)
        else:
            device.kernels[op](out, left, right, *rest, **attributes)
        return
    kernel = _variant(device, op, name)
    if kernel is not None:
        kernel(out, left, right, *rest, **attributes)
    else:
        device.kernels[op](out, rounded(left, name), rounded(right, name), *rest, **attributes)


def run_rounded(device: Device, op: str, out: Array, *arrays: Any, **attributes: Any) -> None:
    """Runs a kernel on float32 copies of its 16-bit arrays, which hold them exactly, and rounds its result into `out`."""
    wide = device.empty(out.shape, float32, out)
    device.kernels[op](wide, *(widened(a) for a in arrays), **attributes)
    round_into(out, wide)


def run_step(device: Device, op: str, *lists: list[Any], **attributes: Any) -> None:
    """Runs a kernel that changes lists of arrays of one dtype in place; 16-bit ones as float32, rounded back once."""
    if not any(is_sixteen_bit(a.dtype) for a in lists[0]):
        device.kernels[op](*lists, **attributes)
        return
    wide = [[widened(a) for a in arrays] for arrays in lists]
    device.kernels[op](*wide, **attributes)
    for arrays, new in zip(lists, wide):
        for array, values in zip(arrays, new):
            round_into(array, values)


def widened(array: Any) -> Any:
    """A 16-bit array as float32; anything else as it is."""
    return array if array is None or not is_sixteen_bit(array.dtype) else array.astype(float32)


def round_into(out: Array, wide: Array) -> None:
    """out[...] = wide: to nearest, ties to even, and infinity beyond the range."""
    with np.errstate(all="ignore"):
        out[...] = wide


@cache
def _takes(device: Device, op: str, dtype: str) -> bool:
    """Whether the device has a kernel for arrays of that dtype: tensor cores have, for 16-bit products."""
    return any(row["op"] == op and dtype in row["dtypes"] for row in device.module.list())


@cache
def _variant(device: Device, op: str, name: str) -> Any:
    """The device's kernel of that precision, or None."""
    found = [row["variant"] for row in device.module.list() if row["op"] == op and row["precision"] == name]
    return device.module.get(op, found[0]) if found else None


def rounded(x: Array, name: str) -> Array:
    """float32 elements rounded to a narrower format and back: to nearest, ties to even (tf32: away from zero, as the hardware does)."""
    if name == "float16":
        with np.errstate(over="ignore"):
            return x.astype(np.float16).astype(np.float32)
    bits = x.view(np.uint32)
    if name == "tf32":
        short = (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    else:
        short = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    found: Array = short.view(np.float32)
    # A NaN's payload could carry over into the sign, or be cut down to infinity's.
    return np.where(x == x, found, x) if isinstance(x, np.ndarray) else _where(x, found)


def _where(x: Any, found: Any) -> Any:
    found[x != x] = np.nan
    return found


__all__ = ["get_precision", "precision"]
