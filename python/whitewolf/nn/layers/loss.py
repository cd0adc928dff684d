"""Losses; the formulas are those of the functions in nn.functional.

`reduction` is "mean", "sum" or "none" (a loss for each element).
"""

from __future__ import annotations

from typing import Any

from ...ops._common import check_flag, check_number
from ...tensor import Tensor
from .. import functional as F
from ..functional.loss import check_reduction
from ..module import Module


class _Loss(Module):
    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = check_reduction(type(self).__name__, reduction, size_average, reduce)


class _WeightedLoss(_Loss):
    """The weight is a buffer: it moves with the module."""

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """The cross-entropy of logits [N, C, ...] and classes; see `F.cross_entropy`.

    >>> import whitewolf as ww
    >>> round(ww.nn.CrossEntropyLoss()(ww.zeros((1, 10)), ww.asarray([3])).item(), 4)
    2.3026
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_WeightedLoss):
    """The negative log likelihood of log-probabilities [N, C, ...] and classes; see `F.nll_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.NLLLoss()(ww.asarray([[-0.5, -1.0]]), ww.asarray([1]))
    tensor(1.)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(_Loss):
    """(input - target)^2; see `F.mse_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.MSELoss()(ww.asarray([0.5, 0.5]), ww.asarray([1.0, 0.0]))
    tensor(0.25)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|input - target|; see `F.l1_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.L1Loss()(ww.asarray([0.5, 0.5]), ww.asarray([1.0, 0.0]))
    tensor(0.5)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """A parabola within beta of the target, straight lines outside; see `F.smooth_l1_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.SmoothL1Loss()(ww.asarray([0.5, 0.5]), ww.asarray([1.0, 0.0]))
    tensor(0.125)
    """

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", beta: float = 1.0
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        check_number("SmoothL1Loss", "beta", beta)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class BCEWithLogitsLoss(_WeightedLoss):
    """The binary cross-entropy of logits and targets in [0, 1]; see `F.binary_cross_entropy_with_logits`.

    >>> import whitewolf as ww
    >>> ww.nn.BCEWithLogitsLoss()(ww.asarray([0.5, 0.5]), ww.asarray([1.0, 0.0]))
    tensor(0.7241)
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight)


class HuberLoss(_Loss):
    """A parabola within delta of the target, straight lines outside; see `F.huber_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.HuberLoss()(ww.asarray([0.5, 0.5]), ww.asarray([1.0, 0.0]))
    tensor(0.125)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        check_number("HuberLoss", "delta", delta)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class BCELoss(_WeightedLoss):
    """The binary cross-entropy of probabilities and targets in [0, 1]; see `F.binary_cross_entropy`.

    >>> import whitewolf as ww
    >>> ww.nn.BCELoss()(ww.asarray([0.5, 0.5]), ww.asarray([1.0, 0.0]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class KLDivLoss(Module):
    """The divergence of log-probabilities from a target distribution; see `F.kl_div`.

    >>> import whitewolf as ww
    >>> ww.nn.KLDivLoss()(ww.asarray([0.5, 0.5]), ww.asarray([1.0, 0.0]))
    tensor(-0.25)
    """

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", log_target: bool = False
    ) -> None:
        super().__init__()
        if reduction != "batchmean" or size_average is not None or reduce is not None:
            reduction = check_reduction("KLDivLoss", reduction, size_average, reduce)
        check_flag("KLDivLoss", "log_target", log_target)
        self.reduction = reduction
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(_Loss):
    """The negative log likelihood of counts; see `F.poisson_nll_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.PoissonNLLLoss()(ww.asarray([0.5, 0.5]), ww.asarray([1.0, 0.0]))
    tensor(1.3987)
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(
            log_input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """The negative log likelihood of normal distributions; see `F.gaussian_nll_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.GaussianNLLLoss()(ww.zeros(2), ww.ones(2), ww.ones(2))
    tensor(0.5)
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class CTCLoss(_Loss):
    """The probability that frames spell labels, blanks and repetitions dropped (Graves et al. 2006); see `F.ctc_loss`.

    Args:
        blank: the class of the blank.
        reduction: "none", "sum", or "mean": each loss divided by its target's length, and their mean.
        zero_infinity: 0 for targets that are too long for their frames.

    >>> import whitewolf as ww
    >>> frames = ww.nn.functional.log_softmax(ww.zeros((2, 1, 2)), 2)
    >>> round(ww.nn.CTCLoss()(frames, ww.asarray([[1]]), ww.asarray([2]), ww.asarray([1])).item(), 4)
    0.2877
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity)
