"""Convolution and its gradients: three products of the same three arrays, each the derivative of the others.

Formulas in kernels/conv2d/conv2d.h (Dumoulin and Visin 2016, arXiv 1603.07285, sections 2 and 4).
"""

from __future__ import annotations

from typing import Any

from ..graph import Node, record
from ..tensor import Tensor
from ._common import check_float, check_same_device, check_same_dtype, check_tensor, pair


def conv2d(
    x: Tensor, w: Tensor, b: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """y[n, k] = b[k] + the sum over c of x[n, c] cross-correlated with w[k, c]; the result is channels last in memory.

    Args:
        x: float32 or float64 [N, C, H, W].
        w: [K, C / groups, R, S].
        b: [K].
        stride, padding, dilation: an int, or one for height and one for width.
        groups: so many groups of input and output channels, each convolved by itself.

    Returns:
        [N, K, P, Q] with P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1.

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ, or are not floating.
    """
    for name, tensor in (("x", x), ("w", w), *((("b", b),) if b is not None else ())):
        check_float("conv2d", name, check_tensor("conv2d", name, tensor))
    check_same_device("conv2d", x=x, w=w, b=b)
    check_same_dtype("conv2d", x=x, w=w, b=b)
    if x.ndim != 4 or w.ndim != 4:
        raise ValueError(
            f"conv2d: expected x [N, C, H, W] and w [K, C / groups, R, S], got x.shape == {x.shape}, w.shape == {w.shape}"
        )
    if groups < 1:
        raise ValueError(f"conv2d: expected groups >= 1, got {groups}")
    channels = x.shape[1]
    if channels % groups or w.shape[0] % groups:
        raise ValueError(
            f"conv2d: expected x.shape[1] and w.shape[0] to be multiples of groups == {groups}, got x.shape == {x.shape}, "
            f"w.shape == {w.shape}"
        )
    if channels // groups != w.shape[1]:
        raise ValueError(
            f"conv2d: expected w.shape[1] == {channels // groups} (x channels {channels} / groups {groups}), got w.shape == {w.shape}"
        )
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"conv2d: expected b.shape == {w.shape[:1]} (w.shape[0]), got b.shape == {b.shape}")
    steps, edges = pair("conv2d", "stride", stride), pair("conv2d", "padding", padding)
    spreads = pair("conv2d", "dilation", dilation)
    for name, values, least in (("stride", steps, 1), ("padding", edges, 0), ("dilation", spreads, 1)):
        if min(values) < least:
            raise ValueError(f"conv2d: expected {name} >= {least}, got {values}")
    sizes = []
    for letter, size, taps, step, edge, spread in zip("HW", x.shape[2:], w.shape[2:], steps, edges, spreads):
        extent = spread * (taps - 1) + 1
        room = size + 2 * edge - extent
        if room < 0 or taps < 1:
            raise ValueError(
                f"conv2d: expected a filter that fits, got {letter} == {size} with padding {edge} for an extent of {extent} "
                f"(x.shape == {x.shape}, w.shape == {w.shape})"
            )
        sizes.append(room // step + 1)
    call = {"stride": steps, "padding": edges, "dilation": spreads, "groups": int(groups)}
    data = x.device.empty((x.shape[0], w.shape[0], *sizes), x.dtype, True)
    x.device.kernels["conv2d_forward"](data, x._data, w._data, None if b is None else b._data, **call)
    return record("conv2d", data, (x, w) if b is None else (x, w, b), _backward, (x, w), call)  # type: ignore[no-any-return]


def _backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, (x, w), call = node.needs, node.saved, node.context
    grads = (
        _input_gradient(grad, w, x.shape, call) if needs[0] else None,
        _weight_gradient(x, grad, w.shape, call) if needs[1] else None,
    )
    return grads if len(needs) == 2 else (*grads, _bias_gradient(grad) if needs[2] else None)


def _input_gradient(grad: Tensor, w: Tensor, shape: tuple[int, ...], call: dict[str, Any]) -> Tensor:
    """The transposed convolution of grad with w."""
    data = grad.device.empty(shape, grad.dtype, True)
    grad.device.kernels["conv2d_backward_x"](data, grad._data, w._data, **call)

    def backward(node: Node, u: Tensor) -> tuple[Tensor | None, ...]:
        grad, w = node.saved
        return (
            conv2d(u, w, None, **call) if node.needs[0] else None,
            _weight_gradient(u, grad, w.shape, call) if node.needs[1] else None,
        )

    return record("conv2d_backward_x", data, (grad, w), backward, (grad, w))  # type: ignore[no-any-return]


def _weight_gradient(x: Tensor, grad: Tensor, shape: tuple[int, ...], call: dict[str, Any]) -> Tensor:
    """The correlation of x with grad."""
    data = x.device.empty(shape, x.dtype)
    x.device.kernels["conv2d_backward_w"](data, x._data, grad._data, **call)

    def backward(node: Node, v: Tensor) -> tuple[Tensor | None, ...]:
        x, grad = node.saved
        return (
            _input_gradient(grad, v, x.shape, call) if node.needs[0] else None,
            conv2d(x, v, None, **call) if node.needs[1] else None,
        )

    return record("conv2d_backward_w", data, (x, grad), backward, (x, grad))  # type: ignore[no-any-return]


def _bias_gradient(grad: Tensor) -> Tensor:
    """The sum of grad over samples and places."""
    data = grad.device.empty(grad.shape[1:2], grad.dtype)
    grad.device.kernels["conv2d_backward_b"](data, grad._data)
    shape = grad.shape

    def backward(node: Node, v: Tensor) -> tuple[Tensor]:
        from .manipulation import broadcast_to, reshape

        return (broadcast_to(reshape(v, (1, -1, 1, 1)), shape),)

    return record("conv2d_backward_b", data, (grad,), backward)  # type: ignore[no-any-return]


__all__ = ["conv2d"]
