"""Recurrent models of visual attention: a network that looks at a picture through a few small glimpses and learns where to look
(Mnih, Heess, Graves and Kavukcuoglu 2014; "The future of deep learning" in the 2015 paper).

Where to look next is drawn at random, so no gradient flows through it: it is learned by REINFORCE (Williams 1992), from whether the
last guess was right. The digits lie on a larger canvas (scikit-learn's enlarged; with --data, MNIST, as published or --canvas N),
with pieces of other digits strewn about (--clutter).
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
from .finite import NotFinite
from .frame import Task, Workload

SPREAD = 0.11  # standard deviation of the places drawn, where 2 is the width of the picture


class Glimpses(Module):
    """The recurrent attention model of figure 1.

    Args:
        patch: width of the finest patch of a glimpse, in pixels.
        scales: how many patches a glimpse has, each twice as wide as the one before and scaled down to the same size.
        classes: of the answer.
        hidden: units of the core.
    """

    def __init__(self, patch: int = 8, scales: int = 1, classes: int = 10, hidden: int = 256) -> None:
        from .. import nn

        super().__init__()
        self.patch, self.scales, self.hidden = patch, scales, hidden
        self.what = nn.Linear(scales * patch * patch, 128)
        self.where = nn.Linear(2, 128)
        self.glimpse = nn.Linear(256, hidden)
        self.core = nn.Linear(2 * hidden, hidden)
        self.look = nn.Linear(hidden, 2)
        self.value = nn.Linear(hidden, 1)
        self.answer = nn.Linear(hidden, classes)

    def retina(self, images: Array, places: Array) -> Array:
        """The glimpses of `images` [N, H, W] around `places` [N, 2], rows and columns in [-1, 1]: [N, scales * patch * patch]."""
        n, height, width = images.shape
        edge = self.patch * 2 ** (self.scales - 1)
        return self.cut(np.pad(images, ((0, 0), (edge, edge), (edge, edge))), (height, width), places)

    def cut(self, padded: Array, size: tuple[int, int], places: Array) -> Array:
        """The same of images of that height and width that are padded already, by the width of the coarsest patch."""
        n = len(padded)
        found = np.empty((n, self.scales, self.patch, self.patch), np.float32)
        edge = self.patch * 2 ** (self.scales - 1)
        centres = np.rint((places + 1) / 2 * np.array(size) + edge).astype(np.int64)
        for scale in range(self.scales):
            wide, step = self.patch * 2**scale, 2**scale
            offsets = np.arange(wide) - wide // 2
            rows, columns = (np.clip(centres[:, axis, None] + offsets, 0, padded.shape[axis + 1] - 1) for axis in (0, 1))
            seen = padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
            found[:, scale] = seen.reshape(n, self.patch, step, self.patch, step).mean(axis=(2, 4))
        return found.reshape(n, -1)

    def forward(self, images: Array, draws: Array, device: Any = None) -> tuple[Any, list[Any], list[Any], Array]:
        """Looks `len(draws)` times.

        Args:
            images: float32 [N, H, W], in NumPy: no gradient goes into the pixels that were not looked at.
            draws: float32 [glimpses, N, 2]: numbers drawn from the standard normal distribution, that make the places.

        Returns:
            The scores of the answer [N, classes]; for each glimpse but the first, log p(place) [N] and the expected reward [N]; and the
            places [glimpses, N, 2].

        Raises:
            NotFinite: the places are not: so are the weights, or what was seen.
        """
        from ..nn.functional import relu
        from ..ops.joining import concat

        places = np.tanh(0.5 * draws[0]).astype(np.float32)  # anywhere: nothing was seen yet
        state: Any = asarray(np.zeros((len(images), self.hidden), np.float32), device=device)
        log_p, values, path = [], [], [places]
        for time in range(len(draws)):
            seen = asarray(self.retina(images, places), device=device)
            at = asarray(places, device=device)
            g = relu(self.glimpse(concat([relu(self.what(seen)), relu(self.where(at))], axis=1)))
            state = relu(self.core(concat([state, g], axis=1)))
            if time + 1 < len(draws):
                # Neither baseline nor place passes a gradient on to the core, as in the paper's hybrid loss: the answer shapes it.
                known = state.detach()
                mean = self.look(known).tanh()
                values.append(self.value(known).reshape((-1,)))
                # The density is that of the place drawn: looking at the edge instead of beyond it is what the world does with it.
                drawn = (mean.detach().numpy() + SPREAD * draws[time + 1]).astype(np.float32)
                if not np.isfinite(drawn).all():
                    raise NotFinite("finite places to look at, got others")
                places = np.clip(drawn, -1, 1)
                apart = (asarray(drawn, device=device) - mean) / SPREAD
                log_p.append((apart * apart).sum(axis=1) * -0.5)
                path.append(places)
        return self.answer(state), log_p, values, np.stack(path)


class OnCanvas:
    """Puts each image of a batch at a random place of a larger canvas, with pieces of other images of the batch around it.

    Args:
        size: height and width of the canvas.
        pieces: how many.
        piece: height and width of a piece.
    """

    def __init__(self, size: int, pieces: int, piece: int = 8) -> None:
        self.size, self.pieces, self.piece = size, pieces, piece

    def __call__(self, batch: Any, rng: np.random.Generator) -> Any:
        images, labels = batch
        n, _, height, width = images.shape
        canvas = np.zeros((n, self.size, self.size), np.float32)
        for at in range(n):
            for _ in range(self.pieces):
                other = images[rng.integers(n), 0]
                cut = min(self.piece, height)
                y, x = rng.integers(0, height - cut + 1, 2)
                top, left = rng.integers(0, self.size - cut + 1, 2)
                spot = canvas[at, top : top + cut, left : left + cut]
                np.maximum(spot, other[y : y + cut, x : x + cut], out=spot)
            top, left = rng.integers(0, self.size - height + 1), rng.integers(0, self.size - width + 1)
            spot = canvas[at, top : top + height, left : left + width]
            np.maximum(spot, images[at, 0], out=spot)
        return canvas, labels


class _GlimpseTask(Task):
    """The hybrid loss of section 3: cross-entropy of the answer, REINFORCE for the places, a baseline learned by regression."""

    glimpses: int = 6
    peak: float = 0.0
    test: Any = None

    def draws(self, n: int) -> Array:
        from ..ops.random import normal

        found: Array = normal((self.glimpses, n, 2)).numpy()
        return found

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        from ..nn.functional import cross_entropy

        images, labels = batch
        self.optimizer.param_groups[0]["lr"] = self.peak * 0.5 * (1 + math.cos(math.pi * fraction))
        scores, log_p, values, _ = self.model(images.numpy(), self.draws(len(labels)), images.device)
        right = (scores.numpy().argmax(axis=1) == labels.numpy()).astype(np.float32)
        reward = asarray(right, device=images.device)
        loss = cross_entropy(scores, labels)
        for log, value in zip(log_p, values):
            loss = loss - ((reward - value.detach()) * log).mean()
            loss = loss + ((reward - value) ** 2).mean() * (1 / len(log_p))
        return self.learn(loss, clip=5.0) * len(labels), float(right.sum()), len(labels)

    def evaluate(self) -> dict[str, float]:
        hits = n = 0
        rng = np.random.default_rng(0)
        with no_grad():
            for images, labels in self.test:
                drawn = rng.standard_normal((self.glimpses, len(labels), 2)).astype(np.float32)
                scores = self.model(images.numpy(), drawn, images.device)[0].numpy()
                hits, n = hits + int((scores.argmax(axis=1) == labels.numpy()).sum()), n + len(labels)
        return {"test_error": 1 - hits / n, "test_accuracy": hits / n}

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        from . import plots

        panels: plots.Panels = {"loss": {"training": lambda e: e["loss"]}, "error (fraction)": plots.ERROR}
        return [plots.curves(history, folder / "curves.png", panels), self.paths(folder / "glimpses.png")]

    def paths(self, path: Path) -> Path:
        """Twelve pictures not learned from, with the way that the glimpses take; green where the answer is right."""
        from . import plots

        rows = plots.evenly(len(self.test.dataset), 12)
        pictures, truth = self.test.transform(self.test.dataset.batch(rows), np.random.default_rng(1))
        drawn = np.random.default_rng(1).standard_normal((self.glimpses, len(truth), 2)).astype(np.float32)
        with no_grad():
            scores, _, _, places = self.model(pictures, drawn, self.model.answer.weight.device)
        answers = scores.numpy().argmax(axis=1)
        page = plots.figure(9, 6.4)
        size, patch = pictures.shape[1], self.model.patch
        for at, axes in enumerate(page.subplots(3, 4).flat):
            axes.axis("off")
            if at >= len(truth):
                continue
            axes.imshow(pictures[at], cmap="gray", vmin=0, vmax=1)
            rows, columns = ((places[:, at, axis] + 1) / 2 * size - 0.5 for axis in (0, 1))
            axes.set_xlim(-0.5, size - 0.5)
            axes.set_ylim(size - 0.5, -0.5)
            axes.plot(columns, rows, marker=".", color="tab:cyan")
            colour = "tab:green" if answers[at] == truth[at] else "tab:red"
            for y, x in zip(rows, columns):
                axes.add_patch(plots.square(x - patch / 2, y - patch / 2, patch, colour))
            axes.set_title(f"{truth[at]}, read as {answers[at]}", fontsize=8, color=colour)
        page.savefig(path, dpi=120)
        return path


class Glimpse(Workload):
    """See the top of this file."""

    name = "glimpse"
    summary = "recurrent attention that learns where to look in a picture"
    paper = "Mnih, Heess, Graves and Kavukcuoglu 2014; Deep Learning (2015), 'The future of deep learning'"
    data = "scikit-learn's digits, enlarged, on a larger canvas; a folder of MNIST's IDX files"
    published = "mnist"
    metric = "test_error"
    target = 0.10
    larger_is_better = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--canvas", type=int, metavar="N", help="put the digits on N x N pixels (default: 28; digits 24)")
        parser.add_argument("--clutter", type=int, default=0, metavar="N", help="pieces of other digits on the canvas (default 0)")
        parser.add_argument("--glimpses", type=int, default=6, metavar="N", help="how many (default 6)")

    def goal(self, options: argparse.Namespace) -> tuple[str, float | None, bool]:
        if options.clutter or options.canvas or options.glimpses != 6:
            return self.metric, None, False
        if options.data:
            return self.metric, 0.15 if options.quick else 0.04, False
        return self.metric, 0.5 if options.quick else self.target, False

    def setup(self, options: argparse.Namespace) -> Task:
        import whitewolf as ww

        if options.data:
            train, test = ww.data.mnist(options.data), ww.data.mnist(options.data, train=False)
            name, size, patch, epochs, batch = "MNIST", 28, 8, 2 if options.quick else 12, 64
        else:
            train, test = (_enlarged(ww.data.digits(part)) for part in (True, False))
            name, size, patch, epochs, batch = "scikit-learn's digits enlarged to 16x16", 16, 8, 20 if options.quick else 80, 32
        canvas = options.canvas or (28 if options.data else 24)
        for option, value, least in (("canvas", canvas, size), ("glimpses", options.glimpses, 1), ("clutter", options.clutter, 0)):
            if value < least:
                raise ValueError(f"glimpse: expected --{option} >= {least}, got {value}")
        scales = 1 if canvas == size else 2 if canvas <= 2 * size else 3  # where a digit is, the coarse patches show
        data = f"{name}, {len(train):,} to learn from, {len(test):,} to test on, {canvas}x{canvas} canvas, {options.clutter} pieces"
        epochs, batch, lr = options.epochs or epochs, options.batch_size or batch, options.lr or 1e-3
        model = Glimpses(patch, scales).to(options.device)
        optimizer = ww.optim.Adam(model.parameters(), lr=lr)
        place = OnCanvas(canvas, options.clutter, patch)
        loader = ww.data.DataLoader(
            train, batch, shuffle=True, seed=options.seed, num_workers=1, transform=place, device=options.device
        )  # fmt: skip
        settings = {
            "data": data, "epochs": epochs, "batch_size": batch, "lr": lr, "seed": options.seed, "glimpses": options.glimpses,
        }  # fmt: skip
        facts = {
            "glimpses": options.glimpses, "patch": patch, "scales": scales, "canvas": canvas, "clutter": options.clutter,
            "batch_size": batch, "lr": lr, "quick": options.quick,
        }  # fmt: skip
        task = _GlimpseTask(model, optimizer, loader, epochs, data, settings, facts)
        task.glimpses, task.peak = options.glimpses, lr
        task.test = ww.data.DataLoader(test, 256, seed=1, transform=place, device=options.device)
        return task


def _enlarged(digits: Any) -> Any:
    """Digits of 16x16: each pixel four times."""
    from ..data import TensorDataset

    images, labels = digits.arrays
    return TensorDataset(images.repeat(2, axis=2).repeat(2, axis=3), labels)


WORKLOAD = Glimpse()
