"""Runs of workloads that take a second or two: their arguments, and how to break one off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import cli
from whitewolf.workloads import babi_tasks, frame

TEXT = "".join(f"the {n % 7} wolves of house {n % 11} howl at moon {n % 5}.\n" for n in range(300))


def text(folder: Path) -> Path:
    path = folder / "text.txt"
    path.write_text(TEXT)
    return path


def treebank(folder: Path) -> Path:
    made = folder / "treebank"
    made.mkdir()
    for part, n in (("train", 260), ("valid", 60), ("test", 60)):
        lines = [f" the wolf n{k % 7} sees <unk> n{k % 5} \n" for k in range(n)]
        (made / f"ptb.{part}.txt").write_text("".join(lines))
    return made


def pairs(folder: Path) -> Path:
    path = folder / "pairs.tsv"
    words = "ein zwei drei vier".split()
    lines = [f"{'a ' * (n % 4)}wolf {n % 3}\t{words[n % 4]} Wolf {n % 3}\n" for n in range(60)]
    path.write_text("".join(lines))
    return path


def babi(folder: Path) -> Path:
    made = folder / "babi"
    made.mkdir()
    rng = np.random.Generator(np.random.Philox(key=1))
    for part, n in (("train", 12), ("test", 4)):
        (made / f"qa1_single-supporting-fact_{part}.txt").write_text("".join(babi_tasks.story(1, rng) for _ in range(n)))
    return made


def train(name: str, *arguments: Any) -> int:
    return cli.main(["train", name, *map(str, arguments)])


def weights(run: Path) -> dict[str, bytes]:
    """The weights of a run's checkpoint."""
    return {name: w.numpy().tobytes() for name, w in ww.load_checkpoint(run / frame.CHECKPOINT)["model"].items()}


class Killed(BaseException):
    """Stands for a signal that nobody can catch."""


def kill(monkeypatch: pytest.MonkeyPatch, at: int, saved_at: int) -> None:
    """Lets the next run save its state after step `saved_at`, and end without a word in step `at` (both from 1)."""
    taken = 0
    step = frame._step

    def broken(*arguments: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken == at:
            raise Killed
        monkeypatch.setattr(frame, "SAVE_EVERY", -1.0 if taken == saved_at else 1e9)
        return step(*arguments)

    monkeypatch.setattr(frame, "_step", broken)
