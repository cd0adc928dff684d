"""The recurrences by their definitions, step by step in ops: what a second derivative is taken of, and cells that no kernel fuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..graph import Node, record
from ..tensor import Tensor, wrap
from .activation import relu, sigmoid
from .elementwise import add, multiply, subtract, tanh
from .joining import concat, split
from .manipulation import matrix_transpose, reshape
from .matmul import matmul

if TYPE_CHECKING:
    from .recurrent import _Sequence


def add_product(
    projected: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor, input: Tensor, input_weight: Tensor
) -> tuple[Tensor, ...]:
    return add(projected, matmul(input, matrix_transpose(input_weight))), weight, hidden, cell


def lstm_step(x: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
    units = cell.shape[-1]
    i, f, g, o = split(add(x, matmul(hidden, matrix_transpose(weight))), [units] * 4, axis=-1)
    cell = add(multiply(sigmoid(f), cell), multiply(sigmoid(i), tanh(g)))
    return multiply(sigmoid(o), tanh(cell)), cell


def gru_step(x: Tensor, weight: Tensor, hidden: Tensor, *bias: Tensor) -> tuple[Tensor, ...]:
    units = weight.shape[1]
    product = matmul(hidden, matrix_transpose(weight))
    a = split(x, [units] * 3, axis=-1)
    b = split(add(product, bias[0]) if bias else product, [units] * 3, axis=-1)
    r, z = sigmoid(add(a[0], b[0])), sigmoid(add(a[1], b[1]))
    n = tanh(add(a[2], multiply(r, b[2])))
    return (add(multiply(subtract(1.0, z), n), multiply(z, hidden)),)


def rnn_step(x: Tensor, weight: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
    return (tanh(add(x, matmul(hidden, matrix_transpose(weight)))),)


def rnn_step_relu(x: Tensor, weight: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
    return (relu(add(x, matmul(hidden, matrix_transpose(weight)))),)


def replay(
    node: Node,
    grads: tuple[Tensor | None, ...],
    step: Callable[..., tuple[Tensor, ...]],
    at: _Sequence,
    prepare: Callable[..., tuple[Tensor, ...]] | None = None,
) -> tuple[Tensor | None, ...]:
    """The gradients in ops: the forward pass replayed step by step, and differentiated. To be differentiated again."""
    from ..autograd import grad

    inputs = node.saved[: len(node.needs)]
    # Stand-ins: the walk back ends at them, although one input may depend on another.
    own = tuple(record("alias", t._data, (t,), lambda _, g: (g,)) for t in inputs)
    outputs = compose(step, own if prepare is None else prepare(*own), len(grads) - 1, at)
    sent = [(o, g) for o, g in zip(outputs, grads) if g is not None and o.requires_grad]
    wanted = [t for t, need in zip(own, node.needs) if need]
    found = iter(grad([o for o, _ in sent], wanted, [g for _, g in sent], create_graph=True, allow_unused=True))
    results = (next(found) if need else None for need in node.needs)
    none = (wrap(np.zeros(t.shape, t.dtype), t.device) if need else None for t, need in zip(inputs, node.needs))
    return tuple(zero if result is None else result for result, zero in zip(results, none))


def compose(
    step: Callable[..., tuple[Tensor, ...]], inputs: tuple[Tensor, ...], n_states: int, at: _Sequence
) -> tuple[Tensor, ...]:
    """The recurrence in ops: all hidden states and each sample's last states."""
    projected, weight, *rest = inputs
    states, bias = tuple(rest[:n_states]), rest[n_states:]
    rows = reshape(projected, (at.rows, projected.shape[-1]))
    sizes = [at.samples] * (at.lead[0] if at.samples else 0) if at.sizes is None else at.sizes.tolist()
    starts = np.cumsum([0, *sizes]).tolist()
    outputs: dict[int, Tensor] = {}
    for t in range(len(sizes))[:: -1 if at.reverse else 1]:
        n = sizes[t]
        now = step(rows[starts[t] : starts[t] + n], weight, *(s[:n] for s in states), *bias)
        outputs[t] = now[0]
        states = tuple(concat((new, old[n:]), axis=0) if n < at.samples else new for new, old in zip(now, states))
    hidden = concat([outputs[t] for t in range(len(sizes))], axis=0) if sizes else rows[:, : at.units]  # no rows
    return (reshape(hidden, (*at.lead, at.units)), *states)


__all__ = ["add_product", "compose", "gru_step", "lstm_step", "replay", "rnn_step", "rnn_step_relu"]
