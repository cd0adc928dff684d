"""Assignment and in-place operators: outside a graph they write, inside one they differentiate or name what was overwritten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from whitewolf.autograd import gradcheck, gradgradcheck


def leaf(*values: float) -> ww.Tensor:
    return ww.tensor(np.array(values, "float64"), requires_grad=True)


@settings(deadline=None, max_examples=80, derandomize=True)
@given(st.data())
def test_assignment_in_a_graph_differentiates_twice(data: Any) -> None:
    """Each kind of key that names no element twice: y = x^2 with v^3 written into it, then z = y^2."""
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    key = data.draw(st.one_of(hnp.basic_indices(shape, allow_newaxis=False), hnp.arrays(bool, shape)))
    rng = np.random.default_rng(0)
    part = np.zeros(shape)[key]
    v_shape = data.draw(st.sampled_from([np.shape(part), (), (1,) * np.ndim(part)]))
    if isinstance(key, np.ndarray):
        v_shape = data.draw(st.sampled_from([np.shape(part), ()]))
    x, v = ww.tensor(rng.standard_normal(shape), requires_grad=True), ww.tensor(rng.standard_normal(v_shape), requires_grad=True)

    def run(x: ww.Tensor, v: ww.Tensor) -> ww.Tensor:
        y = x * x
        y[ww.asarray(key) if isinstance(key, np.ndarray) else key] = v * v * v
        return y * y

    expected = x.numpy() ** 2
    expected[key] = v.numpy() ** 3
    np.testing.assert_allclose(run(x, v).numpy(), expected**2)
    gradcheck(run, (x, v))
    gradgradcheck(run, (x, v))


def test_assignments_after_each_other_each_send_their_gradient() -> None:
    x, v, w = leaf(1, 2, 3, 4), leaf(5), leaf(6, 7)
    y = x * 2
    y[0] = v[0]
    y[1:3] = w
    y[2] = v[0] * 10
    (y * ww.asarray(np.array([1.0, 10.0, 100.0, 1000.0]))).sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 2000] and v.grad.tolist() == [1 + 1000] and w.grad.tolist() == [10, 0]


def test_a_tensor_outside_the_graph_joins_it_when_something_of_the_graph_is_written_to_it() -> None:
    w = leaf(3)
    buffer = ww.zeros(3, dtype="float64")
    for i in range(3):
        buffer[i] = w[0] * i
    buffer.sum().backward()
    assert w.grad.tolist() == [3] and buffer.tolist() == [0, 3, 6]


STALE: dict[str, tuple[Callable[[ww.Tensor], ww.Tensor], str]] = {
    "an input": (lambda y: y * y, "multiply"),
    "an output": (lambda y: ww.exp(y), "exp"),
    "a matrix": (lambda y: ww.matmul(y[:, None], y[None, :]), "matmul"),
    "a power": (lambda y: y**3, "pow"),
}


@pytest.mark.parametrize("case", STALE)
def test_backward_names_the_op_whose_saved_tensor_was_overwritten(case: str) -> None:
    function, name = STALE[case]
    y = leaf(1, 2) * 3
    z = function(y)
    target = z if case == "an output" else y
    with ww.no_grad():
        target[0] = 5.0
    with pytest.raises(ww.StaleTensorError, match=f"{name}: expected the tensor it saved .*in-place operation overwrote it"):
        z.sum().backward()


IN_PLACE: dict[str, Callable[[ww.Tensor], None]] = {
    "setitem": lambda x: x.__setitem__(0, 1.0),
    "+=": lambda x: x.__iadd__(1.0),
    "*=": lambda x: x.__imul__(2.0),
    "write to a view": lambda x: x[:1].__setitem__(0, 1.0),
    "write to a reshaped view": lambda x: ww.reshape(x, (2, 1)).__isub__(1.0),
    "write to a transposed view": lambda x: ww.reshape(x, (1, 2)).T.__itruediv__(2.0),
    "write to a detached tensor": lambda x: x.detach().__setitem__(slice(None), 0.0),
    "write to the real part": lambda x: ww.real(x).__setitem__(0, 0.0),
}


@pytest.mark.parametrize("how", IN_PLACE)
def test_each_way_of_writing_outside_the_graph_is_noticed_by_what_saved_the_memory(how: str) -> None:
    weight, data = leaf(1, 2), ww.asarray(np.array([3.0, 4.0]))
    z = weight * data
    IN_PLACE[how](data)
    with pytest.raises(ww.StaleTensorError, match="multiply: expected the tensor it saved"):
        z.sum().backward()


SHARED: dict[str, Callable[[ww.Tensor], ww.Tensor]] = {
    "a row": lambda y: y[0],
    "reshape": lambda y: ww.reshape(y, (-1,)),
    "transpose": lambda y: y.T,
    "broadcast": lambda y: ww.broadcast_to(y, (3, *y.shape)),
    "flip": lambda y: ww.flip(y),
    "a view of a view": lambda y: y[0][1:],
}


@pytest.mark.parametrize("how", SHARED)
def test_a_recorded_assignment_to_memory_that_others_see_is_refused(how: str) -> None:
    """The view's gradient would ignore what was written to its base, and the base's what was written to the view."""
    y = ww.tensor(np.ones((2, 3)), requires_grad=True) * 2
    view = SHARED[how](y)
    with pytest.raises(ValueError, match=r"setitem: expected a tensor whose memory no other sees.*shape \(2, 3\)"):
        y[0] = 7.0
    if how != "broadcast":
        with pytest.raises(ValueError, match="setitem: expected a tensor whose memory no other sees"):
            view[0] = 7.0
    assert (y.numpy() == 2).all()
    del view
    y[0] = 7.0
    assert ww.grad(y.sum(), y).shape == (2, 3)


def test_a_view_outside_the_graph_would_miss_a_recorded_assignment_too() -> None:
    buffer = ww.zeros(4)
    window = buffer[1:3]
    with pytest.raises(ValueError, match="setitem: expected a tensor whose memory no other sees"):
        buffer[1] = ww.ones((), requires_grad=True)
    assert window.tolist() == [0, 0]


def test_a_view_whose_base_is_gone_takes_assignments() -> None:
    x = leaf(1, 2, 3)
    row = ww.reshape(x * 2, (3, 1))[:, 0]
    row[1] = x[0] * 10
    row.sum().backward()
    assert x.grad.tolist() == [12, 0, 2]


def test_the_list_of_those_who_share_memory_does_not_grow_with_views_that_are_gone() -> None:
    x = ww.zeros(4)
    for i in range(10_000):
        x[i % 4]
    assert len(x._version) < 200


OPERATORS = ["add", "sub", "mul", "truediv", "pow", "mod", "floordiv", "matmul"]


@pytest.mark.parametrize("name", OPERATORS)
def test_in_place_operators_in_a_graph_differentiate_twice_for_all_who_hold_the_tensor(name: str) -> None:
    rng = np.random.default_rng(1)
    x, v = (ww.tensor(rng.uniform(0.6, 0.9, (3, 3)), requires_grad=True) for _ in range(2))
    in_place, plain = getattr(ww.Tensor, f"__i{name}__"), getattr(ww.Tensor, f"__{name}__")

    def change(argument: ww.Tensor) -> None:
        argument = in_place(argument, v)

    def run(x: ww.Tensor, v: ww.Tensor) -> ww.Tensor:
        y = x * x
        alias, memory, detached = y, y.numpy(), y.detach()
        assert in_place(y, v) is y and alias is y
        np.testing.assert_array_equal(memory, y.numpy())
        np.testing.assert_array_equal(detached.numpy(), y.numpy())
        return alias * alias

    np.testing.assert_array_equal(run(x, v).numpy(), (plain(x * x, v) ** 2).numpy())
    gradcheck(run, (x, v))
    gradgradcheck(run, (x, v))
    y = x * x
    change(y)
    np.testing.assert_array_equal(y.numpy(), plain(x * x, v).numpy())
    assert ww.grad(y.sum(), v).tolist() == ww.grad(plain(x * x, v).sum(), v).tolist()


@pytest.mark.parametrize("name", OPERATORS[:-2])
def test_in_place_operators_take_the_tensor_itself(name: str) -> None:
    x = leaf(0.7, 1.3)
    y = x * 1
    y = getattr(y, f"__i{name}__")(y)
    z = x * 1
    expected = ww.grad(getattr(z, f"__{name}__")(z).sum(), x)
    assert ww.grad(y.sum(), x).tolist() == expected.tolist()


def test_a_vector_times_a_matrix_in_place_keeps_what_backward_needs() -> None:
    x, m = leaf(1, 2), ww.tensor([[1.0, 2.0], [3.0, 4.0]], dtype="float64", requires_grad=True)
    y = x * 1
    y @= m
    y.sum().backward()
    assert y.tolist() == [7, 10] and m.grad.tolist() == [[1, 1], [2, 2]] and x.grad.tolist() == [3, 7]


def test_sixteen_bits_in_place_keep_what_backward_needs() -> None:
    x = ww.tensor([2.0, 3.0], dtype="float16", requires_grad=True)
    y = x * 1
    y **= 3
    y.sum().backward()
    assert y.tolist() == [8, 27] and x.grad.tolist() == [12, 27]


@pytest.mark.parametrize("name", ["add", "mul"])
@pytest.mark.parametrize("case", STALE)
def test_an_in_place_operator_in_the_graph_makes_stale_what_was_saved_before(case: str, name: str) -> None:
    function, saved_by = STALE[case]
    y = leaf(1, 2) * 3
    z = function(y)
    target = z if case == "an output" else y
    if case == "a matrix":  # the view that it multiplies is kept by the graph
        with pytest.raises(ValueError, match=f"{name}: expected a tensor whose memory no other sees"):
            getattr(target, f"__i{name}__")(2.0)
        return
    getattr(target, f"__i{name}__")(2.0)
    with pytest.raises(ww.StaleTensorError, match=f"{saved_by}: expected the tensor it saved .*in-place operation overwrote it"):
        (z + y).sum().backward()


def test_what_was_saved_outside_the_graph_is_stale_after_an_operator_through_an_alias() -> None:
    y = leaf(1, 2) * 3
    outside, alias = y.detach(), y  # shares the memory, not the graph
    z = leaf(1, 1) * outside
    alias += 1.0
    assert outside.tolist() == [4, 7]
    with pytest.raises(ww.StaleTensorError, match="multiply"):
        z.sum().backward()


@pytest.mark.parametrize("name", ["add", "sub"])
def test_a_buffer_joins_the_graph_for_all_who_hold_it(name: str) -> None:
    w, buffer = leaf(1, 2), ww.zeros(2, dtype="float64")
    held = {"total": buffer}
    for _ in range(3):
        buffer = getattr(buffer, f"__i{name}__")(w * w)
    held["total"].sum().backward()
    sign = 1 if name == "add" else -1
    assert held["total"].tolist() == [3 * sign, 12 * sign] and w.grad.tolist() == [6 * sign, 12 * sign]


def test_a_refused_in_place_operator_changes_nothing() -> None:
    y = leaf(1, 2) * 1
    node, before = y._node, y.tolist()
    for other in (ww.ones((3, 2), dtype="float64"), ww.ones(3, dtype="float64"), ww.asarray(1j), "a"):
        with pytest.raises((ValueError, TypeError)):
            y += other
        assert y._node is node and y.tolist() == before
    fixed = np.ones(2)
    fixed.flags.writeable = False
    x = ww.asarray(fixed)
    with pytest.raises(ValueError, match="add: expected a tensor that can be written to"):
        x += y
    assert not x.requires_grad and fixed.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float16", "float32", "complex64", "bool"])
def test_assignment_and_in_place_operators_keep_each_dtype(dtype: str) -> None:
    a = np.array([[1, 0, 1], [0, 1, 1]]).astype(dtype)
    x = ww.tensor(a)
    memory = x.numpy()
    x[0] = x[1]
    a[0] = a[1]
    if dtype == "bool":
        x |= True
        a |= True
    else:
        x *= 3
        x += x
        a *= np.asarray(3, dtype)
        a += a
    assert x.dtype == dtype and np.shares_memory(memory, x.numpy())
    np.testing.assert_array_equal(x.numpy(), a)


def test_assignment_from_overlapping_memory_reads_before_it_writes() -> None:
    x = ww.arange(6)
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3, 4]
    x[::-1] = x
    assert x.tolist() == [4, 3, 2, 1, 0, 0]
    y = ww.arange(4)
    y += y[::-1]
    assert y.tolist() == [3, 3, 3, 3]


def test_booleans_are_filled_with_booleans() -> None:
    mask = ww.asarray([True, False])
    assert mask.zero_().tolist() == [False, False] and mask.fill_(2).tolist() == [True, True]
    with pytest.raises(TypeError, match="clip: expected x of numbers, got dtype bool"):
        ww.clip(mask, -1, 2)


def test_a_view_is_no_copy() -> None:
    x = ww.ones((2, 3))
    x.view(3, 2).zero_()
    assert x.sum().item() == 0
    with pytest.raises(ValueError, match="reshape: expected copy=None or True for shape .6,."):
        x.T.view(6)
    assert x.T.reshape(6).shape == (6,)


@pytest.mark.parametrize("scope", [ww.no_grad(), ww.enable_grad(), ww.set_grad_enabled(True), ww.precision("tf32")])
def test_scopes_decorate_no_generators(scope: Any) -> None:
    def steps() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match="expected a function, got the generator .*steps"):
        scope(steps)
