"""Dropout; see `F.dropout` and `F.dropout2d`. In use (`eval`) both return their input."""

from __future__ import annotations

from ...tensor import Tensor
from .. import functional as F
from ..module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: expected p in [0, 1], got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, zeroes each element with probability p and multiplies the others by 1 / (1 - p).

    >>> import whitewolf as ww
    >>> ww.nn.Dropout(0.5).eval()(ww.ones((1, 2, 2))).shape
    (1, 2, 2)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """In training, zeroes each channel of x [N, C, ...] with probability p and multiplies the others by 1 / (1 - p).

    >>> import whitewolf as ww
    >>> ww.nn.Dropout2d().eval()(ww.ones((1, 2, 2, 2))).shape
    (1, 2, 2, 2)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """In training, zeroes each channel of x [N, C, L] or [C, L] with probability p and multiplies the others by 1 / (1 - p).

    >>> import whitewolf as ww
    >>> ww.nn.Dropout1d(0.5).eval()(ww.ones((1, 2, 2))).shape
    (1, 2, 2)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """`Dropout2d` of x [N, C, D, H, W].

    >>> import whitewolf as ww
    >>> ww.nn.Dropout3d().eval()(ww.ones((1, 2, 2, 2, 2))).shape
    (1, 2, 2, 2, 2)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1, for `SELU`; see `F.alpha_dropout`.

    >>> import whitewolf as ww
    >>> ww.nn.AlphaDropout(0.5).eval()(ww.ones((1, 2, 2))).shape
    (1, 2, 2)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels of x [N, C, ...].

    >>> import whitewolf as ww
    >>> ww.nn.FeatureAlphaDropout(0.5).eval()(ww.ones((1, 2, 2))).shape
    (1, 2, 2)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
