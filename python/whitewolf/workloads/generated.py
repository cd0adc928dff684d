"""Data that a generator makes while a run goes on: never the same sample twice, and the same samples after a resumption."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..data import DataLoader, TensorDataset


def generated(make: Callable[[np.random.Generator], Any], steps: int, seed: int, device: Any) -> DataLoader:
    """A loader of `steps` batches an epoch, each `make(rng)` with a generator that depends on seed, epoch and batch alone."""
    return DataLoader(TensorDataset(np.arange(steps)), 1, seed=seed, device=device, transform=lambda _, rng: make(rng))


def held_out(make: Callable[[np.random.Generator], Any], batches: int, seed: int) -> list[Any]:
    """Batches to measure on, of a stream of their own."""
    return [make(np.random.Generator(np.random.Philox(key=[seed, 2**63 + number]))) for number in range(batches)]
