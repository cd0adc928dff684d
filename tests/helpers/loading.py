"""A dataset that can misbehave, and what the tests of the loader share."""

from __future__ import annotations

import gc
import multiprocessing
import threading
from typing import Any

import numpy as np
from whitewolf.data import DataLoader, Dataset

KINDS = ("threads", "processes")


def workers_left() -> list[str]:
    """The names of all worker threads and processes that still live."""
    gc.collect()
    found = [p.name for p in multiprocessing.active_children()]
    return found + [t.name for t in threading.enumerate() if t.name.startswith("whitewolf-data")]


class Squares(Dataset):
    """Sample i is i squared; `hurdle(i)` runs before it."""

    def __init__(self, n: int, hurdle: Any = None) -> None:
        self.n, self.hurdle = n, hurdle

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        if self.hurdle is not None:
            self.hurdle(index)
        return np.float32(index * index), index


def flat(loader: DataLoader) -> list[int]:
    return [int(i) for _, indices in loader for i in indices.tolist()]
