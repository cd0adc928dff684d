"""Dropout; formula in kernels/dropout/dropout.h."""

from __future__ import annotations

from ..graph import record
from ..random import take_blocks
from ..tensor import Tensor
from ._common import check_float, check_tensor
from ._sixteen import takes_sixteen_bit


@takes_sixteen_bit
def dropout(x: Tensor, p: float = 0.5) -> Tensor:
    """x / (1 - p) at each element with probability 1 - p, else 0 (Srivastava et al. 2014, section 10).

    The mask depends on the state of `ww.manual_seed`'s stream and on an element's place in C order: the same on each device.

    Args:
        x: float32 or float64, any shape.
        p: in [0, 1].

    Raises:
        ValueError: p is outside.
    """
    check_float("dropout", "x", check_tensor("dropout", "x", x))
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: expected p in [0, 1], got {p}")
    seed, offset = take_blocks(-(-x.size // 4))
    return _masked(x, float(p), seed, offset)


def _masked(x: Tensor, p: float, seed: int, offset: int) -> Tensor:
    """The mask of that place in the stream, drawn again wherever it is needed: it is linear, and its own gradient."""
    data = x.device.empty(x.shape, x.dtype, x._data)
    x.device.kernels["dropout_forward"](data, x._data, p=p, seed=seed, offset=offset)
    return record("dropout", data, (x,), lambda node, grad: (_masked(grad, p, seed, offset),))  # type: ignore[no-any-return]


__all__ = ["dropout"]
