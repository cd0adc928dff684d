"""The dtypes, and how two of them combine.

They are NumPy's dtype objects, so `x.dtype == ww.float32` and `x.dtype == np.float32` agree. Within a kind, promotion is that of
the array API standard (2024.12). Where the standard leaves mixed kinds open (an integer with a float), the wider kind wins and
keeps its own width, as in PyTorch: an int64 mask never turns float32 arithmetic into float64.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import numpy as np

DType: TypeAlias = "np.dtype[Any]"

bool = np.dtype("bool")
int8, int16, int32, int64 = (np.dtype(f"int{n}") for n in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{n}") for n in (8, 16, 32, 64))
float16, float32, float64 = (np.dtype(f"float{n}") for n in (16, 32, 64))
complex64, complex128 = np.dtype("complex64"), np.dtype("complex128")

_ALL = frozenset((bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32, float64, complex64, complex128))
_KIND_RANK = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}


def bfloat16() -> DType:
    """bfloat16 as ml_dtypes registers it.

    Raises:
        ImportError: ml_dtypes is not installed.
    """
    import ml_dtypes

    found: DType = np.dtype(ml_dtypes.bfloat16)
    return found


def is_bfloat16(dtype: DType) -> Any:
    return dtype.name == "bfloat16"


def is_floating(dtype: DType) -> Any:
    """float16, bfloat16, float32 or float64."""
    return dtype.kind == "f" or is_bfloat16(dtype)


def is_sixteen_bit(dtype: DType) -> Any:
    """float16 or bfloat16."""
    return dtype.itemsize == 2 and dtype.kind in "fV"


def is_tensors(dtype: DType) -> Any:
    """Whether tensors have this dtype."""
    return dtype in _ALL or is_bfloat16(dtype)


def find_dtype(op: str, dtype: Any, name: str = "dtype") -> DType:
    """The dtype that a name, a Python type or a dtype stands for.

    Raises:
        TypeError: it is none that tensors have.
    """
    if isinstance(dtype, (np.dtype, str, type)):
        try:  # NumPy knows the name bfloat16 only once ml_dtypes is imported
            found: DType = bfloat16() if isinstance(dtype, str) and dtype == "bfloat16" else np.dtype(dtype)
        except TypeError:
            found = np.dtype(object)
        if is_tensors(found):
            return found
    got = repr(dtype) if isinstance(dtype, (np.dtype, str, type)) else f"an object of type {type(dtype).__name__}"
    raise TypeError(f"{op}: expected {name} to be bool or an integer, floating or complex dtype, got {got}")


@cache
def promote(a: DType, b: DType) -> DType:
    """The dtype that an operation on `a` and `b` computes and returns.

    Raises:
        TypeError: the standard gives them no common dtype (uint64 with a signed integer); the caller adds op and arguments.
    """
    if a == b:
        return a
    for dtype in (a, b):
        if not is_tensors(dtype):
            raise TypeError(f"no tensor has dtype {dtype}")
    rank_a, rank_b = _KIND_RANK[a.kind], _KIND_RANK[b.kind]
    if is_bfloat16(a) or is_bfloat16(b):
        if rank_a == rank_b:  # bfloat16 with float16 has no narrower home than float32
            other = b if is_bfloat16(a) else a
            return float32 if other == float16 else other
        return complex64 if 3 in (rank_a, rank_b) else (a if is_bfloat16(a) else b)
    if rank_a != rank_b:
        wide, narrow = (a, b) if rank_a > rank_b else (b, a)
        return np.promote_types(wide, narrow) if wide.kind == "c" and narrow.kind == "f" else wide
    result = np.promote_types(a, b)
    if result.kind == "f" and a.kind in "iu":
        raise TypeError(f"no integer dtype holds both {a} and {b}")
    return result


def scalar_dtype(value: object, beside: DType) -> DType:
    """The dtype that a Python scalar takes beside an array of dtype `beside`: the array's, unless the scalar's kind is wider."""
    if isinstance(value, np.generic) and not isinstance(value, (float, complex)):
        return promote(beside, value.dtype)
    # `bool` is this module's dtype; True is a bool of Python's all the same.
    kind = 0 if value is True or value is False else 1 if isinstance(value, int) else 2 if isinstance(value, float) else 3
    if kind <= _KIND_RANK[beside.kind]:
        return beside
    if kind == 1:
        return int64
    if kind == 2:
        return float32
    return complex128 if beside == float64 else complex64
