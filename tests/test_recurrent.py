"""Recurrent layers against PyTorch's, over random configurations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from hypothesis import given, settings
from hypothesis import strategies as st

rnn_utils = ww.nn.utils.rnn
KINDS = ("RNN", "GRU", "LSTM")


def twin(ours: ww.nn.Module, theirs: Any) -> None:
    """Gives theirs the weights of ours, by name: the keys are the same ones."""
    import torch

    theirs.load_state_dict({k: torch.from_numpy(np.array(v.numpy())) for k, v in ours.state_dict().items()}, strict=True)


def close(ours: Any, theirs: Any, dtype: str) -> None:
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=0, atol=1e-10 if dtype == "float64" else 2e-6)


def pair(kind: str, *sizes: int, dtype: str, **words: Any) -> tuple[Any, Any]:
    torch = pytest.importorskip("torch")
    ours = getattr(ww.nn, kind)(*sizes, **words, dtype=dtype)
    theirs = getattr(torch.nn, kind)(*sizes, **words, dtype=getattr(torch, dtype))
    twin(ours, theirs)
    return ours, theirs


def states_of(kind: str, arrays: list[Any]) -> Any:
    return tuple(arrays) if kind == "LSTM" else arrays[0]


def compare_gradients(ours: list[Any], theirs: list[Any], leaves: list[Any], leaves_t: list[Any], dtype: str, rng: Any) -> None:
    """Outputs, and the gradients for random gradients of all of them."""
    import torch

    for a, b in zip(ours, theirs, strict=True):
        close(a, b, dtype)
    grads = [rng.standard_normal(t.shape).astype(dtype) for t in ours]
    got = ww.grad(ours, leaves, [ww.tensor(g) for g in grads])
    want = torch.autograd.grad(theirs, leaves_t, [torch.tensor(g) for g in grads])
    for a, b in zip(got, want, strict=True):
        scale = max(1.0, float(b.abs().max()))
        close(a / scale, b / scale, dtype)


def outputs(kind: str, result: Any, packed: bool) -> list[Any]:
    out, last = result
    return [out.data if packed else out, *(last if kind == "LSTM" else (last,))]


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    sizes=st.tuples(*(st.integers(1, n) for n in (7, 11, 9, 21, 3))),
    words=st.fixed_dictionaries({"bias": st.booleans(), "batch_first": st.booleans(), "bidirectional": st.booleans()}),
    relu=st.booleans(),
    projection=st.integers(0, 8),
    states=st.booleans(),
    form=st.sampled_from(["batch", "single", "packed", "packed, unsorted"]),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 1000),
)
def test_a_layer_is_pytorch_s(
    kind: str,
    sizes: tuple[int, ...],
    words: dict[str, Any],
    relu: bool,
    projection: int,
    states: bool,
    form: str,
    dtype: str,
    seed: int,
) -> None:
    torch = pytest.importorskip("torch")
    steps, samples, features, units, layers = sizes
    rng = np.random.default_rng(seed)
    if kind == "RNN":
        words = words | {"nonlinearity": "relu" if relu else "tanh"}
    projected = kind == "LSTM" and 0 < projection < units
    if projected:
        words = words | {"proj_size": projection}
    ours, theirs = pair(kind, features, units, layers, dtype=dtype, **words)
    batch = () if form == "single" else (samples,)
    shape = (*batch, steps, features) if words["batch_first"] else (steps, *batch, features)
    count = layers * (2 if words["bidirectional"] else 1)
    arrays = [rng.standard_normal(shape).astype(dtype)]
    if states:
        widths = [projection if projected else units, units][: 2 if kind == "LSTM" else 1]
        arrays += [rng.standard_normal((count, *batch, width)).astype(dtype) for width in widths]
    mine = [ww.tensor(a, requires_grad=True) for a in arrays]
    other = [torch.tensor(a, requires_grad=True) for a in arrays]
    x, x_t, packed = mine[0], other[0], form.startswith("packed")
    if packed:
        lengths = rng.integers(1, steps + 1, samples)
        lengths[rng.integers(samples)] = steps
        if form == "packed":
            lengths = np.sort(lengths)[::-1].copy()
        how = {"batch_first": words["batch_first"], "enforce_sorted": form == "packed"}
        x = ww.nn.utils.rnn.pack_padded_sequence(x, lengths.tolist(), **how)
        x_t = torch.nn.utils.rnn.pack_padded_sequence(x_t, torch.tensor(lengths), **how)
        np.testing.assert_array_equal(x.batch_sizes.numpy(), x_t.batch_sizes.numpy())
    result = ours(x, states_of(kind, mine[1:]) if states else None)
    expected = theirs(x_t, states_of(kind, other[1:]) if states else None)
    compare_gradients(
        outputs(kind, result, packed),
        outputs(kind, expected, packed),
        [*mine, *ours.parameters()],
        [*other, *theirs.parameters()],
        dtype,
        rng,
    )
    if packed:
        pad = {"batch_first": words["batch_first"], "padding_value": -1.5, "total_length": steps + 2}
        padded, n = ww.nn.utils.rnn.pad_packed_sequence(result[0], **pad)
        padded_t, n_t = torch.nn.utils.rnn.pad_packed_sequence(expected[0], **pad)
        close(padded, padded_t, dtype)
        np.testing.assert_array_equal(n.numpy(), n_t.numpy())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_layer_of_more_than_a_tile_is_pytorch_s(kind: str, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    ours, theirs = pair(kind, 31, 67, 2, dtype=dtype, bidirectional=True)
    lengths = np.sort(rng.integers(1, 14, 41))[::-1].copy()
    x = rng.standard_normal((int(lengths[0]), 41, 31)).astype(dtype)
    mine, other = ww.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    result = ours(ww.nn.utils.rnn.pack_padded_sequence(mine, lengths.tolist()))
    expected = theirs(torch.nn.utils.rnn.pack_padded_sequence(other, torch.tensor(lengths)))
    leaves, leaves_t = [mine, *ours.parameters()], [other, *theirs.parameters()]
    compare_gradients(outputs(kind, result, True), outputs(kind, expected, True), leaves, leaves_t, dtype, rng)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 7), (7,)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_is_pytorch_s(kind: str, shape: tuple[int, ...], dtype: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = pair(kind + "Cell", 7, 13, dtype=dtype)
    rng = np.random.default_rng(3)
    array = rng.standard_normal(shape).astype(dtype)
    x, x_t = ww.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    state, state_t = None, None
    for _ in range(3):
        state, state_t = ours(x, state), theirs(x_t, state_t)
    last, last_t = (list(s) if kind == "LSTM" else [s] for s in (state, state_t))  # type: ignore[call-overload]
    compare_gradients(last, last_t, [x, *ours.parameters()], [x_t, *theirs.parameters()], dtype, rng)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [False, True])
def test_first_and_second_gradients_are_those_of_differences(kind: str, packed: bool) -> None:
    rng = np.random.default_rng(7)
    net = getattr(ww.nn, kind)(3, 4, 2, bidirectional=True, dtype="float64")
    x, h = (ww.tensor(rng.standard_normal(s), requires_grad=True) for s in ((4, 3, 3), (4, 3, 4)))
    leaves = [x, h, *net.parameters()]
    names = list(net._parameters)

    def run(x: Any, h: Any, *parameters: Any) -> Any:
        net._parameters.update(zip(names, parameters))
        states = (h, h * 0.5) if kind == "LSTM" else h
        given = ww.nn.utils.rnn.pack_padded_sequence(x, [2, 4, 1], enforce_sorted=False) if packed else x
        return tuple(outputs(kind, net(given, states), packed))

    assert ww.autograd.gradcheck(run, leaves)
    assert ww.autograd.gradgradcheck(run, leaves)


def test_what_lies_beyond_a_length_is_never_read() -> None:
    net, x = ww.nn.LSTM(3, 5, bidirectional=True), np.random.default_rng(0).standard_normal((6, 3, 3)).astype("float32")
    lengths = [2, 6, 4]
    for n, length in enumerate(lengths):
        x[length:, n] = np.nan
    out, (h, c) = net(ww.nn.utils.rnn.pack_padded_sequence(ww.tensor(x), lengths, enforce_sorted=False))
    padded, _ = ww.nn.utils.rnn.pad_packed_sequence(out)
    assert not any(np.isnan(t.numpy()).any() for t in (padded, h, c))
    for n, length in enumerate(lengths):  # and a sample in the batch has the bits that it has alone
        alone, (h_n, c_n) = net(ww.tensor(x[:length, n : n + 1]))
        np.testing.assert_array_equal(alone.numpy()[:, 0], padded.numpy()[:length, n])
        np.testing.assert_array_equal(h_n.numpy()[:, 0], h.numpy()[:, n])
        np.testing.assert_array_equal(c_n.numpy()[:, 0], c.numpy()[:, n])


def test_sequences_of_different_lengths_are_pytorch_s() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = ww.nn.utils.rnn, torch.nn.utils.rnn
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal((n, 2)).astype("float32") for n in (3, 5, 1)]
    mine, other = [ww.tensor(a) for a in arrays], [torch.tensor(a) for a in arrays]
    for first in (False, True):
        for side in ("right", "left"):
            words = {"batch_first": first, "padding_value": 2.0, "padding_side": side}
            close(ours.pad_sequence(mine, **words), theirs.pad_sequence(other, **words), "float32")
        padded = ours.pad_sequence(mine, batch_first=first)
        for back, array in zip(ours.unpad_sequence(padded, [3, 5, 1], batch_first=first), arrays):
            np.testing.assert_array_equal(back.numpy(), array)
    packed, packed_t = ours.pack_sequence(mine, enforce_sorted=False), theirs.pack_sequence(other, enforce_sorted=False)
    for a, b in zip(packed, packed_t):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for back, array in zip(ours.unpack_sequence(packed), arrays):
        np.testing.assert_array_equal(back.numpy(), array)


def test_padding_and_packing_have_second_gradients() -> None:
    rng = np.random.default_rng(2)
    x = ww.tensor(rng.standard_normal((4, 3, 2)), requires_grad=True)

    def run(x: Any) -> Any:
        packed = ww.nn.utils.rnn.pack_padded_sequence(x * x, [1, 4, 2], enforce_sorted=False)
        return ww.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)[0]

    assert ww.autograd.gradcheck(run, [x])
    assert ww.autograd.gradgradcheck(run, [x])


def test_dropout_is_between_the_layers_and_only_in_training() -> None:
    net, x = ww.nn.LSTM(4, 8, 2, dropout=1.0), ww.random.normal((3, 2, 4))
    whole = net.eval()(x)[0].numpy()
    dropped = net.train()(x)[0].numpy()
    alone = ww.nn.LSTM(8, 8)
    alone.load_state_dict({k.replace("l1", "l0"): v for k, v in net.state_dict().items() if "l1" in k})
    np.testing.assert_array_equal(dropped, alone(ww.zeros((3, 2, 8)))[0].numpy())
    assert not np.array_equal(whole, dropped)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [False, True])
def test_dropout_between_layers_is_that_of_one_layer_after_the_other(kind: str, packed: bool) -> None:
    net, x = getattr(ww.nn, kind)(4, 6, 2, dropout=0.4), ww.random.normal((5, 3, 4))
    first, second = getattr(ww.nn, kind)(4, 6), getattr(ww.nn, kind)(6, 6)
    weights = net.state_dict()
    for one, layer in ((first, "0"), (second, "1")):
        one.load_state_dict({name.replace(f"l{layer}", "l0"): w for name, w in weights.items() if name.endswith(f"l{layer}")})
    rows: Any = ww.nn.utils.rnn.pack_padded_sequence(x, [5, 4, 2]) if packed else x
    ww.manual_seed(7)
    whole = net(rows)[0]
    ww.manual_seed(7)
    between = first(rows)[0]
    if packed:
        dropped = between._replace(data=ww.nn.functional.dropout(between.data, 0.4))
        got, expected = whole.data, second(dropped)[0].data
    else:
        got, expected = whole, second(ww.nn.functional.dropout(between, 0.4))[0]
    assert got.numpy().tobytes() == expected.numpy().tobytes()
    assert got.numpy().tobytes() != (net.eval()(rows)[0].data if packed else net.eval()(rows)[0]).numpy().tobytes()


@pytest.mark.parametrize("device", [name for name, state in ww.devices().items() if state == "available"])
@pytest.mark.parametrize("kind", KINDS)
def test_of_no_steps_the_last_states_are_the_first_and_so_are_their_gradients(kind: str, device: str) -> None:
    net = getattr(ww.nn, kind)(3, 5, num_layers=2, bidirectional=True).to(device)
    given = [ww.random.normal((4, 2, 5), device=device).requires_grad_() for _ in range(2 if kind == "LSTM" else 1)]
    out, last = net(ww.zeros((0, 2, 3), device=device), states_of(kind, given))
    found = list(last) if kind == "LSTM" else [last]
    assert out.shape == (0, 2, 10) and [t.tolist() for t in found] == [t.tolist() for t in given]
    grads = [ww.random.normal((4, 2, 5), device=device) for _ in given]
    assert [g.tolist() for g in ww.grad(found, given, grads)] == [g.tolist() for g in grads]


def test_overwriting_an_output_before_backward_is_an_error() -> None:
    out, _ = ww.nn.LSTM(3, 5)(ww.ones((4, 2, 3)))
    loss = (out * out).sum()
    with ww.no_grad():
        out *= 2.0
    with pytest.raises(ww.StaleTensorError, match="overwrote"):
        loss.backward()


def test_a_sequence_of_ten_thousand_steps_needs_no_recursion() -> None:
    net, x = ww.nn.GRU(1, 2), ww.ones((10_000, 1, 1), requires_grad=True)
    net(x)[1].sum().backward()
    assert x.grad is not None and np.isfinite(x.grad.numpy()).all()


def test_all_weights_are_the_parameters_in_order() -> None:
    layer = ww.nn.GRU(3, 4, 2, bidirectional=True)
    layer.flatten_parameters()
    assert [id(w) for weights in layer.all_weights for w in weights] == [id(p) for p in layer.parameters()]
    assert [len(weights) for weights in ww.nn.RNN(3, 4, 2, bias=False).all_weights] == [2, 2]
    with pytest.raises(TypeError, match="LSTM: expected dropout to be a real number, got 'a'"):
        ww.nn.LSTM(3, 4, 2, dropout="a")  # type: ignore[arg-type]


def test_projections_have_second_gradients() -> None:
    layer = ww.nn.LSTM(2, 3, proj_size=2, bidirectional=True, dtype="float64")
    x = ww.tensor(np.random.default_rng(0).standard_normal((3, 2, 2)), requires_grad=True)
    assert ww.autograd.gradcheck(lambda x: layer(x)[0], (x,)) and ww.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))


def test_one_bias_of_two_counts_and_one_of_another_shape_is_named() -> None:
    layer = ww.nn.LSTM(2, 3)
    x = ww.ones((1, 1, 2))
    both = layer(x)[0]
    layer.bias_ih_l0, layer.bias_hh_l0 = ww.nn.Parameter((layer.bias_ih_l0 + layer.bias_hh_l0).detach()), None
    np.testing.assert_allclose(layer(x)[0].numpy(), both.numpy(), rtol=1e-6)
    layer.bias_hh_l0 = ww.nn.Parameter(ww.ones(1))
    with pytest.raises(ValueError, match=r"bias_hh\.shape == \(12,\), got \(1,\)"):
        layer(x)
