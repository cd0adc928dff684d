"""Creation, manipulation, indexing, searching and logic against NumPy, with gradients where there are any."""

from __future__ import annotations

import numpy as np
import pytest
import whitewolf as ww
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)


def same(tensor, array):
    assert isinstance(tensor, ww.Tensor) and tensor.shape == np.shape(array)
    np.testing.assert_array_equal(tensor.numpy(), array)


def numbers(shape):
    return np.arange(int(np.prod(shape)), dtype="f8").reshape(shape)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_views_and_their_gradients_follow_numpy(data):
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=4))
    a = numbers(shape)
    x = ww.tensor(a, requires_grad=True)
    axes = data.draw(st.permutations(range(len(shape))))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    pairs = [
        (ww.permute_dims(x, axes), a.transpose(axes)),
        (ww.flip(x, axis=axis), np.flip(a, axis)),
        (ww.reshape(x, (-1,)), a.reshape(-1)),
        (ww.expand_dims(x, axis=axis), np.expand_dims(a, axis)),
        (ww.roll(x, 2, axis=axis), np.roll(a, 2, axis)),
        (ww.moveaxis(x, 0, -1), np.moveaxis(a, 0, -1)),
        (ww.concat([x, x], axis=axis), np.concatenate([a, a], axis)),
        (ww.stack([x, x], axis=axis), np.stack([a, a], axis)),
        (ww.tile(x, (2, 1)), np.tile(a, (2, 1))),
        (ww.repeat(x, 3, axis=axis), np.repeat(a, 3, axis)),
        (ww.broadcast_to(x, (2, *shape)), np.broadcast_to(a, (2, *shape))),
        (ww.sort(x, axis=axis, descending=True), -np.sort(-a, axis)),
    ]
    for result, expected in pairs:
        same(result, expected)
        g = np.random.default_rng(0).standard_normal(expected.shape)
        (found,) = ww.grad([result], [x], [ww.asarray(g)])
        # The map is linear and moves elements: its transpose, element by element.
        wanted = np.zeros(a.size)
        np.add.at(wanted, expected.astype(int).reshape(-1), g.reshape(-1))
        np.testing.assert_allclose(found.numpy(), wanted.reshape(shape), atol=1e-12)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_indexing_follows_numpy_and_scatters_its_gradient(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5))
    a = numbers(shape)
    key = data.draw(st.one_of(hnp.basic_indices(shape, allow_newaxis=True), hnp.integer_array_indices(shape)))
    x = ww.tensor(a, requires_grad=True)
    ours = tuple(ww.asarray(k) if isinstance(k, np.ndarray) else k for k in key) if isinstance(key, tuple) else key
    result, expected = x[ours], a[key]
    same(result, expected)
    (found,) = ww.grad([result], [x], [ww.ones(result.shape, dtype=ww.float64)])
    wanted = np.zeros(shape)
    np.add.at(wanted, key, np.ones(np.shape(expected)))
    np.testing.assert_array_equal(found.numpy(), wanted)


def test_a_mask_reads_and_writes():
    a = numbers((3, 4))
    x = ww.tensor(a)
    same(x[x > 5], a[a > 5])
    x[x > 5] = -1.0
    same(x, np.where(a > 5, -1, a))


def test_assignment_in_a_graph_sends_gradients_to_both():
    x, v = ww.ones((4,), dtype=ww.float64, requires_grad=True), ww.tensor(np.array([5.0]), requires_grad=True)
    y = x * 2
    y[1:3] = v
    (y * ww.asarray(np.array([1.0, 2.0, 3.0, 4.0]))).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 0, 0, 8])
    np.testing.assert_array_equal(v.grad.numpy(), [5])


def test_assignment_to_a_leaf_or_a_view_in_a_graph_is_refused():
    x = ww.ones((4,), requires_grad=True)
    with pytest.raises(ValueError, match="setitem: expected a tensor that is no leaf"):
        x[0] = 1.0
    with ww.no_grad():
        x[0] = 3.0
    assert x.numpy()[0] == 3


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ww.zeros((2, 3))[5], IndexError, ("getitem", "(2, 3)")),
        (lambda: ww.zeros((2, 3))[1.5], IndexError, ("getitem",)),
        (lambda: ww.reshape(ww.zeros((2, 3)), (4, 2)), ValueError, ("reshape", "6 elements", "(4, 2)")),
        (lambda: ww.concat([ww.zeros((2, 3)), ww.zeros((2, 4))], axis=0), ValueError, ("concat", "arrays[1]", "(2, 4)")),
        (lambda: ww.concat([]), ValueError, ("concat", "none")),
        (lambda: ww.stack([ww.zeros(2), ww.zeros(3)]), ValueError, ("stack", "arrays[1].shape == (2,)", "(3,)")),
        (lambda: ww.permute_dims(ww.zeros((2, 3)), (0, 0)), ValueError, ("permute_dims", "each axis once")),
        (lambda: ww.squeeze(ww.zeros((2, 3)), 0), ValueError, ("squeeze", "x.shape[0] == 1")),
        (lambda: ww.expand_dims(ww.zeros((2, 3)), axis=7), IndexError, ("expand_dims", "[-3, 3)", "7")),
        (lambda: ww.broadcast_to(ww.zeros((2, 3)), (2, 4)), ValueError, ("broadcast_to", "(2, 3)", "(2, 4)")),
        (lambda: ww.zeros(-1), ValueError, ("zeros", "negative")),
        (lambda: ww.zeros("ab"), TypeError, ("zeros", "ints")),
        (lambda: ww.asarray([[1.0, 2.0], [3.0]]), ValueError, ("asarray", "equal lengths")),
        (lambda: ww.asarray(["a"]), TypeError, ("asarray", "numbers")),
        (lambda: ww.asarray([1.0], copy=False), ValueError, ("asarray", "copy=False")),
        (lambda: ww.tensor([1, 2], requires_grad=True), TypeError, ("requires_grad", "int64")),
        (lambda: ww.add(ww.zeros(3), np.zeros(3)), TypeError, ("add", "x2", "ndarray", "ww.asarray")),
        (lambda: ww.take(ww.zeros((2, 3)), ww.asarray([0.5]), axis=0), IndexError, ("take", "integer")),
        (lambda: ww.take(ww.zeros((2, 3)), ww.asarray([7]), axis=0), IndexError, ("7",)),
        (lambda: ww.logical_and(ww.zeros(2), ww.zeros(2)), TypeError, ("logical_and", "bool", "float32")),
        (lambda: ww.searchsorted(ww.zeros((2, 2)), ww.zeros(1)), ValueError, ("searchsorted", "x1")),
        (lambda: ww.astype(ww.asarray(1j), ww.float32), TypeError, ("astype", "complex")),
        (lambda: bool(ww.zeros(2)), ValueError, ("bool", "(2,)")),
        (lambda: ww.zeros(2).item(), ValueError, ("item", "(2,)")),
        (lambda: ww.arange(3, step=0), ValueError, ("arange", "step")),
    ],
)
def test_errors_name_op_and_argument(call, error, words):
    with pytest.raises(error) as raised:
        call()
    for word in words:
        assert word in str(raised.value)


def test_dtypes_of_python_and_numpy_data():
    assert ww.asarray(1.5).dtype == ww.float32 and ww.asarray([1, 2]).dtype == ww.int64
    assert ww.asarray(True).dtype == ww.bool and ww.asarray(1j).dtype == ww.complex64
    assert ww.asarray(np.zeros(2)).dtype == ww.float64 and ww.asarray([np.float64(1.0)]).dtype == ww.float64
    assert (ww.asarray([1.0]) * 2).dtype == ww.float32 and (ww.asarray([1]) * 2.0).dtype == ww.float32
    assert (ww.asarray([1], dtype=ww.int8) + 1).dtype == ww.int8
    assert (ww.asarray([1.0]) * ww.asarray([2])).dtype == ww.float32
    assert ww.result_type(ww.float32, ww.float64) == ww.float64 and ww.result_type(ww.uint8, ww.int8) == ww.int16
    with pytest.raises(
        TypeError, match="result_type: expected arrays_and_dtypes that combine, got uint64, int64: no integer dtype"
    ):
        ww.result_type(ww.uint64, ww.int64)
    with pytest.raises(OverflowError, match="add: expected x2 in the range of int8"):
        ww.asarray([1], dtype=ww.int8) + 1000


def test_asarray_shares_and_tensor_copies():
    a = np.zeros(3)
    shared, copied = ww.asarray(a), ww.tensor(a)
    a[0] = 5
    assert shared.numpy()[0] == 5 and copied.numpy()[0] == 0


def test_numpy_view_is_read_only_where_grad_is_required():
    x = ww.ones(3, requires_grad=True)
    assert not x.numpy().flags.writeable and x.detach().numpy().flags.writeable
    assert np.shares_memory(x.numpy(), x.detach().numpy())


def test_dlpack_shares_memory_both_ways():
    a = np.arange(6, dtype="f4").reshape(2, 3)[:, ::-1]
    x = ww.from_dlpack(a)
    same(x, a)
    assert np.shares_memory(np.from_dlpack(ww.asarray(a)), a)
    with pytest.raises(BufferError, match="from_dlpack|__dlpack__"):
        np.from_dlpack(ww.ones(2, requires_grad=True))


@pytest.mark.parametrize("name", ["unique_all", "unique_counts", "unique_inverse", "unique_values"])
def test_sets(name):
    a = np.array([3, 1, 3, 2, 1])
    result = getattr(ww, name)(ww.asarray(a))
    expected = {"unique_all": np.unique_all, "unique_counts": np.unique_counts, "unique_inverse": np.unique_inverse}
    if name == "unique_values":
        same(result, np.unique(a))
    elif hasattr(np, "unique_all"):
        for ours, theirs in zip(result, expected[name](a)):
            same(ours, theirs)


def test_descending_argsort_is_stable():
    x = ww.asarray(np.array([2.0, 1.0, 2.0, 1.0]))
    same(ww.argsort(x, descending=True), [0, 2, 1, 3])
    same(ww.argsort(x), [1, 3, 0, 2])


def test_namespace_speaks_for_itself():
    x = ww.ones(2)
    assert x.__array_namespace__() is ww and x.__array_namespace__(api_version="2024.12") is ww
    info = ww.__array_namespace_info__()
    assert info.default_dtypes()["real floating"] == ww.float32 and info.dtypes(kind="bool") == {"bool": ww.bool}
    assert ww.isdtype(ww.float32, "real floating") and not ww.isdtype(ww.int8, ("bool", "real floating"))
    assert ww.finfo(ww.float32).bits == 32 and ww.iinfo(ww.int8).max == 127
    assert ww.can_cast(ww.int8, ww.int16) and not ww.can_cast(ww.float64, ww.float32)


def test_reductions_of_nothing_have_their_neutral_element():
    x = ww.zeros((3, 0))
    assert (ww.sum(x, axis=1).numpy() == 0).all() and (ww.prod(x, axis=1).numpy() == 1).all()
    assert (ww.logsumexp(x, axis=1).numpy() == -np.inf).all() and np.isnan(ww.mean(x, axis=1).numpy()).all()
    assert ww.max(x, axis=0).shape == (0,)
