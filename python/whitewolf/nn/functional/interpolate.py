"""Pictures in another size: interpolation, and channels that become pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ops._common import check_count, check_float, check_tensor
from ...ops.elementwise import add, multiply
from ...ops.gather import index_select
from ...ops.manipulation import moveaxis, permute_dims, reshape
from ...ops.matmul import matmul
from ...tensor import Tensor, wrap
from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d

_LINEAR = {"linear": 3, "bilinear": 4, "trilinear": 5}  # mode: dimensions of the input
_SMOOTH = {**_LINEAR, "bicubic": 4}
_MODES = ("nearest", "nearest-exact", *_SMOOTH, "area")


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """The input resampled to another size along all dimensions but the first two, one dimension after the other.

    Output place i lies at (i + 1/2) s - 1/2 of the input, s = input size / output size; with align_corners, at i (n - 1) / (m - 1).

    Args:
        input: float32 or float64 [N, C, L], [N, C, H, W] or [N, C, D, H, W].
        size: the output's, one for all dimensions or one each; or instead of it
        scale_factor: the output's size is floor(size * scale_factor), and s is 1 / scale_factor.
        mode: "nearest", the element at floor(i s); "nearest-exact", the one nearest to the place above; "linear", "bilinear" and
            "trilinear", for inputs of 3, 4 and 5 dimensions, between its neighbours; "bicubic", for 4 dimensions, a cubic through
            four of them (Keys 1981, equation 4 with a = -3/4); "area", the mean of the elements it covers.
        align_corners: for the linear modes and "bicubic": the corners' centres stay where they are.
        recompute_scale_factor: take s from the sizes where scale_factor is given.
        antialias: for "bilinear" and "bicubic": where the output is smaller, each of its elements is a mean over s times as many
            neighbours, as when a picture is scaled down for the eye; the cubic is that of a = -1/2 then, and places are
            (i + 1/2) s - 1/2 also with align_corners.

    Raises:
        ValueError: neither or both of size and scale_factor, an unknown mode, or options that do not fit it or the input.

    >>> import whitewolf as ww
    >>> x = ww.asarray([[[1.0, 3.0]]])
    >>> ww.nn.functional.interpolate(x, size=4, mode="linear")
    tensor([[[1. , 1.5, 2.5, 3. ]]])
    """
    op = "interpolate"
    x = check_tensor(op, "input", input)
    check_float(op, "input", x)
    dims = x.ndim - 2
    if mode not in _MODES:
        raise ValueError(f"{op}: expected mode to be one of {', '.join(_MODES)}, got {mode!r}")
    if dims not in (1, 2, 3) or _SMOOTH.get(mode, x.ndim) != x.ndim:
        raise ValueError(f"{op}: expected input of {_SMOOTH.get(mode, '3 to 5')} dimensions in mode {mode!r}, got {x.shape}")
    if align_corners is not None and mode not in _SMOOTH:
        raise ValueError(f"{op}: expected align_corners with {', '.join(_SMOOTH)} alone, got it with {mode!r}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(f"{op}: expected antialias with bilinear and bicubic alone, got it with mode {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{op}: expected either size or scale_factor, got {size} and {scale_factor}")
    sizes, factors = _sizes(op, x.shape[2:], size, scale_factor)
    if recompute_scale_factor:
        if scale_factor is None:
            raise ValueError(f"{op}: expected scale_factor with recompute_scale_factor, got size alone")
        factors = (None,) * dims
    if mode == "area":
        if dims == 3:  # windows are boxes: the mean along one dimension first, then over the other two
            n, c, d, h, w = x.shape
            x = reshape(adaptive_avg_pool2d(reshape(x, (n, c, d, h * w)), (sizes[0], None)), (n, c * sizes[0], h, w))
            return reshape(adaptive_avg_pool2d(x, sizes[1:]), (n, c, *sizes))
        return adaptive_avg_pool2d(x, sizes) if dims == 2 else adaptive_avg_pool1d(x, sizes[0])
    for d in range(dims):
        before, after, factor = x.shape[2 + d], sizes[d], factors[d]
        scale = before / after if factor is None else 1 / factor
        if antialias:
            if align_corners:
                scale = (before - 1) / (after - 1) if after > 1 else 0.0
            if before != after:  # a dimension that stays as long stays as it is, as in PyTorch, whatever its factor
                x = _antialiased(x, 2 + d, after, scale, cubic=mode == "bicubic")
        elif mode in _SMOOTH:
            x = _smooth(x, 2 + d, after, scale, bool(align_corners), cubic=mode == "bicubic")
        else:
            x = index_select(x, 2 + d, wrap(_nearest(before, after, scale, mode), x.device))
    return x


def _sizes(op: str, before: tuple[int, ...], size: Any, scale_factor: Any) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    given, what = (size, "size") if scale_factor is None else (scale_factor, "scale_factor")
    each = tuple(given) if isinstance(given, (tuple, list)) else (given,) * len(before)
    if len(each) != len(before) or not all(v > 0 for v in each):
        raise ValueError(f"{op}: expected {what} > 0, one number or {len(before)}, got {given}")
    if not all(before):
        raise ValueError(f"{op}: expected at least one element along each dimension, got sizes {before}")
    if scale_factor is None:
        return tuple(int(v) for v in each), (None,) * len(before)
    sizes = tuple(math.floor(n * v) for n, v in zip(before, each))
    if not all(sizes):
        raise ValueError(f"{op}: expected scale_factor that leaves at least one element, got {given} for sizes {before}")
    return sizes, tuple(float(v) for v in each)


def _nearest(before: int, after: int, scale: float, mode: str) -> Any:
    """The place in the input of each output place; float32, in which PyTorch computes it, decides where two are as near."""
    place = np.arange(after, dtype=np.float32)
    step = np.float32(scale)
    found = np.floor((place + np.float32(0.5)) * step if mode == "nearest-exact" else place * step)
    return np.minimum(found.astype(np.int64), before - 1)


def _smooth(x: Tensor, dim: int, after: int, scale: float, align_corners: bool, *, cubic: bool) -> Tensor:
    """Each output element a sum of its two or four neighbours along one dimension, those beyond the edge taken from the edge."""
    before = x.shape[dim]
    places = np.arange(after, dtype=np.float64)
    if align_corners:
        at = places * ((before - 1) / (after - 1) if after > 1 else 0.0)
    else:
        at = (places + 0.5) * scale - 0.5
    if not cubic:
        at = np.maximum(at, 0.0)
    first = np.floor(at).astype(np.int64)
    if cubic:
        t = at - first
        shares = {-1: _cubic_far(1 + t), 0: _cubic_near(t), 1: _cubic_near(1 - t), 2: _cubic_far(2 - t)}
    else:
        first = np.minimum(first, before - 1)
        t = np.clip(at - first, 0, 1)
        shares = {0: 1 - t, 1: t}
    side = (-1,) + (1,) * (x.ndim - dim - 1)
    total: Tensor | None = None
    for offset, share in shares.items():
        neighbour = index_select(x, dim, wrap(np.clip(first + offset, 0, before - 1), x.device))
        term = multiply(neighbour, wrap(share.astype(x.dtype).reshape(side), x.device))
        total = term if total is None else add(total, term)
    assert total is not None
    return total


def _antialiased(x: Tensor, dim: int, after: int, scale: float, *, cubic: bool) -> Tensor:
    """Each output element the mean of the input's along one dimension, weighted by the filter, which is stretched by s > 1."""
    before, stretch = x.shape[dim], max(scale, 1.0)
    centre = scale * (np.arange(after)[:, None] + 0.5)
    reach = (2 if cubic else 1) * stretch
    places = np.arange(before)
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)  # cut off, as PyTorch does: towards zero
    last = np.minimum((centre + reach + 0.5).astype(np.int64), before)
    t = np.abs(places + 0.5 - centre) / stretch
    share = np.where(t < 1, _cubic_near(t, -0.5), np.where(t < 2, _cubic_far(t, -0.5), 0)) if cubic else np.maximum(1 - t, 0)
    share = np.where((places >= first) & (places < last), share, 0)
    share /= share.sum(1, keepdims=True)
    weights = wrap(x.device.xp.asarray(share.T.astype(x.dtype)), x.device)
    return moveaxis(matmul(moveaxis(x, dim, -1), weights), -1, dim)


_A = -0.75  # the slope of Keys' cubic at distance 1


def _cubic_near(t: Any, a: float = _A) -> Any:
    """The share of a neighbour at distance t in [0, 1]."""
    return ((a + 2) * t - (a + 3)) * t * t + 1


def _cubic_far(t: Any, a: float = _A) -> Any:
    """The share of a neighbour at distance t in [1, 2]."""
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a


def upsample(input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: Any = None) -> Tensor:
    """`interpolate` under its old name.

    Raises:
        ValueError: as `interpolate`.

    >>> import whitewolf as ww
    >>> ww.nn.functional.upsample(ww.ones((1, 1, 2)), scale_factor=2).shape
    (1, 1, 4)
    """
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode "nearest".

    Raises:
        ValueError: as `interpolate`.

    >>> import whitewolf as ww
    >>> ww.nn.functional.upsample_nearest(ww.ones((1, 1, 2, 2)), scale_factor=2).shape
    (1, 1, 4, 4)
    """
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode "bilinear", corners aligned.

    Raises:
        ValueError: as `interpolate`.

    >>> import whitewolf as ww
    >>> ww.nn.functional.upsample_bilinear(ww.asarray([[[[0.0, 2.0]]]]), size=(1, 3)).tolist()
    [[[[0.0, 1.0, 2.0]]]]
    """
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """[..., C r^2, H, W] as [..., C, H r, W r], r = upscale_factor: channels become pixels (Shi et al. 2016, equation 4).

    Raises:
        ValueError: the channels are no multiple of r^2.

    >>> import whitewolf as ww
    >>> ww.nn.functional.pixel_shuffle(ww.reshape(ww.arange(4), (4, 1, 1)), 2).tolist()
    [[[0, 1], [2, 3]]]
    """
    x, r = check_tensor("pixel_shuffle", "input", input), check_count("pixel_shuffle", "upscale_factor", upscale_factor, 1)
    if x.ndim < 3 or x.shape[-3] % (r * r):
        raise ValueError(f"pixel_shuffle: expected input [..., C * {r}^2, H, W], got input.shape == {x.shape}")
    lead, (channels, h, w) = x.shape[:-3], x.shape[-3:]
    n, out = len(lead), channels // (r * r)
    split = reshape(x, (*lead, out, r, r, h, w))
    return reshape(permute_dims(split, (*range(n + 1), n + 3, n + 1, n + 4, n + 2)), (*lead, out, h * r, w * r))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """[..., C, H r, W r] as [..., C r^2, H, W], r = downscale_factor: the inverse of `pixel_shuffle`.

    Raises:
        ValueError: height or width are no multiples of r.

    >>> import whitewolf as ww
    >>> ww.nn.functional.pixel_unshuffle(ww.ones((1, 4, 6)), 2).shape
    (4, 2, 3)
    """
    x, r = check_tensor("pixel_unshuffle", "input", input), check_count("pixel_unshuffle", "downscale_factor", downscale_factor, 1)
    if x.ndim < 3 or x.shape[-2] % r or x.shape[-1] % r:
        raise ValueError(f"pixel_unshuffle: expected input [..., C, H * {r}, W * {r}], got input.shape == {x.shape}")
    lead, (channels, h, w) = x.shape[:-3], x.shape[-3:]
    n = len(lead)
    split = reshape(x, (*lead, channels, h // r, r, w // r, r))
    return reshape(permute_dims(split, (*range(n + 1), n + 2, n + 4, n + 1, n + 3)), (*lead, channels * r * r, h // r, w // r))


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channel g C / groups + i becomes channel i groups + g, C the channels of input [N, C, ...] (Zhang et al. 2018, section 3.1).

    Raises:
        ValueError: the channels are no multiple of groups.

    >>> import whitewolf as ww
    >>> ww.nn.functional.channel_shuffle(ww.reshape(ww.arange(4), (1, 4, 1)), 2).tolist()
    [[[0], [2], [1], [3]]]
    """
    x, g = check_tensor("channel_shuffle", "input", input), check_count("channel_shuffle", "groups", groups, 1)
    if x.ndim < 3 or x.shape[1] % g:
        raise ValueError(
            f"channel_shuffle: expected input [N, C, ...] with C a multiple of groups {g}, got input.shape == {x.shape}"
        )
    split = reshape(x, (x.shape[0], g, x.shape[1] // g, *x.shape[2:]))
    return reshape(permute_dims(split, (0, 2, 1, *range(3, x.ndim + 1))), x.shape)


__all__ = [
    "channel_shuffle",
    "interpolate",
    "pixel_shuffle",
    "pixel_unshuffle",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]
