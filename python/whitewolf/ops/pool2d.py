"""Pooling over windows of the last two dimensions; formulas in kernels/pool2d/pool2d.h. Results have the layout of x."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import Node, is_grad_enabled, record
from ..tensor import Tensor, wrap
from ._common import check_float, check_tensor, pair
from ._sixteen import takes_sixteen_bit

_COMPACT = 255  # windows of at most this many taps have indices of one byte


def _check(op: str, x: Tensor) -> None:
    check_float(op, "x", check_tensor(op, "x", x))
    if x.ndim != 4:
        raise ValueError(f"{op}: expected x of shape [N, C, H, W], got x.shape == {x.shape}")


def _layout(array: Any) -> bool | None:
    """What `device.empty` makes of the layout: channels last where they are in `array`, else C order."""
    return bool(array.strides[1] < array.strides[3]) or None


def _attributes(op: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1) -> dict[str, tuple[int, ...]]:
    found = {"kernel": pair(op, "kernel_size", kernel_size), "padding": pair(op, "padding", padding)}
    found["stride"] = found["kernel"] if stride is None else pair(op, "stride", stride)
    found["dilation"] = pair(op, "dilation", dilation)
    for name, least in (("kernel", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
        if min(found[name]) < least:
            shown = "kernel_size" if name == "kernel" else name
            raise ValueError(f"{op}: expected {shown} >= {least}, got {found[name]}")
    return found


def _output_shape(op: str, x: Tensor, attributes: dict[str, tuple[int, ...]], ceil_mode: bool) -> tuple[int, ...]:
    sizes = []
    for d in range(2):
        size, kernel, stride = x.shape[2 + d], attributes["kernel"][d], attributes["stride"][d]
        padding, extent = attributes["padding"][d], attributes["dilation"][d] * (kernel - 1) + 1
        room = size + 2 * padding - extent + (stride - 1 if ceil_mode else 0)
        out = room // stride + 1
        if ceil_mode and (out - 1) * stride >= size + padding:
            out -= 1  # the last window would begin in the right padding
        if out < 1:
            raise ValueError(
                f"{op}: expected windows that fit, got {'HW'[d]} == {size} with padding {padding} for an extent of {extent} "
                f"(x.shape == {x.shape})"
            )
        sizes.append(out)
    return (*x.shape[:2], *sizes)


@takes_sixteen_bit
def max_pool2d(
    x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest element of each window, NaN if there is one; of equal ones the first gets the gradient.

    Args:
        x: float32 or float64 [N, C, H, W].
        kernel_size, stride, padding, dilation: an int, or one for height and one for width; stride is kernel_size unless given.
        ceil_mode: count a last window that lies partly outside.
        return_indices: return int64 positions h W + w of the maxima, too.

    Returns:
        [N, C, P, Q] with P = floor((H + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1; or that and the indices.

    Raises:
        ValueError: no window fits.

    >>> import whitewolf as ww
    >>> ww.nn.functional.max_pool2d(ww.reshape(ww.arange(16, dtype="float32"), (1, 1, 4, 4)), 2).tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    _check("max_pool2d", x)
    attributes = _attributes("max_pool2d", kernel_size, stride, padding, dilation)
    shape = _output_shape("max_pool2d", x, attributes, ceil_mode)
    call = {**attributes, "ceil_mode": bool(ceil_mode)}
    compact = not return_indices and attributes["kernel"][0] * attributes["kernel"][1] <= _COMPACT
    layout = _layout(x._data)
    data = x.device.empty(shape, x.dtype, layout)
    indices = None
    if return_indices or (x.requires_grad and is_grad_enabled()):
        indices = x.device.empty(shape, np.dtype("uint8" if compact else "int64"), layout)
    x.device.kernels["max_pool2d_forward"](data, indices, x._data, **call)
    before = x.shape
    places = None if indices is None else wrap(indices, x.device)
    # The places are saved with their version: where they are returned, the caller can overwrite them.
    saved = () if places is None else (places,)
    result = record("max_pool2d", data, (x,), lambda node, grad: (_scatter(grad, node.saved[0], before, call),), saved)
    return (result, places) if return_indices else result


def _scatter(grad: Tensor, indices: Tensor, shape: tuple[int, ...], call: dict[str, Any]) -> Tensor:
    """Each element of grad added where the maximum of its window was."""
    data = grad.device.empty(shape, grad.dtype, _layout(indices._data))
    grad.device.kernels["max_pool2d_backward_x"](data, grad._data, indices._data, **call)
    windows = grad.shape

    def backward(node: Node, g: Tensor) -> tuple[Tensor]:
        return (_gather(g, node.saved[0], windows, call),)

    return record("max_pool2d_backward", data, (grad,), backward, (indices,))  # type: ignore[no-any-return]


def _gather(x: Tensor, indices: Tensor, shape: tuple[int, ...], call: dict[str, Any]) -> Tensor:
    """The elements of x where the maxima were: the transpose of `_scatter`."""
    data = x.device.empty(shape, x.dtype, _layout(indices._data))
    x.device.kernels["max_pool2d_gather"](data, x._data, indices._data, **call)
    before = x.shape

    def backward(node: Node, g: Tensor) -> tuple[Tensor]:
        return (_scatter(g, node.saved[0], before, call),)

    return record("max_pool2d_gather", data, (x,), backward, (indices,))  # type: ignore[no-any-return]


@takes_sixteen_bit
def avg_pool2d(
    x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window, zeros outside x.

    Args:
        x: float32 or float64 [N, C, H, W].
        kernel_size, stride, padding, ceil_mode: as for `max_pool2d`.
        count_include_pad: divide by the elements of the window inside the padded x; else by those inside x.
        divisor_override: divide by this instead.

    Raises:
        ValueError: no window fits.

    >>> import whitewolf as ww
    >>> ww.nn.functional.avg_pool2d(ww.ones((1, 1, 2, 2)), 2, padding=1).tolist()
    [[[[0.25, 0.25], [0.25, 0.25]]]]
    """
    _check("avg_pool2d", x)
    if divisor_override is not None and divisor_override == 0:
        raise ValueError("avg_pool2d: expected divisor_override != 0, got 0")
    attributes = _attributes("avg_pool2d", kernel_size, stride, padding)
    shape = _output_shape("avg_pool2d", x, attributes, ceil_mode)
    call: dict[str, Any] = {name: attributes[name] for name in ("kernel", "stride", "padding")}
    call |= {"ceil_mode": bool(ceil_mode), "count_include_pad": bool(count_include_pad), "divisor_override": divisor_override or 0}
    return _linear("avg_pool2d", x, shape, call, _layout(x._data), forward=True)


@takes_sixteen_bit
def adaptive_avg_pool2d(x: Tensor, output_size: Any) -> Tensor:
    """The means of P x Q windows that cover x: window p spans floor(p H / P) to ceil((p + 1) H / P), and the same for columns.

    Args:
        x: float32 or float64 [N, C, H, W].
        output_size: P and Q, or one int for both; None keeps H or W.

    >>> import whitewolf as ww
    >>> ww.nn.functional.adaptive_avg_pool2d(ww.ones((1, 2, 5, 7)), (1, None)).shape
    (1, 2, 1, 7)
    """
    _check("adaptive_avg_pool2d", x)
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    given = tuple(n if s is None else s for s, n in zip(sizes, x.shape[2:]))
    if len(sizes) != 2 or min(pair("adaptive_avg_pool2d", "output_size", given)) < 1:
        raise ValueError(f"adaptive_avg_pool2d: expected output_size >= 1 for height and width, got {output_size!r}")
    return _linear("adaptive_avg_pool2d", x, (*x.shape[:2], *given), {}, _layout(x._data), forward=True)


def _linear(name: str, x: Tensor, shape: tuple[int, ...], call: dict[str, Any], layout: bool | None, *, forward: bool) -> Tensor:
    """A mean pooling or its transpose: each is the other's gradient. All have the layout of the first input."""
    data = x.device.empty(shape, x.dtype, layout)
    x.device.kernels[name + ("_forward" if forward else "_backward_x")](data, x._data, **call)
    before = x.shape

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        return (_linear(name, grad, before, call, layout, forward=not forward),)

    return record(name + ("" if forward else "_backward"), data, (x,), backward)  # type: ignore[no-any-return]


__all__ = ["adaptive_avg_pool2d", "avg_pool2d", "max_pool2d"]
