"""Embeddings under PyTorch's arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops import embedding as ops
from ...ops._common import check_tensor
from ...ops.manipulation import reshape
from ...tensor import Tensor


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """weight[input], a row of the table for each index (Bengio et al. 2003); terms of a row's gradient come in the input's order.

    Args:
        input: integers of any dtype [...] in [0, V).
        weight: float32 or float64 [V, D].
        padding_idx: the row whose gradient is zero; negative ones count from the end.
        max_norm: rows that are looked up and have a larger norm are first shrunk to it, in place.
        norm_type: p of that norm.
        scale_grad_by_freq: a row's gradient is divided by how often its index occurs in the input.
        sparse: there are no sparse gradients here: True is an error.

    Returns:
        [..., D].

    Raises:
        IndexError: an index, or padding_idx, is outside the table.
        TypeError: the input is not of integers.
        ValueError: the weight is not [V, D], or sparse is true.

    >>> import whitewolf as ww
    >>> ww.nn.functional.embedding(ww.asarray([2, 0]), ww.asarray([[1.0], [2.0], [3.0]]))
    tensor([[3.],
            [1.]])
    """
    places = _prepare("embedding", input, weight, max_norm, norm_type, sparse)
    return ops.embedding(places, weight, padding_idx, scale_grad_by_freq=scale_grad_by_freq)


def _prepare(op: str, input: Tensor, weight: Tensor, max_norm: float | None, norm_type: float, sparse: bool) -> Tensor:
    if sparse:
        raise ValueError(f"{op}: expected sparse == False, got True: gradients are dense arrays here")
    places = ops.check_operands(op, input, weight)
    if max_norm is not None:
        ops.renormalize(op, weight, places, max_norm, norm_type)
    return input


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or largest elements of the rows of each bag of indices; zeros for an empty bag.

    Args:
        input: integers of any dtype: [B, n], a bag a row; or [m], cut into bags at `offsets`.
        weight: float32 or float64 [V, D].
        offsets: integers [B], where bags begin, from 0 on and not descending.
        max_norm, norm_type, scale_grad_by_freq, sparse: as of `embedding`.
        mode: "sum", "mean" or "max"; of equal largest elements the first gets the gradient.
        per_sample_weights: shaped like input; rows are multiplied by them; for mode "sum".
        include_last_offset: offsets is [B + 1], its last the end of the last bag.
        padding_idx: rows of this index are in no bag.

    Returns:
        [B, D].

    Raises:
        IndexError: an index is outside the table.
        TypeError: input or offsets are not of integers.
        ValueError: the shapes do not fit, offsets descend, or options exclude each other.

    >>> import whitewolf as ww
    >>> table = ww.asarray([[1.0], [2.0], [4.0]])
    >>> ww.nn.functional.embedding_bag(ww.asarray([0, 1, 2]), table, ww.asarray([0, 1]), mode="sum")
    tensor([[1.],
            [6.]])
    """
    op = "embedding_bag"
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"{op}: expected mode to be 'sum', 'mean' or 'max', got {mode!r}")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError(f"{op}: expected scale_grad_by_freq == False with mode 'max', got True")
    if per_sample_weights is not None:
        check_tensor(op, "per_sample_weights", per_sample_weights)
        if mode != "sum":
            raise ValueError(f"{op}: expected mode == 'sum' with per_sample_weights, got {mode!r}")
        if per_sample_weights.shape != input.shape:
            raise ValueError(
                f"{op}: expected per_sample_weights.shape == {input.shape} (input.shape), got {per_sample_weights.shape}"
            )
    _prepare(op, input, weight, max_norm, norm_type, sparse)
    bags, count = _bags(op, input, offsets, include_last_offset)
    used = bags.size  # with include_last_offset, what follows the last bag is in none
    flat, weights = reshape(input, (-1,)), per_sample_weights
    weights = None if weights is None else reshape(weights, (-1,))
    if used < flat.shape[0]:
        flat, weights = flat[:used], None if weights is None else weights[:used]
    return ops.embedding_bag(
        flat, weight, bags, count, mode=mode, per_sample_weights=weights, scale_grad_by_freq=scale_grad_by_freq,
        padding_idx=padding_idx,
    )  # fmt: skip


def _bags(op: str, input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Any, int]:
    """The bag of each index, in their order, and how many bags there are."""
    if input.ndim == 2:
        if offsets is not None:
            check_tensor(op, "offsets", offsets)
            raise ValueError(f"{op}: expected no offsets for input [B, n], got offsets beside input.shape == {input.shape}")
        return np.repeat(np.arange(input.shape[0]), input.shape[1]), input.shape[0]
    if input.ndim != 1 or offsets is None:
        raise ValueError(f"{op}: expected input [B, n], or [m] with offsets, got input.shape == {input.shape}, offsets {offsets}")
    check_tensor(op, "offsets", offsets)
    if offsets.dtype.kind not in "iu":
        raise TypeError(f"{op}: expected offsets of integers, got dtype {offsets.dtype}")
    starts = offsets._data.astype(np.int64)
    if starts.ndim != 1 or (include_last_offset and not starts.size):
        raise ValueError(f"{op}: expected offsets of 1 dimension, got offsets.shape == {offsets.shape}")
    ends = starts[1:] if include_last_offset else np.append(starts[1:], input.shape[0])
    starts = starts[: ends.size]
    if starts.size and (starts[0] != 0 or (ends < starts).any() or ends[-1] > input.shape[0]):
        raise ValueError(
            f"{op}: expected offsets from 0 on, not descending, at most {input.shape[0]} (input.shape[0]), got {offsets.tolist()}"
        )
    return np.repeat(np.arange(starts.size), ends - starts), starts.size


__all__ = ["embedding", "embedding_bag"]
