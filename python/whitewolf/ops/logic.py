"""Comparisons, logic, bits and inspection: no gradients, NumPy's (CuPy's) work, in the array API's names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..tensor import Tensor, wrap
from ._common import broadcast_shape, check_flag, check_number, check_ordered, check_tensor, normalize_axes, operands

if TYPE_CHECKING:
    from ._common import Operand


def _compare(name: str, sign: str, ordered: bool = True) -> Callable[[Operand, Operand], Tensor]:
    def op(x1: Operand, x2: Operand, /) -> Tensor:
        a, b = operands(name, x1, x2)
        if ordered:
            check_ordered(name, "x1", a)
        broadcast_shape(name, a, b)
        return wrap(getattr(a.device.xp, name)(a._data, b._data), a.device)

    op.__name__ = op.__qualname__ = name
    op.__doc__ = f"""x1 {sign} x2 as a bool tensor, with broadcasting. A comparison with NaN is false; NaN != NaN is true.

    Raises:
        ValueError: the shapes do not broadcast.
        TypeError: an operand is neither a tensor nor a number{", or complex, which has no order" if ordered else ""}.

    >>> import whitewolf as ww
    >>> ww.{name}(ww.asarray([1.0, 2.0, 3.0]), 2)
    tensor([{", ".join(f"{v!s:>5}" for v in (getattr(np, name)(np.arange(1, 4), 2)).tolist())}])
    """
    op.__module__ = __name__
    return op


equal = _compare("equal", "==", ordered=False)
not_equal = _compare("not_equal", "!=", ordered=False)
less = _compare("less", "<")
less_equal = _compare("less_equal", "<=")
greater = _compare("greater", ">")
greater_equal = _compare("greater_equal", ">=")


def _integer_binary(name: str, numpy_name: str, kinds: str, doc: str) -> Callable[[Operand, Operand], Tensor]:
    shift = name.endswith("_shift")

    def op(x1: Operand, x2: Operand, /) -> Tensor:
        a, b = operands(name, x1, x2)
        if a.dtype.kind not in kinds:
            expected = "bool" if kinds == "b" else "an integer dtype" if kinds == "iu" else "bool or an integer dtype"
            raise TypeError(f"{name}: expected x1 and x2 of {expected}, got {a.dtype}")
        broadcast_shape(name, a, b)
        if shift and b.dtype.kind == "i" and (b._data < 0).any():
            raise ValueError(f"{name}: expected x2 >= 0, got one of shape {b.shape} that holds {int(b._data.min())}")
        return wrap(getattr(a.device.xp, numpy_name)(a._data, b._data), a.device)

    op.__name__ = op.__qualname__ = name
    left, right = ([True, True, False], [True, False, False]) if kinds == "b" else ([1, 6, 5], [1, 2, 1])
    op.__doc__ = f"""{doc}

    Raises:
        ValueError: the shapes do not broadcast{", or x2 is negative somewhere" if shift else ""}.
        TypeError: the dtype is another.

    >>> import whitewolf as ww
    >>> ww.{name}(ww.asarray({left}), ww.asarray({right}))
    tensor({np.array2string(getattr(np, numpy_name)(left, right), separator=", ")})
    """
    op.__module__ = __name__
    return op


logical_and = _integer_binary("logical_and", "logical_and", "b", "x1 and x2, of bool tensors.")
logical_or = _integer_binary("logical_or", "logical_or", "b", "x1 or x2, of bool tensors.")
logical_xor = _integer_binary("logical_xor", "logical_xor", "b", "Either x1 or x2 but not both, of bool tensors.")
bitwise_and = _integer_binary("bitwise_and", "bitwise_and", "biu", "x1 & x2, bit by bit.")
bitwise_or = _integer_binary("bitwise_or", "bitwise_or", "biu", "x1 | x2, bit by bit.")
bitwise_xor = _integer_binary("bitwise_xor", "bitwise_xor", "biu", "x1 ^ x2, bit by bit.")
bitwise_left_shift = _integer_binary(
    "bitwise_left_shift",
    "left_shift",
    "iu",
    "x1 << x2: bits beyond the dtype are lost, so that a shift by its width or more gives 0.",
)
bitwise_right_shift = _integer_binary(
    "bitwise_right_shift",
    "right_shift",
    "iu",
    "x1 >> x2, which is floor(x1 / 2^x2): a shift by the dtype's width or more gives 0, or -1 for a negative x1.",
)


def logical_not(x: Tensor, /) -> Tensor:
    """not x, of a bool tensor.

    Raises:
        TypeError: x is not bool.

    >>> import whitewolf as ww
    >>> ww.logical_not(ww.asarray([True, False]))
    tensor([False,  True])
    """
    x = check_tensor("logical_not", "x", x)
    if x.dtype.kind != "b":
        raise TypeError(f"logical_not: expected x of dtype bool, got {x.dtype}")
    return wrap(~x._data, x.device)


def bitwise_invert(x: Tensor, /) -> Tensor:
    """~x, bit by bit; for bool, not x.

    Raises:
        TypeError: x is neither bool nor of integers.

    >>> import whitewolf as ww
    >>> ~ww.asarray([0, 5])
    tensor([-1, -6])
    """
    x = check_tensor("bitwise_invert", "x", x)
    if x.dtype.kind not in "biu":
        raise TypeError(f"bitwise_invert: expected x of bool or an integer dtype, got {x.dtype}")
    return wrap(~x._data, x.device)


def _inspect(name: str, doc: str) -> Callable[[Tensor], Tensor]:
    def op(x: Tensor, /) -> Tensor:
        x = check_tensor(name, "x", x)
        if name == "signbit":
            check_ordered(name, "x", x)
        return wrap(getattr(x.device.xp, name)(x._data), x.device)

    op.__name__ = op.__qualname__ = name
    op.__doc__ = f"""{doc}

    >>> import whitewolf as ww
    >>> ww.{name}(ww.asarray([1.0, -0.0, -ww.inf, ww.nan]))
    tensor({np.array2string(getattr(np, name)([1.0, -0.0, -np.inf, np.nan]), separator=", ")})
    """
    op.__module__ = __name__
    return op


isnan = _inspect("isnan", "Where x is NaN, as a bool tensor.")
isinf = _inspect("isinf", "Where x is +Inf or -Inf, as a bool tensor.")
isfinite = _inspect("isfinite", "Where x is neither NaN nor infinite, as a bool tensor.")
signbit = _inspect("signbit", "Where the sign bit of x is set (also for -0.0), as a bool tensor.")


def _reduce_bool(name: str, doc: str) -> Callable[..., Tensor]:
    def op(x: Tensor, /, *, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        x = check_tensor(name, "x", x)
        axes = normalize_axes(name, axis, x.ndim)
        check_flag(name, "keepdims", keepdims)
        return wrap(getattr(x.device.xp, name)(x._data, axis=axes, keepdims=keepdims), x.device)

    op.__name__ = op.__qualname__ = name
    op.__doc__ = f"""{doc}

    Args:
        axis: one axis or several; None for all.
        keepdims: leave the reduced axes in the shape with size 1.

    Raises:
        IndexError: an axis is outside.

    >>> import whitewolf as ww
    >>> ww.{name}(ww.asarray([[True, False], [True, True]]), axis=1)
    tensor({np.array2string(getattr(np, name)([[True, False], [True, True]], axis=1), separator=", ")})
    """
    op.__module__ = __name__
    return op


all = _reduce_bool("all", "Whether all elements along `axis` are true (not zero).")
any = _reduce_bool("any", "Whether any element along `axis` is true (not zero).")


def allclose(x1: Operand, x2: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether |x1 - x2| <= atol + rtol |x2| everywhere; NaN is close to NaN with `equal_nan`.

    Raises:
        ValueError: rtol or atol is NaN.

    >>> import whitewolf as ww
    >>> ww.allclose(ww.asarray([1.0]), ww.asarray([1.0 + 1e-6]))
    True
    """
    a, b = operands("allclose", x1, x2)
    broadcast_shape("allclose", a, b)
    for name, value in (("rtol", rtol), ("atol", atol)):
        check_number("allclose", name, value)
        if value != value:
            raise ValueError(f"allclose: expected {name} to be a number, got {value}")
    check_flag("allclose", "equal_nan", equal_nan)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy doubts infinite tolerances
        return bool(np.allclose(a.numpy(), b.numpy(), float(rtol), float(atol), equal_nan))


def array_equal(x1: Operand, x2: Operand) -> bool:
    """Whether shapes and all elements are equal.

    >>> import whitewolf as ww
    >>> ww.array_equal(ww.asarray([1, 2]), ww.asarray([1, 3]))
    False
    """
    a, b = operands("array_equal", x1, x2)
    return bool(np.array_equal(a.numpy(), b.numpy()))


__all__ = [
    "all",
    "allclose",
    "any",
    "array_equal",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "equal",
    "greater",
    "greater_equal",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "not_equal",
    "signbit",
]
