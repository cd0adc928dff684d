"""The suites: bench cases of the op table, and whole steps, that stand for the networks people train.

`core` is for every day; `paper` is the table of the workloads of LeCun, Bengio and Hinton's *Deep Learning* (Nature, 2015).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .. import cases
from ..device import Device
from .contests import Contest, from_table
from .networks import network, small_multiply
from .sequences import lstm
from .steps import optimizer


@dataclass(frozen=True)
class Row:
    """A bench case of an op, by name; `train` includes backward to every input. `quick` rows are in the short run as well."""

    op: str
    case: str
    train: bool = False
    quick: bool = False


@dataclass(frozen=True)
class Step:
    """A contest of bench/steps.py, networks.py or sequences.py: its builder and the builder's first arguments."""

    build: Callable[..., Contest]
    arguments: tuple[Any, ...]
    quick: bool = False


CORE = (
    Row("matmul", "256 x 256 x 256", quick=True),
    Row("matmul", "512 x 512 x 512", quick=True),
    Row("matmul", "1024 x 1024 x 1024", quick=True),
    Row("matmul", "2048 x 2048 x 2048"),
    Row("matmul", "20 x 650 x 2600", quick=True),
    Row("matmul", "16 x 9216 x 4096"),
    Row("matmul", "700 x 650 x 10000"),
    Row("conv2d", "LeNet c1", quick=True),
    Row("conv2d", "LeNet c1", train=True, quick=True),
    Row("conv2d", "LeNet c2", quick=True),
    Row("conv2d", "LeNet c2", train=True, quick=True),
    Row("conv2d", "AlexNet c3", quick=True),
    Row("conv2d", "AlexNet c3", train=True),
    Row("relu", "large", train=True),
    Row("max_pool2d", "AlexNet pool 1", quick=True),
    Row("max_pool2d", "AlexNet pool 1", train=True, quick=True),
    Row("cross_entropy", "700 x 10000", train=True),
)

# By the name that `whitewolf bench NAME` knows them by.
STEPS: dict[str, tuple[Step, ...]] = {
    "sgd": (Step(optimizer, ("SGD", 10_000_000), quick=True),),
    "adam": (Step(optimizer, ("Adam", 10_000_000), quick=True),),
    "lstm": (
        Step(lstm, (20, 20, 200, 200, 2), quick=True),
        Step(lstm, (35, 20, 650, 650, 2)),
        Step(lstm, (50, 64, 256, 256, 1)),
        Step(lstm, (100, 1, 128, 128, 1)),
    ),
    "step": (
        Step(network, ("LeNet", 1)),
        Step(network, ("LeNet", 64), quick=True),
        Step(network, ("LeNet", 256)),
        Step(network, ("MLP 784-500-10", 64)),
    ),
}

MATMULS = ("256 x 256 x 256", "512 x 512 x 512", "1024 x 1024 x 1024", "2048 x 2048 x 2048", "20 x 650 x 2600", "16 x 9216 x 4096",
           "700 x 650 x 10000")  # fmt: skip
CONVOLUTIONS = ("LeNet c1", "LeNet c2", "AlexNet c1", "AlexNet c2", "AlexNet c3", "AlexNet c5", "VGG 56", "VGG 14", "ResNet 1x1",
                "ResNet 3x3 stride 2")  # fmt: skip

PAPER: tuple[Row | Step, ...] = (
    *(Row("matmul", case) for case in MATMULS),
    *(Row("conv2d", case, train=True) for case in CONVOLUTIONS),
    *STEPS["lstm"],
    Row("relu", "large", train=True),
    Row("max_pool2d", "AlexNet pool 1", train=True),
    Row("cross_entropy", "700 x 10000", train=True),
    Step(optimizer, ("SGD", 10_000_000)),
    Step(optimizer, ("Adam", 10_000_000)),
    *STEPS["step"],
    Step(network, ("AlexNet", 16)),
    Step(network, ("language model 2 x 200, T 20", 20)),
    Step(network, ("language model 2 x 650, T 35", 20)),
    Step(small_multiply, (False,)),
    Step(small_multiply, (True,)),
)

SUITES: dict[str, tuple[Row | Step, ...]] = {"core": (*CORE, *(step for steps in STEPS.values() for step in steps)), "paper": PAPER}


def builder(row: Row | Step, device: Device, libraries: Sequence[str], seed: int) -> Callable[[], Contest]:
    """What makes the contest of a row."""
    if isinstance(row, Step):
        return partial(row.build, *row.arguments, device, libraries, seed)
    (table,) = (table for table in cases.tables() if table.op == row.op)
    (case,) = (case for case in table.cases if case.name == row.case)
    return partial(from_table, table, case, "float32", device, libraries, row.train, seed)
