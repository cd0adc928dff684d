"""The CUDA ladder of matmul, rung by rung: every transposition, odd shapes, batches, fused bias and activation, in each dtype."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import whitewolf as ww

ROWS = [(row["variant"], dtype) for row in ww.kernels.list("matmul_forward", device="cudasim") for dtype in row["dtypes"]]
SHAPES = [(1, 1, 1), (7, 13, 11), (64, 32, 64), (65, 33, 67), (3, 131, 130), (130, 8, 5), (16, 0, 9)]


def numpy_dtype(name: str) -> Any:
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if name == "bfloat16" else name)


def integers(shape: tuple[int, ...], dtype: Any, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)


def layouts(array: np.ndarray) -> dict[str, np.ndarray]:
    """The same values in memory of another order."""
    spread = np.zeros((*array.shape[:-2], array.shape[-2] * 2, array.shape[-1] * 3), array.dtype)
    spread[..., ::2, ::3] = array
    return {
        "rows": np.ascontiguousarray(array),
        "columns": np.ascontiguousarray(array.swapaxes(-1, -2)).swapaxes(-1, -2),
        "stepped": spread[..., ::2, ::3],
        "backwards": np.ascontiguousarray(array[..., ::-1, ::-1])[..., ::-1, ::-1],
    }


def run(variant: str, out: np.ndarray, *args: Any, **attrs: Any) -> np.ndarray:
    ww.kernels.get("matmul_forward", device="cudasim", variant=variant)(out, *args, **attrs)
    return out.astype("f8")


def exact(a: np.ndarray, b: np.ndarray, dtype: Any) -> np.ndarray:
    return np.matmul(a.astype("f8"), b.astype("f8")).astype(dtype).astype("f8")


@pytest.mark.parametrize(("variant", "dtype"), ROWS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_integers_are_exact_in_every_transposition(variant: str, dtype: str, shape: tuple[int, int, int]) -> None:
    kind, (m, k, n) = numpy_dtype(dtype), shape
    a, b = integers((m, k), kind, 1), integers((k, n), kind, 2)
    expected = exact(a, b, kind)
    for a_name, left in layouts(a).items():
        for b_name, right in layouts(b).items():
            for c_name, out in layouts(np.full((m, n), np.nan).astype(kind)).items():
                if c_name != "rows" and (a_name, b_name) != ("rows", "columns"):
                    continue
                np.testing.assert_array_equal(run(variant, out, left, right), expected, err_msg=f"{a_name}, {b_name}, {c_name}")


@pytest.mark.parametrize(("variant", "dtype"), ROWS)
def test_batches_broadcast(variant: str, dtype: str) -> None:
    kind = numpy_dtype(dtype)
    a, b = integers((2, 1, 9, 17), kind, 3), integers((3, 17, 8), kind, 4)
    left, right = np.broadcast_to(a, (2, 3, 9, 17)), np.broadcast_to(b, (2, 3, 17, 8))
    out = np.full((2, 3, 9, 8), np.nan).astype(kind)
    np.testing.assert_array_equal(run(variant, out, left, right), exact(a, b, kind))


@pytest.mark.parametrize("variant", ["naive", "tiled", "warp_tiled"])
def test_more_products_than_a_grid_has_layers(variant: str) -> None:
    """gridDim.y is at most 65,535: blocks go on to further products of the batch, in a loop that mma's kernels share."""
    dtype = numpy_dtype(next(dtype for name, dtype in ROWS if name == variant))
    batch = 65535 + 3
    a, b = integers((batch, 1, 2), dtype, 5), integers((batch, 2, 1), dtype, 6)
    np.testing.assert_array_equal(run(variant, np.full((batch, 1, 1), np.nan).astype(dtype), a, b), exact(a, b, dtype))


@pytest.mark.parametrize("variant", ["mma", "mma_tf32"])
def test_large_tiles_give_the_same_bits_as_small_ones(variant: str) -> None:
    """Outputs of a large product and of some of its rows alone: the tile differs, the order of the sum does not."""
    dtype = np.float32 if variant == "mma_tf32" else np.float16
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((1024, 40)).astype(dtype), rng.standard_normal((1024, 40)).astype(dtype).T
    whole, part = np.empty((1024, 1024), dtype), np.empty((8, 1024), dtype)
    run(variant, whole, a, b)
    run(variant, part, a[128:136], b)
    np.testing.assert_array_equal(whole[128:136], part)


@pytest.mark.parametrize(("variant", "dtype"), [row for row in ROWS if row[0].startswith("mma")])
@pytest.mark.parametrize("order", ["reverse", "random"])
def test_large_tiles_take_every_layout_with_edges_under_other_schedules(variant: str, dtype: str, order: str) -> None:
    kind = numpy_dtype(dtype)
    a, b = integers((1032, 48), kind, 1), integers((48, 1040), kind, 2)
    expected = exact(a, b, kind)
    with ww.cudasim(order=order, asynchrony="random", seed=7):
        for name in ("rows", "columns"):
            out = np.full((1032, 1040), np.nan).astype(kind)
            np.testing.assert_array_equal(run(variant, out, layouts(a)[name], layouts(b)[name]), expected, err_msg=name)


@pytest.mark.parametrize(("variant", "dtype"), ROWS)
@pytest.mark.parametrize("activation", ["none", "relu", "tanh", "sigmoid", "gelu"])
def test_bias_and_activation_are_fused(variant: str, dtype: str, activation: str) -> None:
    kind = numpy_dtype(dtype)
    rng = np.random.default_rng(5)
    a, b, bias = (rng.standard_normal(s).astype(kind) for s in ((33, 20), (20, 18), (18,)))
    out = np.empty((33, 18), kind)
    run(variant, out, a, b, bias, activation=activation)
    x = a.astype("f8") @ b.astype("f8") + bias.astype("f8")
    erf = np.vectorize(math.erf)
    functions = {
        "none": x, "relu": np.maximum(x, 0), "tanh": np.tanh(x), "sigmoid": 1 / (1 + np.exp(-x)), "gelu": x / 2 * (1 + erf(x / 2**0.5)),
    }  # fmt: skip
    tf32 = variant == "mma_tf32"
    eps = {"float64": 2**-45, "float32": 2**-8 if tf32 else 2**-18, "float16": 2**-10, "bfloat16": 2**-7}[dtype]
    np.testing.assert_allclose(out.astype("f8"), functions[activation], rtol=eps, atol=eps * (4 if tf32 else 1))


@pytest.mark.parametrize("variant", ["mma", "mma_tf32"])
def test_nan_and_infinity_are_carried(variant: str) -> None:
    dtype = np.float32 if variant == "mma_tf32" else np.float16
    a, b, out = np.ones((4, 16), dtype), np.ones((16, 4), dtype), np.empty((4, 4), dtype)
    a[1, 3], a[2, 5] = np.nan, np.inf
    run(variant, out, a, b)
    assert np.isnan(out[1]).all() and np.isinf(out[2]).all() and np.isfinite(out[[0, 3]]).all()


def test_tf32_is_never_chosen_for_float32() -> None:
    a = np.ones((256, 256), "f4")
    assert ww.kernels.get("matmul_forward", device="cudasim").choice(np.empty_like(a), a, a) == "warp_tiled"
    x = np.float32(1 + 2**-12)  # tf32 rounds it to 1
    product = np.empty((1, 1), "f4")
    run("mma_tf32", product, np.full((1, 1), x), np.ones((1, 1), "f4"))
    assert product[0, 0] == 1
    assert (ww.asarray(np.full((1, 1), x), device="cudasim") @ ww.ones((1, 1), device="cudasim")).item() == x


def test_a_dtype_without_a_kernel_is_an_error() -> None:
    a = np.ones((2, 2), np.int32)
    with pytest.raises(TypeError, match="matmul_forward"):
        ww.kernels.get("matmul_forward", device="cudasim")(a.copy(), a, a)
