"""Gradients at the edges of their ops, and errors where there is none to give."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww


def leaf(values: Any, dtype: Any = None) -> ww.Tensor:
    return ww.tensor(values, dtype=dtype, requires_grad=True)


def test_what_was_overwritten_gets_no_gradient_however_steep_the_rest_is() -> None:
    x = leaf([1.0, 4.0])
    y = x * 1
    y[0] = 0.0
    ww.sqrt(y).sum().backward()  # infinite at y[0]
    assert x.grad.tolist() == [0, 0.25]


def test_of_values_written_to_one_place_the_last_has_the_gradient() -> None:
    x, v = leaf([1.0, 1.0, 1.0]), leaf([5.0, 6.0])
    y = x * 1
    y[ww.asarray([0, 0])] = v
    y.sum().backward()
    assert y.tolist() == [6, 1, 1] and v.grad.tolist() == [0, 1] and x.grad.tolist() == [0, 1, 1]


def test_an_index_of_numpy_counts_as_it_was_read() -> None:
    x, index = leaf([1.0, 1.0, 1.0]), np.array([0, 1])
    y = x[index]
    index[0] = 2
    y.sum().backward()
    assert x.grad.tolist() == [1, 1, 0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_many_terms_of_sixteen_bits_are_summed_in_float32(dtype: str) -> None:
    x = leaf(np.ones(2), dtype)
    x[ww.asarray(np.zeros(3001, int))].sum().backward()
    assert x.grad.tolist() == [ww.asarray(3001.0).astype(dtype).item(), 0]


@pytest.mark.parametrize("operation", ["+=", "-=", "*="])
def test_in_place_on_a_leaf_of_the_graph_or_a_view_in_it_is_refused(operation: str) -> None:
    scope: dict[str, Any] = {"x": leaf([1.0, 2.0])}
    with pytest.raises(ValueError, match="no leaf of the graph, got a leaf of shape"):
        exec(f"x {operation} 2.0", scope)
    scope["y"] = scope["x"] * 1
    with pytest.raises(ValueError, match="whose memory no other sees .* the result of multiply"):
        exec(f"v = y[0:1]\nv {operation} 2.0", scope)
    exec(f"z = y * 3\nz {operation} 2.0\nz.sum().backward()", scope)  # nobody else sees z
    with ww.no_grad():
        exec(f"x {operation} 2.0", scope)
    assert scope["x"].grad.tolist() == [6, 6] if operation == "*=" else [3, 3]


def test_gradients_that_are_recorded_have_memory_of_their_own() -> None:
    p, q = leaf([1.0, 3.0]), leaf([1.0, 3.0])
    ((p + q) ** 2).sum().backward(create_graph=True)
    before = q.grad.tolist()
    with ww.no_grad():
        p.grad *= 0.5
    assert q.grad.tolist() == before == [4, 12] and p.grad.tolist() == [2, 6]
    assert ww.grad(q.grad.sum(), p).tolist() == [2, 2]


def test_the_remainder_s_slope_counts_how_often_the_divisor_went_in() -> None:
    y = leaf(np.array([0.1]))
    assert ww.grad((ww.asarray(np.array([1.0])) % y).sum(), y).tolist() == [-9]  # 1 - 9 * 0.1, as Python has it


@pytest.mark.parametrize("device", [name for name, state in ww.devices().items() if state == "available"])
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_maximum_and_minimum_divide_the_gradient_and_NaN_takes_all_of_it(name: str, device: str) -> None:
    a = ww.tensor([1.0, 2.0, 3.0, math.nan, 1.0, math.nan], device=device, requires_grad=True)
    b = ww.tensor([1.0, 3.0, 2.0, 1.0, math.nan, math.nan], device=device, requires_grad=True)
    y = getattr(ww, name)(a, b)
    (ga, gb) = ww.grad((y * y).sum() if name == "maximum" else (y * -y).sum(), (a, b), create_graph=True)
    first = [0.5, 0, 1, 1, 1, 1] if name == "maximum" else [0.5, 1, 0, 1, 1, 1]
    second = [0.5, 1, 0, 1, 1, 1] if name == "maximum" else [0.5, 0, 1, 1, 1, 1]
    ones = ww.ones(6, device=device)
    assert (
        ww.grad(getattr(ww, name)(a, b), a, ones).tolist() == first and ww.grad(getattr(ww, name)(a, b), b, ones).tolist() == second
    )
    half = ww.grad(ga[:3].sum() + gb[:3].sum(), (a, b))  # of equal values: (d/dy y^2 / 2) / 2 for each of the two gradients
    scale = 2 if name == "maximum" else -2
    assert [g[:3].tolist() for g in half] == [[scale * v for v in first[:3]], [scale * v for v in second[:3]]]


@pytest.mark.parametrize("name", ["max", "min"])
def test_the_extreme_of_what_holds_NaN_sends_its_gradient_there(name: str) -> None:
    x = leaf([[1.0, math.nan, 3.0, math.nan], [2.0, 2.0, 2.0, 2.0]])
    assert ww.grad(getattr(ww, name)(x, axis=1), x, ww.ones(2)).tolist() == [[0, 0.5, 0, 0.5], [0.25] * 4]


def test_clip_between_tensors_gives_equal_values_to_x_and_crossed_bounds_to_max() -> None:
    x, low, high = leaf([1.0, 0.0, 5.0, 2.0, 1.5]), leaf([1.0, 1.0, 1.0, 3.0, 1.0]), leaf([2.0, 2.0, 2.0, 1.0, 2.0])
    y = ww.clip(x, low, high)
    assert y.tolist() == [1, 1, 2, 1, 1.5]
    got = [g.tolist() for g in ww.grad(y, (x, low, high), ww.ones(5))]
    assert got == [[1, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 1, 1, 0]]
    assert ww.grad(ww.clip(x, low, 1.2), (x, low), ww.ones(5))[1].tolist() == [0, 1, 0, 0, 0]


def test_logaddexp_shares_the_gradient_at_any_size() -> None:
    a, b = leaf([1e7, 1e30, math.inf]), leaf([1e7, 1e30, 0.0])
    ww.logaddexp(a, b).sum().backward()
    assert a.grad.tolist() == [0.5, 0.5, 1] and b.grad.tolist() == [0.5, 0.5, 0]


def test_the_deviation_of_a_constant_has_slope_0() -> None:
    x = leaf([[2.0, 2.0, 2.0], [1.0, 2.0, 3.0]])
    ww.std(x, axis=1).sum().backward()
    assert x.grad[0].tolist() == [0, 0, 0] and x.grad[1, 0].item() == pytest.approx(-0.40824828)


def test_nothing_is_differentiated_in_complex_numbers_and_nothing_pretends_to_be() -> None:
    x = leaf([2.0])
    with pytest.raises(TypeError, match="multiply: expected x1 that requires no grad beside complex"):
        ww.multiply(x, 1j)
    assert (x.detach() * 1j).tolist() == [2j]


def test_a_gradient_of_another_dtype_is_refused() -> None:
    class Narrow(ww.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return ww.astype(grad, "float32")

    x = leaf(np.array([1.0]))
    with pytest.raises(TypeError, match="Narrow: expected gradient 0 of dtype float64, got float32"):
        Narrow.apply(x).sum().backward()


@pytest.mark.parametrize(("values", "dtype"), [([300], "uint8"), ([-1], "uint16"), ([math.nan, 1.0], "int32"), ([1e20], "int64")])
def test_numbers_that_an_integer_cannot_hold_are_refused(values: Any, dtype: str) -> None:
    with pytest.raises(OverflowError, match=f"tensor: expected data of numbers that {dtype} holds"):
        ww.tensor(values, dtype=dtype)


def test_steps_and_reversed_vectors_are_saved_as_they_are(tmp_path: Path) -> None:
    given = {"column": ww.ones((2, 3))[:, 1], "back": ww.flip(ww.arange(3)), "bytes": ww.flip(ww.asarray(np.arange(3, dtype="u1"))),
             "bfloat16": ww.flip(ww.arange(3, dtype="bfloat16"))}  # fmt: skip
    ww.save(given, tmp_path / "a.st")
    assert {k: v.tolist() for k, v in ww.load(tmp_path / "a.st").items()} == {k: v.tolist() for k, v in given.items()}


def plus_100(g: Any) -> Any:
    @functools.wraps(g)
    def call(x: Any) -> Any:
        return g(x) + 100

    return call


@plus_100
def doubled(x: float) -> float:
    return x * 2


def test_elementwise_refuses_what_it_cannot_read() -> None:
    with pytest.raises(TypeError, match="doubled: expected a plain function, got one that another decorator wraps"):
        ww.elementwise(doubled)

    def to_the_nearest(x: float) -> float:
        return math.remainder(x, 2.0)

    with pytest.raises(TypeError, match="known here, as math.exp, got math.remainder"):
        ww.elementwise(to_the_nearest)
