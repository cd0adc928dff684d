"""A run that dies at some step and is resumed, beside one that does not."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import whitewolf as ww
from whitewolf import cli, workloads
from whitewolf.workloads import frame, plots


class Killed(BaseException):
    """What no handler of the run catches, as a kill would not be."""


def final_weights(folder: Path) -> dict[str, bytes]:
    model = ww.load_checkpoint(folder / frame.CHECKPOINT)["model"]
    return {name: tensor.numpy().tobytes() for name, tensor in model.items()}


def check_resume(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, steps: int, *arguments: str) -> None:
    """A run killed at a random step after its first checkpoint ends, resumed, with the bits of an unbroken one.

    And the checkpoint of the unbroken one, measured alone, has the figures that the run ended with.
    """
    monkeypatch.setattr(plots, "available", lambda: False)  # pictures take longer than the steps, and have tests of their own
    given = ["train", name, "--steps", str(steps), *arguments]
    assert cli.main([*given, "--out", str(folder / "whole")]) in (0, 1)  # 1: so short a run need not reach its target
    broken = [*given, "--out", str(folder / "broken")]
    last = random.randrange(steps // 3, steps - 1)
    saved = last // 2
    workload: Any = workloads.get(name)
    setup = type(workload).setup

    def dying(self: Any, options: Any) -> Any:
        task = setup(self, options)
        step, taken = task.step, []

        def counted(batch: Any, fraction: float) -> Any:
            monkeypatch.setattr(frame, "SAVE_EVERY", -1.0 if len(taken) + 1 == saved else 1e9)
            if len(taken) == last:
                raise Killed
            taken.append(1)
            return step(batch, fraction)

        task.step = counted
        return task

    with monkeypatch.context() as patched:
        patched.setattr(type(workload), "setup", dying)
        with pytest.raises(Killed):
            cli.main(broken)
    monkeypatch.setattr(frame, "SAVE_EVERY", 1e9)
    assert ww.load_checkpoint(folder / "broken" / frame.CHECKPOINT)["state"]["step"] == saved, f"killed after {last} steps"
    assert cli.main([*broken, "--resume"]) in (0, 1)
    alone = folder / "alone.json"
    cli.main([*given, "--evaluate", str(folder / "whole" / frame.CHECKPOINT), "--json", str(alone)])
    ended, measured = (json.loads(path.read_text()) for path in (folder / "whole" / frame.RESULT, alone))
    assert measured["value"] == ended["value"] and measured["metric"] == ended["metric"]
    assert final_weights(folder / "whole") == final_weights(folder / "broken"), f"killed after {last} steps, saved after {saved}"
