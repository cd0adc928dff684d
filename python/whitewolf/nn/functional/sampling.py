"""Sampling pictures and volumes at any places: affine grids and interpolation there."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ...ops._common import check_flag, check_float, check_same_device, check_same_dtype, check_tensor
from ...ops.elementwise import abs, add, floor, multiply, round, subtract
from ...ops.gather import gather
from ...ops.manipulation import expand_dims, matrix_transpose, reshape
from ...ops.matmul import matmul
from ...ops.select import where
from ...tensor import Tensor, wrap
from .piecewise import hardtanh

MODES, PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The places that an affine map of the output's pixels gives, for `grid_sample` (Jaderberg et al. 2015, section 3.2).

    grid[n, h, w] = theta[n] (x_w, y_h, 1), where x and y go from -1 to 1 across the output: at the centres of the outermost pixels with
    align_corners, else at their outer edges.

    Args:
        theta: float32 or float64 [N, 2, 3]; [N, 3, 4] for volumes.
        size: of the output, (N, C, H, W); (N, C, D, H, W) for volumes.

    Returns:
        [N, H, W, 2], or [N, D, H, W, 3], x first.

    Raises:
        ValueError: theta and size do not fit.

    >>> import whitewolf as ww
    >>> turn = ww.asarray([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    >>> ww.nn.functional.affine_grid(turn, (1, 1, 1, 2), align_corners=True).tolist()
    [[[[0.0, -1.0], [0.0, 1.0]]]]
    """
    op = "affine_grid"
    check_float(op, "theta", check_tensor(op, "theta", theta))
    if align_corners is not None:
        check_flag(op, "align_corners", align_corners)
    sizes = tuple(int(n) for n in size)
    dims = len(sizes) - 2
    if dims not in (2, 3) or theta.shape != (sizes[0], dims, dims + 1) or min(sizes) < 1:
        raise ValueError(f"{op}: expected theta [N, 2, 3] with size (N, C, H, W), or [N, 3, 4] with (N, C, D, H, W), sizes >= 1, "
                         f"got theta.shape == {theta.shape}, size {sizes}")  # fmt: skip
    lines = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in sizes[2:]]
    if not align_corners:
        lines = [line * (n - 1) / n for line, n in zip(lines, sizes[2:])]
    axes = np.meshgrid(*lines, indexing="ij")[::-1]  # x, the last dimension, comes first
    base = np.stack([*axes, np.ones(sizes[2:])], -1).reshape(-1, dims + 1).astype(theta.dtype)
    places = matmul(wrap(theta.device.xp.asarray(base), theta.device), matrix_transpose(theta))
    return reshape(places, (sizes[0], *sizes[2:], dims))


def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """The input between its pixels, at the places that a grid names (Jaderberg et al. 2015, equations 3 to 5).

    y[n, c, h, w] = the sum over pixels (i, j) of x[n, c, i, j] k(u - j) k(v - i), (u, v) = grid[n, h, w] scaled from [-1, 1] to the input;
    k is the triangle, the box or Keys' cubic with a = -3/4 (Keys 1981).

    Args:
        input: x, float32 or float64 [N, C, H, W]; [N, C, D, H, W] for volumes.
        grid: of the same dtype, [N, P, Q, 2], or [N, O, P, Q, 3]; x first. NaN is taken as -1, infinity as far outside (with "reflection" as -1).
        mode: "bilinear" (trilinear in volumes), "nearest" or, in pictures, "bicubic".
        padding_mode: what is outside: "zeros"; the pixel at the "border"; or the "reflection" at the border.
        align_corners: -1 and 1 are the centres of the outermost pixels; otherwise (the default) their outer edges.

    Returns:
        [N, C, P, Q], or [N, C, O, P, Q]; differentiable in both, by the grid as far as k has a slope.

    Raises:
        ValueError: the shapes do not fit, or a mode is unknown.

    >>> import whitewolf as ww
    >>> x, middle = ww.asarray([[[[1.0, 3.0]]]]), ww.zeros((1, 1, 1, 2))
    >>> ww.nn.functional.grid_sample(x, middle).item()
    2.0
    """
    op = "grid_sample"
    for name, tensor in (("input", input), ("grid", grid)):
        check_float(op, name, check_tensor(op, name, tensor))
    check_same_device(op, input=input, grid=grid)
    check_same_dtype(op, input=input, grid=grid)
    for name, value, known in (("mode", mode, MODES), ("padding_mode", padding_mode, PADDINGS)):
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"{op}: expected {name} to be one of {', '.join(known)}, got {value!r}")
    dims, sizes = input.ndim - 2, input.shape[2:]
    if dims not in (2, 3) or grid.ndim != dims + 2 or grid.shape[0] != input.shape[0] or grid.shape[-1] != dims:
        raise ValueError(f"{op}: expected input [N, C, H, W] and grid [N, P, Q, 2], or [N, C, D, H, W] and [N, O, P, Q, 3], got "
                         f"input.shape == {input.shape}, grid.shape == {grid.shape}")  # fmt: skip
    if not all(sizes):
        raise ValueError(f"{op}: expected input of pixels, got input.shape == {input.shape}")
    if mode == "bicubic" and dims == 3:
        raise ValueError(f"{op}: expected mode to be bilinear or nearest for volumes, got 'bicubic'")
    corners = check_flag(op, "align_corners", bool(align_corners) if align_corners is None else align_corners)
    # Coordinates [N, points], slowest dimension first.
    where_to = [reshape(grid[..., dims - 1 - d], (input.shape[0], -1)) for d in range(dims)]
    where_to = [_to_somewhere(x, padding_mode) for x in where_to]
    scaled = [_to_pixels(x, n, corners) for x, n in zip(where_to, sizes)]
    if mode != "bicubic":
        scaled = [_inside(x, n, padding_mode, corners) for x, n in zip(scaled, sizes)]
    taps = [_taps(x, mode) for x in scaled]
    flat = reshape(input, (*input.shape[:2], -1))
    total: Tensor | None = None
    for chosen in product(*taps):
        share = _pixel(flat, [place for place, _ in chosen], sizes, padding_mode, corners, mode == "bicubic")
        for _, weight in chosen:
            share = share if weight is None else multiply(share, expand_dims(weight, axis=1))
        total = share if total is None else add(total, share)
    assert total is not None
    return reshape(total, (*input.shape[:2], *grid.shape[1:-1]))


def _to_somewhere(x: Tensor, padding_mode: str) -> Tensor:
    """Coordinates without NaN and infinity, which have no distance to a pixel. What is infinite is beyond the border."""
    far = np.isinf(x._data)
    x = where(wrap(far, x.device), wrap(np.copysign(x.device.xp.asarray(1e3, x.dtype), x._data), x.device), x)
    nowhere = x._data != x._data
    return where(wrap(nowhere | far if padding_mode == "reflection" else nowhere, x.device), -1.0, x)


def _to_pixels(x: Tensor, n: int, corners: bool) -> Tensor:
    return multiply(add(x, 1), (n - 1) / 2) if corners else multiply(subtract(multiply(add(x, 1), n), 1), 0.5)


def _inside(x: Tensor, n: int, padding_mode: str, corners: bool) -> Tensor:
    """Coordinates as the padding moves them."""
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        low, high = (0.0, n - 1.0) if corners else (-0.5, n - 0.5)
        span = high - low
        if span == 0:
            return multiply(x, 0)
        offset = abs(subtract(x, low))
        turns = wrap(np.floor(offset._data / span), x.device)
        rest = subtract(offset, multiply(turns, span))
        x = where(wrap(turns._data % 2 == 0, x.device), add(rest, low), subtract(high, rest))
    return hardtanh(x, 0.0, n - 1.0)  # constant at the border, as it is beyond


def _taps(x: Tensor, mode: str) -> list[tuple[Any, Tensor | None]]:
    """The pixels around, as int64 arrays [N, points], and their weights."""
    limit = 2.0**40  # beyond any picture, and within int64 also where a coordinate is infinite
    if mode == "nearest":
        return [(np.clip(round(x.detach()).numpy(), -limit, limit).astype(np.int64), None)]
    below = floor(x.detach())
    first = np.clip(below.numpy(), -limit, limit).astype(np.int64)
    t = subtract(x, below)
    if mode == "bilinear":
        return [(first, subtract(1, t)), (first + 1, t)]
    return [(first + k - 1, _cubic(t, k - 1)) for k in range(4)]


def _cubic(t: Tensor, k: int) -> Tensor:
    """Keys' kernel at distance |t - k|, a = -3/4."""
    a, d = -0.75, abs(subtract(t, k))
    if k in (0, 1):  # within one pixel
        return add(multiply(multiply(subtract(multiply(d, a + 2), a + 3), d), d), 1)
    return multiply(subtract(multiply(add(multiply(subtract(d, 5), d), 8), d), 4), a)


def _pixel(flat: Tensor, places: list[Any], sizes: tuple[int, ...], padding_mode: str, corners: bool, move: bool) -> Tensor:
    """x at whole places, [N, C, points]; zeros outside."""
    index, seen = np.zeros_like(places[0]), np.ones(places[0].shape, bool)
    for place, n in zip(places, sizes):
        if move and padding_mode != "zeros":
            moved = _inside(wrap(place.astype(np.float64), flat.device), n, padding_mode, corners)
            place = moved.numpy().astype(np.int64)
        seen &= (place >= 0) & (place < n)
        index = index * n + np.clip(place, 0, n - 1)
    lead = (flat.shape[0], flat.shape[1], index.shape[1])
    at = wrap(np.ascontiguousarray(np.broadcast_to(index[:, None], lead)), flat.device)
    found = gather(flat, 2, at)
    return found if seen.all() else where(wrap(np.broadcast_to(seen[:, None], lead), flat.device), found, 0.0)


__all__ = ["affine_grid", "grid_sample"]
