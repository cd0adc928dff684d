"""Gradients through indexing, assignment and broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf.autograd import gradcheck, gradgradcheck


def leaf(*values: float, dtype: str = "float64") -> ww.Tensor:
    return ww.tensor(list(values), dtype=dtype, requires_grad=True)


# ---- indexing ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        0, -1, slice(1, 3), slice(None, None, -1), slice(None, None, 2), (0, 1), (slice(None), 1), (Ellipsis, 0), None,
        (None, 1, slice(None)), [0, 2, 2], np.array([[0, 1], [2, 2]]), (np.array([0, 0, 1]), np.array([1, 1, 0])),
        np.arange(12).reshape(4, 3) % 2 == 0, np.array([True, False, True, True]), (slice(1, 3), [0, 0]),
    ],
    ids=str,
)  # fmt: skip
def test_gradients_of_indexing(key: Any) -> None:
    x = ww.tensor(np.random.default_rng(0).standard_normal((4, 3)), requires_grad=True)
    assert np.array_equal(x[key].numpy(), x.numpy()[key])
    gradcheck(lambda t: t[key] * t[key], x)
    gradgradcheck(lambda t: t[key] * t[key], x)


def test_an_index_out_of_range_says_so() -> None:
    with pytest.raises(IndexError, match=r"getitem: expected an index into shape \(2,\)"):
        leaf(1, 2)[5]
    with pytest.raises(IndexError, match="expected an index of integers or booleans, got dtype float64"):
        leaf(1, 2)[leaf(1.0)]


def test_setitem_in_a_graph_sends_gradients_both_ways() -> None:
    a, b = leaf(1, 2, 3), leaf(10.0)
    y = a * 2
    y[1:] = b
    (y * y).sum().backward()
    assert a.grad is not None and b.grad is not None
    assert a.grad.tolist() == [8, 0, 0] and b.grad.tolist() == [40]


def test_setitem_of_a_constant_stops_the_gradient_there() -> None:
    a = leaf(1, 2, 3)
    y = a * 2
    y[0] = 5.0
    y.sum().backward()
    assert a.grad is not None and a.grad.tolist() == [0, 2, 2]


def test_setitem_into_a_plain_tensor_makes_it_part_of_the_graph() -> None:
    a, y = leaf(2.0), ww.zeros(3, dtype="float64")
    y[1] = a[0] * 3
    (y * y).sum().backward()
    assert a.grad is not None and a.grad.tolist() == [36]


def test_setitem_on_a_leaf_is_refused() -> None:
    a = leaf(1, 2)
    with pytest.raises(ValueError, match="setitem: expected a tensor that is no leaf of the graph"):
        a[0] = 1.0
    with ww.no_grad():
        a[0] = 5.0
    assert a.tolist() == [5, 2]


# ---- broadcasting --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shapes", [((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3)), ((2, 1, 3), (5, 1)), ((0, 3), (1, 3)), ((1,), (1, 1))]
)
@pytest.mark.parametrize("op", [ww.add, ww.subtract, ww.multiply, ww.divide])
def test_broadcasting_sums_gradients_back(op: Any, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    a, b = (ww.tensor(rng.uniform(1, 2, s), requires_grad=True) for s in shapes)
    gradcheck(op, (a, b))
    gradgradcheck(op, (a, b))


def test_shapes_that_do_not_broadcast_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"multiply: expected shapes that broadcast to one, got x1.shape == \(2,\), x2.shape == \(3,\)"
    ):
        leaf(1, 2) * leaf(1, 2, 3)
