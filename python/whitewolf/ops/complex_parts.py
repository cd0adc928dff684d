"""Parts of complex numbers."""

from __future__ import annotations

from ..dtypes import is_bfloat16
from ..graph import record
from ..tensor import Tensor, wrap
from ._common import check_tensor, share_memory
from .elementwise import _numbers, positive


def real(x: Tensor, /) -> Tensor:
    """The real part of a complex tensor, as a view; x itself, as a view, where it is real.

    Raises:
        TypeError: x is bool.

    >>> import whitewolf as ww
    >>> ww.real(ww.asarray([1 + 2j]))
    tensor([1.])
    """
    x = _numbers("real", x)
    return share_memory(x, record("real", x._data if is_bfloat16(x.dtype) else x._data.real, (x,), lambda node, grad: (grad,)))


def imag(x: Tensor, /) -> Tensor:
    """The imaginary part of a complex tensor, as a view outside the graph: complex tensors have no gradient.

    Raises:
        TypeError: x is not complex.

    >>> import whitewolf as ww
    >>> ww.imag(ww.asarray([1 + 2j]))
    tensor([2.])
    """
    if check_tensor("imag", "x", x).dtype.kind != "c":
        raise TypeError(f"imag: expected x.dtype complex64 or complex128, got {x.dtype}")
    return share_memory(x, wrap(x._data.imag, x.device))


def conj(x: Tensor, /) -> Tensor:
    """The complex conjugate of x; a copy of x where it is real.

    Raises:
        TypeError: x is bool.

    >>> import whitewolf as ww
    >>> ww.conj(ww.asarray(1 + 2j)).item()
    (1-2j)
    """
    x = _numbers("conj", x)
    return wrap(x._data.conj(), x.device) if x.dtype.kind == "c" else positive(x)


__all__ = ["conj", "imag", "real"]
