"""Losses."""

from __future__ import annotations

from ...ops import elementwise, manipulation, reduce
from ...ops._common import check_float, check_same_device, check_same_dtype, check_tensor
from ...ops.indexing import take_along_axis
from ...ops.logic import less
from ...ops.select import where
from ...ops.softmax import cross_entropy as class_cross_entropy
from ...ops.softmax import log_softmax
from ...tensor import Tensor, wrap


def check_reduction(op: str, reduction: str) -> str:
    """`reduction`, if it is one.

    Raises:
        ValueError: it is not "mean", "sum" or "none".
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{op}: expected reduction to be 'mean', 'sum' or 'none', got {reduction!r}")
    return reduction


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    return reduce.mean(loss) if reduction == "mean" else reduce.sum(loss) if reduction == "sum" else loss


def _pair(op: str, input: Tensor, target: Tensor, reduction: str) -> None:
    """Checks input and target of one shape, dtype and device: broadcasting here is nearly always a mistake."""
    check_float(op, "input", check_tensor(op, "input", input))
    check_tensor(op, "target", target)
    check_same_device(op, input=input, target=target)
    check_same_dtype(op, input=input, target=target)
    if input.shape != target.shape:
        raise ValueError(f"{op}: expected target.shape == {input.shape} (input.shape), got target.shape == {target.shape}")
    check_reduction(op, reduction)


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(input - target)^2, its mean, its sum, or (reduction="none") each element's.

    Args:
        input, target: float32 or float64 of one shape.

    Raises:
        ValueError: the shapes differ.

    >>> import whitewolf as ww
    >>> ww.nn.functional.mse_loss(ww.asarray([1.0, 2.0]), ww.asarray([1.0, 4.0])).item()
    2.0
    """
    _pair("mse_loss", input, target, reduction)
    return _reduce(elementwise.square(elementwise.subtract(input, target)), reduction)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """|input - target|, with slope 0 where they are equal; arguments and errors as `mse_loss`."""
    _pair("l1_loss", input, target, reduction)
    return _reduce(elementwise.abs(elementwise.subtract(input, target)), reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, for d = input - target (Girshick 2015, equation 3, with beta 1).

    Args:
        beta: where the parabola ends; 0 gives `l1_loss`.
    """
    _pair("smooth_l1_loss", input, target, reduction)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: expected beta >= 0, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    difference = elementwise.subtract(input, target)
    size = elementwise.abs(difference)
    near = elementwise.square(difference) * (0.5 / beta)
    return _reduce(where(less(size, beta), near, size - 0.5 * beta), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None
) -> Tensor:
    """-w (q t log s + (1 - t) log(1 - s)), s = 1 / (1 + exp(-input)), t = target; without overflow for any input.

    Args:
        input: logits.
        target: of the same shape, in [0, 1].
        weight: w, broadcast; 1 unless given.
        pos_weight: q, broadcast; 1 unless given.
    """
    from .activation import softplus

    op = "binary_cross_entropy_with_logits"
    _pair(op, input, target, reduction)
    # -log s = softplus(-x) and -log(1 - s) = x + softplus(-x). Beyond 50 softplus is its argument, to float64's rounding.
    slope = softplus(elementwise.negative(input), 1.0, 50.0)
    if pos_weight is not None:
        slope = slope * (1 + (pos_weight - 1) * target)
    loss = (1 - target) * input + slope
    return _reduce(loss if weight is None else loss * weight, reduction)


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """-w[t] input[t] for the class t = target of each sample; "mean" divides by the sum of the weights used.

    Args:
        input: log-probabilities, float32 or float64 [N, C], [N, C, ...] or [C].
        target: integers in [0, C), or ignore_index: [N], [N, ...] or 0-d.
        weight: [C]; 1 unless given.
        ignore_index: samples of this class count nothing.

    Raises:
        ValueError: the shapes do not fit.
        IndexError: a class is outside.
    """
    log_p, n = _class_axis_last("nll_loss", input, target, weight, reduction)
    labels = target._data
    ignored = labels == ignore_index
    if bool(((labels < 0) | (labels >= n))[~ignored].any()):
        wrong = labels[((labels < 0) | (labels >= n)) & ~ignored].ravel()[0]
        raise IndexError(f"nll_loss: expected target in [0, {n}) or ignore_index {ignore_index}, got {wrong}")
    xp, device = input.device.xp, input.device
    index = wrap(xp.where(ignored, 0, labels).astype("int64")[..., None], device)
    scale = xp.ones(n, input.dtype) if weight is None else weight._data
    scales = wrap(xp.where(ignored, 0, scale[index._data[..., 0]]).astype(input.dtype), device)
    picked = manipulation.squeeze(take_along_axis(log_p, index, axis=-1), -1)
    loss = elementwise.negative(where(wrap(xp.asarray(ignored), device), 0.0, picked) * scales)
    return reduce.sum(loss) / reduce.sum(scales) if reduction == "mean" else _reduce(loss, reduction)


def _class_axis_last(op: str, input: Tensor, target: Tensor, weight: Tensor | None, reduction: str) -> tuple[Tensor, int]:
    """Input as [..., C] beside targets of class indices [...], checked; and C."""
    check_float(op, "input", check_tensor(op, "input", input))
    check_tensor(op, "target", target)
    check_same_device(op, input=input, target=target, weight=weight)
    check_same_dtype(op, input=input, weight=weight)
    check_reduction(op, reduction)
    if not input.ndim:
        raise ValueError(f"{op}: expected input [N, C, ...] or [C], got a 0-d tensor")
    axis = 0 if input.ndim == 1 else 1
    classes = input.shape[axis]
    if weight is not None and weight.shape != (classes,):
        raise ValueError(
            f"{op}: expected weight.shape == ({classes},), the classes of input.shape == {input.shape}, got {weight.shape}"
        )
    if target.dtype.kind in "iu":
        expected = input.shape[:axis] + input.shape[axis + 1 :]
        if target.shape != expected:
            raise ValueError(f"{op}: expected target.shape == {expected} (input.shape without its classes), got {target.shape}")
    return manipulation.moveaxis(input, axis, -1) if axis != input.ndim - 1 else input, classes


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-w[t] log softmax(input)[t] for the class t = target of each sample; "mean" divides by the sum of the weights used.

    With e = label_smoothing, a class is replaced by 1 - e times itself and e spread evenly over all C (Szegedy et al. 2016,
    arXiv 1512.00567, section 7).

    Args:
        input: logits, float32 or float64 [N, C], [N, C, ...] or [C].
        target: integers in [0, C), or ignore_index: [N], [N, ...] or 0-d; or probabilities of the shape of input, whose "mean"
            divides by the number of samples.
        weight: [C]; 1 unless given.
        ignore_index: samples of this class count nothing.

    Raises:
        ValueError: the shapes do not fit.
        IndexError: a class is outside.

    >>> import whitewolf as ww
    >>> round(ww.nn.functional.cross_entropy(ww.asarray([[2.0, 0.0]]), ww.asarray([0])).item(), 4)
    0.1269
    """
    logits, classes = _class_axis_last("cross_entropy", input, target, weight, reduction)
    if target.dtype.kind in "iu":
        return class_cross_entropy(
            logits, target, weight, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
        )
    _pair("cross_entropy", input, target, reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: expected label_smoothing in [0, 1], got {label_smoothing}")
    wanted = target * (1 - label_smoothing) + label_smoothing / classes
    wanted = manipulation.moveaxis(wanted, 0 if input.ndim == 1 else 1, -1)
    log_p = log_softmax(logits, -1)
    loss = elementwise.negative(reduce.sum(wanted * (log_p if weight is None else log_p * weight), axis=-1))
    return _reduce(loss, reduction)
