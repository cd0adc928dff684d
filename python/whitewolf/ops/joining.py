"""Arrays joined, and taken apart again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph import Node, record
from ..tensor import Tensor
from ._common import check_int, check_ints, check_same_device, check_tensor, check_tensors, normalize_axis
from .manipulation import astype, expand_dims, flatten


def concat(arrays: Sequence[Tensor], /, *, axis: int | None = 0) -> Tensor:
    """The arrays joined along `axis` (None: flattened first).

    Raises:
        ValueError: no arrays, or sizes that differ in another dimension.

    >>> import whitewolf as ww
    >>> ww.concat([ww.asarray([1, 2]), ww.asarray([3])])
    tensor([1, 2, 3])
    """
    from ..dtypes import promote

    xs = check_tensors("concat", "arrays", arrays)
    if not xs:
        raise ValueError("concat: expected arrays to hold at least one, got none")
    if axis is None:
        xs, axis = [flatten(x) for x in xs], 0
    at = normalize_axis("concat", axis, xs[0].ndim)
    dtype = xs[0].dtype
    for i, x in enumerate(xs):
        check_same_device("concat", **{"arrays[0]": xs[0], f"arrays[{i}]": x})
        same = x.ndim == xs[0].ndim and all(n == m for d, (n, m) in enumerate(zip(x.shape, xs[0].shape)) if d != at)
        if not same:
            raise ValueError(f"concat: expected arrays[{i}] to match {xs[0].shape} but along axis {at}, got shape {x.shape}")
        try:
            dtype = promote(dtype, x.dtype)
        except TypeError as error:
            raise TypeError(f"concat: expected arrays of dtypes that combine, got {dtype} and {x.dtype}: {error}") from None
    xs = [astype(x, dtype, copy=False) for x in xs]
    data = xs[0].device.xp.concatenate([x._data for x in xs], axis=at)
    ends = np.cumsum([x.shape[at] for x in xs]).tolist()

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        lead = (slice(None),) * at
        return tuple(
            grad[(*lead, slice(begin, end))] if need else None for begin, end, need in zip([0, *ends[:-1]], ends, node.needs)
        )

    return record("concat", data, tuple(xs), backward)  # type: ignore[no-any-return]  # record's result is Any: a Tensor, or several


def stack(arrays: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """The arrays joined along a new dimension `axis`.

    Raises:
        ValueError: no arrays, or their shapes differ.

    >>> import whitewolf as ww
    >>> ww.stack([ww.asarray([1, 2]), ww.asarray([3, 4])], axis=1)
    tensor([[1, 3],
            [2, 4]])
    """
    xs = check_tensors("stack", "arrays", arrays)
    if not xs:
        raise ValueError("stack: expected arrays to hold at least one, got none")
    for i, x in enumerate(xs):
        if x.shape != xs[0].shape:
            raise ValueError(f"stack: expected arrays[{i}].shape == {xs[0].shape}, got {x.shape}")
        if x.device is not xs[0].device:
            check_same_device("stack", **{"arrays[0]": xs[0], f"arrays[{i}]": x})
    at = normalize_axis("stack", axis, xs[0].ndim + 1)
    if any(x.dtype != xs[0].dtype for x in xs):  # concat promotes, or says why it cannot
        return concat([expand_dims(x, axis=at) for x in xs], axis=at)
    lead = (slice(None),) * at

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        return tuple(grad[(*lead, i)] if need else None for i, need in enumerate(node.needs))

    data = xs[0].device.xp.stack([x._data for x in xs], axis=at)
    return record("stack", data, tuple(xs), backward)  # type: ignore[no-any-return]  # record's result is Any: a Tensor, or several


def split(x: Tensor, sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """Views of x along `axis`: pieces of `sections` elements (the last may be smaller), or of the sizes given, as in PyTorch.

    Raises:
        ValueError: sections < 1, a size is negative, or the sizes do not add up to x's.

    >>> import whitewolf as ww
    >>> ww.split(ww.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    x = check_tensor("split", "x", x)
    at = normalize_axis("split", axis, x.ndim)
    n = x.shape[at]
    if isinstance(sections, (int, np.integer)):
        step = check_int("split", "sections", sections)
        if step < 1:
            raise ValueError(f"split: expected sections >= 1, got {step}")
        sizes = [min(step, n - i) for i in range(0, n, step)] or [0]
    else:
        sizes = list(check_ints("split", "sections", sections))
        if any(size < 0 for size in sizes):
            raise ValueError(f"split: expected sections of sizes >= 0, got {sizes}")
        if sum(sizes) != n:
            raise ValueError(f"split: expected sections that add up to {n} (x.shape[{at}]), got {sizes}")
    ends = np.cumsum(sizes).tolist()
    return tuple(x[(slice(None),) * at + (slice(end - size, end),)] for end, size in zip(ends, sizes))


def chunk(x: Tensor, chunks: int, axis: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of x along `axis`, all but the last of one size, as in PyTorch.

    Raises:
        ValueError: chunks < 1.

    >>> import whitewolf as ww
    >>> ww.chunk(ww.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    x = check_tensor("chunk", "x", x)
    if check_int("chunk", "chunks", chunks) < 1:
        raise ValueError(f"chunk: expected chunks >= 1, got {chunks}")
    return split(x, max(1, -(-x.shape[normalize_axis("chunk", axis, x.ndim)] // chunks)), axis)


__all__ = ["chunk", "concat", "split", "stack"]
