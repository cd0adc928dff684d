"""Normalisation of rows: layer and root-mean-square norm; formulas in kernels/norm/norm.h.

Results have the layout of x. Where a graph of the backward is recorded, the backward is the formula in ops.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..device import Array
from ..graph import Node, is_grad_enabled, record
from ..tensor import Tensor, wrap
from ._common import check_float, check_ints, check_tensor
from ._layout import _join, _order, _output
from ._sixteen import takes_sixteen_bit
from .elementwise import multiply
from .norm import _check_eps, _check_operands, _chosen, _normalized_backward, _present
from .reduce import sum


@takes_sixteen_bit
def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) weight + bias, mean and variance of each x[i, ...] over the last dimensions (Ba et al. 2016).

    Args:
        input: float32 or float64 [..., *normalized_shape].
        weight, bias: normalized_shape; 1 and 0 unless given.

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.

    >>> import whitewolf as ww
    >>> ww.nn.functional.layer_norm(ww.asarray([1.0, 3.0]), 2, eps=0.0)
    tensor([-1.,  1.])
    """
    return _row_norm("layer_norm", input, normalized_shape, weight, bias, eps, centered=True)


@takes_sixteen_bit
def rms_norm(
    input: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / sqrt(mean of x^2 + eps) weight, the mean over the last dimensions (Zhang and Sennrich 2019).

    Args:
        input: float32 or float64 [..., *normalized_shape].
        weight: normalized_shape; 1 unless given.
        eps: the distance from 1 to the next number of input's dtype unless given.

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.

    >>> import whitewolf as ww
    >>> ww.nn.functional.rms_norm(ww.asarray([3.0, -3.0]), 2)
    tensor([ 1., -1.])
    """
    check_float("rms_norm", "input", check_tensor("rms_norm", "input", input))
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    return _row_norm("rms_norm", input, normalized_shape, weight, None, eps, centered=False)


def _row_norm(
    op: str,
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    *,
    centered: bool,
) -> Tensor:
    _check_operands(op, x, weight=weight, bias=bias)
    shape = check_ints(op, "normalized_shape", normalized_shape)
    lead = x.ndim - len(shape)
    if not shape or lead < 0 or x.shape[lead:] != shape:
        raise ValueError(f"{op}: expected input.shape to end with {shape} (normalized_shape), got input.shape == {x.shape}")
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.shape != shape:
            raise ValueError(f"{op}: expected {name}.shape == {shape} (normalized_shape), got {name}.shape == {tensor.shape}")
    device, order = x.device, _order(x._data, lead)
    data, out = _output(x, lead, order)
    means = device.empty(x.shape[:lead], x.dtype) if centered else None
    rstd = device.empty(x.shape[:lead], x.dtype)
    within = tuple(d - lead for d in order)

    def row(tensor: Tensor | None) -> Array | None:
        return None if tensor is None else _join(tensor._data, 0, within)

    device.kernels["layer_norm_forward"](
        out, means, rstd, _join(x._data, lead, order), row(weight), row(bias), eps=_check_eps(op, eps)
    )

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        needs, x = node.needs, node.saved[0]
        w = None if weight is None else node.saved[1]
        if is_grad_enabled():
            grad_x, z = _normalized_backward(grad, x, w, tuple(range(lead, x.ndim)), eps, centered)
            axes = tuple(range(lead))
            return _chosen(needs, weight, bias, grad_x, lambda: sum(multiply(grad, z), axis=axes), lambda: sum(grad, axis=axes))
        rows, grads = _join(x._data, lead, order), _join(grad._data, lead, order)
        by_x: Tensor | None = None
        if needs[0]:
            data, out = _output(x, lead, order)
            device.kernels["layer_norm_backward_x"](out, grads, means, rstd, rows, row(w))
            by_x = wrap(data, device)
        sizes = tuple(shape[d] for d in within)
        by_weight, by_bias = (device.empty(sizes, x.dtype) for _ in range(2))
        if any(needs[1:]):
            device.kernels["layer_norm_backward_wb"](by_weight.reshape(-1), by_bias.reshape(-1), grads, means, rstd, rows)
        back = np.argsort(within)
        return _chosen(
            needs,
            weight,
            bias,
            by_x,
            lambda: wrap(by_weight.transpose(back), device),
            lambda: wrap(by_bias.transpose(back), device),
        )

    return record(op, data, _present(x, weight, bias), backward, _present(x, weight))  # type: ignore[no-any-return]


__all__ = ["layer_norm", "rms_norm"]
