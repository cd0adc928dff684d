"""Activations under PyTorch's arguments; formulas and gradients are in ops/activation.py.

With `inplace`, the result is written into the input's memory, and the input is what is returned: as `x += y` (see `ww.Tensor`), it is
refused, in a graph, for a leaf and for memory that another tensor shares.
"""

from __future__ import annotations

from ...ops import activation as ops
from ...ops import elementwise
from ...ops._common import check_tensor, normalize_axis
from ...ops.activation import gelu, sigmoid, softplus
from ...ops.elementwise import abs, add, divide, multiply, negative, subtract
from ...ops.in_place import in_place
from ...ops.joining import split
from ...ops.select import where
from ...tensor import Tensor


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0); NaN stays NaN, and the derivative at 0 is 0 (Nair and Hinton 2010).

    >>> import whitewolf as ww
    >>> ww.nn.functional.relu(ww.asarray([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return in_place("relu", input, ops.relu) if inplace else ops.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is > 0, else negative_slope * input (Maas et al. 2013); the derivative at 0 is negative_slope.

    >>> import whitewolf as ww
    >>> ww.nn.functional.leaky_relu(ww.asarray([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    if inplace:
        return in_place("leaky_relu", input, lambda x: leaky_relu(x, negative_slope))
    return ops.leaky_relu(input, negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where it is > 0, else alpha (exp(input) - 1) (Clevert et al. 2016, arXiv 1511.07289, equation 15).

    >>> import whitewolf as ww
    >>> ww.nn.functional.elu(ww.asarray([0.0, 2.0]))
    tensor([0., 2.])
    """
    if inplace:
        return in_place("elu", input, lambda x: elu(x, alpha))
    return ops.elu(input, alpha)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input) (Elfwing et al. 2018, arXiv 1702.03118, equation 5).

    >>> import whitewolf as ww
    >>> ww.nn.functional.silu(ww.asarray(0.0))
    tensor(0.)
    """
    if inplace:
        return in_place("silu", input, silu)
    return ops.silu(input)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """1.0507 input where it is > 0, else 1.0507 1.6733 (exp(input) - 1) (Klambauer et al. 2017, arXiv 1706.02515, equation 2).

    >>> import whitewolf as ww
    >>> ww.nn.functional.selu(ww.asarray(1.0))
    tensor(1.0507)
    """
    if inplace:
        return in_place("selu", input, selu)
    return multiply(ops.elu(input, _SELU_ALPHA), _SELU_SCALE)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where it is > 0, else alpha (exp(input / alpha) - 1) (Barron 2017, arXiv 1704.07483).

    Raises:
        ValueError: alpha is 0.

    >>> import whitewolf as ww
    >>> ww.nn.functional.celu(ww.asarray(2.0), 0.5)
    tensor(2.)
    """
    if inplace:
        return in_place("celu", input, lambda x: celu(x, alpha))
    if alpha == 0:
        raise ValueError("celu: expected alpha != 0, got 0")
    scaled = divide(check_tensor("celu", "input", input), alpha)
    if alpha > 0:
        return multiply(ops.elu(scaled, 1.0), alpha)
    bent = input <= 0  # where the exponent is positive: elsewhere it might overflow for nothing
    return where(bent, multiply(elementwise.expm1(where(bent, scaled, 0)), alpha), input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """input tanh(softplus(input)) (Misra 2020, arXiv 1908.08681).

    >>> import whitewolf as ww
    >>> ww.nn.functional.mish(ww.asarray(0.0))
    tensor(0.)
    """
    if inplace:
        return in_place("mish", input, mish)
    return multiply(input, elementwise.tanh(softplus(input, 1.0, 50.0)))


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a sigmoid(b), a and b the halves of the input along `dim` (Dauphin et al. 2017, arXiv 1612.08083).

    Raises:
        ValueError: there are no halves.

    >>> import whitewolf as ww
    >>> ww.nn.functional.glu(ww.asarray([2.0, 0.0]))
    tensor([1.])
    """
    x = check_tensor("glu", "input", input)
    at = normalize_axis("glu", dim, x.ndim, "dim")
    if not x.ndim or x.shape[at] % 2:
        raise ValueError(f"glu: expected an even size along dim {dim}, got input.shape == {x.shape}")
    a, b = split(x, x.shape[at] // 2, at) if x.shape[at] else (x, x)
    return multiply(a, sigmoid(b))


def logsigmoid(input: Tensor) -> Tensor:
    """log(1 / (1 + exp(-input))), without overflow.

    >>> import whitewolf as ww
    >>> ww.nn.functional.logsigmoid(ww.asarray(-100.0))
    tensor(-100.)
    """
    return negative(softplus(negative(input), 1.0, 50.0))


def softsign(input: Tensor) -> Tensor:
    """input / (1 + |input|) (Bergstra et al. 2009).

    >>> import whitewolf as ww
    >>> ww.nn.functional.softsign(ww.asarray(3.0))
    tensor(0.75)
    """
    return divide(input, add(abs(input), 1))


def tanh(input: Tensor) -> Tensor:
    """(e^input - e^-input) / (e^input + e^-input), as `ww.tanh`.

    >>> import whitewolf as ww
    >>> ww.nn.functional.tanh(ww.asarray([0.0]))
    tensor([0.])
    """
    return elementwise.tanh(input)


def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input).

    >>> import whitewolf as ww
    >>> ww.nn.functional.tanhshrink(ww.asarray(0.0))
    tensor(0.)
    """
    return subtract(input, tanh(input))


_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
    "tanhshrink",
]
