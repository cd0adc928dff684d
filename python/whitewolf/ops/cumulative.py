"""Running sums and products along an axis, and differences, which undo the sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import is_sixteen_bit
from ..graph import Node, record, save_output, saved_output
from ..tensor import Tensor, wrap
from ._common import KERNEL_FLOATS, check_flag, check_same_device, check_tensor, normalize_axis
from ._sixteen import through_float32
from .elementwise import _library, add, divide, multiply, subtract
from .joining import concat
from .logic import not_equal
from .manipulation import flip
from .reduce import _wide


def _start(op: str, x: Tensor, axis: int | None, dtype: Any, include_initial: bool) -> tuple[Tensor, int]:
    check_flag(op, "include_initial", include_initial)
    x = _wide(op, check_tensor(op, "x", x), dtype)
    if axis is None and x.ndim != 1:
        raise ValueError(f"{op}: expected axis for x of {x.ndim} dimensions, got None")
    if x.ndim == 0:
        raise ValueError(f"{op}: expected x of at least 1 dimension, got a 0-d tensor")
    return x, normalize_axis(op, 0 if axis is None else axis, x.ndim)


def _slice(x: Tensor, at: int, value: int) -> Tensor:
    """One slice of `value` across `at`."""
    return wrap(x.device.xp.full((*x.shape[:at], 1, *x.shape[at + 1 :]), value, x.dtype), x.device)


def _part(x: Tensor, at: int, start: int | None, stop: int | None) -> Tensor:
    return x[(slice(None),) * at + (slice(start, stop),)]


def _from_behind(x: Tensor, at: int) -> Tensor:
    """y_i = the sum of x_j for j >= i: the adjoint of the running sum."""
    return flip(cumulative_sum(flip(x, axis=at), axis=at, dtype=x.dtype), axis=at)


def cumulative_sum(x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """Running sums along `axis`: y_j = the sum of x_i for i <= j.

    Args:
        x: numbers, at least one dimension.
        axis: may be left out of a 1-d x.
        dtype: to convert to before adding; integers add up as int64 (uint64) otherwise.
        include_initial: start with a 0, and so be longer by one.

    Raises:
        ValueError: no axis where x has several.
        IndexError: the axis is outside.

    >>> import whitewolf as ww
    >>> ww.cumulative_sum(ww.asarray([1.0, 2.0, 3.0]))
    tensor([1., 3., 6.])
    """
    x, at = _start("cumulative_sum", x, axis, dtype, include_initial)
    if is_sixteen_bit(x.dtype):
        return through_float32(cumulative_sum, x, axis=at, include_initial=include_initial)
    if include_initial:
        return concat([_slice(x, at, 0), cumulative_sum(x, axis=at, dtype=x.dtype)], axis=at)
    if x._data.dtype in KERNEL_FLOATS:
        data = x.device.empty(x.shape, x._data.dtype, x._data)
        x.device.kernels["cumulative_sum_forward"](data, x._data, axis=at)
    else:
        data = _library("cumsum", x, x._data, at, x.dtype)
    return record(  # type: ignore[no-any-return]
        "cumulative_sum", data, (x,), lambda node, grad: (_from_behind(grad, at),)
    )


def cumulative_prod(x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """Running products along `axis`: y_j = the product of x_i for i <= j. Arguments and errors as `cumulative_sum`.

    The gradient is y_{i-1} s_i, where s_i = g_i + x_{i+1} s_{i+1}: right also where elements are zero.

    Raises:
        ValueError: no axis where x has several, or x is 0-d.

    >>> import whitewolf as ww
    >>> ww.cumulative_prod(ww.asarray([1.0, 2.0, 3.0]), include_initial=True)
    tensor([1., 1., 2., 6.])
    """
    x, at = _start("cumulative_prod", x, axis, dtype, include_initial)
    if is_sixteen_bit(x.dtype):
        return through_float32(cumulative_prod, x, axis=at, include_initial=include_initial)
    if include_initial:
        return concat([_slice(x, at, 1), cumulative_prod(x, axis=at, dtype=x.dtype)], axis=at)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        x, y = node.saved[0], saved_output(node)
        if np.all(y.numpy() != 0) and np.all(np.isfinite(y.numpy())):
            return (divide(_from_behind(multiply(grad, y), at), x),)
        n = x.shape[at]
        behind = [_part(grad, at, n - 1, n)] if n else []
        for i in range(n - 2, -1, -1):
            behind.append(add(_part(grad, at, i, i + 1), multiply(_part(x, at, i + 1, i + 2), behind[-1])))
        before = concat([_slice(x, at, 1), _part(y, at, None, -1)], axis=at)
        return (multiply(before, concat(behind[::-1], axis=at)) if n else grad,)

    data = _library("cumprod", x, x._data, at, x.dtype)
    return save_output(record("cumulative_prod", data, (x,), backward, (x,)))


def diff(x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None) -> Tensor:
    """The n-th difference along `axis`: for n = 1, y_i = x_{i+1} - x_i, shorter by one.

    Args:
        x: numbers, at least one dimension.
        n: how often to take differences; 0 gives x itself, without what is prepended or appended.
        prepend, append: put before and behind x along `axis` first; of x's shape but along it.

    Raises:
        ValueError: n < 0, x is 0-d, or a shape does not fit.

    >>> import whitewolf as ww
    >>> ww.diff(ww.asarray([1.0, 4.0, 9.0]))
    tensor([3., 5.])
    """
    x = check_tensor("diff", "x", x)
    if x.ndim == 0:
        raise ValueError("diff: expected x of at least 1 dimension, got a 0-d tensor")
    if is_sixteen_bit(x.dtype):
        return through_float32(diff, x, axis=axis, n=n, prepend=prepend, append=append)
    at = normalize_axis("diff", axis, x.ndim)
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"diff: expected n to be an int, got {type(n).__name__}")
    if n < 0:
        raise ValueError(f"diff: expected n >= 0, got {n}")
    for name, end in (("prepend", prepend), ("append", append)):
        if end is None:
            continue
        check_tensor("diff", name, end)
        check_same_device("diff", x=x, **{name: end})
        if end.ndim != x.ndim or end.shape[:at] + end.shape[at + 1 :] != x.shape[:at] + x.shape[at + 1 :]:
            raise ValueError(f"diff: expected {name} of x's shape {x.shape} but along axis {at}, got {name}.shape == {end.shape}")
    if n and (prepend is not None or append is not None):
        x = concat([part for part in (prepend, x, append) if part is not None], axis=at)
    for _ in range(int(n)):
        if x.shape[at] == 0:
            break
        later, earlier = _part(x, at, 1, None), _part(x, at, None, -1)
        x = not_equal(later, earlier) if x.dtype.kind == "b" else subtract(later, earlier)
    return x


__all__ = ["cumulative_prod", "cumulative_sum", "diff"]
