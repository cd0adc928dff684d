"""Matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._precision import run_product
from ..dtypes import is_sixteen_bit
from ..graph import Node, record
from ..tensor import Tensor
from ._common import KERNEL_FLOATS, check_int, check_ints, check_tensor, normalize_axis, operands, unbroadcast
from ._sixteen import through_float32
from .complex_parts import conj
from .elementwise import _library, multiply
from .manipulation import expand_dims, matrix_transpose, permute_dims, reshape, squeeze
from .reduce import sum

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
    lead = a.shape[:-2]
    try:
        if b.shape[:-2] != lead:
            lead = np.broadcast_shapes(lead, b.shape[:-2])
    except ValueError:
        raise ValueError(
            f"matmul: expected leading dimensions that broadcast, got x1.shape == {a.shape}, x2.shape == {b.shape}"
        ) from None
    if a._data.dtype in KERNEL_FLOATS or is_sixteen_bit(a.dtype):
        data = a.device.empty((*lead, a.shape[-2], n), a.dtype)
        left = a._data if a.shape[:-2] == lead else np.broadcast_to(a._data, (*lead, *a.shape[-2:]))
        right = b._data if b.shape[:-2] == lead else np.broadcast_to(b._data, (*lead, k, n))
        run_product(a.device, "matmul_forward", data, left, right)
    else:
        data = _library("matmul", a, a._data, b._data)
    return record("matmul", data, (a, b), _matmul_backward, (a, b))  # type: ignore[no-any-return]


def _matmul_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, (a, b) = node.needs, node.saved
    grad_a = unbroadcast(matmul(grad, matrix_transpose(b)), a.shape) if needs[0] else None
    if not needs[1]:
        return grad_a, None
    if b.ndim == 2 and a.ndim > 2 and a.size and grad.size:  # one product over all rows: no sum over the batch
        a, grad = reshape(a, (-1, a.shape[-1])), reshape(grad, (-1, grad.shape[-1]))
    return grad_a, unbroadcast(matmul(matrix_transpose(a), grad), b.shape)


def tensordot(x1: Tensor, x2: Tensor, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Tensor:
    """The sum of products over several dimensions at once: the other dimensions of x1, then those of x2, remain.

    Args:
        axes: how many dimensions to sum over, the last of x1 with the first of x2; or two sequences that name them pairwise.

    Raises:
        ValueError: the sizes of a pair differ, or an axis is named twice.
        IndexError: an axis is outside its tensor.

    >>> import whitewolf as ww
    >>> ww.tensordot(ww.ones((2, 3, 4)), ww.ones((3, 4, 5)), axes=2).shape
    (2, 5)
    """
    a, b = operands("tensordot", check_tensor("tensordot", "x1", x1), check_tensor("tensordot", "x2", x2))
    if isinstance(axes, (int, np.integer)):
        n = check_int("tensordot", "axes", axes)
        if not 0 <= n <= min(a.ndim, b.ndim):
            raise ValueError(
                f"tensordot: expected axes in [0, {min(a.ndim, b.ndim)}], got {n} for {a.ndim} and {b.ndim} dimensions"
            )
        left, right = tuple(range(a.ndim - n, a.ndim)), tuple(range(n))
    else:
        if not isinstance(axes, (tuple, list)) or len(axes) != 2:
            raise TypeError(f"tensordot: expected axes to be an int or two sequences of ints, got {axes!r}")
        left = tuple(normalize_axis("tensordot", i, a.ndim, "axes[0]") for i in check_ints("tensordot", "axes[0]", axes[0]))
        right = tuple(normalize_axis("tensordot", i, b.ndim, "axes[1]") for i in check_ints("tensordot", "axes[1]", axes[1]))
    if len(set(left)) != len(left) or len(set(right)) != len(right):
        raise ValueError(f"tensordot: expected each axis once, got axes == {axes}")
    if tuple(a.shape[i] for i in left) != tuple(b.shape[i] for i in right):
        raise ValueError(f"tensordot: expected equal sizes along axes {axes}, got x1.shape == {a.shape}, x2.shape == {b.shape}")
    free_a, free_b = tuple(i for i in range(a.ndim) if i not in left), tuple(i for i in range(b.ndim) if i not in right)
    m, k, n = (math.prod(t.shape[i] for i in of) for t, of in ((a, free_a), (a, left), (b, free_b)))
    product = matmul(reshape(permute_dims(a, free_a + left), (m, k)), reshape(permute_dims(b, right + free_b), (k, n)))
    return reshape(product, tuple(a.shape[i] for i in free_a) + tuple(b.shape[i] for i in free_b))


def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The sum of conj(x1) x2 along one dimension; the others broadcast.

    Args:
        axis: counted from the end, in [-min(x1.ndim, x2.ndim), -1].

    Raises:
        ValueError: the sizes along `axis` differ.
        IndexError: `axis` is outside a tensor.

    >>> import whitewolf as ww
    >>> ww.vecdot(ww.asarray([1.0, 2.0]), ww.asarray([3.0, 4.0]))
    tensor(11.)
    """
    a, b = operands("vecdot", check_tensor("vecdot", "x1", x1), check_tensor("vecdot", "x2", x2))
    if is_sixteen_bit(a.dtype):
        return through_float32(vecdot, a, b, axis=axis)
    for t in (a, b):
        normalize_axis("vecdot", axis, t.ndim)
    if axis >= 0:
        raise IndexError(f"vecdot: expected axis < 0, got {axis}")
    if a.shape[axis] != b.shape[axis]:
        raise ValueError(f"vecdot: expected equal sizes along axis {axis}, got x1.shape == {a.shape}, x2.shape == {b.shape}")
    product = multiply(conj(a) if a.dtype.kind == "c" else a, b)
    return sum(product, axis=axis, dtype=product.dtype)


__all__ = ["matmul", "tensordot", "vecdot"]
