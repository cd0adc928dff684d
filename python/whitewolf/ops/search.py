"""Sorting, searching and sets, in the array API's names. Values carry gradients; indices do not."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..tensor import Tensor, wrap
from ._common import check_flag, check_ordered, check_same_device, check_tensor, check_word, normalize_axis
from .indexing import take_along_axis


def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The int64 indices that sort x along `axis`; always stable, so equal elements keep their order. NaN counts as the largest.

    Raises:
        IndexError: `axis` is outside.
        TypeError: x is complex.

    >>> import whitewolf as ww
    >>> ww.argsort(ww.asarray([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    return _order("argsort", x, axis, descending, stable)


def _order(op: str, x: Tensor, axis: int, descending: bool, stable: bool) -> Tensor:
    x = check_tensor(op, "x", x)
    check_ordered(op, "x", x)
    at = normalize_axis(op, axis, x.ndim)
    check_flag(op, "stable", stable)
    check_flag(op, "descending", descending)
    if not descending:
        return wrap(np.argsort(x._data, axis=at, kind="stable"), x.device)
    # A stable descending order is a stable ascending one of the reversed array, read backwards.
    backwards = np.flip(np.argsort(np.flip(x._data, at), axis=at, kind="stable"), at)
    return wrap(x.shape[at] - 1 - backwards, x.device)


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """x sorted along `axis`; the gradient goes back to where each element came from. Errors as `argsort`.

    >>> import whitewolf as ww
    >>> ww.sort(ww.asarray([3.0, 1.0, 2.0]), descending=True)
    tensor([3., 2., 1.])
    """
    return take_along_axis(x, _order("sort", x, axis, descending, stable), axis=axis)


def searchsorted(x1: Tensor, x2: Tensor, /, *, side: str = "left", sorter: Tensor | None = None) -> Tensor:
    """The int64 index at which each element of x2 would go into the sorted x1.

    Args:
        x1: 1-d, ascending, or put in that order by `sorter`.
        side: "left" for the place before x1's equal elements, "right" for that after them.
        sorter: 1-d integers, the indices that sort x1.

    Raises:
        ValueError: x1 is not 1-d, `sorter` is not of its shape, or `side` is neither.
        TypeError: an operand is complex, or `sorter` holds no integers.
        IndexError: an index in `sorter` is outside.

    >>> import whitewolf as ww
    >>> ww.searchsorted(ww.asarray([1.0, 2.0, 2.0]), ww.asarray([2.0, 5.0]))
    tensor([1, 3])
    """
    x1, x2 = check_tensor("searchsorted", "x1", x1), check_tensor("searchsorted", "x2", x2)
    if sorter is not None:
        check_tensor("searchsorted", "sorter", sorter)
    check_same_device("searchsorted", x1=x1, x2=x2, sorter=sorter)
    for name, x in (("x1", x1), ("x2", x2)):
        check_ordered("searchsorted", name, x)
    if x1.ndim != 1:
        raise ValueError(f"searchsorted: expected x1 of 1 dimension, got x1.shape == {x1.shape}")
    if sorter is not None:
        if sorter.dtype.kind not in "iu":
            raise TypeError(f"searchsorted: expected sorter of integers, got dtype {sorter.dtype}")
        if sorter.shape != x1.shape:
            raise ValueError(f"searchsorted: expected sorter.shape == {x1.shape} (x1's), got {sorter.shape}")
        if sorter.size and not (0 <= sorter._data.min() and sorter._data.max() < x1.size):
            raise IndexError(f"searchsorted: expected sorter of indices in [0, {x1.size}), got one outside")
    check_word("searchsorted", "side", side, "left", "right")
    found = np.searchsorted(x1._data, x2._data, side, None if sorter is None else sorter._data)  # type: ignore[call-overload]
    return wrap(x1.device.xp.asarray(found, np.int64), x1.device)


class UniqueAll(NamedTuple):
    """What `unique_all` gives.

    >>> import whitewolf as ww
    >>> ww.unique_all(ww.asarray([3, 1, 3]))._fields
    ('values', 'indices', 'inverse_indices', 'counts')
    """

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` gives.

    >>> import whitewolf as ww
    >>> ww.unique_counts(ww.asarray([3, 1, 3]))._fields
    ('values', 'counts')
    """

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` gives.

    >>> import whitewolf as ww
    >>> ww.unique_inverse(ww.asarray([3, 1, 3]))._fields
    ('values', 'inverse_indices')
    """

    values: Tensor
    inverse_indices: Tensor


def _unique(op: str, x: Tensor) -> tuple[Any, Any, Any, Any]:
    # Each NaN stands for itself, as the standard asks.
    return np.unique(  # type: ignore[return-value]
        check_tensor(op, "x", x)._data, return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )


def unique_all(x: Tensor, /) -> UniqueAll:
    """Distinct elements, their first indices, where each element went, and how often each occurs; each NaN is distinct.

    >>> import whitewolf as ww
    >>> ww.unique_all(ww.asarray([3, 1, 3])).inverse_indices
    tensor([1, 0, 1])
    """
    values, first, inverse, counts = _unique("unique_all", x)
    return UniqueAll(*(wrap(a, x.device) for a in (values, first, inverse.reshape(x.shape), counts)))


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """Distinct elements and how often each occurs; each NaN is distinct.

    >>> import whitewolf as ww
    >>> ww.unique_counts(ww.asarray([3, 1, 3])).counts
    tensor([1, 2])
    """
    values, _, _, counts = _unique("unique_counts", x)
    return UniqueCounts(wrap(values, x.device), wrap(counts, x.device))


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """Distinct elements and, for each element of x, its place among them; each NaN is distinct.

    >>> import whitewolf as ww
    >>> ww.unique_inverse(ww.asarray([3, 1, 3])).inverse_indices
    tensor([1, 0, 1])
    """
    values, _, inverse, _ = _unique("unique_inverse", x)
    return UniqueInverse(wrap(values, x.device), wrap(inverse.reshape(x.shape), x.device))


def unique_values(x: Tensor, /) -> Tensor:
    """Distinct elements, in ascending order; each NaN is distinct.

    >>> import whitewolf as ww
    >>> ww.unique_values(ww.asarray([3, 1, 3]))
    tensor([1, 3])
    """
    return wrap(_unique("unique_values", x)[0], x.device)


__all__ = [
    "UniqueAll",
    "UniqueCounts",
    "UniqueInverse",
    "argsort",
    "searchsorted",
    "sort",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
]
