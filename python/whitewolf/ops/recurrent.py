"""The recurrences of recurrent nets over whole sequences; formulas in kernels/{rnn,gru,lstm}/*.h."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._precision import run_product
from ..device import Device
from ..graph import Node, is_grad_enabled, record, save_output
from ..tensor import Tensor, wrap
from ._common import check_float, check_same_device, check_same_dtype, check_tensor
from ._sixteen import takes_sixteen_bit
from .recurrent_steps import add_product, gru_step, lstm_step, replay, rnn_step, rnn_step_relu

Sizes = Sequence[int] | None


@dataclass(frozen=True, slots=True)
class _Sequence:
    """The rows of a call: `sizes` samples in each step, all of them where it is None."""

    lead: tuple[int, ...]  # of what comes in and goes out: (S, N), or (R,) where there are sizes
    rows: int
    samples: int
    units: int
    sizes: Any
    reverse: bool

    def states(self, device: Any, dtype: Any, initial: Any) -> tuple[Any, Any]:
        """Memory for the state after each step, [R, U], and the states before each step in the same memory, if they all are there."""
        if self.sizes is not None:
            return device.empty((self.rows, self.units), dtype), None
        memory = device.empty((self.rows + self.samples, self.units), dtype)
        if self.reverse:
            memory[self.rows :] = initial
            return memory[: self.rows], memory[self.samples :]
        memory[: self.samples] = initial
        return memory[self.samples :], memory[: self.rows]

    def before(self, hidden: Any, initial: Any) -> Any:
        """The states before each step, [R, U], gathered."""
        sizes = self.sizes
        if not self.rows:
            return hidden
        steps, starts = np.repeat(np.arange(len(sizes)), sizes), np.cumsum(sizes) - sizes
        samples = np.arange(self.rows) - starts[steps]
        last = steps + (1 if self.reverse else -1)
        inside = (last >= 0) & (last < len(sizes))
        last = np.where(inside, last, 0)
        inside &= samples < sizes[last]
        return np.concatenate([initial, hidden])[np.where(inside, self.samples + starts[last] + samples, samples)]


def _check(
    op: str,
    gates: int,
    projected: Tensor,
    weight: Tensor,
    sizes: Sizes,
    reverse: bool,
    input: Tensor | None = None,
    **states: Tensor,
) -> _Sequence:
    """The rows of a call whose arguments fit together; those of `input` where `projected` is a bias."""
    tensors = {"projected": projected, "weight": weight, **states}
    _check_alike(op, tensors)
    lead = ("R",) if sizes is not None else ("S", "N")
    size = f"{gates}U" if gates > 1 else "U"
    like, name = (projected, "projected") if input is None else (input, "input")
    if like.ndim != len(lead) + 1 or not projected.ndim or projected.shape[-1] % gates:
        size = size if input is None else "D"
        raise ValueError(f"{op}: expected {name}.shape == [{', '.join(lead)}, {size}], got {like.shape}")
    units, first = projected.shape[-1] // gates, next(iter(states))
    samples = like.shape[1] if sizes is None else states[first].shape[0] if states[first].ndim else 0
    shapes = {"weight": (gates * units, units)} | dict.fromkeys(states, (samples, units)) | {"bias": (gates * units,)}
    for name, tensor in list(tensors.items())[1:]:
        if tensor.shape != shapes[name]:
            raise ValueError(
                f"{op}: expected {name}.shape == {shapes[name]} (projected {projected.shape}, {units} units), got {tensor.shape}"
            )
    given = None
    if sizes is not None:
        given = np.asarray(sizes)
        if given.ndim != 1 or given.size and given.dtype.kind not in "iu":
            raise TypeError(f"{op}: expected batch_sizes to be a sequence of ints, got {sizes!r}")
        given = given.astype(np.int64)
    rows = like.shape[0] * (1 if sizes is not None else samples)
    return _Sequence(like.shape[:-1], rows, samples, units, given, bool(reverse))


def _check_alike(op: str, tensors: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        check_float(op, name, check_tensor(op, name, tensor))
    check_same_device(op, **tensors)
    check_same_dtype(op, **tensors)


@takes_sixteen_bit
def lstm(
    projected: Tensor,
    weight: Tensor,
    initial_hidden: Tensor,
    initial_cell: Tensor,
    input: Tensor | None = None,
    input_weight: Tensor | None = None,
    *,
    batch_sizes: Sizes = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """The recurrence of a long short-term memory (Hochreiter and Schmidhuber 1997, Gers et al. 2000) over a batch of sequences.

    a = projected[t] + input[t] input_weight^T + hidden[t-1] weight^T;
    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o); g = tanh(a_g);
    cell[t] = f cell[t-1] + i g; hidden[t] = o tanh(cell[t])

    Args:
        projected: float32 or float64 [S, N, 4U], or [R, 4U] with batch_sizes: the input's part of the gates in PyTorch's order
            i, f, g, o. With `input` also [4U], a bias for every row.
        weight: [4U, U], the recurrent weights.
        initial_hidden, initial_cell: [N, U], the states before the first step.
        input, input_weight: [S, N, D] or [R, D], and [4U, D]: inputs whose product is not in `projected` yet; both or neither.
        batch_sizes: samples of each step, the first N and none growing, where sequences differ in length (PyTorch's
            PackedSequence): rows of step t follow those of step t - 1.
        reverse: from the last step to the first.

    Returns:
        The hidden states [S, N, U] or [R, U], each at its step's place, and each sample's last hidden and cell state [N, U].

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.
    """
    more = _check_input("lstm", projected, input, input_weight)
    one = input if more and projected.ndim == 1 else None
    at = _check("lstm", 4, projected, weight, batch_sizes, reverse, one, initial_hidden=initial_hidden, initial_cell=initial_cell)
    device, dtype, empty = projected.device, projected.dtype, projected.device.empty
    hidden, before = at.states(device, dtype, initial_hidden._data)
    cell, gates = empty((at.rows, at.units), dtype), empty((at.rows, 4 * at.units), dtype)
    last_hidden, last_cell = empty(initial_hidden.shape, dtype), empty(initial_cell.shape, dtype)
    parts = _dense(projected, at.rows, 4 * at.units) if one is None else np.broadcast_to(_dense(projected), gates.shape)
    device.kernels["lstm_forward"](
        hidden, cell, gates, last_hidden, last_cell, parts, weight._data, _dense(initial_hidden), _dense(initial_cell), at.sizes,
        *(t._data.reshape(at.rows, t.shape[-1]) if t is input else t._data for t in more), reverse=at.reverse,
    )  # fmt: skip
    inputs = (projected, weight, initial_hidden, initial_cell, *more)
    outputs = (hidden.reshape(*at.lead, at.units), last_hidden, last_cell)
    results = record("lstm", outputs, inputs, _lstm_backward, inputs, (at, before, cell, gates))
    save_output(results[0])  # `before` is its memory: whoever overwrites it is told
    return results  # type: ignore[no-any-return]


def _check_input(op: str, projected: Tensor, input: Tensor | None, weight: Tensor | None) -> tuple[Tensor, ...]:
    if input is None and weight is None:
        return ()
    if input is None or weight is None:
        raise ValueError(
            f"{op}: expected input and input_weight, or neither, got only {'input' if weight is None else 'input_weight'}"
        )
    _check_alike(op, {"projected": projected, "input": input, "input_weight": weight})
    if projected.ndim != 1 and input.shape[:-1] != projected.shape[:-1]:
        raise ValueError(f"{op}: expected input.shape == {(*projected.shape[:-1], 'D')} (as projected), got {input.shape}")
    if not input.ndim or not projected.ndim or weight.shape != (projected.shape[-1], input.shape[-1]):
        raise ValueError(
            f"{op}: expected input_weight.shape == {(*projected.shape[-1:], *input.shape[-1:])} (input {input.shape}), got {weight.shape}"
        )
    return input, weight


def _lstm_backward(node: Node, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    projected, weight, initial_hidden, initial_cell, *given, out = node.saved
    at, before, cell, gates = node.context
    if is_grad_enabled():
        return replay(node, grads, lstm_step, at, add_product if given else None)
    device, dtype, empty = projected.device, projected.dtype, projected.device.empty
    change = empty((at.rows, 4 * at.units), dtype)
    for_hidden, for_cell = empty(initial_hidden.shape, dtype), empty(initial_cell.shape, dtype)
    device.kernels["lstm_backward"](
        change,
        for_hidden,
        for_cell,
        *_rows(grads, at),
        gates,
        cell,
        weight._data,
        _dense(initial_cell),
        at.sizes,
        reverse=at.reverse,
    )
    for_weight = _weight_gradient(change, out, before, initial_hidden, at) if node.needs[1] else None
    if projected.shape == (4 * at.units,):
        for_projected = _column_sums(change, device) if node.needs[0] else None
    else:
        for_projected = wrap(change.reshape(projected.shape), device)
    found = for_projected, for_weight, wrap(for_hidden, device), wrap(for_cell, device)
    if not given:
        return found
    input, input_weight = given
    for_input = _product(change, input_weight._data, device, input.shape) if node.needs[4] else None
    if not node.needs[5]:
        return (*found, for_input, None)
    return (*found, for_input, _product(change.T, input._data.reshape(at.rows, input.shape[-1]), device))


def _product(left: Any, right: Any, device: Device, shape: tuple[int, ...] | None = None) -> Tensor:
    """matmul for a backward that is not recorded, without what differentiable ops cost beside a product of 0.7 ms."""
    data = device.empty((left.shape[0], right.shape[1]), left.dtype)
    run_product(device, "matmul_forward", data, left, right)
    return wrap(data if shape is None else data.reshape(shape), device)


def _column_sums(rows: Any, device: Device) -> Tensor:
    data = device.empty(rows.shape[1:], rows.dtype)
    device.kernels["sum_forward"](data[None], rows)
    return wrap(data, device)


@takes_sixteen_bit
def gru(
    projected: Tensor,
    weight: Tensor,
    initial_hidden: Tensor,
    bias: Tensor | None = None,
    *,
    batch_sizes: Sizes = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """The recurrence of gated recurrent units (Cho et al. 2014, arXiv 1406.1078; reset after the product) over a batch of sequences.

    a = projected[t], b = hidden[t-1] weight^T + bias; r, z = sigmoid(a_r + b_r), sigmoid(a_z + b_z); n = tanh(a_n + r b_n);
    hidden[t] = (1 - z) n + z hidden[t-1]

    Args:
        projected: float32 or float64 [S, N, 3U], or [R, 3U] with batch_sizes: the input's part of the gates in PyTorch's order
            r, z, n.
        weight: [3U, U], the recurrent weights.
        initial_hidden: [N, U], the state before the first step.
        bias: [3U], the recurrent biases.
        batch_sizes, reverse: as in `lstm`.

    Returns:
        The hidden states [S, N, U] or [R, U], each at its step's place, and each sample's last one [N, U].

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.
    """
    more = {} if bias is None else {"bias": bias}
    at = _check("gru", 3, projected, weight, batch_sizes, reverse, initial_hidden=initial_hidden, **more)
    device, dtype, empty = projected.device, projected.dtype, projected.device.empty
    hidden, before = at.states(device, dtype, initial_hidden._data)
    gates, last = empty((at.rows, 4 * at.units), dtype), empty(initial_hidden.shape, dtype)
    device.kernels["gru_forward"](
        hidden, gates, last, _dense(projected, at.rows, 3 * at.units), weight._data, None if bias is None else _dense(bias),
        _dense(initial_hidden), at.sizes, reverse=at.reverse,
    )  # fmt: skip
    inputs = (projected, weight, initial_hidden, *more.values())
    results = record("gru", (hidden.reshape(*at.lead, at.units), last), inputs, _gru_backward, inputs, (at, before, gates))
    save_output(results[0])
    return results  # type: ignore[no-any-return]


def _gru_backward(node: Node, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    projected, weight, initial, *bias, out = node.saved
    at, before, gates = node.context
    if is_grad_enabled():
        return replay(node, grads, gru_step, at)
    device, dtype, empty = projected.device, projected.dtype, projected.device.empty
    change, sent = empty((at.rows, 3 * at.units), dtype), empty((at.rows, 3 * at.units), dtype)
    for_hidden, hidden = empty(initial.shape, dtype), out._data.reshape(at.rows, at.units)
    device.kernels["gru_backward"](
        change, sent, for_hidden, *_rows(grads, at), gates, hidden, weight._data, _dense(initial), at.sizes, reverse=at.reverse
    )
    for_weight = _weight_gradient(sent, out, before, initial, at) if node.needs[1] else None
    found = (wrap(change.reshape(projected.shape), device), for_weight, wrap(for_hidden, device))
    return (*found, _column_sums(sent, device) if node.needs[3] else None) if bias else found


@takes_sixteen_bit
def rnn(
    projected: Tensor,
    weight: Tensor,
    initial_hidden: Tensor,
    *,
    batch_sizes: Sizes = None,
    reverse: bool = False,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """The recurrence of a simple recurrent net (Elman 1990) over a batch of sequences.

    hidden[t] = activation(projected[t] + hidden[t-1] weight^T)

    Args:
        projected: float32 or float64 [S, N, U], or [R, U] with batch_sizes: the input's part.
        weight: [U, U], the recurrent weights.
        initial_hidden: [N, U], the state before the first step.
        batch_sizes, reverse: as in `lstm`.
        activation: "tanh" or "relu".

    Returns:
        The hidden states [S, N, U] or [R, U], each at its step's place, and each sample's last one [N, U].

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.
    """
    at = _check("rnn", 1, projected, weight, batch_sizes, reverse, initial_hidden=initial_hidden)
    device, dtype = projected.device, projected.dtype
    hidden, before = at.states(device, dtype, initial_hidden._data)
    last = device.empty(initial_hidden.shape, dtype)
    device.kernels["rnn_forward"](
        hidden, last, _dense(projected, at.rows, at.units), weight._data, _dense(initial_hidden), at.sizes, reverse=at.reverse,
        activation=activation,
    )  # fmt: skip
    inputs = (projected, weight, initial_hidden)
    context = (at, before, activation)
    results = record("rnn", (hidden.reshape(*at.lead, at.units), last), inputs, _rnn_backward, inputs, context)
    save_output(results[0])
    return results  # type: ignore[no-any-return]


def _rnn_backward(node: Node, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    projected, weight, initial, out = node.saved
    at, before, activation = node.context
    if is_grad_enabled():
        return replay(node, grads, rnn_step_relu if activation == "relu" else rnn_step, at)
    device, dtype = projected.device, projected.dtype
    change, for_hidden = device.empty((at.rows, at.units), dtype), device.empty(initial.shape, dtype)
    device.kernels["rnn_backward"](
        change, for_hidden, *_rows(grads, at), out._data.reshape(at.rows, at.units), weight._data, at.sizes, reverse=at.reverse,
        activation=activation,
    )  # fmt: skip
    for_weight = _weight_gradient(change, out, before, initial, at) if node.needs[1] else None
    return wrap(change.reshape(projected.shape), device), for_weight, wrap(for_hidden, device)


def _dense(x: Tensor, *rows: int) -> Any:
    """x's array, rows of `rows` elements if that is given, each with its elements side by side: what the fast kernels take."""
    data = x._data.reshape(*rows) if rows else x._data
    return data if data.strides[-1] == data.itemsize else x.device.xp.ascontiguousarray(data)


def _rows(grads: tuple[Tensor | None, ...], at: _Sequence) -> list[Any]:
    """The gradients of an op's outputs as its backward kernel takes them."""
    first = grads[0]
    return [
        None if first is None else _dense(first, at.rows, at.units),
        *(None if g is None else _dense(g) for g in grads[1:]),
    ]


def _weight_gradient(change: Any, out: Tensor, before: Any, initial: Tensor, at: _Sequence) -> Tensor:
    if before is None:
        before = at.before(out._data.reshape(at.rows, at.units), initial._data)
    return _product(change.T, before, out.device)


__all__ = ["gru", "lstm", "rnn"]
