"""Ops that write their result into their first operand's memory: `x += y`, `x.add_(y)`, `F.relu(x, inplace=True)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..graph import _mode
from ..tensor import Tensor
from ._common import SixteenBit, check_tensor, is_writable
from ._sixteen import through_float32
from .indexing import as_it_is, check_alone


def in_place(name: str, x: Tensor, op: Callable[[Tensor], Tensor], *others: Any, saves: bool = True) -> Tensor:
    """x, whose memory holds op(x) now. In a graph, x goes on as the result, for all who hold it.

    Args:
        others: what else `op` computes with: where one requires grad, x joins its graph.
        saves: whether `op` keeps x for its backward, which then needs x as it was.

    Raises:
        ValueError: the result has another shape than x; x is read-only, or, in a graph, a leaf or shared by another tensor.
        TypeError: the result has another dtype than x.
    """
    x = check_tensor(name, "input", x)
    recording = _mode.enabled and (x._requires_grad or any([getattr(other, "_requires_grad", False) for other in others]))
    before = x
    if recording:
        check_alone(x, name)
        before = as_it_is(x, x._data.copy(order="K") if saves else x._data)
    try:
        result = op(before)
    except SixteenBit:
        result = through_float32(op, before)
    if result.shape != x.shape:
        raise ValueError(
            f"{name}: expected a result of shape {x.shape}, that of x, to which it is written, got shape {result.shape}"
        )
    if result.dtype != x.dtype:
        raise TypeError(
            f"{name}: expected a result of dtype {x.dtype}, that of x, to which it is written, got dtype {result.dtype}"
        )
    if not is_writable(x):
        raise ValueError(f"{name}: expected a tensor that can be written to, got one over read-only memory of shape {x.shape}")
    np.copyto(x._data, result._data)
    x._overwritten()
    if recording:
        x._requires_grad, x._node, x._output = True, result._node, result._output
    return x


__all__ = ["in_place"]
