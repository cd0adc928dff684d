"""Hypothesis's array strategies over our own namespace, and what must hold of nn's functions for any array of theirs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import whitewolf as ww
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.extra.array_api import make_strategies_namespace
from whitewolf.nn import functional as F

# It makes its arrays with our own functions. Of the standard's versions, the newest that the oldest hypothesis knows.
xps = make_strategies_namespace(ww, api_version="2023.12")
few = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)
NUMBERS = st.floats(-8, 8, width=32).map(lambda v: round(v, 3))


def arrays(shape: Any = SHAPES, dtype: str = "float64") -> Any:
    return hnp.arrays(dtype, shape, elements=NUMBERS)


def picture() -> Any:
    return arrays(st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(3, 6), st.integers(3, 6)))


@few
@given(xps.arrays(xps.floating_dtypes() | xps.integer_dtypes(), xps.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)))
def test_their_arrays_are_tensors_that_numpy_reads_as_they_are(x: ww.Tensor) -> None:
    assert isinstance(x, ww.Tensor)
    array = np.asarray(x)
    assert array.shape == x.shape and array.dtype == x.dtype
    again = ww.asarray(array)
    assert np.array_equal(again.numpy(), array, equal_nan=x.dtype.kind == "f")
    assert np.array_equal(ww.reshape(x, (-1,)).numpy(), array.reshape(-1), equal_nan=x.dtype.kind == "f")


@few
@given(st.data())
def test_their_indices_read_what_numpy_s_read(data: st.DataObject) -> None:
    shape = data.draw(xps.array_shapes(min_dims=1, max_dims=4, max_side=5))
    key = data.draw(xps.indices(shape, allow_newaxis=True))
    array = np.arange(math.prod(shape)).reshape(shape)
    assert np.array_equal(ww.asarray(array)[key].numpy(), array[key])
    x = ww.tensor(array.astype("f8"), requires_grad=True)
    ww.sum(x[key] * 3).backward()
    expected = np.zeros(shape)
    expected[key] = 3
    assert x.grad is not None and np.array_equal(x.grad.numpy(), expected)


@few
@given(st.data())
def test_shapes_that_broadcast_together_do_and_gradients_come_back_in_their_own(data: st.DataObject) -> None:
    shapes, result = data.draw(xps.mutually_broadcastable_shapes(2, max_dims=4, max_side=4))
    a, b = (ww.tensor(np.ones(s), requires_grad=True) for s in shapes)
    y = a * b + a
    assert y.shape == result
    ww.sum(y).backward()
    for t, share in ((a, 2.0), (b, 1.0)):
        assert t.grad is not None and t.grad.shape == t.shape
        assert np.allclose(t.grad.numpy(), share * math.prod(result) / max(math.prod(t.shape), 1)) or not t.size


@few
@given(arrays(), st.data())
def test_softmax_is_a_distribution_that_a_constant_does_not_move(x: Any, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    y = F.softmax(ww.asarray(x), axis).numpy()
    assert np.allclose(y.sum(axis), 1) and (y >= 0).all()
    assert np.allclose(F.softmax(ww.asarray(x + 100), axis).numpy(), y)
    assert np.allclose(np.exp(F.log_softmax(ww.asarray(x), axis).numpy()), y)


@few
@given(picture(), st.integers(0, 2), st.integers(0, 2), st.sampled_from(["constant", "reflect", "replicate", "circular"]))
def test_padding_is_undone_by_cutting(x: Any, before: int, after: int, mode: str) -> None:
    padded = F.pad(ww.asarray(x), (before, after, after, before), mode)
    cut = F.pad(padded, (-before, -after, -after, -before), mode)
    assert np.array_equal(cut.numpy(), x)


@few
@given(picture(), st.integers(1, 3), st.integers(1, 2))
def test_max_pooling_s_indices_point_at_what_it_returns(x: Any, kernel: int, stride: int) -> None:
    y, index = F.max_pool2d(ww.asarray(x), kernel, stride, return_indices=True)
    planes = x.reshape(*x.shape[:2], -1)
    assert np.array_equal(np.take_along_axis(planes, index.numpy().reshape(*x.shape[:2], -1), -1).reshape(y.shape), y.numpy())


@few
@given(picture(), st.data())
def test_convolution_is_linear_and_its_transpose_is_its_adjoint(x: Any, data: st.DataObject) -> None:
    w = data.draw(arrays((2, x.shape[1], 2, 3)))
    stride, padding = data.draw(st.integers(1, 2)), data.draw(st.integers(0, 1))
    y = F.conv2d(ww.asarray(x), ww.asarray(w), stride=stride, padding=padding)
    assert np.allclose(F.conv2d(ww.asarray(3 * x), ww.asarray(w), stride=stride, padding=padding).numpy(), 3 * y.numpy())
    v = np.arange(y.size, dtype="f8").reshape(y.shape) / 7 - 1
    rest = [(n + 2 * padding - k) % stride for n, k in zip(x.shape[2:], w.shape[2:])]
    back = F.conv_transpose2d(ww.asarray(v), ww.asarray(w), stride=stride, padding=padding, output_padding=tuple(rest))
    assert back.shape == x.shape and np.isclose((back.numpy() * x).sum(), (v * y.numpy()).sum())


@few
@given(arrays(hnp.array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=5)))
def test_layer_norm_has_mean_0_and_forgets_scale_and_shift(x: Any) -> None:
    x = x + np.arange(x.shape[-1])  # no row of equal elements
    if (x.std(-1) < 1e-2).any():
        return
    y = F.layer_norm(ww.asarray(x), x.shape[-1], eps=1e-12).numpy()
    assert np.allclose(y.mean(-1), 0, atol=1e-9) and np.allclose(y.std(-1), 1, atol=1e-4)
    assert np.allclose(F.layer_norm(ww.asarray(5 * x + 2), x.shape[-1], eps=1e-12).numpy(), y, atol=1e-5)


@few
@given(arrays(), st.sampled_from(["relu", "gelu", "silu", "tanh", "softplus", "elu", "mish", "hardswish"]))
def test_activations_work_element_by_element_in_any_layout(x: Any, name: str) -> None:
    function = getattr(F, name)
    y = function(ww.asarray(x)).numpy()
    assert np.array_equal(function(ww.asarray(x.T)).numpy(), y.T)
    assert np.array_equal(function(ww.asarray(x[::-1])).numpy(), y[::-1])
    assert np.array_equal(function(ww.asarray(x.reshape(-1))).numpy(), y.reshape(-1))
