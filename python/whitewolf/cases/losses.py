"""Cases of the losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import whitewolf as ww

from ..nn import functional
from . import Array, BadCall, Case, Input, OpTable


def _reduce(loss: Array, reduction: str) -> Array:
    return np.asarray(loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss)


def _mse(x: Array, t: Array, reduction: str = "mean") -> Array:
    return _reduce((x - t) ** 2, reduction)


def _l1(x: Array, t: Array, reduction: str = "mean") -> Array:
    return _reduce(np.abs(x - t), reduction)


def _smooth_l1(x: Array, t: Array, reduction: str = "mean", beta: float = 1.0) -> Array:
    d = np.abs(x - t)
    return _reduce(np.where(d < beta, d * d / (2 * beta), d - beta / 2), reduction)


def _bce(x: Array, t: Array, weight: Array | None = None, pos_weight: Array | None = None, reduction: str = "mean") -> Array:
    hit, miss = np.logaddexp(0, -x), np.logaddexp(0, x)
    loss = (1 if pos_weight is None else pos_weight) * t * hit + (1 - t) * miss
    return _reduce(loss if weight is None else loss * weight, reduction)


def _kl(x: Array, t: Array, reduction: str = "mean", log_target: bool = False) -> Array:
    loss = np.exp(t) * (t - x) if log_target else t * (np.log(t) - x)
    return np.asarray(loss.sum() / x.shape[0]) if reduction == "batchmean" else _reduce(loss, reduction)


def _nll(x: Array, t: Array, weight: Array | None = None, ignore_index: int = -100, reduction: str = "mean") -> Array:
    w = np.ones(x.shape[1]) if weight is None else weight
    scales = np.where(t == ignore_index, 0, w[np.where(t == ignore_index, 0, t)])
    picked = np.take_along_axis(np.moveaxis(x, 1, -1), np.where(t == ignore_index, 0, t)[..., None], -1)[..., 0]
    loss = -np.where(scales == 0, 0, picked) * scales
    return np.asarray(loss.sum() / scales.sum()) if reduction == "mean" else _reduce(loss, reduction)


def _torch(name: str) -> Callable[..., Any]:
    def call(*tensors: Any, **attrs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(*tensors, **attrs)

    return call


def _pairs(x: str = "normal", target: str = "normal", more: str = "", **attrs: Any) -> tuple[Case, ...]:
    def case(name: str, shape: tuple[int, ...], reduction: str) -> Case:
        terms = int(np.prod(shape)) if reduction != "none" else 1
        inputs = (
            Input(shape, x, batch=0 if reduction == "none" else None),
            Input(shape, target, batch=0 if reduction == "none" else None),
        )
        return Case(name + more, inputs, {"reduction": reduction, **attrs}, reduction=max(1, terms))

    return (
        case("each", (3, 7), "none"),
        case("each, more than a vector", (2, 5, 37), "none"),
        case("mean", (5, 13), "mean"),
        case("sum", (4, 3, 2), "sum"),
        case("one element", (1,), "mean"),
        case("no element", (0, 3), "sum"),
    )


def _bad(name: str, function: Callable[..., Any]) -> tuple[BadCall, ...]:
    f32, f64 = ww.ones((2, 3)), ww.ones((2, 3), dtype="float64")
    return (
        BadCall("shapes", lambda: function(f32, ww.ones((3, 2))), ValueError, (name, "target.shape == (2, 3)", "(3, 2)")),
        BadCall("dtypes", lambda: function(f32, f64), TypeError, (name, "target.dtype == float32", "float64")),
        BadCall("reduction", lambda: function(f32, f32, reduction="max"), ValueError, (name, "reduction", "'max'")),
        BadCall("type", lambda: function(f32, [1.0]), TypeError, (name, "target", "list")),
    )


def _kernels(name: str) -> tuple[str, ...]:
    return (f"{name}_forward", f"{name}_backward_input")


def _table(name: str, reference: Callable[..., Any], cases: tuple[Case, ...], **more: Any) -> OpTable:
    function = getattr(functional, name)
    return OpTable(name, function, reference, _kernels(name), cases, bad=_bad(name, function), torch=_torch(name), ulps=16, **more)


def _classes(name: str, shape: tuple[int, ...], weighted: bool = False, **attrs: Any) -> Case:
    batch = 0 if attrs.get("reduction") == "none" else None
    target = Input((shape[0], *shape[2:]), "index", high=shape[1], grad=False, batch=batch)
    inputs = (Input(shape, batch=batch), target) + ((Input((shape[1],), "positive", grad=False),) if weighted else ())
    return Case(name, inputs, attrs, reduction=max(1, int(np.prod(shape)) // max(1, shape[1])))


def _weighted_bce(x: Any, t: Any, weight: Any = None, pos_weight: Any = None, **attrs: Any) -> Any:
    return functional.binary_cross_entropy_with_logits(x, t, weight, pos_weight=pos_weight, **attrs)


def _torch_bce(x: Any, t: Any, weight: Any = None, pos_weight: Any = None, **attrs: Any) -> Any:
    return _torch("binary_cross_entropy_with_logits")(x, t, weight, pos_weight=pos_weight, **attrs)


_BCE = "binary_cross_entropy_with_logits"
_X = ww.ones((2, 3))

TABLES = (
    _table("mse_loss", _mse, _pairs()),
    _table("l1_loss", _l1, _pairs("distinct", "far")),
    _table("smooth_l1_loss", _smooth_l1, (*_pairs("distinct", "far"), *_pairs(more=", beta 50", beta=50.0)[1:3])),
    _table(
        "kl_div",
        _kl,
        (*_pairs(target="positive"), *_pairs(more=", log", log_target=True)[1:3]),
        nonfinite="0 log 0 is 0, of NaN too",
    ),
    OpTable(
        _BCE,
        _weighted_bce,
        _bce,
        _kernels(_BCE),
        (
            *_pairs(target="unit"),
            Case(
                "weights",
                (Input((4, 5)), Input((4, 5), "unit"), Input((4, 5), "positive", grad=False), Input((5,), "positive", grad=False)),
                {},
                reduction=20,
            ),
        ),
        ulps=16,
        nonfinite="an input of -Inf makes Inf - Inf, as in PyTorch",
        torch=_torch_bce,
        bad=(
            *_bad(_BCE, getattr(functional, _BCE)),
            BadCall(
                "weight's shape",
                lambda: functional.binary_cross_entropy_with_logits(_X, _X, ww.ones((4, 2, 3))),
                ValueError,
                (_BCE, "weight", "(2, 3)", "(4, 2, 3)"),
            ),
            BadCall(
                "pos_weight's dtype",
                lambda: functional.binary_cross_entropy_with_logits(_X, _X, pos_weight=ww.ones(3, dtype="float64")),
                TypeError,
                (_BCE, "pos_weight.dtype == float32", "float64"),
            ),
        ),
    ),
    OpTable(
        "nll_loss",
        functional.nll_loss,
        _nll,
        _kernels("nll_loss"),
        (
            _classes("each", (5, 7), reduction="none"),
            _classes("mean", (9, 4)),
            _classes("sum, weighted", (6, 5), True, reduction="sum"),
            _classes("mean, weighted", (6, 5), True),
            _classes("pictures", (2, 3, 4, 5), reduction="none"),
            _classes("one class ignored", (8, 3), ignore_index=1, reduction="none"),
            _classes("no samples", (0, 3), reduction="none"),
        ),
        ulps=16,
        torch=_torch("nll_loss"),
        bad=(
            BadCall("class", lambda: functional.nll_loss(_X, ww.asarray([0, 3])), IndexError, ("nll_loss", "[0, 3)", "got 3")),
            BadCall("target's dtype", lambda: functional.nll_loss(_X, ww.ones(2)), TypeError, ("nll_loss", "target", "float32")),
            BadCall("target's shape", lambda: functional.nll_loss(_X, ww.asarray([0])), ValueError, ("nll_loss", "(2,)", "(1,)")),
            BadCall(
                "weight", lambda: functional.nll_loss(_X, ww.asarray([0, 1]), ww.ones(2)), ValueError, ("nll_loss", "(3,)", "(2,)")
            ),
        ),
    ),
)
