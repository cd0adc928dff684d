"""The k largest or smallest elements."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._precision import widened
from ..dtypes import is_sixteen_bit
from ..tensor import Tensor, wrap
from ._common import KERNEL_FLOATS, check_dims, check_flag, check_int, check_tensor, normalize_axis
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
    if not 0 <= check_int("topk", "k", k) <= n:
        raise ValueError(f"topk: expected k in [0, {n}] (input.shape[{at}]), got {k}")
    values = np.moveaxis(widened(x._data), at, -1)
    if values.dtype in KERNEL_FLOATS:
        check_dims("topk", "input", x)
        best, indices = (x.device.empty((*values.shape[:-1], int(k)), kind) for kind in (values.dtype, np.dtype(np.int64)))
        x.device.kernels["topk_forward"](best, indices, values, largest=largest)
    else:
        indices = _sorted_places(values, int(k), largest)
    places = wrap(np.moveaxis(indices, -1, at), x.device)
    return TopK(gather(x, at, places), places)


def _sorted_places(x: Any, k: int, largest: bool) -> Any:
    """Indices of integers along the last dimension, by sorting: of equals the first first, in descending order, too."""
    if not largest:
        return np.argsort(x, axis=-1, kind="stable")[..., :k]
    n = x.shape[-1]  # a stable ascending order of the reversed row, read backwards
    return n - 1 - np.flip(np.argsort(np.flip(x, -1), axis=-1, kind="stable"), -1)[..., :k]


__all__ = ["TopK", "topk"]
