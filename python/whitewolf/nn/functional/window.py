"""What is made of windows without a kernel of its own: adaptive maxima, powers, maxima put back, windows as columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ops._common import check_float, check_same_device, check_tensor, pair
from ...ops.binary import pow
from ...ops.creation import zeros
from ...ops.elementwise import abs, multiply, negative, sign
from ...ops.gather import gather, index_add, index_select, last_terms
from ...ops.manipulation import pad_constant, reshape, squeeze, unsqueeze
from ...ops.select import where
from ...tensor import Tensor, wrap
from .activation import relu
from .pooling import _batched, _restored, _row, avg_pool1d, avg_pool2d, max_pool1d, max_pool2d


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of P x Q windows that cover the input, as `adaptive_avg_pool2d`'s; of equal ones the first is taken.

    Args:
        input: float32 or float64 [N, C, H, W], or [C, H, W].
        output_size: P and Q, or one int for both; None keeps H or W.
        return_indices: return int64 positions h W + w of the maxima, too.

    Raises:
        ValueError: the input has another number of dimensions, or an output size is not positive.

    >>> import whitewolf as ww
    >>> ww.nn.functional.adaptive_max_pool2d(ww.reshape(ww.arange(9, dtype="float32"), (1, 3, 3)), 2).tolist()
    [[[4.0, 5.0], [7.0, 8.0]]]
    """
    op = "adaptive_max_pool2d"
    x = _batched(op, input, 2)
    given = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(given) != 2:
        raise ValueError(f"{op}: expected output_size to be one or two sizes, got {output_size!r}")
    found = _adaptive_max(op, x, tuple(n if size is None else size for size, n in zip(given, x.shape[2:])))
    return tuple(_restored(t, input, 2) for t in found) if return_indices else _restored(found[0], input, 2)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """`adaptive_max_pool2d` along one dimension: input [N, C, L] or [C, L].

    Raises:
        ValueError: the input has another number of dimensions, or an output size is not positive.

    >>> import whitewolf as ww
    >>> ww.nn.functional.adaptive_max_pool1d(ww.asarray([[1.0, 3.0, 2.0]]), 2).tolist()
    [[3.0, 3.0]]
    """
    x = _batched("adaptive_max_pool1d", input, 1)
    (size,) = output_size if isinstance(output_size, (tuple, list)) else (output_size,)
    found = _adaptive_max("adaptive_max_pool1d", x, (1, x.shape[-1] if size is None else size))
    return tuple(_restored(t, input, 1) for t in found) if return_indices else _restored(found[0], input, 1)


def _adaptive_max(op: str, x: Tensor, sizes: Any) -> tuple[Tensor, Tensor]:
    check_float(op, "input", x)
    h, w = x.shape[2:]
    p, q = pair(op, "output_size", sizes)
    if min(p, q) < 1 or not h or not w:
        raise ValueError(f"{op}: expected output_size >= 1 and an input that is not empty, got {(p, q)} for {x.shape}")
    (rows, in_rows), (columns, in_columns) = _spans(h, p), _spans(w, q)
    windows = x._data[:, :, rows[:, None, :, None], columns[None, :, None, :]]  # [N, C, P, Q, rows, columns of a window]
    inside = in_rows[:, None, :, None] & in_columns[None, :, None, :]
    flat = np.where(inside, windows, -np.inf).reshape((*x.shape[:2], p, q, -1))
    places = np.broadcast_to(rows[:, None, :, None] * w + columns[None, :, None, :], inside.shape).reshape(p, q, -1)
    # What is padding repeats the window's last row and column or lies in another window: -Inf there loses, or ties with an -Inf of
    # the window's own, which comes first.
    chosen = np.take_along_axis(np.broadcast_to(places, flat.shape), flat.argmax(-1)[..., None], -1)[..., 0]
    index = wrap(chosen.reshape(*x.shape[:2], p * q), x.device)
    values = reshape(gather(reshape(x, (*x.shape[:2], h * w)), 2, index), (*x.shape[:2], p, q))
    return values, wrap(chosen, x.device)


def _spans(n: int, windows: int) -> tuple[Any, Any]:
    """The places of each window, and which of them are its own: all have as many places as the largest."""
    first = np.arange(windows) * n // windows
    last = -(-(np.arange(windows) + 1) * n // windows)
    places = first[:, None] + np.arange((last - first).max())
    return np.minimum(places, n - 1), places < last[:, None]


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(the sum of input^norm_type over each window)^(1 / norm_type) (Sermanet et al. 2012), negative sums as 0; for infinity the largest
    abs(input) of the window, for minus infinity the smallest.

    Args:
        input: float32 or float64 [N, C, H, W], or [C, H, W].
        kernel_size, stride, ceil_mode: as of `avg_pool2d`.

    Raises:
        ValueError: the input has another number of dimensions, or the window does not fit it.

    >>> import whitewolf as ww
    >>> ww.nn.functional.lp_pool2d(ww.asarray([[[3.0, 4.0]]]), 2, (1, 2)).tolist()
    [[[5.0]]]
    """
    size = pair("lp_pool2d", "kernel_size", kernel_size)
    if math.isinf(norm_type):
        return _extreme(max_pool2d, input, norm_type, kernel_size, stride, ceil_mode)
    mean = avg_pool2d(pow(input, norm_type), kernel_size, stride, 0, ceil_mode)
    return _root(mean, size[0] * size[1], norm_type)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """`lp_pool2d` along one dimension: input [N, C, L] or [C, L].

    Raises:
        ValueError: the input has another number of dimensions, or the window does not fit it.

    >>> import whitewolf as ww
    >>> ww.nn.functional.lp_pool1d(ww.asarray([[3.0, 4.0]]), 2.0, 2)
    tensor([[5.]])
    """
    (size,) = pair("lp_pool1d", "kernel_size", kernel_size, 1)
    if math.isinf(norm_type):
        return _extreme(max_pool1d, input, norm_type, kernel_size, stride, ceil_mode)
    return _root(avg_pool1d(pow(input, norm_type), kernel_size, stride, 0, ceil_mode), size, norm_type)


def _extreme(pool: Callable[..., Any], input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Tensor:
    """The limit of the norm for norm_type to plus or minus infinity."""
    size = abs(input)
    largest: Tensor = pool(size if norm_type > 0 else negative(size), kernel_size, stride, ceil_mode=ceil_mode)
    return largest if norm_type > 0 else negative(largest)


def _root(mean: Tensor, count: int, norm_type: float) -> Tensor:
    return pow(multiply(multiply(sign(mean.detach()), relu(abs(mean))), count), 1 / norm_type)


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Zeros with each element of the input at the place that its index names (Zeiler and Fergus 2014): `max_pool2d` undone.

    Args:
        input: float32 or float64 [N, C, P, Q], or [C, P, Q].
        indices: int64, from `max_pool2d(..., return_indices=True)`; of elements with one place the last stays.
        kernel_size, stride, padding: of that pooling.
        output_size: (H, W), or the shape that ends with it; (P - 1) stride - 2 padding + kernel_size unless given.

    Raises:
        IndexError: an index is outside the output.
        ValueError: the shapes do not fit.

    >>> import whitewolf as ww
    >>> ww.nn.functional.max_unpool2d(ww.asarray([[[5.0]]]), ww.asarray([[[2]]]), 2).tolist()
    [[[0.0, 0.0], [5.0, 0.0]]]
    """
    op = "max_unpool2d"
    x = _batched(op, input, 2)
    kernel = pair(op, "kernel_size", kernel_size)
    step = kernel if stride is None else pair(op, "stride", stride)
    return _restored(_unpool(op, x, _batched(op, indices, 2), kernel, step, pair(op, "padding", padding), output_size, 2), input, 2)


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """`max_unpool2d` along one dimension: input [N, C, P] or [C, P].

    Raises:
        ValueError: indices of another shape, or the input has another number of dimensions.
        IndexError: an index is outside of the output.

    >>> import whitewolf as ww
    >>> ww.nn.functional.max_unpool1d(ww.asarray([[5.0]]), ww.asarray([[1]]), 2)
    tensor([[0., 5.]])
    """
    op = "max_unpool1d"
    x = _batched(op, input, 1)
    kernel = _row(op, "kernel_size", kernel_size, 1)
    step = kernel if stride is None else _row(op, "stride", stride, 1)
    edge = _row(op, "padding", padding, 0)
    return _restored(_unpool(op, x, _batched(op, indices, 1), kernel, step, edge, output_size, 1), input, 1)


def _unpool(op: str, x: Tensor, indices: Tensor, kernel: Any, stride: Any, padding: Any, output_size: Any, dims: int) -> Tensor:
    check_float(op, "input", x)
    check_same_device(op, input=x, indices=indices)
    if indices.shape != x.shape or indices.dtype.kind not in "iu":
        raise ValueError(f"{op}: expected integer indices of shape {x.shape} (input.shape), got {indices.dtype} {indices.shape}")
    if output_size is None:
        h, w = ((n - 1) * s - 2 * p + k for n, s, p, k in zip(x.shape[2:], stride, padding, kernel))
    else:
        sizes = tuple(int(n) for n in output_size)[-dims:]
        h, w = sizes if dims == 2 else (1, *sizes)
    places = indices._data.reshape(*x.shape[:2], -1).astype(np.int64)
    if places.size and not (0 <= places.min() and places.max() < h * w):
        raise IndexError(f"{op}: expected indices in [0, {h * w}) (an output of {h} x {w}), got {places.min()} to {places.max()}")
    count = places.shape[2]
    if not count:
        return zeros((*x.shape[:2], h, w), dtype=x.dtype, device=x.device)
    source = last_terms(places, h * w)
    taken = gather(reshape(x, (*x.shape[:2], count)), 2, wrap(np.maximum(source, 0), x.device))
    nothing = wrap(source < 0, x.device)
    return reshape(where(nothing, 0.0, taken), (*x.shape[:2], h, w))


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of a convolution as columns: [N, C, H, W] as [N, C R S, P Q] (im2col).

    Args:
        input: any dtype [N, C, H, W], or [C, H, W].
        kernel_size, dilation, padding, stride: an int, or one for height and one for width.

    Raises:
        ValueError: no window fits.

    >>> import whitewolf as ww
    >>> ww.nn.functional.unfold(ww.ones((1, 2, 4, 5)), 3).shape
    (1, 18, 6)
    """
    x = _batched("unfold", input, 2)
    shape, at = _columns("unfold", x.shape[2:], kernel_size, dilation, padding, stride)
    edges = pair("unfold", "padding", padding)
    x = pad_constant(x, [(0, 0), (0, 0), *((p, p) for p in edges)]) if any(edges) else x
    flat = reshape(x, (*x.shape[:2], x.shape[2] * x.shape[3]))
    found = index_select(flat, 2, wrap(at.reshape(-1), x.device))
    columns = reshape(found, (x.shape[0], x.shape[1] * at.shape[0], at.shape[1]))
    return squeeze(columns, 0) if input.ndim == 3 else columns


def fold(input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The adjoint of `unfold`: columns [N, C R S, P Q] added up where they came from, as [N, C, H, W].

    Args:
        input: float32 or float64 [N, C R S, P Q], or [C R S, P Q].
        output_size: H and W.

    Raises:
        ValueError: the sizes do not fit.

    >>> import whitewolf as ww
    >>> ww.nn.functional.fold(ww.ones((1, 4, 4)), (3, 3), 2).tolist()
    [[[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]]
    """
    op = "fold"
    x = check_tensor(op, "input", input)
    single = x.ndim == 2
    x = unsqueeze(x, 0) if single else x
    h, w = pair(op, "output_size", output_size)
    (rows, width), at = _columns(op, (h, w), kernel_size, dilation, padding, stride)
    if x.ndim != 3 or x.shape[1] % max(at.shape[0], 1) or x.shape[2] != at.shape[1]:
        raise ValueError(
            f"{op}: expected input [N, C * {at.shape[0]}, {at.shape[1]}] for these windows, got input.shape == {input.shape}"
        )
    channels = x.shape[1] // at.shape[0]
    top, left = pair(op, "padding", padding)
    flat = zeros((x.shape[0], channels, rows * width), dtype=x.dtype, device=x.device)
    flat = index_add(flat, 2, wrap(at.reshape(-1), x.device), reshape(x, (x.shape[0], channels, at.size)))
    y = reshape(flat, (x.shape[0], channels, rows, width))[:, :, top : top + h, left : left + w]
    return squeeze(y, 0) if single else y


def _columns(
    op: str, sizes: tuple[int, ...], kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[tuple[int, int], Any]:
    """The padded sizes, and for each of R S taps the flat place that it has in each of P Q windows."""
    kernel, spread = pair(op, "kernel_size", kernel_size), pair(op, "dilation", dilation)
    edges, step = pair(op, "padding", padding), pair(op, "stride", stride)
    if min(*kernel, *spread, *step) < 1 or min(edges) < 0:
        raise ValueError(
            f"{op}: expected kernel_size, dilation and stride >= 1 and padding >= 0, got {kernel}, {spread}, {step}, {edges}"
        )
    places, padded = [], []
    for n, k, d, p, s in zip(sizes, kernel, spread, edges, step):
        total = n + 2 * p
        count = (total - d * (k - 1) - 1) // s + 1
        if count < 1:
            raise ValueError(
                f"{op}: expected windows that fit, got sizes {sizes} with padding {edges} for {kernel}, dilation {spread}"
            )
        padded.append(total)
        places.append(np.arange(k)[:, None] * d + np.arange(count) * s)  # [taps, windows]
    (rows, columns), (height, width) = places, padded
    at = rows[:, None, :, None] * width + columns[None, :, None, :]
    return (height, width), at.reshape(math.prod(kernel), -1)


__all__ = [
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "fold",
    "lp_pool1d",
    "lp_pool2d",
    "max_unpool1d",
    "max_unpool2d",
    "unfold",
]
