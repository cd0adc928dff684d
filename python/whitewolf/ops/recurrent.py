"""The recurrences of recurrent nets over whole sequences; formulas in kernels/lstm/lstm.h."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import Node, is_grad_enabled, record, save_output
from ..tensor import Tensor, wrap
from ._common import check_float, check_same_device, check_same_dtype, check_tensor
from .activation import sigmoid
from .elementwise import add, multiply, subtract, tanh
from .manipulation import concat, matrix_transpose, reshape, split, stack
from .matmul import matmul


def lstm(
    projected: Tensor, weight: Tensor, initial_hidden: Tensor, initial_cell: Tensor, *, reverse: bool = False
) -> tuple[Tensor, Tensor]:
    """The recurrence of a long short-term memory (Hochreiter and Schmidhuber 1997, Gers et al. 2000) over a sequence.

    a = projected[t] + hidden[t-1] weight^T; i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o); g = tanh(a_g);
    cell[t] = f cell[t-1] + i g; hidden[t] = o tanh(cell[t])

    Args:
        projected: float32 or float64 [S, N, 4U], the input's part of the gates in PyTorch's order i, f, g, o.
        weight: [4U, U], the recurrent weights.
        initial_hidden, initial_cell: [N, U], the states before the first step.
        reverse: from the last step to the first.

    Returns:
        The hidden states [S, N, U], each at its step's place, and the last cell state [N, U].

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.
    """
    tensors = {"projected": projected, "weight": weight, "initial_hidden": initial_hidden, "initial_cell": initial_cell}
    for name, tensor in tensors.items():
        check_float("lstm", name, check_tensor("lstm", name, tensor))
    check_same_device("lstm", **tensors)
    check_same_dtype("lstm", **tensors)
    if projected.ndim != 3 or projected.shape[2] % 4:
        raise ValueError(f"lstm: expected projected.shape == [S, N, 4U], got {projected.shape}")
    steps, samples, units = projected.shape[0], projected.shape[1], projected.shape[2] // 4
    shapes = {"weight": (4 * units, units), "initial_hidden": (samples, units), "initial_cell": (samples, units)}
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise ValueError(
                f"lstm: expected {name}.shape == {shape} (projected [{steps}, {samples}, 4 x {units}]), got {tensors[name].shape}"
            )
    device, dtype = projected.device, projected.dtype
    # The states before a step and after it are the same memory, one step apart: the product for weight's gradient needs no copy.
    states = device.empty((steps + 1, samples, units), dtype)
    states[steps if reverse else 0] = initial_hidden._data
    before, hidden = (states[1:], states[:-1]) if reverse else (states[:-1], states[1:])
    cell = device.empty((steps, samples, units), dtype)
    gates = device.empty(projected.shape, dtype)
    in_order = slice(None, None, -1) if reverse else slice(None)
    device.kernels["lstm_forward"](
        hidden[in_order], cell, gates, projected._data[in_order], weight._data, initial_hidden._data, initial_cell._data
    )
    last = device.empty((samples, units), dtype)
    last[...] = cell[-1] if steps else initial_cell._data
    inputs = (projected, weight, initial_hidden, initial_cell)
    results = record("lstm", (hidden, last), inputs, _backward, inputs, (before, cell, gates, reverse))
    save_output(results[0])  # `before` is its memory: whoever overwrites it is told
    return results[0], results[1]


def _backward(node: Node, grad: tuple[Tensor | None, Tensor | None]) -> tuple[Tensor | None, ...]:
    projected, weight, initial_hidden, initial_cell = node.saved[:4]
    before, cell, gates, reverse = node.context
    by_hidden, by_cell = grad
    if is_grad_enabled():
        return _composite_backward(by_hidden, by_cell, projected, weight, initial_hidden, initial_cell, reverse)
    steps, samples, units = cell.shape
    device, dtype = projected.device, projected.dtype
    in_order = slice(None, None, -1) if reverse else slice(None)
    given = np.broadcast_to(np.zeros((), dtype), cell.shape) if by_hidden is None else by_hidden._data
    for_projected = device.empty(projected.shape, dtype)
    for_hidden, for_cell = device.empty(initial_hidden.shape, dtype), device.empty(initial_cell.shape, dtype)
    device.kernels["lstm_backward"](
        for_projected[in_order], for_hidden, for_cell, given[in_order], None if by_cell is None else by_cell._data, gates, cell,
        weight._data, initial_cell._data,
    )  # fmt: skip
    result = wrap(for_projected, device)
    for_weight = None
    if node.needs[1]:
        flat = reshape(result, (steps * samples, 4 * units))
        for_weight = matmul(matrix_transpose(flat), wrap(before.reshape(steps * samples, units), device))
    return result, for_weight, wrap(for_hidden, device), wrap(for_cell, device)


def _composite_backward(
    by_hidden: Tensor | None,
    by_cell: Tensor | None,
    projected: Tensor,
    weight: Tensor,
    initial_hidden: Tensor,
    initial_cell: Tensor,
    reverse: bool,
) -> tuple[Tensor | None, ...]:
    """The same in ops, the forward pass replayed: to be differentiated again."""
    steps, samples, units = projected.shape[0], projected.shape[1], weight.shape[1]
    order = range(steps - 1, -1, -1) if reverse else range(steps)
    hidden, cell, kept = initial_hidden, initial_cell, {}
    for t in order:
        i, f, g, o = split(add(projected[t], matmul(hidden, matrix_transpose(weight))), [units] * 4, axis=-1)
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        cell_before, hidden_before = cell, hidden
        cell = add(multiply(f, cell), multiply(i, g))
        squashed = tanh(cell)
        hidden = multiply(o, squashed)
        kept[t] = i, f, g, o, cell_before, squashed, hidden_before
    zero = wrap(np.zeros((samples, units), projected.dtype), projected.device)
    for_hidden, for_cell = zero, zero if by_cell is None else by_cell
    changes: dict[int, Tensor] = {}
    for t in reversed(order):
        i, f, g, o, cell_before, squashed, _ = kept[t]
        h = for_hidden if by_hidden is None else add(for_hidden, by_hidden[t])
        c = add(for_cell, multiply(multiply(h, o), subtract(1.0, multiply(squashed, squashed))))
        changes[t] = concat(
            (
                multiply(multiply(c, g), _slope(i)),
                multiply(multiply(c, cell_before), _slope(f)),
                multiply(multiply(c, i), subtract(1.0, multiply(g, g))),
                multiply(multiply(h, squashed), _slope(o)),
            ),
            axis=-1,
        )
        for_hidden, for_cell = matmul(changes[t], weight), multiply(c, f)
    if not steps:
        empty: Any = np.zeros
        return (
            wrap(empty(projected.shape, projected.dtype), projected.device),
            wrap(empty(weight.shape, weight.dtype), weight.device),
            for_hidden,
            for_cell,
        )
    for_projected = stack([changes[t] for t in range(steps)])
    flat = reshape(for_projected, (steps * samples, 4 * units))
    before = reshape(stack([kept[t][6] for t in range(steps)]), (steps * samples, units))
    return for_projected, matmul(matrix_transpose(flat), before), for_hidden, for_cell


def _slope(s: Tensor) -> Tensor:
    return multiply(s, subtract(1.0, s))
