"""Softmax under PyTorch's arguments."""

from __future__ import annotations

from typing import Any

from ...ops import softmax as ops
from ...ops.elementwise import negative
from ...ops.manipulation import astype
from ...tensor import Tensor


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """exp(input) / (the sum of exp(input) along `dim`), without overflow (Bridle 1990).

    Args:
        input: float32 or float64, any shape.
        dtype: to convert the input to before.

    >>> import whitewolf as ww
    >>> ww.nn.functional.softmax(ww.asarray([0.0, 0.0]), 0)
    tensor([0.5, 0.5])
    """
    return ops.softmax(input if dtype is None else astype(input, dtype, copy=False), dim)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """input - log(the sum of exp(input) along `dim`), without overflow; arguments as `softmax`.

    >>> import whitewolf as ww
    >>> ww.nn.functional.log_softmax(ww.asarray([0.0, 0.0]), 0)
    tensor([-0.6931, -0.6931])
    """
    return ops.log_softmax(input if dtype is None else astype(input, dtype, copy=False), dim)


def softmin(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """The softmax of -input; arguments as `softmax`.

    >>> import whitewolf as ww
    >>> ww.nn.functional.softmin(ww.asarray([0.0, 0.0]), 0)
    tensor([0.5, 0.5])
    """
    return softmax(negative(input), dim, dtype)
