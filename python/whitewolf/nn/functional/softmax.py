"""Softmax under PyTorch's arguments."""

from __future__ import annotations

import warnings
from typing import Any

from ...ops import softmax as ops
from ...ops._common import check_float, check_tensor, normalize_axis
from ...ops.creation import zeros_like
from ...ops.elementwise import add, divide, log, negative, subtract
from ...ops.gather import scatter
from ...ops.manipulation import astype
from ...ops.random import uniform
from ...ops.reduce import argmax
from ...ops.select import clip
from ...tensor import Tensor


def _dim(op: str, input: Tensor, dim: int | None) -> int:
    """`dim`, or PyTorch's guess: the channels of [N, C, ...], but the first of 0, 1 and 3 dimensions."""
    if dim is not None or not isinstance(input, Tensor):
        return -1 if dim is None else dim
    guess = 0 if input.ndim in (0, 1, 3) else 1
    warnings.warn(f"{op}: dim={guess} is a guess that PyTorch's users know; name it", DeprecationWarning, stacklevel=3)
    return guess


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """exp(input) / (the sum of exp(input) along `dim`), without overflow (Bridle 1990).

    Args:
        input: float32 or float64, any shape.
        dim: one dimension; None is a guess: 1, the channels, but 0 for inputs of 0, 1 and 3 dimensions.
        dtype: to convert the input to before.

    >>> import whitewolf as ww
    >>> ww.nn.functional.softmax(ww.asarray([0.0, 0.0]), 0)
    tensor([0.5, 0.5])
    """
    return ops.softmax(input if dtype is None else astype(input, dtype, copy=False), _dim("softmax", input, dim))


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """input - log(the sum of exp(input) along `dim`), without overflow; arguments as `softmax`.

    >>> import whitewolf as ww
    >>> ww.nn.functional.log_softmax(ww.asarray([0.0, 0.0]), 0)
    tensor([-0.6931, -0.6931])
    """
    return ops.log_softmax(input if dtype is None else astype(input, dtype, copy=False), _dim("log_softmax", input, dim))


def softmin(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """The softmax of -input; arguments as `softmax`.

    >>> import whitewolf as ww
    >>> ww.nn.functional.softmin(ww.asarray([0.0, 0.0]), 0)
    tensor([0.5, 0.5])
    """
    return softmax(negative(input), _dim("softmin", input, dim), dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A random choice that has a gradient: the softmax of (logits + g) / tau, g = -log(-log(u)), u uniform (Jang et al. 2017, arXiv
    1611.01144, equation 2).

    Args:
        logits: float32 or float64, any shape: logarithms of probabilities, up to a constant.
        tau: the temperature, > 0; the smaller, the nearer to one choice.
        hard: the choice itself, a one among zeros, with the gradient of the softmax ("straight through").
        eps: taken for the sake of code written for PyTorch, which does not use it either.
        dim: along which to choose.

    Raises:
        ValueError: tau is not above 0.

    >>> import whitewolf as ww
    >>> ww.nn.functional.gumbel_softmax(ww.zeros((2, 3)), hard=True).sum(1)
    tensor([1., 1.])
    """
    op = "gumbel_softmax"
    x = check_tensor(op, "logits", logits)
    check_float(op, "logits", x)
    if not tau > 0:
        raise ValueError(f"{op}: expected tau > 0, got {tau}")
    at = normalize_axis(op, dim, x.ndim, "dim")
    exponential = negative(log(subtract(1, uniform(x.shape, dtype=x.dtype, device=x.device))))
    noise = negative(log(clip(exponential, min=2.0**-100)))
    soft = ops.softmax(divide(add(x, noise), tau), at)
    if not hard:
        return soft
    choice = scatter(zeros_like(soft.detach()), at, argmax(soft.detach(), axis=at, keepdims=True), 1.0)
    return add(subtract(choice, soft.detach()), soft)
