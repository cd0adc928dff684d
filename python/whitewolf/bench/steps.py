"""Contests of optimizers: a step over ten million parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..cases import Array
from ..device import Device
from ..ops.creation import asarray
from .contests import CheckFailure, Contest, on_device, relative_error

SETTINGS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4},
    "Adam": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-4},
}
# Bytes that a step touches for each parameter in float32: SGD reads parameter, gradient, momentum and writes two of them; Adam
# reads four and writes three.
BYTES = {"SGD": 20, "Adam": 28}
WAYS: dict[str, dict[str, Any]] = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def _by_hand(name: str, parameter: Array, gradients: Sequence[Array]) -> Array:
    """The same steps in float64 (Sutskever et al. 2013; Kingma and Ba 2014, algorithm 1)."""
    s, p = SETTINGS[name], parameter.astype(np.float64)
    first, second = np.zeros_like(p), np.zeros_like(p)
    for step, gradient in enumerate(gradients, 1):
        g = gradient.astype(np.float64) + s["weight_decay"] * p
        if name == "SGD":
            first = s["momentum"] * first + g if step > 1 else g
            p = p - s["lr"] * first
            continue
        one, two = s["betas"]
        first, second = one * first + (1 - one) * g, two * second + (1 - two) * g * g
        p = p - s["lr"] * (first / (1 - one**step)) / (np.sqrt(second / (1 - two**step)) + s["eps"])
    return p


def optimizer(name: str, n: int, device: Device, libraries: Sequence[str], seed: int = 0) -> Contest:
    """`n` parameters in sixteen tensors, one step."""
    from .. import optim

    rng = np.random.default_rng(seed)
    values = [rng.standard_normal(n // 16).astype(np.float32) for _ in range(16)]
    gradients = [rng.standard_normal(n // 16).astype(np.float32) for _ in range(16)]
    parameters = [asarray(v.copy(), device=device).requires_grad_() for v in values]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = asarray(gradient, device=device)
    ours = getattr(optim, name)(parameters, **SETTINGS[name])

    def check() -> float:
        start = values[0][:1001].copy()
        steps = [g[:1001] for g in gradients[:3]]
        small = asarray(start.copy(), device=device).requires_grad_()
        stepper = getattr(optim, name)([small], **SETTINGS[name])
        for gradient in steps:
            small.grad = asarray(gradient.copy(), device=device)
            stepper.step()
        error = relative_error([small.detach().numpy()], [_by_hand(name, start, steps)])
        if not error < 1e-6:
            raise CheckFailure(f"{name}: expected three steps within 1e-6 of float64, got {error:.3g}")
        return error

    references: dict[str, dict[str, Callable[[], Any]]] = {}
    if "numpy" in libraries and device != "cuda":
        references["numpy"] = {"in place": NumpyOptimizer(name, values, gradients).step}
    if "torch" in libraries:
        references["torch"] = {}
        for way, how in WAYS.items():
            references["torch"][way] = _torch_optimizer(name, values, gradients, how, device)
    return Contest(name.lower(), f"{n / 1e6:g}M parameters", "float32", {"": ours.step}, check, references, 0, BYTES[name] * n)


class NumpyOptimizer:
    """The same step in NumPy, in place, tensor by tensor."""

    def __init__(self, name: str, parameters: Sequence[Array], gradients: Sequence[Array]) -> None:
        self.parameters, self.gradients = [p.copy() for p in parameters], gradients
        self.first, self.second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
        self.steps, self.name = 0, name

    def step(self) -> None:
        """One step."""
        self.steps += 1
        s = SETTINGS[self.name]
        for p, gradient, first, second in zip(self.parameters, self.gradients, self.first, self.second):
            g = gradient + s["weight_decay"] * p
            if self.name == "SGD":
                first *= s["momentum"]
                first += g
                p -= s["lr"] * first
                continue
            one, two = s["betas"]
            first *= one
            first += (1 - one) * g
            np.multiply(g, g, out=g)
            second *= two
            second += (1 - two) * g
            np.sqrt(second / (1 - two**self.steps), out=g)
            g += s["eps"]
            p -= s["lr"] / (1 - one**self.steps) * first / g


def _torch_optimizer(
    name: str, values: list[Array], gradients: list[Array], how: dict[str, Any], device: Device
) -> Callable[[], Any]:
    import torch

    parameters = [torch.nn.Parameter(on_device(v, device)) for v in values]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = on_device(gradient, device)
    step: Callable[[], Any] = getattr(torch.optim, name)(parameters, **SETTINGS[name], **how).step
    return step
