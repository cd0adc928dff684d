"""bfloat16 through DLPack: the protocol has a code for it, NumPy has none.

NumPy lends and borrows the same memory as int16, and the code in the capsule is exchanged on the way: out when we lend, in when we borrow.
A capsule belongs to whoever holds it, so nobody else sees the exchange. Layout: dlpack.h of the DLPack project, versions 0 and 1.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from .dtypes import bfloat16

_INT, _BFLOAT = 0, 4  # DLDataTypeCode
_MANAGED_HEADER = 32  # bytes before the DLTensor in DLManagedTensorVersioned: version, manager_ctx, deleter, flags
_DTYPE = 20  # bytes before the dtype in DLTensor: data, device, ndim


class _DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, (ctypes.py_object, ctypes.c_char_p)


def _dtype_of(capsule: Any) -> _DataType:
    """The dtype in a capsule that nobody has taken yet, to read and to write."""
    for name, header in ((b"dltensor_versioned", _MANAGED_HEADER), (b"dltensor", 0)):
        if _is_valid(capsule, name):
            return _DataType.from_address(_pointer(capsule, name) + header + _DTYPE)
    raise BufferError("expected a DLPack capsule that nobody has taken")


def lend_bfloat16(array: Any, **how: Any) -> Any:
    """A capsule of a bfloat16 array."""
    capsule = array.view(np.int16).__dlpack__(**how)
    _dtype_of(capsule).code = _BFLOAT
    return capsule


class _Borrowed:
    """What NumPy asks for a capsule that is here already."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **how: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def borrow_bfloat16(x: Any) -> Any:
    """A bfloat16 array over the memory of `x`, in memory of the CPU; None if `x` is of another dtype."""
    try:
        capsule = x.__dlpack__(max_version=(1, 0))
    except TypeError:  # a library of before version 1
        capsule = x.__dlpack__()
    found = _dtype_of(capsule)
    if (found.code, found.bits, found.lanes) != (_BFLOAT, 16, 1):
        return None
    found.code = _INT
    return np.from_dlpack(_Borrowed(capsule)).view(bfloat16())
