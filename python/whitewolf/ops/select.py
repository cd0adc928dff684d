"""Choosing between values: where and clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import is_floating, is_sixteen_bit
from ..graph import Node, record
from ..tensor import Tensor, wrap
from ._common import (
    KERNEL_FLOATS,
    SCALARS,
    check_number,
    check_ordered,
    check_same_device,
    check_tensor,
    operands,
    unbroadcast,
)
from ._sixteen import through_float32
from .binary import maximum, minimum
from .elementwise import _library, fused_backward
from .logic import greater, greater_equal, less, less_equal
from .manipulation import astype

if TYPE_CHECKING:
    from ._common import Operand


def where(condition: Tensor, x1: Operand, x2: Operand, /) -> Tensor:
    """x1 where the condition holds, else x2; all three broadcast. The gradient goes to the one that was taken.

    Args:
        condition: bool.
        x1, x2: tensors, or one of them a number.

    Raises:
        TypeError: the condition is not bool.
        ValueError: the shapes do not broadcast.

    >>> import whitewolf as ww
    >>> x = ww.asarray([-1.0, 2.0])
    >>> ww.where(x > 0, x, 0)
    tensor([0., 2.])
    """
    condition = check_tensor("where", "condition", condition)
    if condition.dtype.kind != "b":
        raise TypeError(f"where: expected condition.dtype == bool, got {condition.dtype}")
    a, b = operands("where", x1, x2)
    check_same_device("where", condition=condition, x1=a, x2=b)
    try:
        shape = np.broadcast_shapes(condition.shape, a.shape, b.shape)
    except ValueError:
        raise ValueError(
            f"where: expected shapes that broadcast to one, got condition.shape == {condition.shape}, x1.shape == {a.shape}, "
            f"x2.shape == {b.shape}"
        ) from None
    if a.dtype in KERNEL_FLOATS:
        layout = next((t._data for t in (a, b, condition) if t.shape == shape), None)
        data = a.device.empty(shape, a.dtype, layout)
        a.device.kernels["where_forward"](data, condition._data, a._data, b._data)
    else:
        data = a.device.xp.where(condition._data, a._data, b._data)
    a_shape, b_shape = a.shape, b.shape

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        needs, (mask,) = node.needs, node.saved
        return (
            unbroadcast(where(mask, grad, 0), a_shape) if needs[0] else None,
            unbroadcast(where(mask, 0, grad), b_shape) if needs[1] else None,
        )

    return record("where", data, (a, b), backward, (condition,))  # type: ignore[no-any-return]


def clip(x: Tensor, /, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """min(max(x, lower bound), upper bound); NaN stays NaN. The gradient goes to x where it lies within the bounds or on them, to the
    bound where it lies beyond, and nowhere where it is NaN.

    Args:
        x: any shape.
        min, max: bounds: numbers, tensors that broadcast, or None for none.

    >>> import whitewolf as ww
    >>> ww.clip(ww.asarray([-1.0, 0.5, 2.0]), 0, 1)
    tensor([0. , 0.5, 1. ])
    """
    x = check_tensor("clip", "x", x)
    if x.dtype.kind == "b":
        raise TypeError("clip: expected x of numbers, got dtype bool")
    for name, bound in (("min", min), ("max", max)):
        if isinstance(bound, Tensor):
            check_same_device("clip", x=x, **{name: bound})
            check_ordered("clip", name, bound)
            try:
                np.broadcast_shapes(x.shape, bound.shape)
            except ValueError:
                raise ValueError(f"clip: expected {name} of a shape that broadcasts to x's {x.shape}, got {bound.shape}") from None
        elif bound is not None:
            check_number("clip", name, bound)
    check_ordered("clip", "x", x)
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        result = x if min is None else _bounded(x, min, maximum, greater_equal, less)
        return result if max is None else _bounded(result, max, minimum, less_equal, greater)
    if x.dtype not in KERNEL_FLOATS:
        if is_sixteen_bit(x.dtype):
            return through_float32(clip, x, min, max)
        bounds = [_bound(name, bound, x) for name, bound in (("min", min), ("max", max))]
        return wrap(x._data.copy() if min is None and max is None else _library("clip", x, x._data, *bounds), x.device)
    low: Any = -np.inf if min is None else min
    high: Any = np.inf if max is None else max
    attrs = {"min": float(low), "max": float(high)}
    data = x.device.empty(x.shape, x.dtype, x._data)
    x.device.kernels["clip_forward"](data, x._data, **attrs)
    return record("clip", data, (x,), lambda node, grad: (fused_backward("clip", grad, node.saved[0], attrs, None),), (x,))  # type: ignore[no-any-return]


def _bounded(x: Tensor, bound: Operand, extreme: Any, holds: Any, breaks: Any) -> Tensor:
    """The extreme of x and a bound. Where x holds to it, also where they are equal, x gets the gradient; where x breaks it, the bound."""
    a, b = operands("clip", x, bound)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        needs, (a, b) = node.needs, node.saved
        return (
            unbroadcast(where(holds(a, b), grad, 0), a.shape) if needs[0] else None,
            unbroadcast(where(breaks(a, b), grad, 0), b.shape) if needs[1] else None,
        )

    return record("clip", extreme(a.detach(), b.detach())._data, (a, b), backward, (a, b))  # type: ignore[no-any-return]  # of one array, one Tensor


def _bound(name: str, bound: Any, x: Tensor) -> Any:
    """A number as a 0-d array of x's dtype: beyond an integer dtype's range it is its end, and does not wrap."""
    if bound is None:
        return None
    if x.dtype.kind in "iu":
        if bound != bound or abs(bound) != np.inf and bound != int(bound):
            raise TypeError(f"clip: expected {name} to be an integer for dtype {x.dtype}, got {bound}")
        info = np.iinfo(x.dtype)
        bound = info.min if bound < info.min else info.max if bound > info.max else int(bound)
    return x.device.xp.asarray(bound, x.dtype)


def masked_fill(x: Tensor, mask: Tensor, value: float) -> Tensor:
    """x with `value`, a number or a 0-d tensor, where `mask` (bool, broadcast) is true; in x's dtype, whatever that of the value is.

    Raises:
        TypeError: `mask` is not bool, or x's dtype cannot hold the value: a complex one for real x, a fraction for integers.
        OverflowError: the value is a finite number beyond the range of x's dtype.
        ValueError: `value` is a tensor of dimensions, or the shapes do not broadcast.

    >>> import whitewolf as ww
    >>> x = ww.asarray([1.0, 2.0])
    >>> ww.masked_fill(x, x > 1, 0)
    tensor([1., 0.])
    """
    x, mask = check_tensor("masked_fill", "x", x), check_tensor("masked_fill", "mask", mask)
    if mask.dtype.kind != "b":
        raise TypeError(f"masked_fill: expected mask.dtype == bool, got {mask.dtype}")
    check_same_device("masked_fill", x=x, mask=mask)
    if not isinstance(value, (Tensor, *SCALARS)):
        raise TypeError(f"masked_fill: expected value to be a number, got {type(value).__name__}")
    if isinstance(value, Tensor) and value.ndim:
        raise ValueError(f"masked_fill: expected value to be a number or a 0-d tensor, got value.shape == {value.shape}")
    value = _held(x, value)
    try:
        np.broadcast_shapes(x.shape, mask.shape)
    except ValueError:
        raise ValueError(f"masked_fill: expected mask of a shape that broadcasts to x's {x.shape}, got {mask.shape}") from None
    return where(mask, value, x)


def _held(x: Tensor, value: Any) -> Any:
    """A number or a 0-d tensor, in x's dtype."""
    from ..info import finfo

    kind, number = x.dtype.kind, value
    if isinstance(value, Tensor):
        check_same_device("masked_fill", x=x, value=value)
        fraction, complex_value = is_floating(value.dtype), value.dtype.kind == "c"
        number = value.item() if kind in "biu" and not fraction and not complex_value else 0  # floats overflow as in astype
    else:
        fraction, complex_value = isinstance(value, (float, np.floating)), isinstance(value, (complex, np.complexfloating))
    if complex_value and kind != "c" or fraction and kind in "biu" or kind == "b" and number not in (0, 1):
        raise TypeError(f"masked_fill: expected value that x's dtype {x.dtype} can hold, got {value!r}")
    if kind != "b":
        info: Any = np.iinfo(x.dtype) if kind in "iu" else finfo(x.dtype)
        for part in (number.real, number.imag) if complex_value else (number,):
            if abs(part) != np.inf and not info.min <= part <= info.max and part == part:
                raise OverflowError(f"masked_fill: expected value in the range of {x.dtype}, got {value!r}")
    return astype(value, x.dtype, copy=False) if isinstance(value, Tensor) else bool(value) if kind == "b" else value


__all__ = [
    "clip",
    "masked_fill",
    "where",
]
