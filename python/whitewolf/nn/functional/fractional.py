"""Max-pooling over windows whose distances are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops import random
from ...ops._common import check_float, check_tensor, check_window, pair
from ...ops.gather import gather
from ...ops.manipulation import reshape
from ...tensor import Tensor, wrap
from .pooling import _batched, _restored


def fractional_max_pool2d(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False, _random_samples: Tensor | None = None
) -> Any:  # fmt: skip
    """The largest elements of windows that lie H / P apart on average, at places that are drawn (Graham 2014, section 2).

    Window i of a dimension begins at floor((i + u) a) - floor(u a), a = (H - kernel) / (P - 1), and the last ends with the picture; u is
    drawn for each sample, channel and dimension. Of equal elements the first has the gradient.

    Args:
        input: float32 or float64 [N, C, H, W], or [C, H, W].
        kernel_size: the windows' sizes, an int or two.
        output_size: P and Q; or
        output_ratio: P / H and Q / W, in (0, 1).
        return_indices: return int64 positions h W + w of the maxima, too.
        _random_samples: u in [0, 1), [N, C, 2], the second for H; drawn unless given, as in PyTorch.

    Raises:
        ValueError: both or none of output_size and output_ratio, or windows that do not fit.

    >>> import whitewolf as ww
    >>> x = ww.reshape(ww.arange(16, dtype="float32"), (1, 4, 4))
    >>> ww.nn.functional.fractional_max_pool2d(x, 2, output_size=2).shape
    (1, 2, 2)
    """
    op = "fractional_max_pool2d"
    x = _batched(op, input, 2)
    check_float(op, "input", x)
    check_window(op, kernel_size=kernel_size)
    kernel, sizes = pair(op, "kernel_size", kernel_size), x.shape[2:]
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"{op}: expected output_size or output_ratio, got {'neither' if output_size is None else 'both'}")
    if output_ratio is not None:
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * 2
        if len(ratios) != 2 or not all(isinstance(r, float) and 0 < r < 1 for r in ratios):
            raise ValueError(f"{op}: expected output_ratio in (0, 1), one or two, got {output_ratio!r}")
        out: tuple[int, ...] = tuple(int(n * r) for n, r in zip(sizes, ratios))
    else:
        out = pair(op, "output_size", output_size)
    if any(not 1 <= p <= n - k + 1 for p, n, k in zip(out, sizes, kernel)):
        raise ValueError(f"{op}: expected output_size in [1, size - kernel_size + 1], got {out} for input.shape == {input.shape} and "
                         f"kernel_size {kernel}")  # fmt: skip
    lead = x.shape[:2]
    if _random_samples is None:
        _random_samples = random.uniform((*lead, 2), dtype=x.dtype, device=x.device)
    if check_tensor(op, "_random_samples", _random_samples).shape != (*lead, 2):
        raise ValueError(f"{op}: expected _random_samples.shape == {(*lead, 2)}, got {_random_samples.shape}")
    drawn = _random_samples.detach().numpy()
    # Windows along H take the second number and those along W the first, as in PyTorch.
    rows, columns = (_starts(drawn[..., 1 - d], sizes[d], out[d], kernel[d]) for d in range(2))
    rows = rows[..., None] + np.arange(kernel[0])  # [N, C, P, R]
    columns = columns[..., None] + np.arange(kernel[1])
    index = rows[:, :, :, None, :, None] * sizes[1] + columns[:, :, None, :, None, :]  # [N, C, P, Q, R, S]
    index = index.reshape(*lead, *out, kernel[0] * kernel[1])
    values = np.take_along_axis(x.detach().numpy().reshape(*lead, -1), index.reshape(*lead, -1), 2).reshape(index.shape)
    chosen = np.argmax(values, -1)  # the first NaN, if there is one
    places = np.take_along_axis(index, chosen[..., None], -1)[..., 0]
    at = wrap(x.device.xp.asarray(places.reshape(*lead, -1)), x.device)
    y = reshape(gather(reshape(x, (*lead, -1)), 2, at), (*lead, *out))
    found = (y, wrap(x.device.xp.asarray(places), x.device))
    return tuple(_restored(t, input, 2) for t in found) if return_indices else _restored(y, input, 2)


def _starts(u: Any, size: int, out: int, kernel: int) -> Any:
    """Where the windows begin, [N, C, P]."""
    starts = np.full((*u.shape, out), size - kernel, np.int64)
    if out > 1:
        a = (size - kernel) / (out - 1)
        steps = np.arange(out - 1)
        a = u.dtype.type(a)
        starts[..., :-1] = ((steps + u[..., None]) * a).astype(np.int64) - (u[..., None] * a).astype(np.int64)
    return starts


__all__ = ["fractional_max_pool2d"]
