"""Layers and functions against PyTorch's: same arguments, same words, same state, same outputs and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.parity import check_layer, close, distinct
from whitewolf import nn
from whitewolf.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
pytestmark = pytest.mark.torch

rng = np.random.default_rng(0)


def compare(ours: Callable[..., Any], theirs: Callable[..., Any], *arrays: Any, dtype: str = "float64") -> None:
    """Outputs, and gradients by every floating argument, against a random direction."""
    arrays = tuple(a.astype(dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in arrays)
    mine = [ww.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    other = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    a, b = ours(*mine), theirs(*other)
    close(a, b)
    direction = np.asarray(rng.standard_normal(b.shape), dtype)
    a.backward(ww.asarray(direction))
    b.backward(torch.from_numpy(direction))
    for p, q in zip(mine, other):
        assert (p.grad is None) == (q.grad is None)
        if q.grad is not None:
            close(p.grad, q.grad, 256)


# ---- layers ----

LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "linear": (lambda n: n.Linear(7, 5), (3, 7)),
    "linear without bias": (lambda n: n.Linear(7, 5, bias=False), (2, 3, 7)),
    "linear on one row": (lambda n: n.Linear(7, 5), (7,)),
    "conv2d": (lambda n: n.Conv2d(3, 5, 3), (2, 3, 9, 7)),
    "conv2d of everything": (lambda n: n.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2, False), (2, 4, 9, 8)),
    "conv2d same": (lambda n: n.Conv2d(3, 4, (4, 3), padding="same", dilation=(1, 2)), (2, 3, 8, 7)),
    "conv2d valid": (lambda n: n.Conv2d(3, 4, 3, padding="valid"), (2, 3, 8, 7)),
    "conv2d depthwise": (lambda n: n.Conv2d(4, 8, 3, groups=4, padding=1), (2, 4, 5, 5)),
    "conv2d unbatched": (lambda n: n.Conv2d(3, 4, 3, padding=1), (3, 8, 7)),
    "conv2d reflect": (lambda n: n.Conv2d(3, 4, 3, padding=(1, 2), padding_mode="reflect"), (2, 3, 6, 5)),
    "conv2d replicate": (lambda n: n.Conv2d(3, 4, 3, padding=2, padding_mode="replicate"), (2, 3, 6, 5)),
    "conv2d circular": (lambda n: n.Conv2d(3, 4, 3, padding=2, padding_mode="circular"), (2, 3, 6, 5)),
    "conv2d same circular": (lambda n: n.Conv2d(3, 4, 4, padding="same", padding_mode="circular"), (2, 3, 6, 5)),
    "conv1d": (lambda n: n.Conv1d(3, 5, 4, stride=2, padding=3, dilation=2), (2, 3, 11)),
    "conv1d same": (lambda n: n.Conv1d(4, 6, 4, padding="same", groups=2), (2, 4, 11)),
    "conv1d reflect": (lambda n: n.Conv1d(3, 5, 4, padding=3, padding_mode="reflect"), (2, 3, 11)),
    "conv_transpose2d": (lambda n: n.ConvTranspose2d(3, 5, 3), (2, 3, 5, 4)),
    "conv_transpose2d of everything": (
        lambda n: n.ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 2), 2, False, (2, 1)), (2, 4, 5, 4),
    ),
    "max_pool1d": (lambda n: n.MaxPool1d(3, 2, 1), (2, 3, 11)),
    "max_pool2d": (lambda n: n.MaxPool2d(2), (2, 3, 7, 8)),
    "max_pool2d of everything": (lambda n: n.MaxPool2d((3, 2), (2, 1), (1, 0), (2, 1), ceil_mode=True), (2, 3, 9, 8)),
    "avg_pool1d": (lambda n: n.AvgPool1d(3, 2, 1, True, False), (2, 3, 10)),
    "avg_pool2d": (lambda n: n.AvgPool2d(3, padding=1), (2, 3, 7, 8)),
    "avg_pool2d of everything": (lambda n: n.AvgPool2d((3, 2), (2, 1), (1, 1), True, False), (2, 3, 8, 7)),
    "avg_pool2d divisor": (lambda n: n.AvgPool2d(2, divisor_override=3), (2, 3, 8, 7)),
    "adaptive_avg_pool2d": (lambda n: n.AdaptiveAvgPool2d((3, 2)), (2, 3, 8, 7)),
    "adaptive_avg_pool2d to one": (lambda n: n.AdaptiveAvgPool2d(1), (2, 3, 8, 7)),
    "adaptive_avg_pool2d keeping a size": (lambda n: n.AdaptiveAvgPool2d((None, 3)), (2, 3, 8, 7)),
    "flatten": (lambda n: n.Flatten(), (2, 3, 4)),
    "flatten some": (lambda n: n.Flatten(0, 1), (2, 3, 4)),
    "unflatten": (lambda n: n.Unflatten(1, (2, 3)), (2, 6, 4)),
    "unflatten from the end": (lambda n: n.Unflatten(-1, (2, -1)), (2, 6, 4)),
    "identity": (lambda n: n.Identity(5, x=3), (2, 3)),
    "dropout in use": (lambda n: n.Dropout(0.3).eval(), (2, 3)),
    "dropout2d in use": (lambda n: n.Dropout2d(0.3, inplace=True).eval(), (2, 3, 4, 4)),
    "relu": (lambda n: n.ReLU(), (3, 5)),
    "relu in place": (lambda n: n.Sequential(n.Linear(5, 4), n.ReLU(inplace=True)), (3, 5)),
    "leaky_relu": (lambda n: n.LeakyReLU(0.2), (3, 5)),
    "elu": (lambda n: n.ELU(0.7), (3, 5)),
    "gelu": (lambda n: n.GELU(), (3, 5)),
    "gelu tanh": (lambda n: n.GELU("tanh"), (3, 5)),
    "silu": (lambda n: n.SiLU(), (3, 5)),
    "sigmoid": (lambda n: n.Sigmoid(), (3, 5)),
    "tanh": (lambda n: n.Tanh(), (3, 5)),
    "softplus": (lambda n: n.Softplus(2.0, 0.1), (3, 5)),
    "softmax": (lambda n: n.Softmax(1), (3, 5, 2)),
    "softmax last": (lambda n: n.Softmax(-1), (3, 5)),
    "log_softmax": (lambda n: n.LogSoftmax(dim=0), (3, 5)),
    "zero_pad2d": (lambda n: n.ZeroPad2d((1, 2, 0, -1)), (2, 3, 4, 5)),
    "constant_pad2d": (lambda n: n.ConstantPad2d(2, 1.5), (2, 3, 4, 5)),
    "reflection_pad2d": (lambda n: n.ReflectionPad2d((1, 2, 3, 0)), (2, 3, 4, 5)),
    "replication_pad2d": (lambda n: n.ReplicationPad2d((1, 2, 3, 6)), (2, 3, 4, 5)),
    "circular_pad2d": (lambda n: n.CircularPad2d((1, 5, 4, 0)), (2, 3, 4, 5)),
    "a stack": (
        lambda n: n.Sequential(n.Conv2d(1, 4, 3, padding=1), n.ReLU(), n.MaxPool2d(2), n.Flatten(), n.Linear(36, 10)), (3, 1, 6, 6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_pytorch_s_words_state_output_and_gradients(name: str, dtype: str) -> None:
    make, shape = LAYERS[name]
    check_layer(make, shape, dtype)


@pytest.mark.parametrize("name", [n for n in LAYERS if n in ("linear", "conv2d", "conv2d depthwise", "conv1d")])
def test_initial_weights_have_pytorch_s_distribution(name: str) -> None:
    for _, p in LAYERS[name][0](nn).named_parameters():
        assert p.dtype == ww.float32
    scaled = {
        "linear": lambda n: n.Linear(250, 400), "conv2d": lambda n: n.Conv2d(50, 70, 3),
        "conv2d depthwise": lambda n: n.Conv2d(256, 512, 3, groups=256), "conv1d": lambda n: n.Conv1d(60, 80, 5),
    }[name]  # fmt: skip
    ours, theirs = scaled(nn), scaled(torch.nn)
    for p, q in zip(ours.parameters(), theirs.parameters()):
        a, b = p.numpy(), q.detach().numpy()
        tolerance = 4 / math.sqrt(a.size)
        assert a.shape == b.shape and abs(a.std() / b.std() - 1) < 2 * tolerance and abs(a.mean()) < tolerance * b.std()
        assert abs(np.abs(a).max() / np.abs(b).max() - 1) < 20 / a.size + 1e-3


def test_weights_move_both_ways_through_files(tmp_path: Path) -> None:
    theirs_io = pytest.importorskip("safetensors.torch")
    make = LAYERS["a stack"][0]
    ours, theirs, x = make(nn), make(torch.nn), rng.standard_normal((2, 1, 6, 6)).astype("f4")
    ww.save(ours.state_dict(), tmp_path / "ours")
    theirs.load_state_dict(theirs_io.load_file(tmp_path / "ours"))
    close(ours(ww.asarray(x)), theirs(torch.from_numpy(x)))
    theirs = make(torch.nn)
    theirs_io.save_file(theirs.state_dict(), tmp_path / "theirs")
    ours.load_state_dict(ww.load(tmp_path / "theirs"))
    close(ours(ww.asarray(x)), theirs(torch.from_numpy(x)))
    ours = make(nn)
    ours.load_state_dict(theirs.state_dict())  # and without a file
    close(ours(ww.asarray(x)), theirs(torch.from_numpy(x)))


def test_max_pooling_returns_pytorch_s_indices() -> None:
    x = distinct((2, 3, 8, 7))
    for arguments in ({}, {"stride": 1, "padding": 1, "ceil_mode": True}, {"dilation": 2, "stride": 2}):
        ours = F.max_pool2d(ww.asarray(x), 3, **arguments, return_indices=True)
        theirs = torch.nn.functional.max_pool2d(torch.from_numpy(x), 3, **arguments, return_indices=True)
        close(ours[0], theirs[0])
        assert ours[1].dtype == ww.int64 and np.array_equal(ours[1].numpy(), theirs[1].numpy())
    ours = F.max_pool1d(ww.asarray(x[0]), 3, 2, return_indices=True)
    theirs = torch.nn.functional.max_pool1d(torch.from_numpy(x[0]), 3, 2, return_indices=True)
    assert np.array_equal(ours[1].numpy(), theirs[1].numpy())


# ---- losses ----

LOSSES = {
    "mse": ("mse_loss", {}),
    "l1": ("l1_loss", {}),
    "smooth l1": ("smooth_l1_loss", {"beta": 0.5}),
    "smooth l1 without parabola": ("smooth_l1_loss", {"beta": 0.0}),
    "logits": ("binary_cross_entropy_with_logits", {}),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_elementwise_losses(name: str, reduction: str) -> None:
    function, arguments = LOSSES[name]
    x, t = distinct((5, 7)), rng.uniform(0.001, 0.999, (5, 7))
    ours, theirs = getattr(F, function), getattr(torch.nn.functional, function)
    compare(
        lambda a, b: ours(a, b, reduction=reduction, **arguments), lambda a, b: theirs(a, b, reduction=reduction, **arguments), x, t
    )


def test_binary_cross_entropy_with_weights_and_far_logits() -> None:
    x, t = np.array([[-800.0, 3.0, 800.0], [-30.0, 0.5, 60.0]]), np.array([[1.0, 0.0, 0.5], [0.25, 1.0, 0.0]])
    w, q = rng.uniform(0.5, 2, (2, 1)), rng.uniform(0.5, 2, 3)
    ours, theirs = F.binary_cross_entropy_with_logits, torch.nn.functional.binary_cross_entropy_with_logits
    compare(
        lambda a, b: ours(a, b, ww.asarray(w), pos_weight=ww.asarray(q)),
        lambda a, b: theirs(a, b, torch.from_numpy(w), pos_weight=torch.from_numpy(q)),
        x, t,
    )  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 5), (5,), (3, 5, 4), (2, 5, 3, 2)])
@pytest.mark.parametrize("kind", ["classes", "ignoring", "probabilities"])
def test_cross_entropy(shape: tuple[int, ...], weighted: bool, smoothing: float, reduction: str, kind: str) -> None:
    x, axis = rng.standard_normal(shape) * 3, 0 if len(shape) == 1 else 1
    w = rng.uniform(0.5, 2, 5) if weighted else None
    labels = np.asarray(rng.integers(0, 5, shape[:axis] + shape[axis + 1 :]))
    if kind == "ignoring" and labels.ndim:
        labels[0] = 2
    t = rng.dirichlet(np.ones(5), shape[:axis] + shape[axis + 1 :]) if kind == "probabilities" else labels
    t = np.moveaxis(t, -1, axis).copy() if kind == "probabilities" else t
    arguments = {"reduction": reduction, "label_smoothing": smoothing} | (
        {"ignore_index": 2} if kind == "ignoring" and labels.ndim else {}
    )
    compare(
        lambda a, *r: F.cross_entropy(a, ww.asarray(t), None if w is None else ww.asarray(w), **arguments),
        lambda a, *r: torch.nn.functional.cross_entropy(
            a, torch.from_numpy(t), None if w is None else torch.from_numpy(w), **arguments
        ),
        x,
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 5), (5,), (3, 5, 4)])
def test_nll_loss(shape: tuple[int, ...], weighted: bool, reduction: str) -> None:
    x, axis = rng.standard_normal(shape), 0 if len(shape) == 1 else 1
    t = np.asarray(rng.integers(0, 5, shape[:axis] + shape[axis + 1 :]))
    w = rng.uniform(0.5, 2, 5) if weighted else None
    ignore = 3 if t.ndim else -100
    compare(
        lambda a: F.nll_loss(a, ww.asarray(t), None if w is None else ww.asarray(w), ignore_index=ignore, reduction=reduction),
        lambda a: torch.nn.functional.nll_loss(
            a, torch.from_numpy(t), None if w is None else torch.from_numpy(w), ignore_index=ignore, reduction=reduction
        ),
        x,
    )


LOSS_MODULES: dict[str, tuple[Callable[[Any, Callable[[Any], Any]], Any], bool]] = {
    "cross_entropy": (lambda n, t: n.CrossEntropyLoss(t([1.0, 2.0, 3.0]), reduction="sum", label_smoothing=0.1), True),
    "nll": (lambda n, t: n.NLLLoss(ignore_index=1), True),
    "mse": (lambda n, t: n.MSELoss(), False),
    "l1": (lambda n, t: n.L1Loss(reduction="none"), False),
    "smooth_l1": (lambda n, t: n.SmoothL1Loss(beta=0.3), False),
    "bce": (lambda n, t: n.BCEWithLogitsLoss(pos_weight=t([0.5, 1.0, 2.0])), False),
}


@pytest.mark.parametrize("name", LOSS_MODULES)
def test_loss_modules(name: str) -> None:
    make, by_class = LOSS_MODULES[name]
    ours, theirs = make(nn, ww.asarray), make(torch.nn, torch.tensor)
    assert str(ours) == str(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    x = distinct((4, 3)).astype("f4")
    t = np.array([0, 1, 2, 2]) if by_class else rng.uniform(0, 1, (4, 3)).astype("f4")
    close(ours(ww.asarray(x), ww.asarray(t)), theirs(torch.from_numpy(x), torch.from_numpy(t)))


# ---- shapes ----

PADS = [
    ((1, 2), "constant", 1.5), ((-1, 2, 3, -2), "constant", None), ((0, 0, 0, 0, 2, 1), "constant", 0.0), ((3, 3), "reflect", None),
    ((1, 0, 2, 3), "reflect", None), ((4, 0, 0, 5), "replicate", None), ((5, 2, 1, 4), "circular", None), ((0, 0), "circular", None),
]  # fmt: skip


@pytest.mark.parametrize(("edges", "mode", "value"), PADS)
def test_pad(edges: tuple[int, ...], mode: str, value: float | None) -> None:
    x = distinct((2, 3, 4, 5))[: 2 if len(edges) == 4 or mode == "constant" else 1]
    x = x if len(edges) == 4 or mode == "constant" else x[0]
    compare(lambda a: F.pad(a, edges, mode, value), lambda a: torch.nn.functional.pad(a, edges, mode, value), x)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_normalize(p: float, dim: int) -> None:
    compare(lambda a: F.normalize(a, p, dim), lambda a: torch.nn.functional.normalize(a, p, dim), distinct((3, 4, 5)))


def test_normalize_of_a_zero_vector_is_zero_with_a_finite_gradient() -> None:
    x = ww.zeros((2, 3), requires_grad=True)
    y = F.normalize(x)
    y.sum().backward()
    assert not y.numpy().any() and x.grad is not None and np.isfinite(x.grad.numpy()).all()


def test_one_hot() -> None:
    t = rng.integers(0, 5, (3, 4))
    for n in (-1, 7):
        close(F.one_hot(ww.asarray(t), n), torch.nn.functional.one_hot(torch.from_numpy(t), n))


def test_dropout_in_training_keeps_the_mean_and_masks_its_gradient() -> None:
    ww.manual_seed(2)
    x = ww.ones((400, 500), requires_grad=True)
    y = nn.Dropout(0.3)(x)
    kept = y.numpy() != 0
    assert abs(kept.mean() - 0.7) < 0.01 and np.allclose(y.numpy()[kept], 1 / 0.7)
    y.sum().backward()
    assert x.grad is not None and np.array_equal(x.grad.numpy(), y.numpy())
    assert not np.array_equal(nn.Dropout(0.3)(x).numpy(), y.numpy())
    z = nn.Dropout2d(0.5)(ww.ones((50, 40, 3, 3))).numpy()
    assert set(np.unique(z.reshape(2000, 9).sum(axis=1))) == {0.0, 18.0}
    assert not nn.Dropout(1.0)(x).numpy().any() and nn.Dropout(0.0)(x).numpy().all()


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_smoothed_interpolation_is_pytorch_s(mode: str, align_corners: bool) -> None:
    """Not for one column: PyTorch 2.13 repeats the first row down it, whatever the rows are. Where a factor leaves a size as it was,
    its forward pass passes over the dimension and its backward pass does not.
    """
    rng = torch.Generator().manual_seed(0)
    for _ in range(40):
        h, w, p, q = torch.randint(2, 12, (4,), generator=rng).tolist()
        x = torch.randn(2, 3, h, w, dtype=torch.float64, generator=rng, requires_grad=True)
        mine = ww.tensor(x.detach().numpy(), requires_grad=True)
        how: dict[str, Any] = {"mode": mode, "align_corners": align_corners, "antialias": True}
        how |= {"size": (p, q)} if p % 2 else {"scale_factor": (p / 5, (q + 4) / 7)}
        if "scale_factor" in how:
            sizes = int(h * how["scale_factor"][0]), int(w * how["scale_factor"][1])
            if sizes[0] < 1 or sizes[1] < 2 or sizes[0] == h or sizes[1] == w:
                continue
        expected = torch.nn.functional.interpolate(x, **how)
        found = F.interpolate(mine, **how)
        assert found.shape == tuple(expected.shape)
        torch.testing.assert_close(torch.from_numpy(found.detach().numpy()), expected.detach(), rtol=0, atol=1e-12)
        direction = torch.randn(expected.shape, dtype=torch.float64, generator=rng)
        (expected * direction).sum().backward()
        (found * ww.asarray(direction.numpy())).sum().backward()
        torch.testing.assert_close(torch.from_numpy(mine.grad.numpy()), x.grad, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="interpolate: expected antialias with bilinear and bicubic alone"):
        F.interpolate(mine, size=3, mode="nearest", antialias=True)
