"""Cases of the optimizers: three steps over two parameters, with gradients that fall and rise again, and of clipping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import whitewolf as ww

from .. import optim
from ..nn.utils import clip_grad_norm_
from ..tensor import Tensor
from . import Array, BadCall, Case, Input, OpTable

# What the two gradients are multiplied by in each step: a second moment falls, and amsgrad's maximum differs from it.
SCALES = (1.0, 0.25, 0.5)


def _run(kind: str) -> Callable[..., tuple[Tensor, ...]]:
    def run(*tensors: Tensor, **options: Any) -> tuple[Tensor, ...]:
        half = len(tensors) // 2
        params = [t.detach().clone().requires_grad_() for t in tensors[:half]]
        optimizer = getattr(optim, kind)(params, lr=0.1, **options)
        for scale in SCALES:
            for p, grad in zip(params, tensors[half:]):
                p.grad = grad.detach() * scale
            optimizer.step()
        return tuple(p.detach() for p in params)

    return run


def _torch(kind: str) -> Callable[..., Any]:
    def run(*tensors: Any, **options: Any) -> Any:
        import torch

        half = len(tensors) // 2
        params = [t.detach().clone().requires_grad_() for t in tensors[:half]]
        optimizer = getattr(torch.optim, kind)(params, lr=0.1, **options)
        for scale in SCALES:
            for p, grad in zip(params, tensors[half:]):
                p.grad = grad.detach() * scale
            optimizer.step()
        return tuple(p.detach() for p in params)

    return run


def _each(step: Callable[..., Array]) -> Callable[..., tuple[Array, ...]]:
    """A reference for one parameter and its gradient, for all of them."""
    return lambda *arrays, **options: tuple(
        step(p, g, **options) for p, g in zip(arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :])
    )


def _gradient(p: Array, grad: Array, weight_decay: float, maximize: bool) -> Array:
    grad = -grad if maximize else grad
    return grad + weight_decay * p if weight_decay else grad


def _sgd(
    p: Array,
    grad: Array,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
) -> Array:
    buffer: Any = None
    for scale in SCALES:
        g = _gradient(p, grad * scale, weight_decay, maximize)
        if momentum:
            buffer = g if buffer is None else momentum * buffer + (1 - dampening) * g
            g = g + momentum * buffer if nesterov else buffer
        p = p - 0.1 * g
    return p


def _adam(
    p: Array,
    grad: Array,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    maximize: bool = False,
    decoupled: bool = False,
) -> Array:
    m = v = largest = np.zeros_like(p)
    for t, scale in enumerate(SCALES, 1):
        g = _gradient(p, grad * scale, 0 if decoupled else weight_decay, maximize)
        p = p * (1 - 0.1 * weight_decay) if decoupled else p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        largest = np.maximum(largest, v) if amsgrad else v
        p = p - 0.1 / (1 - betas[0] ** t) * m / (np.sqrt(largest / (1 - betas[1] ** t)) + eps)
    return p


def _rmsprop(
    p: Array,
    grad: Array,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    maximize: bool = False,
) -> Array:
    v = mean = buffer = np.zeros_like(p)
    for scale in SCALES:
        g = _gradient(p, grad * scale, weight_decay, maximize)
        v = alpha * v + (1 - alpha) * g * g
        mean = alpha * mean + (1 - alpha) * g if centered else mean
        change = g / (np.sqrt(v - mean * mean) + eps)
        buffer = momentum * buffer + change
        p = p - 0.1 * buffer
    return p


def _adagrad(
    p: Array,
    grad: Array,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
    maximize: bool = False,
) -> Array:
    total = np.full_like(p, initial_accumulator_value)
    for t, scale in enumerate(SCALES):
        g = _gradient(p, grad * scale, weight_decay, maximize)
        total = total + g * g
        p = p - 0.1 / (1 + t * lr_decay) * g / (np.sqrt(total) + eps)
    return p


# Gradients away from 0, where a step of Adam and its kin is as large whatever their size: nothing cancels.
_INPUTS = (
    Input((5, 7), grad=False),
    Input((19,), grad=False),
    Input((5, 7), "positive", grad=False),
    Input((19,), "positive", grad=False),
)
_SMALL = (
    Input((), grad=False),
    Input((0, 3), grad=False),
    Input((), "positive", grad=False),
    Input((0, 3), "positive", grad=False),
)


def _cases(**options: dict[str, Any]) -> tuple[Case, ...]:
    return (
        Case("defaults", _INPUTS),
        Case("0-d and empty", _SMALL),
        *(Case(name.replace("_", " "), _INPUTS, attrs) for name, attrs in options.items()),
    )


def _table(kind: str, reference: Callable[..., Array], bad: dict[str, Any], words: tuple[str, ...], **options: Any) -> OpTable:
    return OpTable(
        op=kind.lower(),
        function=_run(kind),
        reference=_each(reference),
        kernels=("adam_step" if kind == "AdamW" else f"{kind.lower()}_step",),
        cases=_cases(**options),
        gradient="a step changes its parameters in place, outside the graph",
        ulps=32.0,
        bad=(BadCall("option", lambda: getattr(optim, kind)([ww.zeros(3)], **bad), ValueError, (kind, *words)),),
        torch=_torch(kind),
    )


def _clip(*grads: Tensor, max_norm: float) -> tuple[Tensor, ...]:
    params = [ww.zeros(g.shape, dtype=g.dtype, device=g.device) for g in grads]
    for p, grad in zip(params, grads):
        p.grad = grad.detach().clone()
    norm = clip_grad_norm_(params, max_norm)
    return norm.astype(grads[0].dtype), *(p.grad for p in params if p.grad is not None)


def _clip_reference(*grads: Array, max_norm: float) -> tuple[Array, ...]:
    norm = np.sqrt(sum((g * g).sum() for g in grads))
    factor = max_norm / (norm + 1e-6)
    return np.asarray(norm), *(g if factor >= 1 else g * factor for g in grads)


TABLES = (
    _table(
        "SGD",
        _sgd,
        {"lr": -1.0},
        ("lr", "-1.0"),
        momentum={"momentum": 0.9},
        dampening={"momentum": 0.9, "dampening": 0.5},
        nesterov={"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        maximize={"maximize": True},
    ),
    _table(
        "Adam",
        _adam,
        {"betas": (1.0, 0.9)},
        ("betas", "(1.0, 0.9)"),
        amsgrad={"amsgrad": True, "betas": (0.9, 0.5)},
        decay={"weight_decay": 0.1},
        betas={"betas": (0.4, 0.9), "eps": 1e-3, "maximize": True},
    ),
    _table(
        "AdamW",
        lambda p, g, weight_decay=0.01, **options: _adam(p, g, weight_decay=weight_decay, decoupled=True, **options),
        {"eps": -1.0},
        ("eps", "-1.0"),
        amsgrad={"amsgrad": True, "weight_decay": 0.3, "betas": (0.9, 0.5)},
    ),
    _table(
        "RMSprop",
        _rmsprop,
        {"alpha": -1.0},
        ("alpha", "-1.0"),
        momentum={"momentum": 0.9, "weight_decay": 0.1},
        centered={"centered": True},
        both={"centered": True, "momentum": 0.5, "maximize": True},
    ),
    _table(
        "Adagrad",
        _adagrad,
        {"lr_decay": -1.0},
        ("lr_decay", "-1.0"),
        decay={"lr_decay": 0.1, "weight_decay": 0.1},
        start={"initial_accumulator_value": 0.5, "eps": 1e-3, "maximize": True},
    ),
    OpTable(
        op="clip_grad_norm_",
        function=_clip,
        reference=_clip_reference,
        kernels=("sum_squares", "scale_step"),
        cases=tuple(
            Case(name, tuple(Input(s, grad=False) for s in shapes), {"max_norm": limit}, reduction=sum(map(np.prod, shapes)))
            for name, shapes, limit in (
                ("clipped", ((5, 7), (3,), ()), 1.0),
                ("left as they are", ((5, 7), (3,)), 1e3),
                ("several blocks", ((4100,), (67, 64)), 0.5),
                ("an empty one", ((0, 3), (2, 2)), 0.1),
            )
        ),
        gradient="gradients are scaled in place, outside the graph",
    ),
)
