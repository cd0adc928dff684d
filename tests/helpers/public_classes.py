"""The public classes, and good arguments for them: what a constructor takes, and what a layer of that name computes on."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import whitewolf as ww
from whitewolf import amp, data, nn, optim

from helpers.misuse import floats, ints


def weights() -> list[ww.Tensor]:
    w = floats(2, 2).requires_grad_()
    w.grad = floats(2, 2)
    return [w]


def sgd() -> Any:
    return optim.SGD(weights(), lr=0.1)


@functools.cache
def one_optimizer() -> Any:
    """For schedules over schedules, which are all over one."""
    return sgd()


# A good value for each argument of a constructor, by its name...
MADE_OF: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(("in_features", "in_channels", "out_channels", "num_features", "num_channels", "normalized_shape", "input_size",
                     "embed_dim", "d_model", "in1_features", "in2_features", "num_embeddings"), lambda: 4),
    **dict.fromkeys(("out_features", "embedding_dim", "hidden_size"), lambda: 3),
    **dict.fromkeys(("kernel_size", "output_size", "num_groups", "groups", "num_heads", "nhead", "upscale_factor", "downscale_factor", "size",
                     "num_layers", "T_max", "T_0", "step_size", "total_steps"), lambda: 2),
    **dict.fromkeys(("padding", "dim"), lambda: 1), **dict.fromkeys(("value", "threshold", "norm_type", "gamma", "max_lr", "base_lr"), lambda: 1.0),
    "unflattened_size": lambda: (2, 2), "args": lambda: nn.ReLU(), "encoder_layer": lambda: nn.TransformerEncoderLayer(4, 2, 8),
    "decoder_layer": lambda: nn.TransformerDecoderLayer(4, 2, 8), "optimizer": sgd, "params": weights, "lr_lambda": lambda: lambda n: 1.0,
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
    "SequentialLR": {"optimizer": one_optimizer, "schedulers": lambda: [optim.lr_scheduler.StepLR(one_optimizer(), 2)], "milestones": list},
    "OneCycleLR": {"total_steps": lambda: 2},
    **dict.fromkeys(("TransformerEncoderLayer", "TransformerDecoderLayer"), {"dim_feedforward": lambda: 8}),
}  # fmt: skip


def inputs_of(name: str) -> dict[str, Any]:
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


def use(layer: Any, name: str) -> Any:
    """The layer on what suits its good arguments."""
    given = {k: (lambda v=v: v) for k, v in inputs_of(name).items()}
    args, kwargs = arguments_of(layer.forward, given, "")
    return layer(*args, **kwargs)
