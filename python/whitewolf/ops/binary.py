"""Further elementwise functions of two variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import is_sixteen_bit
from ..graph import Node, record
from ..tensor import Tensor, wrap
from ._common import broadcast_shape, check_ordered, operands, unbroadcast
from ._sixteen import through_float32
from .elementwise import _as_float, _binary, add, divide, log, multiply, negative, subtract

if TYPE_CHECKING:
    from ._common import Operand


def _pair(node: Node, first: Any, second: Any) -> tuple[Tensor | None, ...]:
    """Both gradients, summed over what was broadcast; each is given as a function, and computed only where it is needed."""
    needs, (a, b) = node.needs, node.saved
    return (
        unbroadcast(first(a, b), a.shape) if needs[0] else None,
        unbroadcast(second(a, b), b.shape) if needs[1] else None,
    )


def _float_operands(op: str, x1: Operand, x2: Operand) -> tuple[Tensor, Tensor]:
    a, b = operands(op, x1, x2)
    return _as_float(a), _as_float(b)


def pow(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 to the power x2, with broadcasting; arguments and errors as `add`.

    d/dx1 = x2 x1^(x2 - 1) and d/dx2 = x1^x2 log(x1), the latter 0 at x1 = 0 where x2 >= 0.

    Raises:
        ValueError: x2 is negative somewhere, and x1 and x2 are integers.

    >>> import whitewolf as ww
    >>> ww.asarray([1.0, 2.0]) ** 3
    tensor([1., 8.])
    """
    a, b = operands("pow", x1, x2)
    if is_sixteen_bit(a.dtype):
        return through_float32(pow, a, b)
    if a.dtype.kind in "iu" and np.any(b.numpy() < 0):
        raise ValueError(f"pow: expected exponents >= 0 for dtype {a.dtype}, got a negative one")

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        def base(a: Tensor, b: Tensor) -> Tensor:
            # At exponent 0 the factor b makes the product 0, whatever a negative power of 0 would be.
            exponent = where(b._data == 0, b, subtract(b, 1))
            return multiply(grad, multiply(b, pow(a, exponent)))

        def exponent(a: Tensor, b: Tensor) -> Tensor:
            flat = (a._data == 0) & (b._data >= 0)
            return multiply(grad, multiply(pow(a, b), where(flat, multiply(a, 0), log(where(flat, add(multiply(a, 0), 1), a)))))

        return _pair(node, base, exponent)

    from .select import where as select_where

    def where(mask: Any, x: Tensor, y: Tensor) -> Tensor:
        return select_where(wrap(mask, x.device), x, y)

    return record("pow", _binary("pow" if a.dtype.kind == "f" else "power", a, b), (a, b), backward, (a, b))  # type: ignore[no-any-return]


def maximum(x1: Operand, x2: Operand, /) -> Tensor:
    """The larger of x1 and x2, NaN if either is. The larger gets the gradient; of two equal values each gets half of it, and where one
    is NaN both get it.

    >>> import whitewolf as ww
    >>> ww.maximum(ww.asarray([1.0, 5.0]), 3)
    tensor([3., 5.])
    """
    return _extreme("maximum", x1, x2, lambda a, b: a < b)


def minimum(x1: Operand, x2: Operand, /) -> Tensor:
    """The smaller of x1 and x2, NaN if either is. The smaller gets the gradient; of two equal values each gets half of it, and where one
    is NaN both get it.

    >>> import whitewolf as ww
    >>> ww.minimum(ww.asarray([1.0, 5.0]), 3)
    tensor([1., 3.])
    """
    return _extreme("minimum", x1, x2, lambda a, b: a > b)


def _extreme(name: str, x1: Operand, x2: Operand, loses: Any) -> Tensor:
    a, b = operands(name, x1, x2)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        def share(mine: Tensor, other: Tensor) -> Tensor:
            x, y = mine._data, other._data
            return wrap((1 - loses(x, y) - 0.5 * (x == y)).astype(mine.dtype), mine.device)  # NaN loses to nothing

        return _pair(node, lambda a, b: multiply(grad, share(a, b)), lambda a, b: multiply(grad, share(b, a)))

    return record(name, _binary(name, a, b), (a, b), backward, (a, b))  # type: ignore[no-any-return]


def _check_divisor(op: str, x2: Tensor) -> None:
    """Raises ZeroDivisionError for an integer 0: NumPy, after a warning, would answer 0, which is no quotient."""
    if x2.dtype.kind in "iu" and not x2._data.all():
        raise ZeroDivisionError(f"{op}: expected x2 without 0 for dtype {x2.dtype}, got one of shape {x2.shape} that holds 0")


def remainder(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 - floor(x1 / x2) x2: the remainder with the sign of x2, as Python's %. NaN where a floating x2 is 0.

    Raises:
        ZeroDivisionError: an integer x2 is 0.

    >>> import whitewolf as ww
    >>> ww.asarray([-1.0, 5.0]) % 3
    tensor([2., 2.])
    """
    a, b = operands("remainder", x1, x2)
    _check_divisor("remainder", b)
    if is_sixteen_bit(a.dtype):
        return through_float32(remainder, a, b)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _pair(node, lambda a, b: grad, lambda a, b: negative(multiply(grad, floor_divide(a, b))))

    return record("remainder", _binary("remainder", a, b), (a, b), backward, (a, b))  # type: ignore[no-any-return]


def floor_divide(x1: Operand, x2: Operand, /) -> Tensor:
    """floor(x1 / x2), as Python's //; its gradient is 0. A floating x1 over 0 is infinite, or NaN.

    Raises:
        ZeroDivisionError: an integer x2 is 0.

    >>> import whitewolf as ww
    >>> ww.asarray([-1.0, 5.0]) // 3
    tensor([-1.,  1.])
    """
    a, b = operands("floor_divide", x1, x2)
    _check_divisor("floor_divide", b)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _pair(node, lambda a, b: multiply(grad, 0), lambda a, b: multiply(grad, 0))

    return record("floor_divide", _binary("floor_divide", a, b), (a, b), backward, (a, b))  # type: ignore[no-any-return]


def atan2(x1: Operand, x2: Operand, /) -> Tensor:
    """The angle of the point (x2, x1), in [-pi, pi]; its gradient at (0, 0) is 0.

    >>> import whitewolf as ww
    >>> ww.atan2(ww.asarray(0.0), 1)
    tensor(0.)
    """
    a, b = _float_operands("atan2", x1, x2)
    if is_sixteen_bit(a.dtype):
        return through_float32(atan2, a, b)
    from .select import where

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        def over(a: Tensor, b: Tensor) -> Tensor:
            square = add(multiply(a, a), multiply(b, b))
            return divide(grad, where(wrap(square._data == 0, square.device), np.inf, square))

        return _pair(node, lambda a, b: multiply(over(a, b), b), lambda a, b: negative(multiply(over(a, b), a)))

    return record("atan2", _binary("atan2", a, b), (a, b), backward, (a, b))  # type: ignore[no-any-return]


def hypot(x1: Operand, x2: Operand, /) -> Tensor:
    """sqrt(x1^2 + x2^2), without overflow on the way.

    >>> import whitewolf as ww
    >>> ww.hypot(ww.asarray(3.0), 4)
    tensor(5.)
    """
    a, b = _float_operands("hypot", x1, x2)
    if is_sixteen_bit(a.dtype):
        return through_float32(hypot, a, b)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _pair(node, lambda a, b: multiply(grad, divide(a, hypot(a, b))), lambda a, b: multiply(grad, divide(b, hypot(a, b))))

    return record("hypot", _binary("hypot", a, b), (a, b), backward, (a, b))  # type: ignore[no-any-return]


def logaddexp(x1: Operand, x2: Operand, /) -> Tensor:
    """log(exp(x1) + exp(x2)), without overflow on the way.

    >>> import whitewolf as ww
    >>> ww.logaddexp(ww.asarray(1000.0), 0)
    tensor(1000.)
    """
    a, b = _float_operands("logaddexp", x1, x2)
    if is_sixteen_bit(a.dtype):
        return through_float32(logaddexp, a, b)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        from .activation import sigmoid  # e^a / (e^a + e^b), of any size

        return _pair(
            node,
            lambda a, b: multiply(grad, sigmoid(subtract(a, b))),
            lambda a, b: multiply(grad, sigmoid(subtract(b, a))),
        )

    return record("logaddexp", _binary("logaddexp", a, b), (a, b), backward, (a, b))  # type: ignore[no-any-return]


def copysign(x1: Operand, x2: Operand, /) -> Tensor:
    """|x1| with the sign bit of x2.

    >>> import whitewolf as ww
    >>> ww.copysign(ww.asarray(3.0), -0.0)
    tensor(-3.)
    """
    a, b = _float_operands("copysign", x1, x2)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        def flip(a: Tensor, b: Tensor) -> Tensor:
            same = np.signbit(a._data) == np.signbit(b._data)
            return multiply(grad, wrap(np.where(a._data == 0, 0, np.where(same, 1, -1)).astype(a.dtype), a.device))

        return _pair(node, flip, lambda a, b: multiply(grad, 0))

    return record("copysign", _binary("copysign", a, b), (a, b), backward, (a, b))  # type: ignore[no-any-return]


def nextafter(x1: Operand, x2: Operand, /) -> Tensor:
    """The next number after x1 in the direction of x2, in their dtype; no gradient.

    >>> import whitewolf as ww
    >>> ww.nextafter(ww.asarray(1.0), 2).item() - 1 == ww.finfo(ww.float32).eps
    True
    """
    a, b = _float_operands("nextafter", x1, x2)
    check_ordered("nextafter", "x1", a)  # of two that are promoted to one dtype
    broadcast_shape("nextafter", a, b)
    with np.errstate(all="ignore"):
        return wrap(a.device.xp.nextafter(a._data, b._data), a.device)


__all__ = [
    "atan2",
    "copysign",
    "floor_divide",
    "hypot",
    "logaddexp",
    "maximum",
    "minimum",
    "nextafter",
    "pow",
    "remainder",
]
