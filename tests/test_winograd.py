"""Winograd's F(2x2, 3x3), variant winograd of the convolutions: exact on integers, honest about its error, no leaks, no lost infinities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww

Array = Any
PRODUCTS = ("conv2d_forward", "conv2d_backward_x", "conv2d_backward_w")
# N, C, H, W, K, padding, groups: odd and even pictures, several blocks of tiles, panels and chunks, tails of vectors
SIZES = (
    (2, 33, 13, 14, 50, (1, 1), 1),
    (3, 96, 21, 9, 40, (0, 2), 2),
    (40, 17, 8, 7, 16, (2, 1), 1),
    (1, 16, 1, 2, 131, (1, 1), 1),
    (1, 128, 30, 31, 100, (1, 1), 1),
)


def arrays(draw: Any, n: int, c: int, h: int, w: int, k: int, padding: tuple[int, int], groups: int, last: bool) -> list[Array]:
    """x, filters and grad_y as float32; with `last` the pictures lie channels last."""
    out = (n, k, h + 2 * padding[0] - 2, w + 2 * padding[1] - 2)
    found = [draw(shape).astype(np.float32) for shape in ((n, c, h, w), (k, c // groups, 3, 3), out)]
    if last:
        found[::2] = [np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) for a in found[::2]]
    return found


def products(variant: str, x: Array, filters: Array, grad_y: Array, padding: tuple[int, int], groups: int) -> list[Array]:
    results = np.full_like(grad_y, 7), np.full_like(x, 7), np.full_like(filters, 7)
    inputs = (x, filters, None), (grad_y, filters), (x, grad_y)
    for op, result, given in zip(PRODUCTS, results, inputs):
        ww.kernels.get(op, device="cpu", variant=variant)(result, *given, padding=padding, groups=groups)
    return list(results)


def of_integers(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return lambda shape: rng.integers(-3, 4, shape)


def of_normals(seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_integers_are_exact(size: Any, last: bool) -> None:
    given = arrays(of_integers(1), *size, last)
    for op, got, expected in zip(PRODUCTS, *(products(v, *given, *size[5:]) for v in ("winograd", "implicit_gemm"))):
        np.testing.assert_array_equal(got, expected, op)


@pytest.mark.parametrize("size", SIZES)
def test_the_bits_do_not_depend_on_threads(size: Any) -> None:
    given, before = arrays(of_normals(2), *size, False), ww.get_num_threads()
    try:
        ww.set_num_threads(1)
        expected = products("winograd", *given, *size[5:])
        ww.set_num_threads(3)
        for op, got, one in zip(PRODUCTS, products("winograd", *given, *size[5:]), expected):
            np.testing.assert_array_equal(got, one, op)
    finally:
        ww.set_num_threads(before)


@pytest.mark.parametrize("size", SIZES)
def test_the_error_on_random_numbers_is_that_of_a_plain_sum(size: Any) -> None:
    given = arrays(of_normals(3), *size, True)
    exact = products("implicit_gemm", *(a.astype(np.float64) for a in given), *size[5:])
    errors = [
        [float(np.sqrt(np.mean((got - e) ** 2) / np.mean(e**2))) for got, e in zip(products(v, *given, *size[5:]), exact)]
        for v in ("winograd", "implicit_gemm")
    ]
    for op, winograd, plain in zip(PRODUCTS, *errors):
        assert winograd < 2.5 * plain + 2.0**-23, (op, winograd, plain)  # of a few terms, a plain sum is nearly exact
    if size[2] > 2:  # forward, its sums are a ninth as long
        assert errors[0][0] < 1.2 * errors[1][0]


def test_the_error_keeps_the_bound_that_the_contract_states() -> None:
    rng = np.random.default_rng(4)
    size = (2, 24, 12, 11, 20, (1, 1), 1)
    x, filters, grad_y = arrays(lambda shape: rng.standard_normal(shape) * 10 ** rng.uniform(-6, 6, shape), *size, True)
    got = products("winograd", x, filters, grad_y, *size[5:])[0]
    exact = products("implicit_gemm", *(a.astype(np.float64) for a in (x, filters, grad_y)), *size[5:])[0]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(np.abs(x), [(0, 0), (0, 0), (1, 1), (1, 1)]), (3, 3), (2, 3))
    scale = np.einsum("nchw,kc->nkhw", windows.max((4, 5)).astype(np.float64), np.abs(filters).max((2, 3)).astype(np.float64))
    assert (np.abs(got - exact) / scale).max() < 8 * (24 + 8) * 2.0**-24
    assert (np.abs(got - exact) > 1e-4 * np.abs(exact)).any()  # such numbers do cancel: a relative bound would be wrong


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
@pytest.mark.parametrize("of", ["x", "filters", "grad_y"])
def test_what_is_not_finite_comes_out_as_from_a_plain_sum(of: str, value: float) -> None:
    size = (3, 18, 6, 7, 17, (1, 1), 1)
    given = dict(zip(("x", "filters", "grad_y"), arrays(of_normals(5), *size, True)))
    given[of][1, 2, 1, 2] = value
    got, expected = (products(v, *given.values(), *size[5:]) for v in ("winograd", "implicit_gemm"))
    for op, g, e in zip(PRODUCTS, got, expected):
        np.testing.assert_array_equal(np.isnan(g), np.isnan(e), op)
        np.testing.assert_array_equal(g[np.isinf(e)], e[np.isinf(e)], op)
    if of != "filters":  # the other pictures have the bits that they have alone
        alone = products("winograd", given["x"][2:], given["filters"], given["grad_y"][2:], *size[5:])
        for g, a in zip(got[:2], alone):
            np.testing.assert_array_equal(g[2:], a)


def test_relu_and_sigmoid_do_not_hide_what_is_not_finite() -> None:
    x, filters = ww.ones((1, 16, 5, 5)).numpy().copy(), -np.ones((16, 16, 3, 3), "f4")
    x[0, 0, 2, 2] = np.inf  # the sums are -inf, and NaN in parts
    for activation, expected in (("relu", 0.0), ("sigmoid", 0.0), ("tanh", -1.0)):
        y = np.empty((1, 16, 5, 5), "f4")
        ww.kernels.get("conv2d_forward", device="cpu", variant="winograd")(y, x, filters, None, padding=1, activation=activation)
        np.testing.assert_array_equal(y[0, :, 1:4, 1:4], np.full((16, 3, 3), expected, "f4"))


def test_it_is_chosen_for_float32_with_filters_of_3_by_3_and_enough_channels() -> None:
    def choice(dtype: str, c: int, k: int, filter: int = 3, **attrs: Any) -> str:
        x, w, y = (
            np.zeros((1, c, 9, 9), dtype),
            np.zeros((k, c, filter, filter), dtype),
            np.zeros((1, k, 10 - filter, 10 - filter), dtype),
        )
        return str(ww.kernels.get("conv2d_forward", device="cpu").choice(y, x, w, None, **attrs))

    assert choice("f4", 16, 16) == "winograd"
    assert "winograd" not in (choice("f8", 16, 16), choice("f4", 15, 16), choice("f4", 16, 15), choice("f4", 16, 16, filter=5))
