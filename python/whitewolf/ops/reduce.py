"""Reductions over axes: one kernel call each, on x as it lies in memory, into an output that keeps the reduced axes with size 1."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import find_dtype, is_sixteen_bit
from ..graph import Node, record, save_output, saved_output
from ..tensor import Tensor, wrap
from ._common import (
    KERNEL_FLOATS,
    check_flag,
    check_float,
    check_number,
    check_ordered,
    check_tensor,
    normalize_axes,
    normalize_axis,
)
from ._sixteen import takes_sixteen_bit, through_float32
from .elementwise import _as_float, divide, exp, multiply, sqrt, subtract
from .joining import concat
from .manipulation import astype, broadcast_to, permute_dims, reshape

if TYPE_CHECKING:
    Axis = int | Sequence[int] | None


class _Plan:
    """Which axes go, and the shapes before, during and after."""

    __slots__ = ("axes", "before", "kept", "after", "count")

    def __init__(self, op: str, x: Tensor, axis: Axis, keepdims: bool) -> None:
        self.axes = normalize_axes(op, axis, x.ndim)
        if keepdims is not True and keepdims is not False:
            check_flag(op, "keepdims", keepdims)
        self.before = x.shape
        self.kept = tuple(1 if i in self.axes else n for i, n in enumerate(self.before))
        self.after = self.kept if keepdims else tuple(n for i, n in enumerate(self.before) if i not in self.axes)
        self.count = math.prod(self.before[i] for i in self.axes)

    def spread(self, reduced: Tensor) -> Tensor:
        """A reduced tensor as one of x's shape: a view."""
        return broadcast_to(reshape(reduced, self.kept), self.before)


def _run(name: str, x: Tensor, plan: _Plan, dtype: Any = None, **attrs: Any) -> Any:
    data = x.device.empty(plan.after, x._data.dtype if dtype is None else dtype)
    x.device.kernels[name + "_forward"](data.reshape(plan.kept), x._data, **attrs)
    return data


def _library(name: str, x: Tensor, plan: _Plan, keepdims: bool, **more: Any) -> Any:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, as in the kernel
        return x.device.xp.asarray(getattr(x.device.xp, name)(x._data, axis=plan.axes, keepdims=keepdims, **more))


def _wide(op: str, x: Tensor, dtype: Any) -> Tensor:
    """x in the dtype to add or multiply in: the one asked for; else int64 or uint64 for smaller integers and bool."""
    if dtype is not None:
        return astype(x, find_dtype(op, dtype), copy=False)
    if x.dtype.kind in "bi":
        return astype(x, "int64", copy=False)
    return astype(x, "uint64", copy=False) if x.dtype.kind == "u" else x


def sum(x: Tensor, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis`; 0 of nothing.

    Args:
        x: any shape.
        axis: one axis or several; None for all.
        dtype: to convert to before adding; integers add up as int64 (uint64) otherwise.
        keepdims: leave the reduced axes in the shape with size 1.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is named twice.

    >>> import whitewolf as ww
    >>> ww.sum(ww.asarray([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """
    x = _wide("sum", check_tensor("sum", "x", x), dtype)
    if is_sixteen_bit(x._data.dtype):
        return through_float32(sum, x, axis, keepdims=keepdims)
    plan = _Plan("sum", x, axis, keepdims)
    data = _run("sum", x, plan) if x._data.dtype in KERNEL_FLOATS else _library("sum", x, plan, keepdims, dtype=x.dtype)
    return record("sum", data, (x,), lambda node, grad: (plan.spread(grad),))  # type: ignore[no-any-return]


def mean(x: Tensor, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The arithmetic mean over `axis`; NaN of nothing. Integers are averaged as float32. Arguments and errors as `sum`.

    >>> import whitewolf as ww
    >>> ww.mean(ww.asarray([1.0, 2.0, 6.0]))
    tensor(3.)
    """
    x = _as_float(check_tensor("mean", "x", x))
    if is_sixteen_bit(x._data.dtype):
        return through_float32(mean, x, axis, keepdims=keepdims)
    plan = _Plan("mean", x, axis, keepdims)
    data = _run("mean", x, plan) if x._data.dtype in KERNEL_FLOATS else _library("mean", x, plan, keepdims)
    return record("mean", data, (x,), lambda node, grad: (plan.spread(divide(grad, plan.count or 1)),))  # type: ignore[no-any-return]


def prod(x: Tensor, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The product over `axis`; 1 of nothing. Arguments and errors as `sum`.

    The gradient of an element is the product of the others, also where elements are zero.

    >>> import whitewolf as ww
    >>> ww.prod(ww.asarray([2.0, 3.0]))
    tensor(6.)
    """
    x = _wide("prod", check_tensor("prod", "x", x), dtype)
    if is_sixteen_bit(x._data.dtype):
        return through_float32(prod, x, axis, keepdims=keepdims)
    plan = _Plan("prod", x, axis, keepdims)
    data = _run("prod", x, plan) if x._data.dtype in KERNEL_FLOATS else _library("prod", x, plan, keepdims, dtype=x.dtype)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        x, y = node.saved[0], saved_output(node)
        if np.all(x.numpy() != 0):
            return (multiply(plan.spread(multiply(grad, y)), divide(1, x)),)
        return (multiply(plan.spread(grad), _products_of_others(x, plan)),)

    return save_output(record("prod", data, (x,), backward, (x,)))


def _products_of_others(x: Tensor, plan: _Plan) -> Tensor:
    """For each element, the product of all others that are reduced with it, from products up to it and beyond it."""
    rest = tuple(i for i in range(x.ndim) if i not in plan.axes)
    order = (*plan.axes, *rest)
    rows = reshape(permute_dims(x, order), (plan.count, *(x.shape[i] for i in rest)))
    below, above = [_ones(rows[0:1])], [_ones(rows[0:1])]
    for i in range(plan.count - 1):
        below.append(multiply(below[-1], rows[i : i + 1]))
        above.append(multiply(above[-1], rows[plan.count - 1 - i : plan.count - i]))
    others = multiply(concat(below), concat(above[::-1]))
    return permute_dims(reshape(others, tuple(x.shape[i] for i in order)), tuple(int(i) for i in np.argsort(order)))


def _ones(x: Tensor) -> Tensor:
    return wrap(np.ones(x.shape, x.dtype), x.device)


def max(x: Tensor, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The largest element over `axis`, NaN if one is NaN; equal largest elements share the gradient evenly.

    Raises:
        ValueError: there is nothing to choose from.

    >>> import whitewolf as ww
    >>> ww.max(ww.asarray([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    tensor([5., 4.])
    """
    return _extreme("max", x, axis, keepdims)


def min(x: Tensor, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The smallest element over `axis`, NaN if one is NaN; equal smallest elements share the gradient evenly.

    Raises:
        ValueError: there is nothing to choose from.

    >>> import whitewolf as ww
    >>> ww.min(ww.asarray([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    tensor([1., 3.])
    """
    return _extreme("min", x, axis, keepdims)


def _extreme(name: str, x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    x = check_tensor(name, "x", x)
    if is_sixteen_bit(x._data.dtype):
        return through_float32(_extreme, name, x, axis, keepdims)
    check_ordered(name, "x", x)
    plan = _Plan(name, x, axis, keepdims)
    if plan.count == 0:
        raise ValueError(f"{name}: expected at least one element to choose from, got x.shape == {x.shape} over axes {plan.axes}")
    data = _run(name, x, plan) if x._data.dtype in KERNEL_FLOATS else _library(name, x, plan, keepdims)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        x, y = node.saved
        chosen = (x._data == y._data.reshape(plan.kept)) | (x._data != x._data)  # where there is NaN, y is NaN
        share = chosen / np.maximum(chosen.sum(axis=plan.axes, keepdims=True), 1)
        return (multiply(plan.spread(grad), wrap(share.astype(x.dtype), x.device)),)

    return save_output(record(name, data, (x,), backward, (x,)))


@takes_sixteen_bit
def var(x: Tensor, /, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance over `axis`: the sum of (x - mean)^2 divided by n - correction, or by 0 where that is less.

    Raises:
        ValueError: `correction` is NaN.

    >>> import whitewolf as ww
    >>> ww.var(ww.asarray([1.0, 2.0, 3.0, 4.0]))
    tensor(1.25)
    """
    return _var("var", x, axis, correction, keepdims)


def _var(op: str, x: Tensor, axis: Axis, correction: float, keepdims: bool) -> Tensor:
    x = _as_float(check_tensor(op, "x", x))
    check_float(op, "x", x)
    check_number(op, "correction", correction)
    if correction != correction:
        raise ValueError(f"{op}: expected correction to be a number, got {correction}")
    plan = _Plan(op, x, axis, keepdims)
    scale = plan.count - correction

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        (x,) = node.saved
        centred = subtract(x, mean(x, axis=plan.axes, keepdims=True))
        return (multiply(plan.spread(multiply(grad, 2 / scale if scale > 0 else float("nan"))), centred),)

    return record("var", _run("var", x, plan, correction=float(correction)), (x,), backward, (x,))  # type: ignore[no-any-return]


@takes_sixteen_bit
def std(x: Tensor, /, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation over `axis`: the square root of `var`.

    Raises:
        ValueError: `correction` is NaN.

    >>> import whitewolf as ww
    >>> ww.std(ww.asarray([1.0, 1.0]))
    tensor(0.)
    """
    x = _as_float(check_tensor("std", "x", x))
    check_float("std", "x", x)
    from .select import where

    variance = _var("std", x, axis, correction, keepdims)
    none = variance._data == 0  # there the slope of the root is infinite, and that of the variance 0: together 0, as in PyTorch
    if not (variance._requires_grad and none.any()):
        return sqrt(variance)
    flat = wrap(none, variance.device)
    return where(flat, 0.0, sqrt(where(flat, 1.0, variance)))


@takes_sixteen_bit
def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum of e^x) over `axis`, without overflow; -Inf of nothing.

    >>> import whitewolf as ww
    >>> ww.logsumexp(ww.asarray([1000.0, 1000.0]))
    tensor(1000.6932)
    """
    x = _as_float(check_tensor("logsumexp", "x", x))
    check_float("logsumexp", "x", x)
    plan = _Plan("logsumexp", x, axis, keepdims)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        x, y = node.saved[0], saved_output(node)
        return (multiply(plan.spread(grad), exp(subtract(x, plan.spread(y)))),)

    return save_output(record("logsumexp", _run("logsumexp", x, plan), (x,), backward, (x,)))


@takes_sixteen_bit
def argmax(x: Tensor, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The int64 place of the first largest element along `axis` (None: in the flattened array); a NaN counts as the largest.

    Raises:
        ValueError: there is nothing to choose from.

    >>> import whitewolf as ww
    >>> ww.argmax(ww.asarray([1.0, 5.0, 5.0])).item()
    1
    """
    return _place("argmax", x, axis, keepdims)


@takes_sixteen_bit
def argmin(x: Tensor, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The int64 place of the first smallest element along `axis` (None: in the flattened array); a NaN counts as the smallest.

    Raises:
        ValueError: there is nothing to choose from.

    >>> import whitewolf as ww
    >>> ww.argmin(ww.asarray([1.0, 0.0, 5.0])).item()
    1
    """
    return _place("argmin", x, axis, keepdims)


def _place(name: str, x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    x = check_tensor(name, "x", x)
    check_ordered(name, "x", x)
    plan = _Plan(name, x, axis if axis is None else normalize_axis(name, axis, x.ndim), keepdims)
    if plan.count == 0:
        raise ValueError(f"{name}: expected at least one element to choose from, got x.shape == {x.shape} over axes {plan.axes}")
    if x._data.dtype in KERNEL_FLOATS:
        return wrap(_run(name, x, plan, np.dtype(np.int64)), x.device)
    if is_sixteen_bit(x.dtype):
        check_float(name, "x", x)
    return wrap(getattr(x.device.xp, name)(x._data, axis=axis, keepdims=keepdims), x.device)


def count_nonzero(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements along `axis` are not zero (NaN is not), as int64.

    >>> import whitewolf as ww
    >>> ww.count_nonzero(ww.asarray([[1, 0], [2, 3]]), axis=0)
    tensor([2, 1])
    """
    x = check_tensor("count_nonzero", "x", x)
    plan = _Plan("count_nonzero", x, axis, keepdims)
    return wrap((x._data != 0).sum(axis=plan.axes, keepdims=keepdims, dtype=np.int64), x.device)


@takes_sixteen_bit
def sum_squares(x: Tensor, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The sum of x * x over `axis`, in one read.

    >>> import whitewolf as ww
    >>> ww.sum_squares(ww.asarray([3.0, 4.0]))
    tensor(25.)
    """
    x = _as_float(check_tensor("sum_squares", "x", x))
    check_float("sum_squares", "x", x)
    plan = _Plan("sum_squares", x, axis, keepdims)
    return record(  # type: ignore[no-any-return]
        "sum_squares",
        _run("sum_squares", x, plan),
        (x,),
        lambda node, grad: (multiply(plan.spread(multiply(grad, 2)), node.saved[0]),),
        (x,),
    )


__all__ = [
    "argmax",
    "argmin",
    "count_nonzero",
    "logsumexp",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "sum_squares",
    "var",
]
