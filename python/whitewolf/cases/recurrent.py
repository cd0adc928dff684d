"""Cases of the recurrences: the op on projected inputs, forward and reversed."""

from __future__ import annotations

from typing import Any

import numpy as np

import whitewolf as ww

from ..ops import recurrent
from . import Array, BadCall, Case, Input, OpTable


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _reference(projected: Array, weight: Array, hidden: Array, cell: Array, reverse: bool = False) -> tuple[Array, Array]:
    steps, units = projected.shape[0], weight.shape[1]
    out = np.empty((*projected.shape[:2], units), projected.dtype)
    for t in range(steps)[:: -1 if reverse else 1]:
        a = projected[t] + hidden @ weight.T
        i, f, g, o = (a[:, n * units : (n + 1) * units] for n in range(4))
        cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
        hidden = _sigmoid(o) * np.tanh(cell)
        out[t] = hidden
    return out, np.array(cell)


def _case(name: str, s: int, n: int, u: int, **more: Any) -> Case:
    inputs = (Input((s, n, 4 * u), batch=1), Input((4 * u, u)), Input((n, u), batch=0), Input((n, u), batch=0))
    bytes_moved = 4 * (s * n * (4 + 4 + 1 + 1) * u + 4 * u * u)
    return Case(name, inputs, flops=2 * s * n * 4 * u * u, bytes=bytes_moved, reduction=s * u, **more)


def _zeros(*shape: int, dtype: Any = "float32") -> Any:
    return ww.zeros(shape, dtype=dtype)


TABLES = [
    OpTable(
        "lstm",
        recurrent.lstm,
        _reference,
        ("lstm_forward", "lstm_backward"),
        (
            _case("one of each", 1, 1, 1),
            _case("prime", 5, 7, 13),
            _case("reversed", 4, 3, 5, attrs={"reverse": True}),
            _case("one sample", 9, 1, 17),
            _case("one step", 1, 11, 8),
            _case("more than a tile", 3, 19, 53),
            _case("no steps", 0, 3, 4),
            _case("no samples", 3, 0, 4),
            _case("20 x 20 x 200", 20, 20, 200, heavy=True, bench=True, train=True),
        ),
        ulps=32,
        bad=(
            BadCall(
                "gates",
                lambda: recurrent.lstm(_zeros(2, 3, 10), _zeros(8, 2), _zeros(3, 2), _zeros(3, 2)),
                ValueError,
                ("lstm", "projected.shape == [S, N, 4U]", "(2, 3, 10)"),
            ),
            BadCall(
                "weight",
                lambda: recurrent.lstm(_zeros(2, 3, 8), _zeros(8, 3), _zeros(3, 2), _zeros(3, 2)),
                ValueError,
                ("lstm", "weight.shape == (8, 2)", "(8, 3)"),
            ),
            BadCall(
                "state",
                lambda: recurrent.lstm(_zeros(2, 3, 8), _zeros(8, 2), _zeros(3, 2), _zeros(2, 2)),
                ValueError,
                ("lstm", "initial_cell.shape == (3, 2)", "(2, 2)"),
            ),
            BadCall(
                "dtype",
                lambda: recurrent.lstm(_zeros(2, 3, 8), _zeros(8, 2, dtype="float64"), _zeros(3, 2), _zeros(3, 2)),
                TypeError,
                ("lstm", "weight", "float64"),
            ),
        ),
    ),
]
