"""Local-response normalisation; formulas in kernels/norm/norm.h."""

from __future__ import annotations

from typing import Any

from ..graph import Node, is_grad_enabled, record
from ..tensor import Tensor, wrap
from ._common import check_float, check_tensor
from ._layout import _join, _order, _output
from ._sixteen import takes_sixteen_bit
from .binary import pow
from .elementwise import add, divide, multiply, square, subtract
from .manipulation import expand_dims, pad_constant, reshape
from .pool2d import avg_pool2d


@takes_sixteen_bit
def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """input / (k + alpha / size (the sum of squares over `size` channels around))^beta (Krizhevsky et al. 2012, section 3.3).

    The window of channel c is [c - size // 2, c + (size - 1) // 2]; outside there are zeros.

    Args:
        input: float32 or float64 [N, C, ...].

    Returns:
        shaped like input, in its layout.

    Raises:
        ValueError: size is less than 1, or the input has fewer than 3 dimensions.

    >>> import whitewolf as ww
    >>> ww.nn.functional.local_response_norm(ww.ones((1, 1, 1)), 1, alpha=3.0, beta=0.5)
    tensor([[[0.5]]])
    """
    op = "local_response_norm"
    x = check_tensor(op, "input", input)
    check_float(op, "input", x)
    if size < 1 or x.ndim < 3:
        raise ValueError(f"{op}: expected input [N, C, ...] and size >= 1, got input.shape == {x.shape}, size {size}")
    attrs: dict[str, Any] = {"size": int(size), "alpha": float(alpha), "beta": float(beta)}
    device, order = x.device, _order(x._data, 2)
    data, out = _output(x, 2, order)
    scale = _output(x, 2, order)[1] if x.requires_grad and is_grad_enabled() else None
    device.kernels[op + "_forward"](out, scale, _join(x._data, 2, order), **attrs, k=float(k))

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        (x,) = node.saved
        if is_grad_enabled():
            return (_composite_backward(grad, x, **attrs, k=k),)
        data, out = _output(x, 2, order)
        device.kernels[op + "_backward_x"](out, _join(grad._data, 2, order), scale, _join(x._data, 2, order), **attrs)
        return (wrap(data, device),)

    return record(op, data, (x,), backward, (x,))  # type: ignore[no-any-return]


def _composite_backward(grad: Tensor, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """The same in ops, to be differentiated again."""
    low, high = size // 2, (size - 1) // 2
    scale = add(multiply(_window_mean(square(x), low, high, size), alpha), k)
    power = pow(scale, -beta)
    around = _window_mean(divide(multiply(multiply(grad, x), power), scale), high, low, size)
    return subtract(multiply(grad, power), multiply(multiply(x, around), 2 * alpha * beta))


def _window_mean(x: Tensor, low: int, high: int, size: int) -> Tensor:
    """The sum over channels [c - low, c + high], divided by size."""
    if not x.size:
        return x
    low, high = min(low, x.shape[1] - 1), min(high, x.shape[1] - 1)  # beyond the channels there are zeros alone
    window = low + high + 1
    rows = expand_dims(reshape(x, (*x.shape[:2], -1)), axis=1)
    mean = avg_pool2d(pad_constant(rows, [(0, 0), (0, 0), (low, high), (0, 0)]), (window, 1), 1)
    return multiply(reshape(mean, x.shape), window / size)


__all__ = ["local_response_norm"]
