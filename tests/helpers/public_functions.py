"""Methods and functions of the rooms beside the top namespace, each with good arguments; the methods of tensors by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import whitewolf as ww
from whitewolf import amp, autograd, data, io, nn, optim

from helpers.misuse import floats
from helpers.public_classes import build, sgd, weights


def _model() -> Any:
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


def _schedule() -> Any:
    return optim.lr_scheduler.StepLR(sgd(), 2)


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
    "Optimizer.step": (lambda: sgd().step, {}),
    "Optimizer.zero_grad": (lambda: sgd().zero_grad, {}),
    "Optimizer.add_param_group": (lambda: sgd().add_param_group, {"param_group": lambda: {"params": weights()}}),
    "Optimizer.load_state_dict": (lambda: sgd().load_state_dict, {"state_dict": lambda: sgd().state_dict()}),
    "LRScheduler.load_state_dict": (lambda: _schedule().load_state_dict, {"state_dict": lambda: _schedule().state_dict()}),
    "ReduceLROnPlateau.load_state_dict": (lambda: optim.lr_scheduler.ReduceLROnPlateau(sgd()).load_state_dict,
                                          {"state_dict": lambda: optim.lr_scheduler.ReduceLROnPlateau(sgd()).state_dict()}),
    **{f"{n}.load_state_dict": (lambda n=n: build(f"optim.lr_scheduler.{n}", getattr(optim.lr_scheduler, n)).load_state_dict, {
        "state_dict": lambda n=n: build(f"optim.lr_scheduler.{n}", getattr(optim.lr_scheduler, n)).state_dict()}) for n in ("MultiplicativeLR", "OneCycleLR", "SequentialLR")},
    "CosineAnnealingWarmRestarts.step": (lambda: build("optim.lr_scheduler.CosineAnnealingWarmRestarts", optim.lr_scheduler.CosineAnnealingWarmRestarts).step, {}),
    "Transformer.generate_square_subsequent_mask": (lambda: nn.Transformer.generate_square_subsequent_mask, {"sz": lambda: 2}),
    "ReduceLROnPlateau.step": (lambda: optim.lr_scheduler.ReduceLROnPlateau(sgd()).step, {"metrics": lambda: 1.0, "metric": lambda: 1.0}),
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
    **{f"ParameterList.{n}": (lambda n=n: getattr(nn.ParameterList(weights()), n), {"i": lambda: 0, "value": lambda: floats(2), "values": weights})
       for n in ("append", "extend", "__getitem__", "__setitem__")},
    "PackedSequence.to": (lambda: _packed().to, {"targets": lambda: "float64"}),
    "Module.apply": (lambda: _model().apply, {"fn": lambda: lambda m: None, "function": lambda: lambda m: None}),
    "GradScaler.scale": (lambda: amp.GradScaler().scale, {"outputs": lambda: floats(2)}),
    "GradScaler.step": (lambda: amp.GradScaler().step, {"optimizer": sgd}),
    "GradScaler.unscale_": (lambda: amp.GradScaler().unscale_, {"optimizer": sgd}),
    "GradScaler.update": (lambda: amp.GradScaler().update, {"new_scale": lambda: 1.0}),
    **{f"GradScaler.set_{n}": (lambda n=n: getattr(amp.GradScaler(), f"set_{n}"), {"new_factor": lambda: 0.5, "new_interval": lambda: 5})
       for n in ("backoff_factor", "growth_factor", "growth_interval")},
    "GradScaler.load_state_dict": (lambda: amp.GradScaler().load_state_dict, {"state_dict": lambda: amp.GradScaler().state_dict()}),
    **{f"init.{n}": (lambda n=n: getattr(nn.init, n), {"tensor": lambda: floats(2, 2), "val": lambda: 1.0, "nonlinearity": lambda: "relu", "sparsity": lambda: 0.5})
       for n in dir(nn.init) if n.endswith("_") and not n.startswith("_") or n == "calculate_gain"},
    **{f"utils.{n}": (lambda n=n: getattr(nn.utils, n), {"parameters": weights, "max_norm": lambda: 1.0, "clip_value": lambda: 1.0, "vec": lambda: floats(4)})
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
