"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import Node, record
from ..tensor import Tensor
from ._common import KERNEL_FLOATS, check_tensor, normalize_axes


def _reduced(op: str, x: Tensor, axis: int | Sequence[int] | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes, and x's shape with size 1 at each of them."""
    axes = normalize_axes(op, axis if axis is None or isinstance(axis, int) else tuple(axis), x.ndim)
    return axes, tuple(1 if i in axes else n for i, n in enumerate(x.shape))


def sum(x: Tensor, /, axis: int | Sequence[int] | None = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis` (None: all). The sum of nothing is 0. Small integers add up as int64.

    Args:
        x: any shape.
        axis: one axis or several.
        dtype: to convert to before adding.
        keepdims: leave the reduced axes in the shape with size 1.

    >>> import whitewolf as ww
    >>> ww.sum(ww.asarray([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """
    x = check_tensor("sum", "x", x)
    if dtype is not None:
        from .manipulation import astype

        x = astype(x, dtype, copy=False)
    axes, kept = _reduced("sum", x, axis)
    shape = kept if keepdims else tuple(n for i, n in enumerate(x.shape) if i not in axes)
    if x._data.dtype in KERNEL_FLOATS:
        data = x.device.empty(kept, x.dtype)
        x.device.kernels["sum_forward"](data, x._data)
        data = data.reshape(shape)
    else:
        data = x.device.xp.sum(x._data, axis=axes, keepdims=keepdims, dtype=x.dtype if x.dtype.kind == "c" else None)
    before = x.shape

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        from .manipulation import broadcast_to, reshape

        return (broadcast_to(reshape(grad, kept), before),)

    return record("sum", data, (x,), backward)  # type: ignore[no-any-return]


__all__ = ["sum"]
