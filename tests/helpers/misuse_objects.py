"""Generated misuse of classes, their objects and the rooms beside the top namespace: constructors with each argument in turn replaced by
each bad value, what a layer computes likewise, methods, files and initialisers. Runs in a child process; main and the contract are as
in helpers/misuse.py, and: each call ends within SECONDS; what a constructor accepts, computes.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import whitewolf as ww
from whitewolf import amp, autograd, data, io, nn, optim

from helpers.misuse import ELSEWHERE, GOOD, TYPED, bad_values, documented, elsewhere, floats, ints, limit_memory

SECONDS = 10
# As in PyTorch, labels and lengths may lie on the CPU beside what is on a GPU.
FROM_ANYWHERE = {"nn.CTCLoss", "rnn.pack_padded_sequence", "rnn.unpad_sequence"}


def _weights() -> list[ww.Tensor]:
    w = floats(2, 2).requires_grad_()
    w.grad = floats(2, 2)
    return [w]


def _optimizer() -> Any:
    return optim.SGD(_weights(), lr=0.1)


@functools.cache
def _one_optimizer() -> Any:
    """For schedules over schedules, which are all over one."""
    return _optimizer()


# A good value for each argument of a constructor, by its name...
MADE_OF: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(("in_features", "in_channels", "out_channels", "num_features", "num_channels", "normalized_shape", "input_size",
                     "embed_dim", "d_model", "in1_features", "in2_features", "num_embeddings"), lambda: 4),
    **dict.fromkeys(("out_features", "embedding_dim", "hidden_size"), lambda: 3),
    **dict.fromkeys(("kernel_size", "output_size", "num_groups", "groups", "num_heads", "nhead", "upscale_factor", "downscale_factor", "size",
                     "num_layers", "T_max", "T_0", "step_size", "total_steps"), lambda: 2),
    **dict.fromkeys(("padding", "dim"), lambda: 1), **dict.fromkeys(("value", "threshold", "norm_type", "gamma", "max_lr", "base_lr"), lambda: 1.0),
    "unflattened_size": lambda: (2, 2), "args": lambda: nn.ReLU(), "encoder_layer": lambda: nn.TransformerEncoderLayer(4, 2, 8),
    "decoder_layer": lambda: nn.TransformerDecoderLayer(4, 2, 8), "optimizer": _optimizer, "params": _weights, "lr_lambda": lambda: lambda n: 1.0,
    "milestones": lambda: [2], "defaults": lambda: {"lr": 0.1}, "components": lambda: np.eye(3, dtype="f4"), "spread": lambda: np.ones(3, "f4"),
    "transforms": lambda: data.RandomFlip(), "arrays": lambda: np.zeros((4, 2), "f4"), "mean": lambda: np.zeros(3, "f4"),
    "std": lambda: np.ones(3, "f4"), "dataset": lambda: data.TensorDataset(np.zeros((4, 2), "f4")), "modules": lambda: [nn.ReLU()],
    "parameters": lambda: [nn.Parameter(floats(2))], "data": lambda: floats(2), "folder": lambda: ".", "kwargs": lambda: None,
}  # fmt: skip

# ... and where a class wants another.
MADE_OF_FOR: dict[str, dict[str, Callable[[], Any]]] = {
    "FractionalMaxPool2d": {"output_size": lambda: 2}, "Fold": {"output_size": lambda: (2, 2)}, "Upsample": {"size": lambda: None, "scale_factor": lambda: 2},
    "ModuleDict": {"modules": lambda: {"a": nn.ReLU()}}, "Transformer": {"d_model": lambda: 4, "nhead": lambda: 2, "num_encoder_layers": lambda: 1,
    "num_decoder_layers": lambda: 1, "dim_feedforward": lambda: 8}, "UpsamplingBilinear2d": {"scale_factor": lambda: 2},
    "UpsamplingNearest2d": {"scale_factor": lambda: 2}, "RandomCrop": {"size": lambda: 2},
    "SequentialLR": {"optimizer": _one_optimizer, "schedulers": lambda: [optim.lr_scheduler.StepLR(_one_optimizer(), 2)], "milestones": list},
    "OneCycleLR": {"total_steps": lambda: 2},
    **dict.fromkeys(("TransformerEncoderLayer", "TransformerDecoderLayer"), {"dim_feedforward": lambda: 8}),
}  # fmt: skip


def _inputs(name: str) -> dict[str, Any]:
    """What a layer of that name computes on."""
    if "Transformer" in name:
        return {"src": floats(3, 2, 4), "tgt": floats(3, 2, 4), "memory": floats(3, 2, 4)}
    picture: dict[str, tuple[int, ...]] = {"1d": (2, 4, 4), "2d": (2, 4, 4, 4), "3d": (2, 4, 2, 2, 2)}
    shape = picture.get(name[-2:], (2, 4))
    shape = {"RNN": (3, 2, 4), "LSTM": (3, 2, 4), "GRU": (3, 2, 4), "Fold": (2, 4, 1), "Unfold": (2, 4, 4, 4), "GroupNorm": (2, 4, 3),
             "PixelShuffle": (2, 4, 2, 2), "PixelUnshuffle": (2, 4, 4, 4), "LocalResponseNorm": (2, 4, 4), "ChannelShuffle": (2, 4, 2),
             "FeatureAlphaDropout": (2, 4, 2), "Upsample": (2, 4, 4)}.get(name, shape)  # fmt: skip
    found: dict[str, Any] = dict.fromkeys(
        ("input", "x", "x1", "x2", "input1", "input2", "anchor", "positive", "negative"), floats(*shape)
    )
    found |= dict.fromkeys(("target", "var"), floats(*shape)) | dict.fromkeys(("query", "key", "value"), floats(3, 2, 4))
    if name in ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"):
        found["target"] = ints(2)
    if name == "MultiLabelMarginLoss":
        found["target"] = ints(2, 4)
    found |= {"log_input": floats(*shape), "log_probs": floats(3, 2, 4), "targets": ww.ones((2, 1), dtype="int64")}
    found |= dict.fromkeys(("input_lengths", "target_lengths"), [1, 1])
    if name in ("CosineEmbeddingLoss",):
        found["target"] = floats(2)
    if name in ("Embedding", "EmbeddingBag"):
        found["input"] = ints(2, 2)
    if name.startswith("MaxUnpool"):
        found["indices"] = ints(*shape)
    return found


LAYERS = [name for name in nn.__all__ if inspect.isclass(getattr(nn, name)) and issubclass(getattr(nn, name), nn.Module)]
CONTAINERS = ("Module", "ModuleDict", "ModuleList", "ParameterList", "Sequential")
SCHEDULES = optim.lr_scheduler.__all__
CLASSES = {
    **{f"nn.{n}": getattr(nn, n) for n in LAYERS if n != "Module"}, "nn.Parameter": nn.Parameter,
    **{f"optim.{n}": getattr(optim, n) for n in optim.__all__ if n != "lr_scheduler"},
    **{f"optim.lr_scheduler.{n}": getattr(optim.lr_scheduler, n) for n in SCHEDULES if n != "LRScheduler"},
    **{f"data.{n}": getattr(data, n) for n in ("ColourJitter", "Compose", "DataLoader", "ImageFolder", "Normalize", "RandomCrop", "RandomShift",
                                               "TensorDataset")},
    "amp.GradScaler": amp.GradScaler,
}  # fmt: skip


def build(name: str, cls: Any) -> Any:
    short = name.split(".")[-1]
    args, kwargs = arguments_of(cls, MADE_OF | MADE_OF_FOR.get(short, {}), short)
    made = cls(*args, **kwargs)
    if short.startswith("Lazy"):  # has its parameters, and computes as its class does, once it was called
        use(made, short)
    return made


def arguments_of(
    function: Any, good: dict[str, Callable[[], Any]], name: str, wrong: str = "", bad: Any = None, given: tuple[str, ...] = ()
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call in which `wrong` is `bad`: those without a default and those that are `given`."""
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for p in inspect.signature(function).parameters.values():
        if p.name == "self" or p.kind is p.VAR_KEYWORD or p.kind is p.VAR_POSITIONAL and p.name not in (wrong, *good):
            continue
        if p.name == wrong:
            value = bad
        elif p.default is p.empty or p.name in MADE_OF_FOR.get(name, {}) or p.name in given:
            value = good[p.name]()
        else:
            continue
        if p.kind is p.VAR_POSITIONAL or p.kind is p.POSITIONAL_ONLY:
            positional.append(value)
        else:
            keywords[p.name] = value
    return positional, keywords


def bad_for(parameter: str) -> dict[str, Any]:
    """The bad values; where a function is wanted, one is none of them: what it does is its own business."""
    values = bad_values()
    if parameter in ("fn", "closure", "function", "collate_fn", "transform", "lr_lambda", "activation", "distance_function"):
        del values["a function"]
    return values


class Call:
    """One call: what is wrong about it, the call, the tensors that it must leave alone, and the names that its error may use."""

    def __init__(self, argument: str, what: str, run: Callable[[], Any], names: list[str], keep: list[Any] | None = None) -> None:
        self.argument, self.what, self.run, self.names, self.keep = argument, what, run, names, keep or []


def constructors(name: str) -> Iterator[Call]:
    cls, short = CLASSES[name], name.split(".")[-1]
    good = MADE_OF | MADE_OF_FOR.get(short, {})
    parameters = [p for p in inspect.signature(cls).parameters.values() if p.kind is not p.VAR_KEYWORD]
    for p in parameters:
        for what, bad in bad_for(p.name).items():
            args, kwargs = arguments_of(cls, good, short, p.name, bad)

            def run(args: Any = args, kwargs: Any = kwargs) -> None:
                made = cls(*args, **kwargs)
                if isinstance(made, nn.Module) and short not in CONTAINERS:
                    use(made, short)
                if isinstance(made, optim.Optimizer) and type(made) is not optim.Optimizer:
                    made.step()
                if name.startswith("optim.lr_scheduler"):
                    made.step(1.0) if short == "ReduceLROnPlateau" else made.step()
                if isinstance(made, data.DataLoader):
                    next(iter(made), None)

            yield Call(
                p.name, what, run, [q.name for q in parameters] + ["input", "x", "w", "weight", "sample", "closure", "metric"]
            )


def use(layer: Any, name: str) -> Any:
    """The layer on what suits its good arguments."""
    given = {k: (lambda v=v: v) for k, v in _inputs(name).items()}
    args, kwargs = arguments_of(layer.forward, given, "")
    return layer(*args, **kwargs)


def forwards(name: str) -> Iterator[Call]:
    short = name.split(".")[-1]
    layer = build(name, CLASSES[name])
    state = [*layer.parameters()]
    parameters = [p for p in inspect.signature(layer.forward).parameters if p not in ("args", "kwargs")]
    for parameter in parameters:
        given = {k: (lambda v=v: v) for k, v in _inputs(short).items()}
        for what, bad in {**bad_for(parameter), **elsewhere(given.get(parameter))}.items():
            args, kwargs = arguments_of(layer.forward, given, "", parameter, bad)
            keep = [t for t in (*args, *kwargs.values(), *state) if isinstance(t, ww.Tensor)]
            yield Call(
                parameter,
                what,
                lambda a=args, k=kwargs: layer(*a, **k),
                [*parameters, "x", "w", "b", "input", "projected", "weight"],
                keep,
            )


def _model() -> Any:
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


def _schedule() -> Any:
    return optim.lr_scheduler.StepLR(_optimizer(), 2)


def _listed(method: Any) -> Any:
    """A method that gives an iterator, and all that comes out of it."""

    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        return list(method(*args, **kwargs))

    return run


def _use(matmul: Any) -> None:
    with ww.kernels.use(matmul=matmul):
        pass


_use.__doc__ = ww.kernels.use.__doc__


def _names() -> Any:
    return nn.ModuleDict({"a": nn.ReLU()})


def _packed() -> Any:
    return nn.utils.rnn.pack_padded_sequence(floats(3, 2, 4), ww.asarray([3, 2]))


def _saved() -> str:
    ww.save({"x": ww.ones(2)}, "saved")
    return "saved"


def _checkpoint() -> str:
    ww.save_checkpoint("checkpoint", model=_model())
    return "checkpoint"


# Methods and functions with good arguments: each argument in turn is replaced.
FUNCTIONS: dict[str, tuple[Callable[[], Callable[..., Any]], dict[str, Callable[[], Any]]]] = {
    "Optimizer.step": (lambda: _optimizer().step, {}),
    "Optimizer.zero_grad": (lambda: _optimizer().zero_grad, {}),
    "Optimizer.add_param_group": (lambda: _optimizer().add_param_group, {"param_group": lambda: {"params": _weights()}}),
    "Optimizer.load_state_dict": (lambda: _optimizer().load_state_dict, {"state_dict": lambda: _optimizer().state_dict()}),
    "LRScheduler.load_state_dict": (lambda: _schedule().load_state_dict, {"state_dict": lambda: _schedule().state_dict()}),
    "ReduceLROnPlateau.load_state_dict": (lambda: optim.lr_scheduler.ReduceLROnPlateau(_optimizer()).load_state_dict,
                                          {"state_dict": lambda: optim.lr_scheduler.ReduceLROnPlateau(_optimizer()).state_dict()}),
    **{f"{n}.load_state_dict": (lambda n=n: build(f"optim.lr_scheduler.{n}", getattr(optim.lr_scheduler, n)).load_state_dict, {
        "state_dict": lambda n=n: build(f"optim.lr_scheduler.{n}", getattr(optim.lr_scheduler, n)).state_dict()}) for n in ("MultiplicativeLR", "OneCycleLR", "SequentialLR")},
    "CosineAnnealingWarmRestarts.step": (lambda: build("optim.lr_scheduler.CosineAnnealingWarmRestarts", optim.lr_scheduler.CosineAnnealingWarmRestarts).step, {}),
    "Transformer.generate_square_subsequent_mask": (lambda: nn.Transformer.generate_square_subsequent_mask, {"sz": lambda: 2}),
    "ReduceLROnPlateau.step": (lambda: optim.lr_scheduler.ReduceLROnPlateau(_optimizer()).step, {"metrics": lambda: 1.0, "metric": lambda: 1.0}),
    "Module.load_state_dict": (lambda: _model().load_state_dict, {"state_dict": lambda: _model().state_dict()}),
    "Module.to": (lambda: _model().to, {"targets": lambda: "float64"}),
    "Module.train": (lambda: _model().train, {}),
    "Module.requires_grad_": (lambda: _model().requires_grad_, {}),
    "Module.register_buffer": (lambda: _model().register_buffer, {"name": lambda: "n", "tensor": lambda: floats(2)}),
    "Module.register_parameter": (lambda: _model().register_parameter, {"name": lambda: "n", "param": lambda: nn.Parameter(floats(2))}),
    "Module.add_module": (lambda: _model().add_module, {"name": lambda: "n", "module": lambda: nn.ReLU()}),
    "Module.register_forward_hook": (lambda: _model().register_forward_hook, {"hook": lambda: lambda *given: None}),
    "Module.register_forward_pre_hook": (lambda: _model().register_forward_pre_hook, {"hook": lambda: lambda *given: None}),
    **{f"Module.{n}": (lambda n=n: _listed(getattr(_model(), n)), {}) for n in ("buffers", "named_buffers", "named_modules", "named_parameters", "parameters")},
    **{f"Module.{n}": (lambda n=n: getattr(_model(), n), {"target": lambda: "0"}) for n in ("get_buffer", "get_parameter", "get_submodule", "state_dict", "zero_grad")},
    "Sequential.pop": (lambda: _model().pop, {}),
    **{f"Sequential.{n}": (lambda n=n: getattr(_model(), n), {"i": lambda: 0, "module": lambda: nn.ReLU(), "modules": lambda: [nn.ReLU()]})
       for n in ("append", "extend", "insert", "__getitem__", "__setitem__", "__delitem__")},
    **{f"ModuleList.{n}": (lambda n=n: getattr(nn.ModuleList([nn.ReLU()]), n), {"i": lambda: 0, "other": lambda: [nn.ReLU()]}) for n in ("__getitem__", "__add__")},
    **{f"ModuleDict.{n}": (lambda n=n: getattr(_names(), n), {"name": lambda: "a", "module": lambda: nn.ReLU(), "modules": lambda: {"a": nn.ReLU()}})
       for n in ("__contains__", "__delitem__", "__getitem__", "__setitem__", "pop", "update")},
    **{f"ParameterList.{n}": (lambda n=n: getattr(nn.ParameterList(_weights()), n), {"i": lambda: 0, "value": lambda: floats(2), "values": _weights})
       for n in ("append", "extend", "__getitem__", "__setitem__")},
    "PackedSequence.to": (lambda: _packed().to, {"targets": lambda: "float64"}),
    "Module.apply": (lambda: _model().apply, {"fn": lambda: lambda m: None, "function": lambda: lambda m: None}),
    "GradScaler.scale": (lambda: amp.GradScaler().scale, {"outputs": lambda: floats(2)}),
    "GradScaler.step": (lambda: amp.GradScaler().step, {"optimizer": _optimizer}),
    "GradScaler.unscale_": (lambda: amp.GradScaler().unscale_, {"optimizer": _optimizer}),
    "GradScaler.update": (lambda: amp.GradScaler().update, {"new_scale": lambda: 1.0}),
    **{f"GradScaler.set_{n}": (lambda n=n: getattr(amp.GradScaler(), f"set_{n}"), {"new_factor": lambda: 0.5, "new_interval": lambda: 5})
       for n in ("backoff_factor", "growth_factor", "growth_interval")},
    "GradScaler.load_state_dict": (lambda: amp.GradScaler().load_state_dict, {"state_dict": lambda: amp.GradScaler().state_dict()}),
    **{f"init.{n}": (lambda n=n: getattr(nn.init, n), {"tensor": lambda: floats(2, 2), "val": lambda: 1.0, "nonlinearity": lambda: "relu", "sparsity": lambda: 0.5})
       for n in dir(nn.init) if n.endswith("_") and not n.startswith("_") or n == "calculate_gain"},
    **{f"utils.{n}": (lambda n=n: getattr(nn.utils, n), {"parameters": _weights, "max_norm": lambda: 1.0, "clip_value": lambda: 1.0, "vec": lambda: floats(4)})
       for n in ("clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters")},
    **{f"utils.{n}": (lambda n=n: getattr(nn.utils, n), {"module": lambda: nn.Linear(2, 2)}) for n in ("spectral_norm", "weight_norm")},
    **{f"utils.remove_{n}": (lambda n=n: getattr(nn.utils, f"remove_{n}"), {"module": lambda n=n: getattr(nn.utils, n)(nn.Linear(2, 2))}) for n in ("spectral_norm", "weight_norm")},
    **{f"rnn.{n}": (lambda n=n: getattr(nn.utils.rnn, n), {
        "input": lambda: floats(3, 2, 4), "lengths": lambda: ww.asarray([3, 2]), "sequence": _packed, "packed_sequences": _packed,
        "sequences": lambda: [floats(3, 2), floats(2, 2)], "padded_sequences": lambda: floats(3, 2, 4), "packed_sequence": _packed})
       for n in ("pack_padded_sequence", "pack_sequence", "pad_packed_sequence", "pad_sequence", "unpack_sequence", "unpad_sequence")},
    **{f"random.{n}": (lambda n=n: getattr(ww.random, n), {"p": lambda: floats(2), "shape": lambda: (2,), "n": lambda: 3, "low": lambda: 0,
                                                           "high": lambda: 5, "seed": lambda: 1, "args": lambda: 3, "state": lambda: ww.random.get_state()})
       for n in ("bernoulli", "manual_seed", "normal", "permutation", "randint", "set_state", "uniform")},
    "autograd.backward": (lambda: autograd.backward, {"tensor": lambda: (ww.ones((), requires_grad=True) * 2)}),
    "autograd.gradcheck": (lambda: autograd.gradcheck, {"function": lambda: ww.exp, "inputs": lambda: [ww.ones(2, dtype="float64", requires_grad=True)]}),
    "autograd.gradgradcheck": (lambda: autograd.gradgradcheck, {"function": lambda: ww.exp, "inputs": lambda: [ww.ones(2, dtype="float64", requires_grad=True)]}),
    "kernels.get": (lambda: ww.kernels.get, {"op": lambda: "add_forward"}),
    "kernels.list": (lambda: ww.kernels.list, {}),
    "kernels.use": (lambda: _use, {"matmul": lambda: "tiled"}),
    "kernels.load": (lambda: ww.kernels.load, {"path": lambda: "no such folder"}),
    "DataLoader.load_state_dict": (lambda: data.DataLoader(data.TensorDataset(np.zeros((4, 2), "f4"))).load_state_dict, {"state": lambda: {"epoch": 0}}),
    "TensorDataset.batch": (lambda: data.TensorDataset(np.zeros((4, 2), "f4")).batch, {"indices": lambda: np.array([1, 2])}),
    "TensorDataset.__getitem__": (lambda: data.TensorDataset(np.zeros((4, 2), "f4")).__getitem__, {"index": lambda: 1}),
    **{f"{n}.__call__": (lambda n=n: build(f"data.{n}", getattr(data, n)).__call__, {"batch": lambda: np.zeros((2, 3, 4, 4), "f4"), "rng": lambda: np.random.default_rng(0)})
       for n in ("ColourJitter", "Normalize", "RandomCrop", "RandomFlip", "RandomShift")},
    "data.collate": (lambda: data.collate, {"samples": lambda: [np.zeros(2), np.ones(2)]}),
    "data.read_idx": (lambda: data.read_idx, {"path": lambda: "no such file"}),
    "data.mnist": (lambda: data.mnist, {"folder": lambda: "no such folder"}),
    "data.cifar10": (lambda: data.cifar10, {"folder": lambda: "no such folder"}),
    "data.digits": (lambda: data.digits, {}),
    "io.load": (lambda: io.load, {"path": _saved}),
    "io.save": (lambda: io.save, {"tensors": lambda: {"x": ww.ones(2)}, "path": lambda: "written"}),
    "io.load_checkpoint": (lambda: io.load_checkpoint, {"path": _checkpoint}),
    "io.save_checkpoint": (lambda: io.save_checkpoint, {"path": lambda: "written"}),
    "precision": (lambda: ww.precision, {"name": lambda: "tf32"}),
}  # fmt: skip


def functions(name: str) -> Iterator[Call]:
    make, good = FUNCTIONS[name]
    parameters = [p for p in inspect.signature(make()).parameters.values() if p.kind is not p.VAR_KEYWORD]
    for p in parameters:
        values = {**bad_for(p.name), **elsewhere(good.get(p.name))} if p.kind is not p.VAR_POSITIONAL or p.name in good else {}
        for what, bad in values.items():
            args, kwargs = arguments_of(make(), good, "", p.name, bad)
            keep = (
                []
                if name.split(".")[-1].endswith("_") or "vector_to" in name
                else [t for t in (*args, *kwargs.values()) if isinstance(t, ww.Tensor)]
            )
            yield Call(p.name, what, lambda a=args, k=kwargs: make()(*a, **k), [q.name for q in parameters], keep)


# Methods of tensors that take arguments, on a good tensor.
OPERATORS = [
    f"__{n}__"
    for n in (
        "getitem",
        "setitem",
        "array",
        "dlpack",
        "add",
        "iadd",
        "radd",
        "matmul",
        "imatmul",
        "mod",
        "imul",
        "pow",
        "eq",
        "lt",
        "lshift",
    )
]
METHODS = [n for n in dir(ww.Tensor) if not n.startswith("_") and callable(getattr(ww.Tensor, n))] + OPERATORS


def methods(name: str) -> Iterator[Call]:
    try:
        parameters = [p for p in inspect.signature(getattr(ww.Tensor, name)).parameters.values()][1:]
    except ValueError:
        return
    good = GOOD | {"start_dim": lambda: 0, "target": lambda: "float64", "indices": lambda: ints(2), "x2": lambda: 2.0, "shape": lambda: (4,),
                   "sizes": lambda: 4, "device": lambda: "cpu", "device_or_dtype": lambda: "float64", "args": lambda: 4, "size": lambda: (2, 2)}  # fmt: skip
    good |= {"key": lambda: 0, "value": lambda: 1.0, "other": lambda: floats(2, 2)}
    good |= {"index": lambda: ints(2)} if name.startswith("index_") else {}
    for p in parameters:
        if p.kind is p.VAR_KEYWORD:
            continue
        for what, bad in bad_for(p.name).items():
            x = floats(2, 2).requires_grad_() * 1 if name == "backward" else floats(2, 2)
            args, kwargs = [], {}
            for q in parameters:
                value = bad if q is p else good[q.name]() if q.default is q.empty and q.kind is not q.VAR_KEYWORD else None
                if q is not p and q.default is not q.empty:
                    continue
                if q.kind in (q.POSITIONAL_ONLY, q.VAR_POSITIONAL):
                    args.append(value)
                else:
                    kwargs[q.name] = value
            keep = (
                []
                if name.endswith("_") and name not in OPERATORS or name in ("__setitem__", "__iadd__", "__imatmul__", "__imul__")
                else [x, *(t for t in args if isinstance(t, ww.Tensor))]
            )
            yield Call(
                p.name,
                what,
                lambda x=x, a=args, k=kwargs: getattr(x, name)(*a, **k),
                [q.name for q in parameters]
                + ["x", "x1", "x2", "shape", "axis", "axes"]
                + (["an index", "a tensor", "result", "x1", "x2", "operands"] if name in OPERATORS else []),
                keep,
            )


ROOMS = {"nn": nn, "init": nn.init, "utils": nn.utils, "rnn": nn.utils.rnn, "optim": optim, "optim.lr_scheduler": optim.lr_scheduler, "data": data, "io": io,
         "amp": amp, "random": ww.random, "autograd": autograd, "kernels": ww.kernels}  # fmt: skip

PASSED_OVER = {
    "they compute what the modules in them compute": ("call nn.Sequential",),
    "they hold modules or parameters, and compute nothing": ("call nn.Module", "call nn.ModuleDict", "call nn.ModuleList", "call nn.ParameterList"),
    "a subclass defines them": ("new optim.lr_scheduler.LRScheduler", "function Function.backward"),
    "ops call them, with what is the engine's own": (
        "function autograd.record", "function autograd.save_output", "function autograd.saved_output", "function random.take_blocks",
        "function Device.hold"),
    "a NamedTuple: what is in it is held where it is used": ("new rnn.PackedSequence",),
    "it reaches for the network: tests/test_download.py": ("function data.download",),
}  # fmt: skip


def public() -> set[str]:
    """Every public class, function and method of the rooms that takes an argument, as targets; helpers/misuse.py has the functions beside."""
    found: set[str] = set()
    classes = {value for value in vars(ww).values() if inspect.isclass(value)}
    for room, module in ROOMS.items():
        for name in getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]:
            value = getattr(module, name)
            if not callable(value) or not hasattr(module, "__all__") and not value.__module__.startswith(module.__name__):
                continue
            if inspect.isclass(value):
                classes.add(value)
                found |= {f"new {room}.{name}"} if inspect.signature(value).parameters else set()
                found |= {f"call {room}.{name}"} if issubclass(value, nn.Module) else set()
            elif (inspect.isbuiltin(value) or inspect.signature(value).parameters) and value is not getattr(ww, name, None):
                found.add(f"function {room}.{name}")
    for cls in classes:
        for name in dir(cls):
            owner = next((c for c in cls.__mro__ if name in vars(c)), object)
            method = getattr(cls, name)
            if name.startswith("_") or not inspect.isfunction(method) or not owner.__module__.startswith("whitewolf"):
                continue
            # What a layer computes is a call of it; what a subclass defines is its own business.
            if (
                owner is ww.Tensor
                or name in ("forward", "function", "rectified", "rate", "momentum")
                or len(inspect.signature(method).parameters) < 2
            ):
                continue
            place = {"Tree": "Module", "_Listed": "Sequential", "_WithMomentum": "OneCycleLR"}.get(owner.__name__, owner.__name__)
            found.add(f"function {place}.{method.__name__}")
    return found


KINDS: dict[str, Callable[[str], Iterator[Call]]] = {
    "new": constructors,
    "call": forwards,
    "function": functions,
    "method": methods,
}


def targets() -> list[str]:
    layers = [n for n in CLASSES if n.startswith("nn.") and n.split(".")[-1] not in (*CONTAINERS, "Parameter")]
    return [
        *(f"new {n}" for n in CLASSES),
        *(f"call {n}" for n in layers),
        *(f"function {n}" for n in FUNCTIONS),
        *(f"method {n}" for n in METHODS),
    ]


# What ops below call a layer's arguments: those of `x.reshape` and `asarray`, a module that holds others, an epsilon.
BELOW = ["obj", "module", "eps", "requires_grad", "targets", "shape", "file"]


def named(names: list[str], text: str) -> bool:
    """The text begins with an op, a class or a method, and names an argument of it, or of the op below that noticed."""
    if text.startswith("device: expected one of"):
        return True
    if re.match(r"\w+_forward: expected y of at most \d+ dimensions", text):
        return True
    match = re.match(r"[A-Za-z_]\w*(\.\w+)*: ", text)
    return match is not None and any(re.search(rf"\b{re.escape(w)}\b", text[match.end() :]) for w in (*names, *BELOW))


def told(kind: str, name: str, error: BaseException) -> str:
    """What is written about errors. Of a method in its docstring, else in its class's; of a class in its own, and, as whitewolf/_errors.py
    has it, that a constructor may raise ValueError, and a layer what its function raises."""
    if kind == "method":
        return inspect.getdoc(getattr(ww.Tensor, name)) or ""
    if kind == "function":
        function = FUNCTIONS[name][0]()
        owner = getattr(function, "__self__", None)
        return (function.__doc__ or "") + ("" if owner is None or inspect.ismodule(owner) else type(owner).__doc__ or "")
    cls = CLASSES[name]
    texts = [cls.__doc__, cls.__init__.__doc__, "Raises: ValueError"]
    if issubclass(cls, nn.Module):
        texts += [
            cls.forward.__doc__,
            *(getattr(getattr(nn.functional, op, None), "__doc__", "") for op in re.findall(r"(\w+): expected", str(error))),
        ]
    return "\n\n".join(filter(None, texts))


def _late(number: int, frame: Any) -> None:
    raise TimeoutError(f"no end within {SECONDS} s")


def main(names: list[str]) -> None:
    limit_memory()
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", RuntimeWarning)  # NumPy's, which say nothing of the op
    signal.signal(signal.SIGALRM, _late)
    with tempfile.TemporaryDirectory() as folder:
        import os

        os.chdir(folder)
        for target in names:
            kind, name = target.split(" ", 1)
            print(json.dumps({"function": target}), flush=True)
            count = 0
            for call in KINDS[kind](name):
                count += 1
                before = [t.numpy().tobytes() for t in call.keep]
                problem = ""
                signal.alarm(SECONDS)
                try:
                    call.run()
                    if call.what == ELSEWHERE and len({t.device for t in call.keep}) > 1 and name not in FROM_ANYWHERE:
                        problem = "took tensors of two devices"
                except (*TYPED, OSError, RuntimeError) as error:
                    if isinstance(error, TimeoutError):
                        problem = f"a hang: {error}"
                    elif not named(call.names, str(error)) and not isinstance(error, OSError):
                        problem = f"{type(error).__name__}: {error}"
                    elif not documented(told(kind, name, error), error):
                        problem = f"not in its docstring: {type(error).__name__}: {error}"
                except (KeyError, AttributeError) as error:  # there is nothing of that name, as documented
                    text = str(error.args[0] if error.args else "")
                    known = kind == "function" and named(call.names, text) and documented(told(kind, name, error), error)
                    problem = "" if known else f"untyped {type(error).__name__}: {text}"
                except AssertionError as error:  # what gradcheck is for
                    problem = "" if str(error).startswith("gradcheck: ") else f"untyped AssertionError: {error}"
                except BaseException as error:
                    problem = f"untyped {type(error).__name__}: {error}"
                finally:
                    signal.alarm(0)
                if [t.numpy().tobytes() for t in call.keep] != before:
                    problem = "an input has changed"
                if problem:
                    line = {"function": target, "argument": call.argument, "value": call.what, "problem": problem[:300]}
                    print(json.dumps(line), flush=True)
            print(json.dumps({"function": target, "calls": count}), flush=True)


def arguments(words: list[str]) -> tuple[list[str]]:
    return (words,)
