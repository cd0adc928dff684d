"""Results: what result.json holds, and what was recorded of full runs (a file for each workload, in the folder `recorded`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .. import console
from ..environment import cores, cpu_model
from ..runtime import get_num_threads, isa

RECORDED = Path(__file__).parent / "recorded"


def count(model: Any) -> int:
    """Trainable numbers of a model."""
    return sum(p.size for p in model.parameters())


def result(goal: tuple[str, float | None, bool], run: dict[str, Any], figures: dict[str, Any], also: bool = True) -> dict[str, Any]:
    """The content of result.json.

    Args:
        goal: metric, target, and whether larger is better.
        run: what ran.
        figures: what it measured; the metric is one of them.
        also: whether what else the target asks for holds.

    `reached` is None where there is no target.
    """
    metric, target, larger = goal
    value = figures[metric]
    reached = None if target is None else bool(also and (value >= target if larger else value <= target))
    machine = f"{cpu_model()}, {cores()} cores, {get_num_threads()} threads, {isa()}"
    judged = {"metric": metric, "value": value, "target": target, "larger_is_better": larger, "reached": reached}
    return judged | {"machine": machine} | run | figures


def verdict(found: dict[str, Any]) -> None:
    """Prints the result in a line."""
    target = "" if found["target"] is None else f", target {found['target']}: {'reached' if found['reached'] else 'NOT reached'}"
    console.line(f"{found['workload']}: {found['metric']} {found['value']:.4f}{target}; {found['seconds']:.1f} s")


def recorded(name: str) -> list[dict[str, Any]]:
    """The full runs of a workload that were kept, oldest first."""
    path = RECORDED / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def last(name: str) -> dict[str, Any] | None:
    """The last result of a workload: of runs/NAME in this folder, or of the last recorded run.

    Of the recorded ones, those without options come first, whose data and target are the ones listed; then full ones with a target.
    """
    here = Path(f"runs/{name}/result.json")
    try:
        found: dict[str, Any] = json.loads(here.read_text())
        return {"value": found["value"], "metric": found["metric"], "reached": found["reached"], "from": str(here)}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    runs = recorded(name)
    if not runs:
        return None
    plain = [run for run in runs if run["command"] == f"whitewolf train {name}"]
    full = [run for run in runs if run["target"] is not None and not run.get("quick")]
    run = (plain or full or runs)[-1]
    return {**{key: run[key] for key in ("value", "metric", "reached")}, "from": f"recorded {run['date']}: {run['command']}"}
