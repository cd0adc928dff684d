"""LSTM with projected hidden states (Sak, Senior and Beaufays 2014, arXiv 1402.1128, section 3), made of ops step by step."""

from __future__ import annotations

import numpy as np

from ..tensor import Tensor
from ._common import check_float, check_same_device, check_same_dtype, check_tensor
from ._sixteen import takes_sixteen_bit
from .manipulation import matrix_transpose
from .matmul import matmul
from .recurrent import Sizes, _Sequence
from .recurrent_steps import compose, lstm_step


@takes_sixteen_bit
def lstm_projected(
    projected: Tensor,
    weight: Tensor,
    initial_hidden: Tensor,
    initial_cell: Tensor,
    projection: Tensor,
    *,
    batch_sizes: Sizes = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """`lstm` whose hidden state is projection @ (o tanh(c)): P values from U cells. Each step is a few ops: no kernel fuses them.

    Args:
        projected: float32 or float64 [S, N, 4U], or [R, 4U] with batch_sizes: the input's part of the gates i, f, g, o.
        weight: [4U, P].
        initial_hidden, initial_cell: [N, P] and [N, U].
        projection: [P, U].
        batch_sizes: samples at each step, none more than before (PackedSequence); all N at all steps unless given.
        reverse: from the last step to the first.

    Returns:
        The hidden states of every step, [S, N, P] or [R, P], and the last hidden and cell states, [N, P] and [N, U].

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.
    """
    op = "lstm_projected"
    tensors = {"projected": projected, "weight": weight, "initial_hidden": initial_hidden, "initial_cell": initial_cell,
               "projection": projection}  # fmt: skip
    for name, tensor in tensors.items():
        check_float(op, name, check_tensor(op, name, tensor))
    check_same_device(op, **tensors)
    check_same_dtype(op, **tensors)
    lead = projected.shape[:-1]
    if len(lead) != (2 if batch_sizes is None else 1) or projected.shape[-1] % 4 or projection.ndim != 2 or initial_cell.ndim != 2:
        raise ValueError(f"{op}: expected projected [..., 4U], projection [P, U] and initial_cell [N, U], got {projected.shape}, "
                         f"{projection.shape} and {initial_cell.shape}")  # fmt: skip
    units, size, samples = projected.shape[-1] // 4, projection.shape[0], initial_cell.shape[0]
    shapes = {
        "weight": (4 * units, size),
        "projection": (size, units),
        "initial_hidden": (samples, size),
        "initial_cell": (samples, units),
    }
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise ValueError(f"{op}: expected {name}.shape == {shape} (projected {projected.shape}), got {tensors[name].shape}")
    if batch_sizes is None and lead[1] != samples:
        raise ValueError(f"{op}: expected projected.shape[1] == {samples} (the states' samples), got {lead[1]}")
    sizes = None if batch_sizes is None else np.asarray(batch_sizes, np.int64)
    if sizes is not None and (
        sizes.ndim != 1 or sizes.sum() != lead[0] or [*sizes[:1]] != [samples][: len(sizes)] or (np.diff([*sizes, 1]) > 0).any()
    ):
        raise ValueError(
            f"{op}: expected batch_sizes that begin with {samples} (samples), do not grow, end above 0 and add up to {lead[0]} rows, "
            f"got {sizes.tolist()}"
        )
    rows = lead[0] * (1 if sizes is not None else samples)
    at = _Sequence(lead, rows, samples, size, sizes, reverse)
    hidden, last_hidden, last_cell = compose(_step, (projected, weight, initial_hidden, initial_cell, projection), 2, at)
    return hidden, last_hidden, last_cell


def _step(x: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor, projection: Tensor) -> tuple[Tensor, ...]:
    full, cell = lstm_step(x, weight, hidden, cell)
    return matmul(full, matrix_transpose(projection)), cell


__all__ = ["lstm_projected"]
