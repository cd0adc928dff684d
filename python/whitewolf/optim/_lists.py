"""What the optimizers hand to their kernels: lists of arrays over the parameters that can share a call, and fresh state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..ops.creation import zeros_like
from ..tensor import Tensor
from .optimizer import Optimizer

POSITIVE = (lambda v: v >= 0, ">= 0")
NUMBER = (lambda v: v == v, "to be a number")


def buckets(params: Sequence[Tensor], key: Any) -> list[list[Tensor]]:
    """Parameters that can share a call: one device, one dtype, and the same `key`."""
    found: dict[Any, list[Tensor]] = {}
    for p in params:
        found.setdefault((p.device.name, p.dtype, key(p)), []).append(p)
    return list(found.values())


def arrays(tensors: Iterable[Tensor]) -> list[Any]:
    return [t._data for t in tensors]


def grads(params: Sequence[Tensor]) -> list[Any]:
    return [p._grad._data for p in params]  # type: ignore[union-attr]  # only those that have a gradient come here


def start(optimizer: Optimizer, params: Sequence[Tensor], names: Sequence[str], value: float = 0.0) -> None:
    """Gives parameters what they lack of the state of step 0: all of it, or what an option needs that was set after some steps."""
    for p in params:
        entry = optimizer.state.get(p) or {"step": 0}
        missing = [name for name in names if name not in entry]
        for name in missing:
            entry[name] = zeros_like(p)
            if value:
                entry[name]._data.fill(value)
        if missing:
            optimizer.state[p] = entry
