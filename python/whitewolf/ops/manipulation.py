"""Shapes, layouts, dtypes and devices. Views wherever strides can say it; the gradient of each is its inverse.

Names and arguments as in the array API standard (2024.12), and `flatten`, `contiguous`, `to` as users of PyTorch know them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..device import NAMES, Device
from ..device import device as find_device
from ..dtypes import find_dtype, is_floating
from ..graph import record
from ..tensor import Tensor, wrap
from ._common import (
    KERNEL_FLOATS,
    check_flag,
    check_ints,
    check_tensor,
    normalize_axes,
    normalize_axis,
    share_memory,
    unbroadcast,
)


def _view(name: str, x: Tensor, data: Any, backward: Any, shared: bool | None = None) -> Tensor:
    """A result that shares x's memory, and so its version; a copy (reshape of a transposed array) is recognised as such."""
    result: Tensor = record(name, data, (x,), backward)
    if shared is None:
        shared = data is x._data or getattr(data, "base", None) is not None and np.may_share_memory(data, x._data)
    if shared:
        share_memory(x, result)
    return result


def reshape(x: Tensor, /, shape: int | Sequence[int], *, copy: bool | None = None) -> Tensor:
    """x in C order with another shape; one size may be -1. A view where the strides allow it.

    Raises:
        ValueError: the sizes do not multiply to x.size, or copy=False where a copy is needed.

    >>> import whitewolf as ww
    >>> ww.reshape(ww.arange(6), (2, -1)).shape
    (2, 3)
    """
    x = check_tensor("reshape", "x", x)
    before = x.shape
    sizes = shape if type(shape) is tuple else check_ints("reshape", "shape", shape)  # NumPy checks a tuple, and faster
    if copy is not None:
        check_flag("reshape", "copy", copy)
    try:
        if sizes and min(sizes) < -1:
            raise ValueError("NumPy takes any negative size for -1")
        data = np.reshape(x._data, sizes)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"reshape: expected a shape of {x.size} elements (x.shape == {before}), got {sizes}") from None
    shared = np.may_share_memory(data, x._data)
    if copy is False and not shared and x.size:
        raise ValueError(
            f"reshape: expected copy=None or True for shape {sizes}, which x.strides == {x.strides} do not give as a view, got copy=False"
        )
    if copy and shared:
        data, shared = data.copy(), False
    return _view("reshape", x, data, lambda node, grad: (reshape(grad, before),), shared)


def permute_dims(x: Tensor, /, axes: Sequence[int]) -> Tensor:
    """x with its dimensions in the order `axes`; a view.

    Raises:
        ValueError: `axes` does not name each dimension once.
        IndexError: an axis is outside.

    >>> import whitewolf as ww
    >>> ww.permute_dims(ww.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    x = check_tensor("permute_dims", "x", x)
    axes = check_ints("permute_dims", "axes", axes)
    order = normalize_axes("permute_dims", axes, x.ndim, "axes")
    if len(order) != x.ndim:
        raise ValueError(f"permute_dims: expected axes to name all {x.ndim} dimensions, got {axes}")
    inverse = tuple(int(i) for i in np.argsort(order))
    return _view("permute_dims", x, x._data.transpose(order), lambda node, grad: (permute_dims(grad, inverse),))


def matrix_transpose(x: Tensor, /) -> Tensor:
    """x with its last two dimensions exchanged; a view.

    Raises:
        ValueError: x has fewer than two.

    >>> import whitewolf as ww
    >>> ww.matrix_transpose(ww.zeros((5, 2, 3))).shape
    (5, 3, 2)
    """
    x = check_tensor("matrix_transpose", "x", x)
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose: expected x of at least 2 dimensions, got x.shape == {x.shape}")
    return _view("matrix_transpose", x, x._data.swapaxes(-1, -2), lambda node, grad: (matrix_transpose(grad),))


def transpose(x: Tensor, axis0: int, axis1: int) -> Tensor:
    """x with two dimensions exchanged; a view.

    >>> import whitewolf as ww
    >>> ww.transpose(ww.zeros((2, 3, 4)), 0, -1).shape
    (4, 3, 2)
    """
    order = list(range(check_tensor("transpose", "x", x).ndim))
    a, b = normalize_axis("transpose", axis0, x.ndim, "axis0"), normalize_axis("transpose", axis1, x.ndim, "axis1")
    order[a], order[b] = b, a
    return permute_dims(x, order)


def moveaxis(x: Tensor, source: int | Sequence[int], destination: int | Sequence[int], /) -> Tensor:
    """x with the dimensions `source` moved to the places `destination`; a view.

    Raises:
        ValueError: a dimension is named twice, or the two differ in length.
        IndexError: a dimension is outside.

    >>> import whitewolf as ww
    >>> ww.moveaxis(ww.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = check_tensor("moveaxis", "x", x)
    src = normalize_axes("moveaxis", check_ints("moveaxis", "source", source), x.ndim, "source")
    dst = normalize_axes("moveaxis", check_ints("moveaxis", "destination", destination), x.ndim, "destination")
    if len(src) != len(dst):
        raise ValueError(f"moveaxis: expected as many places in destination as in source, got {source} and {destination}")
    order = [i for i in range(x.ndim) if i not in src]
    for d, s in sorted(zip(dst, src)):
        order.insert(d, s)
    return permute_dims(x, order)


def squeeze(x: Tensor, /, axis: int | Sequence[int] | None = None) -> Tensor:
    """x without the dimensions `axis`, each of size 1; None means all of size 1.

    Raises:
        ValueError: a dimension has another size.
        IndexError: a dimension is outside.

    >>> import whitewolf as ww
    >>> ww.squeeze(ww.zeros((1, 3, 1)), 0).shape
    (3, 1)
    """
    x = check_tensor("squeeze", "x", x)
    if axis is None:
        axes = tuple(i for i, n in enumerate(x.shape) if n == 1)
    else:
        axes = normalize_axes("squeeze", axis, x.ndim)
        for a in axes:
            if x.shape[a] != 1:
                raise ValueError(f"squeeze: expected x.shape[{a}] == 1, got x.shape == {x.shape}")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def expand_dims(x: Tensor, /, *, axis: int = 0) -> Tensor:
    """x with a dimension of size 1 at `axis`; a view.

    Raises:
        IndexError: `axis` is outside [-x.ndim - 1, x.ndim + 1).

    >>> import whitewolf as ww
    >>> ww.expand_dims(ww.zeros((2, 3)), axis=-1).shape
    (2, 3, 1)
    """
    return _expand("expand_dims", x, axis)


def unsqueeze(x: Tensor, axis: int) -> Tensor:
    """expand_dims under PyTorch's name.

    >>> import whitewolf as ww
    >>> ww.unsqueeze(ww.zeros(3), 0).shape
    (1, 3)
    """
    return _expand("unsqueeze", x, axis)


def _expand(op: str, x: Tensor, axis: int) -> Tensor:
    x = check_tensor(op, "x", x)
    at = normalize_axis(op, axis, x.ndim + 1)
    return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """x with the dimensions start_dim to end_dim as one, in C order.

    >>> import whitewolf as ww
    >>> ww.flatten(ww.zeros((2, 3, 4)), 1).shape
    (2, 12)
    """
    x = check_tensor("flatten", "x", x)
    if x.ndim == 0:
        return reshape(x, (1,))
    start, end = normalize_axis("flatten", start_dim, x.ndim, "start_dim"), normalize_axis("flatten", end_dim, x.ndim, "end_dim")
    if start > end:
        raise ValueError(f"flatten: expected start_dim <= end_dim, got {start_dim} and {end_dim}")
    middle = int(np.prod(x.shape[start : end + 1], dtype=np.int64))
    return reshape(x, (*x.shape[:start], middle, *x.shape[end + 1 :]))


_COPIED_FROM = tuple(np.dtype(name) for name in ("bool", "int32", "int64", "float32", "float64"))


def _copy(data: Any, x: Tensor) -> None:
    """data[...] = x, converted: our kernel where it goes to float32 or float64, the array library's otherwise."""
    if data.dtype in KERNEL_FLOATS and x._data.dtype in _COPIED_FROM and data.ndim <= 12:
        x.device.kernels["copy_forward"](data, x._data)
    else:
        with np.errstate(all="ignore"):
            data[...] = x._data


def contiguous(x: Tensor) -> Tensor:
    """x itself if it is in C order without gaps, else a copy that is.

    >>> import whitewolf as ww
    >>> ww.zeros((2, 3)).T.contiguous().strides
    (8, 4)
    """
    x = check_tensor("contiguous", "x", x)
    if x._data.flags.c_contiguous:
        return x
    data = x.device.empty(x.shape, x.dtype)
    _copy(data, x)
    return record("contiguous", data, (x,), lambda node, grad: (grad,))  # type: ignore[no-any-return]


def broadcast_to(x: Tensor, /, shape: Sequence[int]) -> Tensor:
    """x repeated along dimensions of size 1 without a copy: their stride is zero.

    Raises:
        ValueError: x.shape does not broadcast to `shape`.

    >>> import whitewolf as ww
    >>> ww.broadcast_to(ww.asarray([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    x = check_tensor("broadcast_to", "x", x)
    before, sizes = x.shape, check_ints("broadcast_to", "shape", shape)
    try:
        data = np.broadcast_to(x._data, sizes)
    except (ValueError, OverflowError):
        raise ValueError(f"broadcast_to: expected a shape that x.shape == {before} broadcasts to, got {sizes}") from None
    return _view("broadcast_to", x, data, lambda node, grad: (unbroadcast(grad, before),))


def flip(x: Tensor, /, *, axis: int | Sequence[int] | None = None) -> Tensor:
    """x backwards along `axis` (None: all); a view with negative strides.

    >>> import whitewolf as ww
    >>> ww.flip(ww.asarray([1, 2, 3]))
    tensor([3, 2, 1])
    """
    x = check_tensor("flip", "x", x)
    axes = normalize_axes("flip", axis, x.ndim)
    key = tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(x.ndim))
    return _view("flip", x, x._data[key], lambda node, grad: (flip(grad, axis=axes),))


def pad_constant(x: Tensor, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """x with `widths[i] = (before, after)` elements of `value` around dimension i; negative widths cut."""
    x = check_tensor("pad", "x", x)
    if len(widths) != x.ndim:
        raise ValueError(f"pad: expected one (before, after) for each of {x.ndim} dimensions, got {len(widths)}")
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, widths))
    if any(n < 0 for n in shape):
        raise ValueError(f"pad: expected widths that leave sizes >= 0, got {tuple(widths)} for x.shape == {x.shape}")
    inner = tuple(slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(shape, widths))
    outer = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, widths))
    data = x.device.empty(shape, x.dtype, x._data)
    with np.errstate(over="ignore"):  # a number beyond a float's range is infinite
        data.fill(value)
    data[inner] = x._data[outer]
    back = [(-a, -b) for a, b in widths]
    return record("pad", data, (x,), lambda node, grad: (pad_constant(grad, back),))  # type: ignore[no-any-return]


def astype(x: Tensor, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """x converted to `dtype`; x itself if it has it and copy=False. Gradients flow between floating dtypes.

    Raises:
        TypeError: from complex to real.

    >>> import whitewolf as ww
    >>> ww.astype(ww.asarray([1.5, 0.0]), ww.bool)
    tensor([ True, False])
    """
    x = check_tensor("astype", "x", x)
    target, before = find_dtype("astype", dtype), x.dtype
    check_flag("astype", "copy", copy)
    if device is not None:
        x = to(x, find_device(device))
    if target == before and not copy:
        return x
    if before.kind == "c" and target.kind not in "cb":
        raise TypeError(f"astype: expected a complex dtype for a complex x, got {target}; take its real part first")
    data = x.device.empty(x.shape, target, x._data)
    _copy(data, x)
    if not is_floating(target) or not is_floating(before):
        return wrap(data, x.device)
    return record("astype", data, (x,), lambda node, grad: (astype(grad, before, copy=False),))  # type: ignore[no-any-return]


def to(x: Tensor, target: Any) -> Tensor:
    """x on another device, or in another dtype; x itself if it is there already.

    Raises:
        ww.DeviceError: the device is not there.
    """
    x = check_tensor("to", "x", x)
    if not isinstance(target, Device) and not (isinstance(target, str) and target in NAMES):
        try:
            dtype = find_dtype("to", target, "target")
        except TypeError:
            raise TypeError(f"to: expected target to be a device ({', '.join(NAMES)}) or a dtype, got {target!r}") from None
        return astype(x, dtype, copy=False)
    where = find_device(target)
    if where is x.device:
        return x
    home = x.device
    result: Tensor = record("to", x._data, (x,), lambda node, grad: (to(grad, home),))
    result._data, result.device = where.hold(x.numpy()), where
    return result


__all__ = [
    "astype",
    "broadcast_to",
    "expand_dims",
    "flatten",
    "flip",
    "matrix_transpose",
    "moveaxis",
    "permute_dims",
    "reshape",
    "squeeze",
    "transpose",
    "unsqueeze",
]
