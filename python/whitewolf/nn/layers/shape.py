"""Layers that change the shape alone."""

from __future__ import annotations

from collections.abc import Sequence

from ...ops._common import normalize_axis
from ...ops.manipulation import flatten, reshape
from ...tensor import Tensor
from ..module import Module


class Flatten(Module):
    """Dimensions start_dim to end_dim (inclusive) become one: by default, all but the batch's.

    >>> import whitewolf as ww
    >>> ww.nn.Flatten()(ww.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Dimension `dim` becomes several, of the sizes `unflattened_size`, one of which may be -1.

    >>> import whitewolf as ww
    >>> ww.nn.Unflatten(1, (2, 3))(ww.ones((4, 6))).shape
    (4, 2, 3)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        at = normalize_axis("unflatten", self.dim, input.ndim, "dim")
        return reshape(input, (*input.shape[:at], *self.unflattened_size, *input.shape[at + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
