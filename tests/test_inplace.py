"""`inplace=True`: the input's memory holds the result, and the gradients are those of the function out of place.

Generated: every function and layer that takes `inplace` is held to it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn
from whitewolf.nn import functional as F

ARGUMENTS: dict[str, tuple[Any, ...]] = {"threshold": (0.25, 7.0), "Threshold": (0.25, 7.0)}
FUNCTIONS = [n for n in F.__all__ if "inplace" in inspect.signature(getattr(F, n)).parameters]
LAYERS = [n for n in nn.__all__ if inspect.isclass(getattr(nn, n)) and "inplace" in inspect.signature(getattr(nn, n)).parameters]


def call(name: str, inplace: bool) -> Callable[[ww.Tensor], ww.Tensor]:
    more = ARGUMENTS.get(name, ())
    if name in LAYERS:
        return getattr(nn, name)(*more, inplace=inplace)
    named = {"training": True} if "training" in inspect.signature(getattr(F, name)).parameters else {}
    return lambda x: getattr(F, name)(x, *more, inplace=inplace, **named)


def values(dtype: str = "float64") -> Any:
    return np.random.default_rng(0).uniform(-4, 4, (2, 3, 5)).astype(dtype)


def test_those_of_pytorch_are_there() -> None:
    assert {
        "relu",
        "leaky_relu",
        "elu",
        "selu",
        "celu",
        "silu",
        "mish",
        "hardtanh",
        "relu6",
        "hardswish",
        "threshold",
        "dropout",
    } <= {*FUNCTIONS}
    assert {"ReLU", "Dropout", "Dropout2d", "SiLU", "Hardswish", "Threshold"} <= {*LAYERS} and len(FUNCTIONS) + len(LAYERS) >= 38


@pytest.mark.parametrize("name", [*FUNCTIONS, *LAYERS])
def test_the_input_is_the_result_and_gradients_are_those_out_of_place(name: str) -> None:
    x = ww.tensor(values(), requires_grad=True)
    found = []
    for inplace in (False, True):
        ww.manual_seed(3)
        y = x * 1
        memory, alias = y.numpy(), y
        z = call(name, inplace)(y)
        if inplace:
            assert z is alias
            np.testing.assert_array_equal(memory, z.numpy())
        first = ww.grad((z * z * z).sum(), x, create_graph=True)
        found.append((z.numpy(), first.numpy(), ww.grad((first * first).sum(), x).numpy()))
    for plain, changed in zip(*found):
        np.testing.assert_array_equal(plain, changed)


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
@pytest.mark.parametrize("name", [*FUNCTIONS, *LAYERS])
def test_outside_the_graph_views_see_it_whatever_the_dtype(name: str, dtype: str) -> None:
    x = ww.asarray(values("float32"), dtype=dtype)
    ww.manual_seed(3)
    expected = call(name, False)(ww.tensor(x))
    view = ww.flip(x)
    ww.manual_seed(3)
    assert call(name, True)(x) is x and x.dtype == expected.dtype
    np.testing.assert_array_equal(x.numpy(), expected.numpy())
    np.testing.assert_array_equal(ww.flip(view).numpy(), expected.numpy())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_leaves_shared_and_read_only_memory_are_refused(name: str) -> None:
    leaf = ww.tensor(values(), requires_grad=True)
    with pytest.raises(ValueError, match=f"{name}: expected a tensor that is no leaf"):
        call(name, True)(leaf)
    y = leaf * 1
    view = y[0]
    with pytest.raises(ValueError, match=f"{name}: expected a tensor whose memory no other sees"):
        call(name, True)(y)
    fixed = values()
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match=f"{name}: expected a tensor that can be written to"):
        call(name, True)(ww.asarray(fixed))
    np.testing.assert_array_equal(view.numpy(), values()[0])


def test_what_was_saved_of_the_input_is_stale() -> None:
    x = ww.tensor(values(), requires_grad=True)
    y = x * 2
    z = y * y
    F.relu(y, inplace=True)
    with pytest.raises(ww.StaleTensorError, match="multiply: expected the tensor it saved"):
        z.sum().backward()


@pytest.mark.parametrize("name", [n for n in LAYERS if "ropout" in n])
def test_dropout_in_use_leaves_its_input_alone(name: str) -> None:
    leaf = ww.tensor(values(), requires_grad=True)
    assert getattr(nn, name)(0.5, inplace=True).eval()(leaf) is leaf


def test_a_residual_network_written_for_pytorch_has_pytorch_s_gradients() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")

    def network(n: Any) -> Any:
        class Block(n.Module):  # type: ignore[misc,name-defined]  # of either library
            def __init__(self) -> None:
                super().__init__()
                self.conv1, self.bn1, self.conv2 = n.Conv2d(3, 3, 3, padding=1), n.BatchNorm2d(3), n.Conv2d(3, 3, 3, padding=1)
                self.relu, self.pool, self.drop = n.ReLU(inplace=True), n.MaxPool2d(2), n.Dropout(0.0, inplace=True)
                self.head = n.Sequential(n.Flatten(), n.Linear(27, 4), n.Hardswish(inplace=True), n.LeakyReLU(0.1, inplace=True))

            def forward(self, x: Any) -> Any:
                out = self.relu(self.bn1(self.conv1(x)))
                out = self.conv2(out)
                out += x
                out = self.pool(self.relu(out))
                return self.head(self.drop(self.relu(out)))

        return Block().double() if n is torch.nn else Block().to("float64")

    theirs, mine = network(torch.nn), network(nn)
    mine.load_state_dict(theirs.state_dict())
    picture = np.random.default_rng(1).standard_normal((2, 3, 6, 6))
    x, t = ww.tensor(picture, requires_grad=True), torch.tensor(picture, requires_grad=True)
    (mine(x) ** 2).sum().backward()
    (theirs(t) ** 2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-9, atol=1e-12)
    for a, b in zip(mine.parameters(), theirs.parameters()):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-12)
