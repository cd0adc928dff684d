"""Workloads: whole systems that train, from data to a measured result. `whitewolf train NAME` runs one.

A module of this folder that has a `WORKLOAD` is one: whoever adds a workload adds its file, and nothing else.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from typing import Any

from .frame import Workload, add_arguments
from .frame import run as _run
from .record import last

# The order of the paper.
_ORDER = (
    "shallow", "lenet", "alexnet", "pretrain", "wordvec", "rnn", "lstm-lm", "seq2seq", "ntm", "memnet", "dqn", "glimpse", "transformer",
)  # fmt: skip


def _find() -> tuple[Workload, ...]:
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    workloads: list[Workload] = [module.WORKLOAD for module in modules if hasattr(module, "WORKLOAD")]
    return tuple(sorted(workloads, key=lambda w: (_ORDER.index(w.name) if w.name in _ORDER else len(_ORDER), w.name)))


_ALL = _find()


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
    """Name, summary, paper, data, metric, target (of the default data) and last result (or None) of each workload."""
    return [
        {
            "name": w.name, "summary": w.summary, "paper": w.paper, "data": w.data, "metric": w.metric, "target": w.target,
            "larger_is_better": w.larger_is_better, "last": last(w.name),
        }
        for w in _ALL
    ]  # fmt: skip


def about(workload: Workload, parser: argparse.ArgumentParser) -> str:
    """What --help says of a workload above its options; `parser` reads these."""

    def target(*arguments: str) -> str:
        metric, wanted, larger = workload.goal(parser.parse_args(arguments))
        return f"{metric} {'>=' if larger else '<='} {wanted:g}"

    first = f"{workload.summary[0].upper()}{workload.summary[1:]}: {workload.paper}. Data: {workload.data}."
    return f"{first} Target without options: {target()}; with --quick: {target('--quick')}."


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Trains (or evaluates) a workload; returns what result.json holds."""
    return _run(get(name), options)


__all__ = ["Workload", "about", "add_arguments", "all", "describe", "get", "run"]
