"""Elementwise mathematics: check, allocate, call the kernel, record.

Each op reads the same way. float32 and float64 run our kernels; integers, booleans and complex numbers are NumPy's (CuPy's) job.
Backward functions are made of ops, so every one can be differentiated again. The four operations and tanh are written out; the
other functions of one variable are a table of derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._precision import round_into, run_rounded, widened
from ..dtypes import float32, is_sixteen_bit
from ..graph import Node, record, save_output, saved_output
from ..tensor import Tensor
from ._common import KERNEL_FLOATS, broadcast_shape, check_tensor, operands, unbroadcast
from ._sixteen import through_float32

if TYPE_CHECKING:
    from ._common import Operand


# NumPy would count with True and False in int8 or float16, and order complex numbers by their real parts first.
_NUMBERS_ONLY = frozenset("abs sign square floor ceil trunc round negative subtract power floor_divide remainder matmul".split())
_ORDERED_ONLY = frozenset(
    "floor ceil trunc maximum minimum clip floor_divide remainder atan2 hypot logaddexp copysign nextafter exp2 erf rsqrt".split()
)


def _library(name: str, x: Tensor, *arrays: Any) -> Any:
    """NumPy's (CuPy's) function of that name on `arrays`, for dtypes that have no kernel; x is a tensor of their dtype."""
    dtype = x.dtype
    if is_sixteen_bit(dtype):
        return _rounded(name, x, arrays)
    if dtype.kind == "b" and name in _NUMBERS_ONLY or dtype.kind == "c" and name in _ORDERED_ONLY:
        which = "x" if len(arrays) == 1 else "x1 and x2"
        raise TypeError(f"{name}: expected {which} of {'numbers' if dtype.kind == 'b' else 'real numbers'}, got dtype {dtype}")
    with np.errstate(all="ignore"):
        return getattr(x.device.xp, name)(*arrays)


def _rounded(name: str, x: Tensor, arrays: tuple[Any, ...]) -> Any:
    """The function computed in float32, by our kernel where there is one, and rounded to x's 16-bit dtype."""
    kernel = {"power": "pow"}.get(name, name) + "_forward"
    wide = [widened(a) for a in arrays]
    if kernel not in x.device.kernels:
        with np.errstate(all="ignore"):
            return x.device.xp.asarray(getattr(x.device.xp, name)(*wide)).astype(x.dtype)
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    layout = next(a for a in arrays if a.shape == shape) if any(a.shape == shape for a in arrays) else None
    out, data = x.device.empty(shape, float32, layout), x.device.empty(shape, x.dtype, layout)
    x.device.kernels[kernel](out, *wide)
    round_into(data, out)
    return data


def _unary(name: str, x: Tensor) -> Any:
    """The array of one elementwise op, in the dimension order of its input."""
    data = x._data
    if data.dtype in KERNEL_FLOATS:
        out = x.device.empty(data.shape, data.dtype, data)
        x.device.kernels[name + "_forward"](out, data)
        return out
    return _library(name, x, data)


def _binary(name: str, a: Tensor, b: Tensor) -> Any:
    """The array of one elementwise op of two operands, in the dimension order of the larger one."""
    x, y = a._data, b._data
    shape, layout, dtype = x.shape, x, x.dtype  # NumPy makes a tuple each time that it is asked
    if shape != y.shape:
        shape = broadcast_shape(name, a, b)
        layout = x if x.shape == shape else y
    if dtype in KERNEL_FLOATS:
        out = a.device.empty(shape, dtype, layout)
        a.device.kernels[name + "_forward"](out, x, y)
        return out
    return _library(name, a, x, y)


def add(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 + x2, with broadcasting.

    Args:
        x1, x2: tensors of one device, or one of them a Python number, which takes the tensor's dtype.

    Raises:
        ValueError: the shapes do not broadcast.
        TypeError: an operand is neither a tensor nor a number.

    >>> import whitewolf as ww
    >>> ww.add(ww.asarray([1.0, 2.0]), 1)
    tensor([2., 3.])
    """
    a, b = operands("add", x1, x2)
    return record("add", _binary("add", a, b), (a, b), _add_backward, (), (a._data.shape, b._data.shape))  # type: ignore[no-any-return]


def _add_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, (a, b) = node.needs, node.context
    return unbroadcast(grad, a) if needs[0] else None, unbroadcast(grad, b) if needs[1] else None


def subtract(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 - x2, with broadcasting; arguments and errors as `add`.

    >>> import whitewolf as ww
    >>> 1 - ww.asarray([1.0, 2.0])
    tensor([ 0., -1.])
    """
    a, b = operands("subtract", x1, x2)
    context = (a._data.shape, b._data.shape)
    return record("subtract", _binary("subtract", a, b), (a, b), _subtract_backward, (), context)  # type: ignore[no-any-return]


def _subtract_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, (a, b) = node.needs, node.context
    return unbroadcast(grad, a) if needs[0] else None, unbroadcast(negative(grad), b) if needs[1] else None


def multiply(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 * x2, with broadcasting; arguments and errors as `add`.

    >>> import whitewolf as ww
    >>> ww.asarray([1.0, 2.0]) * 3
    tensor([3., 6.])
    """
    a, b = operands("multiply", x1, x2)
    return record("multiply", _binary("multiply", a, b), (a, b), _multiply_backward, (a, b))  # type: ignore[no-any-return]


def _multiply_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, (a, b) = node.needs, node.saved
    return (
        unbroadcast(multiply(grad, b), a._data.shape) if needs[0] else None,
        unbroadcast(multiply(grad, a), b._data.shape) if needs[1] else None,
    )


def divide(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 / x2, with broadcasting; arguments and errors as `add`. Integers divide as float32.

    >>> import whitewolf as ww
    >>> ww.asarray([1.0, 2.0]) / 4
    tensor([0.25, 0.5 ])
    """
    a, b = operands("divide", x1, x2)
    a, b = _as_float(a), _as_float(b)
    return record("divide", _binary("divide", a, b), (a, b), _divide_backward, (a, b))  # type: ignore[no-any-return]


def _divide_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, (a, b) = node.needs, node.saved
    over = divide(grad, b)
    return (
        unbroadcast(over, a.shape) if needs[0] else None,
        unbroadcast(negative(multiply(over, divide(a, b))), b.shape) if needs[1] else None,
    )


def _as_float(x: Tensor) -> Tensor:
    if x.dtype.kind in "biu":
        from .manipulation import astype

        return astype(x, float32)
    return x


def tanh(x: Tensor, /) -> Tensor:
    """The hyperbolic tangent of x; its derivative is 1 - tanh(x)^2.

    >>> import whitewolf as ww
    >>> ww.tanh(ww.asarray([0.0, 1.0]))
    tensor([0.    , 0.7616])
    """
    x = check_tensor("tanh", "x", x)
    if x._data.dtype not in KERNEL_FLOATS:
        if is_sixteen_bit(x.dtype):
            return through_float32(tanh, x)
        x = _as_float(x)
    return save_output(record("tanh", _unary("tanh", x), (x,), lambda node, grad: (_tanh_backward(grad, saved_output(node)),)))


def _tanh_backward(grad: Tensor, y: Tensor) -> Tensor:
    if grad.dtype not in KERNEL_FLOATS:
        return multiply(grad, subtract(1, multiply(y, y)))
    return fused_backward("tanh", grad, y, {}, lambda grad_y, y: multiply(grad_y, multiply(y, -2)))


def fused_backward(
    name: str, grad: Tensor, x: Tensor, attrs: dict[str, Any], slope: Callable[[Tensor, Tensor], Tensor] | None
) -> Tensor:
    """The kernel `<name>_backward_x`, which is grad * f'(x) in one pass, as an op of its own.

    It is linear in grad, so its gradient there is itself; `slope(g, x)` is g * f''(x), None where f'' is zero.
    """
    data = grad.device.empty(grad._data.shape, grad._data.dtype, grad._data)
    if data.dtype in KERNEL_FLOATS:
        grad.device.kernels[name + "_backward_x"](data, grad._data, x._data, **attrs)
    else:
        run_rounded(grad.device, name + "_backward_x", data, grad._data, x._data, **attrs)

    def backward(node: Node, second: Tensor) -> tuple[Tensor | None, ...]:
        grad, x = node.saved
        return (
            fused_backward(name, second, x, attrs, slope) if node.needs[0] else None,
            slope(multiply(second, grad), x) if slope is not None and node.needs[1] else None,
        )

    return record(f"{name}_backward", data, (grad, x), backward, (grad, x))  # type: ignore[no-any-return]


Unary: TypeAlias = Callable[[Tensor], Tensor]


def _function(
    name: str, doc: str, derivative: Callable[[Tensor, Tensor], Tensor] | None, *, output: bool = False, to_float: bool = True
) -> Unary:
    """A function of one variable. `derivative(grad, x)` is grad * f'(x), written with x or, with `output`, with y = f(x); None means
    that it is zero wherever it exists."""

    def op(x: Tensor, /) -> Tensor:
        x = check_tensor(name, "x", x)
        if to_float and x._data.dtype not in KERNEL_FLOATS:
            if is_sixteen_bit(x.dtype):
                return through_float32(op, x)
            x = _as_float(x)
        if output:
            return save_output(record(name, _unary(name, x), (x,), lambda node, grad: (derivative(grad, saved_output(node)),)))  # type: ignore[misc]
        if derivative is None:
            return record(name, _unary(name, x), (x,), lambda node, grad: (multiply(grad, 0),))  # type: ignore[no-any-return]
        return record(name, _unary(name, x), (x,), lambda node, grad: (derivative(grad, node.saved[0]),), (x,))  # type: ignore[no-any-return]

    op.__name__ = op.__qualname__ = name
    op.__doc__ = doc
    op.__module__ = __name__
    return op


def _doc(sentence: str, example: str = "", result: str = "") -> str:
    doctest = f"\n\n    >>> import whitewolf as ww\n    >>> {example}\n    {result}\n    " if example else ""
    return f"{sentence} Shape and dtype are x's.{doctest}"


exp: Unary = _function("exp", _doc("e to the power x; its derivative is itself.", "ww.exp(ww.asarray(0.0))", "tensor(1.)"),
                lambda g, y: multiply(g, y), output=True)  # fmt: skip
exp2: Unary = _function(
    "exp2",
    _doc("2 to the power x.", "ww.exp2(ww.asarray(3.0))", "tensor(8.)"),
    lambda g, y: multiply(g, multiply(y, math.log(2))),
    output=True,
)
expm1: Unary = _function("expm1", _doc("exp(x) - 1, accurate near 0.", "ww.expm1(ww.asarray(0.0))", "tensor(0.)"),
                  lambda g, y: multiply(g, add(y, 1)), output=True)  # fmt: skip
log: Unary = _function(
    "log",
    _doc("The natural logarithm of x: -Inf at 0, NaN below.", "ww.log(ww.asarray(1.0))", "tensor(0.)"),
    lambda g, x: divide(g, x),
)
log1p: Unary = _function("log1p", _doc("log(1 + x), accurate near 0.", "ww.log1p(ww.asarray(0.0))", "tensor(0.)"),
                  lambda g, x: divide(g, add(x, 1)))  # fmt: skip
log2: Unary = _function("log2", _doc("The logarithm of x to base 2.", "ww.log2(ww.asarray(8.0))", "tensor(3.)"),
                 lambda g, x: divide(g, multiply(x, math.log(2))))  # fmt: skip
log10: Unary = _function("log10", _doc("The logarithm of x to base 10.", "ww.log10(ww.asarray(1.0))", "tensor(0.)"),
                  lambda g, x: divide(g, multiply(x, math.log(10))))  # fmt: skip
sin: Unary = _function(
    "sin", _doc("The sine of x (radians).", "ww.sin(ww.asarray(0.0))", "tensor(0.)"), lambda g, x: multiply(g, cos(x))
)
cos: Unary = _function(
    "cos", _doc("The cosine of x (radians).", "ww.cos(ww.asarray(0.0))", "tensor(1.)"), lambda g, x: negative(multiply(g, sin(x)))
)
tan: Unary = _function("tan", _doc("The tangent of x (radians).", "ww.tan(ww.asarray(0.0))", "tensor(0.)"),
                lambda g, y: multiply(g, add(multiply(y, y), 1)), output=True)  # fmt: skip
asin: Unary = _function("asin", _doc("The arc sine of x, in radians; NaN outside [-1, 1].", "ww.asin(ww.asarray(0.0))", "tensor(0.)"),
                 lambda g, x: divide(g, sqrt(subtract(1, multiply(x, x)))))  # fmt: skip
acos: Unary = _function("acos", _doc("The arc cosine of x, in radians; NaN outside [-1, 1].", "ww.acos(ww.asarray(1.0))", "tensor(0.)"),
                 lambda g, x: negative(divide(g, sqrt(subtract(1, multiply(x, x))))))  # fmt: skip
atan: Unary = _function("atan", _doc("The arc tangent of x, in radians.", "ww.atan(ww.asarray(0.0))", "tensor(0.)"),
                 lambda g, x: divide(g, add(multiply(x, x), 1)))  # fmt: skip
sinh: Unary = _function(
    "sinh", _doc("The hyperbolic sine of x.", "ww.sinh(ww.asarray(0.0))", "tensor(0.)"), lambda g, x: multiply(g, cosh(x))
)
cosh: Unary = _function(
    "cosh", _doc("The hyperbolic cosine of x.", "ww.cosh(ww.asarray(0.0))", "tensor(1.)"), lambda g, x: multiply(g, sinh(x))
)
asinh: Unary = _function("asinh", _doc("The inverse of sinh at x.", "ww.asinh(ww.asarray(0.0))", "tensor(0.)"),
                  lambda g, x: divide(g, sqrt(add(multiply(x, x), 1))))  # fmt: skip
acosh: Unary = _function("acosh", _doc("The inverse of cosh at x; NaN below 1.", "ww.acosh(ww.asarray(1.0))", "tensor(0.)"),
                  lambda g, x: divide(g, sqrt(subtract(multiply(x, x), 1))))  # fmt: skip
atanh: Unary = _function("atanh", _doc("The inverse of tanh at x; NaN outside [-1, 1].", "ww.atanh(ww.asarray(0.0))", "tensor(0.)"),
                  lambda g, x: divide(g, subtract(1, multiply(x, x))))  # fmt: skip
sqrt: Unary = _function("sqrt", _doc("The square root of x; NaN below 0.", "ww.sqrt(ww.asarray(9.0))", "tensor(3.)"),
                 lambda g, y: divide(g, multiply(y, 2)), output=True)  # fmt: skip
rsqrt: Unary = _function(
    "rsqrt",
    _doc("1 / sqrt(x).", "ww.rsqrt(ww.asarray(4.0))", "tensor(0.5)"),
    lambda g, y: multiply(g, multiply(multiply(y, -0.5), multiply(y, y))),
    output=True,
)
erf: Unary = _function("erf", _doc("The error function: 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.", "ww.erf(ww.asarray(0.0))", "tensor(0.)"),
                lambda g, x: multiply(g, multiply(exp(negative(multiply(x, x))), 2 / math.sqrt(math.pi))))  # fmt: skip
reciprocal: Unary = _function("reciprocal", _doc("1 / x.", "ww.reciprocal(ww.asarray(4.0))", "tensor(0.25)"),
                       lambda g, y: negative(multiply(g, multiply(y, y))), output=True)  # fmt: skip
negative: Unary = _function(
    "negative", _doc("-x.", "ww.negative(ww.asarray(4.0))", "tensor(-4.)"), lambda g, x: negative(g), to_float=False
)
square: Unary = _function(
    "square", _doc("x * x.", "ww.square(ww.asarray(3.0))", "tensor(9.)"), lambda g, x: multiply(g, multiply(x, 2)), to_float=False
)
abs: Unary = _function("abs", _doc("The absolute value of x; its derivative at 0 is 0.", "ww.abs(ww.asarray(-3.0))", "tensor(3.)"),
                lambda g, x: multiply(g, sign(x)), to_float=False)  # fmt: skip
sign: Unary = _function(
    "sign", _doc("-1, 0 or 1 with the sign of x; NaN for NaN.", "ww.sign(ww.asarray(-3.0))", "tensor(-1.)"), None, to_float=False
)
floor: Unary = _function(
    "floor", _doc("The largest integer <= x.", "ww.floor(ww.asarray(-1.5))", "tensor(-2.)"), None, to_float=False
)
ceil: Unary = _function("ceil", _doc("The smallest integer >= x.", "ww.ceil(ww.asarray(1.5))", "tensor(2.)"), None, to_float=False)
trunc: Unary = _function(
    "trunc", _doc("x without its fraction.", "ww.trunc(ww.asarray(-1.5))", "tensor(-1.)"), None, to_float=False
)
round: Unary = _function(
    "round", _doc("The nearest integer, ties to even.", "ww.round(ww.asarray(2.5))", "tensor(2.)"), None, to_float=False
)


def positive(x: Tensor, /) -> Tensor:
    """+x: a copy of x.

    >>> import whitewolf as ww
    >>> +ww.asarray(3.0)
    tensor(3.)
    """
    from .manipulation import astype

    return astype(_numbers("positive", x), x.dtype)


def _numbers(op: str, x: Tensor) -> Tensor:
    if check_tensor(op, "x", x).dtype.kind == "b":
        raise TypeError(f"{op}: expected x of numbers, got dtype bool")
    return x


__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "divide",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "log",
    "log10",
    "log1p",
    "log2",
    "multiply",
    "negative",
    "positive",
    "reciprocal",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "trunc",
]
