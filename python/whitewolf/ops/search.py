"""Sorting, searching and sets, in the array API's names. Values carry gradients; indices do not."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..tensor import Tensor, wrap
from ._common import check_ordered, check_same_device, check_tensor, normalize_axis
from .indexing import take_along_axis


def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The int64 indices that sort x along `axis`; always stable, so equal elements keep their order."""
    x = check_tensor("argsort", "x", x)
    check_ordered("argsort", "x", x)
    at = normalize_axis("argsort", axis, x.ndim)
    if not descending:
        return wrap(np.argsort(x._data, axis=at, kind="stable"), x.device)
    # A stable descending order is a stable ascending one of the reversed array, read backwards.
    backwards = np.flip(np.argsort(np.flip(x._data, at), axis=at, kind="stable"), at)
    return wrap(x.shape[at] - 1 - backwards, x.device)


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """x sorted along `axis`; the gradient goes back to where each element came from."""
    return take_along_axis(x, argsort(x, axis=axis, descending=descending, stable=stable), axis=axis)


def searchsorted(x1: Tensor, x2: Tensor, /, *, side: str = "left", sorter: Tensor | None = None) -> Tensor:
    """The int64 index at which each element of x2 would go into the sorted x1 (1-d), before ("left") or after its equals."""
    x1, x2 = check_tensor("searchsorted", "x1", x1), check_tensor("searchsorted", "x2", x2)
    check_same_device("searchsorted", x1=x1, x2=x2, sorter=sorter)
    if x1.ndim != 1:
        raise ValueError(f"searchsorted: expected x1 of 1 dimension, got x1.shape == {x1.shape}")
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: expected side to be 'left' or 'right', got {side!r}")
    found = np.searchsorted(x1._data, x2._data, side, None if sorter is None else sorter._data)  # type: ignore[call-overload]
    return wrap(np.asarray(found, np.int64), x1.device)


class UniqueAll(NamedTuple):
    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    values: Tensor
    inverse_indices: Tensor


def _unique(op: str, x: Tensor) -> tuple[Any, Any, Any, Any]:
    # Each NaN stands for itself, as the standard asks.
    return np.unique(  # type: ignore[return-value]
        check_tensor(op, "x", x)._data, return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )


def unique_all(x: Tensor, /) -> UniqueAll:
    """Distinct elements, their first indices, where each element went, and how often each occurs."""
    values, first, inverse, counts = _unique("unique_all", x)
    return UniqueAll(*(wrap(a, x.device) for a in (values, first, inverse.reshape(x.shape), counts)))


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """Distinct elements and how often each occurs."""
    values, _, _, counts = _unique("unique_counts", x)
    return UniqueCounts(wrap(values, x.device), wrap(counts, x.device))


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """Distinct elements and, for each element of x, its place among them."""
    values, _, inverse, _ = _unique("unique_inverse", x)
    return UniqueInverse(wrap(values, x.device), wrap(inverse.reshape(x.shape), x.device))


def unique_values(x: Tensor, /) -> Tensor:
    """Distinct elements."""
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
