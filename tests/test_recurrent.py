"""Recurrent layers against PyTorch's, over random configurations, and what they say of wrong input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from hypothesis import given, settings
from hypothesis import strategies as st


def twin(ours: ww.nn.Module, theirs: Any) -> None:
    """Gives theirs the weights of ours, by name: the keys are the same ones."""
    import torch

    theirs.load_state_dict({k: torch.from_numpy(np.array(v.numpy())) for k, v in ours.state_dict().items()}, strict=True)


def close(ours: Any, theirs: Any, dtype: str) -> None:
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=0, atol=1e-10 if dtype == "float64" else 2e-5)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.tuples(*(st.integers(1, n) for n in (7, 11, 9, 21, 3))),
    words=st.fixed_dictionaries({"bias": st.booleans(), "batch_first": st.booleans(), "bidirectional": st.booleans()}),
    states=st.booleans(),
    single=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 1000),
)
def test_an_lstm_is_pytorch_s(
    sizes: tuple[int, ...], words: dict[str, bool], states: bool, single: bool, dtype: str, seed: int
) -> None:
    torch = pytest.importorskip("torch")
    steps, samples, features, units, layers = sizes
    rng = np.random.default_rng(seed)
    ours = ww.nn.LSTM(features, units, layers, **words, dtype=dtype)
    theirs = torch.nn.LSTM(features, units, layers, **words, dtype=getattr(torch, dtype))
    twin(ours, theirs)
    batch = () if single else (samples,)
    shape = (*batch, steps, features) if words["batch_first"] else (steps, *batch, features)
    count = layers * (2 if words["bidirectional"] else 1)
    arrays = [rng.standard_normal(shape).astype(dtype)]
    if states:
        arrays += [rng.standard_normal((count, *batch, units)).astype(dtype) for _ in range(2)]
    mine = [ww.tensor(a, requires_grad=True) for a in arrays]
    other = [torch.tensor(a, requires_grad=True) for a in arrays]
    out, (h, c) = ours(mine[0], tuple(mine[1:]) if states else None)
    out_t, (h_t, c_t) = theirs(other[0], tuple(other[1:]) if states else None)
    for a, b in ((out, out_t), (h, h_t), (c, c_t)):
        close(a, b, dtype)
    grads = [rng.standard_normal(t.shape).astype(dtype) for t in (out, h, c)]
    leaves = [*mine, *ours.parameters()]
    got = ww.grad([out, h, c], leaves, [ww.tensor(g) for g in grads])
    want = torch.autograd.grad([out_t, h_t, c_t], [*other, *theirs.parameters()], [torch.tensor(g) for g in grads])
    for a, b in zip(got, want, strict=True):
        scale = max(1.0, float(b.abs().max()))
        close(a / scale, b / scale, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 7), (7,)])
def test_a_cell_is_pytorch_s(shape: tuple[int, ...], dtype: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = ww.nn.LSTMCell(7, 13, dtype=dtype), torch.nn.LSTMCell(7, 13, dtype=getattr(torch, dtype))
    twin(ours, theirs)
    rng = np.random.default_rng(3)
    x = rng.standard_normal(shape).astype(dtype)
    state, state_t = None, None
    for _ in range(3):
        state, state_t = ours(ww.tensor(x), state), theirs(torch.tensor(x), state_t)
    assert state is not None and state_t is not None
    close(state[0], state_t[0], dtype)
    close(state[1], state_t[1], dtype)


def test_dropout_is_between_the_layers_and_only_in_training() -> None:
    net, x = ww.nn.LSTM(4, 8, 2, dropout=1.0), ww.random.normal((3, 2, 4))
    whole = net.eval()(x)[0].numpy()
    dropped = net.train()(x)[0].numpy()
    alone = ww.nn.LSTM(8, 8)
    alone.load_state_dict({k.replace("l1", "l0"): v for k, v in net.state_dict().items() if "l1" in k})
    np.testing.assert_array_equal(dropped, alone(ww.zeros((3, 2, 8)))[0].numpy())
    assert not np.array_equal(whole, dropped)


def test_overwriting_an_output_before_backward_is_an_error() -> None:
    out, _ = ww.nn.LSTM(3, 5)(ww.ones((4, 2, 3)))
    loss = (out * out).sum()
    with ww.no_grad():
        out *= 2.0
    with pytest.raises(ww.StaleTensorError, match="overwrote"):
        loss.backward()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ww.nn.LSTM(3, 0), "LSTM: expected hidden_size to be an int >= 1, got 0"),
        (lambda: ww.nn.LSTM(3, 5, dropout=1.5), r"LSTM: expected dropout in \[0, 1\], got 1.5"),
        (lambda: ww.nn.LSTM(3, 5)(ww.ones((4, 2, 7))), r"input.shape\[-1\] == 3 \(input_size\), got \(4, 2, 7\)"),
        (lambda: ww.nn.LSTM(3, 5)(ww.ones((4, 2, 3)), (ww.ones((1, 3, 5)),) * 2), r"h_0.shape == \(1, 2, 5\).*got \(1, 3, 5\)"),
        (lambda: ww.nn.LSTMCell(3, 5)(ww.ones((2, 4))), r"LSTMCell: expected input .* == 3, got \(2, 4\)"),
        (lambda: ww.nn.LSTMCell(3, 5)(ww.ones((2, 3)), (ww.ones((2, 5)), ww.ones((1, 5)))), r"c.shape == \(2, 5\), got \(1, 5\)"),
    ],
)
def test_wrong_sizes_are_named(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_a_wrong_dtype_is_named() -> None:
    with pytest.raises(TypeError, match="float64"):
        ww.nn.LSTM(3, 5)(ww.ones((4, 2, 3), dtype=ww.float64))
