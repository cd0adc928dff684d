"""What `Sequential` does at once, or in a cheaper order, without a change in any value.

A maximum commutes with a function that never falls: relu(max(a, b)) = max(relu(a), relu(b)), NaN included (of zeros, the sign may
differ). So a ReLU in front of max pooling runs after it, on a quarter of the elements for a 2 x 2 window; the gradients are the same
too, for where a window's largest element is not above zero both give none. A ReLU behind a convolution runs in the convolution's own
kernel, which has the sums at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .module import Module


class Plan(NamedTuple):
    """The calls that give what calling each module in turn gives, and what they were chosen by."""

    modules: list[Module | None]
    types: list[type]
    guards: list[tuple[Any, Any]]  # a ReLU and a max pooling that have changed places
    calls: list[Callable[[Any], Any]]

    def holds(self, modules: list[Module | None]) -> bool:
        """Whether nothing has changed that the calls depend on: a container's modules, their classes and options are assignable."""
        return (
            modules == self.modules
            and [type(m) for m in modules] == self.types
            and not any(relu.inplace or pool.return_indices for relu, pool in self.guards)
        )


def fused(modules: list[Module | None]) -> Plan:
    """How to call these modules. Subclasses, which may compute anything, are called as they are."""
    from .layers.activation import ReLU
    from .layers.conv import Conv2d
    from .layers.pooling import MaxPool2d

    order = [m for m in modules if m is not None]
    guards = []
    for i in range(len(order) - 1):
        relu, pool = order[i], order[i + 1]
        # In place, someone may look at the memory that was to be overwritten.
        if type(relu) is ReLU and not relu.inplace and type(pool) is MaxPool2d and not pool.return_indices:
            order[i], order[i + 1] = pool, relu
            guards.append((relu, pool))
    calls: list[Callable[[Any], Any]] = []
    for i, module in enumerate(order):
        if type(module) is ReLU and i and type(order[i - 1]) is Conv2d:
            calls[-1] = order[i - 1].rectified
        else:
            calls.append(module)
    return Plan(modules, [type(m) for m in modules], guards, calls)


__all__ = ["Plan", "fused"]
