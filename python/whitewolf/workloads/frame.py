"""What all workloads share: the loop, its progress, metrics, checkpoints, interruption and resumption, and the result.

A run's folder holds
    checkpoint.safetensors  after each epoch, every two minutes and on Ctrl-C: all that is needed to end with the same bits as an
                            unbroken run
    metrics.jsonl           a line for each epoch
    result.json             the measured result
and what the workload plots.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from .. import console
from .._errors import FileFormatError
from ..device import device
from ..random import get_state, manual_seed, set_state
from . import plots
from .finite import NotFinite, origin, unsound
from .interrupt import Interruption
from .progress import Progress
from .record import count, result, verdict

CHECKPOINT, METRICS, RESULT = "checkpoint.safetensors", "metrics.jsonl", "result.json"
SAVE_EVERY = 120.0  # seconds: what a kill costs at most where an epoch is long


@dataclass
class Task:
    """A workload set up to run: model, optimizer and data, and what one step and one evaluation do.

    Attributes:
        model, optimizer, loader: what a checkpoint holds; the loader's order depends on seed and epoch alone.
        epochs: how many to run; generated data has as many samples in an "epoch" as lie between two evaluations.
        data: what it learns from, in words.
        settings: what must be equal when a run is resumed.
        facts: the workload's own entries of result.json.
        unit: what its samples are, for the progress bar.
    """

    unit: ClassVar[str] = "images"

    model: Any
    optimizer: Any
    loader: Any
    epochs: int
    data: str
    settings: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        """Learns from one batch, `fraction` of all steps being done; returns loss and hits summed over its samples, and samples.

        Where nothing can be hit, hits are None. What it changes besides model and optimizer it changes after `learn`, for a step
        whose loss is not finite is taken once more, to find out where that began.
        """
        raise NotImplementedError

    def learn(self, loss: Any, clip: float | None = None) -> float:
        """One step of the optimizer along the gradient of `loss`, its norm clipped to `clip`; returns the loss.

        Raises:
            NotFinite: the loss, or the norm of the gradient, is not a finite number; nothing was changed.
        """
        from ..nn.utils import clip_grad_norm_

        value = float(loss.item())
        if not math.isfinite(value):
            raise NotFinite(f"a finite loss, got {value}")
        self.optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            norm = float(clip_grad_norm_(self.model.parameters(), clip))
            if not math.isfinite(norm):
                raise NotFinite(f"a finite gradient, got norm {norm}")
        self.optimizer.step()
        return value

    def state_dict(self) -> dict[str, Any]:
        """What else a resumed run needs: numbers, text, arrays and nests of them."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""

    def evaluate(self) -> dict[str, float]:
        """Measures the model on the held-out data."""
        raise NotImplementedError

    def report(self) -> list[str]:
        """Lines that show what it has learned, for the end of a run and for --evaluate; none unless the workload has some."""
        return []

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        """Writes pictures of the run, where matplotlib is installed; none unless the workload has some."""
        return []


class Workload:
    """A system that `whitewolf train` knows by name.

    Attributes:
        name, summary: for the command line.
        paper: what it reproduces.
        data: what it learns from without --data; and what --data names.
        published: the data set of `ww.data.download` that --download fetches, or None.
        metric: the figure that counts, an entry of what `evaluate` returns.
        target: what it should reach, or None.
        larger_is_better: which way is better.
    """

    name = ""
    summary = ""
    paper = ""
    data = ""
    published: str | None = None
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

    def also(self, figures: dict[str, Any]) -> bool:
        """Whether what else the target asks for holds of the measured figures; nothing more unless a workload says so."""
        return True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of every workload."""
    parser.add_argument("--data", metavar="PATH", help="the data (default: what a package here carries, or what is generated)")
    parser.add_argument("--download", action="store_true", help="fetch what is published of the data to --data first, checked")
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the training data")
    parser.add_argument("--steps", type=int, metavar="N", help="steps in all, instead of --epochs")
    parser.add_argument("--batch-size", type=int, metavar="N", help="samples in a step")
    parser.add_argument("--lr", type=float, metavar="X", help="peak learning rate")
    parser.add_argument("--out", metavar="DIR", help="folder of the run (default runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--quick", action="store_true", help="a short run on real data, to a target of its own")
    parser.add_argument("--evaluate", metavar="FILE", help="measure a saved checkpoint instead of training")


@dataclass
class _State:
    """What the loop knows besides model, optimizer and data; part of the checkpoint."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss: float = 0.0  # sums over the samples of the epoch so far
    hits: float | None = None
    samples: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def run(workload: Workload, options: argparse.Namespace) -> dict[str, Any]:
    """Trains, or evaluates; returns what result.json holds.

    Raises:
        FileNotFoundError: data, or a checkpoint to resume or evaluate, is not there.
        ValueError: a resumed run has other settings than the checkpoint.
        RuntimeError: the loss became infinite or NaN; the text has the step, the layer where it began and the last good checkpoint.
        KeyboardInterrupt: Ctrl-C, after the state was saved.
    """
    for name in ("epochs", "steps", "batch_size"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise ValueError(f"train: expected --{name.replace('_', '-')} >= 1, got {getattr(options, name)}")
    if options.epochs is not None and options.steps is not None:
        raise ValueError("train: expected --epochs or --steps, got both")
    if options.lr is not None and not (options.lr > 0 and math.isfinite(options.lr)):
        raise ValueError(f"train: expected --lr > 0, got {options.lr}")
    device(options.device)  # one that is not there is an error, before anything is read
    manual_seed(options.seed)
    folder = Path(options.out or f"runs/{workload.name}")
    if not options.evaluate:
        console.check_folder(folder)
    if options.download:
        _download(workload, options)
    task = workload.setup(options)
    task.settings["steps"] = options.steps
    if options.evaluate:
        return _evaluate(workload, task, options)
    state = _State()
    if options.resume:
        _resume(folder / CHECKPOINT, task, state)
        console.line(f"resumed after step {state.step} (epoch {state.epoch + 1} of {task.epochs})")
    else:
        for name in (CHECKPOINT, METRICS, RESULT):
            (folder / name).unlink(missing_ok=True)
    length = f"{options.steps} steps" if options.steps else f"{task.epochs} epochs"
    console.line(f"{workload.name}: {task.data}; {count(task.model):,} parameters; {length}; folder {folder}")
    _loop(workload, task, state, folder, options)
    found = _result(workload, task, state, options)
    console.write_json(folder / RESULT, found)
    _report(task)
    if plots.available():
        for path in task.plot(state.history, folder):
            console.line(f"wrote {path}")
    else:
        console.line("no plots: matplotlib is not installed (pip install 'whitewolf[train]')")
    verdict(found)
    return found


def _report(task: Task) -> None:
    task.model.eval()
    for text in task.report():
        console.line(text)


def _download(workload: Workload, options: argparse.Namespace) -> None:
    from ..data.download import PUBLISHED, download

    if workload.published is None:
        raise ValueError(f"train: expected no --download: {workload.name} has no published data set")
    if not options.data:
        raise ValueError("train: expected --data PATH with --download")
    path = Path(options.data)
    single = PUBLISHED[workload.published][0].of  # --data names the file in the archive
    for file in download(workload.published, path.parent if single and path.name == single else path):
        console.line(f"have {file}")


def _loop(workload: Workload, task: Task, state: _State, folder: Path, options: argparse.Namespace) -> None:
    total = options.steps or task.epochs * len(task.loader)
    with Interruption() as interruption, Progress(total, state.step, task.unit) as progress:
        saved = time.perf_counter()
        began = saved - state.seconds
        if state.step == total:  # resumed after its last step: what is reported comes from an evaluation
            task.model.eval()
            task.evaluate()
        while state.step < total:
            task.model.train()
            for batch in task.loader:
                loss, hits, samples = _step(task, batch, state, total, folder)
                state.step += 1
                state.loss, state.samples = state.loss + loss, state.samples + samples
                state.hits = None if hits is None else (state.hits or 0.0) + hits
                accuracy = None if state.hits is None else state.hits / state.samples
                progress.step(samples, epoch=state.epoch + 1, loss=state.loss / state.samples, accuracy=accuracy)
                if state.step == total:
                    break
                if interruption.asked or time.perf_counter() - saved > SAVE_EVERY:
                    saved = time.perf_counter()
                    state.seconds = saved - began
                    _save(folder / CHECKPOINT, task, state)
                if interruption.asked:
                    progress.close()
                    again = f"whitewolf train {workload.name} {_arguments(workload, options, folder)} --resume"
                    console.line(f"stopped after step {state.step} and saved; go on with: {again}")
                    raise KeyboardInterrupt
            state.epoch += 1
            state.seconds = time.perf_counter() - began
            _end_epoch(task, state, folder, progress)
            _save(folder / CHECKPOINT, task, state)
            saved = time.perf_counter()


def _step(task: Task, batch: Any, state: _State, total: int, folder: Path) -> tuple[float, float | None, int]:
    """One step; where its loss is not finite, the error says in which layer that began."""
    before = get_state()
    try:
        loss, hits, samples = task.step(batch, state.step / total)
        if not math.isfinite(loss):
            raise NotFinite(f"a finite loss, got {loss}")
        return loss, hits, samples
    except NotFinite as error:
        expected = str(error)
    set_state(before)  # dropout draws the same numbers again
    where = origin(task.model, lambda: task.step(batch, state.step / total))
    raise _stopped(state.step + 1, f"{expected}; {where}", folder)


def _stopped(step: int, found: str, folder: Path) -> RuntimeError:
    kept = folder / CHECKPOINT
    last = f"the last good checkpoint is {kept}" if kept.is_file() else "it came before the first checkpoint"
    return RuntimeError(f"train: step {step}: expected {found}; {last}; try a lower --lr")


def _end_epoch(task: Task, state: _State, folder: Path, progress: Progress) -> None:
    task.model.eval()
    measured = task.evaluate()
    entry = {
        "epoch": state.epoch,
        "step": state.step,
        "loss": state.loss / state.samples,
    }
    if state.hits is not None:
        entry["train_accuracy"] = state.hits / state.samples
    entry |= measured | {"seconds": round(state.seconds, 3)}
    state.history.append(entry)
    state.loss, state.hits, state.samples = 0.0, None, 0
    lines = "".join(json.dumps(e) + "\n" for e in state.history)
    temporary = folder / f".{METRICS}"
    temporary.write_text(lines)
    temporary.replace(folder / METRICS)
    figures = "  ".join(f"{k} {v:.4f}" for k, v in entry.items() if k not in ("epoch", "step", "seconds") and isinstance(v, float))
    progress.line(f"epoch {state.epoch:3d}/{task.epochs}  {figures}  {state.seconds:.1f} s")


def _save(path: Path, task: Task, state: _State) -> None:
    import whitewolf as ww

    bad = unsound(task.model)
    if bad:  # the loss was finite, the update was not: what is on disk stays
        raise _stopped(state.step, f"finite parameters after the update; {bad}", path.parent)
    extra = {"task": task.state_dict(), "loader": task.loader.state_dict(), "settings": task.settings, "state": dict(vars(state))}
    ww.save_checkpoint(path, model=task.model, optimizer=task.optimizer, **extra)


def _resume(path: Path, task: Task, state: _State) -> None:
    import whitewolf as ww

    if not path.is_file():
        raise FileNotFoundError(f"train: expected a checkpoint to resume at {path}, found none")
    saved = _of_a_run(path, ww.load_checkpoint(path))["settings"]
    different = [f"{k} {saved.get(k)!r} (now {v!r})" for k, v in task.settings.items() if saved.get(k) != v]
    if different:
        raise ValueError(f"train: expected the settings of {path}: {', '.join(different)}")
    extra = ww.load_checkpoint(path, model=task.model, optimizer=task.optimizer)
    task.loader.load_state_dict(extra["loader"])
    task.load_state_dict(extra["task"])
    for name, value in extra["state"].items():
        setattr(state, name, value)


def _of_a_run(path: str | Path, found: dict[str, Any]) -> dict[str, Any]:
    """`found`, the content of a checkpoint, if it has what `_save` wrote.

    Raises:
        ww.FileFormatError: it is a checkpoint of something else.
    """
    lacking = {"task", "loader", "settings", "state"} - found.keys()
    if lacking:
        raise FileFormatError(f"train: {path}: expected the checkpoint of a run, got one without {', '.join(sorted(lacking))}")
    return found


def _evaluate(workload: Workload, task: Task, options: argparse.Namespace) -> dict[str, Any]:
    import whitewolf as ww

    if not Path(options.evaluate).is_file():
        raise FileNotFoundError(f"train: expected a checkpoint at {options.evaluate}, found none")
    extra = _of_a_run(options.evaluate, ww.load_checkpoint(options.evaluate, model=task.model))
    task.load_state_dict(extra["task"])
    state = _State(**extra["state"])
    task.model.eval()
    start = time.perf_counter()
    state.history.append({"epoch": state.epoch, **task.evaluate()})
    state.seconds = time.perf_counter() - start
    found = _result(workload, task, state, options) | {"checkpoint": str(options.evaluate)}
    _report(task)
    verdict(found)
    return found


def _result(workload: Workload, task: Task, state: _State, options: argparse.Namespace) -> dict[str, Any]:
    folder = Path(options.out or f"runs/{workload.name}")
    command = f"whitewolf train {workload.name} {_arguments(workload, options, folder)}"
    last = state.history[-1]
    measured = {k: v for k, v in last.items() if k not in ("epoch", "step", "seconds", "train_accuracy")}
    run = {
        "workload": workload.name, "seconds": round(state.seconds, 3), "steps": state.step, "parameters": count(task.model),
        "seed": options.seed, "device": options.device, "data": task.data, "epochs": state.epoch, "command": command,
    }  # fmt: skip
    figures = measured | task.facts
    return result(workload.goal(options), run, figures, workload.also(figures))


def _arguments(workload: Workload, options: argparse.Namespace, folder: Path) -> str:
    """The options that a resumed run must be given again."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    workload.add_arguments(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parts = []
    for action in parser._actions:
        value = getattr(options, action.dest, None)
        if value == action.default or action.dest in ("help", "out", "resume", "evaluate", "download"):
            continue
        parts.append(action.option_strings[-1])
        if action.nargs != 0:
            parts.append(shlex.quote(str(value)))
    return " ".join([*parts, f"--out {shlex.quote(str(folder))}"])
