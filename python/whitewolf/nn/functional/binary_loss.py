"""Losses of two classes: the cross-entropy of a probability or a logit."""

from __future__ import annotations

from ...graph import Node, no_grad, record
from ...ops import elementwise
from ...ops._common import check_same_device, check_same_dtype
from ...ops.loss import bernoulli_of_logits
from ...ops.select import clip
from ...tensor import Tensor
from .activation import softplus
from .loss import _pair, _reduce, check_reduction


def _check_broadcast(op: str, name: str, given: Tensor | None, input: Tensor) -> None:
    """Checks weights that broadcast to the input's shape."""
    if given is None:
        return
    check_same_device(op, input=input, **{name: given})
    check_same_dtype(op, input=input, **{name: given})
    own = given.shape[::-1]
    if len(own) > input.ndim or any(n not in (1, m) for n, m in zip(own, input.shape[::-1])):
        raise ValueError(f"{op}: expected {name} that broadcasts to {input.shape} (input.shape), got {name}.shape == {given.shape}")


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-w (t log p + (1 - t) log(1 - p)), p = input, t = target; a logarithm counts as -100 where it is less.

    `binary_cross_entropy_with_logits` is exact where p is near 0 or 1. The derivative is (p - t) / max(p (1 - p), 1e-12).

    Args:
        input: probabilities, float32 or float64 in [0, 1].
        target: of the same shape, in [0, 1].
        weight: w, broadcast; 1 unless given.

    Raises:
        ValueError: the shapes differ, or an input is outside [0, 1].

    >>> import whitewolf as ww
    >>> ww.nn.functional.binary_cross_entropy(ww.asarray([0.5]), ww.asarray([1.0]))
    tensor(0.6931)
    """
    op = "binary_cross_entropy"
    _pair(op, input, target)
    reduction = check_reduction(op, reduction, size_average, reduce)
    _check_broadcast(op, "weight", weight, input)
    p = input._data
    if bool(((p < 0) | (p > 1)).any()):
        wrong = float(p[(p < 0) | (p > 1)][0])
        raise ValueError(f"{op}: expected input in [0, 1], got {wrong}")
    loss = _bernoulli(input, target)
    return _reduce(loss if weight is None else loss * weight, reduction)


def _logarithms(p: Tensor) -> tuple[Tensor, Tensor]:
    """log p and log(1 - p), clipped."""
    return clip(elementwise.log(p), min=-100.0), clip(elementwise.log1p(elementwise.negative(p)), min=-100.0)


def _bernoulli(p: Tensor, t: Tensor) -> Tensor:
    """The loss of each element; its derivative is not that of clipped logarithms, which is NaN or 0 at p = 0 and 1."""
    with no_grad():
        hit, miss = _logarithms(p)
        data = ((t - 1) * miss - t * hit)._data

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        p, t = node.saved
        by_p = grad * ((p - t) / clip(p * (1 - p), min=1e-12)) if node.needs[0] else None
        if not node.needs[1]:
            return by_p, None
        hit, miss = _logarithms(p)
        return by_p, grad * (miss - hit)

    return record("binary_cross_entropy", data, (p, t), backward, (p, t))  # type: ignore[no-any-return]  # record's result is Any: a Tensor, or several


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-w (q t log s + (1 - t) log(1 - s)), s = 1 / (1 + exp(-input)), t = target; without overflow for any input.

    Args:
        input: logits.
        target: of the same shape, in [0, 1].
        weight: w, broadcast; 1 unless given.
        pos_weight: q, broadcast; 1 unless given.

    Raises:
        ValueError: the shapes differ, or the reduction is none of those.

    >>> import whitewolf as ww
    >>> ww.nn.functional.binary_cross_entropy_with_logits(ww.zeros(2), ww.ones(2))
    tensor(0.6931)
    """
    op = "binary_cross_entropy_with_logits"
    _pair(op, input, target)
    reduction = check_reduction(op, reduction, size_average, reduce)
    for name, given in (("weight", weight), ("pos_weight", pos_weight)):
        _check_broadcast(op, name, given, input)
    loss = bernoulli_of_logits(input, target)
    if pos_weight is not None:  # the part of t is q times as much, and -log s = softplus(-x). Beyond 50 softplus is its argument.
        loss = loss + (pos_weight - 1) * target * softplus(elementwise.negative(input), 1.0, 50.0)
    return _reduce(loss if weight is None else loss * weight, reduction)
