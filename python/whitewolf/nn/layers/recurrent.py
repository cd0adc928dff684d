"""Recurrent layers, with PyTorch's arguments, state_dict keys, weight layouts and order of gates."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

from ...ops._common import MAX_LAYERS, check_count, check_flag, check_int, check_same_device, check_tensor
from ...ops.creation import empty, zeros
from ...ops.elementwise import add
from ...ops.indexing import take
from ...ops.joining import concat, stack
from ...ops.manipulation import expand_dims, transpose
from ...ops.recurrent import gru, lstm, rnn
from ...ops.recurrent_projected import lstm_projected
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter
from ..utils.rnn import PackedSequence, check_packed

State = Tensor | tuple[Tensor, Tensor]
Sequences = TypeVar("Sequences", Tensor, PackedSequence)


class _Weights(NamedTuple):
    """The parameters of one layer in one direction."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    weight_hr: Tensor | None = None  # LSTM with proj_size

    def project(self, x: Tensor) -> Tensor:
        """The input's part of the gates, with both biases."""
        return F.linear(x, self.weight_ih, self.both_biases())

    def both_biases(self) -> Tensor | None:
        for name, bias in (("bias_ih", self.bias_ih), ("bias_hh", self.bias_hh)):
            if bias is not None and bias.shape != self.weight_ih.shape[:1]:
                raise ValueError(f"expected {name}.shape == {self.weight_ih.shape[:1]}, got {bias.shape}")
        if self.bias_ih is None or self.bias_hh is None:
            return self.bias_hh if self.bias_ih is None else self.bias_ih
        return add(self.bias_ih, self.bias_hh)


class _Unit(Module):
    """What layers and cells of a kind share: their gates, their states and the recurrence of one layer in one direction."""

    gates: ClassVar[int]
    states: ClassVar[tuple[str, ...]] = ("h",)

    hidden_size: int
    bias: bool
    proj_size: int = 0

    @property
    def _state_sizes(self) -> tuple[int, ...]:
        """The size of each state: h, which a projection makes smaller, and c."""
        return (self.proj_size or self.hidden_size, self.hidden_size)[: len(self.states)]

    def _check_input(self, input: Any) -> None:
        name = type(self).__name__
        label, weight = cast(tuple[str, Tensor], next(iter(self._parameters.items())))
        check_same_device(name, **{"input": input, label: weight})
        if check_tensor(name, "input", input).dtype != weight.dtype:
            raise TypeError(f"{name}: expected input.dtype == {weight.dtype} (as the weights), got {input.dtype}")

    def _allocate(self, suffix: str, features: int, device: Any, dtype: Any) -> None:
        rows, size = self.gates * self.hidden_size, self._state_sizes[0]
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, features), "weight_hh": (rows, size)}
        for name in ("bias_ih", "bias_hh"):
            shapes[name] = (rows,)
        if self.proj_size:
            shapes["weight_hr"] = (size, self.hidden_size)
        for name, shape in shapes.items():
            absent = len(shape) == 1 and not self.bias
            if absent and suffix:
                continue
            self.register_parameter(name + suffix, None if absent else Parameter(empty(shape, device=device, dtype=dtype)))

    def reset_parameters(self) -> None:
        """Draws the parameters anew from U(-b, b), b = 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _check_sizes(self, **sizes: Any) -> None:
        for name, size in sizes.items():
            check_count(type(self).__name__, name, size, 1, MAX_LAYERS if name == "num_layers" else None)

    def _check_states(self, hx: State | None, lead: tuple[int, ...], ends: str, what: str, like: Tensor) -> tuple[Tensor, ...]:
        """The states given, each [*lead, its size], or nothing."""
        if hx is None:
            return ()
        name, names = type(self).__name__, [state + ends for state in self.states]
        given = (hx,) if isinstance(hx, Tensor) else tuple(hx) if isinstance(hx, (tuple, list)) else ()
        if len(names) == 1 and not isinstance(hx, Tensor):
            given = ()
        if len(given) != len(names) or not all(isinstance(state, Tensor) for state in given):
            expected = f"({', '.join(names)})" if len(names) > 1 else f"a Tensor, {names[0]}"
            raise TypeError(f"{name}: expected hx to be {expected}, got {type(hx).__name__}")
        for state, label, size in zip(given, names, self._state_sizes):
            shape = (*lead, size)
            if state.shape != shape:
                raise ValueError(f"{name}: expected {label}.shape == {shape}{what}, got {state.shape}")
            check_same_device(name, **{"input": like, label: state})
            if state.dtype != like.dtype:
                raise TypeError(f"{name}: expected {label}.dtype == {like.dtype} (as input), got {state.dtype}")
        return given

    def _weights(self, suffix: str) -> _Weights:
        return _Weights(*(self._parameters.get(name + suffix) for name in _Weights._fields))  # type: ignore[arg-type]

    def _run(self, x: Tensor, suffix: str, states: tuple[Tensor, ...], **how: Any) -> tuple[Tensor, ...]:
        """The hidden states of every step and the last states: the input's products of all steps at once, then the recurrence."""
        raise NotImplementedError


class _RNN(_Unit):
    gates = 1
    nonlinearity: str

    def _set_nonlinearity(self, nonlinearity: str) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"{type(self).__name__}: expected nonlinearity to be 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity

    def _run(self, x: Tensor, suffix: str, states: tuple[Tensor, ...], **how: Any) -> tuple[Tensor, ...]:
        w = self._weights(suffix)
        return rnn(w.project(x), w.weight_hh, states[0], activation=self.nonlinearity, **how)


class _GRU(_Unit):
    gates = 3

    def _run(self, x: Tensor, suffix: str, states: tuple[Tensor, ...], **how: Any) -> tuple[Tensor, ...]:
        w = self._weights(suffix)
        return gru(F.linear(x, w.weight_ih, w.bias_ih), w.weight_hh, states[0], w.bias_hh, **how)


class _LSTM(_Unit):
    gates, states = 4, ("h", "c")

    def _run(self, x: Tensor, suffix: str, states: tuple[Tensor, ...], **how: Any) -> tuple[Tensor, ...]:
        w = self._weights(suffix)
        bias = w.both_biases()
        if bias is None:
            bias = zeros(w.weight_ih.shape[0], dtype=x.dtype, device=x.device)
        if w.weight_hr is not None:
            return lstm_projected(F.linear(x, w.weight_ih, bias), w.weight_hh, states[0], states[1], w.weight_hr, **how)
        return lstm(bias, w.weight_hh, states[0], states[1], x, w.weight_ih, **how)


class _Layers(_Unit):
    """Layers and directions, dropout between the layers, batches of every form."""

    def _set_up(
        self, input_size: int, hidden_size: int, num_layers: int, bias: bool, batch_first: bool, dropout: float, bidirectional: bool,
        device: Any, dtype: Any,
    ) -> None:  # fmt: skip
        self._check_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        for flag, given in (("bias", bias), ("batch_first", batch_first), ("bidirectional", bidirectional)):
            check_flag(type(self).__name__, flag, given)
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)):
            raise TypeError(f"{type(self).__name__}: expected dropout to be a number, got {dropout!r}")
        if not 0 <= dropout <= 1:
            raise ValueError(f"{type(self).__name__}: expected dropout in [0, 1], got {dropout}")
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional = batch_first, float(dropout), bidirectional
        for layer, suffix in self._places():
            self._allocate(suffix, self._state_sizes[0] * self._directions if layer else input_size, device, dtype)
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _places(self) -> list[tuple[int, str]]:
        """Each layer and direction, with the end of its parameters' names."""
        ends = ("", "_reverse")[: self._directions]
        return [(layer, f"_l{layer}{end}") for layer in range(self.num_layers) for end in ends]

    def forward(self, input: Sequences, hx: State | None = None) -> tuple[Sequences, State]:
        """The outputs of the last layer at every step, and the last states of every layer and direction.

        Of no steps at all (S = 0) there are no outputs, and the last states are the first; PyTorch refuses them.

        Args:
            input: [S, N, D], [N, S, D] with batch_first, [S, D] for one sample, or a PackedSequence, and so is the output.
            hx: h_0, for an LSTM (h_0, c_0), each [layers * directions, N, U], or without N for one sample; zeros unless given.

        Raises:
            ValueError: the shapes do not fit.
            TypeError: the dtypes differ.
        """
        packed = input if isinstance(input, PackedSequence) else None
        x = packed.data if packed is not None else input
        self._check_input(x)
        single = packed is None and x.ndim == 2
        if x.ndim not in ((2,) if packed is not None else (2, 3)) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"{type(self).__name__}: expected input of {'2 or 3' if packed is None else '2 (packed)'} dimensions with "
                f"input.shape[-1] == {self.input_size} (input_size), got {x.shape}"
            )
        if single:
            x = expand_dims(x, axis=1)
        elif packed is None and self.batch_first:
            x = transpose(x, 0, 1)
        sizes = None if packed is None else check_packed(type(self).__name__, packed)
        samples = x.shape[1] if sizes is None else int(sizes[0])
        first = self._first_states(hx, x, samples, single, packed)
        x, last = self._run_layers(x, first, sizes)
        if packed is not None:
            if packed.unsorted_indices is not None:
                last = tuple(take(state, packed.unsorted_indices, axis=1) for state in last)
            return packed._replace(data=x), self._as_given(last)
        if single:
            return x[:, 0], self._as_given(tuple(state[:, 0] for state in last))
        return (transpose(x, 0, 1) if self.batch_first else x), self._as_given(last)

    def _first_states(
        self, hx: State | None, x: Tensor, samples: int, single: bool, packed: PackedSequence | None
    ) -> list[tuple[Tensor, ...]]:
        """The states before the first step of each layer and direction."""
        count = self.num_layers * self._directions
        lead = (count,) if single else (count, samples)
        given = self._check_states(hx, lead, "_0", " (layers x directions, U)" if single else " (layers x directions, N, U)", x)
        if not given:
            each = {size: zeros((samples, size), dtype=x.dtype, device=x.device) for size in set(self._state_sizes)}
            return [tuple(each[size] for size in self._state_sizes)] * count
        if single:
            given = tuple(expand_dims(state, axis=1) for state in given)
        if packed is not None and packed.sorted_indices is not None:
            given = tuple(take(state, packed.sorted_indices, axis=1) for state in given)
        return [tuple(state[place] for state in given) for place in range(count)]

    def _run_layers(self, x: Tensor, first: list[tuple[Tensor, ...]], sizes: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        last: list[tuple[Tensor, ...]] = []
        outputs: list[Tensor] = []
        for place, (layer, suffix) in enumerate(self._places()):
            hidden, *states = self._run(x, suffix, first[place], batch_sizes=sizes, reverse=suffix.endswith("_reverse"))
            last.append(tuple(states))
            outputs.append(hidden)
            if len(outputs) == self._directions:
                x = concat(outputs, axis=-1) if self.bidirectional else hidden
                outputs = []
                if self.dropout and self.training and layer + 1 < self.num_layers:
                    x = F.dropout(x, self.dropout, True)
        return x, tuple(stack(states) if len(states) > 1 else expand_dims(states[0], axis=0) for states in zip(*last))

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction: weight_ih, weight_hh, with biases bias_ih, bias_hh, weight_hr with proj_size."""
        names = ("weight_ih", "weight_hh") + (("bias_ih", "bias_hh") if self.bias else ())
        names += ("weight_hr",) if self.proj_size else ()
        parameters = dict(self.named_parameters())
        return [[parameters[name + suffix] for name in names] for _, suffix in self._places()]

    def flatten_parameters(self) -> None:
        """Does nothing: weights are packed once a call. For programs written for PyTorch."""

    def _as_given(self, states: tuple[Tensor, ...]) -> State:
        return states[0] if len(self.states) == 1 else cast(State, states)

    def extra_repr(self) -> str:
        usual = {
            "proj_size": 0,
            "nonlinearity": "tanh",
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        given = {name: getattr(self, name, default) for name, default in usual.items()}
        words = [f"{name}={value}" for name, value in given.items() if value != usual[name]]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *words])


class RNN(_RNN, _Layers):
    """A simple recurrent net (Elman 1990) over a sequence.

        h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or ReLU

    Args:
        input_size: D, features of x.
        hidden_size: U, units of each layer and direction.
        num_layers: layers, each on the outputs of the one below.
        nonlinearity: "tanh" or "relu".
        bias: whether there are biases b_ih and b_hh.
        batch_first: x and the output are [N, S, ...] instead of [S, N, ...]; states are not touched by this.
        dropout: in training, on the outputs of each layer but the last.
        bidirectional: a second net goes from the last step to the first; outputs are side by side.
        device, dtype: of the parameters; "cpu" and float32 unless given.

    Attributes:
        weight_ih_l{k}: [U, D], or [U, directions * U] above the first layer. `_reverse` is appended to the names of the second
            direction.
        weight_hh_l{k}: [U, U].
        bias_ih_l{k}, bias_hh_l{k}: [U]. All drawn from U(-b, b), b = 1 / sqrt(U).

    >>> import whitewolf as ww
    >>> out, h = ww.nn.RNN(8, 16, nonlinearity="relu")(ww.ones((5, 3, 8)))
    >>> out.shape, h.shape
    ((5, 3, 16), (1, 3, 16))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._set_nonlinearity(nonlinearity)
        self._set_up(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)


class GRU(_GRU, _Layers):
    """Gated recurrent units (Cho et al. 2014, arXiv 1406.1078) over a sequence, the reset gate after the product as in cuDNN.

        r, z = sigmoid(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh);  n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn))
        h_t = (1 - z) n + z h_{t-1}

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype: as in `RNN`.

    Attributes:
        weight_ih_l{k}, weight_hh_l{k}, bias_ih_l{k}, bias_hh_l{k}: as in `RNN`, with 3U rows: gates in the order r, z, n.

    >>> import whitewolf as ww
    >>> out, h = ww.nn.GRU(8, 16, bidirectional=True)(ww.ones((5, 3, 8)))
    >>> out.shape, h.shape
    ((5, 3, 32), (2, 3, 16))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._set_up(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)


class LSTM(_LSTM, _Layers):
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000) over a sequence.

        i, f, o = sigmoid(...), g = tanh(...), each of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        c_t = f c_{t-1} + i g;  h_t = o tanh(c_t)

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype: as in `RNN`.
        proj_size: P > 0 makes h_t = W_hr (o tanh(c_t)), of P < U values, in outputs and states (Sak et al. 2014, arXiv 1402.1128);
            such a net runs step by step.

    Attributes:
        weight_ih_l{k}, weight_hh_l{k}, bias_ih_l{k}, bias_hh_l{k}: as in `RNN`, with 4U rows: gates in the order i, f, g, o.
        weight_hr_l{k}: W_hr, [P, U], with proj_size; weight_hh_l{k} is [4U, P] then, and layers take directions * P.

    >>> import whitewolf as ww
    >>> out, (h, c) = ww.nn.LSTM(8, 16, num_layers=2, bidirectional=True)(ww.ones((5, 3, 8)))
    >>> out.shape, h.shape, c.shape
    ((5, 3, 32), (4, 3, 16), (4, 3, 16))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._check_sizes(hidden_size=hidden_size)
        if not 0 <= check_int("LSTM", "proj_size", proj_size) < hidden_size:
            raise ValueError(f"LSTM: expected proj_size in [0, {hidden_size}) (hidden_size), got {proj_size!r}")
        self.proj_size = proj_size
        self._set_up(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)
