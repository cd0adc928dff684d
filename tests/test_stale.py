"""Memory that gradients and graphs share: what was overwritten since it was saved is an error, and no leaf reaches another's gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww


def leaf(*values: float, dtype: str = "float64") -> ww.Tensor:
    return ww.tensor(list(values), dtype=dtype, requires_grad=True)


def test_leaves_that_get_the_same_gradient_do_not_share_its_memory() -> None:
    a, b = leaf(1, 2), leaf(3, 4)
    (a + b).sum().backward()
    assert a.grad is not None and b.grad is not None
    with ww.no_grad():
        a.grad *= 10.0
    assert b.grad.tolist() == [1, 1]


def test_a_leaf_s_grad_is_not_the_gradient_that_was_given() -> None:
    a, given = leaf(1, 2), ww.tensor([1.0, 1.0], dtype="float64")
    (a + 0.0).backward(given)
    assert a.grad is not None
    with ww.no_grad():
        a.grad *= 10.0
    assert given.tolist() == [1, 1]


def test_a_broadcast_gradient_gets_memory_of_its_own() -> None:
    a = leaf(1, 2, 3)
    a.sum().backward()
    assert a.grad is not None and a.grad.numpy().strides == (8,)
    with ww.no_grad():
        a.grad[0] = 5.0
    assert a.grad.tolist() == [5, 1, 1]


def test_backward_does_not_change_a_grad_that_somebody_holds() -> None:
    a = leaf(1.0)
    (a * 2).sum().backward()
    held = a.grad
    (a * 2).sum().backward()
    assert held is not None and held.item() == 2 and a.grad is not None and a.grad.item() == 4


def test_a_stale_saved_tensor_is_an_error() -> None:
    a, b = leaf(1, 2), ww.tensor([3.0, 4.0], dtype="float64")
    y = (a * b).sum()
    b[0] = 7.0
    with pytest.raises(ww.StaleTensorError, match=r"multiply: expected the tensor it saved \(saved 1, shape \(2,\)\) unchanged"):
        y.backward()


def test_a_stale_saved_output_is_an_error() -> None:
    a = leaf(1, 2)
    y = ww.exp(a)
    with ww.no_grad():
        y[0] = 0.0
    with pytest.raises(ww.StaleTensorError, match="exp"):
        y.sum().backward()


def test_a_view_shares_its_version() -> None:
    a, b = leaf(1, 2), ww.tensor([[3.0, 4.0], [5.0, 6.0]], dtype="float64")
    y = (a * b[0]).sum()
    b[0, 1] = 9.0
    with pytest.raises(ww.StaleTensorError):
        y.backward()


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.detach(),
        lambda t: t.reshape(4),
        lambda t: t.T,
        lambda t: t[1:],
        lambda t: ww.expand_dims(t, axis=0),
        lambda t: ww.permute_dims(t, (1, 0)),
        lambda t: ww.flip(t),
        lambda t: ww.broadcast_to(t, (3, 2, 2)),
    ],
)
def test_every_kind_of_view_shares_its_version(view: Any) -> None:
    base = ww.tensor([[3.0, 4.0], [5.0, 6.0]], dtype="float64")
    seen = view(base)
    assert np.shares_memory(seen.numpy(), base.numpy())
    x = ww.ones(seen.shape, dtype="float64", requires_grad=True)
    y = (x * seen).sum()
    with ww.no_grad():
        base *= 2.0
    with pytest.raises(ww.StaleTensorError):
        y.backward()


def test_a_copy_has_a_version_of_its_own() -> None:
    a, b = leaf(1, 2), ww.tensor([3.0, 4.0], dtype="float64")
    y = (a * b.clone()).sum()
    b[0] = 7.0
    y.backward()
    assert a.grad is not None and a.grad.tolist() == [3, 4]


def test_what_no_backward_needs_may_be_overwritten() -> None:
    a, b = leaf(1, 2), ww.tensor([3.0, 4.0], dtype="float64")
    y = (a + b).sum()
    b[0] = 7.0
    y.backward()
    assert a.grad is not None and a.grad.tolist() == [1, 1]


def test_in_place_operators_in_a_graph_keep_the_gradient_right() -> None:
    a = leaf(1, 2)
    y = a * 2
    z = y + y  # saves nothing of y
    y += 1.0
    y *= y
    (z + y).sum().backward()
    assert a.grad is not None and a.grad.tolist() == [4 + 4 * 3, 4 + 4 * 5]


def test_a_stale_result_that_backward_needs_is_an_error() -> None:
    x = ww.tensor(np.arange(16.0).reshape(1, 1, 4, 4), requires_grad=True)
    y, indices = ww.nn.functional.max_pool2d(x, 2, return_indices=True)
    indices[...] = 0
    with pytest.raises(ww.StaleTensorError, match="max_pool2d: expected the tensor it saved"):
        y.sum().backward()
    top = ww.topk(leaf(3, 1, 2), 2)
    top.indices[0] = 1
    with pytest.raises(ww.StaleTensorError, match="gather: expected the tensor it saved"):
        top.values.sum().backward()


def test_places_are_checked_in_the_second_backward_too() -> None:
    x = ww.tensor(np.arange(16.0).reshape(1, 1, 4, 4), requires_grad=True)
    y, indices = ww.nn.functional.max_pool2d(x, 2, return_indices=True)
    g = ww.grad((y * y).sum(), x, create_graph=True)
    indices[...] = 0
    with pytest.raises(ww.StaleTensorError, match="max_pool2d"):
        ww.grad(g.sum(), x)


@pytest.mark.parametrize(
    "op",
    [
        lambda x, i: x[i],
        lambda x, i: ww.take(x, i, axis=0),
        lambda x, i: ww.gather(x, 0, ww.expand_dims(i, axis=1)),
        lambda x, i: ww.index_select(x, 0, i),
        lambda x, i: ww.index_add(ww.zeros_like(x), 0, i, x[:2]),
        lambda x, i: ww.scatter_add(ww.zeros_like(x), 0, ww.expand_dims(i, axis=1), x),
        lambda x, i: ww.nn.functional.embedding(i, x),
        lambda x, i: ww.nn.functional.cross_entropy(x[:2], i),
    ],
)
def test_an_index_that_was_overwritten_is_an_error(op: Any) -> None:
    x = ww.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype="float64", requires_grad=True)
    index = ww.tensor([1, 0])
    y = op(x, index).sum()
    index[0] = 0
    with pytest.raises(ww.StaleTensorError):
        y.backward()


def test_an_assignment_s_index_that_was_overwritten_is_an_error() -> None:
    x, index = leaf(1, 2, 3) * 1.0, ww.tensor([1])
    x[index] = leaf(5)
    y = x.sum()
    index[0] = 2
    with pytest.raises(ww.StaleTensorError, match="setitem"):
        y.backward()


def test_our_own_tensor_through_dlpack_shares_its_version() -> None:
    x, w = leaf(1, 2), ww.tensor([3.0, 4.0], dtype="float64")
    y = (x * w).sum()
    ww.from_dlpack(w)[0] = 9.0
    with pytest.raises(ww.StaleTensorError):
        y.backward()
    z = (x * w).sum()
    ww.from_dlpack(w, copy=True)[0] = 7.0
    z.backward()
    assert x.grad is not None and x.grad.tolist() == [9, 4]
