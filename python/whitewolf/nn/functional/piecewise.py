"""Activations made of straight lines (and hardswish, of a parabola) under PyTorch's arguments.

NaN stays NaN. `inplace` as in activation.py.
"""

from __future__ import annotations

from ...ops._common import check_float, check_same_device, check_tensor
from ...ops.elementwise import abs, add, divide, multiply, sign, subtract
from ...ops.in_place import in_place
from ...ops.logic import greater, less, less_equal
from ...ops.manipulation import reshape
from ...ops.random import uniform
from ...ops.select import clip, where
from ...tensor import Tensor


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """min(max(input, min_val), max_val), with derivative 0 at both and beyond.

    Raises:
        ValueError: min_val > max_val.

    >>> import whitewolf as ww
    >>> ww.nn.functional.hardtanh(ww.asarray([-2.0, 0.5]))
    tensor([-1. ,  0.5])
    """
    if inplace:
        return in_place("hardtanh", input, lambda x: hardtanh(x, min_val, max_val))
    x = check_tensor("hardtanh", "input", input)
    if min_val > max_val:
        raise ValueError(f"hardtanh: expected min_val <= max_val, got {min_val} and {max_val}")
    inside = greater(x, min_val) & less(x, max_val)
    return where(inside, x, clip(x.detach(), min_val, max_val))


def rrelu(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False) -> Tensor:
    """input where it is > 0, else a input: a uniform in [lower, upper) for each element in training, else their mean (Xu et al. 2015).

    Raises:
        ValueError: lower > upper.

    >>> import whitewolf as ww
    >>> ww.nn.functional.rrelu(ww.asarray([-2.0, 2.0]), 0.25, 0.75)
    tensor([-1.,  2.])
    """
    if inplace:
        return in_place("rrelu", input, lambda x: rrelu(x, lower, upper, training))
    x = check_tensor("rrelu", "input", input)
    check_float("rrelu", "input", x)
    if not lower <= upper:
        raise ValueError(f"rrelu: expected lower <= upper, got {lower} and {upper}")
    slope = uniform(x.shape, lower, upper, dtype=x.dtype, device=x.device) if training else (lower + upper) / 2
    return where(greater(x, 0), x, multiply(x, slope))


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input, 0), 6) (Krizhevsky 2010), with derivative 0 at both and beyond.

    >>> import whitewolf as ww
    >>> ww.nn.functional.relu6(ww.asarray([-1.0, 7.0]))
    tensor([0., 6.])
    """
    if inplace:
        return in_place("relu6", input, relu6)
    return hardtanh(input, 0.0, 6.0)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """relu6(input + 3) / 6 (Courbariaux et al. 2015, with that slope).

    >>> import whitewolf as ww
    >>> ww.nn.functional.hardsigmoid(ww.asarray([-4.0, 0.0]))
    tensor([0. , 0.5])
    """
    if inplace:
        return in_place("hardsigmoid", input, hardsigmoid)
    return divide(relu6(add(check_tensor("hardsigmoid", "input", input), 3)), 6)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """input relu6(input + 3) / 6 (Howard et al. 2019, arXiv 1905.02244, section 5.2).

    >>> import whitewolf as ww
    >>> ww.nn.functional.hardswish(ww.asarray([-4.0, 3.0]))
    tensor([-0.,  3.])
    """
    if inplace:
        return in_place("hardswish", input, hardswish)
    return multiply(input, hardsigmoid(input))


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """input where it is > threshold, else value.

    >>> import whitewolf as ww
    >>> ww.nn.functional.threshold(ww.asarray([1.0, 2.0]), 1.0, -5.0)
    tensor([-5.,  2.])
    """

    def kept(x: Tensor) -> Tensor:
        return where(less_equal(x, threshold), value, x)

    x = check_tensor("threshold", "input", input)
    return in_place("threshold", x, kept) if inplace else kept(x)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """input where |input| > lambd, else 0 (Donoho and Johnstone 1994).

    >>> import whitewolf as ww
    >>> ww.nn.functional.hardshrink(ww.asarray([-2.0, 0.5]))
    tensor([-2.,  0.])
    """
    x = check_tensor("hardshrink", "input", input)
    return where(less_equal(abs(x.detach()), lambd), 0.0, x)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """input - lambd sign(input) where |input| > lambd, else 0 (Donoho and Johnstone 1994).

    Raises:
        ValueError: lambd < 0.

    >>> import whitewolf as ww
    >>> ww.nn.functional.softshrink(ww.asarray([-2.0, 0.5]))
    tensor([-1.5,  0. ])
    """
    x = check_tensor("softshrink", "input", input)
    if lambd < 0:
        raise ValueError(f"softshrink: expected lambd >= 0, got {lambd}")
    return where(less_equal(abs(x.detach()), lambd), 0.0, subtract(x, multiply(sign(x.detach()), lambd)))


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """input where it is > 0, else weight * input, the weight learned (He et al. 2015, arXiv 1502.01852, equation 1).

    Args:
        input: float32 or float64 [N, C, ...].
        weight: [1], or [C] for one a channel.

    Raises:
        ValueError: the shapes do not fit.

    >>> import whitewolf as ww
    >>> ww.nn.functional.prelu(ww.asarray([-2.0, 2.0]), ww.asarray([0.25]))
    tensor([-0.5,  2. ])
    """
    x = check_tensor("prelu", "input", input)
    check_same_device("prelu", input=x, weight=check_tensor("prelu", "weight", weight))
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.shape not in ((), (1,), (channels,)):
        raise ValueError(f"prelu: expected weight.shape == (1,) or ({channels},) (channels), got weight.shape == {weight.shape}")
    w = reshape(weight, (-1,) + (1,) * (x.ndim - 2)) if x.ndim > 1 else reshape(weight, (1,) * x.ndim)
    return where(greater(x, 0), x, multiply(x, w))


__all__ = ["hardshrink", "hardsigmoid", "hardswish", "hardtanh", "prelu", "relu6", "rrelu", "softshrink", "threshold"]
