"""The affine map."""

from __future__ import annotations

import math

from ...graph import Node, record
from ...ops._common import KERNEL_FLOATS, check_same_device, check_same_dtype, check_tensor
from ...ops.elementwise import add
from ...ops.manipulation import matrix_transpose, reshape
from ...ops.matmul import matmul
from ...ops.reduce import sum
from ...tensor import Tensor


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input weight^T + bias, bias added in the product's own kernel.

    Args:
        input: float32 or float64 [..., in].
        weight: [out, in].
        bias: [out].

    Returns:
        [..., out].

    Raises:
        ValueError: the sizes do not fit.
        TypeError: the dtypes differ.

    >>> import whitewolf as ww
    >>> ww.nn.functional.linear(ww.ones((1, 2)), ww.asarray([[1.0, 2.0], [3.0, 4.0]]), ww.asarray([0.5, 0.0]))
    tensor([[3.5, 7. ]])
    """
    x, w = check_tensor("linear", "input", input), check_tensor("linear", "weight", weight)
    check_same_device("linear", input=x, weight=w, bias=bias)
    check_same_dtype("linear", input=x, weight=w, bias=bias)
    if w.ndim != 2 or not x.ndim or x.shape[-1] != w.shape[1]:
        raise ValueError(
            f"linear: expected input [..., in] and weight [out, in], got input.shape == {x.shape}, weight.shape == {w.shape}"
        )
    if bias is not None and bias.shape != w.shape[:1]:
        raise ValueError(f"linear: expected bias.shape == {w.shape[:1]} (weight.shape[0]), got bias.shape == {bias.shape}")
    if x.dtype not in KERNEL_FLOATS:
        product = matmul(x, matrix_transpose(w))
        return product if bias is None else add(product, bias)
    rows = x._data.reshape(math.prod(x.shape[:-1]), w.shape[1]) if x.ndim != 2 else x._data
    data = x.device.empty((rows.shape[0], w.shape[0]), x.dtype)
    x.device.kernels["matmul_forward"](data, rows, w._data.T, None if bias is None else bias._data)
    inputs = (x, w) if bias is None else (x, w, bias)
    return record("linear", data.reshape((*x.shape[:-1], w.shape[0])), inputs, _linear_backward, (x, w))  # type: ignore[no-any-return]


def _linear_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, (x, w) = node.needs, node.saved
    n = math.prod(x.shape[:-1])
    rows = reshape(grad, (n, w.shape[0]))
    grad_x = matmul(grad, w) if needs[0] else None
    grad_w = matmul(matrix_transpose(rows), reshape(x, (n, w.shape[1]))) if needs[1] else None
    return (grad_x, grad_w) if len(needs) == 2 else (grad_x, grad_w, sum(rows, axis=0) if needs[2] else None)
