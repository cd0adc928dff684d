"""An end-to-end memory network that answers questions about stories (Sukhbaatar, Szlam, Weston and Fergus 2015, arXiv 1503.08895).

Each sentence is a memory. A question u looks at all memories m_i with weights p_i = softmax(u . m_i), and adds what it read,
o = sum p_i c_i, to itself; after some hops, W u scores the answers (their equations 1 to 4). Sentences are encoded with the places of
their words, and carry their age (section 4.1). Weights are tied between neighbouring hops: C of a hop is A of the next (section 2.2).
At first the softmax is left out, so that no hop settles too early ("linear start", section 4.2).

Without --data it reads stories of one of bAbI's 20 task types (--task), drawn by our own generator. --data FOLDER holds bAbI's files.
--task all trains a net for each of the 20, side by side, for the mean of their errors (the paper's table 1).
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..data import DataLoader, Dataset, TensorDataset
from ..device import Array
from ..nn import Module, ModuleList, Parameter, init
from ..nn import functional as F
from ..ops.manipulation import expand_dims
from ..ops.select import where
from ..tensor import Tensor
from . import plots
from .babi import TASKS, Coder, Question, generate, read
from .frame import Task, Workload
from .lstm_lm import hits

LINEAR_START = 0.2  # of all steps; the paper's is until the held-out loss stops falling
FAILED = 0.05  # a task with a larger error counts as failed (Weston et al. 2015, section 5)
NOISE = 0.1  # empty memories among the others in training (section 4.1: random noise on the ages)


class MemoryNetwork(Module):
    """Hops over memories, with adjacent weight tying.

    Args:
        bags: the sentences, float32 [sentences, 2, V]; see `Coder`.
        memory: the largest age.
        d: the size of all vectors.
        hops: K.
    """

    bags: Tensor

    def __init__(self, bags: Any, memory: int, d: int, hops: int) -> None:
        import whitewolf as ww

        super().__init__()
        self.register_buffer("bags", ww.asarray(bags.reshape(-1, bags.shape[-1])), persistent=False)
        self.hops, self.d = hops, d
        for k in range(hops + 1):  # words[k] is A of hop k + 1 and C of hop k; words[0] is B too, and words[K] is W
            self.register_parameter(f"words_{k}", Parameter(ww.empty((bags.shape[-1], d))))
            self.register_parameter(f"ages_{k}", Parameter(ww.empty((memory + 1, d))))
        for parameter in self.parameters():
            init.normal_(parameter, 0.0, 0.1)

    def sentences(self, k: int) -> Tensor:
        """All sentences' vectors by words[k], [sentences, d]: bag_0 E + (component / d) bag_1 E."""
        import whitewolf as ww

        both = (self.bags @ getattr(self, f"words_{k}")).reshape(-1, 2, self.d)
        share = ww.arange(1, self.d + 1, dtype=both.dtype, device=both.device) / self.d
        found: Tensor = both[:, 0] + share * both[:, 1]
        return found

    def forward(self, story: Tensor, ages: Tensor, question: Tensor, linear: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Scores of the answers [N, V], and each hop's weights [N, M].

        Args:
            story: int64 [N, M], sentences, 0 an empty one.
            ages: int64 [N, M], from 1 for the latest; 0 is no memory at all.
            question: int64 [N], sentences.
            linear: whether the softmax is left out.
        """
        vectors = [self.sentences(k) for k in range(self.hops + 1)]
        u = F.embedding(question, vectors[0])
        there, seen = ages > 0, []
        for k in range(self.hops):
            m, c = (F.embedding(story, vectors[j]) + F.embedding(ages, getattr(self, f"ages_{j}")) for j in (k, k + 1))
            scores = (m * expand_dims(u, axis=1)).sum(axis=-1)
            p = where(there, scores, 0.0) if linear else F.softmax(where(there, scores, -1e9), -1)
            u = u + (expand_dims(p, axis=-1) * c).sum(axis=1)
            seen.append(p)
        return u @ getattr(self, f"words_{self.hops}").T, seen


class MemoryTask(Task):
    """Questions about stories."""

    unit = "questions"
    coder: Coder
    test: list[Question]
    memory: int

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.facts["lr"] * 0.5 * (1 + math.cos(math.pi * fraction)) + 1e-5
        story, ages, question, answer = batch
        scores, _ = self.model(story, ages, question, linear=fraction < LINEAR_START)
        value = self.learn(F.cross_entropy(scores, answer), clip=10.0)
        return value * len(answer), hits(scores, answer), len(answer)

    def answers(self) -> tuple[Any, list[Any], float]:
        """Scores of the held-out questions, each hop's weights, and the loss."""
        import whitewolf as ww

        stories, asked, answer = self.coder.code(self.test, self.memory)
        parts = (stories, aged(stories, None), asked)
        with no_grad():
            scores, seen = self.model(*(ww.asarray(part, device=self.model.words_0.device) for part in parts))
            loss = F.cross_entropy(scores, ww.asarray(answer, device=scores.device)).item()
        return scores.numpy(), [p.numpy() for p in seen], loss

    def evaluate(self) -> dict[str, float]:
        scores, _, loss = self.answers()
        wanted = np.array([self.coder.words[q.answer] for q in self.test])
        return {"test_loss": loss, "test_error": float((scores.argmax(axis=1) != wanted).mean())}

    def report(self) -> list[str]:
        scores, seen, _ = self.answers()
        lines = []
        for at in range(min(2, len(self.test))):
            q, guess = self.test[at], self.coder.names[int(scores[at].argmax())]
            lines.append("attention, a column for each hop; * marks a sentence that proves the answer")
            for n, sentence in enumerate(q.story):
                age = len(q.story) - 1 - n
                if age < self.memory:
                    weights = "".join(f"{p[at, age]:6.2f}" for p in seen)
                    lines.append(f"{weights} {'*' if n in q.support else ' '} {sentence}")
            lines.append(f"{q.question} {guess} ({'right' if guess == q.answer else f'wrong: {q.answer}'})")
        return lines

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        _, seen, _ = self.answers()
        page = plots.figure(13, 8)
        for at, axes in enumerate(page.subplots(2, 2).flat):
            if at >= len(self.test):
                continue
            q = self.test[at]
            told = q.story[-self.memory :][-20:]
            axes.imshow(np.array([p[at, : len(told)][::-1] for p in seen]).T, cmap="gray", vmin=0, vmax=1, aspect="auto")
            axes.set_yticks(range(len(told)), told, fontsize=7)
            axes.set_xticks(range(len(seen)), range(1, len(seen) + 1))
            axes.set(title=f"{q.question} {q.answer}", xlabel="hop")
        page.savefig(folder / "attention.png", dpi=120)
        error = {"training": lambda e: 1 - e["train_accuracy"], "held out": lambda e: e["test_error"]}
        loss = {"training": lambda e: e["loss"], "held out": lambda e: e["test_loss"]}
        return [folder / "attention.png", plots.curves(history, folder / "curves.png", {"loss (nats)": loss, "error": error})]


class AllTasks(Task):
    """A net for each of the 20 tasks, side by side: a step is one of each net, on a batch of its own task."""

    unit = "questions"
    parts: list[MemoryTask]

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        loss, right, n = 0.0, 0.0, 0
        for at, part in enumerate(self.parts):
            # The optimizer is shared, and passes over the other nets: they have no gradient.
            value, hit, count = part.step(batch[4 * at : 4 * at + 4], fraction)
            loss, right, n = loss + value, right + (hit or 0.0), n + count
        return loss, right, n

    def evaluate(self) -> dict[str, float]:
        found = [part.evaluate() for part in self.parts]
        errors = self.facts["errors"] = [f["test_error"] for f in found]
        loss = sum(f["test_loss"] for f in found) / len(found)
        return {"test_loss": loss, "mean_error": sum(errors) / len(errors), "failed": float(sum(e > FAILED for e in errors))}

    def report(self) -> list[str]:
        return [f"task {at:2d}: {100 * error:5.1f} % of the answers are wrong" for at, error in enumerate(self.facts["errors"], 1)]

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        page = plots.figure(7, 3.6)
        axes = page.subplots()
        axes.bar(range(1, len(self.parts) + 1), self.facts["errors"])
        axes.axhline(FAILED, color="black", linewidth=0.7, label="failed above")
        axes.set_xticks(range(1, len(self.parts) + 1))
        axes.set(xlabel="task", ylabel="held-out error (fraction)")
        axes.legend()
        page.savefig(folder / "errors.png", dpi=120)
        error = {"training": lambda e: 1 - e["train_accuracy"], "held out": lambda e: e["mean_error"]}
        loss = {"training": lambda e: e["loss"], "held out": lambda e: e["test_loss"]}
        panels: plots.Panels = {"mean loss (nats)": loss, "mean error (fraction)": error}
        return [folder / "errors.png", plots.curves(history, folder / "curves.png", panels)]


class SideBySide(Dataset):
    """Sample i of each of several datasets, in a row; a shorter one begins again at its end."""

    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return max(len(part) for part in self.parts)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(value for part in self.parts for value in part[index % len(part)])

    def batch(self, indices: Array) -> tuple[Array, ...]:
        """The samples at `indices`, stacked."""
        return tuple(array for part in self.parts for array in part.batch(indices % len(part)))


def aged(stories: Any, rng: np.random.Generator | None) -> Any:
    """The ages of memories [N, M], 0 where there is none; with `rng`, as if empty memories lay among them."""
    ages = np.arange(1, stories.shape[1] + 1) * np.ones_like(stories)
    if rng is not None:
        ages = ages + (rng.random(stories.shape) < NOISE).cumsum(axis=1)
    return np.where(stories > 0, ages, 0)


class MemNet(Workload):
    """See the top of this file."""

    name = "memnet"
    summary = "a memory network that answers questions about stories"
    paper = "Sukhbaatar, Szlam, Weston and Fergus 2015; Weston et al. 2015"
    data = "stories of bAbI's task types, generated; a folder of bAbI's files"
    published = "babi"
    metric = "test_error"
    target = 0.02
    larger_is_better = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--task", type=_task, default=1, metavar="N", help="of bAbI's 20 types (default 1), or all")
        parser.add_argument(
            "--questions", type=int, metavar="N", help="generated of a task to learn from (default 10,000; 3,000 with --quick)"
        )

    def goal(self, options: argparse.Namespace) -> tuple[str, float | None, bool]:
        if options.task == "all":
            return "mean_error", None, False
        return self.metric, None if options.questions else {1: 0.02, 2: 0.15}.get(options.task), False

    def setup(self, options: argparse.Namespace) -> Task:
        import whitewolf as ww

        if options.questions is not None and (options.data or options.questions < 1):
            raise ValueError(f"train: expected --questions >= 1, and no --data beside it, got {options.questions}")
        if options.task != "all":
            return self.one(options.task, options)
        parts = [self.one(task, options) for task in range(1, TASKS + 1)]
        model = ModuleList([part.model for part in parts])
        optimizer = ww.optim.Adam(model.parameters(), lr=parts[0].facts["lr"])
        for part in parts:
            part.optimizer = optimizer

        def with_ages(batch: Any, rng: np.random.Generator) -> Any:
            each = (part.loader.transform(batch[3 * at : 3 * at + 3], rng) for at, part in enumerate(parts))
            return tuple(array for found in each for array in found)

        rows = SideBySide([part.loader.dataset for part in parts])
        loader = DataLoader(
            rows, parts[0].loader.batch_size, shuffle=True, seed=options.seed, device=options.device, transform=with_ages
        )
        name = f"bAbI's tasks 1 to {TASKS} from {Path(options.data).name}" if options.data else "stories of 20 types, generated"
        data = f"{name}: {len(rows):,} questions of each to learn from, {len(parts[0].test):,} of each held out"
        settings, facts = ({**part, "data": data} for part in (parts[0].settings, parts[0].facts))
        facts["task"] = "all"
        made = AllTasks(model, optimizer, loader, parts[0].epochs, data, settings, facts)
        made.parts = parts
        return made

    def one(self, task: int, options: argparse.Namespace) -> MemoryTask:
        """One of the 20 tasks."""
        import whitewolf as ww

        if not 1 <= task <= TASKS:
            raise ValueError(f"train: expected --task from 1 to {TASKS}, got {task}")
        count, epochs, memory, d = (3_000, 12, 20, 24) if options.quick else (10_000, 40, 50, 32)
        count = options.questions or count
        if options.data:
            train, test = read(options.data, task)
            name = f"bAbI's task {task} from {Path(options.data).name}"
        else:
            found = generate(task, count + min(count, 1000), seed=0)
            train, test, name = found[:count], found[count:], f"stories like those of bAbI's task {task}, generated"
        memory = min(memory, max(len(q.story) for q in train))
        coder = Coder([*train, *test])
        model = MemoryNetwork(coder.bags(), memory + memory // 2, d, hops=3).to(options.device)
        n, epochs, lr = options.batch_size or 32, options.epochs or epochs, options.lr or 5e-3

        def with_ages(batch: Any, rng: np.random.Generator) -> Any:
            stories, asked, answer = batch
            return stories, np.minimum(aged(stories, rng), memory + memory // 2), asked, answer

        rows = TensorDataset(*coder.code(train, memory))
        loader = DataLoader(rows, n, shuffle=True, seed=options.seed, device=options.device, transform=with_ages)
        data = f"{name}: {len(train):,} questions to learn from, {len(test):,} held out"
        settings = {"data": data, "epochs": epochs, "batch_size": n, "lr": lr, "seed": options.seed, "memory": memory, "d": d}
        facts = {**settings, "task": task, "hops": 3, "quick": options.quick}
        made = MemoryTask(model, ww.optim.Adam(model.parameters(), lr=lr), loader, epochs, data, settings, facts)
        made.coder, made.test, made.memory = coder, test, memory
        return made


def _task(text: str) -> int | str:
    if text != "all" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number or all, got {text!r}")
    return text if text == "all" else int(text)


WORKLOAD = MemNet()
