"""Cases of the recurrences: the ops on projected inputs, forward and reversed, with sequences of one length and of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import whitewolf as ww

from ..ops import recurrent, recurrent_projected
from . import Array, BadCall, Case, Input, OpTable


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _walk(
    step: Callable[..., tuple[Array, ...]], projected: Array, states: Sequence[Array], sizes: Sequence[int] | None, reverse: bool
) -> tuple[Array, ...]:
    """The hidden states at every step and the last states; a sample that has ended, or has not begun, keeps its state."""
    rows = projected.reshape(-1, projected.shape[-1])
    steps = list(sizes) if sizes is not None else [projected.shape[1]] * projected.shape[0]
    starts = np.cumsum([0, *steps])
    now = [s.copy() for s in states]
    out = np.empty((len(rows), now[0].shape[-1]), projected.dtype)
    for t in range(len(steps))[:: -1 if reverse else 1]:
        n = steps[t]
        for state, new in zip(now, step(rows[starts[t] : starts[t] + n], *(s[:n] for s in now))):
            state[:n] = new
        out[starts[t] : starts[t] + n] = now[0][:n]
    return (out.reshape(*projected.shape[:-1], out.shape[-1]), *now)


def _lstm(
    projected: Array,
    weight: Array,
    hidden: Array,
    cell: Array,
    *more: Array,
    batch_sizes: Sequence[int] | None = None,
    reverse: bool = False,
) -> tuple[Array, ...]:
    if more:
        projected = projected + more[0] @ more[1].T

    def step(x: Array, h: Array, c: Array) -> tuple[Array, ...]:
        i, f, g, o = np.split(x + h @ weight.T, 4, axis=-1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        return _sigmoid(o) * np.tanh(c), c

    return _walk(step, projected, (hidden, cell), batch_sizes, reverse)


def _lstm_projected(
    projected: Array,
    weight: Array,
    hidden: Array,
    cell: Array,
    projection: Array,
    batch_sizes: Sequence[int] | None = None,
    reverse: bool = False,
) -> tuple[Array, ...]:
    def step(x: Array, h: Array, c: Array) -> tuple[Array, ...]:
        i, f, g, o = np.split(x + h @ weight.T, 4, axis=-1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        return _sigmoid(o) * np.tanh(c) @ projection.T, c

    return _walk(step, projected, (hidden, cell), batch_sizes, reverse)


def _gru(
    projected: Array,
    weight: Array,
    hidden: Array,
    bias: Array | None = None,
    batch_sizes: Sequence[int] | None = None,
    reverse: bool = False,
) -> tuple[Array, ...]:
    def step(x: Array, h: Array) -> tuple[Array, ...]:
        a, b = np.split(x, 3, axis=-1), np.split(h @ weight.T + (0 if bias is None else bias), 3, axis=-1)
        r, z = _sigmoid(a[0] + b[0]), _sigmoid(a[1] + b[1])
        return ((1 - z) * np.tanh(a[2] + r * b[2]) + z * h,)

    return _walk(step, projected, (hidden,), batch_sizes, reverse)


def _rnn(
    projected: Array,
    weight: Array,
    hidden: Array,
    batch_sizes: Sequence[int] | None = None,
    reverse: bool = False,
    activation: str = "tanh",
) -> tuple[Array, ...]:
    def step(x: Array, h: Array) -> tuple[Array, ...]:
        a = x + h @ weight.T
        return (np.asarray(np.where(a < 0, 0, a) if activation == "relu" else np.tanh(a)),)

    return _walk(step, projected, (hidden,), batch_sizes, reverse)


def _case(
    name: str,
    gates: int,
    states: int,
    s: int,
    n: int,
    u: int,
    bias: bool = False,
    features: int = 0,
    one_bias: bool = False,
    **attrs: Any,
) -> Case:
    """Sequences of one length or, with batch_sizes, of several: then s * n is the number of rows, n that of samples.

    With `features`, inputs whose product is taken in the op; with `one_bias`, a bias for all rows in place of what is projected.
    """
    heavy = {"heavy": True, "bench": True, "train": True} if s * n * u > 10000 else {}
    scale = u**-0.5 if heavy else 1.0  # many units with weights of 1 are chaotic: rounding grows from step to step
    sizes = attrs.get("batch_sizes")
    rows = s * n if sizes is None else sum(sizes)
    whole = Input((s, n, gates * u), batch=1) if sizes is None else Input((rows, gates * u))
    inputs = (whole, Input((gates * u, u), scale=scale), *(Input((n, u), batch=0 if sizes is None else None),) * states)
    if features:
        if one_bias:
            inputs = (Input((gates * u,)), *inputs[1:])
        batch = 1 if sizes is None else None
        lead = (s, n) if sizes is None else (rows,)
        inputs += (Input((*lead, features), batch=batch), Input((gates * u, features), scale=scale))
    flops, bytes_moved = 2 * rows * gates * u * u, 4 * (rows * 2 * (gates + 1) * u + gates * u * u)
    return Case(
        name,
        inputs + ((Input((gates * u,)),) if bias else ()),
        attrs,
        flops=flops,
        bytes=bytes_moved,
        reduction=max(1, s * u),
        **heavy,
    )


def _cases(gates: int, states: int = 1, **attrs: Any) -> tuple[Case, ...]:
    def case(name: str, s: int, n: int, u: int, **more: Any) -> Case:
        return _case(name, gates, states, s, n, u, **attrs, **more)

    return (
        case("one of each", 1, 1, 1),
        case("prime", 5, 7, 13),
        case("reversed", 4, 3, 5, reverse=True),
        case("one sample", 9, 1, 17),
        case("one step", 1, 11, 8),
        case("more than a tile", 3, 19, 53),
        case("more than a group", 2, 41, 129),
        case("no steps", 0, 3, 4),
        case("no samples", 3, 0, 4),
        case("lengths", 5, 4, 7, batch_sizes=(4, 4, 2, 1, 1)),
        case("lengths, reversed", 5, 4, 7, batch_sizes=(4, 3, 3, 1, 1), reverse=True),
        case("lengths, more than a tile", 4, 23, 31, batch_sizes=(23, 22, 11, 1)),
        case("lengths, reversed, more than a tile", 4, 23, 31, batch_sizes=(23, 19, 10, 3), reverse=True),
    )


def _projected_case(name: str, s: int, n: int, u: int, p: int, **attrs: Any) -> Case:
    sizes = attrs.get("batch_sizes")
    whole = Input((s, n, 4 * u), batch=1) if sizes is None else Input((sum(sizes), 4 * u))
    states = tuple(Input((n, width), batch=0 if sizes is None else None) for width in (p, u))
    return Case(name, (whole, Input((4 * u, p)), *states, Input((p, u))), attrs, reduction=max(1, s * (u + p)))


def _zeros(*shape: int, dtype: Any = "float32") -> Any:
    return ww.zeros(shape, dtype=dtype)


def _bad_calls(op: str, function: Callable[..., Any], gates: int, states: int) -> tuple[BadCall, ...]:
    def bad(
        name: str, words: tuple[str, ...], projected: Any = None, weight: Any = None, error: type[Exception] = ValueError,
        state: Any = None, **attrs: Any,
    ) -> BadCall:  # fmt: skip
        given = [_zeros(2, 3, gates * 2) if projected is None else projected, _zeros(gates * 2, 2) if weight is None else weight]
        given += [_zeros(3, 2)] * (states - 1) + [_zeros(3, 2) if state is None else state]
        return BadCall(name, lambda: function(*given, **attrs), error, (op, *words))

    last = ("initial_hidden", "initial_cell")[states - 1]
    packed = _zeros(6, gates * 2)
    return (
        bad("dimensions", ("projected.shape == [S, N, ", "(3, 8)"), _zeros(3, 8)),
        bad("weight", (f"weight.shape == ({gates * 2}, 2)", f"({gates * 2}, 3)"), weight=_zeros(gates * 2, 3)),
        bad("state", (f"{last}.shape == (3, 2)", "(2, 2)"), state=_zeros(2, 2)),
        bad("dtype", ("weight", "float64"), weight=_zeros(gates * 2, 2, dtype="float64"), error=TypeError),
        bad("packed", ("projected.shape == [R, ", "(2, 3, "), batch_sizes=(3, 3)),
        bad("sizes grow", ("do not grow", "got 3 after 2"), packed, batch_sizes=(3, 2, 3)),
        bad("sizes end in 0", ("end in 0", "got 0 after 3"), packed, batch_sizes=(3, 3, 0)),
        bad("sizes begin", ("begin with 3", "got 2"), packed, batch_sizes=(2, 2, 2)),
        bad("sizes and rows", ("add up to 6 rows", "got 5"), packed, batch_sizes=(3, 2)),
    )


_PROJECTED = (
    _projected_case("one of each", 1, 1, 1, 1),
    _projected_case("prime", 5, 7, 13, 3),
    _projected_case("reversed", 4, 3, 5, 4, reverse=True),
    _projected_case("no steps", 0, 3, 4, 2),
    _projected_case("no samples", 3, 0, 4, 2),
    _projected_case("lengths, reversed", 5, 4, 7, 5, batch_sizes=(4, 3, 3, 1, 1), reverse=True),
)

TABLES = [
    OpTable("lstm_projected", recurrent_projected.lstm_projected, _lstm_projected, (), _PROJECTED, ulps=48),
    OpTable(
        "rnn",
        recurrent.rnn,
        _rnn,
        ("rnn_forward", "rnn_backward"),
        (*_cases(1), _case("20 x 20 x 200", 1, 1, 20, 20, 200)),
        ulps=48,  # without FMA, with weights of stride 0, 33 in float64
        bad=(
            *_bad_calls("rnn", recurrent.rnn, 1, 1),
            BadCall(
                "activation",
                lambda: recurrent.rnn(_zeros(2, 3, 2), _zeros(2, 2), _zeros(3, 2), activation="gelu"),
                ValueError,
                ("rnn", "activation", "gelu"),
            ),
        ),
    ),
    OpTable("rnn, relu", recurrent.rnn, _rnn, ("rnn_forward", "rnn_backward"), _cases(1, activation="relu"), ulps=32),
    OpTable(
        "gru",
        recurrent.gru,
        _gru,
        ("gru_forward", "gru_backward"),
        (*_cases(3), _case("20 x 20 x 200", 3, 1, 20, 20, 200)),
        ulps=32,
        bad=_bad_calls("gru", recurrent.gru, 3, 1),
    ),
    OpTable("gru, biased", recurrent.gru, _gru, ("gru_forward", "gru_backward"), _cases(3, bias=True), ulps=32),
    OpTable(
        "lstm",
        recurrent.lstm,
        _lstm,
        ("lstm_forward", "lstm_backward"),
        (*_cases(4, 2), _case("20 x 20 x 200", 4, 2, 20, 20, 200)),
        ulps=32,
        bad=_bad_calls("lstm", recurrent.lstm, 4, 2),
    ),
    OpTable(
        "lstm, with inputs",
        recurrent.lstm,
        _lstm,
        ("lstm_forward", "lstm_backward"),
        (
            *_cases(4, 2, features=11),
            _case("bias", 4, 2, 3, 19, 53, features=11, one_bias=True),
            _case("bias, no steps", 4, 2, 0, 3, 4, features=2, one_bias=True),
            _case("bias, lengths, reversed", 4, 2, 5, 4, 7, features=3, one_bias=True, batch_sizes=(4, 3, 3, 1, 1), reverse=True),
        ),
        ulps=32,
        bad=(
            BadCall(
                "input alone",
                lambda: recurrent.lstm(_zeros(2, 3, 8), _zeros(8, 2), _zeros(3, 2), _zeros(3, 2), _zeros(2, 3, 5)),
                ValueError,
                ("lstm", "input and input_weight, or neither", "got only input"),
            ),
            BadCall(
                "input's steps",
                lambda: recurrent.lstm(_zeros(2, 3, 8), _zeros(8, 2), _zeros(3, 2), _zeros(3, 2), _zeros(1, 3, 5), _zeros(8, 5)),
                ValueError,
                ("lstm", "input.shape == (2, 3, 'D')", "(1, 3, 5)"),
            ),
            BadCall(
                "input's dimensions",
                lambda: recurrent.lstm(_zeros(8), _zeros(8, 2), _zeros(3, 2), _zeros(3, 2), _zeros(3, 5), _zeros(8, 5)),
                ValueError,
                ("lstm", "input.shape == [S, N, D]", "(3, 5)"),
            ),
            BadCall(
                "input's weight",
                lambda: recurrent.lstm(_zeros(2, 3, 8), _zeros(8, 2), _zeros(3, 2), _zeros(3, 2), _zeros(2, 3, 5), _zeros(8, 4)),
                ValueError,
                ("lstm", "input_weight.shape == (8, 5)", "(8, 4)"),
            ),
        ),
    ),
]
