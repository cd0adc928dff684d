"""Normalisation of channels (that of rows is in row_norm.py); formulas in kernels/norm/norm.h.

Results have the layout of x, and channels last is read as it lies.
Where a graph of the backward is recorded, the backward is the formula in ops, so that it can be differentiated again.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..device import Array
from ..graph import Node, is_grad_enabled, record
from ..tensor import Tensor, wrap
from ._common import check_count, check_float, check_same_device, check_same_dtype, check_tensor
from ._layout import Axes, _channels, _channels_of, _join, _order, _output
from ._sixteen import takes_sixteen_bit
from .elementwise import add, multiply, rsqrt, square, subtract
from .manipulation import reshape
from .reduce import mean, sum


@takes_sixteen_bit
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / sqrt(var + eps) weight + bias, mean and variance over a sample's group of channels (Wu and He 2018).

    Args:
        input: float32 or float64 [N, C, ...].
        num_groups: C falls into so many groups of neighbours; C of them is instance normalisation (Ulyanov et al. 2016).
        weight, bias: [C]; 1 and 0 unless given.

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.

    >>> import whitewolf as ww
    >>> ww.nn.functional.group_norm(ww.asarray([[1.0, 3.0]]), 1, eps=0.0)
    tensor([[-1.,  1.]])
    """
    _check_channels("group_norm", input, weight=weight, bias=bias)
    num_groups = check_count("group_norm", "num_groups", num_groups, 1)
    if input.shape[1] % num_groups:
        raise ValueError(f"group_norm: expected num_groups to divide {input.shape[1]} channels (input.shape[1]), got {num_groups}")
    return _channel_norm("group_norm", input, weight, bias, _check_eps("group_norm", eps), num_groups)[0]


class Statistics(NamedTuple):
    """Mean and biased variance of each channel, [C] (of each sample's: [N, C]), and how many elements they are of."""

    mean: Array
    var: Array
    elements: int


@takes_sixteen_bit
def batch_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> tuple[Tensor, Statistics]:
    """(x - mean) / sqrt(var + eps) weight + bias, mean and variance over the batch (Ioffe and Szegedy 2015), and these two.

    Args:
        x: float32 or float64 [N, C, ...].
        weight, bias: [C]; 1 and 0 unless given.

    Raises:
        ValueError: the shapes do not fit, or there is one element a channel.
        TypeError: the dtypes differ.
    """
    _check_channels("batch_norm", x, weight=weight, bias=bias)
    count = x.shape[0] * math.prod(x.shape[2:])
    if count == 1:
        raise ValueError(f"batch_norm: expected more than 1 element a channel when training, got input.shape == {x.shape}")
    y, means, variances = _channel_norm("batch_norm", x, weight, bias, _check_eps("batch_norm", eps), None)
    return y, Statistics(means, variances, count)


@takes_sixteen_bit
def instance_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> tuple[Tensor, Statistics]:
    """As `batch_norm`, mean and variance of each sample's channel; they are [N, C]."""
    _check_channels("instance_norm", x, weight=weight, bias=bias)
    count = math.prod(x.shape[2:])
    if count == 1:
        raise ValueError(f"instance_norm: expected more than 1 element a channel, got input.shape == {x.shape}")
    y, means, variances = _channel_norm("instance_norm", x, weight, bias, _check_eps("instance_norm", eps), x.shape[1])
    return y, Statistics(means, variances, count)


@takes_sixteen_bit
def batch_norm_with(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    op: str = "batch_norm",
) -> Tensor:
    """(x - mean) / sqrt(var + eps) weight + bias for a given mean and variance of each channel, which are not differentiated.

    Args:
        x: float32 or float64 [N, C, ...].
        mean, var, weight, bias: [C].

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.
    """
    _check_channels(op, x, running_mean=mean, running_var=var, weight=weight, bias=bias)
    order, device = _order(x._data, 2), x.device
    means, rstd = mean._data.copy()[None], _rstd(var._data, _check_eps(op, eps))[None]
    scale = rstd if weight is None else rstd * weight._data
    data, out = _output(x, 2, order)
    device.kernels["channel_norm_forward"](
        out[None], _join(x._data, 2, order)[None], means, scale, None if bias is None else bias._data[None]
    )
    inputs, saved = _present(x, weight, bias), _present(x, weight)
    side = (-1,) + (1,) * (x.ndim - 2)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        needs, x = node.needs, node.saved[0]
        spread = wrap(rstd.reshape(side), device)
        if is_grad_enabled():
            w = None if weight is None else reshape(node.saved[1], side)
            z = multiply(subtract(x, wrap(means.reshape(side), device)), spread)
            axes = (0, *range(2, x.ndim))
            grad_x = multiply(multiply(grad, spread), w) if w is not None else multiply(grad, spread)
            return _chosen(needs, weight, bias, grad_x, lambda: sum(multiply(grad, z), axis=axes), lambda: sum(grad, axis=axes))
        total, product = _sums(grad, x, means, order, None) if any(needs[1:]) else (means, means)
        return _chosen(
            needs, weight, bias, multiply(grad, wrap(scale.reshape(side), device)),
            lambda: wrap((product * rstd)[0], device), lambda: wrap(total[0], device),
        )  # fmt: skip

    return record(op, data, inputs, backward, saved)  # type: ignore[no-any-return]


# ---- what all share --------------------------------------------------------------------------------------------------------------


def _present(*tensors: Tensor | None) -> tuple[Tensor, ...]:
    return tuple(t for t in tensors if t is not None)


def _chosen(
    needs: tuple[bool, ...], weight: Tensor | None, bias: Tensor | None, grad_x: Tensor | None, by_weight: Any, by_bias: Any
) -> tuple[Tensor | None, ...]:
    """The gradients that are needed, of those inputs that were given."""
    found, given = [grad_x if needs[0] else None], iter(needs[1:])
    for tensor, compute in ((weight, by_weight), (bias, by_bias)):
        if tensor is not None:
            found.append(compute() if next(given) else None)
    return tuple(found)


def _check_operands(op: str, x: Tensor, **others: Tensor | None) -> None:
    check_float(op, "input", check_tensor(op, "input", x))
    for name, tensor in others.items():
        if tensor is not None:
            check_tensor(op, name, tensor)
    check_same_device(op, input=x, **others)
    check_same_dtype(op, input=x, **others)


def _check_channels(op: str, x: Tensor, **others: Tensor | None) -> None:
    _check_operands(op, x, **others)
    if x.ndim < 2:
        raise ValueError(f"{op}: expected input of shape [N, C, ...], got input.shape == {x.shape}")
    for name, tensor in others.items():
        if tensor is not None and tensor.shape != x.shape[1:2]:
            raise ValueError(f"{op}: expected {name}.shape == {x.shape[1:2]} (input.shape[1]), got {name}.shape == {tensor.shape}")


def _check_eps(op: str, eps: float) -> float:
    if eps != eps:
        raise ValueError(f"{op}: expected eps to be a number, got {eps}")
    return float(eps)


def _rstd(var: Array, eps: float) -> Array:
    with np.errstate(all="ignore"):
        rstd: Array = 1 / np.sqrt(var + var.dtype.type(eps))
        return rstd


def _normalized_backward(
    grad: Tensor, x: Tensor, weight: Tensor | None, axes: Axes, eps: float, centered: bool = True
) -> tuple[Tensor, Tensor]:
    """In ops: the gradient by x, where statistics are over `axes`, and z, of which the one by weight is made."""
    d = subtract(x, mean(x, axis=axes, keepdims=True)) if centered else x
    rstd = rsqrt(add(mean(square(d), axis=axes, keepdims=True), eps))
    z = multiply(d, rstd)
    g = grad if weight is None else multiply(grad, weight)
    change = subtract(g, multiply(z, mean(multiply(g, z), axis=axes, keepdims=True)))
    if centered:
        change = subtract(change, mean(g, axis=axes, keepdims=True))
    return multiply(change, rstd), z


# ---- statistics of channels ------------------------------------------------------------------------------------------------------


def _channel_norm(
    op: str, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, groups: int | None
) -> tuple[Tensor, Array, Array]:
    """The result, and mean and variance of each channel (without groups)."""
    device, order = x.device, _order(x._data, 2)
    channels = _channels(x._data, order, groups)
    batch, size = channels.shape[0], channels.shape[2]
    means, var = (device.empty((batch, size), x.dtype) for _ in range(2))
    device.kernels["channel_norm_moments"](means, var, channels)
    count = channels.shape[1] * channels.shape[3]
    if groups is not None:
        means, var = _of_groups(means, var, groups)
        count *= size // groups
    rstd = _rstd(var, eps)
    data, out = _output(x, 2, order)
    scale = rstd if weight is None else rstd * weight._data
    shift = None if bias is None else np.broadcast_to(bias._data, rstd.shape)
    device.kernels["channel_norm_forward"](out[None] if groups is None else out[:, None], channels, means, scale, shift)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        needs, x = node.needs, node.saved[0]
        w = None if weight is None else node.saved[1]
        if is_grad_enabled():
            return _channel_composite(needs, grad, x, w, bias, eps, groups)
        total, product = _sums(grad, x, means, order, groups)
        by_x: Tensor | None = None
        if needs[0]:
            a = rstd if w is None else rstd * w._data
            along, level = (product, total) if w is None else (product * w._data, total * w._data)
            if groups is not None:
                along, level = (_sum_of_groups(s, groups) for s in (along, level))
            with np.errstate(all="ignore"):
                b, c = (-(rstd * rstd * rstd) * along) / count, (-rstd * level) / count
            data, out = _output(x, 2, order)
            device.kernels["channel_norm_backward_x"](
                _channels_of(out, groups), _channels(grad._data, order, groups), _channels(x._data, order, groups),
                means, a, b.astype(a.dtype, copy=False), c.astype(a.dtype, copy=False),
            )  # fmt: skip
            by_x = wrap(data, device)
        return _chosen(needs, weight, bias, by_x, lambda: wrap((product * rstd).sum(0), device), lambda: wrap(total.sum(0), device))

    y: Tensor = record(op, data, _present(x, weight, bias), backward, _present(x, weight))
    return y, means[0] if groups is None else means, var[0] if groups is None else var


def _sums(grad: Tensor, x: Tensor, means: Array, order: Axes, groups: int | None) -> tuple[Array, Array]:
    """Of each channel, the sums of grad and of grad (x - mean)."""
    total, product = (x.device.empty(means.shape, x.dtype) for _ in range(2))
    channels = _channels(grad._data, order, groups), _channels(x._data, order, groups)
    x.device.kernels["channel_norm_sums"](total, product, *channels, means)
    return total, product


def _of_groups(means: Array, var: Array, groups: int) -> tuple[Array, Array]:
    """Mean and variance of each channel's group, from those of channels: all have the same number of elements."""
    if means.shape[1] == groups:
        return means, var
    split = (means.shape[0], groups, means.shape[1] // groups)
    each, spread = means.reshape(split), var.reshape(split)
    with np.errstate(all="ignore"):
        start = each[..., :1]  # equal channels have exactly that mean
        joint = start + (each - start).mean(-1, keepdims=True)
        apart = each - joint
        joint_var = (spread + apart * apart).mean(-1, keepdims=True)
    return tuple(np.broadcast_to(a, split).reshape(means.shape) for a in (joint, joint_var))  # type: ignore[return-value]


def _sum_of_groups(values: Array, groups: int) -> Array:
    split = (values.shape[0], groups, values.shape[1] // groups)
    return np.broadcast_to(values.reshape(split).sum(-1, keepdims=True), split).reshape(values.shape)


def _channel_composite(
    needs: tuple[bool, ...], grad: Tensor, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, groups: int | None
) -> tuple[Tensor | None, ...]:
    rest, before = x.shape[2:], x.shape
    if groups is None:
        shape, axes, others = before, (0, *range(2, x.ndim)), (0, *range(2, x.ndim))
        side: Axes = (before[1],) + (1,) * len(rest)
    else:
        side = (groups, before[1] // groups if groups else 0) + (1,) * len(rest)
        shape, axes, others = (before[0], *side[:2], *rest), tuple(range(2, x.ndim + 1)), (0, *range(3, x.ndim + 1))
    g = reshape(grad, shape)
    w = None if weight is None else reshape(weight, side)
    grad_x, z = _normalized_backward(g, reshape(x, shape), w, axes, eps)

    def per_channel(values: Tensor) -> Tensor:
        return reshape(sum(values, axis=others), (before[1],))

    return _chosen(needs, weight, bias, reshape(grad_x, before), lambda: per_channel(multiply(g, z)), lambda: per_channel(g))


__all__ = ["batch_norm", "batch_norm_with", "group_norm", "instance_norm"]
