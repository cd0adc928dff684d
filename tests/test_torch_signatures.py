"""PyTorch's names, order and defaults of arguments, for all that we have of torch.nn.functional, torch.nn and torch.optim."""

import inspect
import re

import pytest
import whitewolf as ww

torch = pytest.importorskip("torch")

# Where ours differ, and why.
OTHERWISE = {
    "functional.conv2d": "more: an activation fused behind the bias",
    "functional.fractional_max_pool2d": "PyTorch's is dispatched on return_indices and shows no arguments",
    "functional.log_softmax": "no _stacklevel: PyTorch's own, for warnings",
    "functional.normalize": "no out: nothing here writes into an argument",
    "functional.softmax": "no _stacklevel",
    "functional.softmin": "no _stacklevel",
    "nn.EmbeddingBag": "more: _freeze, for from_pretrained",
}
RECURRENT = "input_size, hidden_size, num_layers=1, {}bias=True, batch_first=False, dropout=0.0, bidirectional=False, {}device=None, dtype=None"
# PyTorch shows *args there, and documents these.
DOCUMENTED = {
    "nn.RNN": RECURRENT.format("nonlinearity='tanh', ", ""),
    "nn.LSTM": RECURRENT.format("", "proj_size=0, "),
    "nn.GRU": RECURRENT.format("", ""),
    "functional.logsigmoid": "input",
    "functional.max_pool1d": "input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False",
    "functional.max_pool2d": "input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False",
    "functional.adaptive_max_pool1d": "input, output_size, return_indices=False",
    "functional.adaptive_max_pool2d": "input, output_size, return_indices=False",
}


def _shown(parameters):
    """name=default of each, with * before those that are given by name only; 1 and 1.0 are one default."""
    parts, by_name = [], False
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and not by_name:
            by_name = True
            parts.append("*")
        default = p.default
        if callable(default) and default is not p.empty:
            default = default.__name__
        elif isinstance(default, (int, float)) and not isinstance(default, bool):
            default = float(default)
        parts.append(p.name if p.default is p.empty else f"{p.name}={default!r}")
    return ", ".join(parts)


def _parsed(text):
    return _shown(inspect.signature(eval(f"lambda {text}: 0")).parameters.values())  # our own constants and PyTorch's docstrings


def _theirs(name, found):
    if name in DOCUMENTED:
        return _parsed(DOCUMENTED[name])
    if inspect.isclass(found):
        parameters = list(inspect.signature(found.__init__).parameters.values())[1:]
        return "" if any(p.kind is p.VAR_POSITIONAL for p in parameters) else _shown(parameters)
    try:
        return _shown(inspect.signature(found).parameters.values())
    except ValueError:  # written in C++: its docstring begins with the signature
        head = re.search(rf"{found.__name__}\((.*?)\) ->", found.__doc__, re.S)
        return _parsed(re.sub(r"\s+", " ", head[1]))


def _ours(found):
    parameters = list(inspect.signature(found.__init__ if inspect.isclass(found) else found).parameters.values())
    return _shown(parameters[1:] if inspect.isclass(found) else parameters)


ROOMS = {"functional": (ww.nn.functional, torch.nn.functional), "nn": (ww.nn, torch.nn), "optim": (ww.optim, torch.optim)}
SHARED = [
    (f"{room}.{name}", getattr(ours, name), getattr(theirs, name))
    for room, (ours, theirs) in ROOMS.items()
    for name in ours.__all__
    if callable(getattr(ours, name)) and hasattr(theirs, name) and name not in ("Module", "Parameter", "Sequential", "Identity")
]


@pytest.mark.parametrize(("name", "ours", "theirs"), [pytest.param(*row, id=row[0]) for row in SHARED])
def test_arguments_have_pytorch_s_names_order_and_defaults(name, ours, theirs):
    expected = _theirs(name, theirs)
    if name in OTHERWISE:
        assert _ours(ours) != expected, f"{name} is as PyTorch's now: take it off the list"
        return
    assert _ours(ours) == expected


def test_most_is_compared():
    assert len(SHARED) - len(OTHERWISE) > 190 and {name for name, _, _ in SHARED} > OTHERWISE.keys()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_groups_and_state_have_pytorch_s_keys_before_and_after_a_step(name):
    theirs = torch.nn.Parameter(torch.ones(3))
    ours = ww.ones(3, requires_grad=True)
    options = {"SGD": {"momentum": 0.5}}.get(name, {})
    a, b = getattr(ww.optim, name)([ours], **options), getattr(torch.optim, name)([theirs], **options)
    for _ in range(2):
        mine, wanted = a.state_dict(), b.state_dict()
        assert set(mine["param_groups"][0]) == set(wanted["param_groups"][0])
        assert {k: set(v) for k, v in mine["state"].items()} == {k: set(v) for k, v in wanted["state"].items()}
        (ours * ours).sum().backward()
        (theirs * theirs).sum().backward()
        a.step(), b.step()


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("SGD", {"foreach": True, "fused": True}, ValueError, "at most one of foreach and fused"),
        ("Adam", {"differentiable": True}, ValueError, "differentiable to be False"),
        ("AdamW", {"capturable": True}, ValueError, "capturable to be False"),
        ("RMSprop", {"foreach": "yes"}, TypeError, "foreach to be True or False or None, got 'yes'"),
        ("Adagrad", {"fused": 1}, TypeError, "fused to be True or False or None, got 1"),
        ("SGD", {"differentiable": None}, TypeError, "differentiable to be True or False, got NoneType"),
    ],
)
def test_what_a_step_cannot_be_is_refused(name, options, error, words):
    with pytest.raises(error, match=f"{name}: expected {words}"):
        getattr(ww.optim, name)([ww.ones(2, requires_grad=True)], **options)


def test_the_ways_to_compute_a_step_give_the_same_bits():
    def trained(**options):
        x = ww.tensor([1.0, -2.0, 0.5], requires_grad=True)
        optimizer = ww.optim.Adam([x], lr=0.1, **options)
        for _ in range(3):
            optimizer.zero_grad()
            (x * x * x).sum().backward()
            optimizer.step()
        return x.numpy().tobytes()

    assert trained() == trained(foreach=True) == trained(fused=True) == trained(foreach=False, fused=False)


def test_adam_decouples_its_decay_where_asked():
    def trained(kind, **options):
        x = ww.tensor([1.0, -2.0], requires_grad=True)
        optimizer = kind([x], lr=0.1, weight_decay=0.5, **options)
        (x * x).sum().backward()
        optimizer.step()
        return x.numpy().tobytes()

    assert trained(ww.optim.Adam, decoupled_weight_decay=True) == trained(ww.optim.AdamW) != trained(ww.optim.Adam)


def test_a_file_from_before_these_options_loads():
    x = ww.ones(2, requires_grad=True)
    old = ww.optim.SGD([x], lr=0.5).state_dict()
    for key in ("foreach", "differentiable", "fused"):
        del old["param_groups"][0][key]
    optimizer = ww.optim.SGD([x])
    optimizer.load_state_dict(old)
    assert optimizer.param_groups[0]["lr"] == 0.5 and optimizer.param_groups[0]["foreach"] is None


@pytest.mark.parametrize(("size_average", "reduce"), [(None, False), (False, None), (True, True), (False, True), (True, False)])
@pytest.mark.parametrize("name", ["mse_loss", "kl_div", "soft_margin_loss", "binary_cross_entropy_with_logits"])
def test_the_older_names_of_a_reduction(name, size_average, reduce):
    x, t = ww.asarray([0.25, -0.5]), ww.asarray([1.0, 0.5])
    with pytest.warns(DeprecationWarning, match=name):
        got = getattr(ww.nn.functional, name)(x, t, size_average=size_average, reduce=reduce)
    wanted = "none" if reduce is False else "sum" if size_average is False else "mean"
    assert got.numpy().tobytes() == getattr(ww.nn.functional, name)(x, t, reduction=wanted).numpy().tobytes()
    with pytest.raises(TypeError, match=f"{name}: expected reduce to be True or False"):
        getattr(ww.nn.functional, name)(x, t, None, reduce="no")


def test_layers_compute_on_arguments_of_pytorch_s_names():
    def names(function):
        return [p.name for p in inspect.signature(function).parameters.values() if p.name not in ("self", "args", "kwargs")]

    for name, ours, theirs in SHARED:
        if name.startswith("nn.") and hasattr(ours, "forward") and not name.startswith(("nn.Module", "nn.ParameterList")):
            wanted = names(theirs.forward)
            assert names(ours.forward)[: len(wanted)] == wanted, name
