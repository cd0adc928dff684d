"""The k largest or smallest elements."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._precision import widened
from ..dtypes import is_sixteen_bit
from ..tensor import Tensor, wrap
from ._common import check_flag, check_tensor, normalize_axis
from .gather import gather
from .manipulation import reshape


class TopK(NamedTuple):
    """What `topk` gives.

    >>> import whitewolf as ww
    >>> ww.topk(ww.asarray([3.0, 1.0]), 1).values
    tensor([3.])
    """

    values: Tensor
    indices: Tensor


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> TopK:
    """The k largest (or smallest) elements along `dim` and their int64 indices; NaN counts as larger than any number.

    Among equal elements the lower index comes first. The gradient goes to the elements that were taken.

    Args:
        input: any shape, real.
        k: in [0, input.shape[dim]].
        sorted: taken for the sake of code written for PyTorch; the result is sorted either way.

    Raises:
        ValueError: k is outside.
        IndexError: `dim` is outside.

    >>> import whitewolf as ww
    >>> ww.topk(ww.asarray([3.0, 1.0, 2.0, 3.0]), 2).indices
    tensor([0, 3])
    """
    x = check_tensor("topk", "input", input)
    if x.dtype.kind not in "biuf" and not is_sixteen_bit(x.dtype):
        raise TypeError(f"topk: expected input of real numbers, got dtype {x.dtype}")
    check_flag("topk", "largest", largest)
    check_flag("topk", "sorted", sorted)
    at = normalize_axis("topk", dim, max(x.ndim, 1), "dim")
    if not x.ndim:
        row = topk(reshape(x, (1,)), k)
        return row if k == 0 else TopK(reshape(row.values, ()), reshape(row.indices, ()))
    n = x.shape[at]
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 0 <= k <= n:
        raise ValueError(f"topk: expected k in [0, {n}] (input.shape[{at}]), got {k}")
    places = wrap(np.moveaxis(_places(np.moveaxis(widened(x._data), at, -1), int(k), largest), -1, at), x.device)
    return TopK(gather(x, at, places), places)


def _places(x: np.ndarray, k: int, largest: bool) -> np.ndarray:  # type: ignore[type-arg]
    """Indices along the last dimension: those beyond the k-th element, filled up with its equals from the front, then in order."""
    n = x.shape[-1]
    if k == 0 or x.size == 0:
        return np.zeros((*x.shape[:-1], k), np.int64)
    at = n - k if largest else k - 1
    bound = np.partition(x, at, axis=-1)[..., at : at + 1]  # NaN last
    no_number, bound_is_none = x != x, bound != bound
    equal = np.where(bound_is_none, no_number, x == bound)
    beyond = (x > bound) | (no_number & ~bound_is_none) if largest else (x < bound) | (~no_number & bound_is_none)
    room = k - beyond.sum(-1, keepdims=True)
    chosen = beyond | (equal & (np.cumsum(equal, axis=-1) <= room))
    places = np.nonzero(chosen)[-1].reshape(*x.shape[:-1], k)
    values = np.take_along_axis(x, places, -1)
    if largest:  # a stable descending order is a stable ascending one of the reversed array, read backwards
        order = k - 1 - np.flip(np.argsort(np.flip(values, -1), axis=-1, kind="stable"), -1)
    else:
        order = np.argsort(values, axis=-1, kind="stable")
    return np.take_along_axis(places, order, -1)


__all__ = ["TopK", "topk"]
