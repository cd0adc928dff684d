"""Cases of the reductions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import whitewolf as ww

from . import BadCall, Case, Input, OpTable


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis


def _cases(kind: str, empty: bool = True, bench: bool = False) -> tuple[Case, ...]:
    def case(name: str, shape: tuple[int, ...], axis: Any, n: int, batch: int | None = None, **more: Any) -> Case:
        return Case(name, (Input(shape, kind, batch=batch),), {"axis": axis}, reduction=n, **more)

    found = [
        case("rows", (7, 131), 1, 131, batch=0),
        case("columns", (67, 13), 0, 67, batch=1),
        case("all", (5, 7, 3), None, 105),
        case("channels", (2, 5, 3, 4), (0, 2, 3), 24),
        case("middle", (3, 17, 5), 1, 17, batch=0),
        case("long", (1, 4099), 1, 4099),
        case("size 1", (3, 1), 1, 1, batch=0),
        Case("keepdims", (Input((3, 5, 2), kind, batch=0),), {"axis": (1, 2), "keepdims": True}, reduction=10),
        case("0-d", (), None, 1),
        case("empty output", (0, 3), 1, 3),
    ]
    if empty:
        found.append(case("empty sum", (3, 0), 1, 1))
    if bench:
        found.append(case("large", (4096, 4096), 1, 4096, flops=4096**2, bytes=4 * 4096**2, bench=True, heavy=True))
        found.append(case("large columns", (4096, 4096), 0, 4096, flops=4096**2, bytes=4 * 4096**2, bench=True, heavy=True))
    return tuple(found)


def _bad(name: str) -> tuple[BadCall, ...]:
    function = getattr(ww, name)
    return (
        BadCall("axis", lambda: function(ww.zeros((2, 3)), axis=2), IndexError, (name, "axis", "[-2, 2)", "2")),
        BadCall("twice", lambda: function(ww.zeros((2, 3)), axis=(0, -2)), ValueError, (name, "each axis once")),
        BadCall("type", lambda: function([1.0]), TypeError, (name, "x", "list")),
    )


def _nothing(name: str) -> BadCall:
    return BadCall("empty", lambda: getattr(ww, name)(ww.zeros((2, 0)), axis=1), ValueError, (name, "at least one", "(2, 0)"))


def _numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axis=None, keepdims=False: function(x, axis=_axes(axis), keepdims=keepdims)


def _logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if x.size == 0:
        return np.full(np.sum(x, axis=_axes(axis), keepdims=keepdims).shape, -np.inf)
    with np.errstate(all="ignore"):
        highest = np.max(x, axis=_axes(axis), keepdims=True)
        finite = np.where(np.isfinite(highest), highest, 0)
        total = np.log(np.sum(np.exp(x - finite), axis=_axes(axis), keepdims=True)) + finite
        return total if keepdims else np.squeeze(total, axis=tuple(range(x.ndim)) if axis is None else _axes(axis))


def _torch(name: str, **more: Any) -> Callable[..., Any]:
    def run(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        import torch

        dims = tuple(range(x.ndim)) if axis is None else axis
        return getattr(torch, name)(x, dim=dims, keepdim=keepdims, **more)

    return run


def _prod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.prod(x, axis=_axes(axis), keepdims=keepdims)


TABLES = (
    OpTable("sum", ww.sum, _numpy(np.sum), ("sum_forward",), _cases("normal", bench=True), exact=True, ulps=4, bad=_bad("sum"),
            torch=_torch("sum"), numpy=_numpy(np.sum)),
    OpTable("mean", ww.mean, _numpy(np.mean), ("mean_forward",), _cases("normal", empty=False), ulps=4, bad=_bad("mean"),
            torch=_torch("mean"), numpy=_numpy(np.mean)),
    OpTable("sum_squares", ww.sum_squares, lambda x, axis=None, keepdims=False: np.sum(x * x, axis=_axes(axis), keepdims=keepdims),
            ("sum_squares_forward",), _cases("normal"), exact=True, ulps=4, bad=_bad("sum_squares")),
    OpTable("prod", ww.prod, _prod, ("prod_forward",), tuple(c for c in _cases("positive") if c.reduction < 50), ulps=8,
            bad=_bad("prod")),
    OpTable("max", ww.max, _numpy(np.max), ("max_forward",), _cases("distinct", empty=False, bench=True), exact=False, ulps=1,
            bad=(*_bad("max"), _nothing("max")), torch=_torch("amax"), numpy=_numpy(np.max)),
    OpTable("min", ww.min, _numpy(np.min), ("min_forward",), _cases("distinct", empty=False), exact=False, ulps=1,
            bad=(*_bad("min"), _nothing("min")), torch=_torch("amin")),
    OpTable("var", ww.var, _numpy(np.var), ("var_forward", "mean_forward"), _cases("normal", empty=False), ulps=8, bad=_bad("var")),
    OpTable("logsumexp", ww.logsumexp, _logsumexp, ("logsumexp_forward",), _cases("normal", empty=False), ulps=4, bad=_bad("logsumexp"),
            torch=_torch("logsumexp")),
    OpTable("argmax", ww.argmax, _numpy(np.argmax), ("argmax_forward",),
            tuple(c for c in _cases("distinct", empty=False) if not isinstance(c.attrs["axis"], tuple)),
            gradient="an index has no derivative", exact=True, bad=(_bad("argmax")[0], _nothing("argmax"))),
    OpTable("argmin", ww.argmin, _numpy(np.argmin), ("argmin_forward",),
            tuple(c for c in _cases("distinct", empty=False) if not isinstance(c.attrs["axis"], tuple)),
            gradient="an index has no derivative", exact=True, bad=(_bad("argmin")[0], _nothing("argmin"))),
    OpTable("cumulative_sum", lambda x, axis: ww.cumulative_sum(x, axis=axis), lambda x, axis: np.cumsum(x, axis=axis),
            ("cumulative_sum_forward",),
            tuple(c for c in _cases("normal") if isinstance(c.attrs["axis"], int) and not c.name.startswith("empty")),
            exact=True, ulps=4),
)  # fmt: skip
