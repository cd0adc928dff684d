"""Forward hooks: what they see and may change, in what order, and that a module without them is as it was."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn


def test_hooks_see_and_replace_arguments_and_outputs_in_order() -> None:
    layer, said = nn.Linear(2, 2), []

    def before(module: Any, args: Any) -> Any:
        said.append("before")
        return args[0] * 0

    def after(module: Any, args: Any, output: Any) -> Any:
        assert module is layer and args[0].tolist() == [[0, 0]]
        said.append("after")
        return output + 1

    def first(module: Any, args: Any, kwargs: Any, output: Any) -> None:
        assert kwargs == {}
        said.append("first")

    handles = [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]
    handles.append(layer.register_forward_hook(first, prepend=True, with_kwargs=True))
    out = layer(ww.ones((1, 2)))
    assert np.array_equal(out.detach().numpy(), (layer.bias.detach() + 1).numpy()[None]) and said == ["before", "first", "after"]
    for handle in handles:
        handle.remove()
        handle.remove()
    assert type(layer) is nn.Linear
    layer(ww.ones((1, 2)))
    assert len(said) == 3


def test_keyword_arguments_are_seen_and_replaced() -> None:
    layer = nn.ReLU()
    with layer.register_forward_pre_hook(lambda module, args, kwargs: ((), {"input": -kwargs["input"]}), with_kwargs=True):
        assert layer(input=ww.asarray([-2.0])).tolist() == [2]
    assert layer(input=ww.asarray([-2.0])).tolist() == [0]
    with pytest.raises(TypeError, match="register_forward_hook: expected hook to be a function, got str"):
        layer.register_forward_hook("no")  # type: ignore[arg-type]  # on purpose
    assert type(layer) is nn.ReLU


def test_a_sequence_calls_the_hooks_of_what_it_would_have_fused() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
    x = ww.asarray(np.random.default_rng(0).standard_normal((1, 1, 6, 6)).astype("f4"))
    plain, shapes = net(x), []
    handles = [
        m.register_forward_hook(lambda module, args, output: shapes.append((type(module).__name__, output.shape))) for m in net
    ]
    assert np.array_equal(net(x).detach().numpy(), plain.detach().numpy())
    assert shapes == [("Conv2d", (1, 2, 4, 4)), ("ReLU", (1, 2, 4, 4)), ("MaxPool2d", (1, 2, 2, 2))]
    for handle in handles:
        handle.remove()
    net(x)
    assert len(shapes) == 3


def double(module: Any, args: Any, output: Any) -> Any:
    return output * 2


def test_a_module_with_hooks_keeps_its_name_and_state_and_is_copied_with_them() -> None:
    layer = nn.Linear(2, 3)
    layer.register_forward_hook(double)
    assert isinstance(layer, nn.Linear) and repr(layer) == repr(nn.Linear(2, 3)) and list(layer.state_dict()) == ["weight", "bias"]
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        x = ww.ones((1, 2))
        assert np.array_equal(twin(x).detach().numpy(), layer(x).detach().numpy())
        assert np.array_equal(twin(x).detach().numpy(), 2 * twin.forward(x).detach().numpy())


def test_parts_are_found_by_name_and_change_precision() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.BatchNorm1d(3)))
    assert net.get_submodule("1.0") is net[1][0] and net.get_submodule("") is net
    assert net.get_parameter("1.0.weight") is net[1][0].weight and net.get_buffer("1.0.running_var") is net[1][0].running_var
    for wrong in (lambda: net.get_submodule("1.5"), lambda: net.get_parameter("0.weights"), lambda: net.get_buffer("1.0.weight")):
        with pytest.raises(AttributeError, match="expected target to name"):
            wrong()
    assert net.half()[0].weight.dtype == ww.float16 and net.bfloat16()[0].weight.dtype == ww.bfloat16
    assert net[1][0].num_batches_tracked.dtype == ww.int64


@pytest.mark.torch
def test_hooks_are_called_as_pytorch_calls_them() -> None:
    torch = pytest.importorskip("torch")
    said: dict[str, list[Any]] = {"ours": [], "theirs": []}
    for which, linear, ones in (("ours", nn.Linear(2, 2), ww.ones((1, 2))), ("theirs", torch.nn.Linear(2, 2), torch.ones((1, 2)))):
        note = said[which].append
        linear.register_forward_pre_hook(lambda m, args, note=note: note(("pre", len(args))))
        linear.register_forward_pre_hook(
            lambda m, args, kwargs, note=note: note(("pre kwargs", len(args), list(kwargs))), with_kwargs=True
        )
        linear.register_forward_hook(lambda m, args, out, note=note: note(("post", len(args), tuple(out.shape))))
        linear.register_forward_hook(
            lambda m, args, kwargs, out, note=note: note(("first", list(kwargs))), prepend=True, with_kwargs=True
        )
        linear(ones)
        linear(input=ones)
    assert said["ours"] == said["theirs"] and len(said["ours"]) == 8


def test_a_module_without_hooks_never_asks_for_them() -> None:
    layer = nn.Linear(2, 3)
    assert type(layer) is nn.Linear and nn.Module.__call__.__code__.co_names == ("forward",)
    layer.register_forward_hook(double)
    assert type(layer) is not nn.Linear and type(nn.Linear(2, 3)) is nn.Linear
