"""PyTorch at the edges: what elementwise functions and their gradients are at kinks, zeros, infinities and NaN; sampling at no place.

PyTorch's own samples are random numbers, which never are there. Where we differ, DIFFERENT says why.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import whitewolf as ww

torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

F, TF = ww.nn.functional, torch.nn.functional
INF, NAN = math.inf, math.nan
POINTS = [-INF, -6.0, -3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, 6.0, INF, NAN]
PAIRS = list(itertools.product([-INF, -2.0, -0.0, 0.0, 1.0, 2.0, INF, NAN], repeat=2))

UNARY: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    **{n: (getattr(ww, n), getattr(torch, n)) for n in (
        "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "erf", "exp", "exp2", "expm1", "floor", "log", "log10", "log1p",
        "log2", "negative", "reciprocal", "round", "rsqrt", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc", "max", "min", "sum")},
    **{n: (getattr(F, n), getattr(TF, n)) for n in (
        "celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish", "relu", "relu6", "selu", "sigmoid",
        "silu", "softplus", "softshrink", "softsign", "tanhshrink")},
    "threshold": (lambda x: F.threshold(x, 0.5, 7.0), lambda x: TF.threshold(x, 0.5, 7.0)),
    "clip": (lambda x: ww.clip(x, -1, 3), lambda x: torch.clamp(x, -1, 3)),
    "clip from below": (lambda x: ww.clip(x, 0.5), lambda x: torch.clamp(x, 0.5)),
    **{f"pow {n}": (lambda x, n=n: ww.pow(x, n), lambda x, n=n: torch.pow(x, n)) for n in (0, 1, 2, 3, 0.5, -1)},
    **{f"remainder {y}": (lambda x, y=y: ww.remainder(x, y), lambda x, y=y: torch.remainder(x, y)) for y in (2.0, -0.5)},
}  # fmt: skip
BINARY = {
    **{n: (getattr(ww, n), getattr(torch, n)) for n in (
        "add", "atan2", "copysign", "divide", "hypot", "logaddexp", "maximum", "minimum", "multiply", "pow", "remainder", "subtract")},
    "clip to a tensor": (lambda x, y: ww.clip(x, y), lambda x, y: torch.clamp(x, y)),
    "clip between tensors": (lambda x, y: ww.clip(x, y, y * -1), lambda x, y: torch.clamp(x, y, y * -1)),
}  # fmt: skip

# name: (the points that are left out, why); None for all of them.
DIFFERENT: dict[str, tuple[Callable[..., bool], str]] = {
    "sign": (math.isnan, "array API: the sign of NaN is NaN"),
    "abs": (math.isnan, "array API: the sign of NaN is NaN, and the slope of abs with it"),
    **dict.fromkeys(
        ("celu", "elu", "selu", "hardswish"), (math.isnan, "NaN goes on into the gradient; PyTorch takes it for a large number")
    ),
    **dict.fromkeys(("hardtanh", "relu6"), (math.isnan, "NaN lies between no bounds, as in clip; PyTorch takes it to be inside")),
    "pow 0.5": (
        lambda x: x in (-INF, 0),
        "array API: (-Inf) ** 0.5 is Inf, and the power of -0.0 is 0.0; PyTorch takes the square root",
    ),
    "copysign": (
        lambda x, y: not math.isfinite(x),
        "the slope is that of the sign, also where x1 is infinite or NaN; PyTorch divides y by x1",
    ),
    "clip between tensors": (
        lambda x, y: y == 0 or math.isnan(x),
        "below two equal bounds PyTorch gives nobody the gradient, and beside NaN crossed bounds",
    ),
}


def differ(name: str, ours: Any, theirs: Any, points: list[tuple[float, ...]]) -> list[str]:
    """Where the outputs or a gradient differ, in words."""
    columns = [np.array(column) for column in zip(*points)]
    x = [ww.tensor(column, requires_grad=True) for column in columns]
    t = [torch.tensor(column, requires_grad=True) for column in columns]
    y, z = ours(*x), theirs(*t)
    rows = [("value", y.numpy(), z.detach().numpy())]
    mine, reference = ww.grad(y.sum(), x, allow_unused=True), torch.autograd.grad(z.sum(), t, allow_unused=True)
    rows += [(f"gradient {i}", zeros(a, columns[0]), zeros(b, columns[0])) for i, (a, b) in enumerate(zip(mine, reference))]
    found = []
    for what, a, b in rows:
        same = np.isclose(a, b, rtol=1e-6, atol=1e-12, equal_nan=True)
        skip, _ = DIFFERENT.get(name, (lambda *point: False, ""))
        for place in np.ndindex(same.shape):
            point = points[place[0]] if place else ()
            if not same[place] and not (point and skip(*point)):
                found.append(f"{what} at {point}: expected {b[place]}, got {a[place]}")
    return found


def zeros(grad: Any, like: Any) -> Any:
    return np.zeros_like(like) if grad is None else grad.numpy()


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_number_agree_at_their_edges(name: str) -> None:
    assert not differ(name, *UNARY[name], [(v,) for v in POINTS])


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_numbers_agree_at_their_edges(name: str) -> None:
    assert not differ(name, *BINARY[name], PAIRS)


SAMPLING = [(m, p, c, d) for m in ("bilinear", "nearest", "bicubic") for p in ("zeros", "border", "reflection") for c in (False, True) for d in (2, 3)
            if (m, d) != ("bicubic", 3)]  # fmt: skip
COORDINATES = [-1e3, -2.0, -1.0, -0.3, 0.4, 1.0, 1e3]


@pytest.mark.parametrize(("mode", "padding", "corners", "dims"), SAMPLING)
def test_sampling_agrees_at_the_borders_and_far_outside(mode: str, padding: str, corners: bool, dims: int) -> None:
    rng = np.random.default_rng(0)
    grid = np.array(list(itertools.product(COORDINATES, repeat=2)))
    grid = np.concatenate([grid, rng.uniform(-1, 1, (len(grid), dims - 2))], axis=1).reshape(1, *[1] * (dims - 1), -1, dims)
    picture = rng.standard_normal((1, 2, *(3, 4, 5)[:dims]))
    x, g = ww.tensor(picture, requires_grad=True), ww.tensor(grid, requires_grad=True)
    t, h = torch.tensor(picture, requires_grad=True), torch.tensor(grid, requires_grad=True)
    y = F.grid_sample(x, g, mode, padding, corners)
    z = TF.grid_sample(t, h, mode, padding, corners)
    mine, theirs = ww.grad(y.sum(), (x, g), allow_unused=True), torch.autograd.grad(z.sum(), (t, h))
    names = [("value", y.numpy()[0, 0].ravel(), z.detach().numpy()[0, 0].ravel()), ("picture", mine[0].numpy(), theirs[0].numpy()),
             ("grid", zeros(mine[1], grid).reshape(-1, dims), theirs[1].numpy().reshape(-1, dims))]  # fmt: skip
    for what, a, b in names:
        wrong = ~np.isclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)
        at = (
            [(grid.reshape(-1, dims)[i[0], :2].tolist(), a[tuple(i)], b[tuple(i)]) for i in np.argwhere(wrong)]
            if what != "picture"
            else [a, b]
        )
        assert not wrong.any(), f"{what}: {at}"


@pytest.mark.parametrize(("mode", "padding", "corners", "dims"), SAMPLING)
def test_sampling_takes_NaN_for_minus_1_and_infinity_for_far_outside(mode: str, padding: str, corners: bool, dims: int) -> None:
    """NaN as PyTorch documents it; what PyTorch does there is NaN, 0 or the end of the process, by mode and dimensions."""
    picture = np.random.default_rng(0).standard_normal((1, 2, *(3, 4, 5)[:dims]))
    strange = np.array(list(itertools.product([-INF, -0.3, INF, NAN], repeat=dims))).reshape(1, *[1] * (dims - 1), -1, dims)
    plain = np.nan_to_num(
        strange, nan=-1.0, posinf=-1.0 if padding == "reflection" else 1e3, neginf=-1.0 if padding == "reflection" else -1e3
    )
    found = []
    for grid in (strange, plain):
        x, g = ww.tensor(picture, requires_grad=True), ww.tensor(grid, requires_grad=True)
        y = F.grid_sample(x, g, mode, padding, corners)
        found.append(
            [y.numpy(), *(zeros(t, like) for t, like in zip(ww.grad(y.sum(), (x, g), allow_unused=True), (picture, grid)))]
        )
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    np.testing.assert_array_equal(found[0][2], np.where(np.isfinite(strange), found[1][2], 0))


@pytest.mark.parametrize("norm_type", [math.inf, -math.inf])
@pytest.mark.parametrize(("kernel", "stride", "ceil"), [(2, None, False), ((3, 2), (2, 1), True)])
def test_the_limits_of_lp_pool_are_the_largest_and_the_smallest_size(
    norm_type: float, kernel: Any, stride: Any, ceil: bool
) -> None:
    data = np.random.default_rng(0).standard_normal((2, 3, 6, 7))
    x, t = ww.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    y = ww.nn.functional.lp_pool2d(x, norm_type, kernel, stride, ceil)
    sizes = t.abs() if norm_type > 0 else -t.abs()
    expected = torch.nn.functional.max_pool2d(sizes, kernel, stride, ceil_mode=ceil) * (1 if norm_type > 0 else -1)
    y.sum().backward()
    expected.sum().backward()
    np.testing.assert_array_equal(y.detach().numpy(), expected.detach().numpy())
    np.testing.assert_array_equal(x.grad.numpy(), t.grad.numpy())
    line = ww.nn.functional.lp_pool1d(ww.asarray(data[0]), norm_type, 3).numpy()
    windows = np.abs(data[0, :, :, :6].reshape(3, 6, 2, 3))
    np.testing.assert_array_equal(line, windows.max(-1) if norm_type > 0 else windows.min(-1))


@pytest.mark.parametrize("alpha", [-0.5, -2.0, 0.7])
def test_celu_bends_below_zero_whatever_the_sign_of_alpha(alpha: float) -> None:
    data = np.array([-3.0, -1.0, -0.0, 0.0, 0.3, 800.0, math.nan])
    x, t = ww.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    y, expected = ww.nn.functional.celu(x, alpha), torch.nn.functional.celu(t, alpha)
    y.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-7)  # PyTorch's 1 / alpha is float32
    np.testing.assert_allclose(x.grad.numpy()[:-1], t.grad.numpy()[:-1], rtol=1e-7)  # at NaN, PyTorch's is 1
