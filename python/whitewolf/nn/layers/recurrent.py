"""Recurrent layers, with PyTorch's arguments, state_dict keys, weight layouts and order of gates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

from ...ops.creation import empty, zeros
from ...ops.elementwise import add
from ...ops.manipulation import concat, expand_dims, reshape, stack, transpose
from ...ops.recurrent import lstm
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter

State = tuple[Tensor, Tensor]


class LSTM(Module):
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000) over a sequence.

        i, f, o = sigmoid(...), g = tanh(...), each of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        c_t = f c_{t-1} + i g;  h_t = o tanh(c_t)

    Args:
        input_size: D, features of x.
        hidden_size: U, units of each layer and direction.
        num_layers: layers, each on the outputs of the one below.
        bias: whether the gates have biases b_ih and b_hh.
        batch_first: x and the output are [N, S, ...] instead of [S, N, ...]; states are not touched by this.
        dropout: in training, on the outputs of each layer but the last.
        bidirectional: a second net goes from the last step to the first; outputs are side by side.
        device, dtype: of the parameters; "cpu" and float32 unless given.

    Attributes:
        weight_ih_l{k}: [4U, D], or [4U, directions * U] above the first layer; gates in the order i, f, g, o. `_reverse` is
            appended to the names of the second direction.
        weight_hh_l{k}: [4U, U].
        bias_ih_l{k}, bias_hh_l{k}: [4U]. All drawn from U(-b, b), b = 1 / sqrt(U).

    >>> import whitewolf as ww
    >>> out, (h, c) = ww.nn.LSTM(8, 16, num_layers=2, bidirectional=True)(ww.ones((5, 3, 8)))
    >>> out.shape, h.shape, c.shape
    ((5, 3, 32), (4, 3, 16), (4, 3, 16))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if type(size) is not int or size < 1:
                raise ValueError(f"LSTM: expected {name} to be an int >= 1, got {size!r}")
        if not 0 <= dropout <= 1:
            raise ValueError(f"LSTM: expected dropout in [0, 1], got {dropout}")
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        gates = 4 * hidden_size
        for layer, suffix in self._places():
            below = input_size if layer == 0 else hidden_size * self._directions
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (gates, below), "weight_hh": (gates, hidden_size)}
            if bias:
                shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
            for name, shape in shapes.items():
                self.register_parameter(name + suffix, Parameter(empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _places(self) -> list[tuple[int, str]]:
        """Each layer and direction, with the end of its parameters' names."""
        ends = ("", "_reverse")[: self._directions]
        return [(layer, f"_l{layer}{end}") for layer in range(self.num_layers) for end in ends]

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: Tensor, hx: State | None = None) -> tuple[Tensor, State]:
        """The outputs of the last layer at every step, and (h_n, c_n), the last states of every layer and direction.

        Args:
            input: [S, N, D], [N, S, D] with batch_first, or [S, D] for one sample.
            hx: (h_0, c_0), each [layers * directions, N, U], or without N for one sample; zeros unless given.

        Raises:
            ValueError: the shapes do not fit.
            TypeError: the dtypes differ.
        """
        x, single = input, input.ndim == 2
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"LSTM: expected input of 2 or 3 dimensions with input.shape[-1] == {self.input_size} (input_size), got {input.shape}"
            )
        if single:
            x = expand_dims(x, axis=1)
        elif self.batch_first:
            x = transpose(x, 0, 1)
        samples, count = x.shape[1], self.num_layers * self._directions
        shape = (count, self.hidden_size) if single else (count, samples, self.hidden_size)
        if hx is None:
            first = zeros(shape, dtype=input.dtype, device=input.device)
            hx = first, first
        for name, state in zip(("h_0", "c_0"), hx):
            if state.shape != shape:
                raise ValueError(f"LSTM: expected {name}.shape == {shape} (layers x directions, N, U), got {state.shape}")
        h_0, c_0 = (expand_dims(state, axis=1) for state in hx) if single else hx
        get = cast(Callable[[str], Tensor], self._parameters.__getitem__)
        h_n: list[Tensor] = []
        c_n: list[Tensor] = []
        outputs: list[Tensor] = []
        for place, (_, suffix) in enumerate(self._places()):
            if place and place % self._directions == 0:
                x = concat(outputs, axis=-1) if self.bidirectional else outputs[0]
                x, outputs = F.dropout(x, self.dropout, self.training), []
            bias = add(get("bias_ih" + suffix), get("bias_hh" + suffix)) if self.bias else None
            reverse = suffix.endswith("_reverse")
            projected = F.linear(x, get("weight_ih" + suffix), bias)
            hidden, cell = lstm(projected, get("weight_hh" + suffix), h_0[place], c_0[place], reverse=reverse)
            outputs.append(hidden)
            h_n.append(hidden[0 if reverse else -1] if x.shape[0] else h_0[place])
            c_n.append(cell)
        out = concat(outputs, axis=-1) if self.bidirectional else outputs[0]
        last = stack(h_n), stack(c_n)
        if single:
            return reshape(out, (out.shape[0], out.shape[2])), (last[0][:, 0], last[1][:, 0])
        return transpose(out, 0, 1) if self.batch_first else out, last

    def extra_repr(self) -> str:
        words = [f"{self.input_size}, {self.hidden_size}"]
        usual = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        return ", ".join(words + [f"{k}={getattr(self, k)}" for k, v in usual.items() if getattr(self, k) != v])


class LSTMCell(Module):
    """One step of an LSTM; see `LSTM`.

    Args:
        input_size: D.
        hidden_size: U.
        bias: whether the gates have biases.
        device, dtype: of the parameters; "cpu" and float32 unless given.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh: [4U, D], [4U, U], [4U], [4U]; gates in the order i, f, g, o.

    >>> import whitewolf as ww
    >>> h, c = ww.nn.LSTMCell(8, 16)(ww.ones((3, 8)))
    >>> h.shape, c.shape
    ((3, 16), (3, 16))
    """

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if type(size) is not int or size < 1:
                raise ValueError(f"LSTMCell: expected {name} to be an int >= 1, got {size!r}")
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        gates = 4 * hidden_size
        self.weight_ih = Parameter(empty((gates, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(empty((gates, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(gates, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: Tensor, hx: State | None = None) -> State:
        """(h, c) after the step, each [N, U].

        Args:
            input: [N, D], or [D] for one sample.
            hx: (h, c) before it, each [N, U]; zeros unless given.

        Raises:
            ValueError: the shapes do not fit.
            TypeError: the dtypes differ.
        """
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"LSTMCell: expected input of 1 or 2 dimensions with input.shape[-1] == {self.input_size}, got {input.shape}"
            )
        shape = (*input.shape[:-1], self.hidden_size)
        if hx is None:
            first = zeros(shape, dtype=input.dtype, device=input.device)
            hx = first, first
        for name, state in zip(("h", "c"), hx):
            if state.shape != shape:
                raise ValueError(f"LSTMCell: expected {name}.shape == {shape}, got {state.shape}")
        rows = input.shape[0] if input.ndim == 2 else 1
        h, c = (reshape(state, (rows, self.hidden_size)) for state in hx)
        bias = add(self.bias_ih, self.bias_hh) if self.bias_ih is not None and self.bias_hh is not None else None
        projected = F.linear(reshape(input, (1, rows, self.input_size)), self.weight_ih, bias)
        hidden, cell = lstm(projected, self.weight_hh, h, c)
        return reshape(hidden, shape), reshape(cell, shape)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")
