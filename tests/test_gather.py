"""gather, scatter_add and index_add: what the op table cannot say of them."""

from __future__ import annotations

import numpy as np
import pytest
import whitewolf as ww


@pytest.mark.parametrize("dtype", ["int64", "uint8", "int32"])
def test_integers_are_added_too(dtype: str) -> None:
    counts = ww.scatter_add(ww.zeros(4, dtype=dtype), 0, ww.asarray([1, 3, 1, 1]), ww.ones(4, dtype=dtype))
    assert counts.numpy().tolist() == [0, 3, 0, 1] and counts.dtype == dtype


def test_any_dtype_is_gathered_with_any_integers() -> None:
    x = ww.asarray([[True, False], [False, True]])
    for dtype in ("int64", "int32", "uint8"):
        assert ww.gather(x, 1, ww.asarray([[1], [1]], dtype=dtype)).numpy().tolist() == [[False], [True]]


def test_scalars_are_rows_of_one() -> None:
    x, index = ww.tensor(2.0, requires_grad=True), ww.asarray(0)
    out = ww.scatter_add(ww.gather(x, 0, index), 0, index, x)
    assert out.shape == () and out.item() == 4
    out.backward()
    assert x.grad is not None and x.grad.item() == 2


def test_the_input_is_not_written_to() -> None:
    x = ww.zeros(3)
    ww.scatter_add(x, 0, ww.asarray([0]), ww.ones(1))
    ww.index_add(x, 0, ww.asarray([0]), ww.ones(1))
    assert (x.numpy() == 0).all()


def test_terms_are_added_in_their_order() -> None:
    terms = np.array([1e8, 1.0, -1e8, 1.0], "float32")
    out = ww.scatter_add(ww.zeros(1), 0, ww.asarray([0] * 4), ww.asarray(terms))
    assert out.item() == 1.0  # (1e8 + 1) rounds to 1e8


def test_the_raw_kernel_refuses_an_index_before_it_writes() -> None:
    out = np.zeros(3, "float32")
    for place in (-1, 3, 2**40):
        with pytest.raises(IndexError, match=rf"scatter_add_forward: expected index in \[0, 3\), got {place} at position 1"):
            ww.kernels.get("scatter_add_forward")(out, np.ones(2, "float32"), np.array([0, place]))
    assert (out == 0).all()


def test_scatter_of_a_number_and_of_scalars() -> None:
    assert ww.scatter(ww.zeros((2, 3)), 1, ww.asarray([[0], [2]]), 1.5).tolist() == [[1.5, 0, 0], [0, 0, 1.5]]
    assert ww.scatter(ww.zeros(()), 0, ww.asarray(0), ww.asarray(2.0)).item() == 2
    assert ww.scatter(ww.zeros(3, dtype="int32"), 0, ww.asarray([1]), ww.asarray([7], dtype="int32")).tolist() == [0, 7, 0]
    assert ww.scatter(ww.ones(2), 0, ww.asarray([], dtype="int64"), ww.zeros(0)).tolist() == [1, 1]


@pytest.mark.torch
def test_scatter_to_distinct_places_is_pytorch_s() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, src = rng.standard_normal((4, 6)), rng.standard_normal((3, 5))
    index = np.stack([rng.permutation(6)[:4] for _ in range(3)])
    ours, theirs = (
        [ww.tensor(a, requires_grad=True) for a in (x, src)],
        [torch.tensor(a, requires_grad=True) for a in (x, src[:, :4])],
    )
    a = ww.scatter(ours[0], 1, ww.asarray(index), ours[1])
    b = torch.scatter(theirs[0], 1, torch.from_numpy(index), theirs[1])
    a.backward(ww.asarray(x))
    b.backward(torch.from_numpy(x))
    assert np.array_equal(a.numpy(), b.detach().numpy()) and np.array_equal(ours[0].grad.numpy(), theirs[0].grad.numpy())
    assert np.array_equal(ours[1].grad.numpy()[:, :4], theirs[1].grad.numpy()) and not ours[1].grad.numpy()[:, 4:].any()


def test_the_functions_are_methods_too() -> None:
    x, index = ww.asarray([[1.0, 3.0, 2.0]]), ww.asarray([[2, 0]])
    assert x.topk(1).indices.tolist() == [[1]] and x.gather(1, index).tolist() == [[2, 1]]
    ones = ww.ones((1, 2))
    assert x.scatter(1, index, ones).tolist() == [[1, 3, 1]] and x.scatter_add(1, index, ones).tolist() == [[2, 3, 3]]
    places = ww.asarray([2, 0])
    assert x.index_select(1, places).tolist() == [[2, 1]] and x.index_add(1, places, ones).tolist() == [[2, 3, 3]]
