"""Elementwise arithmetic: check, allocate, call the kernel, record.

Each op reads the same way. float32 and float64 run our kernels; integers, booleans and complex numbers are NumPy's (CuPy's) job.
Backward functions are made of the ops of this module, so every one can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..autograd import Node, record
from ..tensor import Tensor
from ._common import KERNEL_FLOATS, broadcast_shape, check_tensor, operands, unbroadcast

if TYPE_CHECKING:
    from ._common import Operand


def _unary(name: str, x: Tensor) -> Any:
    """The array of one elementwise op, in the dimension order of its input."""
    data = x._data
    if data.dtype in KERNEL_FLOATS:
        out = x.device.empty(data.shape, data.dtype, data)
        x.device.kernels[name + "_forward"](out, data)
        return out
    return getattr(x.device.xp, name)(data)


def _binary(name: str, a: Tensor, b: Tensor) -> Any:
    """The array of one elementwise op of two operands, in the dimension order of the larger one."""
    shape = broadcast_shape(name, a, b)
    if a._data.dtype in KERNEL_FLOATS:
        layout = a._data if a._data.shape == shape else b._data
        out = a.device.empty(shape, a._data.dtype, layout)
        a.device.kernels[name + "_forward"](out, a._data, b._data)
        return out
    return getattr(a.device.xp, name)(a._data, b._data)


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
    return record("add", _binary("add", a, b), (a, b), _add_backward, (), (a.shape, b.shape))  # type: ignore[no-any-return]


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
    return record("subtract", _binary("subtract", a, b), (a, b), _subtract_backward, (), (a.shape, b.shape))  # type: ignore[no-any-return]


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
        unbroadcast(multiply(grad, b), a.shape) if needs[0] else None,
        unbroadcast(multiply(grad, a), b.shape) if needs[1] else None,
    )


def divide(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 / x2, with broadcasting; arguments and errors as `add`. Integers divide as float32.

    >>> import whitewolf as ww
    >>> ww.asarray([1.0, 2.0]) / 4
    tensor([0.25, 0.5 ])
    """
    a, b = operands("divide", x1, x2)
    if a.dtype.kind in "biu":
        from .manipulation import astype

        a, b = astype(a, "float32"), astype(b, "float32")
    return record("divide", _binary("divide", a, b), (a, b), _divide_backward, (a, b))  # type: ignore[no-any-return]


def _divide_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, (a, b) = node.needs, node.saved
    over = divide(grad, b)
    return (
        unbroadcast(over, a.shape) if needs[0] else None,
        unbroadcast(negative(divide(multiply(over, a), b)), b.shape) if needs[1] else None,
    )


def negative(x: Tensor, /) -> Tensor:
    """-x.

    >>> import whitewolf as ww
    >>> -ww.asarray([1.0, -2.0])
    tensor([-1.,  2.])
    """
    x = check_tensor("negative", "x", x)
    return record("negative", _unary("negative", x), (x,), lambda node, grad: (negative(grad),))  # type: ignore[no-any-return]


def exp(x: Tensor, /) -> Tensor:
    """e to the power x: exp(x), with derivative exp(x).

    >>> import whitewolf as ww
    >>> ww.exp(ww.asarray([0.0, 1.0]))
    tensor([1.    , 2.7183])
    """
    return _from_output("exp", x, lambda node, grad, y: multiply(grad, y))


def _from_output(name: str, x: Tensor, backward: Callable[[Node, Tensor, Tensor], Tensor]) -> Tensor:
    """A unary op whose backward needs only its own output: the input may be freed."""
    from ..autograd import save_output, saved_output

    x = check_tensor(name, "x", x)
    result = record(name, _unary(name, x), (x,), lambda node, grad: (backward(node, grad, saved_output(node)),))
    return save_output(result)


__all__ = [
    "add", "divide", "exp", "multiply", "negative", "subtract",
]
