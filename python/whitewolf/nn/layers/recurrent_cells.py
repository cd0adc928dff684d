"""Single steps of recurrent nets: the cells beside the layers of recurrent.py."""

from __future__ import annotations

from typing import Any, cast

from ...ops.creation import zeros
from ...ops.manipulation import reshape
from ...tensor import Tensor
from ..parameter import Parameter
from .recurrent import _GRU, _LSTM, _RNN, State, _Unit


class _Cell(_Unit):
    """One step of one layer."""

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def _set_up(self, input_size: int, hidden_size: int, bias: bool, device: Any, dtype: Any) -> None:
        self._check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self._allocate("", input_size, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor, hx: State | None = None) -> State:
        """The state after the step, [N, U]: h, for an LSTM (h, c).

        Args:
            input: [N, D], or [D] for one sample.
            hx: the state before it, each [N, U], or [U] for one sample; zeros unless given.

        Raises:
            ValueError: the shapes do not fit.
            TypeError: the dtypes differ.
        """
        self._check_input(input)
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{type(self).__name__}: expected input of 1 or 2 dimensions with input.shape[-1] == {self.input_size} "
                f"(input_size), got {input.shape}"
            )
        shape = (*input.shape[:-1], self.hidden_size)
        rows = input.shape[0] if input.ndim == 2 else 1
        given = self._check_states(hx, input.shape[:-1], "", "", input)
        if given:
            first = tuple(reshape(state, (rows, self.hidden_size)) for state in given)
        else:
            first = (zeros((rows, self.hidden_size), dtype=input.dtype, device=input.device),) * len(self.states)
        _, *last = self._run(reshape(input, (1, rows, self.input_size)), "", first)
        states = tuple(reshape(state, shape) for state in last)
        return states[0] if len(states) == 1 else cast(State, states)

    def extra_repr(self) -> str:
        usual = {"bias": True, "nonlinearity": "tanh"}
        words = [f"{name}={getattr(self, name, value)}" for name, value in usual.items() if getattr(self, name, value) != value]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *words])


class RNNCell(_RNN, _Cell):
    """One step of a simple recurrent net; see `RNN`.

    Args:
        input_size: D.
        hidden_size: U.
        bias: whether there are biases.
        nonlinearity: "tanh" or "relu".
        device, dtype: of the parameters; "cpu" and float32 unless given.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh: [U, D], [U, U], [U], [U].

    >>> import whitewolf as ww
    >>> ww.nn.RNNCell(8, 16)(ww.ones((3, 8))).shape
    (3, 16)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._set_nonlinearity(nonlinearity)
        self._set_up(input_size, hidden_size, bias, device, dtype)


class GRUCell(_GRU, _Cell):
    """One step of gated recurrent units; see `GRU`.

    Args:
        input_size, hidden_size, bias, device, dtype: as in `RNNCell`.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh: [3U, D], [3U, U], [3U], [3U]; gates in the order r, z, n.

    >>> import whitewolf as ww
    >>> ww.nn.GRUCell(8, 16)(ww.ones((3, 8))).shape
    (3, 16)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self._set_up(input_size, hidden_size, bias, device, dtype)


class LSTMCell(_LSTM, _Cell):
    """One step of an LSTM; see `LSTM`.

    Args:
        input_size, hidden_size, bias, device, dtype: as in `RNNCell`.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh: [4U, D], [4U, U], [4U], [4U]; gates in the order i, f, g, o.

    >>> import whitewolf as ww
    >>> h, c = ww.nn.LSTMCell(8, 16)(ww.ones((3, 8)))
    >>> h.shape, c.shape
    ((3, 16), (3, 16))
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self._set_up(input_size, hidden_size, bias, device, dtype)
