"""Losses that ask for a margin: between a score and its sign, between classes, between distances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ops import elementwise, manipulation
from ...ops import reduce as reductions
from ...ops._common import check_float, check_same_device, check_same_dtype, check_tensor
from ...ops.binary import minimum
from ...ops.indexing import take, take_along_axis
from ...ops.logic import equal, not_equal
from ...ops.manipulation import astype
from ...ops.select import clip, where
from ...tensor import Tensor, wrap
from .activation import softplus
from .distance import check_vectors, pairwise_distance
from .loss import _pair, _reduce, check_reduction


def _as_numbers(op: str, target: Tensor, input: Tensor) -> Tensor:
    """Targets of integers in the input's dtype."""
    check_tensor(op, "target", target)
    return astype(target, input.dtype) if target.dtype.kind in "iu" and isinstance(input, Tensor) else target


def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + e^(-target input)), without overflow.

    Args:
        input: float32 or float64, any shape.
        target: -1 or 1, of the same shape and dtype.

    Raises:
        ValueError: the shapes do not fit, or the reduction is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.functional.soft_margin_loss(ww.asarray([0.0]), ww.asarray([1.0]))
    tensor(0.6931)
    """
    _pair("soft_margin_loss", input, target)
    reduction = check_reduction("soft_margin_loss", reduction, size_average, reduce)
    return _reduce(softplus(elementwise.negative(target * input), 1.0, 50.0), reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes of w (softplus(-x) t + softplus(x) (1 - t)), x = input, t = target in {0, 1}.

    Args:
        input: float32 or float64 [..., C].
        target: of the same shape, and of the same dtype or integers.
        weight: w, [C]; 1 unless given.

    Raises:
        ValueError: the shapes do not fit, or the reduction is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.functional.multilabel_soft_margin_loss(ww.zeros((1, 2)), ww.ones((1, 2)))
    tensor(0.6931)
    """
    op = "multilabel_soft_margin_loss"
    target = _as_numbers(op, target, input)
    _pair(op, input, target)
    reduction = check_reduction(op, reduction, size_average, reduce)
    check_same_device(op, input=input, weight=weight)
    loss = softplus(elementwise.negative(input), 1.0, 50.0) * target + softplus(input, 1.0, 50.0) * (1 - target)
    return _reduce(reductions.mean(loss if weight is None else loss * weight, axis=-1), reduction)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """input where target is 1, max(0, margin - input) where it is -1.

    Args:
        input: distances, float32 or float64.
        target: -1 or 1, of the same shape and dtype.

    Raises:
        ValueError: the shapes do not fit, or the reduction is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.functional.hinge_embedding_loss(ww.asarray([0.5, 0.25]), ww.asarray([1.0, -1.0]), reduction="none")
    tensor([0.5 , 0.75])
    """
    _pair("hinge_embedding_loss", input, target)
    reduction = check_reduction("hinge_embedding_loss", reduction, size_average, reduce)
    apart = where(not_equal(target, 1), clip(margin - input, min=0.0), 0.0)
    return _reduce(apart + where(not_equal(target, -1), input, 0.0), reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - target (input1 - input2)): the first ranks higher where target is 1, lower where it is -1.

    Args:
        input1, input2: float32 or float64; they and target broadcast.
        target: -1 or 1, of the same dtype or integers.

    Raises:
        ValueError: the shapes do not fit, or the reduction is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.functional.margin_ranking_loss(ww.asarray([1.0]), ww.asarray([3.0]), ww.asarray([1.0]))
    tensor(2.)
    """
    target = _as_numbers("margin_ranking_loss", target, input1)
    check_vectors("margin_ranking_loss", input1=input1, input2=input2, target=target)
    reduction = check_reduction("margin_ranking_loss", reduction, size_average, reduce)
    return _reduce(clip(margin - target * (input1 - input2), min=0.0), reduction)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos where target is 1, max(0, cos - margin) where it is -1, cos the angle's between the two vectors.

    Args:
        input1, input2: float32 or float64 [N, D], or [D].
        target: -1 or 1, [N], or 0-d.

    Raises:
        ValueError: the shapes do not fit, or the reduction is none of those.

    >>> import whitewolf as ww
    >>> x = ww.asarray([[1.0, 0.0]])
    >>> ww.nn.functional.cosine_embedding_loss(x, x, ww.asarray([-1.0]), margin=0.5).item()
    0.5
    """
    op = "cosine_embedding_loss"
    check_vectors(op, input1=input1, input2=input2)
    check_same_device(op, input1=input1, target=check_tensor(op, "target", target))
    reduction = check_reduction(op, reduction, size_average, reduce)
    if input1.ndim not in (1, 2) or input1.shape != input2.shape or target.shape != input1.shape[:-1]:
        raise ValueError(
            f"{op}: expected input1 and input2 [N, D] and target [N], or [D] and 0-d, got {input1.shape}, {input2.shape} and "
            f"{target.shape}"
        )
    lengths = [reductions.sum_squares(x, axis=-1) + 1e-12 for x in (input1, input2)]
    cos = reductions.sum(input1 * input2, axis=-1) / elementwise.sqrt(lengths[0] * lengths[1])
    together = where(equal(target, 1), 1 - cos, 0.0)
    return _reduce(together + where(equal(target, -1), clip(cos - margin, min=0.0), 0.0), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the p-norm's distance (Balntas et al. 2016).

    Args:
        anchor, positive, negative: float32 or float64 [N, D], or [D].
        swap: take d(positive, negative) for the second distance where it is less.

    Raises:
        ValueError: the margin is not positive.

    >>> import whitewolf as ww
    >>> x = ww.zeros((1, 2))
    >>> ww.nn.functional.triplet_margin_loss(x, x, x)
    tensor(1.)
    """
    check_vectors("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
    reduction = check_reduction("triplet_margin_loss", reduction, size_average, reduce)
    if not margin > 0:
        raise ValueError(f"triplet_margin_loss: expected margin > 0, got {margin}")
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        other = pairwise_distance(positive, negative, p, eps)
        far = where(other < far, other, far)
    return _reduce(clip(near - far + margin, min=0.0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of one's own.

    Args:
        anchor, positive, negative: what the distance takes.
        distance_function: d(x1, x2); `pairwise_distance` unless given.
        swap: take d(positive, negative) for the second distance where it is less.

    Raises:
        ValueError: the margin is negative.

    >>> import whitewolf as ww
    >>> x = ww.zeros((1, 2))
    >>> ww.nn.functional.triplet_margin_with_distance_loss(x, x, x, distance_function=lambda a, b: ww.sum(a - b, axis=1))
    tensor(1.)
    """
    op = "triplet_margin_with_distance_loss"
    check_vectors(op, anchor=anchor, positive=positive, negative=negative)
    check_reduction(op, reduction)
    if not margin >= 0:
        raise ValueError(f"{op}: expected margin >= 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return _reduce(clip(near - far + margin, min=0), reduction)


def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Tensor:
    """The sum over the right classes j and the others i of max(0, 1 - (x[j] - x[i])), divided by the number of classes C.

    Args:
        input: x, float32 or float64 [N, C] or [C].
        target: integers of the same shape: the right classes in [0, C), up to the first -1.

    Raises:
        ValueError: the shapes differ.
        IndexError: a class is outside.

    >>> import whitewolf as ww
    >>> ww.nn.functional.multilabel_margin_loss(ww.asarray([0.0, 1.0]), ww.asarray([1, -1]))
    tensor(0.)
    """
    op = "multilabel_margin_loss"
    check_float(op, "input", check_tensor(op, "input", input))
    reduction = check_reduction(op, reduction, size_average, reduce)
    check_same_device(op, input=input, target=check_tensor(op, "target", target))
    if target.dtype.kind not in "iu":
        raise TypeError(f"{op}: expected target of integers, got dtype {target.dtype}")
    if target.shape != input.shape or input.ndim > 2:
        raise ValueError(f"{op}: expected input and target of one shape [N, C] or [C], got {input.shape} and {target.shape}")
    rows = input.shape[:1] if input.ndim == 2 else ()
    classes = input.shape[-1] if input.ndim else 1
    x, labels = manipulation.reshape(input, (-1, classes)) if input.size else input, target.numpy().reshape(-1, classes)
    if not input.size:
        return _reduce(reductions.sum(x, axis=-1), reduction)
    counts = np.cumprod(labels >= 0, axis=1).astype(bool)  # up to the first -1
    chosen = np.where(counts, labels, 0)
    if chosen.max(initial=0) >= classes:
        raise IndexError(f"{op}: expected target in [0, {classes}), got {int(chosen.max())}")
    right = np.zeros(labels.shape, bool)
    row, place = np.nonzero(counts)
    right[row, chosen[row, place]] = True
    picked = take_along_axis(x, wrap(chosen.astype(np.int64), x.device), axis=1)
    lack = clip(1 - (manipulation.expand_dims(picked, axis=2) - manipulation.expand_dims(x, axis=1)), min=0)
    wanted = wrap((counts[:, :, None] & ~right[:, None, :]).astype(x.dtype), x.device)
    loss = reductions.sum(lack * wanted, axis=(1, 2)) / classes
    return _reduce(manipulation.reshape(loss, rows), reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum over classes j other than y = target of w[y] max(0, margin - x[y] + x[j])^p / C (Crammer and Singer 2001).

    Args:
        input: x, float32 or float64 [N, C], or [C].
        target: integers in [0, C), [N], or 0-d.
        p: 1 or 2.
        weight: w, [C]; 1 unless given.

    Raises:
        IndexError: a class is outside.
        ValueError: the shapes do not fit, or p is neither 1 nor 2.

    >>> import whitewolf as ww
    >>> ww.nn.functional.multi_margin_loss(ww.asarray([0.0, 0.5]), ww.asarray(0)).item()
    0.75
    """
    op = "multi_margin_loss"
    check_float(op, "input", check_tensor(op, "input", input))
    check_same_device(op, input=input, target=check_tensor(op, "target", target), weight=weight)
    check_same_dtype(op, input=input, weight=weight)
    reduction = check_reduction(op, reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError(f"{op}: expected p to be 1 or 2, got {p}")
    if input.ndim < 2 and target.shape in ((), (1,)):  # one sample, or one class of one sample, with or without its dimension
        input, target = manipulation.reshape(input, (-1,)), manipulation.reshape(target, ())
    if input.ndim not in (1, 2) or target.shape != input.shape[:-1]:
        raise ValueError(f"{op}: expected input [N, C] and target [N], got {input.shape} and {target.shape}")
    if target.dtype.kind not in "iu":
        raise TypeError(f"{op}: expected target of integers, got dtype {target.dtype}")
    classes, labels = input.shape[-1], target._data
    if bool(((labels < 0) | (labels >= classes)).any()):
        raise IndexError(f"{op}: expected target in [0, {classes}), got {int(labels.min())} to {int(labels.max())}")
    index = manipulation.unsqueeze(wrap(labels.astype("int64"), target.device), -1)
    loss = clip(margin - take_along_axis(input, index, axis=-1) + input, min=0.0)
    loss = elementwise.square(loss) if p == 2 else loss
    own = input.device.xp.arange(classes) == index._data
    loss = where(wrap(own, input.device), 0.0, loss)
    if weight is not None:
        if weight.shape != (classes,):
            raise ValueError(f"{op}: expected weight.shape == ({classes},) (classes), got {weight.shape}")
        loss = loss * manipulation.reshape(take(weight, manipulation.reshape(index, (-1,)), axis=0), index.shape)
    return _reduce(reductions.sum(loss, axis=-1) / classes, reduction)


__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]
