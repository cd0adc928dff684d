"""deepcopy of tensors: memory that several share is copied once, and their copies share it as they did."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .device import Array
from .ops._common import share_memory
from .tensor import Tensor, wrap


class _Copied(NamedTuple):
    root: Array  # kept alive, since its address is its name
    whole: Array  # what of it was copied
    copy: Array
    first: Tensor  # the first tensor over the copy


def copy_of(x: Tensor, memo: dict[Any, Any]) -> Tensor:
    """A tensor over a copy of x's memory, or over the copy that `memo` has of it already.

    A view is copied with all that it is a view of where another tensor that sees it is alive, since that one may come next.
    """
    root = x._data
    while isinstance(getattr(root, "base", None), type(root)):
        root = root.base  # type: ignore[assignment]  # an array, as isinstance has found
    key = ("memory of a whitewolf tensor", id(root))
    found = memo.get(key)
    if found is None:
        shared = any(other() is not None and other() is not x for other in x._version[1:])
        whole = root if shared and isinstance(root, np.ndarray) and _is_dense(root) else x._data
        whole_copy = whole.copy(order="K")
        array = _same_part(x._data, whole, whole_copy)
        copy = wrap(x._data.copy(order="K") if array is None else array, x.device)
        memo[key] = _Copied(root, whole, whole_copy, copy)
        return copy
    array = _same_part(x._data, found.whole, found.copy)
    copy = wrap(x._data.copy(order="K") if array is None else array, x.device)
    if array is not None and array is found.first._data:
        copy._version = found.first._version
    elif array is not None:
        share_memory(found.first, copy)
    return copy


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0] if isinstance(array, np.ndarray) else array.data.ptr)


def _is_dense(array: Array) -> bool:
    """Whether a copy in the same order has the same strides."""
    return array.size * array.itemsize == sum((n - 1) * s for n, s in zip(array.shape, array.strides)) + array.itemsize and all(
        s > 0 for s in array.strides
    )


def _same_part(part: Array, whole: Array, copy: Array) -> Array | None:
    """The part of `copy` that `part` is of `whole`; None where it is no part of it."""
    offset = _address(part) - _address(whole)
    if not offset and part.shape == whole.shape and part.strides == whole.strides and part.dtype == whole.dtype:
        return copy
    if not isinstance(whole, np.ndarray) or not part.size or not _is_dense(whole) or copy.strides != whole.strides:
        return None
    low = offset + sum(min(0, (n - 1) * s) for n, s in zip(part.shape, part.strides))
    high = offset + sum(max(0, (n - 1) * s) for n, s in zip(part.shape, part.strides)) + part.itemsize
    if low < 0 or high > whole.nbytes:
        return None
    flat = copy.transpose(np.argsort([-s for s in copy.strides], kind="stable")).reshape(-1)
    found: Array = np.ndarray(part.shape, part.dtype, flat.view(np.uint8), offset, part.strides)
    found.flags.writeable = part.flags.writeable  # what is broadcast is not
    return found
