"""Layers that learn a size from their first input, or from a state_dict: then they are what PyTorch's become."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn

ROWS: dict[str, tuple[type[nn.Module], tuple[Any, ...], dict[str, Any], type[nn.Module], tuple[int, ...]]] = {
    "linear": (nn.LazyLinear, (3,), {}, nn.Linear, (2, 5, 4)),
    "linear without bias": (nn.LazyLinear, (3, False), {}, nn.Linear, (4,)),
    "conv2d": (nn.LazyConv2d, (6, 3), {"stride": 2, "padding": 1, "groups": 2}, nn.Conv2d, (2, 4, 7, 7)),
    "conv2d of one picture": (nn.LazyConv2d, (6, (3, 2)), {"bias": False, "padding_mode": "reflect", "padding": 1}, nn.Conv2d, (4, 7, 7)),
    "conv1d": (nn.LazyConv1d, (6, 3), {"dilation": 2}, nn.Conv1d, (2, 4, 9)),
}  # fmt: skip


def made(row: str) -> tuple[Any, Any, ww.Tensor]:
    """The lazy layer, the one that it becomes, and an input."""
    lazy, args, options, plain, shape = ROWS[row]
    axis = {nn.Linear: -1, nn.Conv2d: -3, nn.Conv1d: -2}[plain]
    x = ww.asarray(np.random.default_rng(0).standard_normal(shape))
    ww.manual_seed(2)
    return lazy(*args, **options), plain(shape[axis], *args, dtype="float64", **options), x


@pytest.mark.parametrize("row", ROWS)
def test_the_first_call_makes_it_the_plain_layer_with_the_same_draws(row: str) -> None:
    layer, plain, x = made(row)
    assert isinstance(layer, type(plain)) and repr(layer).startswith(f"Lazy{type(plain).__name__}(")
    seen: list[Any] = []
    layer.register_forward_hook(lambda module, args, output: seen.append(output))
    layer.note, model = "kept", nn.Sequential(layer).eval()
    ww.manual_seed(2)
    y = model(x)
    assert y.tolist() == plain(x).tolist() and seen == [y]
    assert repr(layer) == repr(plain) and layer.note == "kept" and layer.training is False
    assert {n: p.tolist() for n, p in layer.named_parameters()} == {n: p.tolist() for n, p in plain.named_parameters()}
    assert model(x).tolist() == y.tolist() and len(seen) == 2 and copy.deepcopy(model)(x).tolist() == y.tolist()


@pytest.mark.parametrize("row", ROWS)
def test_a_state_dict_says_the_size_too(row: str) -> None:
    layer, plain, x = made(row)
    nn.Sequential(nn.ReLU(), layer).load_state_dict({f"1.{name}": value for name, value in plain.state_dict().items()})
    assert type(layer) is type(plain) and layer(x).tolist() == plain(x).tolist()


def test_parameters_before_the_first_call_are_an_error_that_names_the_layer() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.LazyLinear(4)).to("float64").half()
    with pytest.raises(ValueError, match="named_parameters: expected a call before the parameters of LazyLinear"):
        ww.optim.SGD(model.parameters())
    with pytest.raises(ValueError, match="LazyConv2d: expected input of at least 3 dimensions, got input.shape == .3, 3."):
        nn.LazyConv2d(2, 1)(ww.ones((3, 3)))
    model(ww.ones((1, 2), dtype="float16"))
    assert [p.dtype for p in model.parameters()] == [ww.float16] * 4


def test_it_is_as_pytorch_s() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    theirs, mine = (n.Sequential(n.LazyConv2d(3, 2), n.ReLU(inplace=True), n.Flatten(), n.LazyLinear(2)) for n in (torch.nn, nn))
    picture = np.random.default_rng(1).standard_normal((2, 4, 3, 3)).astype("float32")
    expected = theirs(torch.from_numpy(picture))
    mine.load_state_dict(theirs.state_dict())
    np.testing.assert_allclose(mine(ww.asarray(picture)).numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_what_modules_of_pytorch_have_besides() -> None:
    stack = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Linear(2, 2)).cpu()
    assert isinstance(stack.pop(), nn.Linear) and isinstance(stack.pop(0), nn.ReLU) and list(stack._modules) == ["0"]
    with pytest.raises(IndexError, match=r"Sequential.pop: expected i in \[-1, 1\), got 3"):
        stack.pop(3)
    with pytest.raises(AttributeError, match="Linear has no attribute 'register_full_backward_hook'; ww.grad"):
        nn.Linear(1, 1).register_full_backward_hook(print)


def test_what_has_no_parameters_yet_has_no_state() -> None:
    waiting = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"state_dict: expected 0 \(LazyLinear\) to have had a first input"):
        waiting.state_dict()
    with pytest.raises(ValueError, match='missing key.*"0.weight"'):
        waiting.load_state_dict({})


def test_a_state_that_does_not_fit_leaves_it_waiting() -> None:
    layer = nn.LazyLinear(4)
    with pytest.raises(ValueError, match='missing key.*"bias"'):
        layer.load_state_dict({"weight": ww.ones((4, 3))})
    assert type(layer) is nn.LazyLinear and layer(ww.ones((2, 5))).shape == (2, 4)


@pytest.mark.parametrize("target", ["float64", "cudasim"])
def test_to_holds_for_parameters_to_come(target: str) -> None:
    if target == "cudasim":
        pytest.importorskip("whitewolf._cudasim")
    model = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2)).to(target if target == "cudasim" else ww.float64)
    y = model(
        ww.ones((2, 3), dtype="float64" if target == "float64" else "float32", device="cpu" if target == "float64" else "cudasim")
    )
    assert all(p.dtype == y.dtype and p.device == y.device for p in model.parameters())
    other = nn.LazyLinear(4).to(ww.float64)
    with pytest.raises(TypeError, match="weight.dtype == float32"):
        other(ww.ones((2, 3)))
