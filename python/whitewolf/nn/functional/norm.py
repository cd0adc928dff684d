"""Normalisation under PyTorch's arguments; formulas and gradients are in ops/norm.py and row_norm.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._uninterrupted import Uninterrupted
from ...graph import is_grad_enabled
from ...ops import norm as ops
from ...ops._common import check_same_device, check_same_dtype, check_tensor
from ...ops.local_response_norm import local_response_norm
from ...ops.norm import group_norm
from ...ops.row_norm import layer_norm, rms_norm
from ...tensor import Tensor


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(input - mean) / sqrt(var + eps) weight + bias, for each channel (Ioffe and Szegedy 2015, algorithms 1 and 2).

    In training, mean and variance are the batch's, and the running ones, where given, move towards them by the share `momentum`:
    both or neither, whatever is raised meanwhile. The running variance is unbiased: it divides by one less. Otherwise mean and
    variance are the running ones.

    Args:
        input: float32 or float64 [N, C, ...]; channels last is read as it lies.
        running_mean, running_var: [C]; may be left out in training.
        weight, bias: [C]; 1 and 0 unless given.

    Raises:
        ValueError: the shapes do not fit; there is one element a channel in training; running statistics are missing.
        TypeError: the dtypes differ.

    >>> import whitewolf as ww
    >>> x = ww.asarray([[1.0], [3.0]])
    >>> ww.nn.functional.batch_norm(x, None, None, training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    return _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps, None)


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    counter: Tensor | None,
) -> Tensor:
    """`batch_norm`; in training, the batches in `counter` become one more together with the running statistics."""
    _refuse_gradients("batch_norm", running_mean, running_var)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: expected running_mean and running_var when not training, got None")
        return ops.batch_norm_with(input, running_mean, running_var, weight, bias, eps)
    _check_running("batch_norm", input, running_mean, running_var)
    y, found = ops.batch_norm(input, weight, bias, eps)
    with np.errstate(all="ignore"):
        unbiased = found.var * found.var.dtype.type(found.elements / max(found.elements - 1, 1))
    changes: list[tuple[Tensor, Any]] = []
    for running, new in ((running_mean, found.mean), (running_var, unbiased)):
        if running is not None and found.elements:
            changes.append((running, _moved(running, new, momentum)))
    if counter is not None:
        changes.append((counter, counter._data + 1))
    _replace(changes)
    return y


def _refuse_gradients(op: str, running_mean: Tensor | None, running_var: Tensor | None) -> None:
    """Nothing is differentiated in the running statistics, and in training they are written to."""
    for name, running in (("running_mean", running_mean), ("running_var", running_var)):
        if isinstance(running, Tensor) and running._requires_grad and is_grad_enabled():
            raise ValueError(
                f"{op}: expected {name} that requires no grad, in which nothing is differentiated; {name}.detach() is one"
            )


def _check_running(op: str, x: Tensor, running_mean: Tensor | None, running_var: Tensor | None) -> None:
    check_tensor(op, "input", x)
    for name, running in (("running_mean", running_mean), ("running_var", running_var)):
        if running is None:
            continue
        check_tensor(op, name, running)
        if x.ndim < 2 or running.shape != x.shape[1:2]:
            raise ValueError(f"{op}: expected {name}.shape == (C,) for input [N, C, ...] {x.shape}, got {running.shape}")
    check_same_device(op, input=x, running_mean=running_mean, running_var=running_var)
    check_same_dtype(op, input=x, running_mean=running_mean, running_var=running_var)


def _moved(running: Tensor, new: Any, momentum: float) -> Any:
    scalar = new.dtype.type
    with np.errstate(all="ignore"):
        return running._data.astype(new.dtype, copy=False) * scalar(1 - momentum) + new * scalar(momentum)


def _replace(changes: Sequence[tuple[Tensor, Any]]) -> None:
    """All or none of it, Ctrl-C or not."""
    with Uninterrupted():
        for tensor, values in changes:
            tensor._data[...] = values
            tensor._overwritten()


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(input - mean) / sqrt(var + eps) weight + bias, mean and variance of each sample's channel (Ulyanov et al. 2016).

    Args:
        input: float32 or float64 [N, C, ...].
        running_mean, running_var: [C]; where given, they move towards the mean over samples of these by the share `momentum`.
        weight, bias: [C]; 1 and 0 unless given.
        use_input_stats: otherwise mean and variance are the running ones.

    Raises:
        ValueError: the shapes do not fit; a channel of a sample has one element; running statistics are missing.
        TypeError: the dtypes differ.

    >>> import whitewolf as ww
    >>> ww.nn.functional.instance_norm(ww.asarray([[[1.0, 3.0]]]), eps=0.0)
    tensor([[[-1.,  1.]]])
    """
    _refuse_gradients("instance_norm", running_mean, running_var)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError("instance_norm: expected running_mean and running_var without use_input_stats, got None")
        return ops.batch_norm_with(input, running_mean, running_var, weight, bias, eps, "instance_norm")
    _check_running("instance_norm", input, running_mean, running_var)
    y, found = ops.instance_norm(input, weight, bias, eps)
    changes: list[tuple[Tensor, Any]] = []
    with np.errstate(all="ignore"):
        unbiased = found.var * found.var.dtype.type(found.elements / max(found.elements - 1, 1))
    for running, new in ((running_mean, found.mean), (running_var, unbiased)):
        if running is not None and new.size:
            changes.append((running, _moved(running, new.mean(0), momentum)))
    _replace(changes)
    return y


__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm"]
