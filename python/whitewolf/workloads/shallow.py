"""Why depth: a linear classifier on pixels, one on features made by hand, and a deep net that learns its own, on the same images.

The argument that opens "Supervised learning" in the 2015 paper: a linear classifier carves its input space into half-spaces, so it
needs a good feature extractor, made by hand with engineering skill (here histograms of oriented gradients) or learned. The three learn
side by side, from the same batches; none sees the others' gradients, for they share no parameter.
"""

from __future__ import annotations

import argparse
import math
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import no_grad
from .frame import Task, Workload
from .hog import hog
from .lenet import lenet

CLASSIFIERS = {"pixels": "linear, on pixels", "hog": "linear, on HOG", "deep": "deep net, on pixels"}
RATES = {"pixels": 0.03, "hog": 0.3, "deep": 0.03}  # peak learning rates, of SGD with momentum 0.9


class _WithFeatures:
    """Adds the features of a batch's images to it: (images, labels) becomes (images, features, labels)."""

    def __init__(self, cell: int) -> None:
        self.cell = cell

    def __call__(self, batch: Any, rng: np.random.Generator) -> Any:
        images, labels = batch
        return images, hog(images[:, 0], self.cell), labels


class _ShallowTask(Task):
    """Softmax regression of all three, on one batch at a time."""

    rates: dict[str, float] = {}
    test: Any = None
    errors: dict[str, float] = {}

    def scores(self, images: Any, features: Any) -> dict[str, Any]:
        given = {"pixels": images.reshape((len(images), -1)), "hog": features, "deep": images}
        return {name: self.model[name](given[name]) for name in CLASSIFIERS}

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        from ..nn.functional import cross_entropy

        images, features, labels = batch
        for group, name in zip(self.optimizer.param_groups, CLASSIFIERS):
            group["lr"] = self.rates[name] * 0.5 * (1 + math.cos(math.pi * fraction))
        scores = self.scores(images, features)
        losses = [cross_entropy(s, labels) for s in scores.values()]
        loss = self.learn(losses[0] + losses[1] + losses[2])
        hits = int((scores["deep"].numpy().argmax(axis=1) == labels.numpy()).sum())
        return loss * len(labels), hits, len(labels)

    def evaluate(self) -> dict[str, float]:
        wrong, n = dict.fromkeys(CLASSIFIERS, 0), 0
        with no_grad():
            for images, features, labels in self.test:
                for name, scores in self.scores(images, features).items():
                    wrong[name] += int((scores.numpy().argmax(axis=1) != labels.numpy()).sum())
                n += len(labels)
        self.errors = {f"{name}_error": wrong[name] / n for name in CLASSIFIERS}
        return dict(self.errors)

    def report(self) -> list[str]:
        return [
            f"{text:20} {100 * self.errors[f'{name}_error']:5.2f} % of images not seen are wrong"
            for name, text in CLASSIFIERS.items()
        ]

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        from .plots import curves, filters

        lines: Any = {text: itemgetter(f"{name}_error") for name, text in CLASSIFIERS.items()}
        weight = self.model["pixels"].weight.detach().numpy()
        size = math.isqrt(weight.shape[1])
        templates = filters(weight.reshape(-1, 1, size, size), folder / "templates.png", [str(digit) for digit in range(10)])
        return [curves(history, folder / "curves.png", {"error (fraction)": lines}), templates]


class Shallow(Workload):
    """See the top of this file."""

    name = "shallow"
    summary = "linear classifiers on pixels and on hand-made features beside a deep net"
    paper = "Deep Learning (2015), 'Supervised learning'; Dalal and Triggs 2005 (HOG)"
    data = "scikit-learn's digits; a folder of MNIST's IDX files"
    published = "mnist"
    metric = "deep_error"
    target = 0.03
    larger_is_better = False

    def goal(self, options: argparse.Namespace) -> tuple[str, float | None, bool]:
        if options.data:
            return "hog_error", 0.03, False
        return self.metric, 0.05 if options.quick else self.target, False

    def also(self, figures: dict[str, Any]) -> bool:
        ordered: bool = figures["deep_error"] < min(figures["pixels_error"], figures["hog_error"])
        return ordered and bool(figures["images"] != "MNIST" or figures["pixels_error"] <= 0.084)

    def setup(self, options: argparse.Namespace) -> Task:
        import whitewolf as ww

        if options.data:
            train, test = ww.data.mnist(options.data), ww.data.mnist(options.data, train=False)
            images, size, cell, epochs, batch = "MNIST", 28, 4, 1 if options.quick else 8, 64
        else:
            train, test = ww.data.digits(), ww.data.digits(train=False)
            images, size, cell, epochs, batch = "scikit-learn's 8x8 digits", 8, 2, 12 if options.quick else 40, 32
        data = f"{images}, {len(train):,} to learn from, {len(test):,} to test on"
        epochs, batch = options.epochs or epochs, options.batch_size or batch
        features = _WithFeatures(cell)
        wide = (size // cell - 1) ** 2 * 36
        parts = {"pixels": ww.nn.Linear(size * size, 10), "hog": ww.nn.Linear(wide, 10), "deep": lenet(size)}
        model = ww.nn.ModuleDict(parts).to(options.device)
        groups = [{"params": list(parts[n].parameters()), "weight_decay": 5e-4 if n == "deep" else 0.0} for n in CLASSIFIERS]
        optimizer = ww.optim.SGD(groups, lr=0.03, momentum=0.9)
        loader = ww.data.DataLoader(
            train, batch, shuffle=True, seed=options.seed, num_workers=1, transform=features, device=options.device
        )  # fmt: skip
        scale = (options.lr or RATES["deep"]) / RATES["deep"]
        rates = {name: scale * rate for name, rate in RATES.items()}
        settings = {"data": data, "epochs": epochs, "batch_size": batch, "lr": rates, "seed": options.seed}
        facts = {"images": images, "batch_size": batch, "lr": rates, "features": wide, "quick": options.quick}
        task = _ShallowTask(model, optimizer, loader, epochs, data, settings, facts)
        task.rates = rates
        task.test = ww.data.DataLoader(test, 256, transform=features, device=options.device)
        return task


WORKLOAD = Shallow()
