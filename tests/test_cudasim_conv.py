"""The CUDA ladder of convolution, rung by rung: on integers each variant has the bits of the cpu, forward and all gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]

ROWS = [(row["variant"], dtype) for row in ww.kernels.list("conv2d_backward_w", device="cudasim") for dtype in row["dtypes"]]
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "first layer": ((2, 3, 19, 23), (9, 3, 7, 7), {"stride": 4, "padding": 2}),
    "slices of the sum over pictures": ((5, 8, 9, 11), (12, 8, 3, 3), {"padding": 1}),
    "groups, lattices": ((2, 12, 11, 10), (9, 4, 3, 2), {"groups": 3, "stride": (4, 3), "dilation": (2, 3), "padding": (5, 1)}),
    "lattices without a tap": ((2, 4, 9, 8), (6, 4, 2, 1), {"stride": 3, "dilation": 3}),
    "depthwise": ((3, 16, 8, 7), (16, 1, 3, 3), {"groups": 16, "stride": 2, "padding": 1}),
}


def numpy_dtype(name: str) -> Any:
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if name == "bfloat16" else name)


def integers(shape: tuple[int, ...], dtype: Any, seed: int) -> Array:
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)


def channels_last(array: Array) -> Array:
    """The same values in memory in the order N, H, W, C: runs of 16 bytes along channels."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


def products(device: str, variant: str | None, x: Array, w: Array, b: Array, grad: Array, attrs: dict[str, Any]) -> list[Array]:
    def kernel(op: str) -> Any:
        return ww.kernels.get(f"conv2d_{op}", device=device, variant=variant)

    y, grad_x, grad_w = (np.full_like(a, np.nan) for a in (grad, x, w))
    kernel("forward")(y, x, w, b, activation="relu", **attrs)
    kernel("backward_x")(grad_x, grad, w, **attrs)
    kernel("backward_w")(grad_w, x, grad, **attrs)
    return [y, grad_x, grad_w]


@pytest.mark.parametrize(
    ("variant", "dtype", "case"), [(*row, case) for row in ROWS for case in CASES if row[0] != "depthwise" or case == "depthwise"]
)
def test_integers_have_the_bits_of_the_cpu(variant: str, dtype: str, case: str) -> None:
    x_shape, w_shape, attrs = CASES[case]
    kind = numpy_dtype(dtype)
    x, w, b = integers(x_shape, kind, 1), integers(w_shape, kind, 2), integers(w_shape[:1], kind, 3)
    wide = "float32" if kind.itemsize == 2 else dtype  # what the cpu has, and what 16-bit products are summed in
    y_shape = ww.nn.functional.conv2d(ww.asarray(x.astype(wide)), ww.asarray(w.astype(wide)), **attrs).shape
    grad = integers(y_shape, kind, 4)
    expected = [a.astype(kind) for a in products("cpu", None, *(a.astype(wide) for a in (x, w, b, grad)), attrs)]
    for lay in (np.ascontiguousarray, channels_last):
        for got, want in zip(products("cudasim", variant, lay(x), lay(w), b, lay(grad), attrs), expected):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(("variant", "dtype"), [("mma_tf32", "f4"), ("mma", "f2")])
def test_large_tiles_have_the_bits_of_small_ones(variant: str, dtype: str) -> None:
    """Enough outputs for tiles of 128 x 128, and a part of the same pictures alone."""
    rng = np.random.default_rng(0)
    x, w = (channels_last(rng.standard_normal(s).astype(dtype)) for s in ((4, 8, 128, 128), (16, 8, 1, 1)))
    kernel = ww.kernels.get("conv2d_forward", device="cudasim", variant=variant)
    part = np.full((1, 16, 128, 128), np.nan, dtype)
    kernel(part, x[2:3], w)
    for order, asynchrony in (("lockstep", "late"), ("random", "random")):
        whole = np.full((4, 16, 128, 128), np.nan, dtype)
        with ww.cudasim(order=order, asynchrony=asynchrony, seed=1):
            kernel(whole, x, w)
        np.testing.assert_array_equal(whole[2:3], part)


def test_tf32_is_never_chosen_and_rounds_where_it_is_asked_for() -> None:
    x = np.full((1, 1, 1, 1), np.float32(1 + 2**-12))  # tf32 rounds it to 1
    y = np.empty_like(x)
    kernel = ww.kernels.get("conv2d_forward", device="cudasim")
    assert kernel.choice(y, x, x) == "warp_tiled"
    kernel(y, x, np.ones_like(x))
    assert y[0, 0, 0, 0] == x[0, 0, 0, 0]
    ww.kernels.get("conv2d_forward", device="cudasim", variant="mma_tf32")(y, x, np.ones_like(x))
    assert y[0, 0, 0, 0] == 1


def test_an_index_outside_of_its_plane_is_an_error() -> None:
    grad_x, grad_y = np.empty((1, 1, 4, 4), "f4"), np.ones((1, 1, 2, 2), "f4")
    kernel = ww.kernels.get("max_pool2d_backward_x", device="cudasim")
    with pytest.raises(IndexError, match=r"max_pool2d_backward_x: expected indices in \[-1, 16\).*got 16 at window \(1, 0\)"):
        kernel(grad_x, grad_y, np.array([0, 2, 16, 10]).reshape(1, 1, 2, 2), kernel=2, stride=2)
