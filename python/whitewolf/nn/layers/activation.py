"""Activations; the formulas are those of the functions in nn.functional.

With `inplace`, a layer writes into its input's memory and returns the input; nn/functional/activation.py says when that is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ops.creation import full
from ...ops.elementwise import tanh
from ...tensor import Tensor
from .. import functional as F
from ..module import Module
from ..parameter import Parameter


class _Plain(Module):
    """An activation without arguments."""

    function: Callable[[Tensor], Tensor]

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input)


class _MaybeInPlace(_Plain):
    function: Callable[..., Tensor]

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        function = type(self).function
        return function(input, True) if self.inplace else function(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_MaybeInPlace):
    """max(x, 0); see `F.relu`.

    >>> import whitewolf as ww
    >>> ww.nn.ReLU()(ww.asarray([-1.0, 2.0]))
    tensor([0., 2.])
    """

    function = staticmethod(F.relu)


class SiLU(_MaybeInPlace):
    """x * sigmoid(x); see `F.silu`.

    >>> import whitewolf as ww
    >>> ww.nn.SiLU()(ww.asarray([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """

    function = staticmethod(F.silu)


class Sigmoid(_Plain):
    """1 / (1 + exp(-x)); see `F.sigmoid`.

    >>> import whitewolf as ww
    >>> ww.nn.Sigmoid()(ww.asarray([-1.0, 2.0]))
    tensor([0.2689, 0.8808])
    """

    function = staticmethod(F.sigmoid)


class Tanh(_Plain):
    """The hyperbolic tangent of x.

    >>> import whitewolf as ww
    >>> ww.nn.Tanh()(ww.asarray([-1.0, 2.0]))
    tensor([-0.7616,  0.964 ])
    """

    function = staticmethod(tanh)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope * x; see `F.leaky_relu`.

    >>> import whitewolf as ww
    >>> ww.nn.LeakyReLU()(ww.asarray([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(Module):
    """x where x > 0, else alpha * (exp(x) - 1); see `F.elu`.

    >>> import whitewolf as ww
    >>> ww.nn.ELU()(ww.asarray([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """x * Phi(x), Phi the normal distribution's cumulative function, or its tanh approximation; see `F.gelu`.

    >>> import whitewolf as ww
    >>> ww.nn.GELU()(ww.asarray([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """log(1 + exp(beta x)) / beta; see `F.softplus`.

    >>> import whitewolf as ww
    >>> ww.nn.Softplus()(ww.asarray([-1.0, 2.0]))
    tensor([0.3133, 2.1269])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class SELU(_MaybeInPlace):
    """A scaled `ELU`; see `F.selu`.

    >>> import whitewolf as ww
    >>> ww.nn.SELU()(ww.asarray([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """

    function = staticmethod(F.selu)


class Mish(_MaybeInPlace):
    """x tanh(softplus(x)); see `F.mish`.

    >>> import whitewolf as ww
    >>> ww.nn.Mish()(ww.asarray([-1.0, 2.0]))
    tensor([-0.3034,  1.944 ])
    """

    function = staticmethod(F.mish)


class ReLU6(_MaybeInPlace):
    """min(max(x, 0), 6); see `F.relu6`.

    >>> import whitewolf as ww
    >>> ww.nn.ReLU6()(ww.asarray([-1.0, 2.0]))
    tensor([0., 2.])
    """

    function = staticmethod(F.relu6)


class Hardswish(_MaybeInPlace):
    """x relu6(x + 3) / 6; see `F.hardswish`.

    >>> import whitewolf as ww
    >>> ww.nn.Hardswish()(ww.asarray([-1.0, 2.0]))
    tensor([-0.3333,  1.6667])
    """

    function = staticmethod(F.hardswish)

    def extra_repr(self) -> str:
        return ""


class Hardsigmoid(_MaybeInPlace):
    """relu6(x + 3) / 6; see `F.hardsigmoid`.

    >>> import whitewolf as ww
    >>> ww.nn.Hardsigmoid()(ww.asarray([-1.0, 2.0]))
    tensor([0.3333, 0.8333])
    """

    function = staticmethod(F.hardsigmoid)

    def extra_repr(self) -> str:
        return ""


class LogSigmoid(_Plain):
    """log(1 / (1 + exp(-x))); see `F.logsigmoid`.

    >>> import whitewolf as ww
    >>> ww.nn.LogSigmoid()(ww.asarray([-1.0, 2.0]))
    tensor([-1.3133, -0.1269])
    """

    function = staticmethod(F.logsigmoid)


class Softsign(_Plain):
    """x / (1 + |x|); see `F.softsign`.

    >>> import whitewolf as ww
    >>> ww.nn.Softsign()(ww.asarray([-1.0, 2.0]))
    tensor([-0.5   ,  0.6667])
    """

    function = staticmethod(F.softsign)


class Tanhshrink(_Plain):
    """x - tanh(x); see `F.tanhshrink`.

    >>> import whitewolf as ww
    >>> ww.nn.Tanhshrink()(ww.asarray([-1.0, 2.0]))
    tensor([-0.2384,  1.036 ])
    """

    function = staticmethod(F.tanhshrink)


class CELU(Module):
    """x where x > 0, else alpha (exp(x / alpha) - 1); see `F.celu`.

    >>> import whitewolf as ww
    >>> ww.nn.CELU()(ww.asarray([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class GLU(Module):
    """a sigmoid(b), a and b the halves of x along `dim`; see `F.glu`.

    >>> import whitewolf as ww
    >>> ww.nn.GLU()(ww.asarray([-1.0, 2.0]))
    tensor([-0.8808])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class RReLU(Module):
    """x where x > 0, else x times a random slope in training, its mean otherwise; see `F.rrelu`.

    >>> import whitewolf as ww
    >>> ww.nn.RReLU().eval()(ww.asarray([2.0]))
    tensor([2.])
    """

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}{', inplace=True' if self.inplace else ''}"


class PReLU(Module):
    """x where x > 0, else weight * x; see `F.prelu`.

    Args:
        num_parameters: 1, or the channels of x [N, C, ...].
        init: the weight's first value.
        device, dtype: of the weight; "cpu" and float32 unless given.

    Attributes:
        weight: [num_parameters].

    >>> import whitewolf as ww
    >>> ww.nn.PReLU()(ww.asarray([-1.0, 2.0]))
    tensor([-0.25,  2.  ], op=where)
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.weight = Parameter(full(num_parameters, init, dtype=dtype or "float32", device=device))

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
