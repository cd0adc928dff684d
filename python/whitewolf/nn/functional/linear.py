"""The affine map."""

from __future__ import annotations

import math

from ..._precision import run_product
from ...dtypes import is_sixteen_bit
from ...graph import Node, is_grad_enabled, record
from ...ops._common import KERNEL_FLOATS, check_same_device, check_same_dtype, check_tensor
from ...ops.elementwise import add, multiply
from ...ops.manipulation import expand_dims, matrix_transpose, permute_dims, reshape
from ...ops.matmul import matmul
from ...ops.reduce import sum
from ...tensor import Tensor, wrap


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
    if x.dtype not in KERNEL_FLOATS and not is_sixteen_bit(x.dtype):
        product = matmul(x, matrix_transpose(w))
        return product if bias is None else add(product, bias)
    rows = x._data.reshape(math.prod(x.shape[:-1]), w.shape[1]) if x.ndim != 2 else x._data
    data = x.device.empty((rows.shape[0], w.shape[0]), x.dtype)
    run_product(x.device, "matmul_forward", data, rows, w._data.T, None if bias is None else bias._data)
    inputs = (x, w) if bias is None else (x, w, bias)
    return record("linear", data.reshape((*x.shape[:-1], w.shape[0])), inputs, _linear_backward, (x, w))  # type: ignore[no-any-return]


def _linear_backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, (x, w) = node.needs, node.saved
    n = math.prod(x.shape[:-1])
    if not is_grad_enabled() and grad._data.dtype in KERNEL_FLOATS:
        return _linear_gradients(needs, x, w, grad, n)
    rows = reshape(grad, (n, w.shape[0]))
    grad_x = matmul(grad, w) if needs[0] else None
    grad_w = matmul(matrix_transpose(rows), reshape(x, (n, w.shape[1]))) if needs[1] else None
    return (grad_x, grad_w) if len(needs) == 2 else (grad_x, grad_w, sum(rows, axis=0) if needs[2] else None)


def _linear_gradients(needs: tuple[bool, ...], x: Tensor, w: Tensor, grad: Tensor, n: int) -> tuple[Tensor | None, ...]:
    """The gradients where no graph is recorded, by the kernels themselves: a small layer's time is what surrounds its products."""
    device, (outputs, inputs) = grad.device, w.shape
    rows, g = x._data.reshape(n, inputs), grad._data.reshape(n, outputs)
    found: list[Tensor | None] = [None] * len(needs)
    if needs[0]:
        data = device.empty((n, inputs), grad.dtype)
        run_product(device, "matmul_forward", data, g, w._data)
        found[0] = wrap(data.reshape(x.shape), device)
    if needs[1]:
        data = device.empty(w.shape, grad.dtype)
        run_product(device, "matmul_forward", data, g.T, rows)
        found[1] = wrap(data, device)
    if len(needs) > 2 and needs[2]:
        data = device.empty((outputs,), grad.dtype)
        device.kernels["sum_forward"](data.reshape(1, outputs), g)
        found[2] = wrap(data, device)
    return tuple(found)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_k = input1^T weight_k input2 + bias_k.

    Args:
        input1: float32 or float64 [..., I].
        input2: [..., J].
        weight: [K, I, J].
        bias: [K].

    Returns:
        [..., K].

    Raises:
        ValueError: the sizes do not fit.
        TypeError: the dtypes differ.

    >>> import whitewolf as ww
    >>> ww.nn.functional.bilinear(ww.asarray([2.0]), ww.asarray([3.0]), ww.ones((1, 1, 1)))
    tensor([6.])
    """
    for name, tensor in (("input1", input1), ("input2", input2), ("weight", weight)):
        check_tensor("bilinear", name, tensor)
    check_same_device("bilinear", input1=input1, input2=input2, weight=weight, bias=bias)
    check_same_dtype("bilinear", input1=input1, input2=input2, weight=weight, bias=bias)
    fits = input1.ndim > 0 and input2.ndim > 0 and weight.ndim == 3 and input1.shape[:-1] == input2.shape[:-1]
    if not fits or weight.shape[1:] != (input1.shape[-1], input2.shape[-1]):
        raise ValueError(
            f"bilinear: expected input1 [..., I], input2 [..., J] and weight [K, I, J], got {input1.shape}, {input2.shape} and "
            f"{weight.shape}"
        )
    out, first, second = weight.shape
    if bias is not None and bias.shape != (out,):
        raise ValueError(f"bilinear: expected bias.shape == ({out},) (weight.shape[0]), got bias.shape == {bias.shape}")
    rows = reshape(permute_dims(weight, (0, 2, 1)), (out * second, first))
    products = reshape(linear(input1, rows), (*input1.shape[:-1], out, second))
    y = sum(multiply(products, expand_dims(input2, axis=-2)), axis=-1)
    return y if bias is None else add(y, bias)
