"""Convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ops._common import check_count, check_ints, check_tensor, check_window, pair
from ...ops.creation import empty
from ...tensor import Tensor
from .. import functional as F
from ..module import Module
from ..parameter import Parameter
from .linear import reset_uniform

_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


class _Conv(Module):
    """What Conv1d and Conv2d share; `dims` is the number of dimensions that the filters slide along."""

    dims: int
    output_padding: tuple[int, ...] = ()
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
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
        super().__init__()
        name, n = type(self).__name__, self.dims
        check_count(name, "groups", groups, 1)
        for what, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            check_count(name, what, channels)
            if channels % groups:
                raise ValueError(f"{name}: expected {what} divisible by groups == {groups}, got {channels}")
        if padding_mode not in _MODES:
            raise ValueError(f"{name}: expected padding_mode to be one of {', '.join(_MODES)}, got {padding_mode!r}")
        self.in_channels, self.out_channels, self.groups, self.padding_mode = in_channels, out_channels, groups, padding_mode
        self.kernel_size = pair(name, "kernel_size", kernel_size, n)
        self.stride = pair(name, "stride", stride, n)
        self.dilation = pair(name, "dilation", dilation, n)
        self.padding: str | tuple[int, ...] = padding if isinstance(padding, str) else pair(name, "padding", padding, n)
        check_window(name, kernel_size=self.kernel_size, stride=self.stride, dilation=self.dilation)
        if not isinstance(self.padding, str):
            check_window(name, padding=self.padding)
        if padding == "same" and any(s != 1 for s in self.stride):
            raise ValueError(f"{name}: expected stride 1 with padding 'same', got {self.stride}")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"{name}: expected padding to be numbers, 'same' or 'valid', got {padding!r}")
        self.weight = Parameter(empty(self._weight_shape(), device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        reset_uniform(self.weight, self.bias)

    def _weight_shape(self) -> tuple[int, ...]:
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    def _edges(self) -> list[int]:
        """The padding of each side, the last dimension first, as F.pad takes it."""
        if self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size)]
            return [n for total in reversed(totals) for n in (total // 2, total - total // 2)]
        if isinstance(self.padding, str):
            return [0, 0] * self.dims
        return [n for p in reversed(self.padding) for n in (p, p)]

    def forward(self, input: Tensor) -> Tensor:
        input, padding = self._padded(input)
        convolve = F.conv2d if self.dims == 2 else F.conv1d
        return convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _padded(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input with all padding that is not zeros, and the padding left for the op."""
        if self.padding_mode == "zeros":
            return input, self.padding
        return F.pad(input, self._edges(), _MODES[self.padding_mode]), (0,) * self.dims

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if self.padding != (0,) * self.dims:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * self.dims:
            parts.append(f"dilation={self.dilation}")
        if any(self.output_padding):
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class Conv2d(_Conv):
    """y[n, k] = bias[k] + the sum over c of x[n, c] cross-correlated with weight[k, c]; see `F.conv2d`.

    Args:
        in_channels, out_channels: C of x [N, C, H, W] and K of y [N, K, P, Q].
        kernel_size, stride, dilation: an int, or one for height and one for width.
        padding: the same, or "same" (P = H, Q = W; stride 1), or "valid" (none).
        groups: input and output channels fall into so many groups, each convolved by itself.
        bias: whether to add one.
        padding_mode: what stands at the edges: "zeros", "reflect", "replicate" or "circular".
        device, dtype: of the parameters; "cpu" and float32 unless given.

    Attributes:
        weight: [K, C / groups, R, S], drawn from U(-b, b) with b = 1 / sqrt(C / groups * R * S).
        bias: [K], drawn from the same; or None.

    >>> import whitewolf as ww
    >>> ww.nn.Conv2d(3, 8, 3, padding=1)(ww.ones((2, 3, 5, 5))).shape
    (2, 8, 5, 5)
    """

    dims = 2

    def rectified(self, input: Tensor) -> Tensor:
        """max(forward(input), 0), the maximum taken in the convolution's kernel."""
        input, padding = self._padded(input)
        return F.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups, activation="relu")


class Conv1d(_Conv):
    """y[n, k] = bias[k] + the sum over c of x[n, c] cross-correlated with weight[k, c]; arguments as Conv2d's, for x [N, C, W].

    >>> import whitewolf as ww
    >>> ww.nn.Conv1d(3, 8, 5)(ww.ones((2, 3, 9))).shape
    (2, 8, 5)
    """

    dims = 1


class ConvTranspose2d(_Conv):
    """The adjoint of a convolution, from [N, K, P, Q] to [N, C, H, W]; see `F.conv_transpose2d`.

    Args:
        in_channels, out_channels: K of x and C of y.
        kernel_size, stride, padding, dilation, groups: of the convolution whose adjoint this is.
        output_padding: how many rows and columns that convolution would leave over at the end.
        bias: whether to add one.
        padding_mode: "zeros" alone.
        device, dtype: of the parameters; "cpu" and float32 unless given.

    Attributes:
        weight: [K, C / groups, R, S], drawn from U(-b, b) with b = 1 / sqrt(C / groups * R * S).
        bias: [C], drawn from the same; or None.

    >>> import whitewolf as ww
    >>> ww.nn.ConvTranspose2d(3, 8, 2, stride=2)(ww.ones((2, 3, 5, 5))).shape
    (2, 8, 10, 10)
    """

    dims = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        output_padding: int | tuple[int, ...] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, ...] = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros" or isinstance(padding, str):
            raise ValueError(
                f"{type(self).__name__}: expected padding in numbers and of zeros, got {padding!r} and {padding_mode!r}"
            )
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        self.output_padding = pair(type(self).__name__, "output_padding", output_padding, self.dims)

    def _weight_shape(self) -> tuple[int, ...]:
        return (self.in_channels, self.out_channels // self.groups, *self.kernel_size)

    def forward(self, input: Tensor, output_size: int | Sequence[int] | None = None) -> Tensor:
        """The output; of `output_size` (H, W, or all dimensions), if it is given, instead of what output_padding makes.

        Raises:
            ValueError: no output_padding in [0, max(stride, dilation)) gives that size.
        """
        assert not isinstance(self.padding, str)
        extra = self.output_padding if output_size is None else self._padding_for(input, output_size)
        transposed = F.conv_transpose1d if self.dims == 1 else F.conv_transpose2d
        return transposed(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _padding_for(self, input: Tensor, output_size: int | Sequence[int]) -> tuple[int, ...]:
        assert not isinstance(self.padding, str)
        name = type(self).__name__
        size = check_ints(name, "output_size", output_size)
        if len(size) not in (self.dims, check_tensor(name, "input", input).ndim):
            raise ValueError(f"{name}: expected output_size of {self.dims} or {input.ndim} ints, got {output_size!r}")
        size = size[len(size) - self.dims :]
        least = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.shape[input.ndim - self.dims :], self.stride, self.padding, self.dilation, self.kernel_size
            )
        )
        most = tuple(n + max(s, d) - 1 for n, s, d in zip(least, self.stride, self.dilation))
        if not all(low <= n <= high for low, n, high in zip(least, size, most)):
            raise ValueError(f"{name}: expected output_size from {least} to {most} for input.shape == {input.shape}, got {size}")
        return tuple(n - low for n, low in zip(size, least))


class ConvTranspose1d(ConvTranspose2d):
    """The adjoint of a `Conv1d` in its input, as a layer; arguments as `ConvTranspose2d`, for x [N, K, Q]; weight [K, C / groups, S].

    >>> import whitewolf as ww
    >>> ww.nn.ConvTranspose1d(3, 8, 2, stride=2)(ww.ones((2, 3, 5))).shape
    (2, 8, 10)
    """

    dims = 1
