"""Contests of recurrent layers: forward, and backward to every input and parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..autograd import grad
from ..cases import Array
from ..device import Device
from ..ops.creation import asarray
from .contests import TORCH_DEVICES, CheckFailure, Contest, on_device, relative_error


def lstm(
    steps: int, samples: int, features: int, units: int, layers: int, device: Device, libraries: Sequence[str], seed: int = 0
) -> Contest:
    """nn.LSTM on a batch of sequences, [steps, samples, features]; layers of `units`."""
    from .. import nn
    from ..random import manual_seed

    manual_seed(seed)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((steps, samples, features)).astype(np.float32)
    sent = rng.standard_normal((steps, samples, units)).astype(np.float32)
    model = nn.LSTM(features, units, layers)
    state = {k: t.numpy().copy() for k, t in model.state_dict().items()}
    build = partial(nn.LSTM, features, units, layers)
    macs = steps * samples * 4 * units * (features + units + (layers - 1) * 2 * units)
    references: dict[str, dict[str, Callable[[], Any]]] = {}
    if "torch" in libraries:
        references["torch"] = {"": _torch_lstm(features, units, layers, state, x, sent, device)}
    name = f"{steps} steps, batch {samples}, {features} to {layers} x {units}, train"
    run = _our_lstm(build, state, x, sent, device)
    check = partial(_check, build, state, x, sent, device)
    return Contest("lstm", name, "float32", {"": run}, check, references, 6 * macs, 0)


def _our_lstm(
    build: Callable[[], Any], state: dict[str, Array], x: Array, sent: Array, device: Device, by_definition: bool = False
) -> Callable[[], Any]:
    model = build().to(device).to(x.dtype)
    model.load_state_dict(state)
    leaf, gradient = asarray(x, device=device).requires_grad_(), asarray(sent, device=device)
    leaves = [leaf, *model.parameters()]

    def run() -> Any:
        return grad(model(leaf)[0], leaves, gradient, create_graph=by_definition)

    return run


def _torch_lstm(
    features: int, units: int, layers: int, state: dict[str, Array], x: Array, sent: Array, device: Device
) -> Callable[[], Any]:
    import torch

    model = torch.nn.LSTM(features, units, layers).to(TORCH_DEVICES[device.name])
    model.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})
    leaf, gradient = on_device(x, device).requires_grad_(), on_device(sent, device)
    leaves = [leaf, *model.parameters()]

    def run() -> Any:
        return torch.autograd.grad(model(leaf)[0], leaves, gradient)

    return run


def _check(build: Callable[[], Any], state: dict[str, Array], x: Array, sent: Array, device: Device) -> float:
    """The float32 gradients against those of the layer's definition in ops, differentiated in float64."""
    found = []
    for dtype in ("float32", "float64"):
        named = {k: v.astype(dtype) for k, v in state.items()}
        run = _our_lstm(build, named, x.astype(dtype), sent.astype(dtype), device, by_definition=dtype == "float64")
        found.append([g.detach().numpy() for g in run()])
    error = relative_error(found[0], found[1])
    if not error < 1e-4:
        raise CheckFailure(f"lstm: expected gradients within 1e-4 of float64, got {error:.3g}")
    return error
