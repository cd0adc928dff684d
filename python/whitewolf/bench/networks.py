"""Contests of training steps: forward, backward and update of the networks that people train, and of the least graph there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..autograd import grad
from ..cases import Array
from ..device import Device
from ..ops.creation import asarray
from .contests import TORCH_DEVICES, CheckFailure, Contest, on_device, relative_error


@dataclass(frozen=True)
class Net:
    """A network in whatever library `nn` belongs to: the names are the same.

    Attributes:
        build: makes it from `nn`.
        inputs: makes a batch and its labels from a generator and the batch size.
        macs: multiply-adds of one sample's forward pass.
        images: whether the batch is images, which may lie channels last.
    """

    build: Callable[[Any], Any]
    inputs: Callable[[np.random.Generator, int], tuple[Array, Array]]
    macs: int
    images: bool = True


def _lenet(nn: Any) -> Any:
    """Caffe's recipe for LeNet."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip


def _mlp(nn: Any) -> Any:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 500), nn.ReLU(), nn.Linear(500, 10))


def _alexnet(nn: Any) -> Any:
    """One tower, ungrouped, without local response normalisation and dropout (Krizhevsky 2014, arXiv 1404.5997, section 5)."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Linear(9216, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000),
    )  # fmt: skip


def _language_model(units: int, nn: Any) -> Any:
    """Word vectors, two layers of LSTM, a softmax over the vocabulary (Zaremba et al. 2014, arXiv 1409.2329), without dropout."""

    class LanguageModel(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, units)
            self.lstm = nn.LSTM(units, units, 2)
            self.output = nn.Linear(units, VOCABULARY)

        def forward(self, words: Any) -> Any:
            hidden, _ = self.lstm(self.embedding(words))
            return self.output(hidden).reshape(-1, VOCABULARY)

    return LanguageModel()


VOCABULARY = 10_000


def _pictures(shape: tuple[int, ...], classes: int, rng: np.random.Generator, batch: int) -> tuple[Array, Array]:
    return rng.standard_normal((batch, *shape)).astype(np.float32), rng.integers(0, classes, batch)


def _words(steps: int, rng: np.random.Generator, batch: int) -> tuple[Array, Array]:
    return rng.integers(0, VOCABULARY, (steps, batch)), rng.integers(0, VOCABULARY, steps * batch)


def _digits(rng: np.random.Generator, batch: int) -> tuple[Array, Array]:
    return _pictures((1, 28, 28), 10, rng, batch)


NETS = {
    "LeNet": Net(_lenet, _digits, 20 * 24 * 24 * 25 + 50 * 8 * 8 * 20 * 25 + 800 * 500 + 500 * 10),
    "MLP 784-500-10": Net(_mlp, _digits, 784 * 500 + 500 * 10, images=False),
    "AlexNet": Net(
        _alexnet,
        partial(_pictures, (3, 224, 224), 1000),
        55 * 55 * 64 * 363
        + 27 * 27 * 192 * 1600
        + 13 * 13 * (384 * 1728 + 256 * 3456 + 256 * 2304)
        + 9216 * 4096
        + 4096 * 4096
        + 4096 * 1000,
    ),  # fmt: skip
    "language model 2 x 200, T 20": Net(
        partial(_language_model, 200), partial(_words, 20), 20 * (2 * 8 * 200 * 200 + 200 * VOCABULARY), images=False
    ),
    "language model 2 x 650, T 35": Net(
        partial(_language_model, 650), partial(_words, 35), 35 * (2 * 8 * 650 * 650 + 650 * VOCABULARY), images=False
    ),
}


def network(name: str, batch: int, device: Device, libraries: Sequence[str], seed: int = 0) -> Contest:
    """One step of SGD with momentum on a batch: forward, backward, update."""
    from .. import nn
    from ..random import manual_seed

    net = NETS[name]
    manual_seed(seed)
    x, labels = net.inputs(np.random.default_rng(seed), batch)
    model = net.build(nn).to(device)
    state = {k: t.numpy().copy() for k, t in model.state_dict().items()}
    references: dict[str, dict[str, Callable[[], Any]]] = {}
    if "torch" in libraries:
        layouts = ("contiguous", "channels_last") if net.images else ("",)
        references["torch"] = {layout: _torch_step(net, state, x, labels, layout, device) for layout in layouts}
    run = _our_step(model, x, labels, device)
    check = partial(_check_network, net, state, x, labels, device)
    return Contest("step", f"{name}, batch {batch}", "float32", {"": run}, check, references, 6 * net.macs * batch, 0)


def _our_step(model: Any, x: Array, labels: Array, device: Device) -> Callable[[], Any]:
    from .. import nn, optim

    inputs, y = asarray(x, device=device), asarray(labels, device=device)
    optimizer = optim.SGD(model.parameters(), lr=1e-5, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), y).backward()
        optimizer.step()

    return step


def _torch_step(net: Net, state: dict[str, Array], x: Array, labels: Array, layout: str, device: Device) -> Callable[[], Any]:
    import torch

    model = net.build(torch.nn).to(TORCH_DEVICES[device.name])
    model.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})
    inputs, y = on_device(x, device), on_device(labels, device)
    if layout == "channels_last":
        model, inputs = model.to(memory_format=torch.channels_last), inputs.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        loss: Any = torch.nn.functional.cross_entropy(model(inputs), y)
        loss.backward()
        optimizer.step()

    return step


def _check_network(net: Net, state: dict[str, Array], x: Array, labels: Array, device: Device) -> float:
    """The float32 gradients of all weights against the same net in float64: the largest distance, relative to the gradient's length.

    An input within rounding of a kink (ReLU, max pooling) may take the other side of it in float32; in AlexNet a few of its half
    million do, which moves gradients by about 1e-3, ours like PyTorch's. A wrong kernel moves them by much more.
    """
    from .. import nn

    found: list[list[Array]] = []
    for dtype in ("float32", "float64"):
        model = net.build(nn).to(device).to(dtype)
        model.load_state_dict({k: asarray(v.astype(dtype), device=device) for k, v in state.items()})
        inputs = asarray(x.astype(dtype) if x.dtype.kind == "f" else x, device=device)
        nn.functional.cross_entropy(model(inputs), asarray(labels, device=device)).backward()
        found.append([p.grad.numpy() for p in model.parameters()])
    error = max(float(np.linalg.norm(g - e) / max(float(np.linalg.norm(e)), 1e-300)) for g, e in zip(*found))
    if not error < 1e-2:
        raise CheckFailure(f"step: expected gradients within 1e-2 of float64, got {error:.3g}")
    return error


def small_multiply(train: bool, device: Device, libraries: Sequence[str], seed: int = 0) -> Contest:
    """One recorded product of two 4x4 tensors, with its gradients where `train`: what the Python around a kernel costs."""
    rng = np.random.default_rng(seed)
    a, b, sent = (rng.standard_normal((4, 4)).astype(np.float32) for _ in range(3))
    x, y = (asarray(v, device=device).requires_grad_() for v in (a, b))
    g = asarray(sent, device=device)

    def check() -> float:
        z = x * y
        got = [z.detach().numpy(), *(t.numpy() for t in grad(z, (x, y), g))]
        error = relative_error(
            got, [v.astype(np.float64) for v in (a.astype(float) * b, sent * b.astype(float), sent * a.astype(float))]
        )
        if not error < 1e-6:
            raise CheckFailure(f"multiply: expected product and gradients within 1e-6 of float64, got {error:.3g}")
        return error

    references: dict[str, dict[str, Callable[[], Any]]] = {}
    if "torch" in libraries:
        import torch

        tx, ty = on_device(a, device).requires_grad_(), on_device(b, device).requires_grad_()
        tg = on_device(sent, device)
        references["torch"] = {"": (lambda: torch.autograd.grad(tx * ty, (tx, ty), tg)) if train else (lambda: tx * ty)}
    ours = {"": (lambda: grad(x * y, (x, y), g)) if train else (lambda: x * y)}
    case = "4 x 4, recorded" + (", train" if train else "")
    return Contest("multiply", case, "float32", ours, check, references, 0, 0)
