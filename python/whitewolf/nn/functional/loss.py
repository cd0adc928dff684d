"""Losses."""

from __future__ import annotations

import math
import warnings

from ...ops import elementwise, manipulation
from ...ops import reduce as reductions
from ...ops._common import check_flag, check_float, check_int, check_number, check_same_device, check_same_dtype, check_tensor
from ...ops.logic import greater
from ...ops.loss import absolute_error, class_likelihood, divergence, smooth_absolute_error, squared_error
from ...ops.rearrange import broadcast_arrays
from ...ops.select import clip, where
from ...ops.softmax import cross_entropy as class_cross_entropy
from ...ops.softmax import log_softmax
from ...tensor import Tensor, wrap
from .distance import check_vectors


def check_reduction(op: str, reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> str:
    """`reduction`, if it is one; or what `size_average` and `reduce` say, its older form, where one of them is given.

    Raises:
        ValueError: it is not "mean", "sum" or "none".
        TypeError: an older flag is no bool.
    """
    if size_average is not None or reduce is not None:
        for name, flag in (("size_average", size_average), ("reduce", reduce)):
            if flag is not None:
                check_flag(op, name, flag)
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        warnings.warn(f"{op}: size_average and reduce are old names; use reduction={reduction!r}", DeprecationWarning, stacklevel=3)
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{op}: expected reduction to be 'mean', 'sum' or 'none', got {reduction!r}")
    return reduction


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    return reductions.mean(loss) if reduction == "mean" else reductions.sum(loss) if reduction == "sum" else loss


def _pair(op: str, input: Tensor, target: Tensor) -> None:
    """Checks input and target of one shape, dtype and device: broadcasting here is nearly always a mistake."""
    check_float(op, "input", check_tensor(op, "input", input))
    check_tensor(op, "target", target)
    check_same_device(op, input=input, target=target)
    check_same_dtype(op, input=input, target=target)
    if input.shape != target.shape:
        raise ValueError(f"{op}: expected target.shape == {input.shape} (input.shape), got target.shape == {target.shape}")


def _like(op: str, weight: Tensor, input: Tensor) -> Tensor:
    """Weights, one for each element."""
    check_same_device(op, input=input, weight=weight)
    check_same_dtype(op, input=input, weight=weight)
    if weight.shape != input.shape:
        raise ValueError(f"{op}: expected weight.shape == {input.shape} (input.shape), got weight.shape == {weight.shape}")
    return weight


def _weighted(op: str, loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """The loss times weight, whose mean divides by the sum of the weights."""
    if weight is None:
        return _reduce(loss, reduction)
    loss = loss * _like(op, weight, loss)
    return reductions.sum(loss) / reductions.sum(weight) if reduction == "mean" else _reduce(loss, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)^2, its mean, its sum, or (reduction="none") each element's.

    `size_average=False` is an old name of reduction="sum", `reduce=False` of "none"; so in all losses.

    Args:
        input, target: float32 or float64 of one shape.
        weight: of that shape; elements are multiplied by it, and "mean" divides by its sum.

    Raises:
        ValueError: the shapes differ, or the reduction is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.functional.mse_loss(ww.asarray([1.0, 2.0]), ww.asarray([1.0, 4.0])).item()
    2.0
    """
    _pair("mse_loss", input, target)
    reduction = check_reduction("mse_loss", reduction, size_average, reduce)
    return _weighted("mse_loss", squared_error(input, target), weight, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|, with slope 0 where they are equal; arguments and errors as `mse_loss`.

    Raises:
        ValueError: the shapes differ, or the reduction is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.functional.l1_loss(ww.asarray([-1.0, 2.0]), ww.zeros(2))
    tensor(1.5)
    """
    _pair("l1_loss", input, target)
    reduction = check_reduction("l1_loss", reduction, size_average, reduce)
    return _weighted("l1_loss", absolute_error(input, target), weight, reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, for d = input - target (Girshick 2015, equation 3, with beta 1).

    Args:
        beta: where the parabola ends; 0 gives `l1_loss`.

    Raises:
        ValueError: the shapes differ, or an option is outside its range.

    >>> import whitewolf as ww
    >>> ww.nn.functional.smooth_l1_loss(ww.asarray([-1.0, 2.0]), ww.zeros(2))
    tensor(1.)
    """
    _pair("smooth_l1_loss", input, target)
    reduction = check_reduction("smooth_l1_loss", reduction, size_average, reduce)
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: expected beta >= 0, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return _reduce(smooth_absolute_error(input, target, beta), reduction)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None) -> Tensor:
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), for d = input - target (Huber 1964), times weight where given.

    Args:
        delta: where the parabola ends, above 0.
        weight: shaped like input; "mean" still divides by the number of elements.

    Raises:
        ValueError: the shapes differ, or an option is outside its range.

    >>> import whitewolf as ww
    >>> ww.nn.functional.huber_loss(ww.asarray([1.0, 3.0]), ww.zeros(2), reduction="none")
    tensor([0.5, 2.5])
    """
    _pair("huber_loss", input, target)
    check_reduction("huber_loss", reduction)
    if not delta > 0:
        raise ValueError(f"huber_loss: expected delta > 0, got {delta}")
    if math.isinf(delta):  # the parabola never ends
        loss = squared_error(input, target) * 0.5
    else:
        loss = smooth_absolute_error(input, target, delta) * delta
    return _reduce(loss if weight is None else loss * _like("huber_loss", weight, input), reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target (log target - input): the divergence of the distribution e^input from target (Kullback and Leibler 1951).

    Args:
        input: log-probabilities, float32 or float64.
        target: probabilities of the same shape, or with log_target their logarithms; 0 log 0 is 0.
        reduction: "batchmean", the divergence of a sample: the sum divided by input.shape[0]; or as of the others.

    Raises:
        ValueError: the shapes differ, or the reduction is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.functional.kl_div(ww.log(ww.asarray([0.5, 0.5])), ww.asarray([1.0, 0.0]), reduction="sum")
    tensor(0.6931)
    """
    _pair("kl_div", input, target)
    if reduction != "batchmean" or size_average is not None or reduce is not None:
        reduction = check_reduction("kl_div", reduction, size_average, reduce)
    check_flag("kl_div", "log_target", log_target)
    loss = divergence(input, target, log_target)
    if reduction == "batchmean":
        return reductions.sum(loss) / (input.shape[0] if input.ndim else 1)
    return _reduce(loss, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of counts: r - target log r + log target!, for the rate r = e^input, or input itself.

    Args:
        log_input: input is log r; otherwise r, and log(r + eps) is taken.
        full: add log target!, by Stirling's formula and for counts above 1 only.

    Raises:
        ValueError: the shapes differ, or the reduction is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.functional.poisson_nll_loss(ww.asarray([0.0]), ww.asarray([2.0]))
    tensor(1.)
    """
    _pair("poisson_nll_loss", input, target)
    reduction = check_reduction("poisson_nll_loss", reduction, size_average, reduce)
    loss = elementwise.exp(input) - target * input if log_input else input - target * elementwise.log(input + eps)
    if full:
        large = where(greater(target, 1), target, 1.0)
        stirling = target * elementwise.log(large) - target + elementwise.log(large * (2 * math.pi)) * 0.5
        loss = loss + where(greater(target, 1), stirling, 0.0)
    return _reduce(loss, reduction)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(log v + (input - target)^2 / v) / 2, v = max(var, eps), and with `full` log(2 pi) / 2 more (Nix and Weigend 1994).

    Args:
        input, target: the expected value and what came; they broadcast.
        var: the variance: a number, or of input's shape, or without its last dimension, or with size 1 in one. Its gradient is that
            of v, as if nothing were clipped.

    Raises:
        ValueError: the shapes do not fit, or a variance is negative.

    >>> import whitewolf as ww
    >>> ww.nn.functional.gaussian_nll_loss(ww.asarray([1.0]), ww.asarray([3.0]), ww.asarray([1.0]))
    tensor(2.)
    """
    op = "gaussian_nll_loss"
    check_vectors(op, input=input, target=target)
    check_reduction(op, reduction)
    if not isinstance(var, Tensor):
        check_number(op, "var", var)
        var = wrap(input.device.xp.full(input.shape, var, input.dtype), input.device)
    check_same_device(op, input=input, var=var)
    check_same_dtype(op, input=input, var=var)
    if var.shape != input.shape:
        if var.shape == input.shape[:-1]:
            var = manipulation.unsqueeze(var, -1)
        elif [m for m, n in zip(var.shape, input.shape) if m != n] != [1] or var.ndim != input.ndim:
            raise ValueError(
                f"{op}: expected var.shape == {input.shape} (input.shape), or 1 in one dimension, or none last, got {var.shape}"
            )
    if input.shape != target.shape:
        input, target = broadcast_arrays(input, target)
    if bool((var._data < 0).any()):
        raise ValueError(f"{op}: expected var >= 0, got {float(var._data.min())}")
    v = var + (clip(var, min=eps) - var).detach()
    loss = (elementwise.log(v) + elementwise.square(input - target) / v) * 0.5
    return _reduce(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
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

    >>> import whitewolf as ww
    >>> ww.nn.functional.nll_loss(ww.asarray([[-0.5, -1.0]]), ww.asarray([1]))
    tensor(1.)
    """
    log_p, _ = _class_axis_last("nll_loss", input, target, weight)
    reduction = check_reduction("nll_loss", reduction, size_average, reduce)
    if target.dtype.kind not in "iu":
        raise TypeError(f"nll_loss: expected target to be class indices of an integer dtype, got {target.dtype}")
    check_int("nll_loss", "ignore_index", ignore_index)
    loss = class_likelihood(log_p, target, weight, ignore_index)
    if reduction != "mean":
        return _reduce(loss, reduction)
    counted = target._data != ignore_index
    scales = counted if weight is None else weight._data[target._data[counted]]
    return reductions.sum(loss) / wrap(scales.sum().astype(input.dtype), input.device)


def _class_axis_last(op: str, input: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, int]:
    """Input as [..., C] beside targets of class indices [...], checked; and C."""
    check_float(op, "input", check_tensor(op, "input", input))
    check_tensor(op, "target", target)
    check_same_device(op, input=input, target=target, weight=weight)
    check_same_dtype(op, input=input, weight=weight)
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
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
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
    logits, classes = _class_axis_last("cross_entropy", input, target, weight)
    reduction = check_reduction("cross_entropy", reduction, size_average, reduce)
    if target.dtype.kind in "iu":
        return class_cross_entropy(
            logits, target, weight, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
        )
    _pair("cross_entropy", input, target)
    if ignore_index >= 0:
        raise ValueError(f"cross_entropy: expected no ignore_index with a target of probabilities, got {ignore_index}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: expected label_smoothing in [0, 1], got {label_smoothing}")
    wanted = target * (1 - label_smoothing) + label_smoothing / classes
    wanted = manipulation.moveaxis(wanted, 0 if input.ndim == 1 else 1, -1)
    log_p = log_softmax(logits, -1)
    loss = elementwise.negative(reductions.sum(wanted * (log_p if weight is None else log_p * weight), axis=-1))
    return _reduce(loss, reduction)
