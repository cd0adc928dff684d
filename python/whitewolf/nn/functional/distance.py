"""Distances and angles between vectors."""

from __future__ import annotations

import math

import numpy as np

from ...ops import elementwise, reduce
from ...ops._common import check_float, check_same_device, check_same_dtype, check_tensor
from ...ops.binary import pow
from ...ops.gather import index_select
from ...ops.rearrange import broadcast_arrays
from ...ops.select import clip, where
from ...tensor import Tensor, wrap


def check_vectors(op: str, **vectors: Tensor) -> None:
    """Tensors of one device and floating dtype.

    Raises:
        TypeError: they are not.
    """
    for name, tensor in vectors.items():
        check_float(op, name, check_tensor(op, name, tensor))
    check_same_device(op, **vectors)
    check_same_dtype(op, **vectors)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`; the two broadcast.

    >>> import whitewolf as ww
    >>> ww.nn.functional.cosine_similarity(ww.asarray([3.0, 4.0]), ww.asarray([1.0, 0.0]), dim=0)
    tensor(0.6)
    """
    check_vectors("cosine_similarity", x1=x1, x2=x2)
    if x1.shape != x2.shape:
        x1, x2 = broadcast_arrays(x1, x2)  # first, since `dim` may be one that only one of them has in full
    # Clipped before the root, whose slope at 0 is infinite.
    lengths = [elementwise.sqrt(clip(reduce.sum_squares(x, axis=dim, keepdims=True), min=eps * eps)) for x in (x1, x2)]
    return reduce.sum(elementwise.multiply(x1 / lengths[0], x2 / lengths[1]), axis=dim)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """|x1 - x2 + eps|_p along the last dimension, for p = 0 the number of elements that are not zero; the two broadcast.

    >>> import whitewolf as ww
    >>> ww.nn.functional.pairwise_distance(ww.asarray([3.0, 4.0]), ww.zeros(2), eps=0.0)
    tensor(5.)
    """
    check_vectors("pairwise_distance", x1=x1, x2=x2)
    difference = elementwise.subtract(x1, x2) + eps
    if p == 2:
        return elementwise.sqrt(reduce.sum_squares(difference, axis=-1, keepdims=keepdim))
    size = elementwise.abs(difference)
    if p in (math.inf, -math.inf):
        return (reduce.max if p > 0 else reduce.min)(size, axis=-1, keepdims=keepdim)
    if p == 1:
        return reduce.sum(size, axis=-1, keepdims=keepdim)
    if p == 0:
        return reduce.sum(elementwise.sign(size), axis=-1, keepdims=keepdim)
    return pow(reduce.sum(pow(size, p), axis=-1, keepdims=keepdim), 1 / p)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """|x_i - x_j|_p for all rows i < j of x; the gradient of equal rows is 0.

    Args:
        input: x, float32 or float64 [N, D].
        p: >= 0; 0 counts the elements that differ.

    Returns:
        [N (N - 1) / 2], ordered by i, then j.

    Raises:
        ValueError: x is no matrix, or p is negative.

    >>> import whitewolf as ww
    >>> ww.nn.functional.pdist(ww.asarray([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]]))
    tensor([5., 3., 4.])
    """
    check_vectors("pdist", input=input)
    if input.ndim != 2:
        raise ValueError(f"pdist: expected input [N, D], got input.shape == {input.shape}")
    if not p >= 0:
        raise ValueError(f"pdist: expected p >= 0, got {p}")
    first, second = np.triu_indices(input.shape[0], 1)
    left, right = (index_select(input, 0, wrap(i.astype(np.int64), input.device)) for i in (first, second))
    size = elementwise.abs(elementwise.subtract(left, right))
    if not size.size:
        return reduce.sum(size, axis=-1)
    if p == 0:
        return reduce.sum(elementwise.multiply(elementwise.sign(size), 1.0), axis=-1)
    if p == 1:
        return reduce.sum(size, axis=-1)
    if p == math.inf:
        return reduce.max(size, axis=-1)
    # Roots and powers have no slope at 0: there, and at 0 alone, something else is raised, and 0 put back.
    zero = wrap(size._data == 0, size.device)
    powers = where(zero, 0.0, pow(where(zero, 1.0, size), p))
    total = reduce.sum(powers, axis=-1)
    nothing = wrap(total._data == 0, total.device)
    return where(nothing, 0.0, pow(where(nothing, 1.0, total), 1 / p))


__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]
