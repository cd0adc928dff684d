"""Workloads: whole systems that train, from data to a measured result. `whitewolf train NAME` runs one."""

from __future__ import annotations

import argparse
from typing import Any

from .frame import Workload, add_arguments
from .frame import run as _run
from .lenet import LeNet

_ALL: tuple[Workload, ...] = (LeNet(),)


def all() -> tuple[Workload, ...]:
    """Every workload."""
    return _ALL


def get(name: str) -> Workload:
    """The workload of that name.

    Raises:
        ValueError: there is none.
    """
    for workload in _ALL:
        if workload.name == name:
            return workload
    raise ValueError(f"train: expected a workload among {', '.join(w.name for w in _ALL)}, got {name!r}")


def describe() -> list[dict[str, Any]]:
    """Name, summary, metric and target of each workload."""
    return [{"name": w.name, "summary": w.summary, "metric": w.metric, "target": w.target} for w in _ALL]


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Trains (or evaluates) a workload; returns what result.json holds."""
    return _run(get(name), options)


__all__ = ["Workload", "add_arguments", "all", "describe", "get", "run"]
