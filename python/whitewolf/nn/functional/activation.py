"""Activations under PyTorch's arguments; formulas and gradients are in ops/activation.py.

`inplace` is taken for the sake of code written for PyTorch and changes nothing: a new tensor is returned.
"""

from __future__ import annotations

from ...ops import activation as ops
from ...ops.activation import gelu, sigmoid, softplus
from ...ops.elementwise import tanh
from ...tensor import Tensor


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0); NaN stays NaN, and the derivative at 0 is 0 (Nair and Hinton 2010).

    >>> import whitewolf as ww
    >>> ww.nn.functional.relu(ww.asarray([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return ops.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is > 0, else negative_slope * input (Maas et al. 2013); the derivative at 0 is negative_slope.

    >>> import whitewolf as ww
    >>> ww.nn.functional.leaky_relu(ww.asarray([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    return ops.leaky_relu(input, negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where it is > 0, else alpha (exp(input) - 1) (Clevert et al. 2016, arXiv 1511.07289, equation 15).

    >>> import whitewolf as ww
    >>> ww.nn.functional.elu(ww.asarray([0.0, 2.0]))
    tensor([0., 2.])
    """
    return ops.elu(input, alpha)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input) (Elfwing et al. 2018, arXiv 1702.03118, equation 5).

    >>> import whitewolf as ww
    >>> ww.nn.functional.silu(ww.asarray(0.0))
    tensor(0.)
    """
    return ops.silu(input)


__all__ = ["elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus", "tanh"]
