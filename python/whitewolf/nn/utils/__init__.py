"""What is done to gradients and parameters all at once."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..._named import checked
from ..._precision import run_step, widened
from ...autograd import no_grad
from ...device import Array, Device
from ...dtypes import float64
from ...ops import binary, elementwise, joining, manipulation, reduce
from ...ops._common import check_tensor
from ...ops.creation import full
from ...ops.select import clip
from ...tensor import Tensor
from ..parameter import overwrite
from . import rnn
from .reparametrized import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm


def _given(op: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """One tensor, or several, as a list."""
    if isinstance(parameters, Tensor):
        return [parameters]
    return [check_tensor(op, f"parameters[{i}]", p) for i, p in enumerate(parameters)]


def _gradients(op: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """The gradients, outside the graph, in the memory of the parameters' own."""
    return [p.grad.detach() for p in _given(op, parameters) if p.grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales all gradients together, in place, so that their norm is at most max_norm (Pascanu et al. 2013, arXiv 1211.5063).

    The gradients count as one vector g and become g * min(1, max_norm / (|g| + 1e-6)).

    Args:
        parameters: tensors; those without a gradient are passed over.
        max_norm: the largest norm, >= 0.
        norm_type: p of the p-norm; math.inf for the largest absolute value.
        error_if_nonfinite: raise where the norm is NaN or infinite, before anything is scaled.
        foreach: taken for the sake of code written for PyTorch: one kernel scales all gradients of a dtype either way.

    Returns:
        The norm before scaling, 0-d.

    Raises:
        ValueError: the norm is not finite and error_if_nonfinite is set.

    >>> import whitewolf as ww
    >>> x = ww.tensor([3.0, 4.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> ww.nn.utils.clip_grad_norm_([x], 1.0).item()
    10.0
    >>> x.grad
    tensor([0.6, 0.8])
    """
    gradients = _gradients("clip_grad_norm_", parameters)
    if not gradients:
        return full((), 0.0)
    with no_grad():
        total = _norm(gradients, norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise ValueError(f"clip_grad_norm_: expected gradients of a finite {norm_type}-norm, got {total}")
    factor = max_norm / (total + 1e-6)
    if not factor >= 1:  # NaN scales, too: nobody should go on with half of it
        for device, arrays in _alike(gradients):
            run_step(device, "scale_step", arrays, factor=factor)
        for g in gradients:
            g._overwritten()
    return full((), total, dtype=gradients[0].dtype, device=gradients[0].device)


def _alike(tensors: list[Tensor]) -> list[tuple[Device, list[Array]]]:
    """The arrays of one device and dtype together, as a kernel takes them."""
    groups: dict[tuple[str, str], tuple[Device, list[Array]]] = {}
    for t in tensors:
        groups.setdefault((t.device.name, t.dtype.name), (t.device, []))[1].append(t._data)
    return list(groups.values())


def _norm(gradients: list[Tensor], p: float) -> float:
    """The p-norm of all elements of all gradients."""
    if p == 2:
        squares = 0.0
        for device, arrays in _alike(gradients):
            total = device.empty((), float64)
            device.kernels["sum_squares"](total, [widened(a) for a in arrays])
            squares += float(total)
        return math.sqrt(squares)
    if p == math.inf:
        sizes = [reduce.max(elementwise.abs(g)).item() for g in gradients if g.size]
        return math.nan if any(math.isnan(s) for s in sizes) else max(sizes, default=0.0)
    powers = sum(reduce.sum(binary.pow(elementwise.abs(g), p)).item() for g in gradients)
    return float(powers ** (1 / p))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clips every element of the gradients to [-clip_value, clip_value], in place; `foreach` as in `clip_grad_norm_`.

    >>> import whitewolf as ww
    >>> ww.nn.utils.clip_grad_value_([ww.ones(2, requires_grad=True)], 0.5)
    """
    with no_grad():
        for g in _gradients("clip_grad_value_", parameters):
            overwrite(g, clip(g, -clip_value, clip_value))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters in one 1-d tensor; gradients flow back.

    Raises:
        ValueError: there is none.

    >>> import whitewolf as ww
    >>> ww.nn.utils.parameters_to_vector([ww.ones(2), ww.zeros((1, 1))])
    tensor([1., 1., 0.])
    """
    return joining.concat([manipulation.reshape(p, (-1,)) for p in _given("parameters_to_vector", parameters)])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Writes the elements of a 1-d tensor into the parameters, in place: the inverse of `parameters_to_vector`.

    Raises:
        ValueError: it has more or fewer elements than they; nothing was written then.

    >>> import whitewolf as ww
    >>> ww.nn.utils.vector_to_parameters(ww.ones(2), [ww.empty(2)])
    """
    given = _given("vector_to_parameters", parameters)
    total = sum(p.size for p in given)
    if vec.shape != (total,):
        raise ValueError(f"vector_to_parameters: expected vec.shape == ({total},), the parameters' elements, got {vec.shape}")
    start = 0
    for p in given:
        overwrite(p, manipulation.reshape(vec.detach()[start : start + p.size], p.shape))
        start += p.size


_FUNCTIONS = (clip_grad_norm_, clip_grad_value_, parameters_to_vector, vector_to_parameters)
globals().update({_function.__name__: checked(_function) for _function in _FUNCTIONS})

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "parameters_to_vector",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]
