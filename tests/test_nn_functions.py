"""The functions of nn.functional by themselves: first and second derivatives, kinks, NaN, and errors in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf.nn import functional as F

rng = np.random.default_rng(5)


def normal(*shape: int) -> Any:
    return rng.standard_normal(shape)


def apart(*shape: int) -> Any:
    """No two elements closer than 0.1: no ties, no kinks."""
    n = math.prod(shape)
    return ((rng.permutation(n) - n // 2 + 0.5) * 0.1).reshape(shape)


@pytest.mark.parametrize("name", ["cross_entropy", "linear", "conv2d"])
def test_what_an_op_saved_must_not_be_overwritten(name: str) -> None:
    x = ww.tensor(normal(2, 2, 5, 5) if name == "conv2d" else normal(4, 5), requires_grad=True)
    other = {
        "cross_entropy": ww.asarray([0, 1, 2, 3]), "linear": ww.asarray(normal(3, 5)), "conv2d": ww.asarray(normal(3, 2, 2, 2)),
    }[name]  # fmt: skip
    out = getattr(F, name)(x, other).sum()
    other[0] = other[1]
    with pytest.raises(ww.StaleTensorError, match=name):
        out.backward()


def test_empty_batches_pass_through_every_layer() -> None:
    net = ww.nn.Sequential(
        ww.nn.Conv2d(1, 2, 3, padding=1), ww.nn.ReLU(), ww.nn.MaxPool2d(2), ww.nn.AvgPool2d(2), ww.nn.Flatten(), ww.nn.Linear(8, 3)
    )
    x = ww.zeros((0, 1, 8, 8), requires_grad=True)
    out = net(x)
    assert out.shape == (0, 3)
    out.sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape
    assert all(p.grad is not None and not p.grad.numpy().any() for p in net.parameters())


def test_a_sample_has_the_same_bits_alone_and_in_a_batch() -> None:
    ww.manual_seed(0)
    net = ww.nn.Sequential(
        ww.nn.Conv2d(3, 8, 3), ww.nn.ReLU(), ww.nn.MaxPool2d(2), ww.nn.Flatten(), ww.nn.Linear(8 * 9, 10), ww.nn.LogSoftmax(1)
    )
    x = ww.asarray(normal(7, 3, 8, 8).astype("f4"))
    whole = net(x).numpy()
    for i in range(7):
        assert net(x[i : i + 1]).numpy().tobytes() == whole[i : i + 1].tobytes()


def test_nan_is_carried_through() -> None:
    x = np.zeros((1, 1, 4, 4), "f4")
    x[0, 0, 1, 1] = math.nan
    for y in (F.max_pool2d(ww.asarray(x), 2), F.avg_pool2d(ww.asarray(x), 2), F.adaptive_avg_pool2d(ww.asarray(x), 2)):
        assert np.isnan(y.numpy()).tolist() == [[[[True, False], [False, False]]]]
    assert math.isnan(F.relu(ww.asarray(math.nan)).item())


def test_layers_keep_channels_last_in_memory() -> None:
    x = F.max_pool2d(F.relu(F.conv2d(ww.ones((2, 3, 8, 8)), ww.ones((4, 3, 3, 3)))), 2)
    assert x.shape == (2, 4, 3, 3) and x.strides[1] == x.dtype.itemsize


def test_dropout_without_training_or_with_p_0_returns_its_input() -> None:
    x = ww.ones(3)
    assert F.dropout(x, 0.5, training=False) is x and F.dropout(x, 0.0) is x and F.dropout2d(ww.ones((1, 1)), 0.5, False).size == 1


def test_dropout_follows_the_seed() -> None:
    masks = []
    for seed in (1, 1, 2):
        ww.manual_seed(seed)
        masks.append(F.dropout(ww.ones(1000)).numpy())
    assert np.array_equal(masks[0], masks[1]) and not np.array_equal(masks[0], masks[2])


def zeros(*shape: int) -> ww.Tensor:
    return ww.zeros(shape)


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "conv2d channels": (
        lambda: F.conv2d(zeros(1, 32, 8, 8), zeros(32, 8, 3, 3), groups=2), ValueError,
        r"conv2d: expected w.shape\[1\] == 16 \(x channels 32 / groups 2\), got w.shape == \(32, 8, 3, 3\)",
    ),
    "Conv2d groups": (lambda: ww.nn.Conv2d(3, 4, 3, groups=2), ValueError, "Conv2d: expected in_channels divisible by groups == 2"),
    "Conv2d mode": (lambda: ww.nn.Conv2d(3, 4, 3, padding_mode="mirror"), ValueError, "'mirror'"),
    "linear": (lambda: F.linear(zeros(2, 3), zeros(4, 5)), ValueError, r"input.shape == \(2, 3\), weight.shape == \(4, 5\)"),
    "linear bias": (lambda: F.linear(zeros(2, 3), zeros(4, 3), zeros(3)), ValueError, r"bias.shape == \(4,\)"),
    "max_pool2d fit": (lambda: F.max_pool2d(zeros(1, 1, 2, 8), 3), ValueError, "max_pool2d: expected windows that fit, got H == 2"),
    "max_pool2d padding": (lambda: F.max_pool2d(zeros(1, 1, 8, 8), 3, padding=2), ValueError, "padding"),
    "max_pool2d stride": (lambda: F.max_pool2d(zeros(1, 1, 8, 8), 3, 0), ValueError, "stride >= 1"),
    "max_pool2d dimensions": (lambda: F.max_pool2d(zeros(8, 8), 3), ValueError, r"\[C, H, W\], got input.shape == \(8, 8\)"),
    "avg_pool2d divisor": (lambda: F.avg_pool2d(zeros(1, 1, 8, 8), 3, divisor_override=0), ValueError, "divisor_override"),
    "adaptive": (lambda: F.adaptive_avg_pool2d(zeros(1, 1, 8, 8), (1, 2, 3)), ValueError, "output_size"),
    "softmax": (lambda: F.softmax(zeros(2, 3), 2), IndexError, r"softmax: expected dim in \[-2, 2\), got 2"),
    "cross_entropy class": (lambda: F.cross_entropy(zeros(2, 3), ww.asarray([0, 3])), IndexError, r"\[0, 3\).*got 3"),
    "cross_entropy shape": (lambda: F.cross_entropy(zeros(2, 3), ww.asarray([0])), ValueError, r"target.shape == \(2,\).*got \(1,\)"),
    "cross_entropy weight": (lambda: F.cross_entropy(zeros(2, 3), ww.asarray([0, 1]), zeros(2)), ValueError, r"weight.shape == \(3,\)"),
    "cross_entropy reduction": (
        lambda: F.cross_entropy(zeros(2, 3), ww.asarray([0, 1]), reduction="avg"), ValueError, "reduction to be .*'avg'",
    ),
    "cross_entropy smoothing": (
        lambda: F.cross_entropy(zeros(2, 3), ww.asarray([0, 1]), label_smoothing=1.5), ValueError, "label_smoothing",
    ),
    "nll_loss class": (lambda: F.nll_loss(zeros(2, 3), ww.asarray([0, -1])), IndexError, r"\[0, 3\).*got -1"),
    "mse_loss": (lambda: F.mse_loss(zeros(2, 3), zeros(3)), ValueError, r"target.shape == \(2, 3\).*got target.shape == \(3,\)"),
    "mse_loss dtype": (lambda: F.mse_loss(ww.arange(3), ww.arange(3)), TypeError, "input.dtype"),
    "smooth_l1_loss": (lambda: F.smooth_l1_loss(zeros(2), zeros(2), beta=-1.0), ValueError, "beta >= 0"),
    "dropout": (lambda: F.dropout(zeros(2), 1.5), ValueError, r"p in \[0, 1\], got 1.5"),
    "Dropout": (lambda: ww.nn.Dropout(-0.1), ValueError, "Dropout: expected p"),
    "pad odd": (lambda: F.pad(zeros(2, 3), (1, 2, 3)), ValueError, r"\(before, after\)"),
    "pad too far": (lambda: F.pad(zeros(2, 3), (3, 0), "reflect"), ValueError, "widths up to 2 in mode 'reflect'"),
    "pad mode": (lambda: F.pad(zeros(2, 3), (1, 0), "mirror"), ValueError, "'mirror'"),
    "pad value": (lambda: F.pad(zeros(2, 3), (1, 0), "reflect", 1.0), ValueError, "no value"),
    "one_hot dtype": (lambda: F.one_hot(zeros(2)), TypeError, "integer tensor"),
    "one_hot class": (lambda: F.one_hot(ww.asarray([0, 5]), 3), IndexError, r"\[0, 3\).*\[0, 5\]"),
    "one_hot empty": (lambda: F.one_hot(ww.asarray(np.zeros(0, "i8"))), ValueError, "num_classes"),
    "Unflatten": (lambda: ww.nn.Unflatten(5, (1, 2))(zeros(2, 3)), IndexError, "unflatten: expected dim"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_function_argument_expected_and_got(name: str) -> None:
    call, error, words = ERRORS[name]
    with pytest.raises(error, match=words) as caught:
        call()
    assert "expected" in str(caught.value) and "got" in str(caught.value)


def test_gumbel_softmax_chooses_by_the_probabilities_and_passes_its_gradient_through() -> None:
    ww.manual_seed(0)
    p = np.array([0.1, 0.2, 0.7])
    chosen = F.gumbel_softmax(ww.asarray(np.log(np.tile(p, (20_000, 1)))), hard=True)
    assert set(np.unique(chosen.numpy().round(12))) == {0.0, 1.0} and np.abs(chosen.numpy().mean(0) - p).max() < 0.015
    x, direction = ww.tensor(normal(4, 3), requires_grad=True), ww.asarray(normal(4, 3))
    grads = []
    for hard in (False, True):
        ww.manual_seed(1)
        grads.append(ww.grad((F.gumbel_softmax(x, 0.5, hard, dim=0) * direction).sum(), x).numpy())
    assert np.abs(grads[0]).max() > 0.01 and np.allclose(*grads, rtol=0, atol=1e-14)
    with pytest.raises(ValueError, match="gumbel_softmax: expected tau > 0, got 0"):
        F.gumbel_softmax(x, 0)
