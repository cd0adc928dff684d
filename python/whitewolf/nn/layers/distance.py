"""Distances and angles between vectors; see `F.cosine_similarity` and `F.pairwise_distance`."""

from __future__ import annotations

from ...tensor import Tensor
from .. import functional as F
from ..module import Module


class CosineSimilarity(Module):
    """The cosine of the angle between x1 and x2 along `dim`; see `F.cosine_similarity`.

    >>> import whitewolf as ww
    >>> ww.nn.CosineSimilarity(dim=0)(ww.asarray([3.0, 4.0]), ww.asarray([1.0, 0.0]))
    tensor(0.6)
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 along the last dimension; see `F.pairwise_distance`.

    >>> import whitewolf as ww
    >>> ww.nn.PairwiseDistance(eps=0.0)(ww.asarray([[3.0, 4.0]]), ww.zeros((1, 2)))
    tensor([5.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
