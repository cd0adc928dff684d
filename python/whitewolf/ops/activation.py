"""Activation functions, each with a fused derivative and a second one made of ops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..dtypes import is_sixteen_bit
from ..graph import record, save_output, saved_output
from ..tensor import Tensor
from ._common import KERNEL_FLOATS, check_float, check_tensor
from ._sixteen import through_float32
from .elementwise import _as_float, add, exp, fused_backward, multiply, square, subtract, tanh

Slope = Callable[[Tensor, Tensor], Tensor]


def _activation(name: str, x: Tensor, attrs: dict[str, Any], slope: Slope | None, output: bool = False) -> Tensor:
    """`<name>_forward`, with `<name>_backward_x` as its gradient; `slope(g, x)` is g * f''(x) (of the output where `output`)."""
    x = check_tensor(name, "input", x)
    if is_sixteen_bit(x.dtype):
        return through_float32(_activation, name, x, attrs, slope, output)
    check_float(name, "input", x)
    data = x.device.empty(x._data.shape, x._data.dtype, x._data)
    x.device.kernels[name + "_forward"](data, x._data, **attrs)
    if output:
        return save_output(
            record(name, data, (x,), lambda node, grad: (fused_backward(name, grad, saved_output(node), attrs, slope),))
        )
    return record(name, data, (x,), lambda node, grad: (fused_backward(name, grad, node.saved[0], attrs, slope),), (x,))  # type: ignore[no-any-return]


def relu(x: Tensor, /) -> Tensor:
    """max(x, 0); NaN stays NaN, and the derivative at 0 is 0 (Nair and Hinton 2010).

    Args:
        x: any shape; integers keep their dtype.

    >>> import whitewolf as ww
    >>> ww.nn.functional.relu(ww.asarray([-1.0, 2.0]))
    tensor([0., 2.])
    """
    x = check_tensor("relu", "input", x)
    if x.dtype not in KERNEL_FLOATS:
        if is_sixteen_bit(x.dtype):
            return through_float32(relu, x)
        from .binary import maximum

        return maximum(x, 0)
    data = x.device.empty(x._data.shape, x._data.dtype, x._data)
    x.device.kernels["relu_forward"](data, x._data)
    # The output says as well as the input where the derivative is 1, and is kept anyway: the next layer saves it.
    return save_output(record("relu", data, (x,), lambda node, grad: (fused_backward("relu", grad, node.saved[0], {}, None),)))


def leaky_relu(x: Tensor, /, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope * x (Maas et al. 2013)."""
    return _activation("leaky_relu", x, {"alpha": float(negative_slope)}, None)


def elu(x: Tensor, /, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha (e^x - 1) (Clevert et al. 2016, eq. 15)."""

    def slope(g: Tensor, x: Tensor) -> Tensor:
        from .select import where

        return where(x > 0, 0, multiply(g, multiply(exp(where(x > 0, 0, x)), alpha)))

    return _activation("elu", x, {"alpha": float(alpha)}, slope)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e^-x).

    >>> import whitewolf as ww
    >>> ww.nn.functional.sigmoid(ww.asarray(0.0))
    tensor(0.5)
    """
    return _activation(
        "sigmoid",
        _as_float(check_tensor("sigmoid", "input", input)),
        {},
        lambda g, y: multiply(g, subtract(1, multiply(y, 2))),
        output=True,
    )


def silu(x: Tensor, /) -> Tensor:
    """x sigmoid(x) (Elfwing et al. 2018, eq. 5)."""

    def slope(g: Tensor, x: Tensor) -> Tensor:
        s = sigmoid(x)
        return multiply(g, multiply(multiply(s, subtract(1, s)), add(multiply(x, subtract(1, multiply(s, 2))), 2)))

    return _activation("silu", x, {}, slope)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta x)) / beta, x = input, and x itself where beta x > threshold.

    >>> import whitewolf as ww
    >>> ww.nn.functional.softplus(ww.asarray([0.0, 30.0]))
    tensor([ 0.6931, 30.    ])
    """

    def slope(g: Tensor, x: Tensor) -> Tensor:
        from .select import where

        s = sigmoid(multiply(x, beta))
        return where(multiply(x, beta) > threshold, 0, multiply(g, multiply(multiply(s, subtract(1, s)), beta)))

    return _activation("softplus", input, {"beta": float(beta), "threshold": float(threshold)}, slope)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x (1 + erf(x / sqrt(2))) / 2, x = input; with approximate="tanh", x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2
    (Hendrycks and Gimpel 2016, section 2).

    Raises:
        ValueError: `approximate` is neither "none" nor "tanh".

    >>> import whitewolf as ww
    >>> ww.nn.functional.gelu(ww.asarray([0.0, 1.0]))
    tensor([0.    , 0.8413])
    """

    def exact(g: Tensor, x: Tensor) -> Tensor:  # phi(x) (2 - x^2)
        density = multiply(exp(multiply(square(x), -0.5)), 1 / math.sqrt(2 * math.pi))
        return multiply(g, multiply(density, subtract(2, square(x))))

    def by_tanh(g: Tensor, x: Tensor) -> Tensor:
        c, k = math.sqrt(2 / math.pi), 0.044715
        t = tanh(multiply(multiply(x, add(multiply(square(x), k), 1)), c))
        u1, u2 = multiply(add(multiply(square(x), 3 * k), 1), c), multiply(x, 6 * k * c)
        rest = subtract(1, square(t))
        bend = subtract(multiply(u2, 0.5), multiply(t, square(u1)))
        return multiply(g, multiply(rest, add(u1, multiply(x, bend))))

    return _activation("gelu", input, {"approximate": approximate}, exact if approximate == "none" else by_tanh)


__all__ = ["elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus"]
