"""topk: its order, its ties and NaN, and PyTorch's values over random configurations."""

from __future__ import annotations

import numpy as np
import pytest
import whitewolf as ww


def test_equal_elements_come_by_index() -> None:
    x = ww.asarray([2.0, 1.0, 2.0, 0.0, 1.0, 2.0])
    assert ww.topk(x, 4).indices.numpy().tolist() == [0, 2, 5, 1]
    assert ww.topk(x, 2).indices.numpy().tolist() == [0, 2]
    assert ww.topk(x, 3, largest=False).indices.numpy().tolist() == [3, 1, 4]


def test_nan_is_the_largest() -> None:
    x = ww.asarray([1.0, np.nan, np.inf, np.nan, -np.inf])
    assert ww.topk(x, 3).indices.numpy().tolist() == [1, 3, 2]
    assert ww.topk(x, 1).indices.numpy().tolist() == [1]
    assert ww.topk(x, 4, largest=False).indices.numpy().tolist() == [4, 0, 2, 1]


def test_integers_and_scalars_are_ordered() -> None:
    assert ww.topk(ww.asarray([3, 9, 4], dtype="uint8"), 2).values.numpy().tolist() == [9, 4]
    values, indices = ww.topk(ww.asarray(3.0), 1)
    assert (values.shape, indices.shape, values.item(), indices.item()) == ((), (), 3.0, 0)


def test_the_gradient_goes_to_what_was_taken() -> None:
    x = ww.tensor([[1.0, 3.0, 2.0], [6.0, 5.0, 4.0]], requires_grad=True)
    (ww.topk(x, 2).values * ww.asarray([10.0, 1.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [[0, 10, 1], [10, 1, 0]]


@pytest.mark.parametrize("seed", range(30))
def test_places_are_those_of_a_stable_sort(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 12, int(rng.integers(1, 4))))
    x = rng.integers(-3, 4, shape).astype("float64")
    x[rng.random(shape) < 0.1] = np.nan
    dim = int(rng.integers(-len(shape), len(shape)))
    k, largest = int(rng.integers(0, shape[dim] + 1)), bool(rng.integers(2))
    got = ww.topk(ww.asarray(x), k, dim, largest)
    key = np.where(np.isnan(x), np.inf, x) * (-1 if largest else 1)
    expected = np.take(np.argsort(key, axis=dim, kind="stable"), np.arange(k), axis=dim)
    np.testing.assert_array_equal(got.indices.numpy(), expected)
    np.testing.assert_array_equal(got.values.numpy(), np.take_along_axis(x, expected, dim))


@pytest.mark.torch
@pytest.mark.parametrize("seed", range(20))
def test_values_are_pytorch_s(seed: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 40, int(rng.integers(1, 4))))
    x = rng.standard_normal(shape)  # no ties: PyTorch leaves their order open
    dim = int(rng.integers(-len(shape), len(shape)))
    k, largest = int(rng.integers(0, shape[dim] + 1)), bool(rng.integers(2))
    mine, other = ww.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    got, expected = ww.topk(mine, k, dim, largest), torch.topk(other, k, dim, largest)
    np.testing.assert_array_equal(got.values.numpy(), expected.values.detach().numpy())
    np.testing.assert_array_equal(got.indices.numpy(), expected.indices.numpy())
    direction = rng.standard_normal(got.values.shape)
    got.values.backward(ww.asarray(direction))
    expected.values.backward(torch.from_numpy(direction))
    np.testing.assert_array_equal(mine.grad.numpy(), other.grad.numpy())
