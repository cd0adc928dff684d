"""Reverse-mode differentiation: what backward and grad promise."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf.autograd import record
from whitewolf.nn import functional as F


def leaf(*values: float, dtype: str = "float64") -> ww.Tensor:
    return ww.tensor(list(values), dtype=dtype, requires_grad=True)


# ---- the walk ------------------------------------------------------------------------------------------------------------------


def test_gradients_reach_every_leaf() -> None:
    a, b = leaf(1, 2), leaf(3, 4)
    (a * b + a).sum().backward()
    assert a.grad is not None and b.grad is not None
    assert a.grad.tolist() == [4, 5] and b.grad.tolist() == [1, 2]


def test_backward_adds_to_grad() -> None:
    a = leaf(1, 2)
    (a * 3).sum().backward()
    (a * 4).sum().backward()
    assert a.grad is not None and a.grad.tolist() == [7, 7]


def test_a_tensor_used_twice_gets_both_gradients() -> None:
    a = leaf(2, 3)
    b = a * a
    (b * b * a).sum().backward()
    assert a.grad is not None and a.grad.tolist() == [5 * 16, 5 * 81]


def test_a_diamond_is_walked_once() -> None:
    calls = 0

    def count(node: Any, grad: ww.Tensor) -> tuple[ww.Tensor]:
        nonlocal calls
        calls += 1
        return (grad,)

    a = leaf(1, 2)
    b = record("count", a._data.copy(), (a,), count)
    (b * 2 + b * 3 + b).sum().backward()
    assert calls == 1 and a.grad is not None and a.grad.tolist() == [6, 6]


def test_a_million_nodes_need_no_recursion() -> None:
    x = leaf(1.0)
    limit = sys.getrecursionlimit()
    y = x
    for _ in range(1_000_000):
        y = -y
    sys.setrecursionlimit(200)
    try:
        y.backward()
        assert x.grad is not None and x.grad.item() == 1.0
        del y
        gc.collect()
    finally:
        sys.setrecursionlimit(limit)


def test_a_long_graph_that_was_never_walked_is_freed_without_recursion() -> None:
    def build_and_drop() -> None:
        y = leaf(1.0)
        for _ in range(200_000):
            y = y * 1.0
        del y

    thread = threading.Thread(target=build_and_drop)
    before = threading.stack_size(256 * 1024)
    try:
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()


def test_the_graph_is_freed_with_its_last_tensor() -> None:
    a = leaf(1, 2)
    b = a * a
    node = weakref.ref(b._node)
    gc.disable()
    try:
        del b
        assert node() is None, "a cycle keeps the graph alive"
    finally:
        gc.enable()


def test_an_op_that_saves_its_output_makes_no_cycle() -> None:
    b = ww.exp(leaf(1, 2))
    node = weakref.ref(b._node)
    gc.disable()
    try:
        del b
        assert node() is None
    finally:
        gc.enable()


def test_a_second_walk_needs_retain_graph() -> None:
    a = leaf(1, 2)
    y = (a * a).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert a.grad is not None and a.grad.tolist() == [4, 8]
    with pytest.raises(RuntimeError, match="multiply: backward through this graph a second time.*retain_graph=True"):
        y.backward()


def test_backward_of_a_non_scalar_needs_its_gradient() -> None:
    a = leaf(1, 2)
    with pytest.raises(ValueError, match=r"backward: expected grad for an output that is no scalar, got None .*\(2,\)"):
        (a * a).backward()
    (a * a).backward(ww.tensor([1.0, 10.0], dtype="float64"))
    assert a.grad is not None and a.grad.tolist() == [2, 40]


@pytest.mark.parametrize(
    ("grad", "error", "words"),
    [
        (ww.zeros(3, dtype="float64"), ValueError, r"expected grad.shape == \(2,\).*got grad.shape == \(3,\)"),
        (ww.zeros(2, dtype="float32"), TypeError, "expected grad.dtype == float64.*got float32"),
        (np.zeros(2), TypeError, "expected grad to be a Tensor, got ndarray"),
    ],
)
def test_a_gradient_of_another_kind_is_refused(grad: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        (leaf(1, 2) * 2).backward(grad)


def test_backward_needs_a_graph() -> None:
    with pytest.raises(ValueError, match="expected an output that requires grad"):
        ww.zeros(()).backward()


def test_a_leaf_is_its_own_gradient() -> None:
    a = leaf(5.0)
    a.backward()
    assert a.grad is not None and a.grad.item() == 1


# ---- ww.grad -------------------------------------------------------------------------------------------------------------------


def test_grad_touches_no_leaf() -> None:
    a, b = leaf(1, 2), leaf(3, 4)
    found = ww.grad((a * b).sum(), [a, b])
    assert isinstance(found, tuple) and [g.tolist() for g in found] == [[3, 4], [1, 2]]
    assert a.grad is None and b.grad is None
    single = ww.grad((a * b).sum(), a)
    assert isinstance(single, ww.Tensor) and single.tolist() == [3, 4]


def test_grad_of_an_intermediate() -> None:
    a = leaf(2.0)
    b = a * a
    c = b * b
    assert ww.grad(c, b, retain_graph=True).item() == 8
    assert [g.item() for g in ww.grad(c, [a, b])] == [32, 8]


def test_grad_with_unused_inputs() -> None:
    a, b = leaf(1.0), leaf(2.0)
    y = (a * a).sum()
    with pytest.raises(ValueError, match=r"expected outputs that depend on inputs\[1\]"):
        ww.grad(y, [a, b], retain_graph=True)
    used, unused = ww.grad(y, [a, b], allow_unused=True)
    assert used.item() == 2 and unused is None


def test_grad_materializes_zeros_where_it_is_asked_to() -> None:
    x, y = ww.ones(2, requires_grad=True), ww.ones((3, 1), requires_grad=True)
    a, b = ww.grad((x * 2).sum(), (x, y), materialize_grads=True)
    assert a.tolist() == [2, 2] and b.tolist() == [[0], [0], [0]]


PIECES = {
    "relu": F.relu, "leaky_relu": F.leaky_relu, "hardtanh": F.hardtanh, "relu6": F.relu6, "hardsigmoid": F.hardsigmoid, "threshold": lambda x: F.threshold(x, 0, 1.0),
    "abs": ww.abs, "max": ww.max, "clip": lambda x: ww.clip(x, -1, 1), "maximum": lambda x: ww.maximum(x, 0.0), "sort": ww.sort, "sum": ww.sum, "floor": ww.floor,
    "max_pool1d": lambda x: F.max_pool1d(x[None], 2), "l1_loss": lambda x: F.l1_loss(x, x.detach() * 2), "product with a weight": lambda x: F.relu(x * W),
}  # fmt: skip
W = ww.tensor([1.0, -2.0, 3.0, 0.5], requires_grad=True)


@pytest.mark.parametrize("name", PIECES)
def test_the_second_derivative_of_straight_lines_is_zero_and_no_error(name: str) -> None:
    x = ww.tensor([-4.0, -0.3, 0.7, 4.0], requires_grad=True)
    with ww.no_grad():
        first = ww.grad(with_grad(PIECES[name], x), x, create_graph=True)
    assert first.requires_grad and ww.grad((first * first).sum(), x).tolist() == [0, 0, 0, 0]
    with pytest.raises(ValueError, match="expected outputs that depend on inputs"):
        ww.grad(first.sum(), ww.ones(2, requires_grad=True))


@ww.enable_grad()
def with_grad(function: Any, x: ww.Tensor) -> ww.Tensor:
    return function(x).sum()


def test_grad_of_several_outputs_adds_them() -> None:
    a = leaf(1, 2)
    weights = [ww.tensor([1.0, 1.0], dtype="float64"), ww.tensor([10.0, 20.0], dtype="float64")]
    assert ww.grad([a * 2, a * 3], a, weights).tolist() == [32, 62]
    with pytest.raises(ValueError, match=r"expected len\(grad_outputs\) == 2"):
        ww.grad([a * 2, a * 3], a, weights[:1])


def test_grad_refuses_an_input_without_grad() -> None:
    a, b = leaf(1.0), ww.tensor([1.0], dtype="float64")
    with pytest.raises(ValueError, match=r"expected inputs\[0\] to require grad"):
        ww.grad((a * b).sum(), b)
    with pytest.raises(TypeError, match=r"expected inputs\[0\] to be a Tensor, got float"):
        ww.grad((a * b).sum(), [1.0])  # type: ignore[list-item]


def test_grad_only_walks_what_leads_to_the_inputs() -> None:
    visited = []

    def spy(name: str, x: ww.Tensor) -> ww.Tensor:
        def backward(node: Any, grad: ww.Tensor) -> tuple[ww.Tensor]:
            visited.append(name)
            return (grad,)

        return record(name, x._data.copy(), (x,), backward)  # type: ignore[no-any-return]

    a, b = leaf(1.0), leaf(2.0)
    ww.grad((spy("a", a) + spy("b", b)).sum(), a)
    assert visited == ["a"]


# ---- second derivatives --------------------------------------------------------------------------------------------------------


def test_derivatives_of_derivatives() -> None:
    x = leaf(3.0)
    y = x * x * x * x
    orders = []
    for _ in range(4):
        y = ww.grad(y, x, create_graph=True)
        orders.append(y.item())
    assert orders == [108, 108, 72, 24]


def test_a_saved_output_is_differentiable_again() -> None:
    x = leaf(0.5)
    first = ww.grad(ww.exp(x * 2), x, create_graph=True)
    second = ww.grad(first, x, create_graph=True)
    third = ww.grad(second, x)
    assert [t.item() for t in (first, second, third)] == pytest.approx([2 * np.e, 4 * np.e, 8 * np.e])


def test_backward_with_create_graph_gives_gradients_with_a_graph() -> None:
    x = leaf(3.0)
    (x * x * x).backward(create_graph=True)
    assert x.grad is not None and x.grad.requires_grad
    assert ww.grad(x.grad, x).item() == 18
    (x * 2).backward()
    assert x.grad.item() == 29


def test_without_create_graph_gradients_have_none() -> None:
    x = leaf(3.0)
    assert not ww.grad(x * x, x).requires_grad


# ---- several outputs -----------------------------------------------------------------------------------------------------------


def halves(x: ww.Tensor) -> tuple[ww.Tensor, ww.Tensor]:
    """x * 2 and x * 3 as one node with two outputs."""
    seen.clear()

    def backward(node: Any, grads: tuple[ww.Tensor | None, ww.Tensor | None]) -> tuple[ww.Tensor]:
        seen.append(tuple(g is not None for g in grads))
        parts = [g * k for g, k in zip(grads, (2.0, 3.0)) if g is not None]
        return (parts[0] if len(parts) == 1 else parts[0] + parts[1],)

    return record("halves", (x._data * 2, x._data * 3), (x,), backward)  # type: ignore[no-any-return]


seen: list[tuple[bool, ...]] = []


def test_a_node_with_two_outputs_is_walked_once_with_both_gradients() -> None:
    x = leaf(1, 2)
    a, b = halves(x)
    (a * b).sum().backward()
    assert seen == [(True, True)] and x.grad is not None and x.grad.tolist() == [12, 24]


def test_an_output_that_nothing_uses_has_no_gradient() -> None:
    x = leaf(1, 2)
    _, b = halves(x)
    b.sum().backward()
    assert seen == [(False, True)] and x.grad is not None and x.grad.tolist() == [3, 3]


def test_grad_tells_the_outputs_of_a_node_apart() -> None:
    x = leaf(1, 2)
    a, b = halves(x)
    y = (a * 5 + b * 7).sum()
    assert [g.tolist() for g in ww.grad(y, [a, b])] == [[5, 5], [7, 7]]


# ---- recording -----------------------------------------------------------------------------------------------------------------


def test_no_grad_records_nothing_and_ends_with_its_scope() -> None:
    a = leaf(1.0)
    with ww.no_grad():
        assert not (a * a).requires_grad
        with ww.enable_grad():
            assert (a * a).requires_grad
        assert not (a * a).requires_grad
    assert (a * a).requires_grad
    with pytest.raises(KeyError), ww.no_grad():
        raise KeyError
    assert ww.is_grad_enabled()


def test_no_grad_decorates() -> None:
    @ww.no_grad()
    def square(x: ww.Tensor, depth: int) -> ww.Tensor:
        return square(x, depth - 1) if depth else x * x

    assert not square(leaf(2.0), 3).requires_grad and ww.is_grad_enabled()


def test_set_grad_enabled_holds_from_the_call_on_in_a_scope_until_its_end_and_as_a_decorator_inside() -> None:
    seen = []
    try:
        ww.set_grad_enabled(False)
        assert not ww.is_grad_enabled() and not (ww.ones(2, requires_grad=True) * 2).requires_grad
        with ww.set_grad_enabled(True) as nothing:
            assert ww.is_grad_enabled() and nothing is None
        assert not ww.is_grad_enabled()
    finally:
        ww.set_grad_enabled(True)

    scope = ww.set_grad_enabled(False)
    for _ in range(2):
        with scope:
            assert not ww.is_grad_enabled()
        assert ww.is_grad_enabled()

    @ww.set_grad_enabled(False)
    def inside() -> None:
        seen.append(ww.is_grad_enabled())

    assert ww.is_grad_enabled()
    inside()
    assert seen == [False] and ww.is_grad_enabled()


def test_no_grad_and_enable_grad_decorate_without_parentheses_too() -> None:
    @ww.no_grad
    def outside() -> list[bool]:
        return [ww.is_grad_enabled(), inside()]

    @ww.enable_grad
    def inside() -> bool:
        return ww.is_grad_enabled()

    assert outside() == [False, True] and ww.is_grad_enabled()
    with pytest.raises(TypeError, match="no_grad: expected function to be a function to decorate, or nothing, got int"):
        ww.no_grad(3)


def test_recording_is_a_thread_s_own_affair() -> None:
    found = []
    with ww.no_grad():
        thread = threading.Thread(target=lambda: found.append(ww.is_grad_enabled()))
        thread.start()
        thread.join()
    assert found == [True]


def test_threads_walk_their_own_graphs_at_once() -> None:
    def work(k: int) -> None:
        for _ in range(50):
            x = leaf(*range(100))
            (x * x * float(k)).sum().backward()
            assert x.grad is not None
            results[k].append(x.grad.tolist() == [2.0 * k * i for i in range(100)])

    results: dict[int, list[bool]] = {k: [] for k in range(4)}
    threads = [threading.Thread(target=work, args=(k,)) for k in results]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert all(len(r) == 50 and all(r) for r in results.values())


def test_integers_carry_no_gradient() -> None:
    with pytest.raises(TypeError, match="requires_grad: expected a floating dtype, got int64"):
        ww.tensor([1, 2], requires_grad=True)
