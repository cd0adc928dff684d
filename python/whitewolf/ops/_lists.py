"""Arrays of Python's numbers and nested lists of them, of tensors, and of both."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import DType, is_tensors, promote, scalar_dtype
from ..tensor import Tensor

_NUMBERS = {bool, int, float, complex}
_NARROW = {np.dtype("float64"): np.dtype("float32"), np.dtype("complex128"): np.dtype("complex64")}


def from_python(op: str, name: str, obj: Any, wanted: DType | None) -> Any:
    """An array of `obj` in the dtype that its numbers have: ints int64, floats float32; beside tensors and arrays, in theirs.

    Raises:
        TypeError: it holds what is no number, or does not give it.
        ValueError: lists are of unequal lengths.
        OverflowError: an int is beyond int64 (or `wanted`).
    """
    kept: list[DType] = []
    numbers: set[type] = set()
    try:
        data = np.array(_plain(obj, kept, numbers))
    except RecursionError:
        raise ValueError(
            f"{op}: expected {name} of lists within Python's recursion limit, got more of them in each other"
        ) from None
    except RuntimeError as error:  # PyTorch's tensors that require grad
        raise TypeError(f"{op}: expected {name} of what gives NumPy its numbers, got {error}") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{op}: expected {name} of nested lists of equal lengths, got {error}") from None
    if kept:
        return data.astype(_common(kept, numbers)) if wanted is None and all(map(is_tensors, kept)) else data
    if numbers and numbers <= _NUMBERS and (data.dtype == object or not numbers & {float, complex} and data.dtype.kind in "uf"):
        # There are ints beyond int64, of which NumPy makes uint64, float64 or objects.
        floats = np.dtype("complex128" if complex in numbers else "float64")
        data = _exactly(op, name, obj, wanted or (floats if numbers & {float, complex} else np.dtype("int64")))
    return data.astype(_NARROW[data.dtype]) if wanted is None and data.dtype in _NARROW else data


def _plain(obj: Any, kept: list[DType], numbers: set[type]) -> Any:
    """The lists with arrays in place of tensors, their dtypes in `kept`, and in `numbers` the types of everything else."""
    if isinstance(obj, (list, tuple)):
        types = set(map(type, obj))
        if types <= _NUMBERS:  # at once, for long lists
            numbers |= types
            return obj
        return [_plain(part, kept, numbers) for part in obj]
    if hasattr(obj, "__array__"):
        array = obj.numpy() if isinstance(obj, Tensor) else np.asarray(obj)
        kept.append(array.dtype)
        return array
    numbers.add(type(obj))
    return obj


def _common(kept: list[DType], numbers: set[type]) -> DType:
    """The dtype of tensors and arrays together, and of the Python numbers beside them."""
    found = kept[0]
    try:
        for dtype in set(kept):
            found = promote(found, dtype)
    except TypeError:  # uint64 beside int64: as NumPy
        return np.result_type(*kept)
    for number in numbers & _NUMBERS:
        found = scalar_dtype(number(0), found)
    return found


def _exactly(op: str, name: str, obj: Any, dtype: DType) -> Any:
    """Lists of Python's numbers in that dtype, ints without a detour over floats.

    Raises:
        OverflowError: one is beyond the dtype.
    """
    exact = np.array(obj, object)
    if dtype.kind in "iu":
        low, high = exact.min(), exact.max()
        if not np.iinfo(dtype).min <= low <= high <= np.iinfo(dtype).max:
            raise OverflowError(f"{op}: expected {name} of numbers that {dtype} holds, got {low} to {high}")
    try:
        return exact.astype(dtype)
    except OverflowError as error:
        raise OverflowError(f"{op}: expected {name} of numbers that {dtype} holds, got {error}") from None


__all__ = ["from_python"]
