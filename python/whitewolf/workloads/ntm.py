"""A Neural Turing Machine that learns to copy, to copy again and again, and to recall by association (Graves, Wayne and Danihelka
2014, arXiv 1410.5401).

A controller reads and writes a memory of `locations` rows through heads that say where by content and by location (section 3.3). Here
the controller is one layer of tanh units, there are one read and one write head, the heads start at row 0 of an empty memory, and each
step writes before it reads. The plain copy is trained on lengths 1 to 20 and measured at 20 and at 80, which it never saw.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..nn import Linear, Module, init
from ..nn import functional as F
from ..ops.binary import pow
from ..ops.elementwise import sqrt, tanh
from ..ops.joining import concat, split, stack
from ..ops.manipulation import expand_dims, matrix_transpose
from ..ops.rearrange import roll
from ..tensor import Tensor
from . import plots
from .frame import Task, Workload
from .generated import generated

BITS = 8
Batch = tuple[Any, Any]  # inputs [T, N, D]; wanted bits of the last steps [O, N, B]


def copy(rng: np.random.Generator, n: int, length: int) -> Batch:
    """`length` random vectors of 8 bits and an end mark, to be given back in the same order (section 4.1)."""
    bits = rng.integers(0, 2, (length, n, BITS)).astype(np.float32)
    x = np.zeros((2 * length + 1, n, BITS + 1), np.float32)
    x[:length, :, :BITS] = bits
    x[length, :, BITS] = 1
    return x, bits


def repeat_copy(rng: np.random.Generator, n: int, length: int, times: int) -> Batch:
    """The same, to be given back `times` times and then ended by a mark; how often is an input of mean 0 and variance 1 (4.2)."""
    bits = rng.integers(0, 2, (length, n, BITS)).astype(np.float32)
    x = np.zeros((length + 1 + length * times + 1, n, BITS + 1), np.float32)
    x[:length, :, :BITS] = bits
    x[length, :, BITS] = (times - 5.5) / 2.8723
    wanted = np.zeros((length * times + 1, n, BITS + 1), np.float32)
    wanted[:-1, :, :BITS] = np.tile(bits, (times, 1, 1))
    wanted[-1, :, BITS] = 1
    return x, wanted


def recall(rng: np.random.Generator, n: int, items: int) -> Batch:
    """`items` items of 3 vectors of 6 bits, each behind a mark, and one of them again between marks of another kind: wanted is the
    item that followed it (section 4.3)."""
    bits = rng.integers(0, 2, (items, 3, n, 6)).astype(np.float32)
    x = np.zeros((4 * items + 5 + 3, n, 8), np.float32)
    for k in range(items):
        x[4 * k, :, 6] = 1
        x[4 * k + 1 : 4 * k + 4, :, :6] = bits[k]
    asked, rows = rng.integers(0, items - 1, n), np.arange(n)
    x[4 * items, :, 7] = x[4 * items + 4, :, 7] = 1
    x[4 * items + 1 : 4 * items + 4, :, :6] = bits[asked, :, rows].transpose(1, 0, 2)
    return x, np.ascontiguousarray(bits[asked + 1, :, rows].transpose(1, 0, 2))


@dataclass(frozen=True)
class Job:
    """What is trained, and measured where: at a length that was trained and at one that was not."""

    inputs: int
    outputs: int
    draw: Callable[[np.random.Generator, int], Batch]
    inside: tuple[str, Callable[[np.random.Generator, int], Batch]]
    beyond: tuple[str, Callable[[np.random.Generator, int], Batch]]


def _jobs(longest: int, far: int) -> dict[str, Job]:
    return {
        "copy": Job(
            BITS + 1, BITS, lambda rng, n: copy(rng, n, int(rng.integers(1, longest + 1))),
            (f"{longest}", lambda rng, n: copy(rng, n, longest)), (f"{far}", lambda rng, n: copy(rng, n, far)),
        ),
        "repeat-copy": Job(
            BITS + 1, BITS + 1, lambda rng, n: repeat_copy(rng, n, int(rng.integers(1, 11)), int(rng.integers(1, 11))),
            ("10x10", lambda rng, n: repeat_copy(rng, n, 10, 10)), ("20x10", lambda rng, n: repeat_copy(rng, n, 20, 10)),
        ),
        "recall": Job(
            8, 6, lambda rng, n: recall(rng, n, int(rng.integers(2, 7))),
            ("6_items", lambda rng, n: recall(rng, n, 6)), ("12_items", lambda rng, n: recall(rng, n, 12)),
        ),
    }  # fmt: skip


class NTM(Module):
    """Controller, memory and heads.

    Args:
        inputs, outputs: bits in and out.
        units: of the controller.
        locations, width: N rows of M numbers.
    """

    def __init__(self, inputs: int, outputs: int, units: int, locations: int, width: int) -> None:
        super().__init__()
        self.locations, self.width = locations, width
        self.input, self.recurrent = Linear(inputs, units), Linear(width, units, bias=False)
        # Both heads: key, strength, gate, shift of -1, 0 or 1, sharpening; the write head also erases and adds.
        self.parts = [2 * width, 2, 2, 6, 2, width, width]
        self.heads, self.output = Linear(units, sum(self.parts)), Linear(units + width, outputs)
        init.xavier_uniform_(self.heads.weight)

    def forward(self, x: Tensor, answers: int) -> tuple[Tensor, Tensor]:
        """Scores of the bits of the last `answers` steps [O, N, B], and where the heads were [T, N, 2, locations]: read, write."""
        import whitewolf as ww

        n = x.shape[1]
        like: dict[str, Any] = {"dtype": x.dtype, "device": x.device}
        memory = ww.full((n, self.locations, self.width), 1e-6, **like)
        start = np.zeros((n, 2, self.locations), x.dtype)
        start[:, :, 0] = 1
        w, r = ww.asarray(start, device=x.device), ww.zeros((n, self.width), **like)
        driven, seen, places = self.input(x), [], []
        for t in range(x.shape[0]):
            h = tanh(driven[t] + self.recurrent(r))
            key, strength, gate, shift, sharp, erase, add = split(self.heads(h), self.parts, 1)
            w = self.address(memory, w, key.reshape(n, 2, self.width), strength, gate, shift.reshape(n, 2, 3), sharp)
            at = expand_dims(w[:, 1], axis=-1)
            memory = memory * (1 - at * expand_dims(F.sigmoid(erase), axis=1)) + at * expand_dims(tanh(add), axis=1)  # eq. 3, 4
            r = (w[:, :1] @ memory)[:, 0]  # eq. 2
            places.append(w)
            if t >= x.shape[0] - answers:
                seen.append(concat([h, r], axis=1))
        return self.output(stack(seen)), stack(places)

    def address(
        self, memory: Tensor, before: Tensor, key: Tensor, strength: Tensor, gate: Tensor, shift: Tensor, sharp: Tensor
    ) -> Tensor:
        """Where both heads go, [N, 2, locations] (section 3.3, figure 2)."""
        products = key @ matrix_transpose(memory)
        lengths = sqrt((key * key).sum(axis=-1) + 1e-12)[..., None] * sqrt((memory * memory).sum(axis=-1) + 1e-12)[:, None]
        content = F.softmax(expand_dims(F.softplus(strength), axis=-1) * products / lengths, -1)  # eq. 5, 6
        g = expand_dims(F.sigmoid(gate), axis=-1)
        w = g * content + (1 - g) * before  # eq. 7
        s = F.softmax(shift, -1)
        w = s[..., :1] * roll(w, -1, axis=-1) + s[..., 1:2] * w + s[..., 2:] * roll(w, 1, axis=-1)  # eq. 8
        w = pow(w + 1e-9, expand_dims(1 + F.softplus(sharp), axis=-1))
        return w / w.sum(axis=-1, keepdims=True)  # eq. 9


class MachineTask(Task):
    """Bits of the answers by cross-entropy."""

    unit = "sequences"
    job: Job
    seed = 0

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        x, wanted = batch
        for group in self.optimizer.param_groups:
            group["lr"] = self.facts["lr"] * min(1.0, 2 * (1 - fraction) + 0.02)
        scores, _ = self.model(x, wanted.shape[0])
        n = x.shape[1]
        value = self.learn(F.binary_cross_entropy_with_logits(scores, wanted), clip=1.0)
        right = float(((scores.numpy() > 0) == (wanted.numpy() > 0.5)).mean())
        return value * n, right * n, n

    def measure(self, draw: Callable[[np.random.Generator, int], Batch], n: int = 20) -> tuple[float, float]:
        """Wrong bits a sequence, and the share of wrong bits."""
        import whitewolf as ww

        x, wanted = draw(np.random.Generator(np.random.Philox(key=[self.seed, 2**63])), n)
        with no_grad():
            scores, _ = self.model(ww.asarray(x, device=self.model.output.weight.device), len(wanted))
        wrong = (scores.numpy() > 0) != (wanted > 0.5)
        return float(wrong.sum() / n), float(wrong.mean())

    def evaluate(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for length, draw in (self.job.inside, self.job.beyond):
            found[f"wrong_bits_at_{length}"], found[f"error_at_{length}"] = self.measure(draw)
        found["wrong"] = max(found[f"wrong_bits_at_{self.job.inside[0]}"], 100 * found[f"error_at_{self.job.beyond[0]}"])
        return found

    def one(self) -> tuple[Any, Any, Any]:
        """Wanted bits, found bits and the heads' places for one sequence of the inside length."""
        import whitewolf as ww

        x, wanted = self.job.inside[1](np.random.Generator(np.random.Philox(key=[self.seed, 2**62])), 1)
        with no_grad():
            scores, places = self.model(ww.asarray(x, device=self.model.output.weight.device), len(wanted))
        return wanted[:, 0], scores.numpy()[:, 0] > 0, places.numpy()[:, 0]

    def report(self) -> list[str]:
        wanted, found, _ = self.one()
        draw = ["".join("#" if b else "." for b in row) for bits in (wanted > 0.5, found) for row in bits.T]
        rows = len(draw) // 2
        return [f"wanted ({self.job.inside[0]}), a row for each bit:", *draw[:rows], "found:", *draw[rows:]]

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        wanted, found, places = self.one()
        page = plots.figure(11, 7)
        grid = page.subplots(2, 2)
        pictures = (("wanted", wanted.T), ("found", found.T), ("write head", places[:, 1].T), ("read head", places[:, 0].T))
        for axes, (title, picture) in zip(grid.flat, pictures):
            axes.imshow(picture.astype(float), cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            axes.set(title=title, xlabel="step", ylabel="bit" if title in ("wanted", "found") else "location")
            axes.locator_params(integer=True)
        page.savefig(folder / "heads.png", dpi=120)
        error = {key: (lambda e, key=key: e[key]) for key in history[-1] if key.startswith("error_at")}
        loss = {"training": lambda e: e["loss"]}
        # The dicts' values are of a narrower type, and dicts are invariant in it.
        panels: plots.Panels = {"loss (nats a bit)": loss, "share of wrong bits": error}  # type: ignore[dict-item]
        return [folder / "heads.png", plots.curves(history, folder / "curves.png", panels)]


class TuringMachine(Workload):
    """See the top of this file."""

    name = "ntm"
    summary = "a Neural Turing Machine that copies, repeats and recalls"
    paper = "Graves, Wayne and Danihelka 2014"
    data = "bit sequences, generated"
    metric = "wrong"  # bits a sequence where it was trained, or per cent of bits where it was not: the larger of both
    target = 1.0
    larger_is_better = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--task", choices=("copy", "repeat-copy", "recall"), default="copy", help="what it learns (default copy)"
        )

    def goal(self, options: argparse.Namespace) -> tuple[str, float | None, bool]:
        return self.metric, None if options.quick and options.task != "copy" else self.target, False

    def setup(self, options: argparse.Namespace) -> Task:
        import whitewolf as ww

        if options.data:
            raise ValueError(f"train: expected no --data, since ntm generates its sequences, got {options.data}")
        longest, far, units, locations, n, steps, epochs = (
            (5, 8, 64, 16, 16, 100, 10) if options.quick else (20, 80, 100, 128, 8, 250, 10)
        )
        job = _jobs(longest, far)[options.task]
        n, epochs, lr = options.batch_size or n, options.epochs or epochs, options.lr or 3e-3
        model = NTM(job.inputs, job.outputs, units, locations, 20).to(options.device)
        loader = generated(lambda rng: job.draw(rng, n), steps, options.seed, options.device)
        data = f"{options.task} up to length {longest}" if options.task == "copy" else options.task
        data += f", generated: {steps * n:,} sequences an epoch"
        settings = {"data": data, "epochs": epochs, "batch_size": n, "lr": lr, "seed": options.seed, "locations": locations}
        facts = {**settings, "task": options.task, "units": units, "sequences": epochs * steps * n, "quick": options.quick}
        task = MachineTask(model, ww.optim.Adam(model.parameters(), lr=lr), loader, epochs, data, settings, facts)
        task.job, task.seed = job, options.seed
        return task


WORKLOAD = TuringMachine()
