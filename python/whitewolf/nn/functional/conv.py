"""Convolutions under PyTorch's arguments."""

from __future__ import annotations

from typing import Any

from ...ops import conv2d as ops
from ...ops._common import check_tensor, pair
from ...ops.manipulation import pad_constant, squeeze, unsqueeze
from ...tensor import Tensor


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """out[n, k] = bias[k] + the sum over c of input[n, c] cross-correlated with weight[k, c] (LeCun et al. 1989).

    Args:
        input: float32 or float64 [N, C, H, W], or [C, H, W].
        weight: [K, C / groups, R, S].
        bias: [K].
        stride, dilation: an int, or one for height and one for width.
        padding: the same; or "valid" for none; or "same" for an output of the input's size (stride 1), where an odd number of zeros
            has the larger half at the end.
        groups: so many groups of input and output channels, each convolved by itself.

    Returns:
        [N, K, P, Q] with P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1.

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ, or are not floating.

    >>> import whitewolf as ww
    >>> ww.nn.functional.conv2d(ww.ones((1, 1, 3, 3)), ww.ones((1, 1, 2, 2))).tolist()
    [[[[4.0, 4.0], [4.0, 4.0]]]]
    """
    x, w = check_tensor("conv2d", "input", input), check_tensor("conv2d", "weight", weight)
    if x.ndim not in (3, 4) or w.ndim != 4:
        raise ValueError(f"conv2d: expected input [N, C, H, W] and weight [K, C / groups, R, S], got {x.shape} and {w.shape}")
    if isinstance(padding, str):
        x, padding = _named_padding("conv2d", x, w.shape[2:], stride, padding, pair("conv2d", "dilation", dilation))
    if x.ndim == 3:
        return squeeze(ops.conv2d(unsqueeze(x, 0), w, bias, stride, padding, dilation, groups), 0)
    return ops.conv2d(x, w, bias, stride, padding, dilation, groups)


def _named_padding(
    op: str, x: Tensor, filters: tuple[int, ...], stride: Any, padding: str, dilation: tuple[int, ...]
) -> tuple[Tensor, tuple[int, ...]]:
    """The input, with the zeros that cannot be the same at both ends already around it, and the padding that is left to add."""
    if padding == "valid":
        return x, (0,) * len(filters)
    if padding != "same":
        raise ValueError(f"{op}: expected padding to be numbers, 'same' or 'valid', got {padding!r}")
    if any(s != 1 for s in pair(op, "stride", stride, len(filters))):
        raise ValueError(f"{op}: expected stride 1 with padding 'same', got {stride}")
    totals = [d * (r - 1) for d, r in zip(dilation, filters)]
    if any(total % 2 for total in totals):
        x = pad_constant(x, [(0, 0)] * (x.ndim - len(totals)) + [(0, total % 2) for total in totals])
    return x, tuple(total // 2 for total in totals)


def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """`conv2d` along one dimension: input [N, C, W] or [C, W], weight [K, C / groups, S], by the same kernel.

    >>> import whitewolf as ww
    >>> ww.nn.functional.conv1d(ww.ones((1, 1, 4)), ww.ones((1, 1, 3)), padding=1).tolist()
    [[[2.0, 3.0, 3.0, 2.0]]]
    """
    x, w = check_tensor("conv1d", "input", input), check_tensor("conv1d", "weight", weight)
    if x.ndim not in (2, 3) or w.ndim != 3:
        raise ValueError(f"conv1d: expected input [N, C, W] and weight [K, C / groups, S], got {x.shape} and {w.shape}")
    (step,), (spread,) = pair("conv1d", "stride", stride, 1), pair("conv1d", "dilation", dilation, 1)
    if isinstance(padding, str):
        x, padding = _named_padding("conv1d", x, w.shape[2:], stride, padding, (spread,))
    (edge,) = pair("conv1d", "padding", padding, 1)
    rows = unsqueeze(x, -2) if x.ndim == 3 else unsqueeze(unsqueeze(x, -2), 0)
    y = squeeze(ops.conv2d(rows, unsqueeze(w, -2), bias, (1, step), (0, edge), (1, spread), groups), -2)
    return squeeze(y, 0) if x.ndim == 2 else y
