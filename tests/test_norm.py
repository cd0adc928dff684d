"""Normalisation: running statistics, memory layouts and accuracy, and parity with PyTorch's layers over several steps."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn
from whitewolf.nn import functional as F

rng = np.random.default_rng(0)

LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "batch norm of rows": (lambda n: n.BatchNorm1d(5), (7, 5)),
    "batch norm of sequences": (lambda n: n.BatchNorm1d(5, eps=1e-3, momentum=0.4), (3, 5, 6)),
    "batch norm": (lambda n: n.BatchNorm2d(5), (3, 5, 4, 6)),
    "batch norm, plain average": (lambda n: n.BatchNorm2d(5, momentum=None), (3, 5, 4, 6)),
    "batch norm without affine map": (lambda n: n.BatchNorm2d(5, affine=False), (3, 5, 4, 6)),
    "batch norm without bias": (lambda n: n.BatchNorm2d(5, bias=False), (3, 5, 4, 6)),
    "batch norm without running statistics": (lambda n: n.BatchNorm2d(5, track_running_stats=False), (3, 5, 4, 6)),
    "batch norm of volumes": (lambda n: n.BatchNorm3d(2), (3, 2, 4, 2, 3)),
    "instance norm of sequences": (lambda n: n.InstanceNorm1d(5), (3, 5, 6)),
    "instance norm": (lambda n: n.InstanceNorm2d(5, affine=True), (3, 5, 4, 6)),
    "instance norm with running statistics": (lambda n: n.InstanceNorm2d(5, track_running_stats=True), (3, 5, 4, 6)),
    "instance norm of one picture": (lambda n: n.InstanceNorm2d(5, affine=True, track_running_stats=True), (5, 4, 6)),
    "instance norm of volumes": (lambda n: n.InstanceNorm3d(2), (3, 2, 4, 2, 3)),
    "group norm": (lambda n: n.GroupNorm(2, 6), (3, 6, 4, 5)),
    "group norm without bias": (lambda n: n.GroupNorm(3, 6, bias=False, eps=0.1), (3, 6, 7)),
    "layer norm": (lambda n: n.LayerNorm(7), (3, 4, 7)),
    "layer norm of pictures": (lambda n: n.LayerNorm((5, 4, 6)), (3, 5, 4, 6)),
    "layer norm without bias": (lambda n: n.LayerNorm((4, 6), bias=False), (3, 5, 4, 6)),
    "layer norm without affine map": (lambda n: n.LayerNorm(6, elementwise_affine=False), (3, 6)),
    "root mean square norm": (lambda n: n.RMSNorm(6), (3, 4, 6)),
    "root mean square norm with eps": (lambda n: n.RMSNorm((4, 6), eps=0.3, elementwise_affine=False), (3, 4, 6)),
    "local response norm": (lambda n: n.LocalResponseNorm(5, 0.3, 0.6, 2.0), (3, 7, 4, 5)),
    "local response norm of sequences": (lambda n: n.LocalResponseNorm(2), (3, 7, 4)),
}  # fmt: skip


def _close(ours: ww.Tensor, theirs: Any, tolerance: float) -> None:
    a, b = ours.detach().numpy(), theirs.detach().numpy()
    assert a.shape == b.shape and a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(b).max(initial=0))))


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_three_steps_and_use_are_pytorch_s(name: str, channels_last: bool, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    make, shape = LAYERS[name]
    theirs, ours = make(torch.nn).to(getattr(torch, dtype)), make(nn).to(dtype)
    assert str(ours) == str(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    for p, q in zip(ours.parameters(), theirs.parameters()):
        values = rng.standard_normal(p.shape).astype(dtype)
        p._data[...] = values
        q.data.copy_(torch.from_numpy(values))
    for training in (True, True, True, False):
        ours.train(training)
        theirs.train(training)
        values = (rng.standard_normal(shape) * 2 + 3).astype(dtype)
        if channels_last:
            values = np.moveaxis(np.ascontiguousarray(np.moveaxis(values, 1, -1)), -1, 1)
        x, y = ww.asarray(values, copy=False), torch.tensor(values, requires_grad=True)
        x.requires_grad = True
        a, b = ours(x), theirs(y)
        tolerance = 1e-12 if dtype == "float64" else 1e-5
        _close(a, b, tolerance)
        direction = rng.standard_normal(shape).astype(dtype)
        a.backward(ww.asarray(direction))
        b.backward(torch.from_numpy(direction))
        _close(x.grad, y.grad, 20 * tolerance)
        for p, q in zip(ours.parameters(), theirs.parameters()):
            _close(p.grad, q.grad, 40 * tolerance)
        state = theirs.state_dict()
        for key, value in ours.state_dict().items():
            _close(value, state[key], tolerance)


def test_results_lie_as_their_input_lies() -> None:
    x = ww.asarray(np.moveaxis(rng.standard_normal((2, 4, 5, 6)), -1, 1), copy=False)
    for y in (F.batch_norm(x, None, None, training=True), F.group_norm(x, 2), F.instance_norm(x), F.layer_norm(x, x.shape[1:])):
        assert y.strides == x.strides


def test_a_large_mean_costs_no_digits() -> None:
    spread = rng.standard_normal((64, 3, 40))
    x = (spread + 4096).astype("float32")
    wide = x.astype("float64")
    z = (wide - wide.mean((0, 2), keepdims=True)) / wide.std((0, 2), keepdims=True)
    for values in (x, np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)):
        y = F.batch_norm(ww.asarray(values, copy=False), None, None, training=True, eps=1e-12)
        np.testing.assert_allclose(y.numpy(), z, atol=5e-4)  # half an ulp of 4096 in x itself is 2.4e-4


def test_equal_elements_become_the_bias() -> None:
    x, bias = ww.full((6, 3, 7), 0.1), ww.asarray([1.0, 2.0, 3.0])
    for y in (F.batch_norm(x, None, None, None, bias, training=True), F.group_norm(x, 1, None, bias)):
        assert (y.numpy() == bias.numpy().reshape(1, 3, 1)).all()


def test_an_error_leaves_running_statistics_as_they_were() -> None:
    layer = nn.BatchNorm2d(3)
    before = {k: v.numpy().copy() for k, v in layer.state_dict().items()}
    for wrong in (ww.zeros((1, 3, 1, 1)), ww.zeros((2, 4, 3, 3)), ww.zeros((2, 3, 3)), ww.zeros((2, 3, 3, 3), dtype="float64")):
        with pytest.raises((ValueError, TypeError)):
            layer(wrong)
    for k, v in layer.state_dict().items():
        assert np.array_equal(v.numpy(), before[k])


def test_ctrl_c_changes_all_running_statistics_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = nn.BatchNorm1d(3), ww.asarray(rng.standard_normal((5, 3)).astype("float32"))
    expected = nn.BatchNorm1d(3)
    expected(x)
    overwritten, calls = ww.Tensor._overwritten, []

    def interrupted(self: ww.Tensor) -> None:
        overwritten(self)
        calls.append(self)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(ww.Tensor, "_overwritten", interrupted)
    with pytest.raises(KeyboardInterrupt):
        layer(x)
    assert len(calls) == 3
    for k, v in layer.state_dict().items():
        assert np.array_equal(v.numpy(), expected.state_dict()[k].numpy())


def test_use_does_not_depend_on_later_running_statistics() -> None:
    mean, var = ww.zeros(2), ww.ones(2)
    x = ww.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    weight = ww.ones(2, requires_grad=True)
    y = F.batch_norm(x, mean, var, weight, eps=0.0)
    mean += 7
    var *= 4
    y.sum().backward()
    assert x.grad is not None and (x.grad.numpy() == 1).all()
    assert weight.grad is not None and weight.grad.tolist() == [4.0, 6.0]


def test_batches_of_nothing_leave_running_statistics() -> None:
    layer = nn.BatchNorm2d(3)
    assert layer(ww.zeros((0, 3, 2, 2))).shape == (0, 3, 2, 2)
    assert np.array_equal(layer.running_mean.numpy(), np.zeros(3)) and np.array_equal(layer.running_var.numpy(), np.ones(3))
    y = F.batch_norm(ww.zeros((4, 0, 3), requires_grad=True), None, None, training=True)
    y.sum().backward()


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="BatchNorm2d: expected input of 4 dimensions, got input.shape == "):
        nn.BatchNorm2d(3)(ww.zeros((2, 3)))
    with pytest.raises(ValueError, match="GroupNorm: expected num_groups to divide num_channels 6, got 4"):
        nn.GroupNorm(4, 6)
    with pytest.raises(ValueError, match="InstanceNorm2d: expected 3 channels"):
        nn.InstanceNorm2d(3, affine=True)(ww.zeros((2, 4, 3, 3)))


def test_an_error_of_instance_norm_names_instance_norm() -> None:
    with pytest.raises(ValueError, match="^instance_norm: "):
        F.instance_norm(ww.ones((2, 3, 4)), ww.ones(4), ww.ones(4), use_input_stats=False)


def test_local_response_norm_of_a_window_far_wider_than_the_channels_has_second_gradients_at_once() -> None:
    x = ww.asarray(np.random.default_rng(1).standard_normal((2, 3, 4))).requires_grad_()
    for size in (6, 7, 2**40):
        y = F.local_response_norm(x, size, alpha=2.0 * size, beta=0.5)
        (found,) = ww.grad(y.sum(), (x,), create_graph=True)
        np.testing.assert_allclose(found.numpy(), ww.grad(y.sum(), (x,))[0].numpy(), rtol=1e-12, atol=1e-12)
        assert np.isfinite(ww.grad((found * found).sum(), x).numpy()).all()


def test_an_eps_that_is_no_number_is_refused() -> None:
    x, eps = ww.ones((2, 4)), float("nan")
    for name, call in {
        "layer_norm": lambda: ww.nn.functional.layer_norm(x, 4, eps=eps),
        "rms_norm": lambda: ww.nn.functional.rms_norm(x, 4, eps=eps),
        "group_norm": lambda: ww.nn.functional.group_norm(x, 2, eps=eps),
        "batch_norm": lambda: ww.nn.functional.batch_norm(x, ww.zeros(4), ww.ones(4), eps=eps),
    }.items():
        with pytest.raises(ValueError, match=f"{name}: expected eps to be a number, got nan"):
            call()


@pytest.mark.parametrize("name", ["running_mean", "running_var"])
@pytest.mark.parametrize("call", ["batch_norm", "instance_norm"])
def test_running_statistics_are_not_differentiated(call: str, name: str) -> None:
    stats = {"running_mean": ww.zeros(2), "running_var": ww.ones(2)}
    stats[name].requires_grad_()
    with pytest.raises(ValueError, match=f"{call}: expected {name} that requires no grad"):
        getattr(ww.nn.functional, call)(ww.ones((3, 2, 4)), **stats)
