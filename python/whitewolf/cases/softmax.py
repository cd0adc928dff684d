"""Cases of softmax, its logarithm, and cross-entropy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import whitewolf as ww

from ..nn import functional
from . import Array, BadCall, Case, Input, OpTable


def _log_softmax(x: Array, dim: int = -1) -> Array:
    if not x.ndim:
        return np.asarray(_log_softmax(x.reshape(1))[0])
    shifted = x - x.max(dim, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(dim, keepdims=True)))


def _softmax(x: Array, dim: int = -1) -> Array:
    return np.asarray(np.exp(_log_softmax(x, dim)))


def _cross_entropy(
    x: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    log_p = np.moveaxis(_log_softmax(x, 1), 1, -1)
    classes = log_p.shape[-1]
    w = np.ones(classes) if weight is None else weight
    ignored = target == ignore_index
    safe = np.where(ignored, 0, target)
    loss = -(1 - label_smoothing) * w[safe] * np.take_along_axis(log_p, safe[..., None], -1)[..., 0]
    if label_smoothing:
        loss = loss - label_smoothing / classes * (w * log_p).sum(-1)
    loss = np.where(ignored, 0, loss)
    if reduction == "mean":
        return np.asarray(loss.sum() / np.where(ignored, 0, w[safe]).sum())
    return np.asarray(loss.sum()) if reduction == "sum" else loss


def _torch(name: str) -> Callable[..., Any]:
    def call(x: Any, *rest: Any, **attrs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, *rest, **attrs)

    return call


def _case(name: str, shape: tuple[int, ...], dim: int, batch: int | None = 0, kind: str = "normal", **more: Any) -> Case:
    n = shape[dim] if shape else 1
    return Case(name, (Input(shape, kind, batch=batch),), {"dim": dim}, reduction=max(n, 1), bytes=8 * int(np.prod(shape)), **more)


ROWS = (
    _case("rows", (7, 13), -1),
    _case("ten classes", (5, 10), 1),
    _case("long row", (3, 1031), 1),
    _case("columns", (11, 5), 0, batch=1),
    _case("channels", (2, 7, 3, 5), 1),
    _case("channels, wide", (2, 3, 2, 41), 1),
    _case("first of three", (5, 3, 17), 0, batch=1),
    _case("size 1", (3, 1), 1),
    _case("far from 0", (5, 37), 1, kind="far"),
    _case("channels far from 0", (2, 7, 3, 5), 1, kind="far"),
    _case("0-d", (), 0, batch=None),
    _case("empty rows", (3, 0), 1),
    _case("no rows", (0, 5), 1),
)


def _bad(name: str) -> tuple[BadCall, ...]:
    op = getattr(functional, name)
    return (
        BadCall("dim", lambda: op(ww.zeros((2, 3)), 2), IndexError, (name, "dim", "[-2, 2)", "2")),
        BadCall("dtype", lambda: op(ww.zeros(3, dtype="int32"), 0), TypeError, (name, "float32 or float64", "int32")),
    )


def _classes(name: str, shape: tuple[int, ...], weighted: bool = False, batch: int | None = None, **more: Any) -> Case:
    """Logits of `shape`, [N, C, ...], beside targets without C."""
    attrs = more.pop("attrs", {})
    classes = shape[1]
    target = Input(shape[:1] + shape[2:], "index", high=classes, grad=False, batch=batch)
    inputs = (Input(shape, batch=batch), target) + ((Input((classes,), "positive", grad=False),) if weighted else ())
    return Case(name, inputs, attrs, reduction=shape[0] * classes, **more)


CLASSES = (
    _classes("mean", (7, 10)),
    _classes("sum", (7, 13), attrs={"reduction": "sum"}),
    _classes("each row", (9, 11), batch=0, attrs={"reduction": "none"}),
    _classes("many classes", (3, 1031)),
    _classes("weights", (6, 5), weighted=True),
    _classes("weights, each row", (6, 5), weighted=True, attrs={"reduction": "none"}),
    _classes("smoothing", (7, 9), attrs={"label_smoothing": 0.1}),
    _classes("smoothing, weights", (7, 9), weighted=True, attrs={"label_smoothing": 0.3, "reduction": "sum"}),
    _classes("all smoothed", (5, 4), attrs={"label_smoothing": 1.0}),
    _classes("ignored", (23, 3), attrs={"ignore_index": 1}),
    _classes("ignored, weights, smoothing", (23, 3), weighted=True, attrs={"ignore_index": 2, "label_smoothing": 0.2}),
    _classes("pictures", (2, 5, 3, 4)),
    _classes("pictures, each pixel", (2, 5, 3, 4), batch=0, attrs={"reduction": "none"}),
    _classes("one class", (4, 1)),
    _classes("one row", (1, 6)),
    _classes("no rows", (0, 5), attrs={"reduction": "sum"}),
    _classes("700 x 10000", (700, 10000), flops=5 * 7_000_000, bytes=8 * 7_000_000, bench=True, train=True, heavy=True),
)


def _call(
    name: str, x: tuple[int, ...], target: list[int], error: type[Exception], words: tuple[str, ...], **attrs: Any
) -> BadCall:
    return BadCall(name, lambda: functional.cross_entropy(ww.zeros(x), ww.asarray(target, dtype="int64"), **attrs), error, words)


TABLES = (
    OpTable(
        op="softmax",
        function=functional.softmax,
        reference=_softmax,
        kernels=("softmax_forward", "softmax_backward_x"),
        cases=(*ROWS, _case("4096 x 1024", (4096, 1024), 1, bench=True, train=True, heavy=True, flops=5 << 22)),
        bad=_bad("softmax"),
        torch=_torch("softmax"),
    ),
    OpTable(
        op="log_softmax",
        function=functional.log_softmax,
        reference=_log_softmax,
        kernels=("log_softmax_forward", "log_softmax_backward_x"),
        cases=ROWS,
        bad=_bad("log_softmax"),
        torch=_torch("log_softmax"),
    ),
    OpTable(
        op="cross_entropy",
        function=functional.cross_entropy,
        reference=_cross_entropy,
        kernels=("cross_entropy_forward", "cross_entropy_backward_logits"),
        cases=CLASSES,
        bad=(
            _call("class", (2, 3), [0, 3], IndexError, ("cross_entropy", "target in [0, 3)", "ignore_index -100", "got 3")),
            _call("negative class", (2, 3), [-1, 0], IndexError, ("cross_entropy", "got -1")),
            _call("shapes", (2, 3), [0], ValueError, ("cross_entropy", "target.shape == (2,)", "(1,)")),
            _call("smoothing", (1, 3), [0], ValueError, ("label_smoothing in [0, 1]", "2"), label_smoothing=2.0),
            _call("weight", (1, 3), [0], ValueError, ("weight.shape == (3,)", "(2,)"), weight=ww.ones(2)),
            _call("reduction", (1, 3), [0], ValueError, ("'mean', 'sum' or 'none'", "'avg'"), reduction="avg"),
        ),
        torch=_torch("cross_entropy"),
    ),
)
