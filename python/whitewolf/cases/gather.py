"""Cases of gather, scatter_add, index_add and top-k."""

from __future__ import annotations

from typing import Any

import numpy as np

import whitewolf as ww

from . import Array, BadCall, Case, Input, OpTable

Shape = tuple[int, ...]


def _gather(x: Array, index: Array, dim: int) -> Array:
    if not x.ndim:
        return x
    part = x[tuple(slice(None) if d == dim % x.ndim else slice(n) for d, n in enumerate(index.shape))]
    return np.take_along_axis(part, index, dim)


def _scatter_add(x: Array, index: Array, src: Array, dim: int) -> Array:
    out = x.copy()
    for place in np.ndindex(index.shape):
        to = list(place)
        to[dim] = int(index[place])
        out[tuple(to)] += src[place]
    return out


def _scatter(x: Array, index: Array, src: Array, dim: int) -> Array:
    out = x.copy()
    for place in np.ndindex(index.shape):
        to = list(place)
        to[dim] = int(index[place])
        out[tuple(to)] = src[place]
    return out


def _index_add(x: Array, index: Array, source: Array, dim: int, alpha: float = 1) -> Array:
    out = x.copy()
    rows = np.moveaxis(out, dim, 0)
    for to, row in zip(index, np.moveaxis(source, dim, 0)):
        rows[to] += alpha * row
    return out


def _index_select(x: Array, index: Array, dim: int) -> Array:
    return np.take(x, index, dim)


def _topk(x: Array, k: int, dim: int = -1, largest: bool = True) -> Array:
    ordered = np.sort(x, axis=dim)  # NaN last
    ordered = np.flip(ordered, dim) if largest else ordered
    return np.take(ordered, np.arange(k), axis=dim)


def _torch(name: str) -> Any:
    def call(x: Any, index: Any, *rest: Any, dim: int, **attrs: Any) -> Any:
        import torch

        if name == "scatter_add":  # PyTorch has no gradient by a src that is larger than index
            rest = tuple(src[tuple(slice(n) for n in index.shape)] for src in rest)
        return getattr(torch, name)(x, dim, index, *rest, **attrs)

    return call


def _torch_topk(x: Any, **attrs: Any) -> Any:
    import torch

    return torch.topk(x, **attrs)[0]


def _from(name: str, x: Shape, index: Shape, dim: int, batch: int | None = None) -> Case:
    places = Input(index, "index", high=x[dim], grad=False, batch=batch)
    return Case(name, (Input(x, batch=batch), places), {"dim": dim}, reduction=max(index[dim], 1))


def _into(name: str, x: Shape, index: Shape, dim: int, src: Shape | None = None, batch: int | None = None) -> Case:
    places = Input(index, "index", high=x[dim], grad=False, batch=batch)
    inputs = (Input(x, batch=batch), places, Input(index if src is None else src, batch=batch))
    return Case(name, inputs, {"dim": dim}, reduction=index[dim] + 1)


def _slices(name: str, x: Shape, m: int, dim: int, **attrs: Any) -> Case:
    at = dim % len(x)
    source = (*x[:at], m, *x[at + 1 :])
    inputs = (Input(x), Input((m,), "index", high=x[dim], grad=False), Input(source))
    return Case(name, inputs, {"dim": dim, **attrs}, reduction=m + 1)


def _selected(name: str, x: Shape, m: int, dim: int, batch: int | None = None) -> Case:
    inputs = (Input(x, batch=batch), Input((m,), "index", high=x[dim], grad=False))
    return Case(name, inputs, {"dim": dim}, reduction=m + 1)


def _top(name: str, shape: Shape, k: int, dim: int = -1, batch: int | None = None, **attrs: Any) -> Case:
    return Case(name, (Input(shape, "distinct", batch=batch),), {"k": k, "dim": dim, **attrs})


FROM = (
    _from("rows", (5, 7), (5, 3), 1, batch=0),
    _from("more than there are", (3, 5), (3, 11), -1, batch=0),
    _from("columns", (7, 5), (4, 5), 0, batch=1),
    _from("middle", (2, 7, 3), (2, 4, 3), 1, batch=0),
    _from("part", (5, 7, 6), (3, 4, 2), 1),
    _from("vector", (13,), (40,), 0),
    _from("size 1", (1, 1), (1, 1), 0),
    _from("nothing", (3, 5), (0, 2), 1),
)
INTO = (
    _into("rows", (5, 7), (5, 3), 1, batch=0),
    _into("many", (3, 5), (3, 211), -1, batch=0),
    _into("columns", (7, 131), (11, 131), 0, batch=1),
    _into("middle", (2, 7, 3), (2, 4, 3), 1, batch=0),
    _into("part", (5, 7, 6), (3, 4, 2), 1, src=(4, 5, 6)),
    _into("vector", (13,), (40,), 0),
    _into("size 1", (1, 1), (1, 1), 0),
    _into("nothing", (3, 5), (0, 2), 1),
)
SLICES = (
    _slices("rows", (5, 7), 9, 0),
    _slices("wide rows", (3, 150), 13, 0),
    _slices("columns", (5, 7), 4, -1),
    _slices("middle", (2, 5, 3), 7, 1),
    _slices("scaled", (5, 7), 6, 0, alpha=2),
    _slices("vector", (5,), 8, 0),
    _slices("nothing", (5, 3), 0, 0),
)
SELECTED = (
    _selected("rows", (5, 7), 9, 0),
    _selected("columns", (5, 7), 4, -1, batch=0),
    _selected("middle", (2, 5, 3), 7, 1, batch=0),
    _selected("vector", (5,), 8, 0),
    _selected("size 1", (1, 1), 1, 0),
    _selected("nothing", (5, 3), 0, 0),
)
TOP = (
    _top("rows", (5, 17), 3, batch=0),
    _top("smallest", (5, 17), 4, largest=False, batch=0),
    _top("columns", (11, 3), 2, 0, batch=1),
    _top("middle", (2, 7, 3), 7, 1, batch=0),
    _top("one", (4, 101), 1, batch=0),
    _top("none", (4, 5), 0),
    _top("size 1", (1,), 1),
    _top("no rows", (0, 5), 2),
)

zeros = ww.zeros


def _index(values: Any, dtype: str = "int64") -> Any:
    return ww.asarray(np.asarray(values, dtype))


TABLES = (
    OpTable(
        op="gather",
        function=lambda x, index, dim: ww.gather(x, dim, index),
        reference=_gather,
        kernels=("gather_forward", "scatter_add_forward"),
        cases=FROM,
        exact=True,
        bad=(
            BadCall(
                "past", lambda: ww.gather(zeros((2, 3)), 1, _index([[0], [3]])), IndexError, ("gather", "[0, 3)", "3 at (1, 0)")
            ),
            BadCall("negative", lambda: ww.gather(zeros((2, 3)), 1, _index([[-1]])), IndexError, ("gather", "got -1 at (0, 0)")),
            BadCall("dim", lambda: ww.gather(zeros((2, 3)), 2, _index([[0]])), IndexError, ("gather", "dim", "[-2, 2)", "2")),
            BadCall("dimensions", lambda: ww.gather(zeros((2, 3)), 1, _index([0])), ValueError, ("gather", "2 dimensions", "(1,)")),
            BadCall("longer", lambda: ww.gather(zeros((2, 3)), 1, _index([[0]] * 3)), ValueError, ("gather", "(2, 3)", "(3, 1)")),
            BadCall("dtype", lambda: ww.gather(zeros(3), 0, ww.zeros(1)), TypeError, ("gather", "integers", "float32")),
        ),
        torch=_torch("gather"),
    ),
    OpTable(
        op="scatter_add",
        function=lambda x, index, src, dim: ww.scatter_add(x, dim, index, src),
        reference=_scatter_add,
        kernels=("scatter_add_forward",),
        cases=INTO,
        exact=True,
        bad=(
            BadCall(
                "past", lambda: ww.scatter_add(zeros(3), 0, _index([3]), ww.ones(1)), IndexError, ("scatter_add", "[0, 3)", "3")
            ),
            BadCall(
                "src", lambda: ww.scatter_add(zeros(3), 0, _index([0, 1]), ww.ones(1)), ValueError, ("src.shape == (1,)", "(2,)")
            ),
            BadCall(
                "dtype",
                lambda: ww.scatter_add(zeros(3), 0, _index([0]), ww.ones(1, dtype="float64")),
                TypeError,
                ("scatter_add", "src.dtype == float32", "float64"),
            ),
        ),
        torch=_torch("scatter_add"),
    ),
    OpTable(
        op="scatter",
        function=lambda x, index, src, dim: ww.scatter(x, dim, index, src),
        reference=_scatter,
        kernels=("scatter_add_forward", "where_forward"),
        cases=INTO,
        exact=True,
        bad=(
            BadCall("past", lambda: ww.scatter(zeros(3), 0, _index([3]), ww.ones(1)), IndexError, ("scatter", "[0, 3)", "3")),
            BadCall("src", lambda: ww.scatter(zeros(3), 0, _index([0, 1]), ww.ones(1)), ValueError, ("src.shape == (1,)", "(2,)")),
        ),
    ),
    OpTable(
        op="index_add",
        function=lambda x, index, source, dim, alpha=1: ww.index_add(x, dim, index, source, alpha=alpha),
        reference=_index_add,
        kernels=("scatter_add_forward",),
        cases=SLICES,
        exact=True,
        bad=(
            BadCall(
                "past", lambda: ww.index_add(zeros((2, 3)), 0, _index([2]), ww.ones((1, 3))), IndexError, ("index_add", "[0, 2)")
            ),
            BadCall(
                "source",
                lambda: ww.index_add(zeros((2, 3)), 0, _index([1]), ww.ones((2, 3))),
                ValueError,
                ("index_add", "source.shape == (1, 3)", "(2, 3)"),
            ),
            BadCall("index", lambda: ww.index_add(zeros(2), 0, _index([[1]]), ww.ones(1)), ValueError, ("1 dimension", "(1, 1)")),
        ),
        torch=_torch("index_add"),
    ),
    OpTable(
        op="index_select",
        function=lambda x, index, dim: ww.index_select(x, dim, index),
        reference=_index_select,
        kernels=("scatter_add_forward",),
        cases=SELECTED,
        exact=True,
        bad=(
            BadCall(
                "past", lambda: ww.index_select(zeros((2, 3)), 0, _index([2])), IndexError, ("index_select", "[0, 2)", "got 2")
            ),
            BadCall("index", lambda: ww.index_select(zeros(2), 0, _index([[1]])), ValueError, ("1 dimension", "(1, 1)")),
        ),
        torch=_torch("index_select"),
    ),
    OpTable(
        op="topk",
        function=lambda x, **attrs: ww.topk(x, **attrs).values,
        reference=_topk,
        kernels=("topk_forward", "gather_forward", "scatter_add_forward"),
        cases=TOP,
        exact=True,
        bad=(
            BadCall("k", lambda: ww.topk(zeros((2, 3)), 4), ValueError, ("topk", "k in [0, 3]", "got 4")),
            BadCall("negative k", lambda: ww.topk(zeros(3), -1), ValueError, ("topk", "[0, 3]", "-1")),
            BadCall("dim", lambda: ww.topk(zeros((2, 3)), 1, 2), IndexError, ("topk", "dim", "[-2, 2)", "2")),
        ),
        torch=_torch_topk,
    ),
)
