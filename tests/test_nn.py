"""Modules, containers, initial values, gradient clipping, and what the functions check."""

from __future__ import annotations

import copy
import math
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
    assert text.startswith("load_state_dict: the state does not fit Net:")
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
        with pytest.raises(IndexError, match="Sequential: expected an index"):
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


# ---- initial values ----


@pytest.mark.parametrize(
    ("fill", "low", "high", "std"),
    [
        (lambda t: nn.init.uniform_(t, -2, 4), -2, 4, 6 / math.sqrt(12)),
        (lambda t: nn.init.normal_(t, 1, 3), -math.inf, math.inf, 3),
        (lambda t: nn.init.xavier_uniform_(t, 2.0), -2 * math.sqrt(6 / 3600), 2 * math.sqrt(6 / 3600), 2 * math.sqrt(2 / 3600)),
        (lambda t: nn.init.xavier_normal_(t), -math.inf, math.inf, math.sqrt(2 / 3600)),
        (lambda t: nn.init.kaiming_uniform_(t, mode="fan_out", nonlinearity="relu"), -math.sqrt(6 / 1800), math.sqrt(6 / 1800),
         math.sqrt(2 / 1800)),
        (lambda t: nn.init.kaiming_normal_(t, a=0.5), -math.inf, math.inf, math.sqrt(2 / 1.25 / 1800)),
    ],
    ids=["uniform", "normal", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distributions_have_their_bounds_and_deviation(fill: Any, low: float, high: float, std: float, dtype: str) -> None:
    ww.manual_seed(1)
    weight = nn.Parameter(ww.zeros((200, 200, 3, 3), dtype=dtype))
    version = weight._version[0]
    assert fill(weight) is weight and weight._version[0] > version
    values = weight.numpy().astype("f8")
    assert values.min() >= low - 1e-6 and values.max() <= high + 1e-6 and abs(values.std() / std - 1) < 0.01
    if math.isfinite(low):
        assert values.min() < low + 0.001 * std and values.max() > high - 0.001 * std


def test_the_same_seed_gives_the_same_weights_and_the_next_layer_others() -> None:
    nets = []
    for seed in (3, 3, 4):
        ww.manual_seed(seed)
        nets.append(nn.Sequential(nn.Linear(7, 7), nn.Linear(7, 7)))
    assert snapshot(nets[0]) == snapshot(nets[1]) != snapshot(nets[2])
    assert not np.array_equal(nets[0][0].weight.numpy(), nets[0][1].weight.numpy())


def test_odd_fills_one_after_the_other_do_not_repeat_numbers() -> None:
    ww.manual_seed(0)
    fills = np.concatenate([nn.init.uniform_(ww.empty(n)).numpy() for n in (1, 3, 5, 2, 7)])
    assert len(set(fills.tolist())) == 18


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (6, 2, 2), (2, 3, 3, 3)])
def test_orthogonal_matrices_are_orthogonal(shape: tuple[int, ...]) -> None:
    w = nn.init.orthogonal_(ww.empty(shape, dtype="float64"), gain=2.0).numpy().reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    assert np.allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_constants_and_gains() -> None:
    assert nn.init.constant_(ww.empty(3), 2.5).tolist() == [2.5] * 3
    assert nn.init.zeros_(ww.ones(2)).tolist() == [0, 0] and nn.init.ones_(ww.empty(2)).tolist() == [1, 1]
    gains = {"linear": 1, "conv2d": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    assert all(nn.init.calculate_gain(name) == value for name, value in gains.items())
    assert nn.init.calculate_gain("leaky_relu", 3.0) == math.sqrt(0.2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.init.xavier_uniform_(ww.empty(3)), ValueError, r"xavier_uniform_.*2 dimensions.*got tensor.shape == \(3,\)"),
        (lambda: nn.init.kaiming_normal_(ww.empty((3, 3)), mode="fan"), ValueError, "'fan'"),
        (lambda: nn.init.uniform_(ww.empty(3), 2, 1), ValueError, "a <= b"),
        (lambda: nn.init.normal_(ww.empty(3), 0, -1), ValueError, "std >= 0"),
        (lambda: nn.init.uniform_(ww.arange(3)), TypeError, "uniform_.*tensor.dtype.*int64"),
        (lambda: nn.init.calculate_gain("swish"), ValueError, "'swish'"),
        (lambda: nn.init.zeros_([1]), TypeError, "Tensor"),  # type: ignore[arg-type]
    ],
)
def test_wrong_initialisations_are_named(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


# ---- gradients and vectors ----


def with_gradients(*gradients: Any) -> list[ww.Tensor]:
    found = []
    for gradient in gradients:
        p = nn.Parameter(ww.zeros(np.shape(gradient), dtype="float64"))
        p.grad = None if gradient is None else ww.asarray(np.array(gradient, "f8"))
        found.append(p)
    return found


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, math.inf])
def test_clipping_by_norm_scales_all_gradients_together(norm_type: float) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in ((3, 4), (5,), ())]
    norm = np.linalg.norm(np.concatenate([a.ravel() for a in arrays]), norm_type)
    parameters = with_gradients(*arrays)
    parameters.append(nn.Parameter(ww.zeros(3)))  # without a gradient
    memory = parameters[0].grad
    total = nn.utils.clip_grad_norm_(parameters, norm / 2, norm_type)
    assert total.shape == () and math.isclose(total.item(), norm, rel_tol=1e-12)
    for p, a in zip(parameters, arrays):
        assert p.grad is not None and np.allclose(p.grad.numpy(), a * (norm / 2 / (norm + 1e-6)), rtol=1e-12)
    assert parameters[0].grad is memory and memory is not None and memory._version[0] > 0
    parameters = with_gradients(*arrays)
    nn.utils.clip_grad_norm_(parameters, norm * 2, norm_type)
    assert all(p.grad is not None and np.array_equal(p.grad.numpy(), a) for p, a in zip(parameters, arrays))


def test_clipping_reports_norms_that_are_not_finite_before_it_scales() -> None:
    (p,) = with_gradients([1.0, math.nan])
    with pytest.raises(ValueError, match="finite"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert p.grad is not None and p.grad.tolist()[0] == 1.0
    assert math.isnan(nn.utils.clip_grad_norm_(p, 1.0).item()) and nn.utils.clip_grad_norm_([], 1.0).item() == 0


def test_clipping_by_value() -> None:
    (p,) = with_gradients([-3.0, 0.5, 3.0])
    nn.utils.clip_grad_value_([p], 1.0)
    assert p.grad is not None and p.grad.tolist() == [-1.0, 0.5, 1.0]


def test_parameters_go_to_a_vector_and_back() -> None:
    net = Net()
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (1 + 12 + 3 + 6,) and vector.requires_grad
    nn.utils.vector_to_parameters(vector.detach() * 2, net.parameters())
    assert np.array_equal(nn.utils.parameters_to_vector(net.parameters()).numpy(), vector.numpy() * 2)
    before = snapshot(net)
    with pytest.raises(ValueError, match=r"\(22,\).*got \(21,\)"):
        nn.utils.vector_to_parameters(vector.detach()[1:], net.parameters())
    assert snapshot(net) == before
