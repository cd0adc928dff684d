"""Cases of the ops that move elements, and of running products, differences and sorting: NumPy's work, our gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import whitewolf as ww

from . import Case, Input, OpTable


def _one(name: str, shape: tuple[int, ...], kind: str = "normal", /, **attrs: Any) -> Case:
    return Case(name, (Input(shape, kind),), attrs)


def _table(
    op: str,
    ours: Callable[..., Any],
    numpy: Callable[..., Any],
    *cases: Case,
    ulps: float = 1,
    nonfinite: str = "",
    kernels: tuple[str, ...] = (),
) -> OpTable:
    return OpTable(op, ours, numpy, kernels, cases, exact=True, ulps=ulps, nonfinite=nonfinite)


def _take(x: Any, places: Any, axis: int) -> Any:
    return np.take(x, places, axis=axis)


def _masked(x: Any, mask: Any) -> Any:
    return x[mask]


_INDEXED = tuple(
    Case(name, (Input(shape), Input(places, "index", high=shape[axis], grad=False)), {"axis": axis})
    for name, shape, places, axis in (
        ("rows", (5, 7), (3,), 0),
        ("columns", (5, 7, 3), (11,), 1),
        ("matrix of indices", (13,), (2, 3), 0),
        ("no index", (5, 2), (0,), 0),
    )
)

TABLES = (
    _table("reshape", lambda x, shape: ww.reshape(x, shape), np.reshape, _one("split", (6, 5), shape=(2, 3, 5)),
           _one("join", (2, 3, 5), shape=(-1,)), _one("empty", (0, 3), shape=(3, 0)), _one("0-d", (1, 1), shape=())),
    _table("permute_dims", lambda x, axes: ww.permute_dims(x, axes), np.transpose, _one("matrix", (5, 7), axes=(1, 0)),
           _one("cycle", (2, 3, 5), axes=(2, 0, 1)), _one("empty", (0, 3), axes=(1, 0))),
    _table("moveaxis", lambda x, s, d: ww.moveaxis(x, s, d), lambda x, s, d: np.moveaxis(x, s, d), _one("last first", (2, 3, 5), s=-1, d=0),
           _one("two", (2, 3, 5), s=(0, 1), d=(-1, 0))),
    _table("flip", ww.flip, np.flip, _one("all", (3, 5), axis=None), _one("one", (3, 5, 2), axis=1), _one("empty", (3, 0), axis=1)),
    _table("roll", ww.roll, np.roll, _one("flat", (3, 5), shift=4), _one("axis", (3, 5), shift=-2, axis=1),
           _one("two", (3, 5), shift=(1, -7), axis=(0, 1)), _one("empty", (0, 5), shift=3, axis=0)),
    _table("tile", lambda x, reps: ww.tile(x, reps), np.tile, _one("more dimensions", (3, 2), reps=(2, 1, 3)),
           _one("fewer", (2, 3, 2), reps=(2,)), _one("none", (3, 2), reps=(0, 1))),
    _table("repeat", lambda x, n, axis: ww.repeat(x, n, axis=axis), lambda x, n, axis: np.repeat(x, n, axis=axis),
           _one("axis", (3, 5), n=3, axis=1), _one("flat", (3, 2), n=2, axis=None), _one("none", (3, 2), n=0, axis=0)),
    _table("broadcast_to", lambda x, shape: ww.broadcast_to(x, shape), np.broadcast_to, _one("rows", (5,), shape=(3, 5)),
           _one("middle", (2, 1, 3), shape=(4, 2, 5, 3)), _one("0-d", (), shape=(2, 3)), _one("nothing", (1, 3), shape=(0, 3))),
    OpTable("concat", lambda a, b, axis: ww.concat([a, b], axis=axis), lambda a, b, axis: np.concatenate([a, b], axis=axis), (),
            (Case("rows", (Input((2, 5)), Input((3, 5))), {"axis": 0}), Case("columns", (Input((3, 1)), Input((3, 7))), {"axis": -1}),
             Case("flat", (Input((2, 2)), Input((3,))), {"axis": None}), Case("empty", (Input((0, 3)), Input((2, 3))), {"axis": 0})),
            exact=True, ulps=1),
    OpTable("stack", lambda a, b, axis: ww.stack([a, b], axis=axis), lambda a, b, axis: np.stack([a, b], axis=axis), (),
            (Case("first", (Input((2, 5)), Input((2, 5))), {"axis": 0}), Case("last", (Input((3,)), Input((3,))), {"axis": -1})),
            exact=True, ulps=1),
    _table("tril", lambda x, k: ww.tril(x, k=k), np.tril, _one("main", (5, 7), k=0), _one("above", (2, 5, 3), k=1), _one("below", (5, 5), k=-2),
           nonfinite="what is cut off is 0, whatever it was, and so is its gradient"),
    _table("triu", lambda x, k: ww.triu(x, k=k), np.triu, _one("main", (5, 7), k=0), _one("above", (2, 5, 3), k=1), _one("below", (5, 5), k=-2),
           nonfinite="what is cut off is 0, whatever it was, and so is its gradient"),
    OpTable("take", lambda x, places, axis: ww.take(x, places, axis=axis), _take, (), _INDEXED, exact=True, ulps=4),
    OpTable("take_along_axis", lambda x, places, axis: ww.take_along_axis(x, places, axis=axis),
            lambda x, places, axis: np.take_along_axis(x, places, axis), (),
            (Case("rows", (Input((5, 7)), Input((5, 3), "index", high=7, grad=False)), {"axis": 1}),
             Case("columns", (Input((3, 5, 2)), Input((3, 4, 2), "index", high=5, grad=False)), {"axis": 1})), exact=True, ulps=4),
    OpTable("getitem, mask", lambda x, mask: x[mask], _masked, (),
            (Case("matrix", (Input((5, 7)), Input((5, 7), "bool", grad=False))),
             Case("rows", (Input((5, 3)), Input((5,), "bool", grad=False)))), exact=True, ulps=1),
    _table("getitem", lambda x: x[1::2, None, ..., -1], lambda x: x[1::2, None, ..., -1], _one("slices", (5, 3, 2)), _one("matrix", (4, 5))),
    _table("diff", lambda x, axis, n: ww.diff(x, axis=axis, n=n), lambda x, axis, n: np.diff(x, axis=axis, n=n), _one("rows", (3, 7), axis=1, n=1),
           _one("twice", (7, 2), axis=0, n=2), _one("too often", (2, 3), axis=0, n=3), ulps=4, kernels=("subtract_forward",)),
    _table("sort", lambda x, axis, d: ww.sort(x, axis=axis, descending=d),
           lambda x, axis, d: np.flip(np.sort(x, axis=axis), axis) if d else np.sort(x, axis=axis), _one("rows", (3, 7), "distinct", axis=1, d=False),
           _one("columns down", (7, 2, 3), "distinct", axis=0, d=True), _one("empty", (3, 0), "distinct", axis=1, d=False)),
    OpTable("cumulative_prod", lambda x, axis: ww.cumulative_prod(x, axis=axis), lambda x, axis: np.cumprod(x, axis=axis), (),
            (Case("rows", (Input((3, 11), "positive", batch=0),), {"axis": 1}, reduction=11),
             Case("columns", (Input((5, 3), "normal"),), {"axis": 0}, reduction=5),
             Case("empty", (Input((0, 3)),), {"axis": 0}), Case("one", (Input((3, 1)),), {"axis": 1})), ulps=8,
            nonfinite="0 times Inf is NaN on the way to the gradient, which the reference's order of products avoids"),
    OpTable("std", lambda x, axis: ww.std(x, axis=axis), lambda x, axis: np.std(x, axis=axis), ("var_forward", "sqrt_forward"),
            (Case("rows", (Input((3, 11), batch=0),), {"axis": 1}, reduction=11), Case("all", (Input((5, 3)),), {"axis": None}, reduction=15)), ulps=8),
    OpTable("masked_fill", lambda x, mask: ww.masked_fill(x, mask, 0.5), lambda x, mask: np.where(mask, 0.5, x), ("where_forward",),
            (Case("matrix", (Input((5, 7)), Input((5, 7), "bool", grad=False))), Case("rows", (Input((5, 3)), Input((5, 1), "bool", grad=False)))),
            ulps=1, nonfinite="what is masked is 0.5, whatever it was"),
)  # fmt: skip
