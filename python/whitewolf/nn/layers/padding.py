"""Edges around x [N, C, H, W], or along x [N, C, L]; see `F.pad`."""

from __future__ import annotations

from ...ops._common import check_tensor, pair
from ...tensor import Tensor
from .. import functional as F
from ..module import Module


class _Pad2d(Module):
    """`padding` is an int for all sides, or (left, right, top, bottom)."""

    mode = "constant"
    sides = 4

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__()
        self.padding = pair(type(self).__name__, "padding", padding, self.sides)

    def forward(self, input: Tensor) -> Tensor:
        dims, name = self.sides // 2, type(self).__name__
        if self.mode != "constant" and check_tensor(name, "input", input).ndim not in (dims + 1, dims + 2):
            raise ValueError(f"{name}: expected input of {dims + 1} or {dims + 2} dimensions, got input.shape == {input.shape}")
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return str(self.padding)


class ZeroPad2d(_Pad2d):
    """Zeros at the edges; negative widths cut.

    >>> import whitewolf as ww
    >>> ww.nn.ZeroPad2d(1)(ww.ones((1, 1, 2, 2))).shape
    (1, 1, 4, 4)
    """


class ReflectionPad2d(_Pad2d):
    """The picture mirrored at its border pixels, which are not repeated.

    >>> import whitewolf as ww
    >>> ww.nn.ReflectionPad2d(1)(ww.ones((1, 1, 2, 2))).shape
    (1, 1, 4, 4)
    """

    mode = "reflect"


class ReplicationPad2d(_Pad2d):
    """The border pixels repeated.

    >>> import whitewolf as ww
    >>> ww.nn.ReplicationPad2d(1)(ww.ones((1, 1, 2, 2))).shape
    (1, 1, 4, 4)
    """

    mode = "replicate"


class CircularPad2d(_Pad2d):
    """The opposite side.

    >>> import whitewolf as ww
    >>> ww.nn.CircularPad2d(1)(ww.ones((1, 1, 2, 2))).shape
    (1, 1, 4, 4)
    """

    mode = "circular"


class ConstantPad2d(_Pad2d):
    """`value` at the edges; negative widths cut.

    >>> import whitewolf as ww
    >>> ww.nn.ConstantPad2d(1, 9.0)(ww.zeros((1, 1, 1, 1))).shape
    (1, 1, 3, 3)
    """

    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ZeroPad1d(ZeroPad2d):
    """Zeros at the ends of x [N, C, L]; `padding` is an int or (left, right).

    >>> import whitewolf as ww
    >>> ww.nn.ZeroPad1d(1)(ww.asarray([[[1.0, 2.0, 3.0]]])).tolist()
    [[[0.0, 1.0, 2.0, 3.0, 0.0]]]
    """

    sides = 2


class ReflectionPad1d(ReflectionPad2d):
    """x [N, C, L] mirrored at its ends, which are not repeated; `padding` is an int or (left, right).

    >>> import whitewolf as ww
    >>> ww.nn.ReflectionPad1d(1)(ww.asarray([[[1.0, 2.0, 3.0]]])).tolist()
    [[[2.0, 1.0, 2.0, 3.0, 2.0]]]
    """

    sides = 2


class ReplicationPad1d(ReplicationPad2d):
    """The ends of x [N, C, L] repeated; `padding` is an int or (left, right).

    >>> import whitewolf as ww
    >>> ww.nn.ReplicationPad1d(1)(ww.asarray([[[1.0, 2.0, 3.0]]])).tolist()
    [[[1.0, 1.0, 2.0, 3.0, 3.0]]]
    """

    sides = 2


class CircularPad1d(CircularPad2d):
    """The opposite end of x [N, C, L]; `padding` is an int or (left, right).

    >>> import whitewolf as ww
    >>> ww.nn.CircularPad1d(1)(ww.asarray([[[1.0, 2.0, 3.0]]])).tolist()
    [[[3.0, 1.0, 2.0, 3.0, 1.0]]]
    """

    sides = 2


class ConstantPad1d(ConstantPad2d):
    """`value` at the ends of x [N, C, L]; `padding` is an int or (left, right).

    >>> import whitewolf as ww
    >>> ww.nn.ConstantPad1d(1, 9.0)(ww.zeros((1, 1, 1)))
    tensor([[[9., 0., 9.]]])
    """

    sides = 2
