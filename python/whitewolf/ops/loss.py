"""Losses of each element, or each row, before any reduction; formulas in kernels/loss/loss.h.

The gradient by the input is a kernel, where no graph of it is recorded; the one by the target, which few ask for, is made of ops. The
arguments have been checked: shapes, dtypes and devices agree (nn/functional/loss.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..graph import Node, is_grad_enabled, record
from ..index_checks import check_target
from ..tensor import Tensor, wrap
from .activation import sigmoid
from .creation import zeros
from .elementwise import abs, add, divide, exp, log, multiply, negative, sign, subtract
from .gather import scatter_add
from .logic import equal, less
from .manipulation import expand_dims
from .select import where
from .softmax import class_indices

Slope = Callable[[Tensor, Tensor, Tensor], Tensor]


def _loss(name: str, input: Tensor, target: Tensor, by_input: Slope, by_target: Slope, **attrs: Any) -> Tensor:
    """`<name>_forward`; by_input(g, input, target) and by_target are its gradients in ops."""
    device, x, t = input.device, input._data, target._data
    data = device.empty(x.shape, x.dtype, x)
    device.kernels[name + "_forward"](data, x, t, **attrs)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, t = node.saved
        found: list[Tensor | None] = [None, by_target(grad, x, t) if node.needs[1] else None]
        if node.needs[0]:
            if is_grad_enabled():
                found[0] = by_input(grad, x, t)
            else:
                data = device.empty(x.shape, x.dtype, x._data)
                views = (x._data, t._data) if name != "kl_div" else (t._data,)
                device.kernels[name + "_backward_input"](data, grad._data, *views, **attrs)
                found[0] = wrap(data, device)
        return tuple(found)

    return record(name, data, (input, target), backward, (input, target))  # type: ignore[no-any-return]  # one output: a Tensor


def _opposite(slope: Slope) -> Slope:
    return lambda g, x, t: negative(slope(g, x, t))


def squared_error(input: Tensor, target: Tensor) -> Tensor:
    """(input - target)^2."""

    def slope(g: Tensor, x: Tensor, t: Tensor) -> Tensor:
        return multiply(g, multiply(subtract(x, t), 2))

    return _loss("mse_loss", input, target, slope, _opposite(slope))


def absolute_error(input: Tensor, target: Tensor) -> Tensor:
    """|input - target|."""

    def slope(g: Tensor, x: Tensor, t: Tensor) -> Tensor:
        return multiply(g, sign(subtract(x, t)))

    return _loss("l1_loss", input, target, slope, _opposite(slope))


def smooth_absolute_error(input: Tensor, target: Tensor, beta: float) -> Tensor:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, for d = input - target and beta > 0."""

    def slope(g: Tensor, x: Tensor, t: Tensor) -> Tensor:
        d = subtract(x, t)
        return multiply(g, where(less(abs(d), beta), divide(d, beta), sign(d)))

    return _loss("smooth_l1_loss", input, target, slope, _opposite(slope), beta=float(beta))


def bernoulli_of_logits(input: Tensor, target: Tensor) -> Tensor:
    """-t log s - (1 - t) log(1 - s), s = sigmoid(input)."""
    return _loss(
        "binary_cross_entropy_with_logits",
        input,
        target,
        lambda g, x, t: multiply(g, subtract(sigmoid(x), t)),
        lambda g, x, t: negative(multiply(g, x)),
    )


def divergence(input: Tensor, target: Tensor, log_target: bool) -> Tensor:
    """target (log target - input), or e^target (target - input)."""

    def by_input(g: Tensor, x: Tensor, t: Tensor) -> Tensor:
        return negative(multiply(g, exp(t) if log_target else t))

    def by_target(g: Tensor, x: Tensor, t: Tensor) -> Tensor:
        if log_target:
            return multiply(g, multiply(exp(t), add(subtract(t, x), 1)))
        nothing = equal(t, 0)
        return multiply(g, subtract(where(nothing, 0.0, add(log(where(nothing, 1.0, t)), 1)), x))

    return _loss("kl_div", input, target, by_input, by_target, log_target=log_target)


def class_likelihood(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
    """-weight[t] input[..., t] for the class t = target; 0 where it is ignore_index. The weight is not differentiated.

    Raises:
        IndexError: a class is outside.
    """
    device, classes = input.device, input.shape[-1]
    labels = class_indices("nll_loss", target, classes, ignore_index)
    weights = None if weight is None else weight._data
    if device.name == "cuda":
        check_target("nll_loss", labels, classes, ignore_index)
    data = device.empty(target.shape, input.dtype)
    device.kernels["nll_loss_forward"](data, input._data, labels, weights, ignore_index=ignore_index)
    shape, dtype = input.shape, input.dtype

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        labels, weights = node.saved[0]._data, node.saved[1]._data if len(node.saved) > 1 else None
        if is_grad_enabled():
            counted = labels != ignore_index
            index = np.where(counted, labels, 0)
            scale = np.where(counted, 1 if weights is None else weights[index], 0).astype(dtype)
            terms = expand_dims(negative(multiply(grad, wrap(scale, device))), axis=-1)
            into = zeros(shape, dtype=dtype, device=device)
            return (scatter_add(into, len(shape) - 1, wrap(index[..., None], device), terms),)
        data = device.empty(shape, dtype)
        device.kernels["nll_loss_backward_input"](data, grad._data, labels, weights, ignore_index=ignore_index)
        return (wrap(data, device),)

    saved = (wrap(labels, device),) if weight is None else (wrap(labels, device), weight)
    return record("nll_loss", data, (input,), backward, saved)  # type: ignore[no-any-return]  # one output: a Tensor
