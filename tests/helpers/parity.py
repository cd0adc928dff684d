"""Layers held against PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import whitewolf as ww
from whitewolf import nn

rng = np.random.default_rng(0)


def distinct(shape: tuple[int, ...]) -> Any:
    """No two elements closer than 0.01, none near a kink at 0."""
    n = math.prod(shape)
    return ((rng.permutation(n) - n // 2 + 0.5) * 0.01).reshape(shape)


def close(ours: Any, theirs: Any, terms: int = 64) -> None:
    """Equal to rounding of a sum of `terms` terms of the largest element's size."""
    a = ours.detach().numpy() if isinstance(ours, ww.Tensor) else ours
    b = theirs.detach().numpy()
    assert a.shape == b.shape and a.dtype == b.dtype, (a.shape, b.shape, a.dtype, b.dtype)
    scale = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0)))
    np.testing.assert_allclose(
        a, b, rtol=0, atol=8 * np.finfo(a.dtype).eps * scale * math.sqrt(terms) if a.dtype.kind == "f" else 0
    )


def check_layer(make: Callable[[Any], Any], shape: tuple[int, ...], dtype: str) -> None:
    """`make(nn)` and `make(torch.nn)` have the same words, names and, with the same state, the same outputs and gradients."""
    import torch

    theirs, ours = make(torch.nn).to(getattr(torch, dtype)), make(nn).to(dtype)
    assert str(ours) == str(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    theirs.load_state_dict({k: torch.from_numpy(v.numpy().copy()) for k, v in ours.state_dict().items()})
    x = distinct(shape).astype(dtype)
    a, b = ww.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out, expected = ours(a), theirs(b)
    close(out, expected)
    direction = rng.standard_normal(expected.shape).astype(dtype)
    out.backward(ww.asarray(direction))
    expected.backward(torch.from_numpy(direction))
    close(a.grad, b.grad, 256)
    for (key, p), q in zip(ours.named_parameters(), theirs.parameters()):
        assert p.grad is not None, key
        close(p.grad, q.grad, 512)
