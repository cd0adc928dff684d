"""Connectionist temporal classification."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops import elementwise, joining, manipulation
from ...ops import reduce as reductions
from ...ops._common import check_flag, check_float, check_int, check_tensor
from ...ops.creation import full
from ...ops.gather import gather
from ...ops.select import where
from ...tensor import Tensor, wrap
from .loss import _reduce, check_reduction

_NEVER = -1e30  # the logarithm of 0, finite so that gradients through paths that do not exist are 0 and not NaN


def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
) -> Tensor:  # fmt: skip
    """-log of the probability that a sequence of frames spells the labels, blanks and repetitions dropped (Graves et al. 2006).

    alpha_t(s) = y_t(l'_s) (alpha_{t-1}(s) + alpha_{t-1}(s - 1) + alpha_{t-1}(s - 2)), the last term only where l'_s is neither blank nor
    l'_{s-2} (equations 6 and 7, in logarithms); l' is the labels with blanks around each.

    Args:
        log_probs: logarithms of probabilities, as `log_softmax` gives them, float32 or float64 [T, N, C], or [T, C] of one sequence.
        targets: integers in [0, C) but blank, [N, S]; or those of all sequences one after the other, [the sum of target_lengths].
        input_lengths, target_lengths: ints in [0, T] and [0, S], one for each sequence.
        blank: the class of the blank.
        reduction: "none", "sum", or "mean": each loss divided by its target's length, and their mean.
        zero_infinity: 0, with gradient 0, for targets that are too long for their frames; otherwise infinity.

    Raises:
        ValueError: the shapes or lengths do not fit.
        IndexError: a label or the blank is outside.

    >>> import whitewolf as ww
    >>> frames = ww.nn.functional.log_softmax(ww.zeros((2, 1, 2)), 2)
    >>> round(ww.exp(-ww.nn.functional.ctc_loss(frames, ww.asarray([[1]]), [2], [1], reduction="sum")).item(), 4)
    0.75
    """
    op = "ctc_loss"
    check_float(op, "log_probs", check_tensor(op, "log_probs", log_probs))
    check_reduction(op, reduction)
    check_flag(op, "zero_infinity", zero_infinity)
    if log_probs.ndim not in (2, 3):
        raise ValueError(f"{op}: expected log_probs [T, N, C] or [T, C], got log_probs.shape == {log_probs.shape}")
    if log_probs.ndim == 2:
        one = ctc_loss(manipulation.expand_dims(log_probs, axis=1), manipulation.reshape(check_tensor(op, "targets", targets), (1, -1)),
                       np.reshape(_host(input_lengths), -1), np.reshape(_host(target_lengths), -1), blank, reduction, zero_infinity)  # fmt: skip
        return one if reduction != "none" else manipulation.squeeze(one, 0)
    steps, samples, classes = log_probs.shape
    if not 0 <= check_int(op, "blank", blank) < classes:
        raise IndexError(f"{op}: expected blank in [0, {classes}), got {blank}")
    frames = _lengths(op, "input_lengths", input_lengths, samples, steps)
    labels, sizes = _labels(op, targets, target_lengths, samples, classes, blank)
    device, longest = log_probs.device, labels.shape[1]
    spread = np.full((samples, 2 * longest + 1), blank, np.int64)  # l'
    spread[:, 1::2] = labels
    jumps = np.zeros(spread.shape, bool)
    jumps[:, 2:] = (spread[:, 2:] != blank) & (spread[:, 2:] != spread[:, :-2])
    if not steps:
        never = np.where(sizes == 0, 0.0, np.inf)
        return _finish(wrap(never.astype(log_probs.dtype), device), sizes, reduction, zero_infinity)
    heard = gather(log_probs, 2, wrap(np.ascontiguousarray(np.broadcast_to(spread, (steps, *spread.shape))), device))
    low = full(spread.shape, _NEVER, dtype=log_probs.dtype, device=device)
    edge, skip = low[:, :1], wrap(jumps, device)
    start = np.zeros(spread.shape, bool)
    start[:, :2] = True
    alpha = where(wrap(start & (np.arange(spread.shape[1]) <= 2 * sizes[:, None]), device), heard[0], low)
    for t in range(1, steps):
        one = joining.concat([edge, alpha[:, :-1]], axis=1)
        two = joining.concat([edge, one[:, :-1]], axis=1)
        paths = reductions.logsumexp(joining.stack([alpha, one, where(skip, two, low)]), axis=0)
        new = elementwise.add(paths, heard[t])
        running = frames > t
        alpha = new if running.all() else where(wrap(running[:, None], device), new, alpha)
    ends = wrap(np.stack([2 * sizes, np.maximum(2 * sizes - 1, 0)], 1), device)
    last = gather(alpha, 1, ends)
    last = where(wrap(np.stack([sizes >= 0, sizes > 0], 1), device), last, _NEVER)
    loss = elementwise.negative(reductions.logsumexp(last, axis=1))
    impossible = loss._data > -_NEVER / 2
    if (frames == 0).any():  # no frames spell nothing, and nothing else
        loss = where(wrap(frames == 0, device), 0.0, loss)
        impossible = np.where(frames == 0, sizes > 0, impossible)
    if impossible.any():
        loss = where(wrap(impossible, device), float("inf"), loss)
    return _finish(loss, sizes, reduction, zero_infinity)


def _finish(loss: Tensor, sizes: Any, reduction: str, zero_infinity: bool) -> Tensor:
    if zero_infinity:
        loss = where(wrap(np.isinf(loss._data), loss.device), 0.0, loss)
    if reduction == "mean":
        loss = elementwise.divide(loss, wrap(np.maximum(sizes, 1).astype(loss.dtype), loss.device))
    return _reduce(loss, reduction)


def _host(value: Any) -> Any:
    return value.numpy() if isinstance(value, Tensor) else np.asarray(value)


def _lengths(op: str, name: str, value: Any, samples: int, most: int) -> Any:
    """int64 [N], each in [0, most]."""
    found = _host(value)
    if found.dtype.kind not in "iu" and found.size:
        raise TypeError(f"{op}: expected {name} of integers, got dtype {found.dtype}")
    if found.shape != (samples,):
        raise ValueError(f"{op}: expected {name} of {samples} ints, one for each sequence, got shape {found.shape}")
    found = found.astype(np.int64)
    if found.size and not (found.min() >= 0 and found.max() <= most):
        raise ValueError(f"{op}: expected {name} in [0, {most}], got {found.tolist()}")
    return found


def _labels(op: str, targets: Tensor, target_lengths: Any, samples: int, classes: int, blank: int) -> tuple[Any, Any]:
    """Labels as [N, the longest], and their number in each sequence."""
    given = check_tensor(op, "targets", targets).numpy()
    if given.dtype.kind not in "iu":
        raise TypeError(f"{op}: expected targets of integers, got dtype {targets.dtype}")
    if given.ndim not in (1, 2) or given.ndim == 2 and given.shape[0] != samples:
        raise ValueError(f"{op}: expected targets [{samples}, S] or all in one row, got targets.shape == {targets.shape}")
    sizes = _lengths(op, "target_lengths", target_lengths, samples, given.shape[-1])
    longest = int(sizes.max(initial=0))
    found = np.full((samples, longest), blank, np.int64)
    if given.ndim == 1 and int(sizes.sum()) != given.size:
        raise ValueError(f"{op}: expected targets of {int(sizes.sum())} labels (the sum of target_lengths), got {given.size}")
    ends = np.cumsum(sizes)
    for n, size in enumerate(sizes):
        found[n, :size] = given[n, :size] if given.ndim == 2 else given[ends[n] - size : ends[n]]
    if found.size and not (found.min() >= 0 and found.max() < classes):
        raise IndexError(f"{op}: expected targets in [0, {classes}), got {int(found.min())} to {int(found.max())}")
    return found, sizes


__all__ = ["ctc_loss"]
