"""Windows and other sizes: see the functions of nn.functional of the same words."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops._common import check_window
from ...tensor import Tensor
from .. import functional as F
from ..module import Module


class AdaptiveAvgPool1d(Module):
    """The means of so many windows that cover x [N, C, L]; see `F.adaptive_avg_pool1d`.

    >>> import whitewolf as ww
    >>> ww.nn.AdaptiveAvgPool1d(2)(ww.asarray([[[1.0, 3.0, 2.0, 4.0]]])).tolist()
    [[[2.0, 3.0]]]
    """

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPool(Module):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest elements of so many windows that cover x [N, C, L]; see `F.adaptive_max_pool1d`.

    >>> import whitewolf as ww
    >>> ww.nn.AdaptiveMaxPool1d(2)(ww.asarray([[[1.0, 3.0, 2.0, 4.0]]])).tolist()
    [[[3.0, 4.0]]]
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest elements of a grid of windows that cover x [N, C, H, W]; see `F.adaptive_max_pool2d`.

    >>> import whitewolf as ww
    >>> ww.nn.AdaptiveMaxPool2d(2)(ww.ones((1, 1, 4, 4))).shape
    (1, 1, 2, 2)
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class _LPPool(Module):
    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def extra_repr(self) -> str:
        return f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, ceil_mode={self.ceil_mode}"


class LPPool1d(_LPPool):
    """The power mean's sum over each window of x [N, C, L]; see `F.lp_pool2d`.

    >>> import whitewolf as ww
    >>> ww.nn.LPPool1d(2.0, 2)(ww.asarray([[[3.0, 4.0]]]))
    tensor([[[5.]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool1d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPool):
    """The power mean's sum over each window of x [N, C, H, W]; see `F.lp_pool2d`.

    >>> import whitewolf as ww
    >>> ww.nn.LPPool2d(2.0, 2)(ww.ones((1, 1, 2, 2)))
    tensor([[[[2.]]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool2d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)


class _MaxUnpool(Module):
    dims: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        stride = kernel_size if stride is None else stride
        self.kernel_size, self.stride, self.padding = (
            (int(value),) * self.dims if isinstance(value, (int, np.integer)) else tuple(value)
            for value in (kernel_size, stride, padding)
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """`MaxPool1d` undone, zeros elsewhere; see `F.max_unpool1d`.

    >>> import whitewolf as ww
    >>> ww.nn.MaxUnpool1d(2)(ww.asarray([[[5.0]]]), ww.asarray([[[1]]]))
    tensor([[[0., 5.]]])
    """

    dims = 1

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpool):
    """`MaxPool2d` undone, zeros elsewhere; see `F.max_unpool2d`.

    >>> import whitewolf as ww
    >>> ww.nn.MaxUnpool2d(2)(ww.asarray([[[[5.0]]]]), ww.asarray([[[[2]]]])).tolist()
    [[[[0.0, 0.0], [5.0, 0.0]]]]
    """

    dims = 2

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class FractionalMaxPool2d(Module):
    """Max-pooling over windows at places that are drawn (Graham 2014); see `F.fractional_max_pool2d`.

    >>> import whitewolf as ww
    >>> ww.nn.FractionalMaxPool2d(2, output_size=3)(ww.ones((1, 1, 7, 7))).shape
    (1, 1, 3, 3)
    """

    def __init__(
        self, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False, _random_samples: Tensor | None = None
    ) -> None:  # fmt: skip
        super().__init__()
        check_window("FractionalMaxPool2d", kernel_size=kernel_size)
        if (output_size is None) == (output_ratio is None):
            got = "neither" if output_size is None else "both"
            raise ValueError(f"FractionalMaxPool2d: expected output_size or output_ratio, got {got}")
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,)
        if output_ratio is not None and not all(isinstance(r, float) and 0 < r < 1 for r in ratios):
            raise ValueError(f"FractionalMaxPool2d: expected output_ratio in (0, 1), one or two, got {output_ratio!r}")
        self.kernel_size, self.output_size, self.output_ratio = kernel_size, output_size, output_ratio
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Tensor) -> Any:
        drawn = self._random_samples
        return F.fractional_max_pool2d(input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, drawn)


class Unfold(Module):
    """The windows of a convolution as columns; see `F.unfold`.

    >>> import whitewolf as ww
    >>> ww.nn.Unfold(2)(ww.ones((1, 1, 3, 3))).shape
    (1, 4, 4)
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Columns added up where `Unfold` takes them from; see `F.fold`.

    >>> import whitewolf as ww
    >>> ww.nn.Fold((2, 2), 2)(ww.ones((1, 4, 1))).shape
    (1, 1, 2, 2)
    """

    def __init__(self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.output_size, self.kernel_size, self.dilation = output_size, kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Upsample(Module):
    """x in another size; see `F.interpolate`.

    >>> import whitewolf as ww
    >>> ww.nn.Upsample(scale_factor=2)(ww.ones((1, 1, 2))).shape
    (1, 1, 4)
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        factor = scale_factor
        self.scale_factor = tuple(float(v) for v in factor) if isinstance(factor, tuple) else factor and float(factor)
        self.mode, self.align_corners, self.recompute_scale_factor = mode, align_corners, recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor)

    def extra_repr(self) -> str:
        what = f"size={self.size!r}" if self.scale_factor is None else f"scale_factor={self.scale_factor!r}"
        return f"{what}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """x [N, C, H, W] in another size, each element the nearest.

    >>> import whitewolf as ww
    >>> ww.nn.UpsamplingNearest2d(scale_factor=2)(ww.ones((1, 1, 2, 2))).shape
    (1, 1, 4, 4)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """x [N, C, H, W] in another size, between neighbours, corners on corners.

    >>> import whitewolf as ww
    >>> ww.nn.UpsamplingBilinear2d(scale_factor=2)(ww.ones((1, 1, 2, 2))).shape
    (1, 1, 4, 4)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


class PixelShuffle(Module):
    """Channels become pixels; see `F.pixel_shuffle`.

    >>> import whitewolf as ww
    >>> ww.nn.PixelShuffle(2)(ww.ones((1, 4, 2, 2))).shape
    (1, 1, 4, 4)
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class ChannelShuffle(Module):
    """Channels of several groups take turns; see `F.channel_shuffle`.

    >>> import whitewolf as ww
    >>> ww.nn.ChannelShuffle(2)(ww.reshape(ww.arange(4), (1, 4, 1))).tolist()
    [[[0], [2], [1], [3]]]
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


class PixelUnshuffle(Module):
    """Pixels become channels; see `F.pixel_unshuffle`.

    >>> import whitewolf as ww
    >>> ww.nn.PixelUnshuffle(2)(ww.ones((1, 1, 4, 4))).shape
    (1, 4, 2, 2)
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"
