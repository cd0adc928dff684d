"""Pooling under PyTorch's arguments: with a batch or without, along two dimensions or one."""

from __future__ import annotations

from typing import Any

from ...ops import pool2d as ops
from ...ops._common import check_tensor, pair
from ...ops.manipulation import squeeze, unsqueeze
from ...tensor import Tensor


def _batched(op: str, input: Tensor, dims: int) -> Tensor:
    """Input as [N, C, H, W]: a batch of one where there is none, a height of one where there are columns alone."""
    x = check_tensor(op, "input", input)
    if x.ndim not in (dims + 1, dims + 2):
        names = ", ".join("HW"[-dims:])
        raise ValueError(f"{op}: expected input [N, C, {names}] or [C, {names}], got input.shape == {x.shape}")
    if dims == 1:
        x = unsqueeze(x, -2)
    return unsqueeze(x, 0) if x.ndim == 3 else x


def _restored(y: Tensor, input: Tensor, dims: int) -> Tensor:
    """A result without the dimensions that `_batched` put in."""
    if dims == 1:
        y = squeeze(y, -2)
    return squeeze(y, 0) if y.ndim > input.ndim else y


def _row(op: str, name: str, value: Any, of_height: int) -> tuple[int, int]:
    return (of_height, *pair(op, name, value, 1))  # type: ignore[return-value]


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window, NaN if there is one; of equal ones the first gets the gradient.

    Args:
        input: float32 or float64 [N, C, H, W], or [C, H, W].
        kernel_size, stride, padding, dilation: an int, or one for height and one for width; stride is kernel_size unless given.
        ceil_mode: count a last window that lies partly outside.
        return_indices: return int64 positions h W + w of the maxima, too.

    Returns:
        [N, C, P, Q] with P = floor((H + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1; or that and the indices.

    Raises:
        ValueError: no window fits.

    >>> import whitewolf as ww
    >>> ww.nn.functional.max_pool2d(ww.reshape(ww.arange(16, dtype="float32"), (1, 4, 4)), 2).tolist()
    [[[5.0, 7.0], [13.0, 15.0]]]
    """
    x = _batched("max_pool2d", input, 2)
    found = ops.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return tuple(_restored(y, input, 2) for y in found) if return_indices else _restored(found, input, 2)


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool2d` along one dimension: input [N, C, W] or [C, W].

    Raises:
        ValueError: the input has another number of dimensions, or the window does not fit it.

    >>> import whitewolf as ww
    >>> ww.nn.functional.max_pool1d(ww.asarray([[1.0, 3.0, 2.0]]), 2, 1).tolist()
    [[3.0, 3.0]]
    """
    op, x = "max_pool1d", _batched("max_pool1d", input, 1)
    kernel = _row(op, "kernel_size", kernel_size, 1)
    step = kernel if stride is None else _row(op, "stride", stride, 1)
    edge, spread = _row(op, "padding", padding, 0), _row(op, "dilation", dilation, 1)
    found = ops.max_pool2d(x, kernel, step, edge, spread, ceil_mode, return_indices)
    return tuple(_restored(y, input, 1) for y in found) if return_indices else _restored(found, input, 1)


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window, zeros outside the input.

    Args:
        input, kernel_size, stride, padding, ceil_mode: as for `max_pool2d`.
        count_include_pad: divide by the elements of the window inside the padded input; else by those inside the input.
        divisor_override: divide by this instead.

    Raises:
        ValueError: no window fits.

    >>> import whitewolf as ww
    >>> ww.nn.functional.avg_pool2d(ww.ones((1, 2, 2)), 2, padding=1).tolist()
    [[[0.25, 0.25], [0.25, 0.25]]]
    """
    x = _batched("avg_pool2d", input, 2)
    return _restored(ops.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override), input, 2)


def avg_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True
) -> Tensor:
    """`avg_pool2d` along one dimension: input [N, C, W] or [C, W].

    Raises:
        ValueError: the input has another number of dimensions, or the window does not fit it.

    >>> import whitewolf as ww
    >>> ww.nn.functional.avg_pool1d(ww.asarray([[1.0, 3.0, 2.0]]), 2, 1).tolist()
    [[2.0, 2.5]]
    """
    op, x = "avg_pool1d", _batched("avg_pool1d", input, 1)
    kernel = _row(op, "kernel_size", kernel_size, 1)
    step = kernel if stride is None else _row(op, "stride", stride, 1)
    return _restored(ops.avg_pool2d(x, kernel, step, _row(op, "padding", padding, 0), ceil_mode, count_include_pad), input, 1)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of P x Q windows that cover the input: window p spans floor(p H / P) to ceil((p + 1) H / P), columns the same.

    Args:
        input: float32 or float64 [N, C, H, W], or [C, H, W].
        output_size: P and Q, or one int for both; None keeps H or W.

    Raises:
        ValueError: the input has another number of dimensions, or an output size is not positive.

    >>> import whitewolf as ww
    >>> ww.nn.functional.adaptive_avg_pool2d(ww.ones((2, 5, 7)), (1, None)).shape
    (2, 1, 7)
    """
    return _restored(ops.adaptive_avg_pool2d(_batched("adaptive_avg_pool2d", input, 2), output_size), input, 2)


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """`adaptive_avg_pool2d` along one dimension: input [N, C, L] or [C, L].

    Raises:
        ValueError: the input has another number of dimensions, or an output size is not positive.

    >>> import whitewolf as ww
    >>> ww.nn.functional.adaptive_avg_pool1d(ww.asarray([[1.0, 3.0, 5.0, 7.0]]), 2).tolist()
    [[2.0, 6.0]]
    """
    (size,) = output_size if isinstance(output_size, (tuple, list)) else (output_size,)
    x = _batched("adaptive_avg_pool1d", input, 1)
    return _restored(ops.adaptive_avg_pool2d(x, (1, x.shape[-1] if size is None else size)), input, 1)
