"""Softmax under PyTorch's arguments."""

from __future__ import annotations

import warnings
from typing import Any

from ...ops import softmax as ops
from ...ops.elementwise import negative
from ...ops.manipulation import astype
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
