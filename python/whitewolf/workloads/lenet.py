"""LeNet: convolution, pooling, convolution, pooling, two full layers (LeCun, Bottou, Bengio and Haffner 1998), with ReLU.

Without --data it learns scikit-learn's 8x8 digits in an 8x8 form of the net, named as such in the result. With --data FOLDER it
learns MNIST from its IDX files, with the layer sizes of Caffe's recipe: 20 filters of 5x5, 50 of 5x5, 500 units.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from ..autograd import no_grad
from .frame import Task, Workload

WARM_UP = 0.05  # of all steps: the learning rate rises to its peak, then falls to zero along a cosine


class _LeNetTask(Task):
    """Softmax regression on top of the net, by stochastic gradient descent with momentum."""

    peak: float = 0.0
    test: Any = None

    def step(self, batch: Any, fraction: float) -> tuple[float, float, int]:
        import whitewolf as ww

        images, labels = batch
        rising = min(1.0, (fraction + 1e-3) / WARM_UP)
        for group in self.optimizer.param_groups:
            group["lr"] = self.peak * rising * 0.5 * (1 + math.cos(math.pi * fraction))
        scores = self.model(images)
        loss = self.learn(ww.nn.functional.cross_entropy(scores, labels))
        n = len(labels)
        hits = int((scores.numpy().argmax(axis=1) == labels.numpy()).sum())
        return loss * n, hits, n

    def evaluate(self) -> dict[str, float]:
        import whitewolf as ww

        hits, loss, n = 0, 0.0, 0
        with no_grad():
            for images, labels in self.test:
                scores = self.model(images)
                loss += ww.nn.functional.cross_entropy(scores, labels).item() * len(labels)
                hits += int((scores.numpy().argmax(axis=1) == labels.numpy()).sum())
                n += len(labels)
        return {"test_loss": loss / n, "test_accuracy": hits / n, "test_error": (n - hits) / n}

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        from .plots import curves, filters

        first = self.model[0].weight.detach().numpy()
        return [curves(history, folder / "curves.png"), filters(first, folder / "filters.png")]


def lenet(size: int = 28) -> Any:
    """The net for images of `size` x `size` pixels: 28 (Caffe's layer sizes), or 8 (3x3 filters that keep the size)."""
    from whitewolf import nn

    if size == 28:
        layers = [nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2)]
        units, hidden = 50 * 4 * 4, 500
    elif size == 8:
        layers = [
            nn.Conv2d(1, 20, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 50, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        units, hidden = 50 * 2 * 2, 100
    else:
        raise ValueError(f"lenet: expected size == 28 or 8, got {size}")
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(units, hidden), nn.ReLU(), nn.Linear(hidden, 10))


class LeNet(Workload):
    """See the top of this file."""

    name = "lenet"
    summary = "a ConvNet that reads handwritten digits"
    paper = "LeCun, Bottou, Bengio and Haffner 1998; Deep Learning (2015), figure 2 and 'Convolutional neural networks'"
    data = "scikit-learn's digits, in an 8x8 form of the net; a folder of MNIST's IDX files"
    published = "mnist"
    metric = "test_accuracy"
    target = 0.98

    def goal(self, options: argparse.Namespace) -> tuple[str, float | None, bool]:
        if options.data:
            return "test_error", 0.02 if options.quick else 0.0095, False
        return self.metric, 0.96 if options.quick else self.target, True

    def setup(self, options: argparse.Namespace) -> Task:
        import whitewolf as ww

        if options.data:
            train, test = ww.data.mnist(options.data), ww.data.mnist(options.data, train=False)
            size, shift, epochs, batch, lr, decay = 28, 2, 6, 64, 0.03, 5e-4
            net = "LeNet-5 style: conv 20@5x5, pool, conv 50@5x5, pool, 500, 10"
            data = f"MNIST, {len(train):,} to learn from, {len(test):,} to test on"
        else:
            train, test = ww.data.digits(), ww.data.digits(train=False)
            size, shift, epochs, batch, lr, decay = 8, 1, 40, 32, 0.05, 2e-3
            net = "8x8 form of LeNet: conv 20@3x3, pool, conv 50@3x3, pool, 100, 10"
            data = f"scikit-learn's 8x8 digits, {len(train):,} to learn from, {len(test):,} held out"
        epochs = options.epochs or ((1 if options.data else 16) if options.quick else epochs)
        batch, lr = options.batch_size or batch, options.lr or lr
        model = lenet(size).to(options.device)
        optimizer = ww.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=decay)
        loader = ww.data.DataLoader(
            train,
            batch,
            shuffle=True,
            seed=options.seed,
            num_workers=1,
            transform=ww.data.RandomShift(shift),
            device=options.device,
        )
        settings = {"net": net, "data": data, "epochs": epochs, "batch_size": batch, "lr": lr, "seed": options.seed}
        facts = {"net": net, "batch_size": batch, "lr": lr, "weight_decay": decay, "shift": shift, "quick": options.quick}
        task = _LeNetTask(model, optimizer, loader, epochs, data, settings, facts)
        task.peak = lr
        task.test = ww.data.DataLoader(test, 256, device=options.device)
        return task


WORKLOAD = LeNet()
