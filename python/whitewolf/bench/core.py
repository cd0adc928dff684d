"""The suite `core`: bench cases of the op table, and whole steps, that stand for the networks people train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .contests import Contest
from .sequences import lstm
from .steps import network, optimizer


@dataclass(frozen=True)
class Row:
    """A bench case of an op, by name; `train` includes backward to every input. `quick` rows are in the short run as well."""

    op: str
    case: str
    train: bool = False
    quick: bool = False


@dataclass(frozen=True)
class Step:
    """A contest of bench/steps.py or sequences.py: its builder and the builder's first arguments."""

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
