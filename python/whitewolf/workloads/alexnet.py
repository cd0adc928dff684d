"""AlexNet (Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012): the network
after which computer vision turned to deep learning ("Image understanding with deep convolutional networks" in the 2015 paper).

--net full is the published network, 60,965,224 parameters with 1,000 classes, on any folder of class folders. --net small is of the
same kind (ReLU, response normalisation, overlapping pooling, dropout, augmentation) for pictures of 32x32: CIFAR-10 as a folder of
class folders or in its binary version. Without --data it learns scikit-learn's digits, enlarged.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from .. import data as datasets
from ..autograd import no_grad
from ..device import Array
from .frame import Task, Workload

PARTS = ("relu", "dropout", "augmentation")
WARM_UP = 0.05  # of all steps


def local_response_norm() -> Any:
    """Section 3.3: b = a / (k + alpha sum a^2)^beta over n = 5 channels, k = 2, alpha = 1e-4, beta = 0.75; ours divides alpha by n."""
    from ..nn import LocalResponseNorm

    return LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def full_alexnet(classes: int = 1000, relu: bool = True, dropout: float = 0.5) -> Any:
    """The network of figure 2, for pictures of 224x224: layers 2, 4 and 5 are in two groups, one for each GPU of 2012."""
    from .. import nn

    act = nn.ReLU if relu else nn.Tanh
    net = nn.Sequential(
        nn.Conv2d(3, 96, 11, stride=4, padding=2), act(), local_response_norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), act(), local_response_norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), act(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), act(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), act(), nn.MaxPool2d(3, 2),
        nn.Flatten(), nn.Dropout(dropout), nn.Linear(256 * 6 * 6, 4096), act(),
        nn.Dropout(dropout), nn.Linear(4096, 4096), act(), nn.Linear(4096, classes),
    )  # fmt: skip
    layers = [layer for layer in net if isinstance(layer, (nn.Conv2d, nn.Linear))]
    for at, layer in enumerate(layers):  # section 5: "details of learning"
        nn.init.normal_(layer.weight, 0.0, 0.01)
        assert layer.bias is not None
        nn.init.constant_(layer.bias, 1.0 if at in (1, 3, 4, 5, 6) else 0.0)
    return net


def small_alexnet(classes: int = 10, relu: bool = True, dropout: float = 0.5) -> Any:
    """Four convolutions and two full layers for pictures of 32x32, with overlapping pooling (section 3.4) after 1, 2 and 4."""
    from .. import nn

    act = nn.ReLU if relu else nn.Tanh
    net = nn.Sequential(
        nn.Conv2d(3, 32, 5, padding=2), act(), nn.MaxPool2d(3, 2, padding=1), local_response_norm(),
        nn.Conv2d(32, 64, 3, padding=1), act(), nn.MaxPool2d(3, 2, padding=1), local_response_norm(),
        nn.Conv2d(64, 128, 3, padding=1), act(),
        nn.Conv2d(128, 128, 3, padding=1), act(), nn.MaxPool2d(3, 2, padding=1),
        nn.Flatten(), nn.Dropout(dropout), nn.Linear(128 * 4 * 4, 256), act(),
        nn.Dropout(dropout), nn.Linear(256, classes),
    )  # fmt: skip
    for layer in net:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu" if relu else "tanh")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return net


def read(folder: str, size: int, train: bool, classes: list[str] | None = None) -> tuple[Any, list[str]]:
    """Training or test pictures of a folder: CIFAR-10's binary files, or train/ and one of test/, val/, each with class folders."""
    root = Path(folder)
    for binary in (root, root / "cifar-10-batches-bin"):
        if size == 32 and (binary / "data_batch_1.bin").exists():
            return datasets.cifar10(binary, train), [str(i) for i in range(10)]
    names = ("train",) if train else ("test", "val")
    inside = next((root / name for name in names if (root / name).is_dir()), None)
    if inside is None:
        where = "CIFAR-10's data_batch_1.bin, or train/ and test/ (or val/) with a folder of pictures for each class"
        raise FileNotFoundError(f"alexnet: expected {where}, in {root}, found no {' or '.join(names)}")
    found = datasets.ImageFolder(inside, size, classes)
    return (found.in_memory() if size <= 64 else found), found.classes


def enlarged_digits(train: bool) -> Any:
    """scikit-learn's digits of 8x8 as bytes of 3x32x32, each pixel repeated and then smoothed."""
    images, labels = datasets.digits(train).arrays
    wide = images.repeat(4, axis=2).repeat(4, axis=3)
    for axis in (2, 3):  # a mean of three neighbours, twice: as bilinear interpolation would
        for _ in range(2):
            wide = (np.roll(wide, 1, axis) + wide + np.roll(wide, -1, axis)) / 3
    return datasets.TensorDataset(np.round(wide * 255).astype(np.uint8).repeat(3, axis=1), labels)


def colours(pictures: Any, most: int = 1000) -> tuple[Array, Array, Array, Array]:
    """Mean and standard deviation of each channel, and principal components and spread along them, of up to `most` pictures."""
    picked = np.stack([pictures[int(i)][0] for i in np.linspace(0, len(pictures) - 1, min(most, len(pictures)))])
    pixels = picked[:, :, ::2, ::2].transpose(1, 0, 2, 3).reshape(3, -1) / 255.0
    std = np.maximum(pixels.std(axis=1), 1e-3)
    variances, components = np.linalg.eigh(np.cov(pixels / std[:, None]))
    return pixels.mean(axis=1), std, components, np.sqrt(np.maximum(variances, 0))


def views(images: Array, size: int, flips: bool) -> list[Array]:
    """What the prediction is averaged over (section 4.1): corners and centre of larger pictures, each with its mirror image."""
    edge = images.shape[-1] - size
    places = [(0, 0), (0, edge), (edge, 0), (edge, edge), (edge // 2, edge // 2)] if edge else [(0, 0)]
    crops = [images[..., y : y + size, x : x + size] for y, x in places]
    return [view for crop in crops for view in ([crop, crop[..., ::-1]] if flips else [crop])]


class _AlexNetTask(Task):
    """Stochastic gradient descent with momentum 0.9 and weight decay (section 5); the rate falls along a cosine."""

    peak: float = 0.0
    size: int = 32
    flips: bool = True
    test: Any = None

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        from ..nn.functional import cross_entropy

        images, labels = batch
        self.optimizer.param_groups[0]["lr"] = (
            self.peak * min(1.0, (fraction + 1e-3) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * fraction))
        )
        scores = self.model(images)
        hits = int((scores.numpy().argmax(axis=1) == labels.numpy()).sum())
        return self.learn(cross_entropy(scores, labels)) * len(labels), hits, len(labels)

    def evaluate(self) -> dict[str, float]:
        from ..nn.functional import cross_entropy, softmax
        from ..ops.creation import asarray

        n, loss, hits, among_5 = 0, 0.0, 0, 0
        with no_grad():
            for images, labels in self.test:
                crops = views(images.numpy(), self.size, self.flips)
                guesses = [self.model(asarray(np.ascontiguousarray(crop), device=images.device)) for crop in crops]
                loss += cross_entropy(guesses[-1], labels).item() * len(labels)
                mean = sum(softmax(scores, -1).numpy() for scores in guesses)
                best = np.argsort(-mean, axis=1)[:, :5]
                right = best == labels.numpy()[:, None]
                hits, among_5, n = hits + int(right[:, 0].sum()), among_5 + int(right.sum()), n + len(labels)
        return {"test_loss": loss / n, "test_accuracy": hits / n, "test_error": 1 - hits / n, "top5_error": 1 - among_5 / n}

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        from .plots import curves, filters

        return [curves(history, folder / "curves.png"), filters(self.model[0].weight.detach().numpy(), folder / "filters.png")]


class AlexNet(Workload):
    """See the top of this file."""

    name = "alexnet"
    summary = "the ConvNet of 2012, whole or for 32x32 pictures, with ablations"
    paper = "Krizhevsky, Sutskever and Hinton 2012; Deep Learning (2015), 'Image understanding with deep convolutional networks'"
    data = "scikit-learn's digits, enlarged to 32x32; CIFAR-10, or any folder with train/CLASS and test/CLASS"
    published = "cifar10"
    metric = "test_accuracy"
    target = 0.98

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--net", choices=("small", "full"), default="small", help="for 32x32, or the network of 2012, 224x224")
        parser.add_argument(
            "--without", type=_parts, metavar="PARTS", help=f"leave out one or more of {', '.join(PARTS)}: what is it worth?"
        )
        parser.add_argument("--limit", type=int, metavar="N", help="learn from N pictures only, evenly taken")
        parser.add_argument(
            "--size", type=int, default=256, metavar="N", help="--net full: pictures are scaled to this (default 256)"
        )

    def goal(self, options: argparse.Namespace) -> tuple[str, float | None, bool]:
        if options.without or options.limit or options.net == "full":
            return self.metric, None, True
        if options.data:
            return self.metric, 0.45 if options.quick else 0.75, True
        return self.metric, 0.93 if options.quick else self.target, True

    def setup(self, options: argparse.Namespace) -> Task:
        import whitewolf as ww

        full, without = options.net == "full", options.without.split(",") if options.without else []
        if full and options.size < 224:
            raise ValueError(f"alexnet: expected --size >= 224 with --net full, got {options.size}")
        if options.data:
            train, classes = read(options.data, options.size if full else 32, True)
            test, _ = read(options.data, options.size if full else 32, False, classes)
            data = f"{Path(options.data).name}, {len(classes)} classes, {len(train):,} to learn from, {len(test):,} to test on"
            epochs, batch, lr, decay = (90, 128, 0.01, 5e-4) if full else (20, 64, 0.02, 1e-3)
        elif full:
            raise FileNotFoundError("alexnet: expected --data FOLDER with --net full: pictures in train/CLASS and test/CLASS")
        else:
            train, test, classes = enlarged_digits(True), enlarged_digits(False), [str(i) for i in range(10)]
            data = f"scikit-learn's digits enlarged to 32x32, {len(train):,} to learn from, {len(test):,} held out"
            epochs, batch, lr, decay = 16, 64, 0.02, 1e-3
        if options.limit is not None:
            if not 1 <= options.limit <= len(train):
                raise ValueError(f"alexnet: expected 1 <= --limit <= {len(train)}, got {options.limit}")
            train = _Some(train, options.limit)
            data += f" (of these {options.limit:,})"
        epochs = options.epochs or (max(1, epochs // 8) if options.quick and options.data else 5 if options.quick else epochs)
        batch, lr = options.batch_size or batch, options.lr or lr
        make = full_alexnet if full else small_alexnet
        model = make(len(classes), relu="relu" not in without, dropout=0.0 if "dropout" in without else 0.5).to(options.device)
        optimizer = ww.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=decay)
        mean, std, components, spread = colours(train)
        scaled = datasets.Normalize(mean, std)
        size, flips = (224 if full else 32), bool(options.data)  # a mirrored digit is none
        changes: list[Any] = [datasets.RandomCrop(224) if full else datasets.RandomShift(4 if options.data else 2)]
        if "augmentation" in without:
            changes = [_Middle(size)]
        else:
            changes += [datasets.RandomFlip()] * flips + [datasets.ColourJitter(components, spread)]
        loader = ww.data.DataLoader(
            train, batch, shuffle=True, seed=options.seed, num_workers=1, transform=datasets.Compose(scaled, *changes),
            device=options.device,
        )  # fmt: skip
        net = f"{options.net} AlexNet" + (f" without {', '.join(without)}" if without else "")
        facts = {
            "net": net,
            "batch_size": batch,
            "lr": lr,
            "weight_decay": decay,
            "without": options.without,
            "quick": options.quick,
        }
        settings = {"net": net, "data": data, "epochs": epochs, "batch_size": batch, "lr": lr, "seed": options.seed}
        task = _AlexNetTask(model, optimizer, loader, epochs, data, settings, facts)
        task.peak, task.size, task.flips = lr, size, flips and "augmentation" not in without
        task.test = ww.data.DataLoader(test, min(batch, 128), transform=scaled, num_workers=1, device=options.device)
        return task


def _parts(text: str) -> str:
    """Some of PARTS, with commas between: in the order of PARTS, each once."""
    named = text.split(",")
    if unknown := [part for part in named if part not in PARTS]:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(PARTS)} with commas between, got {unknown[0]!r}")
    return ",".join(part for part in PARTS if part in named)


class _Some(datasets.Dataset):
    """n samples of a dataset, evenly taken."""

    def __init__(self, dataset: Any, n: int) -> None:
        self.dataset, self.rows = dataset, np.linspace(0, len(dataset) - 1, n).astype(np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.rows[index])]


class _Middle:
    """The middle square of each image."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, batch: Any, rng: np.random.Generator) -> Any:
        images, *others = batch
        top = (images.shape[-1] - self.size) // 2
        return (np.ascontiguousarray(images[..., top : top + self.size, top : top + self.size]), *others)


WORKLOAD = AlexNet()
