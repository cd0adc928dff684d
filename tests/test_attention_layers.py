"""MultiheadAttention against PyTorch's: parameters, masks, weights, gradients, and errors in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn


def test_a_padded_batch_is_its_samples_alone() -> None:
    rng = np.random.default_rng(0)
    layer = nn.MultiheadAttention(8, 2, batch_first=True, dtype="float64")
    x = rng.standard_normal((2, 5, 8))
    padding = np.arange(5) >= np.array([[3], [5]])
    for need in (False, True):
        out, _ = layer(*[ww.asarray(x)] * 3, key_padding_mask=ww.asarray(padding), need_weights=need)
        alone, _ = layer(*[ww.asarray(x[0, :3])] * 3, need_weights=need)
        np.testing.assert_allclose(out.numpy()[0, :3], alone.numpy(), rtol=0, atol=1e-12)


def test_a_query_that_sees_nothing_has_weights_zero() -> None:
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), ww.ones((1, 3, 4))
    out, weights = layer(x, x, x, key_padding_mask=ww.ones((1, 3), dtype="bool"))
    assert weights is not None and (weights.numpy() == 0).all() and (out.numpy() == 0).all()


def test_dropout_is_for_training() -> None:
    ww.manual_seed(0)
    layer, x = nn.MultiheadAttention(4, 1, dropout=0.5, batch_first=True), ww.ones((1, 64, 4))
    _, weights = layer(x, x, x)
    assert 0.3 < (weights.numpy() == 0).mean() < 0.7
    layer.eval()
    assert (layer(x, x, x)[1].numpy() > 0).all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m, x: nn.MultiheadAttention(5, 2), ValueError, "multiple of num_heads, got 5 and 2"),
        (lambda m, x: m(x, x[..., :3], x), ValueError, r"key.shape\[-1\] == 4, got key.shape == \(3, 2, 3\)"),
        (lambda m, x: m(x, x[:2], x), ValueError, "key and value of one length"),
        (lambda m, x: m(x, x, x, attn_mask=ww.ones((2, 2))), ValueError, r"\(3, 3\) or \(4, 3, 3\), got \(2, 2\)"),
        (lambda m, x: m(x, x, x, key_padding_mask=ww.ones((3, 2))), ValueError, r"key_padding_mask.shape == \(2, 3\)"),
        (lambda m, x: m(x, x, x, attn_mask=ww.ones((3, 3), dtype="int64")), TypeError, "bool or float32"),
        (lambda m, x: m(x, x, x, is_causal=True), ValueError, "attn_mask with is_causal"),
    ],
)
def test_wrong_calls_are_named(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call(nn.MultiheadAttention(4, 2), ww.zeros((3, 2, 4)))


@pytest.mark.torch
@pytest.mark.parametrize("seed", range(40))
def test_random_configurations_are_pytorch_s(seed: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)

    def flag() -> bool:
        return bool(rng.integers(2))

    n, heads, size, length, sources = (int(x) for x in rng.integers(1, [4, 4, 6, 8, 9]))
    batch_first, batched, itself = flag(), flag(), flag()
    args: dict[str, Any] = {"bias": flag(), "add_bias_kv": flag(), "add_zero_attn": flag(), "batch_first": batch_first}
    width = heads * size
    if itself:
        sources = length
    else:
        args |= {"kdim": int(rng.integers(1, 9)), "vdim": int(rng.integers(1, 9))} if flag() else {}
    torch.manual_seed(seed)
    theirs = torch.nn.MultiheadAttention(width, heads, **args).double()
    ours = nn.MultiheadAttention(width, heads, dtype="float64", **args)
    state = {name: t.numpy() for name, t in theirs.state_dict().items()}
    assert {name: t.shape for name, t in ours.state_dict().items()} == {name: t.shape for name, t in state.items()}
    ours.load_state_dict({name: ww.asarray(t) for name, t in state.items()})

    def make(steps: int, features: int) -> Any:
        shape = (steps, features) if not batched else (n, steps, features) if batch_first else (steps, n, features)
        return rng.standard_normal(shape)

    arrays = [make(length, width)]
    if not itself:
        arrays += [make(sources, args.get("kdim", width)), make(sources, args.get("vdim", width))]
    call: dict[str, Any] = {"need_weights": flag(), "average_attn_weights": flag()}
    count = n if batched else 1
    if flag():  # the first key is always there
        call["key_padding_mask"] = (rng.integers(0, 3, (count, sources)) == 0) & (np.arange(sources) > 0)
        if not batched:
            call["key_padding_mask"] = call["key_padding_mask"][0]
    if flag():
        shape = (length, sources) if flag() else (count * heads, length, sources)
        call["attn_mask"] = (rng.integers(0, 3, shape) == 0) & (np.arange(sources) > 0)
        if flag():
            call["attn_mask"] = rng.standard_normal(shape)
            if "key_padding_mask" in call:
                call["key_padding_mask"] = np.where(call["key_padding_mask"], -np.inf, 0.5)
    mine, other = [ww.tensor(a, requires_grad=True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    given = {k: ww.asarray(v) if isinstance(v, np.ndarray) else v for k, v in call.items()}
    reference = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in call.items()}
    out, weights = ours(*(mine * 3 if itself else mine), **given)
    expected, expected_weights = theirs(*(other * 3 if itself else other), **reference)
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=0, atol=1e-10)
    assert (weights is None) == (expected_weights is None)
    if weights is not None:
        np.testing.assert_allclose(weights.numpy(), expected_weights.detach().numpy(), rtol=0, atol=1e-10)
    direction = rng.standard_normal(out.shape)
    out.backward(ww.asarray(direction))
    expected.backward(torch.from_numpy(direction))
    pairs = [*zip(mine, other), *zip(dict(ours.named_parameters()).values(), theirs.parameters())]
    for a, b in pairs:
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=0, atol=1e-10)
