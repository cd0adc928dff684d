"""Losses that ask for a margin; the formulas are those of the functions in nn.functional."""

from __future__ import annotations

from collections.abc import Callable

from ...ops._common import check_number
from ...tensor import Tensor
from .. import functional as F
from .loss import _Loss, _WeightedLoss


class SoftMarginLoss(_Loss):
    """log(1 + e^(-target input)); see `F.soft_margin_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.SoftMarginLoss()(ww.asarray([0.5, 0.5]), ww.asarray([1.0, 0.0]))
    tensor(0.5836)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """The mean over classes of a binary cross-entropy of logits; see `F.multilabel_soft_margin_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.MultiLabelSoftMarginLoss()(ww.zeros((1, 2)), ww.ones((1, 2)))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class _MarginLoss(_Loss):
    def __init__(self, margin: float, size_average: bool | None, reduce: bool | None, reduction: str) -> None:
        super().__init__(size_average, reduce, reduction)
        check_number(type(self).__name__, "margin", margin)
        self.margin = margin


class HingeEmbeddingLoss(_MarginLoss):
    """A distance, or how much it lacks to the margin; see `F.hinge_embedding_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.HingeEmbeddingLoss()(ww.asarray([0.5, 0.5]), ww.asarray([1.0, 0.0]))
    tensor(0.75)
    """

    def __init__(
        self, margin: float = 1.0, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(_MarginLoss):
    """How much the first input lacks to rank above (below) the second; see `F.margin_ranking_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.MarginRankingLoss()(ww.asarray([1.0]), ww.asarray([2.0]), ww.asarray([1.0]))
    tensor(1.)
    """

    def __init__(
        self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_MarginLoss):
    """The angle between two vectors that belong together, or not; see `F.cosine_embedding_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.CosineEmbeddingLoss()(ww.ones((1, 2)), ww.ones((1, 2)), ww.asarray([-1.0]))
    tensor(1.)
    """

    def __init__(
        self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """An anchor's distance to one vector less that to another, plus a margin; see `F.triplet_margin_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.TripletMarginLoss()(ww.zeros((1, 2)), ww.zeros((1, 2)), ww.zeros((1, 2)))
    tensor(1.)
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(
            anchor, positive, negative, margin=self.margin, p=self.p, eps=self.eps, swap=self.swap, reduction=self.reduction
        )


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with a distance of one's own; see `F.triplet_margin_with_distance_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.TripletMarginWithDistanceLoss()(ww.zeros((1, 2)), ww.zeros((1, 2)), ww.zeros((1, 2)))
    tensor(1.)
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.distance_function, self.margin, self.swap = distance_function, margin, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            anchor, positive, negative, distance_function=self.distance_function, margin=self.margin, swap=self.swap,
            reduction=self.reduction,
        )  # fmt: skip


class MultiLabelMarginLoss(_Loss):
    """How much wrong classes come within a margin of any right one; see `F.multilabel_margin_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.MultiLabelMarginLoss()(ww.asarray([[0.0, 1.0]]), ww.asarray([[0, -1]]))
    tensor(1.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """How much each other class comes within the margin of the right one; see `F.multi_margin_loss`.

    >>> import whitewolf as ww
    >>> ww.nn.MultiMarginLoss()(ww.asarray([[0.0, 1.0]]), ww.asarray([0]))
    tensor(1.)
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: expected p to be 1 or 2, got {p}")
        self.p, self.margin = p, margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(input, target, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction)
