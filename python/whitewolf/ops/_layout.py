"""How memory lies: dimensions joined without a copy wherever the strides allow it, for kernels that see rows or channels."""

from __future__ import annotations

import math

import numpy as np

from ..device import Array
from ..tensor import Tensor

Axes = tuple[int, ...]


def _order(array: Array, lead: int) -> Axes:
    """The dimensions after the first `lead`, the largest stride first: so they join without a copy wherever they can."""
    return tuple(sorted(range(lead, array.ndim), key=lambda d: -abs(array.strides[d]) if array.shape[d] != 1 else 0))


def _join(array: Array, lead: int, order: Axes) -> Array:
    """The dimensions `order`, which follow `lead` others, as one: a view where the strides allow it."""
    moved = array.transpose((*range(lead), *order))
    return moved.reshape((*moved.shape[:lead], math.prod(moved.shape[lead:])))


def _output(like: Tensor, lead: int, order: Axes) -> tuple[Array, Array]:
    """An array of that tensor's shape and layout, and the view of it that `_join` gives."""
    data = like.device.empty(like.shape, like.dtype, like._data)
    joined = _join(data, lead, order)
    if np.may_share_memory(joined, data) or not data.size:
        return data, joined
    axes = (*range(lead), *order)
    plain = like.device.empty(tuple(like.shape[d] for d in axes), like.dtype)
    return plain.transpose(np.argsort(axes)), _join(plain, lead, tuple(range(lead, plain.ndim)))


def _channels(array: Array, order: Axes, groups: int | None) -> Array:
    """[B, N, C, L]: statistics over the batch, or (with groups) of each sample."""
    joined = _join(array, 2, order)
    return joined[None] if groups is None else joined[:, None]


def _channels_of(joined: Array, groups: int | None) -> Array:
    return joined[None] if groups is None else joined[:, None]


__all__ = []
