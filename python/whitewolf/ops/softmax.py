"""Softmax, its logarithm, and the cross-entropy of classes; formulas in kernels/softmax/softmax.h."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..device import Device
from ..graph import Node, is_grad_enabled, record, save_output, saved_output
from ..index_checks import check_target
from ..tensor import Tensor, wrap
from ._common import check_float, check_same_device, check_same_dtype, check_tensor, normalize_axis
from ._sixteen import takes_sixteen_bit
from .elementwise import exp, multiply, subtract
from .manipulation import broadcast_to, expand_dims, reshape
from .reduce import sum


@takes_sixteen_bit
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / (the sum of exp(x) along `axis`), without overflow (Bridle 1990).

    Args:
        x: float32 or float64, any shape.

    >>> import whitewolf as ww
    >>> ww.nn.functional.softmax(ww.asarray([0.0, 0.0]), 0)
    tensor([0.5, 0.5])
    """
    return _normalized("softmax", x, axis)


@takes_sixteen_bit
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """x - log(the sum of exp(x) along `axis`), without overflow; arguments as `softmax`."""
    return _normalized("log_softmax", x, axis)


def _normalized(name: str, x: Tensor, axis: int) -> Tensor:
    check_float(name, "x", check_tensor(name, "x", x))
    if not x.ndim:  # a row of one
        return reshape(_normalized(name, reshape(x, (1,)), axis), ())
    at = normalize_axis(name, axis, x.ndim, "dim")
    data = x.device.empty(x.shape, x.dtype, x._data)
    x.device.kernels[name + "_forward"](np.moveaxis(data, at, -1), np.moveaxis(x._data, at, -1))
    result: Tensor = record(name, data, (x,), lambda node, grad: (_normalized_backward(name, grad, saved_output(node), at),))
    return save_output(result)


def _normalized_backward(name: str, grad: Tensor, y: Tensor, at: int) -> Tensor:
    if is_grad_enabled():  # a graph is being recorded: the formula in ops, so that it can be differentiated again
        if name == "softmax":
            return multiply(subtract(grad, sum(multiply(grad, y), axis=at, keepdims=True)), y)
        return subtract(grad, multiply(exp(y), sum(grad, axis=at, keepdims=True)))
    data = grad.device.empty(y.shape, y.dtype, y._data)
    grad.device.kernels[name + "_backward_x"](*(np.moveaxis(a, at, -1) for a in (data, grad._data, y._data)))
    return wrap(data, grad.device)


@takes_sixteen_bit
def cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "none",
) -> Tensor:
    """-w[t] log softmax(logits)[t] of each row, t = target, softmax and gradient fused; 0 where target is ignore_index.

    With e = label_smoothing, (1 - e) of that and e / V of the sum of the same over all V classes. Where the rows are summed up, the
    gradient by the logits is computed with the loss, while each row is in the cache, and kept for backward.

    Args:
        logits: float32 or float64 [..., V].
        target: integers [...] in [0, V), or ignore_index.
        weight: w, [V]; 1 unless given; not differentiated.
        reduction: "none"; "sum"; or "mean", the sum divided by that of w[t] over the rows that are not ignored.

    Raises:
        IndexError: a class is outside.
        ValueError: the shapes do not fit.
    """
    check_float("cross_entropy", "logits", check_tensor("cross_entropy", "logits", logits))
    check_tensor("cross_entropy", "target", target)
    check_same_device("cross_entropy", logits=logits, target=target, weight=weight)
    check_same_dtype("cross_entropy", logits=logits, weight=weight)
    if target.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: expected target of integers, got dtype {target.dtype}")
    if not logits.ndim or target.shape != logits.shape[:-1]:
        raise ValueError(
            f"cross_entropy: expected target.shape == {logits.shape[:-1]} (logits.shape without its last), got {target.shape}"
        )
    device, labels = logits.device, class_indices("cross_entropy", target, logits.shape[-1], ignore_index)
    attrs: dict[str, Any] = {"ignore_index": int(ignore_index), "label_smoothing": float(label_smoothing)}
    if device.name == "cuda":
        check_target("cross_entropy", labels, logits.shape[-1], attrs["ignore_index"])
    loss = device.empty(target.shape, logits.dtype)
    stats = device.empty((*target.shape, 2), logits.dtype)
    weights = None if weight is None else weight._data
    ready: list[Any] = []
    if reduction != "none" and logits.requires_grad and is_grad_enabled():
        ready.append(device.empty(logits.shape, logits.dtype, logits._data))
    scale, divisor = 1.0, None
    if reduction == "mean":
        divisor = _counted(labels, weights, attrs["ignore_index"], logits.shape[-1])
        scale = 1 / divisor if divisor else math.inf
    device.kernels["cross_entropy_forward"](
        loss, stats, ready[0] if ready else None, logits._data, labels, weights, **attrs, grad_scale=scale
    )
    if reduction != "none":
        loss = _sum_of_rows(device, loss, divisor)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        x, target, *rest = node.saved
        weights = rest[0]._data if rest else None
        if is_grad_enabled():
            rows = broadcast_to(grad if reduction == "none" else multiply(grad, scale), target.shape)
            return (_composite_backward(rows, x, labels, weights, **attrs),)
        known = ready.pop() if ready else None
        if known is not None and grad.item() == 1:
            return (wrap(known, x.device),)
        each = grad._data if reduction == "none" else np.broadcast_to(grad._data * x.dtype.type(scale), target.shape)
        data = x.device.empty(x.shape, x.dtype, x._data)
        x.device.kernels["cross_entropy_backward_logits"](data, each, stats, x._data, labels, weights, **attrs)
        return (wrap(data, x.device),)

    saved = (logits, target) if weight is None else (logits, target, weight)
    return record("cross_entropy", loss, (logits,), backward, saved)  # type: ignore[no-any-return]


def _counted(labels: Any, weights: Any, ignore_index: int, classes: int) -> float:
    """The sum of the weights of the rows that count. Labels that are no classes are left for the kernel to refuse."""
    counted = labels != ignore_index
    if weights is None:
        return float(counted.sum())
    return float(weights[labels[counted & (labels >= 0) & (labels < classes)]].sum())


def _sum_of_rows(device: Device, loss: Any, divisor: float | None) -> Any:
    total = device.empty((1,) * loss.ndim, loss.dtype)
    device.kernels["sum_forward"](total, loss)
    total = total.reshape(())
    with np.errstate(invalid="ignore"):  # the mean of nothing is NaN
        return total if divisor is None else device.xp.asarray(total / total.dtype.type(divisor))


def class_indices(op: str, target: Tensor, classes: int, ignore_index: int) -> Any:
    """Class indices in the dtype that the kernels read.

    Raises:
        IndexError: one is too large for it.
    """
    if target.dtype == np.uint64 and target.size and target._data.max() > np.iinfo(np.int64).max:
        largest = int(target._data.max())
        raise IndexError(f"{op}: expected target in [0, {classes}) or ignore_index {ignore_index}, got {largest}")
    return target._data if target.dtype == np.int64 else target._data.astype(np.int64)


def _composite_backward(grad: Tensor, x: Tensor, labels: Any, weights: Any, ignore_index: int, label_smoothing: float) -> Tensor:
    """grad (softmax(x) q - q_v), q_v the weighted share of class v and q their sum; in ops, to be differentiated again."""
    classes, xp = x.shape[-1], x.device.xp
    w = xp.ones(classes, x.dtype) if weights is None else weights
    ignored = labels == ignore_index
    share = xp.eye(classes, dtype=x.dtype)[xp.where(ignored, 0, labels)] * (1 - label_smoothing) + label_smoothing / classes
    share = share * w * ~ignored[..., None]
    q = wrap(xp.ascontiguousarray(share.astype(x.dtype)), x.device)
    change = subtract(multiply(softmax(x, -1), sum(q, axis=-1, keepdims=True)), q)
    return multiply(expand_dims(grad, axis=-1), change)


__all__ = ["cross_entropy", "log_softmax", "softmax"]
