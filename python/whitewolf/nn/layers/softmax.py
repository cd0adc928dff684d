"""Softmax and what is made of it; formulas are those of the functions in nn.functional."""

from __future__ import annotations

from ...tensor import Tensor
from .. import functional as F
from ..module import Module


class Softmax(Module):
    """exp(x) / the sum of exp(x) along `dim`; see `F.softmax`.

    >>> import whitewolf as ww
    >>> ww.nn.Softmax(dim=0)(ww.asarray([0.0, 0.0]))
    tensor([0.5, 0.5])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """x - the logarithm of the sum of exp(x) along `dim`; see `F.log_softmax`.

    >>> import whitewolf as ww
    >>> ww.nn.LogSoftmax(dim=0)(ww.asarray([0.0, 0.0]))
    tensor([-0.6931, -0.6931])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(Softmax):
    """The softmax of -x; see `F.softmin`.

    >>> import whitewolf as ww
    >>> ww.nn.Softmin(dim=0)(ww.asarray([0.0, 0.0]))
    tensor([0.5, 0.5])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim)


class Softmax2d(Module):
    """The softmax over the channels of x [N, C, H, W] or [C, H, W].

    >>> import whitewolf as ww
    >>> ww.nn.Softmax2d()(ww.zeros((1, 2, 1, 1))).tolist()
    [[[[0.5]], [[0.5]]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input [N, C, H, W] or [C, H, W], got input.shape == {input.shape}")
        return F.softmax(input, -3)
