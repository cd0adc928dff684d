"""Contests of whole steps: an optimizer over ten million parameters, and forward, backward and update of small networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..cases import Array
from ..device import Device
from ..ops.creation import asarray
from .contests import CheckFailure, Contest, relative_error

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
    if "torch" in libraries:
        references["torch"] = {}
        for way, how in WAYS.items():
            references["torch"][way] = _torch_optimizer(name, values, gradients, how)
    return Contest(name.lower(), f"{n / 1e6:g}M parameters", "float32", {"": ours.step}, check, references, 0, BYTES[name] * n)


def _torch_optimizer(name: str, values: list[Array], gradients: list[Array], how: dict[str, Any]) -> Callable[[], Any]:
    import torch

    parameters = [torch.nn.Parameter(torch.from_numpy(v.copy())) for v in values]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = torch.from_numpy(gradient)
    step: Callable[[], Any] = getattr(torch.optim, name)(parameters, **SETTINGS[name], **how).step
    return step


def lenet(nn: Any) -> Any:
    """The net of Caffe's recipe, in whatever library `nn` belongs to: the names are the same."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip


def mlp(nn: Any) -> Any:
    """784, 500, 10."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 500), nn.ReLU(), nn.Linear(500, 10))


NETS: dict[str, tuple[Callable[[Any], Any], int]] = {
    # net, multiply-adds of one image's forward pass
    "LeNet": (lenet, 20 * 24 * 24 * 25 + 50 * 8 * 8 * 20 * 25 + 800 * 500 + 500 * 10),
    "MLP 784-500-10": (mlp, 784 * 500 + 500 * 10),
}


def network(name: str, batch: int, device: Device, libraries: Sequence[str], seed: int = 0) -> Contest:
    """One step of SGD with momentum on a batch of 28x28 images: forward, backward, update."""
    from .. import nn
    from ..random import manual_seed

    build, macs = NETS[name]
    manual_seed(seed)
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((batch, 1, 28, 28)).astype(np.float32)
    labels = rng.integers(0, 10, batch)
    model = build(nn).to(device)
    state = {k: t.numpy().copy() for k, t in model.state_dict().items()}
    references: dict[str, dict[str, Callable[[], Any]]] = {}
    if "torch" in libraries:
        layouts = ("contiguous", "channels_last") if name == "LeNet" else ("",)
        references["torch"] = {layout: _torch_network(build, state, images, labels, layout) for layout in layouts}
    run = _our_step(model, images, labels, device)
    check = partial(_check_network, build, state, images, labels, device)
    return Contest("step", f"{name}, batch {batch}", "float32", {"": run}, check, references, 6 * macs * batch, 0)


def _our_step(model: Any, images: Array, labels: Array, device: Device) -> Callable[[], Any]:
    from .. import nn, optim

    x, y = asarray(images, device=device), asarray(labels, device=device)
    optimizer = optim.SGD(model.parameters(), lr=1e-5, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def _torch_network(
    build: Callable[[Any], Any], state: dict[str, Array], images: Array, labels: Array, layout: str
) -> Callable[[], Any]:
    import torch

    model = build(torch.nn)
    model.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    if layout == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        loss: Any = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()

    return step


def _check_network(build: Callable[[Any], Any], state: dict[str, Array], images: Array, labels: Array, device: Device) -> float:
    """The float32 gradients of all weights against the same net in float64."""
    from .. import nn

    found: list[list[Array]] = []
    for dtype in ("float32", "float64"):
        model = build(nn).to(device).to(dtype)
        model.load_state_dict({k: asarray(v.astype(dtype), device=device) for k, v in state.items()})
        x = asarray(images.astype(dtype), device=device)
        nn.functional.cross_entropy(model(x), asarray(labels, device=device)).backward()
        found.append([p.grad.numpy() for p in model.parameters()])
    error = relative_error(found[0], found[1])
    if not error < 1e-4:
        raise CheckFailure(f"step: expected gradients within 1e-4 of float64, got {error:.3g}")
    return error
