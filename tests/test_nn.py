"""Modules and containers: what they list, how they convert, and states that load whole or not at all."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn


class Net(nn.Module):
    """Two layers, a shared one, a buffer and a transient buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(3, 2, bias=False))
        self.scale = nn.Parameter(ww.ones(1))
        self.register_buffer("seen", ww.asarray([0]))
        self.register_buffer("scratch", ww.zeros(2), persistent=False)

    def forward(self, x: ww.Tensor) -> ww.Tensor:
        return self.rest(self.first(x)) * self.scale  # type: ignore[no-any-return]


KEYS = ["scale", "seen", "first.weight", "first.bias", "rest.1.weight"]


def snapshot(module: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


# ---- registration ----


def test_parameters_buffers_and_modules_are_listed_in_order() -> None:
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["scale", "first.weight", "first.bias", "rest.1.weight"]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert [n for n, _ in net.named_parameters(prefix="net")][1] == "net.first.weight"
    assert [n for n, _ in net.named_buffers()] == ["seen", "scratch"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert [n for n, _ in net.named_children()] == ["first", "rest"]
    assert list(net.children()) == [net.first, net.rest] and len(list(net.modules())) == 5
    assert list(net.state_dict()) == KEYS and list(net.state_dict(prefix="net."))[2] == "net.first.weight"
    assert len(list(net.parameters())) == 4 and len(list(net.buffers())) == 2


def test_a_shared_parameter_or_module_comes_once_in_lists_and_twice_in_the_state() -> None:
    net = Net()
    net.again, net.tied = net.first, net.rest[1].weight
    assert [n for n, _ in net.named_parameters()] == ["scale", "tied", "first.weight", "first.bias"]
    assert [n for n, _ in net.named_modules()].count("again") == 0
    assert {"again.weight", "first.weight", "tied", "rest.1.weight"} <= set(net.state_dict())
    assert "again.weight" in dict(net.named_parameters(remove_duplicate=False))


def test_assignment_registers_replaces_and_deletes() -> None:
    net = Net()
    net.scale = nn.Parameter(ww.zeros(5))
    assert dict(net.named_parameters())["scale"].shape == (5,) and list(net.state_dict()) == KEYS
    net.first = nn.Identity()
    assert [n for n, _ in net.named_parameters()] == ["scale", "rest.1.weight"]
    net.first = nn.Parameter(ww.ones(1))  # a module's name goes to a parameter
    assert "first" in dict(net.named_parameters()) and "first" not in dict(net.named_children())
    net.seen = ww.asarray([3])
    assert net.state_dict()["seen"].tolist() == [3]
    net.scale = None
    assert net.scale is None and "scale" not in net.state_dict()
    del net.rest
    with pytest.raises(AttributeError, match="Net has no attribute 'rest'"):
        net.rest  # noqa: B018
    net.note = "plain"
    assert net.note == "plain" and "note" not in net.state_dict() and "first" in dir(net)


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda n: setattr(n, "scale", ww.ones(1)), TypeError, "Net.scale: expected a Parameter or None, got Tensor"),
        (lambda n: setattr(n, "first", 3), TypeError, "Net.first: expected a Module or None, got int"),
        (lambda n: setattr(n, "seen", 3), TypeError, "Net.seen: expected a Tensor or None, got int"),
        (lambda n: n.register_parameter("a.b", None), KeyError, "no dot"),
        (lambda n: n.register_parameter("", None), KeyError, "not empty"),
        (lambda n: n.register_parameter("forward", None), KeyError, "attribute already"),
        (lambda n: n.register_parameter("w", ww.ones(1)), TypeError, "'w' to be a Parameter"),
        (lambda n: n.register_buffer("first", None), KeyError, "attribute already"),
        (lambda n: n.register_buffer("b", 3), TypeError, "'b' to be a Tensor"),
        (lambda n: n.add_module("m", 3), TypeError, "'m' to be a Module"),
        (lambda n: n.train("yes"), TypeError, "mode to be a bool"),
        (lambda n: n.to(ww.int32), TypeError, "floating dtype, got int32"),
        (lambda n: nn.Module()(1), NotImplementedError, "define forward"),
    ],
)
def test_wrong_uses_are_named(act: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        act(Net())


def test_a_module_whose_init_was_not_called_says_so() -> None:
    class Forgets(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Identity()

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Forgets()


def test_repr_nests() -> None:
    assert repr(Net()) == (
        "Net(\n  (first): Linear(in_features=4, out_features=3, bias=True)\n  (rest): Sequential(\n    (0): ReLU()\n"
        "    (1): Linear(in_features=3, out_features=2, bias=False)\n  )\n)"
    )


# ---- all at once ----


def test_train_and_eval_reach_every_module() -> None:
    net = Net()
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())


def test_apply_visits_children_first_and_in_order() -> None:
    net = Net()
    names = {id(m): n for n, m in net.named_modules()}
    seen: list[str] = []
    net.apply(lambda m: seen.append(names[id(m)]))
    assert seen == ["first", "rest.0", "rest.1", "rest", ""]


def test_zero_grad_and_requires_grad_reach_every_parameter() -> None:
    net = Net()
    net(ww.ones((2, 4))).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not p.grad.numpy().any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())
    assert not net(ww.ones((2, 4))).requires_grad


def test_to_converts_floats_alone_and_keeps_the_objects() -> None:
    net = Net()
    before = list(net.parameters())
    net(ww.ones((2, 4))).sum().backward()
    values = net.first.weight.numpy().copy()
    assert net.to(ww.float64) is net
    assert [id(p) for p in net.parameters()] == [id(p) for p in before]
    assert all(p.dtype == ww.float64 and p.grad is not None and p.grad.dtype == ww.float64 and p.is_leaf for p in before)
    assert net.seen.dtype == ww.int64 and net.scratch.dtype == ww.float64
    assert np.array_equal(net.first.weight.numpy(), values)
    assert net(ww.ones((2, 4), dtype=ww.float64)).dtype == ww.float64
    assert net.float().scale.dtype == ww.float32 and net.double().scale.dtype == ww.float64
    assert net.to("cpu", ww.float32).to(device="cpu", dtype=ww.float64).scale.dtype == ww.float64
    with pytest.raises(ww.DeviceError):
        net.to("cuda-that-is-not-there", device="tpu")


def test_what_was_saved_before_a_conversion_is_stale_after_it() -> None:
    net = Net()
    out = net(ww.ones((2, 4), requires_grad=True)).sum()
    net.to(ww.float64)
    with pytest.raises(ww.StaleTensorError):
        out.backward()


def test_deepcopy_and_pickle_are_independent_and_equal() -> None:
    net = Net()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(twin) == repr(net) and snapshot(twin) == snapshot(net)
        assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in twin.parameters())
        nn.init.zeros_(twin.first.weight)
        assert net.first.weight.numpy().any()


# ---- state ----


def test_a_state_is_loaded_in_place_and_makes_saved_tensors_stale() -> None:
    net, other = Net(), Net()
    weight = net.first.weight
    out = net(ww.ones((2, 4), requires_grad=True)).sum()
    found = net.load_state_dict(other.state_dict())
    assert found == ([], []) and snapshot(net) == snapshot(other) and net.first.weight is weight
    with pytest.raises(ww.StaleTensorError):
        out.backward()


def test_the_state_shares_memory_and_needs_no_grad() -> None:
    net = Net()
    state = net.state_dict()
    assert not any(t.requires_grad for t in state.values())
    nn.init.constant_(net.scale, 7)
    assert state["scale"].tolist() == [7.0]


def test_every_misfit_is_listed_and_nothing_changes() -> None:
    net = Net()
    before = snapshot(net)
    state: dict[str, Any] = Net().state_dict()
    del state["first.bias"], state["seen"]
    state |= {"more": ww.ones(1), "first.weight": ww.ones((3, 5)), "rest.1.weight": ww.ones(6)}
    with pytest.raises(ValueError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert text.startswith("load_state_dict: expected state_dict to fit Net:")
    assert 'missing key(s): "seen", "first.bias"' in text and 'unexpected key(s): "more"' in text
    assert 'size mismatch for "first.weight": expected shape (3, 4), got (3, 5)' in text
    assert 'size mismatch for "rest.1.weight": expected shape (2, 3), got (6,)' in text
    assert snapshot(net) == before
    with pytest.raises(ValueError) as caught:
        net.load_state_dict(state, strict=False)
    assert "size mismatch" in str(caught.value) and "missing" not in str(caught.value) and snapshot(net) == before


def test_a_value_of_another_kind_is_named_and_nothing_changes() -> None:
    net = Net()
    before = snapshot(net)
    with pytest.raises(TypeError, match='"first.weight" of dtype float32, got int64'):
        net.load_state_dict(Net().state_dict() | {"first.weight": ww.ones((3, 4), dtype=ww.int64)})
    with pytest.raises(TypeError):
        net.load_state_dict(Net().state_dict() | {"rest.1.weight": "text"})
    with pytest.raises(TypeError, match="names and tensors"):
        net.load_state_dict([1])  # type: ignore[arg-type]
    assert snapshot(net) == before


def test_loading_without_strict_takes_what_fits_and_says_what_does_not() -> None:
    net = Net()
    keys = net.load_state_dict({"scale": np.array([5.0]), "other": ww.ones(1)}, strict=False)
    assert net.scale.tolist() == [5.0] and net.scale.dtype == ww.float32
    assert keys.missing_keys == KEYS[1:] and keys.unexpected_keys == ["other"]


def test_a_checkpoint_of_a_module_comes_back(tmp_path: Path) -> None:
    net, other = Net(), Net()
    ww.save(net.state_dict(), tmp_path / "w")
    other.load_state_dict(ww.load(tmp_path / "w"))
    assert snapshot(net) == snapshot(other)
    ww.save_checkpoint(tmp_path / "c", model=net, step=3)
    third = Net()
    assert ww.load_checkpoint(tmp_path / "c", third)["step"] == 3 and snapshot(third) == snapshot(net)


@pytest.mark.parametrize("algorithm", ["SGD", "Adam"])
def test_training_goes_on_from_a_checkpoint_with_the_same_bits(tmp_path: Path, algorithm: str) -> None:
    def start() -> tuple[nn.Module, Any]:
        net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        momentum = {"momentum": 0.9} if algorithm == "SGD" else {}
        return net, getattr(ww.optim, algorithm)(net.parameters(), lr=0.01, **momentum)

    def learn(net: nn.Module, optimizer: Any, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            (net(nn.init.normal_(ww.empty((16, 4)))) ** 2).sum().backward()
            optimizer.step()

    ww.manual_seed(7)
    net, optimizer = start()
    learn(net, optimizer, 3)
    ww.save_checkpoint(tmp_path / "c", model=net, optimizer=optimizer, step=3)
    learn(net, optimizer, 4)
    ww.manual_seed(8)
    other, fresh = start()
    assert ww.load_checkpoint(tmp_path / "c", other, fresh)["step"] == 3
    learn(other, fresh, 4)
    assert snapshot(other) == snapshot(net)


# ---- containers ----


def test_sequential_indexes_slices_and_grows() -> None:
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)
    net = nn.Sequential(a, b)
    assert net.append(c) is net and len(net) == 3 and list(net) == [a, b, c]
    assert net[0] is a and net[-1] is c and list(net[1:]) == [b, c] and isinstance(net[1:], nn.Sequential)
    net[1] = nn.Tanh()
    net.insert(1, nn.Identity())
    assert [type(m).__name__ for m in net] == ["Linear", "Identity", "Tanh", "Linear"]
    del net[1:3]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    named = nn.Sequential({"in": a, "out": c})
    assert list(named.state_dict())[0] == "in.weight" and named[1] is c and list(dict(named.named_children())) == ["in", "out"]
    for i in (4, -5):
        with pytest.raises(IndexError, match="Sequential: expected i in"):
            net[i]


def test_module_lists_and_dicts_hold_parameters() -> None:
    layers = nn.ModuleList([nn.Linear(2, 2)])
    layers.extend([nn.ReLU(), nn.Linear(2, 2)]).append(nn.Tanh())
    assert len(layers) == 4 and len(list(layers.parameters())) == 4 and len(layers + [nn.ReLU()]) == 5
    assert isinstance(layers[1:3], nn.ModuleList) and layers[-1] is layers[3]
    by_name = nn.ModuleDict({"a": nn.Linear(2, 1)})
    by_name["b"] = nn.ReLU()
    by_name.update([("c", nn.Tanh())])
    assert list(by_name) == list(by_name.keys()) == ["a", "b", "c"] and "b" in by_name and len(by_name) == 3
    assert by_name.pop("b") is not None and [type(m).__name__ for m in by_name.values()] == ["Linear", "Tanh"]
    assert list(by_name.state_dict()) == ["a.weight", "a.bias"] and dict(by_name.items()).keys() == {"a", "c"}
    del by_name["c"]
    by_name.clear()
    assert len(by_name) == 0


def test_a_parameter_list_holds_parameters() -> None:
    values = nn.ParameterList([ww.ones(2), nn.Parameter(ww.zeros(3))])
    values.append(ww.ones((1, 1)))
    values[0] = ww.zeros(4)
    assert [p.shape for p in values] == [(4,), (3,), (1, 1)] and all(isinstance(p, nn.Parameter) for p in values)
    assert list(values.state_dict()) == ["0", "1", "2"] and len(values[1:]) == 2 and values[-1].shape == (1, 1)
    with pytest.raises(IndexError):
        values[3]


def test_a_parameter_shares_memory_and_version() -> None:
    x = ww.zeros(3)
    p = nn.Parameter(x)
    x[0] = 1.0
    assert p.tolist() == [1.0, 0.0, 0.0] and p._version is x._version and p.requires_grad and p.is_leaf
    assert not nn.Parameter(x, requires_grad=False).requires_grad
    with pytest.raises(TypeError, match="floating"):
        nn.Parameter(ww.arange(3))


@pytest.mark.parametrize("pool", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}])
@pytest.mark.parametrize("inplace", [False, True])
def test_sequential_runs_relu_where_it_is_cheap_with_the_same_values(
    pool: dict[str, Any], inplace: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ww.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(2, 5, 3, padding_mode="reflect", padding=1), nn.ReLU(inplace), nn.MaxPool2d(**pool), nn.Conv2d(5, 4, 3),
        nn.ReLU(), nn.Conv2d(4, 3, 1),
    )  # fmt: skip
    x = ww.random.normal((2, 2, 13, 11)).requires_grad_()
    with ww.no_grad():
        x[0, 0, :3, :3] = ww.nan
        net[0].bias[0] = -100.0  # a channel without a positive element: all its windows tie at zero
    called: list[tuple[int, ...]] = []
    relu = nn.functional.relu
    monkeypatch.setattr(nn.ReLU, "function", staticmethod(lambda x, *more: called.append(x.shape) or relu(x, *more)))
    y = net(x)
    found = ww.grad(y, [x, *net.parameters()], ww.ones_like(y))
    # In place it stays in front of the pooling, so the convolution takes it.
    assert called == [] if inplace else (len(called) == 1 and called[0][2] < 13)
    expected = x
    for module in net:
        expected = module(expected)
    np.testing.assert_array_equal(y.numpy(), expected.numpy())
    for got, by_hand in zip(found, ww.grad(expected, [x, *net.parameters()], ww.ones_like(y))):
        np.testing.assert_array_equal(got.numpy(), by_hand.numpy())


def test_sequential_calls_subclasses_as_they_are() -> None:
    class Loud(nn.ReLU):
        def forward(self, input: ww.Tensor) -> ww.Tensor:
            return input * 2

    x = ww.ones((1, 1, 4, 4))
    net = nn.Sequential(nn.Conv2d(1, 1, 1), Loud(), nn.MaxPool2d(2))
    np.testing.assert_array_equal(net(x).numpy(), nn.MaxPool2d(2)(net[0](x) * 2).numpy())


def test_transposed_convolution_gives_the_size_asked_for() -> None:
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    x = ww.ones((1, 2, 5, 6))
    assert layer(x).shape == (1, 3, 9, 11)
    for size in [(10, 11), (1, 3, 9, 12)]:
        y = layer(x, output_size=size)
        assert y.shape[2:] == size[-2:]
        extra = (size[-2] - 9, size[-1] - 11)
        by_hand = nn.functional.conv_transpose2d(x, layer.weight, layer.bias, 2, 1, extra)
        np.testing.assert_array_equal(y.detach().numpy(), by_hand.detach().numpy())
    with pytest.raises(ValueError, match=r"ConvTranspose2d: expected output_size from \(9, 11\) to \(10, 12\)"):
        layer(x, (11, 11))
    with pytest.raises(ValueError, match="ConvTranspose2d: expected output_size of 2 or 4 ints"):
        layer(x, (10,))
    assert nn.ConvTranspose1d(2, 3, 3, stride=2)(ww.ones((1, 2, 5)), [12]).shape == (1, 3, 12)
