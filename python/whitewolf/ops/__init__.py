"""The ops: one file per family, each op validating, allocating, calling one kernel and recording one node."""

from __future__ import annotations

from typing import Any


def bind(tensor_class: Any) -> None:
    """Gives Tensor its operators and methods: the ops themselves, so that `a * b` costs one call."""
    from ._bind import bind_methods

    bind_methods(tensor_class)


def setitem(x: Any, key: Any, value: Any) -> None:
    """x[key] = value; see ops/indexing.py."""
    from .indexing import setitem as run

    run(x, key, value)
