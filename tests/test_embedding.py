"""Embeddings: gradients that are no derivatives (padding, frequencies), norms, order of additions, and parity with PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn
from whitewolf.nn import functional as F

rng = np.random.default_rng(0)

OPTIONS: list[dict[str, Any]] = [
    {},
    {"padding_idx": 2},
    {"padding_idx": -1},
    {"scale_grad_by_freq": True},
    {"padding_idx": 0, "scale_grad_by_freq": True},
    {"max_norm": 0.9},
    {"max_norm": 0.5, "norm_type": 1.0, "padding_idx": 1},
]


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("indices", ["int32", "int64"])
def test_tables_and_gradients_are_pytorch_s(options: dict[str, Any], indices: str, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    table, index = rng.standard_normal((5, 7)).astype(dtype), rng.integers(0, 5, (4, 6)).astype(indices)
    w, v = ww.tensor(table, requires_grad=True), torch.tensor(table, requires_grad=True)
    ours = F.embedding(ww.asarray(index), w, **options)
    theirs = torch.nn.functional.embedding(torch.from_numpy(index), v, **options)
    direction = rng.standard_normal((4, 6, 7)).astype(dtype)
    ours.backward(ww.asarray(direction))
    theirs.backward(torch.from_numpy(direction))
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    assert w.grad is not None
    for a, b in ((ours, theirs), (w.grad, v.grad), (w, v)):  # max_norm writes to the table
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.torch
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("options", [{}, {"padding_idx": 2}, {"max_norm": 0.9}], ids=str)
@pytest.mark.parametrize("last", [False, True])
def test_bags_and_gradients_are_pytorch_s(mode: str, options: dict[str, Any], last: bool) -> None:
    torch = pytest.importorskip("torch")
    table, index = rng.standard_normal((5, 7)), rng.integers(0, 5, 12)
    offsets = np.array([0, 3, 3, 8, 12] if last else [0, 3, 3, 8])
    w, v = ww.tensor(table, requires_grad=True), torch.tensor(table, requires_grad=True)
    ours = F.embedding_bag(ww.asarray(index), w, ww.asarray(offsets), mode=mode, include_last_offset=last, **options)
    theirs = torch.nn.functional.embedding_bag(
        torch.from_numpy(index), v, torch.from_numpy(offsets), mode=mode, include_last_offset=last, **options
    )
    direction = rng.standard_normal(tuple(theirs.shape))
    ours.backward(ww.asarray(direction))
    theirs.backward(torch.from_numpy(direction))
    assert w.grad is not None
    for a, b in ((ours, theirs), (w.grad, v.grad), (w, v)):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_frequencies_scale_the_gradient_of_bags_as_that_of_rows() -> None:
    # Not against PyTorch 2.13, whose CPU kernel divides by the frequency of another row (counts[indices[i]], i counting unique rows).
    index, direction = rng.integers(0, 5, (4, 6)), rng.standard_normal((4, 3))
    bags, rows = (ww.tensor(rng.standard_normal((5, 3)), requires_grad=True) for _ in range(2))
    F.embedding_bag(ww.asarray(index), bags, mode="sum", scale_grad_by_freq=True).backward(ww.asarray(direction))
    expected = np.zeros((5, 3))
    np.add.at(expected, index, np.broadcast_to(direction[:, None], (4, 6, 3)))
    expected /= np.maximum(np.bincount(index.ravel(), minlength=5), 1)[:, None]
    F.embedding(ww.asarray(index), rows, scale_grad_by_freq=True).sum(axis=1).backward(ww.asarray(direction))
    for w in (bags, rows):
        assert w.grad is not None
        np.testing.assert_allclose(w.grad.numpy(), expected, rtol=1e-12)


@pytest.mark.torch
@pytest.mark.parametrize(
    "make",
    [
        lambda n: n.Embedding(6, 3), lambda n: n.Embedding(6, 3, padding_idx=-2, max_norm=1.0, norm_type=1.0),
        lambda n: n.Embedding(6, 3, scale_grad_by_freq=True), lambda n: n.EmbeddingBag(6, 3),
        lambda n: n.EmbeddingBag(6, 3, max_norm=2.0, mode="sum", padding_idx=1), lambda n: n.EmbeddingBag(6, 3, mode="max"),
    ],
)  # fmt: skip
def test_layers_have_pytorch_s_words_state_and_results(make: Any) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = make(nn), make(torch.nn)
    assert str(ours) == str(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({k: torch.from_numpy(v.numpy().copy()) for k, v in ours.state_dict().items()})
    index = rng.integers(0, 6, (4, 5))
    a, b = ours(ww.asarray(index)), theirs(torch.from_numpy(index))
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_terms_of_a_row_are_added_in_order_whatever_the_threads() -> None:
    index, terms = rng.integers(0, 7, 3000), rng.standard_normal((3000, 131)).astype("float32")
    expected = np.zeros((7, 131), "float32")
    for i, term in zip(index, terms):
        expected[i] += term
    before = ww.get_num_threads()
    try:
        for threads in (1, 2, 3):
            ww.set_num_threads(threads)
            w = ww.zeros((7, 131), requires_grad=True)
            F.embedding(ww.asarray(index), w).backward(ww.asarray(terms))
            assert w.grad is not None and np.array_equal(w.grad.numpy(), expected)
    finally:
        ww.set_num_threads(before)


def test_nothing_reaches_the_padding_row_not_even_nan() -> None:
    w = ww.zeros((3, 2), requires_grad=True)
    y = F.embedding(ww.asarray([0, 1, 1]), w, padding_idx=1)
    y.backward(ww.asarray([[1.0, 1.0], [np.nan, np.nan], [np.inf, 1.0]]))
    assert w.grad is not None and w.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}, {"scale_grad_by_freq": True}], ids=str)
def test_the_gradient_is_linear_in_what_comes_back(options: dict[str, Any]) -> None:
    index = ww.asarray(rng.integers(0, 4, (3, 5)))
    grad = ww.tensor(rng.standard_normal((3, 5, 2)), requires_grad=True)

    def table_gradient(g: ww.Tensor) -> ww.Tensor:
        w = ww.tensor(np.ones((4, 2)), requires_grad=True)
        return ww.grad(F.embedding(index, w, **options), w, g, create_graph=True)

    assert ww.autograd.gradcheck(table_gradient, (grad,))
    assert ww.autograd.gradgradcheck(table_gradient, (grad,))


def test_the_padding_row_starts_as_zero_and_stays() -> None:
    layer = nn.Embedding(4, 3, padding_idx=-1)
    assert layer.padding_idx == 3 and (layer.weight.numpy()[3] == 0).all() and (layer.weight.numpy()[:3] != 0).any()
    layer(ww.asarray([3, 0])).sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.numpy().tolist() == [[1] * 3, [0] * 3, [0] * 3, [0] * 3]


def test_pretrained_tables_share_memory_and_are_frozen_unless_told() -> None:
    table = ww.asarray(rng.standard_normal((4, 3)))
    for cls in (nn.Embedding, nn.EmbeddingBag):
        layer = cls.from_pretrained(table)
        assert not layer.weight.requires_grad and np.shares_memory(layer.weight.numpy(), table.numpy())
        assert cls.from_pretrained(table, freeze=False).weight.requires_grad
    with pytest.raises(ValueError, match=r"Embedding: expected embeddings \[V, D\], got embeddings.shape == \(3,\)"):
        nn.Embedding.from_pretrained(ww.zeros(3))


def test_sparse_gradients_are_refused() -> None:
    for cls in (nn.Embedding, nn.EmbeddingBag):
        with pytest.raises(ValueError, match="sparse == False, got True"):
            cls(4, 3, sparse=True)


def test_the_raw_kernel_reads_nothing_past_its_table() -> None:
    out, table = np.zeros((2, 3), "float32"), np.ones((4, 3), "float32")
    for place in (-1, 4, 2**40):
        with pytest.raises(IndexError, match=rf"embedding_forward: expected index in \[0, 4\).*got {place} at position 1"):
            ww.kernels.get("embedding_forward")(out, np.array([0, place]), table)
    assert (out == 0).all()


def test_a_bag_s_indices_may_have_any_integer_dtype() -> None:
    for dtype in ("uint8", "int16", "int64"):
        y = F.embedding_bag(ww.asarray([1, 1], dtype=dtype), ww.asarray([[1.0], [3.0]]), ww.asarray([0], dtype=dtype), mode="sum")
        assert y.tolist() == [[6.0]]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"padding_idx": 1.5}, TypeError, "padding_idx to be an int or None, got 1.5"),
        ({"max_norm": "a"}, TypeError, "max_norm to be a real number or None, got 'a'"),
        ({"max_norm": float("nan")}, ValueError, "max_norm >= 0, got nan"),
        ({"max_norm": -1.0}, ValueError, "max_norm >= 0, got -1.0"),
        ({"max_norm": 1.0, "norm_type": -2.0}, ValueError, "norm_type >= 0, got -2.0"),
    ],
)
def test_options_that_make_no_sense_are_refused_and_change_nothing(options, error, words):
    weight = ww.asarray(np.full((4, 3), 5.0, "f4"))
    with pytest.raises(error, match="embedding: expected " + words):
        ww.nn.functional.embedding(ww.asarray([1]), weight, **options)
    assert (weight.numpy() == 5).all()
