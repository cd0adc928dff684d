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
from whitewolf.autograd import Function, gradcheck, gradgradcheck, record


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


# ---- memory that gradients and graphs share ------------------------------------------------------------------------------------


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
    z = y * y
    y += 1.0
    (z + y).sum().backward()
    assert a.grad is not None and a.grad.tolist() == [8 * 1 + 2, 8 * 2 + 2]


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


# ---- Function ------------------------------------------------------------------------------------------------------------------


class Scale(Function):
    """x * k, with k plain."""

    @staticmethod
    def forward(ctx: Any, x: ww.Tensor, k: float) -> ww.Tensor:
        ctx.k = k
        return x * k

    @staticmethod
    def backward(ctx: Any, grad: ww.Tensor) -> tuple[ww.Tensor, None]:
        return grad * ctx.k, None


class Product(Function):
    """a * b and a + b."""

    @staticmethod
    def forward(ctx: Any, a: ww.Tensor, b: ww.Tensor) -> tuple[ww.Tensor, ww.Tensor]:
        ctx.save_for_backward(a, b)
        return a * b, a + b

    @staticmethod
    def backward(ctx: Any, product: ww.Tensor | None, total: ww.Tensor | None) -> tuple[ww.Tensor, ww.Tensor]:
        a, b = ctx.saved_tensors
        zero = ww.zeros_like(a)
        product, total = zero if product is None else product, zero if total is None else total
        return product * b + total, product * a + total


def test_a_function_of_one_s_own() -> None:
    x = leaf(1, 2)
    Scale.apply(x, 3.0).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [3, 3]
    gradcheck(lambda t: Scale.apply(t, 3.0) * t, x)


def test_a_function_with_several_outputs_and_second_derivatives() -> None:
    a, b = leaf(1, 2), leaf(3, 4)
    gradcheck(Product.apply, (a, b))
    gradgradcheck(Product.apply, (a, b))


def test_a_function_s_saved_tensor_that_was_overwritten_is_an_error() -> None:
    a, b = leaf(1, 2), ww.tensor([3.0, 4.0], dtype="float64")
    y, _ = Product.apply(a, b)
    b[0] = 0.0
    with pytest.raises(ww.StaleTensorError, match="Product"):
        y.sum().backward()


def test_a_function_that_returns_its_input_still_records() -> None:
    class Identity(Function):
        @staticmethod
        def forward(ctx: Any, x: ww.Tensor) -> ww.Tensor:
            return x

        @staticmethod
        def backward(ctx: Any, grad: ww.Tensor) -> ww.Tensor:
            return grad * 2.0

    x = leaf(1.0)
    y = Identity.apply(x)
    y.sum().backward()
    assert y is not x and x.grad is not None and x.grad.item() == 2


def test_a_function_that_answers_wrongly_is_named() -> None:
    class TooFew(Product):
        @staticmethod
        def backward(ctx: Any, product: Any, total: Any) -> Any:
            return product

    class WrongShape(Scale):
        @staticmethod
        def backward(ctx: Any, grad: ww.Tensor) -> Any:
            return grad.sum(), None

    class NoTensor(Scale):
        @staticmethod
        def forward(ctx: Any, x: ww.Tensor, k: float) -> Any:
            return 3.0

    with pytest.raises(ValueError, match="TooFew: expected backward to return 2 gradients.*got 1"):
        TooFew.apply(leaf(1.0), leaf(1.0))[0].sum().backward()
    with pytest.raises(ValueError, match=r"WrongShape: expected gradient 0 of shape \(2,\), got \(\)"):
        WrongShape.apply(leaf(1, 2), 2.0).sum().backward()
    with pytest.raises(TypeError, match="NoTensor: expected forward to return a Tensor or a tuple of them, got float"):
        NoTensor.apply(leaf(1.0), 2.0)


# ---- gradcheck -----------------------------------------------------------------------------------------------------------------


def test_gradcheck_catches_a_wrong_backward() -> None:
    class Wrong(Scale):
        @staticmethod
        def backward(ctx: Any, grad: ww.Tensor) -> tuple[ww.Tensor, None]:
            return grad * (ctx.k * 1.001), None

    with pytest.raises(AssertionError, match="gradcheck: direction 0: differences give .*, backward gives"):
        gradcheck(lambda t: Wrong.apply(t, 3.0), leaf(1, 2, 3))


def test_gradcheck_catches_a_gradient_at_the_wrong_place() -> None:
    class Swapped(Scale):
        @staticmethod
        def backward(ctx: Any, grad: ww.Tensor) -> tuple[ww.Tensor, None]:
            return ww.flip(grad) * ctx.k, None

    with pytest.raises(AssertionError):
        gradcheck(lambda t: Swapped.apply(t, 3.0), leaf(1, 2, 3))


def test_gradgradcheck_catches_a_backward_that_is_no_graph() -> None:
    class Detached(Function):
        @staticmethod
        def forward(ctx: Any, x: ww.Tensor) -> ww.Tensor:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, grad: ww.Tensor) -> ww.Tensor:
            (x,) = ctx.saved_tensors
            return grad * (x * x * 3.0).detach()

    gradcheck(Detached.apply, leaf(1, 2))
    with pytest.raises(AssertionError):
        gradgradcheck(Detached.apply, leaf(1, 2))


def test_gradcheck_asks_for_float64_and_for_something_to_check() -> None:
    with pytest.raises(TypeError, match=r"gradcheck: expected inputs\[0\].dtype == float64, got float32"):
        gradcheck(lambda x: x * x, leaf(1, 2, dtype="float32"))
    with pytest.raises(ValueError, match="expected an input that requires grad"):
        gradcheck(lambda x: x * x, ww.zeros(2, dtype="float64"))
    with pytest.raises(AssertionError, match="no output requires grad"):
        gradcheck(lambda x: x.detach(), leaf(1, 2))
