"""What all workloads share: the loop, its progress, metrics, checkpoints, interruption and resumption, and the result.

A run's folder holds
    checkpoint.safetensors  after each epoch and on Ctrl-C: all that is needed to end with the same bits as an unbroken run
    metrics.jsonl           a line for each epoch
    result.json             the measured result
and what the workload plots.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import console
from ..random import manual_seed
from .interrupt import Interruption
from .progress import Progress

CHECKPOINT, METRICS, RESULT = "checkpoint.safetensors", "metrics.jsonl", "result.json"


@dataclass
class Task:
    """A workload set up to run: model, optimizer and data, and what one step and one evaluation do.

    Attributes:
        model, optimizer, loader: what a checkpoint holds; the loader's order depends on seed and epoch alone.
        epochs: how many to run.
        data: what it learns from, in words.
        settings: what must be equal when a run is resumed.
        facts: the workload's own entries of result.json.
    """

    model: Any
    optimizer: Any
    loader: Any
    epochs: int
    data: str
    settings: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def step(self, batch: Any, fraction: float) -> tuple[float, float, int]:
        """Learns from one batch, `fraction` of all steps being done; returns loss and hits summed over its samples, and samples."""
        raise NotImplementedError

    def evaluate(self) -> dict[str, float]:
        """Measures the model on the held-out data."""
        raise NotImplementedError

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        """Writes pictures of the run; none unless the workload has some."""
        return []


class Workload:
    """A system that `whitewolf train` knows by name.

    Attributes:
        name, summary: for the command line.
        metric: the figure that counts, an entry of what `evaluate` returns.
        target: what it should reach, or None.
        larger_is_better: which way is better.
    """

    name = ""
    summary = ""
    metric = ""
    target: float | None = None
    larger_is_better = True

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds arguments of its own."""

    def setup(self, options: argparse.Namespace) -> Task:
        """Data, model and optimizer for these options."""
        raise NotImplementedError

    def goal(self, options: argparse.Namespace) -> tuple[str, float | None, bool]:
        """Metric, target and whether larger is better, where they depend on the options."""
        return self.metric, self.target, self.larger_is_better


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of every workload."""
    parser.add_argument("--data", metavar="DIR", help="folder of the data (default: what a package here carries)")
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the training data")
    parser.add_argument("--batch-size", type=int, metavar="N", help="samples in a step")
    parser.add_argument("--lr", type=float, metavar="X", help="peak learning rate")
    parser.add_argument("--out", metavar="DIR", help="folder of the run (default runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    parser.add_argument("--evaluate", metavar="FILE", help="measure a saved checkpoint instead of training")


@dataclass
class _State:
    """What the loop knows besides model, optimizer and data; part of the checkpoint."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss: float = 0.0  # sums over the samples of the epoch so far
    hits: float = 0.0
    samples: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def run(workload: Workload, options: argparse.Namespace) -> dict[str, Any]:
    """Trains, or evaluates; returns what result.json holds.

    Raises:
        FileNotFoundError: data, or a checkpoint to resume or evaluate, is not there.
        ValueError: a resumed run has other settings than the checkpoint.
        KeyboardInterrupt: Ctrl-C, after the state was saved.
    """
    for name in ("epochs", "batch_size"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise ValueError(f"train: expected --{name.replace('_', '-')} >= 1, got {getattr(options, name)}")
    if options.lr is not None and not (options.lr > 0 and math.isfinite(options.lr)):
        raise ValueError(f"train: expected --lr > 0, got {options.lr}")
    manual_seed(options.seed)
    folder = Path(options.out or f"runs/{workload.name}")
    if not options.evaluate:
        console.check_folder(folder)
    task = workload.setup(options)
    if options.evaluate:
        return _evaluate(workload, task, options)
    state = _State()
    if options.resume:
        _resume(folder / CHECKPOINT, task, state)
        console.line(f"resumed after step {state.step} (epoch {state.epoch + 1} of {task.epochs})")
    else:
        for name in (CHECKPOINT, METRICS, RESULT):
            (folder / name).unlink(missing_ok=True)
    console.line(f"{workload.name}: {task.data}; {count(task.model):,} parameters; {task.epochs} epochs; folder {folder}")
    _loop(workload, task, state, folder, options)
    result = _result(workload, task, state, options)
    console.write_json(folder / RESULT, result)
    for path in task.plot(state.history, folder):
        console.line(f"wrote {path}")
    _verdict(result)
    return result


def count(model: Any) -> int:
    """Trainable numbers of a model."""
    return sum(p.size for p in model.parameters())


def _loop(workload: Workload, task: Task, state: _State, folder: Path, options: argparse.Namespace) -> None:
    total = task.epochs * len(task.loader)
    with Interruption() as interruption, Progress(total, state.step) as progress:
        began = time.perf_counter() - state.seconds
        while state.epoch < task.epochs:
            task.model.train()
            for batch in task.loader:
                loss, hits, samples = task.step(batch, state.step / total)
                if not math.isfinite(loss):
                    raise RuntimeError(f"step {state.step}: expected a finite loss, got {loss}: try a lower --lr")
                state.step += 1
                state.loss, state.hits, state.samples = state.loss + loss, state.hits + hits, state.samples + samples
                progress.step(samples, epoch=state.epoch + 1, loss=state.loss / state.samples, accuracy=state.hits / state.samples)
                if interruption.asked:
                    break
            if interruption.asked:
                state.seconds = time.perf_counter() - began
                _save(folder / CHECKPOINT, task, state)
                progress.close()
                again = f"whitewolf train {workload.name} {_arguments(options, folder)} --resume"
                console.line(f"stopped after step {state.step} and saved; go on with: {again}")
                raise KeyboardInterrupt
            state.epoch += 1
            state.seconds = time.perf_counter() - began
            _end_epoch(task, state, folder, progress)
            _save(folder / CHECKPOINT, task, state)


def _end_epoch(task: Task, state: _State, folder: Path, progress: Progress) -> None:
    task.model.eval()
    measured = task.evaluate()
    entry = {
        "epoch": state.epoch,
        "step": state.step,
        "loss": state.loss / state.samples,
        "train_accuracy": state.hits / state.samples,
    }
    entry |= measured | {"seconds": round(state.seconds, 3)}
    state.history.append(entry)
    state.loss, state.hits, state.samples = 0.0, 0.0, 0
    lines = "".join(json.dumps(e) + "\n" for e in state.history)
    temporary = folder / f".{METRICS}"
    temporary.write_text(lines)
    temporary.replace(folder / METRICS)
    figures = "  ".join(f"{k} {v:.4f}" for k, v in entry.items() if k not in ("epoch", "step", "seconds"))
    progress.line(f"epoch {state.epoch:3d}/{task.epochs}  {figures}  {state.seconds:.1f} s")


def _save(path: Path, task: Task, state: _State) -> None:
    import whitewolf as ww

    extra = {"loader": task.loader.state_dict(), "settings": task.settings, "state": dict(vars(state))}
    ww.save_checkpoint(path, model=task.model, optimizer=task.optimizer, **extra)


def _resume(path: Path, task: Task, state: _State) -> None:
    import whitewolf as ww

    if not path.is_file():
        raise FileNotFoundError(f"train: expected a checkpoint to resume at {path}, found none")
    saved = ww.load_checkpoint(path)["settings"]
    different = [f"{k} {saved.get(k)!r} (now {v!r})" for k, v in task.settings.items() if saved.get(k) != v]
    if different:
        raise ValueError(f"train: expected the settings of {path}: {', '.join(different)}")
    extra = ww.load_checkpoint(path, model=task.model, optimizer=task.optimizer)
    task.loader.load_state_dict(extra["loader"])
    for name, value in extra["state"].items():
        setattr(state, name, value)


def _evaluate(workload: Workload, task: Task, options: argparse.Namespace) -> dict[str, Any]:
    import whitewolf as ww

    if not Path(options.evaluate).is_file():
        raise FileNotFoundError(f"train: expected a checkpoint at {options.evaluate}, found none")
    extra = ww.load_checkpoint(options.evaluate, model=task.model)
    state = _State(**extra["state"])
    task.model.eval()
    start = time.perf_counter()
    state.history.append({"epoch": state.epoch, **task.evaluate()})
    state.seconds = time.perf_counter() - start
    result = _result(workload, task, state, options) | {"checkpoint": str(options.evaluate)}
    _verdict(result)
    return result


def _result(workload: Workload, task: Task, state: _State, options: argparse.Namespace) -> dict[str, Any]:
    last = state.history[-1]
    metric, target, larger = workload.goal(options)
    value = last[metric]
    reached = target is None or (value >= target if larger else value <= target)
    measured = {k: v for k, v in last.items() if k not in ("epoch", "step", "seconds", "train_accuracy")}
    return {
        "workload": workload.name, "metric": metric, "value": value, "target": target, "reached": reached,
        "seconds": round(state.seconds, 3), "steps": state.step, "parameters": count(task.model), "seed": options.seed,
        "device": options.device, "data": task.data, "epochs": state.epoch, **measured, **task.facts,
    }  # fmt: skip


def _verdict(result: dict[str, Any]) -> None:
    target = "" if result["target"] is None else f", target {result['target']}: {'reached' if result['reached'] else 'NOT reached'}"
    console.line(f"{result['workload']}: {result['metric']} {result['value']:.4f}{target}; {result['seconds']:.1f} s")


def _arguments(options: argparse.Namespace, folder: Path) -> str:
    """The options that a resumed run must be given again."""
    parts = []
    for name in ("data", "epochs", "batch_size", "lr", "seed", "device"):
        value = getattr(options, name, None)
        if value is not None and (name, value) not in (("seed", 0), ("device", "cpu")):
            parts.append(f"--{name.replace('_', '-')} {value}")
    parts += ["--quick"] if options.quick else []
    return " ".join([*parts, f"--out {folder}"])
