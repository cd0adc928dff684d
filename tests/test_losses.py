"""Losses and distances against PyTorch's, in every reduction, with gradients by every argument; second derivatives; errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn
from whitewolf.nn import functional as F

rng = np.random.default_rng(0)


def signs(shape: tuple[int, ...]) -> Any:
    return rng.choice([-1.0, 1.0], shape)


def logits(*shape: int) -> Any:
    return rng.standard_normal(shape) * 2


def probabilities(*shape: int) -> Any:
    return rng.uniform(0.05, 0.95, shape)


# name: function, its arrays, which of them want a gradient, options
LOSSES: dict[str, tuple[str, list[Any], str, dict[str, Any]]] = {
    "huber": ("huber_loss", [logits(5, 4), logits(5, 4)], "11", {}),
    "huber, delta": ("huber_loss", [logits(5, 4), logits(5, 4)], "11", {"delta": 0.3}),
    "smooth l1": ("smooth_l1_loss", [logits(5, 4), logits(5, 4)], "11", {"beta": 0.7}),
    "mse": ("mse_loss", [logits(5, 4), logits(5, 4)], "11", {}),
    "l1": ("l1_loss", [logits(5, 4), logits(5, 4)], "11", {}),
    "kl": ("kl_div", [np.log(probabilities(5, 4)), probabilities(5, 4)], "11", {}),
    "kl, log target": ("kl_div", [np.log(probabilities(5, 4)), np.log(probabilities(5, 4))], "11", {"log_target": True}),
    "kl, target with zeros": ("kl_div", [np.log(probabilities(5, 4)), np.eye(5, 4)], "10", {}),
    "binary cross-entropy": ("binary_cross_entropy", [probabilities(5, 4), probabilities(5, 4)], "11", {}),
    "binary cross-entropy at the ends": (
        "binary_cross_entropy", [np.array([0.0, 1.0, 0.0, 1.0, 0.5]), np.array([0.0, 1.0, 1.0, 0.0, 1.0])], "10", {},
    ),
    "binary cross-entropy, logits": ("binary_cross_entropy_with_logits", [logits(5, 4), probabilities(5, 4)], "11", {}),
    "poisson": ("poisson_nll_loss", [logits(5, 4), rng.poisson(3, (5, 4)) + 0.0], "10", {}),
    "poisson, full": ("poisson_nll_loss", [logits(5, 4), rng.poisson(3, (5, 4)) + 0.0], "10", {"full": True}),
    "poisson, rates": ("poisson_nll_loss", [probabilities(5, 4), rng.poisson(3, (5, 4)) + 0.0], "10", {"log_input": False, "eps": 0.1}),
    "gaussian": ("gaussian_nll_loss", [logits(5, 4), logits(5, 4), probabilities(5, 4)], "111", {}),
    "gaussian, full": ("gaussian_nll_loss", [logits(5, 4), logits(5, 4), probabilities(5, 1)], "111", {"full": True}),
    "gaussian, clipped": ("gaussian_nll_loss", [logits(5, 4), logits(5, 4), probabilities(5)], "111", {"eps": 0.5}),
    "soft margin": ("soft_margin_loss", [logits(5, 4), signs((5, 4))], "10", {}),
    "soft margin of classes": ("multilabel_soft_margin_loss", [logits(5, 4), (signs((5, 4)) + 1) / 2], "10", {}),
    "hinge": ("hinge_embedding_loss", [logits(5, 4), signs((5, 4))], "10", {"margin": 0.6}),
    "ranking": ("margin_ranking_loss", [logits(7), logits(7), signs((7,))], "110", {"margin": 0.4}),
    "cosine": ("cosine_embedding_loss", [logits(6, 4), logits(6, 4), signs((6,))], "110", {"margin": -0.3}),
    "cosine of one": ("cosine_embedding_loss", [logits(4), logits(4), np.array(1.0)], "110", {}),
    "triplet": ("triplet_margin_loss", [logits(6, 4), logits(6, 4), logits(6, 4)], "111", {}),
    "triplet, swapped": ("triplet_margin_loss", [logits(6, 4), logits(6, 4), logits(6, 4)], "111", {"swap": True, "p": 3.0, "margin": 4.0}),
    "multi margin": ("multi_margin_loss", [logits(6, 4), rng.integers(0, 4, 6)], "10", {}),
    "multi margin, squared": ("multi_margin_loss", [logits(6, 4), rng.integers(0, 4, 6)], "10", {"p": 2, "margin": 0.5}),
    "multi margin of one": ("multi_margin_loss", [logits(4), np.array(2)], "10", {}),
    "negative log likelihood": ("nll_loss", [logits(6, 4), rng.integers(0, 4, 6)], "10", {"ignore_index": 1}),
    "negative log likelihood, pictures": ("nll_loss", [logits(2, 4, 3, 2), rng.integers(0, 4, (2, 3, 2))], "10", {"ignore_index": 1}),
    "cross-entropy": ("cross_entropy", [logits(6, 4), rng.integers(0, 4, 6)], "10", {"ignore_index": 1, "label_smoothing": 0.2}),
    "cross-entropy, probabilities": ("cross_entropy", [logits(6, 4), probabilities(6, 4)], "11", {"label_smoothing": 0.2}),
}  # fmt: skip


def ours_and_theirs(ours: Callable[..., Any], theirs: Callable[..., Any], arrays: list[Any], grads: str) -> None:
    torch = pytest.importorskip("torch")
    wanted = [g == "1" for g in grads]
    mine = [ww.tensor(a, requires_grad=g) for a, g in zip(arrays, wanted)]
    other = [torch.tensor(a, requires_grad=g) for a, g in zip(arrays, wanted)]
    a, b = ours(*mine), theirs(*other)
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-12)
    direction = np.asarray(rng.standard_normal(tuple(b.shape)))
    a.backward(ww.asarray(direction))
    b.backward(torch.from_numpy(direction))
    for p, q, g in zip(mine, other, wanted):
        if g:
            ends = np.abs(q.grad.numpy()) > 1e9  # where PyTorch divides by 1e-12 in float32
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-8 if ends.any() else 1e-11, atol=1e-11)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "reduction"),
    [(name, r) for name in LOSSES for r in ("mean", "sum", "none")] + [(name, "batchmean") for name in LOSSES if name[:2] == "kl"],
)
def test_losses_are_pytorch_s_in_every_reduction(name: str, reduction: str) -> None:
    torch = pytest.importorskip("torch")
    function, arrays, grads, options = LOSSES[name]
    ours, theirs = getattr(F, function), getattr(torch.nn.functional, function)
    ours_and_theirs(
        lambda *a: ours(*a, reduction=reduction, **options), lambda *a: theirs(*a, reduction=reduction, **options), arrays, grads
    )


AT_A_KINK = ("kl, target with zeros", "binary cross-entropy at the ends", "gaussian, clipped")


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in AT_A_KINK])
def test_losses_are_differentiable_twice(name: str) -> None:
    function, arrays, grads, options = LOSSES[name]
    inputs = [ww.tensor(a, requires_grad=g == "1") for a, g in zip(arrays, grads)]
    assert ww.autograd.gradcheck(lambda *a: getattr(F, function)(*a, reduction="none", **options), inputs)
    assert ww.autograd.gradgradcheck(lambda *a: getattr(F, function)(*a, reduction="none", **options), inputs)


WEIGHTED = {
    "binary_cross_entropy": ([probabilities(5, 4), probabilities(5, 4)], (5, 4)),
    "multilabel_soft_margin_loss": ([logits(5, 4), probabilities(5, 4)], (4,)),
    "multi_margin_loss": ([logits(6, 4), rng.integers(0, 4, 6)], (4,)),
    "nll_loss": ([logits(6, 4, 3), rng.integers(0, 4, (6, 3))], (4,)),
    "cross_entropy": ([logits(6, 4, 3), rng.integers(0, 4, (6, 3))], (4,)),
    "huber_loss": ([logits(6, 4), logits(6, 4)], (6, 4)),
    "mse_loss": ([logits(6, 4), logits(6, 4)], (6, 4)),
    "l1_loss": ([logits(6, 4), logits(6, 4)], (6, 4)),
}


@pytest.mark.torch
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_are_pytorch_s(name: str, reduction: str) -> None:
    torch = pytest.importorskip("torch")
    arrays, shape = WEIGHTED[name]
    weight = rng.uniform(0.5, 2, shape)
    ours_and_theirs(
        lambda *a: getattr(F, name)(*a, weight=ww.asarray(weight), reduction=reduction),
        lambda *a: getattr(torch.nn.functional, name)(*a, weight=torch.from_numpy(weight), reduction=reduction),
        arrays,
        "10",
    )


@pytest.mark.torch
def test_distances_are_pytorch_s() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.functional
    for p in (1.0, 2.0, 3.0, math.inf):
        for keep in (False, True):
            arrays = [logits(5, 4), logits(5, 4)]
            ours_and_theirs(
                lambda a, b, p=p, keep=keep: F.pairwise_distance(a, b, p, keepdim=keep),
                lambda a, b, p=p, keep=keep: theirs.pairwise_distance(a, b, p, keepdim=keep), arrays, "11",
            )  # fmt: skip
    for dim in (0, 1, -1):
        arrays = [logits(5, 4, 3), logits(5, 1, 3) if dim != 1 else logits(5, 4, 3)]
        ours_and_theirs(
            lambda a, b, dim=dim: F.cosine_similarity(a, b, dim),
            lambda a, b, dim=dim: theirs.cosine_similarity(a, b, dim),
            arrays,
            "11",
        )


def test_the_angle_to_a_zero_vector_is_zero_with_a_finite_gradient() -> None:
    x, y = ww.zeros((1, 3), requires_grad=True), ww.ones((1, 3), requires_grad=True)
    cos = F.cosine_similarity(x, y)
    cos.backward(ww.ones(1))
    assert cos.item() == 0 and x.grad is not None and np.isfinite(x.grad.numpy()).all()


MODULES: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
    "huber": (lambda n: n.HuberLoss(delta=0.5), [logits(5, 4), logits(5, 4)]),
    "bce": (lambda n: n.BCELoss(), [probabilities(5, 4), probabilities(5, 4)]),
    "kl": (lambda n: n.KLDivLoss(reduction="batchmean"), [logits(5, 4), probabilities(5, 4)]),
    "poisson": (lambda n: n.PoissonNLLLoss(full=True), [logits(5, 4), rng.poisson(3, (5, 4)) + 0.0]),
    "gaussian": (lambda n: n.GaussianNLLLoss(), [logits(5, 4), logits(5, 4), probabilities(5, 4)]),
    "soft margin": (lambda n: n.SoftMarginLoss(reduction="sum"), [logits(5, 4), signs((5, 4))]),
    "multilabel": (lambda n: n.MultiLabelSoftMarginLoss(), [logits(5, 4), probabilities(5, 4)]),
    "hinge": (lambda n: n.HingeEmbeddingLoss(), [logits(5, 4), signs((5, 4))]),
    "ranking": (lambda n: n.MarginRankingLoss(0.2), [logits(5), logits(5), signs((5,))]),
    "cosine": (lambda n: n.CosineEmbeddingLoss(), [logits(5, 4), logits(5, 4), signs((5,))]),
    "triplet": (lambda n: n.TripletMarginLoss(swap=True), [logits(5, 4), logits(5, 4), logits(5, 4)]),
    "multi margin": (lambda n: n.MultiMarginLoss(2), [logits(5, 4), rng.integers(0, 4, 5)]),
    "cosine similarity": (lambda n: n.CosineSimilarity(), [logits(5, 4), logits(5, 4)]),
    "pairwise distance": (lambda n: n.PairwiseDistance(1.0, keepdim=True), [logits(5, 4), logits(5, 4)]),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", MODULES)
def test_modules_have_pytorch_s_words_and_results(name: str) -> None:
    torch = pytest.importorskip("torch")
    make, arrays = MODULES[name]
    ours, theirs = make(nn), make(torch.nn)
    assert str(ours) == str(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    ours_and_theirs(ours, theirs, arrays, "1" + "0" * (len(arrays) - 1))


def test_wrong_arguments_are_named() -> None:
    x = ww.zeros((2, 3))
    for call, error, words in (
        (lambda: F.huber_loss(x, x, delta=0.0), ValueError, "huber_loss: expected delta > 0, got 0.0"),
        (lambda: F.binary_cross_entropy(x + 2, x), ValueError, r"binary_cross_entropy: expected input in \[0, 1\], got 2.0"),
        (lambda: F.kl_div(x, x, reduction="avg"), ValueError, "kl_div: expected reduction to be 'mean', 'sum' or 'none', got 'avg'"),
        (lambda: F.gaussian_nll_loss(x, x, x - 1), ValueError, "gaussian_nll_loss: expected var >= 0, got -1.0"),
        (lambda: F.multi_margin_loss(x, ww.asarray([0, 3])), IndexError, r"multi_margin_loss: expected target in \[0, 3\)"),
        (lambda: F.multi_margin_loss(x, ww.asarray([0, 1]), p=3), ValueError, "multi_margin_loss: expected p to be 1 or 2, got 3"),
        (lambda: F.cosine_embedding_loss(x, x, ww.zeros(3)), ValueError, r"cosine_embedding_loss: expected input1 .* got .*\(3,\)"),
        (lambda: F.soft_margin_loss(x, ww.zeros(2)), ValueError, r"soft_margin_loss: expected target.shape == \(2, 3\)"),
        (lambda: F.triplet_margin_loss(x, x, ww.zeros((2, 3), dtype="float64")), TypeError, "triplet_margin_loss: expected negative.dtype"),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            call()


def test_nan_is_carried() -> None:
    x = ww.asarray([np.nan, 0.5])
    for loss in (F.huber_loss, F.binary_cross_entropy, F.kl_div, F.soft_margin_loss, F.hinge_embedding_loss):
        assert np.isnan(loss(x, ww.asarray([1.0, 1.0]), reduction="none").numpy()).tolist() == [True, False]


# ---- connectionist temporal classification ----


def spelled(path: tuple[int, ...]) -> tuple[int, ...]:
    """What frames spell: repetitions, then blanks dropped."""
    once = [c for i, c in enumerate(path) if i == 0 or c != path[i - 1]]
    return tuple(c for c in once if c != 0)


def test_ctc_loss_is_the_sum_over_all_paths() -> None:
    import itertools

    rng = np.random.default_rng(0)
    labels, sizes, frames = [[1, 1], [2, 0], [0, 0]], [2, 1, 0], [4, 3, 2]
    logits = rng.standard_normal((4, 3, 3))
    y = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    expected = []
    for n in range(3):
        paths = itertools.product(range(3), repeat=frames[n])
        total = sum(np.prod([y[t, n, c] for t, c in enumerate(p)]) for p in paths if spelled(p) == tuple(labels[n][: sizes[n]]))
        expected.append(-np.log(total))
    found = F.ctc_loss(ww.asarray(np.log(y)), ww.asarray(labels), frames, sizes, reduction="none")
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    row = F.ctc_loss(ww.asarray(np.log(y)), ww.asarray([1, 1, 2]), ww.asarray(frames), ww.asarray(sizes))
    np.testing.assert_allclose(row.item(), np.mean(np.divide(expected, [2, 1, 1])), rtol=1e-12)


def test_ctc_loss_has_first_and_second_derivatives_and_none_where_no_path_spells_the_labels() -> None:
    rng = np.random.default_rng(1)
    x = ww.tensor(rng.standard_normal((4, 2, 3)), requires_grad=True)

    def loss(x: ww.Tensor) -> ww.Tensor:
        return F.ctc_loss(F.log_softmax(x, 2), ww.asarray([[1, 1], [2, 0]]), [4, 3], [2, 1], reduction="sum")

    assert ww.autograd.gradcheck(loss, x) and ww.autograd.gradgradcheck(loss, x)
    for zero, value in ((False, np.inf), (True, 0.0)):
        y = F.ctc_loss(F.log_softmax(x, 2), ww.asarray([[1, 1], [1, 1]]), [2, 2], [2, 2], zero_infinity=zero, reduction="none")
        assert y.tolist() == [value, value] and not np.any(ww.grad(y.sum(), x).numpy())


@pytest.mark.torch
def test_ctc_loss_behind_log_softmax_has_pytorch_s_gradient() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    rng = np.random.default_rng(2)
    values, labels = rng.standard_normal((9, 3, 5)), rng.integers(1, 5, (3, 3))
    mine, theirs = ww.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    F.ctc_loss(F.log_softmax(mine, 2), ww.asarray(labels), [9, 8, 7], [3, 2, 1]).backward()
    torch.nn.functional.ctc_loss(theirs.log_softmax(2), torch.tensor(labels), [9, 8, 7], [3, 2, 1]).backward()
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), atol=1e-12)


def test_the_mean_divides_by_the_weights_of_the_samples_that_count() -> None:
    x = ww.ones((2, 2), requires_grad=True)
    loss = F.nll_loss(x, ww.tensor([1, -100]), ww.tensor(np.array([np.inf, 1], "float32")))
    loss.backward()
    assert loss.item() == -1 and x.grad.numpy().tolist() == [[0, -1], [0, 0]]
    assert np.isnan(F.nll_loss(ww.ones((2, 0)), ww.tensor([-100, -100]), ww.ones(0)).item())


@pytest.mark.parametrize("loss", [F.nll_loss, F.cross_entropy])
def test_a_class_that_int64_does_not_hold_is_named(loss: Any) -> None:
    with pytest.raises(IndexError, match=rf"^{loss.__name__}: expected target in \[0, 3\) .*, got {2**64 - 100}$"):
        loss(ww.ones((2, 3)), ww.asarray(np.array([0, 2**64 - 100], "uint64")))
    with pytest.raises(IndexError, match=rf"^{loss.__name__}: expected target in \[0, 3\) .*, got 5 at position 1$"):
        loss(ww.ones((2, 3)), ww.asarray([0, 5]))


def test_a_beta_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="smooth_l1_loss: expected beta >= 0, got nan"):
        F.smooth_l1_loss(ww.ones(2), ww.zeros(2), beta=float("nan"))


def test_huber_s_parabola_may_never_end() -> None:
    x = ww.tensor([3.0, -1e5], requires_grad=True)
    loss = F.huber_loss(x, ww.zeros(2), reduction="sum", delta=math.inf)
    loss.backward()
    assert loss.item() == np.float32(0.5 * (9 + 1e10)) and x.grad.tolist() == [3, -1e5]
