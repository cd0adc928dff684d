"""Random tensors, and the state that they are drawn from: a seed and a position in its stream.

The numbers are Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011), as
engine/random.h says: element i of a fill is a function of (seed, offset, i) alone, on every device, and each fill has an offset of
its own, the stream's position before it.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

_lock = threading.Lock()
_seed = 0  # as deterministic as everything else, unless somebody seeds it from a clock
_offset = 0


def manual_seed(seed: int) -> None:
    """Starts the stream of random numbers of `seed`, on all devices and in all threads.

    Args:
        seed: in [0, 2**64). A process that never calls this has seed 0.

    Raises:
        ValueError: it is outside.

    >>> import whitewolf as ww
    >>> ww.manual_seed(1)
    >>> ww.random.get_state()
    {'seed': 1, 'offset': 0}
    """
    _set("manual_seed", {"seed": seed, "offset": 0})


def get_state() -> dict[str, int]:
    """Seed and position, to be kept in a checkpoint.

    >>> import whitewolf as ww
    >>> sorted(ww.random.get_state())
    ['offset', 'seed']
    """
    with _lock:
        return {"seed": _seed, "offset": _offset}


def set_state(state: dict[str, int]) -> None:
    """Goes back to where `get_state` was called.

    Raises:
        TypeError, ValueError: it is no such state.

    >>> import whitewolf as ww
    >>> ww.random.set_state(ww.random.get_state())
    """
    if not isinstance(state, dict) or state.keys() != {"seed", "offset"}:
        raise TypeError(f"set_state: expected state to be {{'seed': int, 'offset': int}}, got {type(state).__name__}")
    _set("set_state", state)


def _set(op: str, state: dict[str, int]) -> None:
    global _seed, _offset
    values = {}
    for name, value in state.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{op}: expected {name} to be an int, got {type(value).__name__}")
        if not 0 <= value < 2**64:
            raise ValueError(f"{op}: expected {name} in [0, 2**64), got {value}")
        values[name] = int(value)
    with _lock:
        _seed, _offset = values["seed"], values["offset"]


def take_blocks(n: int) -> tuple[int, int]:
    """The seed, and an offset for a fill of `n` blocks of four integers: the position, which then moves on by n."""
    global _offset
    with _lock:
        first = _offset
        _offset += n
        return _seed, first


def next_seed() -> int:
    """A seed in [0, 2**64) for a stream of its own, such as a DataLoader's; takes one block."""
    key: Any = np.array(take_blocks(1), np.uint64)
    return int(np.random.Philox(key=key).random_raw())


# ops/random.py takes its offsets from here, and is complete once this module is.
from .ops.random import bernoulli, normal, permutation, randint, uniform  # noqa: E402

__all__ = [
    "bernoulli",
    "get_state",
    "manual_seed",
    "next_seed",
    "normal",
    "permutation",
    "randint",
    "set_state",
    "take_blocks",
    "uniform",
]
