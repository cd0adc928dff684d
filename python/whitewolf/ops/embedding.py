"""Rows of a table by their index, and sums, means and maxima of bags of them.

Looking rows up and adding into them are linear and each other's gradient. Terms of one row are added in the order of the indices,
whatever the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._precision import widened
from ..dtypes import float32, is_sixteen_bit
from ..graph import Node, record
from ..tensor import Tensor, wrap
from ._common import check_float, check_int, check_same_device, check_same_dtype, check_tensor
from .creation import zeros
from .elementwise import divide, multiply
from .gather import gather, index_add
from .indexing import getitem
from .manipulation import astype, expand_dims
from .select import where


def embedding(
    index: Tensor, weight: Tensor, padding_idx: int | None = None, *, scale_grad_by_freq: bool = False, op: str = "embedding"
) -> Tensor:
    """weight[index], a row for each index (Bengio et al. 2003).

    Args:
        index: integers [...] in [0, V).
        weight: float32 or float64 [V, D].
        padding_idx: the row whose gradient is zero; negative ones count from the end.
        scale_grad_by_freq: the gradient of a row is divided by how often its index occurs.
        op: what errors name.

    Returns:
        [..., D].

    Raises:
        IndexError: an index, or padding_idx, is outside.
        TypeError: the index is not of integers.
    """
    places = check_operands(op, index, weight)
    hidden = check_padding(op, padding_idx, weight.shape[0])
    factor = None
    if scale_grad_by_freq and places.size:
        _, inverse, counts = np.unique(places, return_inverse=True, return_counts=True)
        factor = (1 / counts)[inverse.reshape(places.shape)].astype(weight.dtype)[..., None]
    table = index if places is index._data else wrap(places, weight.device)  # whose version is that of the memory
    return _look_up(weight, table, -1, hidden, None if factor is None else wrap(factor, weight.device))


def check_operands(op: str, index: Tensor, weight: Tensor) -> Any:
    """The indices as int64, each inside the table.

    Raises:
        IndexError: one is outside.
        TypeError: they are no integers.
        ValueError: the weight is not a table.
    """
    check_tensor(op, "input", index)
    if not is_sixteen_bit(check_tensor(op, "weight", weight).dtype):
        check_float(op, "weight", weight)
    check_same_device(op, input=index, weight=weight)
    if weight.ndim != 2:
        raise ValueError(f"{op}: expected weight of shape [V, D], got weight.shape == {weight.shape}")
    places = index._data
    if places.dtype.kind not in "iu":
        raise TypeError(f"{op}: expected input of integers, got dtype {index.dtype}")
    rows = weight.shape[0]
    if places.size and not (0 <= places.min() and places.max() < rows):
        at = tuple(int(i) for i in np.argwhere((places < 0) | (places >= rows))[0])
        raise IndexError(f"{op}: expected input in [0, {rows}) (weight.shape[0]), got {int(places[at])} at {at}")
    return places.astype(np.int64, copy=False)


def check_padding(op: str, padding_idx: int | None, rows: int) -> int:
    """padding_idx counted from the front; -1 for None.

    Raises:
        IndexError: it is outside.
        TypeError: it is no int.
    """
    if padding_idx is None:
        return -1
    padding_idx = check_int(op, "padding_idx", padding_idx)
    if not -rows <= padding_idx < rows:
        raise IndexError(f"{op}: expected padding_idx in [{-rows}, {rows}) (weight.shape[0]), got {padding_idx}")
    return padding_idx % rows


def _look_up(weight: Tensor, places: Tensor, skip: int, hidden: int, factor: Tensor | None) -> Tensor:
    """weight[places], zeros where that is `skip`; no gradient reaches row `hidden`, and terms of the others are times `factor`."""
    data = weight.device.empty((*places.shape, weight.shape[1]), weight.dtype)
    if is_sixteen_bit(data.dtype):  # copied as they are: the whole table as float32 would cost more than its rows
        taken = (places._data != skip)[..., None]
        data[...] = weight._data[np.where(taken[..., 0], places._data, 0)] if weight.shape[0] else 0
        data *= taken
    else:
        weight.device.kernels["embedding_forward"](data, places._data, weight._data, skip=skip)
    rows = weight.shape[0]

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        terms = grad if factor is None else multiply(grad, factor)
        return (_add_up(terms, node.saved[0], rows, hidden if skip < 0 else skip),)

    return record("embedding", data, (weight,), backward, (places,))  # type: ignore[no-any-return]


def _add_up(terms: Tensor, places: Tensor, rows: int, hidden: int) -> Tensor:
    """A table of so many rows, of the sums of the terms at their places; row `hidden` is zero."""
    device, size = terms.device, terms.shape[-1]
    data = device.empty((rows, size), float32 if is_sixteen_bit(terms.dtype) else terms.dtype)
    data.fill(0)
    flat = places._data.reshape(-1)
    index = np.broadcast_to(flat, (size, flat.size))
    device.kernels["scatter_add_forward"](data.T, widened(terms._data).reshape(flat.size, size).T, index)
    if hidden >= 0:
        data[hidden] = 0

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        return (_look_up(grad, node.saved[0], hidden, -1, None),)

    data = data.astype(terms.dtype, copy=False)
    return record("embedding_backward", data, (terms,), backward, (places,))  # type: ignore[no-any-return]  # record's result is Any: a Tensor, or several


def renormalize(op: str, weight: Tensor, places: Any, max_norm: float, norm_type: float) -> None:
    """Shrinks the rows that are named to a norm of at most `max_norm`, in place and outside the graph.

    Raises:
        TypeError: max_norm or norm_type is no number.
        ValueError: one of them is negative or NaN.
    """
    for name, value in (("max_norm", max_norm), ("norm_type", norm_type)):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{op}: expected {name} to be a number, got {value!r}")
        if not value >= 0:
            raise ValueError(f"{op}: expected {name} >= 0, got {value}")
    named = np.unique(places)
    rows = widened(weight._data[named])
    norms = np.linalg.norm(rows, ord=norm_type, axis=1)
    large = norms > max_norm
    if large.any():
        scale = (max_norm / (norms[large] + 1e-7)).astype(rows.dtype)
        weight._data[named[large]] = rows[large] * scale[:, None]
        weight._overwritten()


def embedding_bag(
    index: Tensor,
    weight: Tensor,
    bags: Any,
    count: int,
    *,
    mode: str,
    per_sample_weights: Tensor | None = None,
    scale_grad_by_freq: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or largest elements of the rows of each bag: bags[j], ascending, is that of index[j]. Zeros for an empty bag.

    Args:
        index: integers [m].
        weight: [V, D].
        bags: int64 NumPy array [m] in [0, count).
        mode: "sum", "mean" or "max"; of equal largest elements the first gets the gradient.
        per_sample_weights: [m]; rows are multiplied by them.
        padding_idx: rows of this index are in no bag.
    """
    op = "embedding_bag"
    check_operands(op, index, weight)
    places, hidden = index.numpy().astype(np.int64, copy=False), check_padding(op, padding_idx, weight.shape[0])
    check_same_device(op, weight=weight, per_sample_weights=per_sample_weights)
    check_same_dtype(op, weight=weight, per_sample_weights=per_sample_weights)
    if hidden >= 0:
        kept = np.flatnonzero(places != hidden)
        places, bags = places[kept], bags[kept]
        if per_sample_weights is not None:
            per_sample_weights = getitem(per_sample_weights, wrap(kept, weight.device))
    sizes = np.bincount(bags, minlength=count)
    if mode == "max":
        return _largest(weight, places, bags, sizes)
    rows = embedding(wrap(places, weight.device), weight, scale_grad_by_freq=scale_grad_by_freq, op=op)
    if is_sixteen_bit(rows.dtype):
        wide = astype(rows, float32), None if per_sample_weights is None else astype(per_sample_weights, float32)
        return astype(_pooled(*wide, bags, sizes, mode), weight.dtype)
    return _pooled(rows, per_sample_weights, bags, sizes, mode)


def _pooled(rows: Tensor, per_sample_weights: Tensor | None, bags: Any, sizes: Any, mode: str) -> Tensor:
    """The sums or means of the rows of each bag."""
    if per_sample_weights is not None:
        rows = multiply(rows, expand_dims(per_sample_weights, axis=1))
    total = zeros((sizes.size, rows.shape[1]), dtype=rows.dtype, device=rows.device)
    total = index_add(total, 0, wrap(bags, rows.device), rows)
    return divide(total, wrap(np.maximum(sizes, 1).astype(rows.dtype)[:, None], rows.device)) if mode == "mean" else total


def _largest(weight: Tensor, places: Any, bags: Any, sizes: Any) -> Tensor:
    count, longest = sizes.size, int(sizes.max(initial=0))
    empty = np.broadcast_to((sizes == 0)[:, None], (count, weight.shape[1]))
    if longest == 0 or not weight.shape[1]:
        return zeros((count, weight.shape[1]), dtype=weight.dtype, device=weight.device)
    within = np.arange(places.size) - (np.cumsum(sizes) - sizes)[bags]
    table = np.zeros((count, longest), np.int64)  # a bag's indices, then row 0 for places that lose to any row
    table[bags, within] = places
    taken = np.arange(longest) < sizes[:, None]
    rows = np.where(taken[..., None], widened(weight.detach().numpy())[table], -np.inf)
    chosen = np.take_along_axis(table, rows.argmax(1), 1)
    found = gather(weight, 0, wrap(chosen, weight.device))
    return where(wrap(empty, weight.device), 0.0, found) if empty.any() else found


__all__ = ["embedding", "embedding_bag"]
