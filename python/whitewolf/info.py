"""dtype functions and inspection of the array API standard (2024.12)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .device import NAMES, Device, devices
from .device import device as find_device
from .dtypes import DType, find_dtype, is_bfloat16, promote, scalar_dtype
from .ops._common import MAX_NDIM
from .tensor import Tensor


class FloatInfo(NamedTuple):
    """Limits of a floating dtype."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


class IntInfo(NamedTuple):
    """Limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: DType


def finfo(type: Any, /) -> FloatInfo:
    """Limits of a floating dtype, or of a tensor's; of a complex one, those of its parts.

    Raises:
        TypeError: the dtype is not floating.

    >>> import whitewolf as ww
    >>> ww.finfo(ww.float32).eps == 2**-23
    True
    """
    dtype = type.dtype if isinstance(type, Tensor) else find_dtype("finfo", type, "type")
    if is_bfloat16(dtype):
        import ml_dtypes

        info: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    elif dtype.kind in "fc":
        info = np.finfo(dtype)
    else:
        raise TypeError(f"finfo: expected type of a floating dtype, got {dtype}")
    return FloatInfo(
        info.bits, float(info.eps), float(info.max), float(info.min), float(info.smallest_normal), np.dtype(info.dtype)
    )


def iinfo(type: Any, /) -> IntInfo:
    """Limits of an integer dtype, or of a tensor's.

    Raises:
        TypeError: the dtype is no integer.

    >>> import whitewolf as ww
    >>> ww.iinfo(ww.int8).max
    127
    """
    dtype = type.dtype if isinstance(type, Tensor) else find_dtype("iinfo", type, "type")
    if dtype.kind not in "iu":
        raise TypeError(f"iinfo: expected type of an integer dtype, got {dtype}")
    info = np.iinfo(dtype)
    return IntInfo(info.bits, int(info.max), int(info.min), dtype)


_KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether `dtype` is `kind`: a dtype, one of the standard's kinds ("integral", ...), or a tuple of them.

    Raises:
        TypeError: `dtype` is no dtype.
        ValueError: `kind` is neither.

    >>> import whitewolf as ww
    >>> ww.isdtype(ww.float32, ("integral", "real floating"))
    True
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    dtype = find_dtype("isdtype", dtype)
    if isinstance(kind, str) and kind in _KINDS:
        return bool(dtype.kind in _KINDS[kind] or is_bfloat16(dtype) and "f" in _KINDS[kind])
    try:
        return bool(dtype == find_dtype("isdtype", kind, "kind"))
    except TypeError:
        raise ValueError(f"isdtype: expected kind to be a dtype or one of {', '.join(_KINDS)}, got {kind!r}") from None


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether promotion may turn `from_` (a tensor or dtype) into dtype `to`.

    >>> import whitewolf as ww
    >>> ww.can_cast(ww.int8, ww.int16), ww.can_cast(ww.float64, ww.float32)
    (True, False)
    """
    dtype = from_.dtype if isinstance(from_, Tensor) else find_dtype("can_cast", from_, "from_")
    target = find_dtype("can_cast", to, "to")
    try:
        return bool(promote(dtype, target) == target)
    except TypeError:
        return False


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype that an operation on all of them gives; Python numbers take the dtype of the arrays beside them.

    Raises:
        TypeError: they have no common dtype.
        ValueError: there is neither a tensor nor a dtype among them.

    >>> import whitewolf as ww
    >>> ww.result_type(ww.asarray([1.0]), ww.float64, 3)
    dtype('float64')
    """
    dtypes = [
        a.dtype if isinstance(a, Tensor) else find_dtype("result_type", a, "each of arrays_and_dtypes")
        for a in arrays_and_dtypes
        if not isinstance(a, (int, float, complex))
    ]
    if not dtypes:
        raise ValueError("result_type: expected arrays_and_dtypes to hold at least one tensor or dtype, got none")
    found = dtypes[0]
    try:
        for dtype in dtypes[1:]:
            found = promote(found, dtype)
        for scalar in (a for a in arrays_and_dtypes if isinstance(a, (int, float, complex))):
            found = scalar_dtype(scalar, found)
    except TypeError as error:
        raise TypeError(
            f"result_type: expected arrays_and_dtypes that combine, got {', '.join(map(str, dtypes))}: {error}"
        ) from None
    return found


class _Info:
    """What `__array_namespace_info__()` returns."""

    def capabilities(self) -> dict[str, Any]:
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": MAX_NDIM}

    def default_device(self) -> Device:
        return find_device("cpu")

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        find_device(device)
        names = {"real floating": "float32", "complex floating": "complex64", "integral": "int64", "indexing": "int64"}
        return {kind: np.dtype(name) for kind, name in names.items()}

    def devices(self) -> list[Device]:
        return [find_device(name) for name in NAMES if devices()[name] == "available"]

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, DType]:
        find_device(device)
        names = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "complex64",
                 "complex128")  # fmt: skip
        return {name: np.dtype(name) for name in names if kind is None or isdtype(np.dtype(name), kind)}


def __array_namespace_info__() -> _Info:
    """Inspection of the namespace, as the array API standard defines it.

    >>> import whitewolf as ww
    >>> ww.__array_namespace_info__().default_dtypes()["real floating"]
    dtype('float32')
    """
    return _Info()
