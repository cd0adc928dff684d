"""Attention against PyTorch's over random configurations, and what the op table cannot say of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf.nn import functional as F


def _tensors(arrays: list[Any]) -> list[ww.Tensor]:
    return [ww.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]


def test_masked_rows_are_zero_with_zero_gradient() -> None:
    rng = np.random.default_rng(0)
    q, k, v = _tensors([rng.standard_normal(s) for s in ((2, 3, 4), (2, 5, 4), (2, 5, 6))])
    for mask in (np.array([[True], [False], [True]]), np.array([[0.0], [-np.inf], [0.0]])):
        out = F.scaled_dot_product_attention(q, k, v, ww.asarray(mask))
        assert (out.numpy()[:, 1] == 0).all() and (out.numpy()[:, 0] != 0).all()
        for create_graph in (False, True):
            grads = ww.grad(out.sum(), [q, k, v], create_graph=create_graph, retain_graph=True)
            assert all(np.isfinite(g.numpy()).all() for g in grads)
            assert (grads[0].numpy()[:, 1] == 0).all()


def test_shared_heads_are_repeated_heads() -> None:
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(s) for s in ((2, 6, 5, 4), (2, 3, 7, 4), (2, 3, 7, 8))]
    for mask in (None, rng.integers(0, 2, (2, 6, 5, 7)) == 1, rng.integers(0, 2, (2, 1, 5, 7)) == 1):
        given = None if mask is None else ww.asarray(mask)
        got = F.scaled_dot_product_attention(*_tensors(arrays), attn_mask=given, enable_gqa=True)
        wide = [arrays[0], np.repeat(arrays[1], 2, 1), np.repeat(arrays[2], 2, 1)]
        np.testing.assert_array_equal(got.numpy(), F.scaled_dot_product_attention(*_tensors(wide), attn_mask=given).numpy())


def test_dropout_drops_weights() -> None:
    ww.manual_seed(0)
    x, values = ww.zeros((64, 4)), ww.eye(64)
    out = F.scaled_dot_product_attention(x, x, values, dropout_p=0.25).numpy() * 64
    kept = out != 0
    np.testing.assert_allclose(out[kept], 1 / 0.75, rtol=1e-6)
    assert 0.7 < kept.mean() < 0.8


def test_large_scores_do_not_overflow() -> None:
    x = ww.tensor([[1e4, 0.0], [0.0, 1e4]])
    np.testing.assert_array_equal(F.scaled_dot_product_attention(x, x, x).numpy(), x.numpy())


def test_weights_are_not_in_memory() -> None:
    n = 4096  # the weights would be 64 MiB
    args = [np.zeros((n, 8), "float32")] * 3
    out, logsumexp = np.empty((n, 8), "float32"), np.empty(n, "float32")
    kernel = ww.kernels.get("attention_forward")
    assert kernel.workspace_bytes(out, logsumexp, *args, scale=1.0) < ww.get_num_threads() * (1 << 20)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_random_configurations_are_pytorch_s(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    tolerance = 1e-10 if dtype == "float64" else 2e-4
    for _ in range(60):
        n, groups, share, length, keys, e, f = (int(x) for x in rng.integers(1, [4, 4, 4, 200, 700, 40, 40]))
        gqa = bool(rng.integers(2))
        kind = int(rng.integers(4))
        heads = groups * share if gqa else groups
        shapes = ((n, heads, length, e), (n, groups, keys, e), (n, groups, keys, f))
        arrays = [rng.standard_normal(s).astype(dtype) for s in shapes]
        mask = None
        if kind == 1:
            mask = rng.integers(0, 3, (n, 1, length, keys)) > 0
        elif kind == 2:
            mask = rng.standard_normal((heads, length, keys)).astype(dtype)
        attrs: dict[str, Any] = {"is_causal": kind == 3, "enable_gqa": gqa, "scale": float(rng.uniform(0.1, 1))}
        mine = _tensors(arrays if mask is None else [*arrays, mask])
        other = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in (arrays if mask is None else [*arrays, mask])]
        out, expected = (
            F.scaled_dot_product_attention(*mine, **attrs),
            torch.nn.functional.scaled_dot_product_attention(*other, **attrs),
        )
        np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=0, atol=tolerance)
        direction = rng.standard_normal(out.shape).astype(dtype)
        out.backward(ww.asarray(direction))
        expected.backward(torch.from_numpy(direction))
        for a, b in zip(mine, other):
            if b.grad is not None:
                largest = max(1.0, float(b.grad.abs().max()))
                np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=0, atol=tolerance * largest)
