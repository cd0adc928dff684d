"""The first steps of a workload on the simulated GPU, beside those on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import whitewolf as ww
from whitewolf import cli, workloads


def first_losses(name: str, device: str, steps: int, done: float, *arguments: str) -> list[float]:
    """The losses of the first steps of `whitewolf train NAME`, as if the part `done` of all steps lay behind them."""
    options = cli.parser().parse_args(["train", name, "--device", device, *arguments])
    ww.manual_seed(options.seed)
    task: Any = workloads.get(name).setup(options)
    losses: list[float] = []
    task.model.train()
    for batch in task.loader:
        loss, _, samples = task.step(batch, done + len(losses) / 100)
        losses.append(loss / samples)
        if len(losses) == steps:
            break
    return losses


def check_cudasim(name: str, *arguments: str, steps: int = 2, done: float = 0.0, rtol: float = 1e-4) -> None:
    """The first losses on cudasim are those on the CPU."""
    expected = first_losses(name, "cpu", steps, done, *arguments)
    got = first_losses(name, "cudasim", steps, done, *arguments)
    assert len(got) == steps
    np.testing.assert_allclose(got, expected, rtol=rtol)
