"""Normalisation; formulas are those of the functions in nn.functional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ops._common import check_count, check_ints, check_number
from ...ops.creation import asarray, ones, zeros
from ...ops.manipulation import squeeze, unsqueeze
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..functional.norm import _batch_norm
from ..module import Module
from ..parameter import Parameter


class _ChannelNorm(Module):
    """What batch and instance normalisation share: an affine map and running statistics of each channel."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    dims: tuple[int, ...]  # that an input may have

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool,
    ) -> None:
        super().__init__()
        num_features = check_count(type(self).__name__, "num_features", num_features)
        check_number(type(self).__name__, "eps", eps)
        if not eps > 0:
            raise ValueError(f"{type(self).__name__}: expected eps > 0, got {eps}")
        if momentum is not None:
            check_number(type(self).__name__, "momentum", momentum)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        _affine(self, num_features, affine, bias, device, dtype)
        tracked = track_running_stats or None
        self.register_buffer("running_mean", tracked and zeros(num_features, dtype=dtype, device=device))
        self.register_buffer("running_var", tracked and ones(num_features, dtype=dtype, device=device))
        self.register_buffer("num_batches_tracked", tracked and asarray(0, dtype="int64", device=device))

    def reset_running_stats(self) -> None:
        """Running statistics as they were at the start: mean 0, variance 1, no batches."""
        for buffer, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if buffer is not None:
                buffer._data[...] = value
                buffer._overwritten()

    def reset_parameters(self) -> None:
        """Parameters and running statistics as they were at the start."""
        self.reset_running_stats()
        _reset_affine(self)

    def _check(self, x: Tensor) -> None:
        if x.ndim not in self.dims:
            wanted = " or ".join(str(d) for d in self.dims)
            raise ValueError(f"{type(self).__name__}: expected input of {wanted} dimensions, got input.shape == {x.shape}")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


def _affine(module: Module, shape: Any, affine: bool, bias: bool, device: Any, dtype: Any) -> None:
    """weight of ones and bias of zeros, or None where the module goes without."""
    module.register_parameter("weight", Parameter(ones(shape, dtype=dtype, device=device)) if affine else None)
    module.register_parameter("bias", Parameter(zeros(shape, dtype=dtype, device=device)) if affine and bias else None)


def _reset_affine(module: Any) -> None:
    if module.weight is not None:
        init.ones_(module.weight)
    if getattr(module, "bias", None) is not None:
        init.zeros_(module.bias)


class _BatchNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        counter = self.num_batches_tracked if self.training and self.track_running_stats else None
        share = self.momentum
        if share is None:  # the plain average of all batches so far
            share = 0.0 if counter is None else 1 / (int(counter.item()) + 1)
        training = self.training or (self.running_mean is None and self.running_var is None)
        known = not self.training or self.track_running_stats
        mean, var = (self.running_mean, self.running_var) if known else (None, None)
        return _batch_norm(input, mean, var, self.weight, self.bias, training, share, self.eps, counter)


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of x [N, C] or [N, C, L]; see `BatchNorm2d`.

    >>> import whitewolf as ww
    >>> ww.nn.BatchNorm1d(2)(ww.asarray([[1.0, 2.0], [3.0, 4.0]])).shape
    (2, 2)
    """

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of x [N, C, H, W] (Ioffe and Szegedy 2015, arXiv 1502.03167); see `F.batch_norm`.

    In training, each channel is normalised by its mean and variance over the batch; in use (`eval`), by the running ones.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: share of a batch in the running statistics; None for the plain average of all batches.
        affine: whether there is a weight, and a bias unless `bias` is False.
        track_running_stats: without them, a batch's own are used in `eval`, too.
        device, dtype: of parameters and statistics; "cpu" and float32 unless given.

    Attributes:
        weight, bias: [C], from 1 and 0.
        running_mean, running_var: [C], from 0 and 1; the variance is unbiased. An error or Ctrl-C leaves both as they were.
        num_batches_tracked: int64, batches seen in training.

    >>> import whitewolf as ww
    >>> ww.nn.BatchNorm2d(3)(ww.ones((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    dims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of x [N, C, D, H, W]; see `BatchNorm2d`.

    >>> import whitewolf as ww
    >>> ww.nn.BatchNorm3d(2)(ww.ones((1, 2, 2, 2, 2))).shape
    (1, 2, 2, 2, 2)
    """

    dims = (5,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        single = input.ndim == self.dims[0]
        if single:
            input = unsqueeze(input, 0)
        if input.shape[1] != self.num_features and (self.affine or self.track_running_stats):
            raise ValueError(f"{type(self).__name__}: expected {self.num_features} channels (num_features), got {input.shape[1]}")
        own, share = self.training or not self.track_running_stats, 0.0 if self.momentum is None else self.momentum
        y = F.instance_norm(input, self.running_mean, self.running_var, self.weight, self.bias, own, share, self.eps)
        return squeeze(y, 0) if single else y


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of x [N, C, L] or [C, L]; see `InstanceNorm2d`.

    >>> import whitewolf as ww
    >>> ww.nn.InstanceNorm1d(1, eps=1e-12)(ww.asarray([[[1.0, 3.0]]]))
    tensor([[[-1.,  1.]]])
    """

    dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalisation of each channel of each sample of x [N, C, H, W] or [C, H, W] (Ulyanov et al. 2016); see `F.instance_norm`.

    Arguments as `BatchNorm2d`, but without an affine map and running statistics unless they are asked for.

    >>> import whitewolf as ww
    >>> ww.nn.InstanceNorm2d(3)(ww.ones((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of x [N, C, D, H, W] or [C, D, H, W]; see `InstanceNorm2d`.

    >>> import whitewolf as ww
    >>> ww.nn.InstanceNorm3d(2)(ww.ones((1, 2, 2, 2, 2))).shape
    (1, 2, 2, 2, 2)
    """

    dims = (4, 5)


class GroupNorm(Module):
    """Normalisation of groups of channels of each sample of x [N, C, ...] (Wu and He 2018); see `F.group_norm`.

    Args:
        num_groups: C falls into so many.
        num_channels: C.
        eps: added to the variance.
        affine: whether there is a weight, and a bias unless `bias` is False.
        device, dtype: of the parameters; "cpu" and float32 unless given.

    Raises:
        ValueError: num_groups does not divide num_channels.

    >>> import whitewolf as ww
    >>> ww.nn.GroupNorm(2, 4)(ww.ones((1, 4, 3))).shape
    (1, 4, 3)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: expected num_groups to divide num_channels {num_channels}, got {num_groups}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        _affine(self, num_channels, affine, bias, device, dtype)

    def reset_parameters(self) -> None:
        """weight 1 and bias 0."""
        _reset_affine(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class LayerNorm(Module):
    """Normalisation over the last dimensions of x (Ba et al. 2016); see `F.layer_norm`.

    Args:
        normalized_shape: their sizes; an int for one dimension.
        eps: added to the variance.
        elementwise_affine: whether there is a weight, and a bias unless `bias` is False.
        device, dtype: of the parameters; "cpu" and float32 unless given.

    >>> import whitewolf as ww
    >>> ww.nn.LayerNorm(2, elementwise_affine=False, eps=0.0)(ww.asarray([1.0, 3.0]))
    tensor([-1.,  1.])
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = check_ints(type(self).__name__, "normalized_shape", normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        _affine(self, self.normalized_shape, elementwise_affine, bias, device, dtype)

    def reset_parameters(self) -> None:
        """weight 1 and bias 0."""
        _reset_affine(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = self.elementwise_affine
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}, bias={self.bias is not None}"


class RMSNorm(Module):
    """x divided by its root mean square over the last dimensions (Zhang and Sennrich 2019); see `F.rms_norm`.

    Args:
        normalized_shape: their sizes; an int for one dimension.
        eps: added to the mean square; None for the distance from 1 to the next number of x's dtype.
        elementwise_affine: whether there is a weight.
        device, dtype: of the parameters; "cpu" and float32 unless given.

    >>> import whitewolf as ww
    >>> ww.nn.RMSNorm(2)(ww.asarray([3.0, -3.0])).shape
    (2,)
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = check_ints(type(self).__name__, "normalized_shape", normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        weight = Parameter(ones(self.normalized_shape, dtype=dtype, device=device)) if elementwise_affine else None
        self.register_parameter("weight", weight)

    def reset_parameters(self) -> None:
        """weight 1."""
        _reset_affine(self)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Module):
    """x divided by a power of the squares of neighbouring channels (Krizhevsky et al. 2012); see `F.local_response_norm`.

    >>> import whitewolf as ww
    >>> ww.nn.LocalResponseNorm(2)(ww.ones((1, 2, 3))).shape
    (1, 2, 3)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
