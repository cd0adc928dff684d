"""Matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..graph import Node, record
from ..tensor import Tensor
from ._common import KERNEL_FLOATS, check_tensor, operands, unbroadcast
from .manipulation import expand_dims, matrix_transpose, squeeze

if TYPE_CHECKING:
    from ._common import Operand


def matmul(x1: Operand, x2: Operand, /) -> Tensor:
    """The matrix product: out[..., i, j] = sum over l of x1[..., i, l] x2[..., l, j].

    Args:
        x1: [..., m, k], or [k] (then the result has no m).
        x2: [..., k, n], or [k] (then the result has no n); leading dimensions broadcast.

    Raises:
        ValueError: the inner sizes differ, or the leading dimensions do not broadcast, or an operand is 0-d.

    >>> import whitewolf as ww
    >>> ww.eye(2) @ ww.asarray([[1.0], [2.0]])
    tensor([[1.],
            [2.]])
    """
    a, b = operands("matmul", check_tensor("matmul", "x1", x1), check_tensor("matmul", "x2", x2))
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: expected operands of at least 1 dimension, got x1.shape == {a.shape}, x2.shape == {b.shape}")
    if a.ndim == 1 or b.ndim == 1:
        row, column = a.ndim == 1, b.ndim == 1
        product = matmul(expand_dims(a, axis=0) if row else a, expand_dims(b, axis=1) if column else b)
        product = squeeze(product, -1) if column else product
        return squeeze(product, -1 if column else -2) if row else product
    k, n = b.shape[-2:]
    if a.shape[-1] != k:
        raise ValueError(
            f"matmul: expected x2.shape[-2] == {a.shape[-1]} (x1.shape[-1]), got x1.shape == {a.shape}, x2.shape == {b.shape}"
        )
    try:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(
            f"matmul: expected leading dimensions that broadcast, got x1.shape == {a.shape}, x2.shape == {b.shape}"
        ) from None
    if a._data.dtype in KERNEL_FLOATS:
        data = a.device.empty((*lead, a.shape[-2], n), a.dtype)
        left = a._data if a.shape[:-2] == lead else np.broadcast_to(a._data, (*lead, *a.shape[-2:]))
        right = b._data if b.shape[:-2] == lead else np.broadcast_to(b._data, (*lead, k, n))
        a.device.kernels["matmul_forward"](data, left, right)
    else:
        data = a.device.xp.matmul(a._data, b._data)
    return record("matmul", data, (a, b), _matmul_backward, (a, b))  # type: ignore[no-any-return]


def _matmul_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, (a, b) = node.needs, node.saved
    return (
        unbroadcast(matmul(grad, matrix_transpose(b)), a.shape) if needs[0] else None,
        unbroadcast(matmul(matrix_transpose(a), grad), b.shape) if needs[1] else None,
    )


__all__ = ["matmul"]
