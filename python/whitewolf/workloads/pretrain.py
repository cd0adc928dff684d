"""Unsupervised pre-training: layers that learn from images without labels, and what that is worth when labels are few.

The revival of deep learning around 2006 in the 2015 paper ("Backpropagation to train multilayer architectures"), by three methods:

    rbm          restricted Boltzmann machines, stacked, by contrastive divergence (Hinton, Osindero and Teh 2006; Hinton 2002)
    denoising    denoising autoencoders, stacked (Vincent, Larochelle, Bengio and Manzagol 2008)
    autoencoder  the deep autoencoder of Hinton and Salakhutdinov 2006: a stack of RBMs unrolled and fine-tuned, against PCA

The first two end with a classifier: the same net, from the same few labels, fine-tuned from the stack and from random numbers.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..device import Array
from ..nn.module import Module
from ..ops.creation import asarray
from .finite import NotFinite, finite
from .frame import Task, Workload

PRETRAIN = 0.6  # of all steps, shared by the layers from the bottom up; the rest fine-tunes
MASKED = 0.25  # of the inputs of a denoising autoencoder
DENOISING_RATE = 0.1  # of the loss summed over the inputs, with momentum 0.9
LOGISTIC = 4.0  # times Glorot's range: the slope of a logistic unit at 0 is a quarter
COPIES = 3  # of the experiment, each with its own numbers and labels


class Layer(Module):
    """A layer of units that learns what it sees: an RBM, or an autoencoder whose decoder has the transposed weights.

    Args:
        visible, hidden: numbers of units.
        linear: hidden units are their input with normal noise, instead of logistic: the code layer of Hinton and Salakhutdinov.
        wide: weights start in Glorot's range, as those of the nets that start from random numbers; else they start smaller.
    """

    def __init__(self, visible: int, hidden: int, linear: bool = False, wide: bool = False) -> None:
        from .. import nn
        from ..ops.creation import zeros

        super().__init__()
        self.linear = linear
        self.up = nn.Linear(visible, hidden)
        if wide:
            nn.init.xavier_uniform_(self.up.weight, gain=LOGISTIC)
        else:  # Hinton 2010, section 8
            nn.init.normal_(self.up.weight, 0.0, 0.01 if linear else 0.05)
        self.visible_bias = nn.Parameter(zeros(visible))
        self.register_buffer("velocity", zeros((hidden, visible)))

    def encode(self, v: Any) -> Any:
        """The mean of the hidden units."""
        return self.up(v) if self.linear else self.up(v).sigmoid()

    def decode(self, h: Any) -> Any:
        """The mean of the visible units."""
        return (h @ self.up.weight + self.visible_bias).sigmoid()

    def contrast(self, v: Any, rate: float, momentum: float) -> float:
        """One step of contrastive divergence, from `v` and from its reconstruction; returns the squared error of that, per sample.

        dW = <v h> of the data - <v h> of the reconstruction (Hinton 2002, equation 5), with momentum and weight decay 2e-4.

        Raises:
            NotFinite: the hidden units or the reconstruction are not; nothing was changed.
        """
        from ..ops.random import bernoulli, normal

        with no_grad():
            n = len(v)
            weight: Any = self.up.weight
            bias: Any = self.up.bias
            visible_bias: Any = self.visible_bias
            h = self.encode(v)
            if not finite(h):
                raise NotFinite("finite hidden units, got others")
            sampled = h + normal(h.shape, device=v.device) if self.linear else bernoulli(h)
            v1 = self.decode(sampled)
            error = float(((v - v1) ** 2).sum().item()) / n
            if not math.isfinite(error):
                raise NotFinite(f"a finite error of the reconstruction, got {error}")
            h1 = self.encode(v1)
            velocity = self.velocity
            velocity *= momentum
            velocity += ((h.T @ v - h1.T @ v1) / n - 2e-4 * weight) * rate
            weight += velocity
            bias += (h - h1).mean(axis=0) * rate
            visible_bias += (v - v1).mean(axis=0) * rate
            return error


def stack(sizes: list[int], method: str) -> Any:
    """Layers from each size to the next, as the method wants them."""
    from .. import nn

    last = len(sizes) - 2
    coding, wide = method == "autoencoder", method == "denoising"
    return nn.ModuleList([Layer(sizes[i], sizes[i + 1], coding and i == last, wide) for i in range(last + 1)])


class Classifier(Module):
    """Logistic layers and a linear one on top; from a stack (whose layers it goes on to train), or from Glorot's random numbers."""

    def __init__(self, sizes: list[int], layers: Any = None) -> None:
        from .. import nn

        super().__init__()
        if layers is None:
            ups = [nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])]
            for up in ups:
                nn.init.xavier_uniform_(up.weight, gain=LOGISTIC)
        else:
            ups = [layer.up for layer in layers]
        self.ups = nn.ModuleList(ups)
        self.top = nn.Linear(sizes[-1], 10)

    def forward(self, v: Any) -> Any:
        for up in self.ups:
            v = up(v).sigmoid()
        return self.top(v)


class Autoencoder(Module):
    """A stack unrolled: an encoder down to the code, and a decoder that begins with the transposed weights and then has its own."""

    def __init__(self, layers: Any) -> None:
        from .. import nn

        super().__init__()
        self.encoder = layers
        self.decoder = nn.ModuleList([nn.Linear(layer.up.out_features, layer.up.in_features) for layer in reversed(list(layers))])

    def unroll(self) -> None:
        """Gives the decoder the weights of the stack."""
        for down, layer in zip(self.decoder, reversed(list(self.encoder))):
            down.load_state_dict({"weight": layer.up.weight.numpy().T.copy(), "bias": layer.visible_bias.numpy().copy()})

    def logits(self, v: Any) -> Any:
        for layer in self.encoder:
            v = layer.encode(v)
        for at, down in enumerate(self.decoder):
            v = down(v) if at + 1 == len(self.decoder) else down(v).sigmoid()
        return v

    def forward(self, v: Any) -> Any:
        return self.logits(v).sigmoid()


class _PretrainTask(Task):
    """Each layer in turn learns what the layers below make of the images; then all of them are fine-tuned by backpropagation."""

    def prepare(self, method: str, sizes: list[int], labelled: list[Any], test: Any, device: str) -> None:
        self.method, self.sizes, self.labelled, self.test, self.device = method, sizes, labelled, test, device
        self.unrolled = False
        self.components: Array | None = None

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        images = batch[0].reshape((len(batch[0]), -1))
        layers = len(self.sizes) - 1
        if fraction < PRETRAIN:
            depth = min(int(fraction / PRETRAIN * layers), layers - 1)
            return self.pretrain(images, depth, fraction) * len(images), None, len(images)
        if self.method == "autoencoder":
            return self.tune_autoencoder(images) * len(images), None, len(images)
        return self.tune_classifiers(len(images))

    def pretrain(self, images: Any, depth: int, fraction: float) -> float:
        from ..nn.functional import binary_cross_entropy_with_logits
        from ..ops.random import uniform

        losses: list[Any] = []
        for layers in self.model["stacks"]:
            v = images
            with no_grad():
                for below in list(layers)[:depth]:
                    v = below.encode(v)
            layer = layers[depth]
            if self.method == "denoising":
                kept = (uniform(v.shape, device=v.device) >= MASKED).astype(v.dtype)
                decoded = layer.encode(v * kept) @ layer.up.weight + layer.visible_bias
                losses.append(binary_cross_entropy_with_logits(decoded, v) * v.shape[1])
            else:
                begun = fraction / PRETRAIN * (len(self.sizes) - 1) - depth  # Hinton 2010, section 9: momentum grows
                losses.append(layer.contrast(v, 0.001 if layer.linear else self.facts["contrast_lr"], 0.5 if begun < 0.2 else 0.9))
        if self.method == "denoising":
            self.optimizer.param_groups[0]["lr"] = DENOISING_RATE
            return self.learn(sum(losses[1:], losses[0])) / len(losses)
        return float(sum(losses)) / len(losses)

    def tune_classifiers(self, n: int) -> tuple[float, float, int]:
        from ..nn.functional import cross_entropy
        from ..ops.random import randint

        total, hits = None, 0.0
        for copy, (images, labels) in enumerate(self.labelled):
            rows = randint(0, len(labels), (n,)).numpy()
            v, truth = asarray(images[rows], device=self.device), asarray(labels[rows], device=self.device)
            for kind in ("pretrained", "random"):
                scores = self.model[kind][copy](v)
                loss = cross_entropy(scores, truth)
                total = loss if total is None else total + loss
                hits += float((scores.numpy().argmax(axis=1) == labels[rows]).sum())
        nets = 2 * len(self.labelled)
        self.optimizer.param_groups[0]["lr"] = self.facts["lr"]
        return self.learn(total) / nets * n, hits / nets, n

    def tune_autoencoder(self, images: Any) -> float:
        from ..nn.functional import binary_cross_entropy_with_logits

        net = self.model["autoencoder"]
        if not self.unrolled:
            net.unroll()
            self.unrolled = True
        return self.learn(binary_cross_entropy_with_logits(net.logits(images), images) * images.shape[1])

    def evaluate(self) -> dict[str, float]:
        if self.method == "autoencoder":
            return self.evaluate_autoencoder()
        found = {}
        for kind in ("pretrained", "random"):
            errors = []
            for net in self.model[kind]:
                wrong = n = 0
                with no_grad():
                    for images, labels in self.test:
                        scores = net(images.reshape((len(images), -1))).numpy()
                        wrong, n = wrong + int((scores.argmax(axis=1) != labels.numpy()).sum()), n + len(labels)
                errors.append(wrong / n)
            found[f"{kind}_error"] = float(np.mean(errors))
        return found | {"gain": 1 - found["pretrained_error"] / max(found["random_error"], 1e-9)}

    def evaluate_autoencoder(self) -> dict[str, float]:
        if not self.unrolled:
            self.model["autoencoder"].unroll()
        squares = {"autoencoder": 0.0, "pca": 0.0}
        n = 0
        for images, labels in self.test:
            v, (coded, projected) = images.numpy().reshape(len(labels), -1), self.reconstructions(images)
            squares["autoencoder"] += float(((coded - v) ** 2).sum())
            squares["pca"] += float(((projected - v) ** 2).sum())
            n += len(labels)
        ratio = squares["autoencoder"] / squares["pca"]
        return {"squared_error": squares["autoencoder"] / n, "pca_squared_error": squares["pca"] / n, "of_pca": ratio}

    def reconstructions(self, images: Any) -> tuple[Array, Array]:
        """What the code tells, and what as many principal components of the training images tell."""
        flat = images.reshape((len(images), -1))
        with no_grad():
            coded = self.model["autoencoder"](flat).numpy()
        if self.components is None:
            seen = self.loader.dataset.arrays[0].reshape(len(self.loader.dataset), -1)
            self.mean = seen.mean(axis=0)
            self.components = np.linalg.eigh(np.cov(seen.T))[1][:, -self.sizes[-1] :]
        centred = flat.numpy() - self.mean
        return coded, (centred @ self.components) @ self.components.T + self.mean

    def state_dict(self) -> dict[str, Any]:
        return {"unrolled": self.unrolled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.unrolled = state["unrolled"]

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        from . import plots

        if self.method == "autoencoder":
            panels: plots.Panels = {
                "squared error": {"autoencoder": lambda e: e["squared_error"], "PCA": lambda e: e["pca_squared_error"]}
            }
        else:
            names = {"pretrained": "pretrained_error", "random start": "random_error"}
            # mypy infers no type for a lambda whose default binds the loop's variable.
            panels = {"error (fraction)": {label: (lambda e, k=key: e[k]) for label, key in names.items()}}  # type: ignore[misc]
        first = self.model["stacks"][0][0].up.weight.detach().numpy()
        side = int(self.sizes[0] ** 0.5)
        tuned = [e for e in history if e["epoch"] > PRETRAIN * history[-1]["epoch"]]  # before that, nothing learned to tell
        pictures = [plots.curves(tuned, folder / "curves.png", panels)]
        pictures.append(plots.filters(first[:100].reshape(-1, 1, side, side), folder / "filters.png"))
        if self.method == "autoencoder":
            images = self.test.dataset.batch(plots.evenly(len(self.test.dataset), 10))[0]
            coded, projected = self.reconstructions(asarray(images, device=self.device))
            rows = np.stack([images.reshape(len(images), -1), coded, projected]).reshape(-1, side, side)
            pictures.append(plots.grid(rows, len(images), folder / "reconstructions.png", ("image", "code", "PCA")))
        return pictures


class Pretrain(Workload):
    """See the top of this file."""

    name = "pretrain"
    summary = "unsupervised pre-training of deep nets, for when labels are few"
    paper = "Hinton, Osindero and Teh 2006; Hinton and Salakhutdinov 2006; Vincent and others 2008; Deep Learning (2015)"
    data = "scikit-learn's digits; a folder of MNIST's IDX files"
    published = "mnist"
    metric = "gain"
    target = 0.2

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--method", choices=("rbm", "denoising", "autoencoder"), default="rbm", help="default rbm")
        parser.add_argument("--labels", type=int, metavar="N", help="that fine-tuning may see (default: MNIST 600; digits 50)")

    def goal(self, options: argparse.Namespace) -> tuple[str, float | None, bool]:
        if options.method == "autoencoder":
            return "of_pca", 0.9 if options.quick else 0.6, False
        return self.metric, 0.1 if options.quick else self.target, True

    def setup(self, options: argparse.Namespace) -> Task:
        import whitewolf as ww

        coding = options.method == "autoencoder"
        if options.data:
            train, test = ww.data.mnist(options.data), ww.data.mnist(options.data, train=False)
            name, few, epochs, batch = "MNIST", 600, 2 if options.quick else 15, 100
            sizes = [784, 1000, 500, 250, 30] if coding else [784, 500, 500]
        else:
            train, test = ww.data.digits(), ww.data.digits(train=False)
            name, few, epochs, batch = "scikit-learn's 8x8 digits", 50, 60 if options.quick else 150, 20
            sizes = [64, 200, 100, 50, 8] if coding else [64, 200, 200]
        few = options.labels or few
        if not 10 <= few <= len(train) or few % 10:
            raise ValueError(f"pretrain: expected --labels to be a multiple of 10 from 10 to {len(train)}, got {few}")
        epochs, batch, lr = options.epochs or epochs, options.batch_size or batch, options.lr or (1e-3 if coding else 0.1)
        copies = 1 if coding else COPIES
        stacks = [stack(sizes, options.method) for _ in range(copies)]
        parts: dict[str, Any] = {"stacks": ww.nn.ModuleList(stacks)}
        if coding:
            parts["autoencoder"] = Autoencoder(stacks[0])
        else:
            parts["pretrained"] = ww.nn.ModuleList([Classifier(sizes, layers) for layers in stacks])
            parts["random"] = ww.nn.ModuleList([Classifier(sizes) for _ in stacks])
        model = ww.nn.ModuleDict(parts).to(options.device)
        # Adam would soon undo what was learned without labels: each weight moves as fast as any, however small its gradient.
        optimizer: Any = (
            ww.optim.Adam(model.parameters(), lr=lr) if coding else ww.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
        )
        loader = ww.data.DataLoader(train, batch, shuffle=True, seed=options.seed, num_workers=1, device=options.device)
        data = f"{name}, {len(train):,} without labels" + ("" if coding else f", {few} with") + f", {len(test):,} to test on"
        settings = {
            "data": data, "method": options.method, "epochs": epochs, "batch_size": batch, "lr": lr, "seed": options.seed,
        }  # fmt: skip
        facts = {"method": options.method, "sizes": sizes, "copies": copies, "batch_size": batch, "lr": lr, "quick": options.quick}
        facts["contrast_lr"] = 0.1 if options.data or coding else 0.3  # 64 pixels bear more than 784
        task = _PretrainTask(model, optimizer, loader, epochs, data, settings, facts)
        labelled = [_few(train, few, options.seed + copy) for copy in range(copies)]
        task.prepare(options.method, sizes, labelled, ww.data.DataLoader(test, 1000, device=options.device), options.device)
        return task


def _few(dataset: Any, n: int, seed: int) -> tuple[Array, Array]:
    """n images with labels, as many of each class.

    Raises:
        ValueError: there are not so many of a class.
    """
    images, labels = dataset.arrays
    there = np.bincount(labels, minlength=10)
    if there.min() < n // 10:
        raise ValueError(f"pretrain: expected {n // 10} images of each digit for {n} labels, got {there.min()} of {there.argmin()}")
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, 6], np.uint64)))
    rows = np.concatenate([rng.permutation(np.flatnonzero(labels == digit))[: n // 10] for digit in range(10)])
    return images[rows].reshape(len(rows), -1), labels[rows]


WORKLOAD = Pretrain()
