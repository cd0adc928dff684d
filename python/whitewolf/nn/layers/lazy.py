"""Layers that learn one of their sizes from the first input: then they are the layers whose name is behind `Lazy`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...ops._common import check_tensor
from ...tensor import Tensor
from ..hooks import rehooked
from ..module import Module
from .conv import Conv1d, Conv2d
from .linear import Linear


class _Lazy(Module):
    """`_becomes` is the class that it changes to, `_axis` the input's dimension whose size is the first argument of that class."""

    _becomes: type[Any]
    _axis: int
    _options: dict[str, Any]

    def _wait(self, **options: Any) -> None:
        Module.__init__(self)
        self._options = options
        for name in ("weight", "bias"):
            self.register_parameter(name, None)

    def forward(self, input: Tensor) -> Tensor:
        x = check_tensor(type(self).__name__, "input", input)
        if x.ndim < -self._axis:
            raise ValueError(
                f"{type(self).__name__}: expected input of at least {-self._axis} dimensions, got input.shape == {x.shape}"
            )
        self._become(x.shape[self._axis], {"dtype": x.dtype, "device": x.device})
        return self.forward(input)

    def _become(self, size: int, place: Mapping[str, Any]) -> None:
        options = {k: place.get(k) if v is None else v for k, v in self._options.items()}
        made = self._becomes(size, **options)
        kept = {
            k: v for k, v in self.__dict__.items() if k not in ("_options", "_parameters", "_buffers", "_modules", "_transient")
        }
        self.__class__ = rehooked(self, self._becomes)
        self.__dict__.clear()
        self.__dict__.update(made.__dict__ | kept)

    def _become_as(self, weight: Tensor) -> None:
        """Takes its size from a weight that is to be loaded."""
        if weight.ndim != 1 - self._axis:
            raise ValueError(f"load_state_dict: expected a weight of {type(self).__name__}, got weight.shape == {weight.shape}")
        self._become(weight.shape[1] * self._options.get("groups", 1), {"dtype": weight.dtype})

    def extra_repr(self) -> str:
        return ", ".join(f"{k}={v}" for k, v in self._options.items() if v is not None)


class LazyLinear(_Lazy, Linear):
    """A `Linear` whose in_features is the size of the last dimension of its first input, and whose dtype and device are that input's.

    Its parameters are there after the first call, or after `load_state_dict`; to ask for them before, as an optimizer does, is an error.

    >>> import whitewolf as ww
    >>> layer = ww.nn.LazyLinear(3)
    >>> layer(ww.ones((2, 4))).shape, layer
    ((2, 3), Linear(in_features=4, out_features=3, bias=True))
    """

    _becomes, _axis = Linear, -1

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        self._wait(out_features=out_features, bias=bias, device=device, dtype=dtype)


class LazyConv2d(_Lazy, Conv2d):
    """A `Conv2d` whose in_channels is that of its first input, and whose dtype and device are that input's; see `LazyLinear`.

    >>> import whitewolf as ww
    >>> layer = ww.nn.LazyConv2d(3, 2)
    >>> layer(ww.ones((1, 4, 5, 5))).shape, layer
    ((1, 3, 4, 4), Conv2d(4, 3, kernel_size=(2, 2), stride=(1, 1)))
    """

    _becomes, _axis = Conv2d, -3

    def __init__(
        self,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._wait(
            out_channels=out_channels, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias,
            padding_mode=padding_mode, device=device, dtype=dtype,
        )  # fmt: skip


class LazyConv1d(_Lazy, Conv1d):
    """A `Conv1d` whose in_channels is that of its first input, and whose dtype and device are that input's; see `LazyLinear`.

    >>> import whitewolf as ww
    >>> layer = ww.nn.LazyConv1d(3, 2)
    >>> layer(ww.ones((1, 4, 5))).shape, layer
    ((1, 3, 4), Conv1d(4, 3, kernel_size=(2,), stride=(1,)))
    """

    _becomes, _axis = Conv1d, -2

    def __init__(
        self,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._wait(
            out_channels=out_channels, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias,
            padding_mode=padding_mode, device=device, dtype=dtype,
        )  # fmt: skip
