"""Affine maps."""

from __future__ import annotations

import math
from typing import Any

from ...ops._common import check_count
from ...ops.creation import empty
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter


class Identity(Module):
    """Returns its input. Takes any arguments, so that it can stand where another layer stood.

    >>> import whitewolf as ww
    >>> ww.nn.Identity()(ww.asarray([-1.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        return x


class Linear(Module):
    """y = x weight^T + bias.

    Args:
        in_features, out_features: sizes of the last dimension of x and of y.
        bias: whether to add one.
        device, dtype: of the parameters; "cpu" and float32 unless given.

    Attributes:
        weight: [out_features, in_features], drawn from U(-b, b) with b = 1 / sqrt(in_features).
        bias: [out_features], drawn from the same; or None.

    >>> import whitewolf as ww
    >>> ww.nn.Linear(4, 3)(ww.ones((2, 4))).shape
    (2, 3)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.in_features = check_count("Linear", "in_features", in_features)
        self.out_features = check_count("Linear", "out_features", out_features)
        self.weight = Parameter(empty((out_features, in_features), device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        reset_uniform(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """y_k = x1^T weight_k x2 + bias_k; see `F.bilinear`.

    Args:
        in1_features, in2_features, out_features: I, J and K.
        bias: whether to add one.
        device, dtype: of the parameters; "cpu" and float32 unless given.

    Attributes:
        weight: [K, I, J], drawn from U(-b, b) with b = 1 / sqrt(I).
        bias: [K], drawn from the same; or None.

    >>> import whitewolf as ww
    >>> ww.nn.Bilinear(2, 3, 4)(ww.ones((5, 2)), ww.ones((5, 3))).shape
    (5, 4)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        if in1_features < 1:
            raise ValueError(f"Bilinear: expected in1_features >= 1, got {in1_features}")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(empty((out_features, in1_features, in2_features), device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


def reset_uniform(weight: Parameter, bias: Parameter | None) -> None:
    """Fills both from U(-b, b), b = 1 / sqrt(fan in): PyTorch's default, kaiming_uniform_ with a = sqrt(5)."""
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in = weight.size // weight.shape[0] if weight.shape[0] else 0
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        init.uniform_(bias, -bound, bound)
