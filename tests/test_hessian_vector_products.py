"""Hessian-vector products: the gradient of (gradient . v) through whole networks, against differences of the gradient in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn
from whitewolf.nn import functional as F

Loss = Callable[..., ww.Tensor]


def hessian_vector_product(loss: Loss, at: Sequence[Any], v: Sequence[Any]) -> list[Any]:
    """H v for the Hessian H of `loss` by all of `at` (Pearlmutter 1994): two walks back, no matrix."""
    xs = [ww.tensor(a, requires_grad=True) for a in at]
    grads = ww.grad(loss(*xs), xs, create_graph=True)
    along = ww.asarray(0.0, dtype="float64")
    for grad, direction in zip(grads, v):
        along = along + (grad * ww.asarray(direction)).sum()
    return [product.numpy() for product in ww.grad(along, xs)]


def difference(loss: Loss, at: Sequence[Any], v: Sequence[Any], step: float = 1e-5) -> list[Any]:
    """(gradient(x + step v) - gradient(x - step v)) / (2 step)."""

    def gradient(sign: float) -> list[Any]:
        xs = [ww.tensor(a + sign * step * d, requires_grad=True) for a, d in zip(at, v)]
        return [g.numpy() for g in ww.grad(loss(*xs), xs)]

    return [(a - b) / (2 * step) for a, b in zip(gradient(1), gradient(-1))]


LABELS = ww.asarray(np.array([1, 0, 3]))
SEEN = ww.asarray(np.tri(5, dtype=bool)[None])


def products(x: ww.Tensor, a: ww.Tensor, b: ww.Tensor) -> ww.Tensor:
    return ww.tanh(x @ a @ b).sum() + F.softmax(x @ a, -1).pow(2).sum()


def classifier(x: ww.Tensor, w: ww.Tensor, b: ww.Tensor) -> ww.Tensor:
    return F.cross_entropy(F.linear(ww.tanh(x), w, b), LABELS, label_smoothing=0.1)


def convolutions(x: ww.Tensor, w: ww.Tensor, head: ww.Tensor) -> ww.Tensor:
    y = F.avg_pool2d(F.gelu(F.conv2d(x, w, padding=1, stride=2)), 2)
    return F.cross_entropy(ww.reshape(y, (3, -1)) @ head, LABELS)


def attends(q: ww.Tensor, k: ww.Tensor, v: ww.Tensor) -> ww.Tensor:
    plain = F.scaled_dot_product_attention(q, k, v)
    causal = F.scaled_dot_product_attention(q, k, v, attn_mask=SEEN, is_causal=True, scale=0.7)
    return (plain * causal).sum()


def added(q: ww.Tensor, k: ww.Tensor, v: ww.Tensor, mask: ww.Tensor) -> ww.Tensor:
    return F.scaled_dot_product_attention(q, k, v, mask).pow(3).sum()


def picks(x: ww.Tensor, src: ww.Tensor) -> ww.Tensor:
    places = ww.asarray(np.array([[2, 2, 0], [1, 0, 1]]))
    y = ww.scatter_add(ww.exp(x), 1, places, src.pow(3))
    return (ww.gather(y, 1, places).pow(2) * src).sum() + ww.topk(x * x, 2).values.pow(2).sum()


def normalised(x: ww.Tensor, w: ww.Tensor, b: ww.Tensor, rows: ww.Tensor) -> ww.Tensor:
    y = F.batch_norm(x, None, None, w, b, training=True, eps=0.5) * F.group_norm(x, 2, b, w, eps=0.5)
    y = y + F.instance_norm(x, weight=w, eps=0.5)
    y = F.layer_norm(ww.tanh(y), (3, 2), rows) + F.rms_norm(y, (3, 2), rows) + F.local_response_norm(x, 3, alpha=0.5)
    return (y * y * y).sum()


def looked_up(table: ww.Tensor, share: ww.Tensor) -> ww.Tensor:
    index = ww.asarray(np.array([[0, 2, 2], [1, 0, 2]]))
    rows = F.embedding(index, ww.tanh(table))
    bags = F.embedding_bag(index, table * table, mode="sum", per_sample_weights=share) * F.embedding_bag(index, table)
    return rows.pow(3).sum() + bags.pow(2).sum() + F.embedding_bag(index, table, mode="max").pow(3).sum()


def grown(x: ww.Tensor, w: ww.Tensor, v: ww.Tensor) -> ww.Tensor:
    y = ww.tanh(F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1, groups=2, dilation=2))
    z = F.conv_transpose1d(ww.reshape(x, (2, 4, 6)), v, stride=3, output_padding=2)
    return y.pow(3).sum() + F.mish(z).pow(2).sum() + F.interpolate(y, scale_factor=1.5, mode="bilinear").pow(2).sum()


def lost(x: ww.Tensor, y: ww.Tensor) -> ww.Tensor:
    p, q = ww.tanh(x) * 0.4 + 0.5, F.softmax(y, -1)
    likelihoods = F.binary_cross_entropy(p, q) + F.kl_div(F.log_softmax(x, -1), q) + F.gaussian_nll_loss(x, y, p)
    logits = F.binary_cross_entropy_with_logits(x, q) + F.nll_loss(F.log_softmax(x, -1), LABELS) + F.poisson_nll_loss(x, p)
    angles = F.cosine_similarity(x, y).pow(2).sum() + F.pairwise_distance(x, y).pow(3).sum()
    return (
        likelihoods
        + logits
        + angles
        + F.mse_loss(x, y)
        + F.l1_loss(x, y)
        + F.smooth_l1_loss(x, y)
        + F.huber_loss(x, y)
        + F.soft_margin_loss(x, q)
    )


NETWORKS: dict[str, tuple[Loss, tuple[tuple[int, ...], ...]]] = {
    "matmul and softmax": (products, ((3, 4), (4, 5), (5, 2))),
    "cross-entropy": (classifier, ((3, 6), (4, 6), (4,))),
    "convolution": (convolutions, ((3, 2, 8, 8), (4, 2, 3, 3), (16, 4))),
    "attention": (attends, ((2, 5, 4), (2, 5, 4), (2, 5, 3))),
    "attention with an added mask": (added, ((2, 5, 4), (2, 6, 4), (2, 6, 3), (5, 6))),
    "normalisation": (normalised, ((3, 4, 3, 2), (4,), (4,), (3, 2))),
    "embedding": (looked_up, ((4, 3), (2, 3))),
    "transposed convolution and interpolation": (grown, ((2, 4, 3, 2), (4, 3, 3, 2), (4, 2, 4))),
    "losses and distances": (lost, ((3, 5), (3, 5))),
    "gather, scatter_add and topk": (picks, ((2, 4), (2, 3))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_hessian_vector_products_are_differences_of_gradients(name: str) -> None:
    loss, shapes = NETWORKS[name]
    rng = np.random.default_rng(3)
    at, v = ([rng.standard_normal(s) for s in shapes] for _ in range(2))
    for got, expected in zip(hessian_vector_product(loss, at, v), difference(loss, at, v), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7 * max(1.0, float(np.abs(expected).max())))


def test_the_hessian_is_symmetric() -> None:
    loss, shapes = NETWORKS["attention"]
    rng = np.random.default_rng(4)
    at, u, v = ([rng.standard_normal(s) for s in shapes] for _ in range(3))
    left = sum(float((a * b).sum()) for a, b in zip(u, hessian_vector_product(loss, at, v)))
    right = sum(float((a * b).sum()) for a, b in zip(v, hessian_vector_product(loss, at, u)))
    assert left == pytest.approx(right, rel=1e-10)


def _attention(need_weights: bool) -> tuple[nn.Module, Callable[[Any, ww.Tensor], ww.Tensor]]:
    layer = nn.MultiheadAttention(6, 2, batch_first=True, dtype="float64")
    return layer, lambda layer, x: layer(x, x, x, need_weights=need_weights)[0]


def _recurrent(kind: str) -> tuple[nn.Module, Callable[[Any, ww.Tensor], ww.Tensor]]:
    layer = getattr(nn, kind)(6, 3, 2, batch_first=True, bidirectional=True, dtype="float64")
    return layer, lambda layer, x: layer(x)[0]


LAYERS = {
    "attention": lambda: _attention(False),
    "attention, weights": lambda: _attention(True),
    "LSTM": lambda: _recurrent("LSTM"),
    "GRU": lambda: _recurrent("GRU"),
    "RNN": lambda: _recurrent("RNN"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_hessian_vector_products_reach_the_parameters_of_a_layer(name: str) -> None:
    rng = np.random.default_rng(5)
    ww.manual_seed(0)
    layer, call = LAYERS[name]()
    head = nn.Linear(6, 4, dtype="float64")
    x = ww.asarray(rng.standard_normal((3, 5, 6)))
    params = [*layer.parameters(), *head.parameters()]
    v = [rng.standard_normal(p.shape) for p in params]

    def gradient(create_graph: bool = False) -> Any:
        loss = F.cross_entropy(head(call(layer, x))[:, -1], LABELS)
        return ww.grad(loss, params, create_graph=create_graph)

    along = ww.asarray(0.0, dtype="float64")
    for grad, direction in zip(gradient(True), v):
        along = along + (grad * ww.asarray(direction)).sum()
    products = ww.grad(along, params)
    ends = []
    for step in (1e-5, -2e-5):  # there, and back past the start
        with ww.no_grad():
            for p, d in zip(params, v):
                p += ww.asarray(step * d)
        ends.append([g.numpy() for g in gradient()])
    for product, after, before in zip(products, *ends):
        np.testing.assert_allclose(product.numpy(), (after - before) / 2e-5, rtol=1e-5, atol=1e-7)
