"""weight_norm and spectral_norm: PyTorch's keys, values, gradients and steps; copies, files and the way back."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn

LAYERS: dict[str, tuple[str, tuple[Any, ...], tuple[int, ...]]] = {
    "linear": ("Linear", (4, 3), (5, 4)), "conv2d": ("Conv2d", (4, 3, 2), (2, 4, 5, 5)), "transposed": ("ConvTranspose2d", (4, 3, 2), (2, 4, 3, 3)),
    "conv1d": ("Conv1d", (4, 6, 3), (2, 4, 7)),
}  # fmt: skip
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "weight_norm": [{}, {"dim": 1}, {"dim": None}, {"dim": -1}],
    "spectral_norm": [{}, {"n_power_iterations": 3, "eps": 1e-3}, {"dim": 1}],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("name", "options"), [(n, o) for n, rows in OPTIONS.items() for o in rows], ids=str)
def test_training_and_use_are_pytorch_s(name: str, options: dict[str, Any], layer: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    kind, args, shape = LAYERS[layer]
    theirs = getattr(torch.nn.utils, name)(getattr(torch.nn, kind)(*args), **options).double()
    mine = getattr(nn.utils, name)(getattr(nn, kind)(*args, dtype="float64"), **options)
    state = theirs.state_dict()
    assert {k: tuple(v.shape) for k, v in state.items()} == {k: v.shape for k, v in mine.state_dict().items()}
    mine.load_state_dict({k: v.numpy() for k, v in state.items()})
    their_steps, my_steps = torch.optim.SGD(theirs.parameters(), lr=0.1), ww.optim.SGD(mine.parameters(), lr=0.1)
    x = np.random.default_rng(0).standard_normal(shape)
    for step in range(4):
        if step == 3:
            theirs.eval()
            mine.eval()
        y, z = mine(ww.asarray(x)), theirs(torch.from_numpy(x))
        np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-9, atol=1e-12)
        my_steps.zero_grad()
        their_steps.zero_grad()
        (y * y).mean().backward()
        (z * z).mean().backward()
        for p, q in zip(mine.parameters(), theirs.parameters()):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-8, atol=1e-12)
        my_steps.step()
        their_steps.step()
    for (key, value), (_, wanted) in zip(sorted(mine.state_dict().items()), sorted(theirs.state_dict().items())):
        np.testing.assert_allclose(value.numpy(), wanted.numpy(), rtol=1e-8, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_layer_can_be_copied_read_and_made_plain_again(name: str) -> None:
    x = ww.ones((2, 4))
    model = nn.Sequential(getattr(nn.utils, name)(nn.Linear(4, 3)), nn.ReLU(inplace=True))
    model(x).sum().backward()
    model.eval()
    layer, expected = model[0], model(x).tolist()
    assert not layer.weight.requires_grad and layer.weight.shape == (3, 4)
    twin = copy.deepcopy(model)
    assert twin(x).tolist() == expected
    twin[0].bias.detach().zero_()
    assert model(x).tolist() == expected
    with pytest.raises(ValueError, match=f"remove_{name}: expected name of a weight that {name} made for Linear, got 'bias'"):
        getattr(nn.utils, f"remove_{name}")(layer, "bias")
    plain = getattr(nn.utils, f"remove_{name}")(layer)
    assert plain is layer and sorted(n for n, _ in plain.named_parameters()) == ["bias", "weight"] and type(plain) is nn.Linear
    np.testing.assert_allclose(model(x).numpy(), np.array(expected), rtol=1e-6)
    with pytest.raises(ValueError, match=f"{name}: expected name to be a parameter of Linear, got 'strange'"):
        getattr(nn.utils, name)(plain, "strange")


def test_the_largest_singular_value_is_one_and_lengths_are_g() -> None:
    layer = nn.utils.spectral_norm(nn.Linear(6, 5, dtype="float64"), n_power_iterations=200)
    layer(ww.ones((1, 6), dtype="float64"))
    assert np.linalg.norm(layer.weight.numpy(), 2) == pytest.approx(1.0, rel=1e-9)
    layer = nn.utils.weight_norm(nn.Linear(6, 5, dtype="float64"))
    with ww.no_grad():
        layer.weight_g.fill_(2.0)
    layer(ww.ones((1, 6), dtype="float64"))
    np.testing.assert_allclose(np.linalg.norm(layer.weight.numpy(), axis=1), 2.0)


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_norms_of_weights_refuse_recurrent_layers(norm: Any) -> None:
    for layer, name in ((nn.LSTM(2, 2), "weight_ih_l0"), (nn.LSTMCell(2, 2), "weight_ih")):
        with pytest.raises(TypeError, match="expected module to read its weight when it is called, got LSTM"):
            norm(layer, name=name)
        assert name in dict(layer.named_parameters())
