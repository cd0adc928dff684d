"""Winograd's F(2x2, 3x3), variant winograd of the convolutions: exact on integers, an error as stated, no leaks, no lost infinities."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import whitewolf as ww

Array = Any
PRODUCTS = ("conv2d_forward", "conv2d_backward_x", "conv2d_backward_w")


class Size(NamedTuple):
    """Odd and even pictures, several blocks of tiles, panels and chunks, tails of vectors, filters of one part and of several."""

    n: int
    c: int
    h: int
    w: int
    k: int
    padding: tuple[int, int] = (1, 1)
    groups: int = 1
    filter: tuple[int, int] = (3, 3)

    def attrs(self) -> dict[str, Any]:
        return {"padding": self.padding, "groups": self.groups}


SIZES = (
    Size(2, 33, 13, 14, 50),
    Size(3, 96, 21, 9, 40, (0, 2), groups=2),
    Size(40, 17, 8, 7, 16, (2, 1)),
    Size(1, 16, 4, 2, 131),
    Size(1, 128, 30, 31, 100),
    Size(2, 32, 24, 25, 80, (2, 2), filter=(5, 5)),
    Size(3, 96, 14, 16, 64, (1, 2), groups=2, filter=(3, 6)),
)


def arrays(draw: Any, size: Size, last: bool = True) -> list[Array]:
    """x, filters and grad_y as float32; with `last` the pictures lie channels last."""
    out = [edge + 2 * p - f + 1 for edge, p, f in zip((size.h, size.w), size.padding, size.filter)]
    shapes = (size.n, size.c, size.h, size.w), (size.k, size.c // size.groups, *size.filter), (size.n, size.k, *out)
    found = [draw(shape).astype(np.float32) for shape in shapes]
    if last:
        found[::2] = [np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) for a in found[::2]]
    return found


def products(variant: str, size: Size, x: Array, filters: Array, grad_y: Array, ops: int = 3) -> list[Array]:
    """The first `ops` of the three products of a convolution."""
    results = np.full_like(grad_y, 7), np.full_like(x, 7), np.full_like(filters, 7)
    inputs = (x, filters, None), (grad_y, filters), (x, grad_y)
    for op, result, given in zip(PRODUCTS[:ops], results, inputs):
        ww.kernels.get(op, device="cpu", variant=variant)(result, *given, **size.attrs())
    return list(results[:ops])


def of_integers(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return lambda shape: rng.integers(-3, 4, shape)


def of_normals(seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_integers_are_exact(size: Size, last: bool) -> None:
    given = arrays(of_integers(1), size, last)
    for op, got, expected in zip(PRODUCTS, *(products(v, size, *given) for v in ("winograd", "implicit_gemm"))):
        np.testing.assert_array_equal(got, expected, op)


@pytest.mark.parametrize("size", SIZES)
def test_the_bits_do_not_depend_on_threads(size: Size) -> None:
    given, before = arrays(of_normals(2), size, last=False), ww.get_num_threads()
    try:
        ww.set_num_threads(1)
        expected = products("winograd", size, *given)
        ww.set_num_threads(3)
        for op, got, one in zip(PRODUCTS, products("winograd", size, *given), expected):
            np.testing.assert_array_equal(got, one, op)
    finally:
        ww.set_num_threads(before)


@pytest.mark.parametrize("size", SIZES)
def test_the_error_on_random_numbers_is_that_of_a_plain_sum(size: Size) -> None:
    given = arrays(of_normals(3), size)
    exact = products("implicit_gemm", size, *(a.astype(np.float64) for a in given))
    errors = [
        [float(np.sqrt(np.mean((got - e) ** 2) / np.mean(e**2))) for got, e in zip(products(v, size, *given), exact)]
        for v in ("winograd", "implicit_gemm")
    ]
    for op, winograd, plain in zip(PRODUCTS, *errors):
        assert winograd < 2.5 * plain + 2.0**-23, (op, winograd, plain)  # of a few terms, a plain sum is nearly exact
    if size.h > 2 and size.filter == (3, 3):  # forward, its sums are a ninth as long
        assert errors[0][0] < 1.2 * errors[1][0]


def bound(x: Array, filters: Array, padding: int) -> Array:
    """What the contract allows at each output: parts of 3x3 of filters that are as high as they are wide."""
    parts = -(-filters.shape[2] // 3)
    edge = 3 * parts - filters.shape[2]  # the last part hangs over
    padded = np.pad(np.abs(x), [(0, 0), (0, 0), *[(padding, padding + edge)] * 2]).astype(np.float64)
    largest = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3)).max((4, 5))
    scale: Array = 0.0
    rows, columns = (size - 3 * (parts - 1) for size in largest.shape[2:])
    for i in range(parts):
        for j in range(parts):
            weights = np.abs(filters[:, :, 3 * i : 3 * i + 3, 3 * j : 3 * j + 3]).max((2, 3)).astype(np.float64)
            scale = scale + np.einsum("nchw,kc->nkhw", largest[:, :, 3 * i : 3 * i + rows, 3 * j : 3 * j + columns], weights)
    return 8 * (parts * parts * x.shape[1] + 8) * 2.0**-24 * scale


@pytest.mark.parametrize("filter", [3, 5, 9])
def test_the_error_keeps_the_bound_that_the_contract_states(filter: int) -> None:
    rng = np.random.default_rng(4)
    size = Size(2, 32, 21, 20, 32, filter=(filter, filter))
    x, filters, grad_y = arrays(lambda shape: rng.standard_normal(shape) * 10 ** rng.uniform(-6, 6, shape), size)
    (got,) = products("winograd", size, x, filters, grad_y, 1)
    (exact,) = products("implicit_gemm", size, *(a.astype(np.float64) for a in (x, filters, grad_y)), 1)
    assert (np.abs(got - exact) <= bound(x, filters, 1)).all()
    assert (np.abs(got - exact) > 1e-4 * np.abs(exact)).any()  # such numbers do cancel: a relative bound would be wrong


@pytest.mark.parametrize("filter", [3, 9])
def test_the_bound_holds_where_rounding_adds_up(filter: int) -> None:
    wave = np.resize([-1.0, 1.0, 1.0], 20)
    size = Size(1, 256, filter + 1, filter + 1, 32, (0, 0), filter=(filter, filter))
    x = np.broadcast_to(1.1365 * np.outer(wave, wave)[: filter + 1, : filter + 1], (1, 256, filter + 1, filter + 1)).astype("f4")
    filters, grad_y = np.full((32, 256, filter, filter), 1.3126, "f4"), np.ones((1, 32, 2, 2), "f4")
    (got,) = products("winograd", size, x, filters, grad_y, 1)
    (exact,) = products("implicit_gemm", size, *(a.astype(np.float64) for a in (x, filters, grad_y)), 1)
    assert (np.abs(got - exact) <= bound(x, filters, 0)).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
@pytest.mark.parametrize("of", ["x", "filters", "grad_y"])
@pytest.mark.parametrize("filter", [(3, 3), (5, 5)])
def test_what_is_not_finite_comes_out_as_from_a_plain_sum(filter: tuple[int, int], of: str, value: float) -> None:
    size = Size(3, 32, 16, 17, 32, filter=filter, padding=(2, 2))
    given = dict(zip(("x", "filters", "grad_y"), arrays(of_normals(5), size)))
    given[of][1, 2, 1, 2] = value
    got, expected = (products(v, size, *given.values()) for v in ("winograd", "implicit_gemm"))
    for op, g, e in zip(PRODUCTS, got, expected):
        np.testing.assert_array_equal(np.isnan(g), np.isnan(e), op)
        np.testing.assert_array_equal(g[np.isinf(e)], e[np.isinf(e)], op)
    if of != "filters":  # the other pictures have the bits that they have alone
        alone = products("winograd", size, given["x"][2:], given["filters"], given["grad_y"][2:])
        for g, a in zip(got[:2], alone):
            np.testing.assert_array_equal(g[2:], a)


def test_relu_and_sigmoid_do_not_hide_what_is_not_finite() -> None:
    x, filters = ww.ones((1, 16, 6, 6)).numpy().copy(), -np.ones((16, 16, 3, 3), "f4")
    x[0, 0, 2, 2] = np.inf  # the sums are -inf, and NaN in parts
    for activation, expected in (("relu", 0.0), ("sigmoid", 0.0), ("tanh", -1.0)):
        y = np.empty((1, 16, 6, 6), "f4")
        ww.kernels.get("conv2d_forward", device="cpu", variant="winograd")(y, x, filters, None, padding=1, activation=activation)
        np.testing.assert_array_equal(y[0, :, 1:4, 1:4], np.full((16, 3, 3), expected, "f4"))


def test_it_is_chosen_for_float32_where_it_pays() -> None:
    def choice(dtype: str, c: int, k: int, filter: int = 3, edge: int = 16, op: str = "conv2d_forward") -> str:
        x, w = np.zeros((1, c, edge, edge), dtype), np.zeros((k, c, filter, filter), dtype)
        y = np.zeros((1, k, edge + 1 - filter, edge + 1 - filter), dtype)
        return str(ww.kernels.get(op, device="cpu").choice(*((y, x, w, None) if op == "conv2d_forward" else (x, y, w))))

    assert choice("f4", 16, 16) == "winograd"
    assert choice("f4", 32, 64, filter=5) == "winograd"  # four parts of 3x3, where the filters fill vectors
    assert "winograd" not in (choice("f8", 16, 16), choice("f4", 15, 16), choice("f4", 16, 15), choice("f4", 32, 33, filter=5))
    # one output, most of whose tile is thrown away; a gradient most of whose taps lie outside grad_y
    assert "winograd" not in (choice("f4", 64, 64, edge=3), choice("f4", 64, 128, filter=5, edge=5, op="conv2d_backward_x"))
