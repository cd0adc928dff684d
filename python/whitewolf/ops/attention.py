"""Scaled dot-product attention in one pass; formulas in kernels/attention/attention.h."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graph import Node, is_grad_enabled, record, save_output
from ..tensor import Tensor, wrap
from ._common import check_float, check_same_device, check_same_dtype, check_tensor, unbroadcast
from ._sixteen import takes_sixteen_bit
from .elementwise import add, multiply, subtract
from .manipulation import matrix_transpose
from .matmul import matmul
from .reduce import sum
from .select import where
from .softmax import softmax


@takes_sixteen_bit
def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *, causal: bool = False, scale: float | None = None
) -> Tensor:
    """softmax(scale query key^T + mask) value (Vaswani et al. 2017, section 3.2.1); the weights are never in memory as a whole.

    A row that is masked as a whole is 0 and has gradient 0.

    Args:
        query: float32 or float64 [..., L, E]; leading dimensions broadcast.
        key: [..., S, E].
        value: [..., S, F].
        mask: broadcasts to [..., L, S]; booleans that are True where a query may see a key, or numbers of query's dtype that are
            added. Where such numbers require grad, all gradients take the memory of all weights.
        causal: query i sees only the keys up to i: the others have weight 0. NaN and Inf among those may come through all the same, as
            0 Inf is NaN; which do depends on the blocks of a variant.
        scale: 1 / sqrt(E) unless given.

    Returns:
        [..., L, F].

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.
    """
    scale = check("attention", query, key, value, mask, scale)
    lead = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2], () if mask is None else mask.shape[:-2])
    q, k, v, masks = _spread(lead, query, key, value, mask)
    device, attrs = query.device, {"scale": scale, "causal": bool(causal)}
    data = device.empty((*lead, q.shape[-2], v.shape[-1]), query.dtype)
    logsumexp = device.empty((*lead, q.shape[-2]), query.dtype)
    device.kernels["attention_forward"](data, logsumexp, q, k, v, *masks, **attrs)
    inputs = (query, key, value) if mask is None else (query, key, value, mask)
    return save_output(record("attention", data, inputs, _backward, inputs, (logsumexp, attrs)))


def check(op: str, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float | None) -> float:
    """The scale; raises what `attention` raises."""
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        check_float(op, name, check_tensor(op, name, tensor))
        if tensor.ndim < 2:
            raise ValueError(f"{op}: expected {name} of at least 2 dimensions, got {name}.shape == {tensor.shape}")
    check_same_device(op, query=query, key=key, value=value, mask=mask)
    check_same_dtype(op, query=query, key=key, value=value)
    if key.shape[-1] != query.shape[-1]:
        raise ValueError(f"{op}: expected key.shape[-1] == {query.shape[-1]} (query.shape[-1]), got key.shape == {key.shape}")
    if value.shape[-2] != key.shape[-2]:
        raise ValueError(f"{op}: expected value.shape[-2] == {key.shape[-2]} (key.shape[-2]), got value.shape == {value.shape}")
    shapes = [t.shape[:-2] for t in (query, key, value)]
    if mask is not None:
        check_tensor(op, "mask", mask)
        if mask.dtype not in (np.dtype(bool), query.dtype):
            raise TypeError(f"{op}: expected mask.dtype == bool or {query.dtype} (as query), got {mask.dtype}")
        pairs = (query.shape[-2], key.shape[-2])
        if any(n not in (1, size) for n, size in zip(mask.shape[::-1], pairs[::-1])):
            raise ValueError(f"{op}: expected mask that broadcasts to [..., L, S] == {pairs}, got mask.shape == {mask.shape}")
        shapes.append(mask.shape[:-2])
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"{op}: expected leading dimensions that broadcast, got {', '.join(map(str, shapes))}") from None
    if scale is None:
        return 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    return float(scale)


def _spread(lead: tuple[int, ...], query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Any, ...]:
    """The arrays with all leading dimensions, broadcast by stride 0; a mask as (bias, keep)."""
    arrays = [np.broadcast_to(t._data, (*lead, *t.shape[-2:])) for t in (query, key, value)]
    if mask is None:
        return (*arrays, (None, None))
    spread = np.broadcast_to(mask._data, (*lead, query.shape[-2], key.shape[-2]))
    return (*arrays, (None, spread) if mask.dtype == bool else (spread, None))


def attention_weights(
    query: Tensor, key: Tensor, mask: Tensor | None = None, *, causal: bool = False, scale: float = 1.0
) -> Tensor:
    """softmax(scale query key^T + mask), [..., L, S], in ops: what `attention` multiplies `value` by. Arguments as there."""
    scores = multiply(matmul(query, matrix_transpose(key)), scale)
    low = wrap(np.asarray(-np.inf, query.dtype), query.device)
    if mask is not None:
        scores = where(mask, scores, low) if mask.dtype == bool else add(scores, mask)
    if causal:
        seen = np.tri(query.shape[-2], key.shape[-2], dtype=bool)
        scores = where(wrap(seen, query.device), scores, low)
    nothing = np.all(scores._data == -np.inf, axis=-1, keepdims=True)
    if not nothing.any():
        return softmax(scores, -1)
    zero, none = wrap(np.zeros((), query.dtype), query.device), wrap(nothing, query.device)
    return where(none, zero, softmax(where(none, zero, scores), -1))


def _backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs, saved, (logsumexp, attrs) = node.needs, node.saved, node.context
    query, key, value, *rest, out = saved
    mask: Tensor | None = rest[0] if rest else None
    if is_grad_enabled() or any(needs[3:]):
        return _composite_backward(needs, grad, query, key, value, mask, **attrs)
    lead = out.shape[:-2]
    q, k, v, masks = _spread(lead, query, key, value, mask)
    delta = sum(multiply(grad, out), axis=-1)
    given = (grad._data, delta._data, logsumexp, q, k, v, *masks)
    device = grad.device
    grads: list[Tensor | None] = [None] * len(needs)
    if needs[0]:
        data = device.empty(q.shape, q.dtype)
        device.kernels["attention_backward_query"](data, *given, **attrs)
        grads[0] = unbroadcast(wrap(data, device), query.shape)
    if needs[1] or needs[2]:
        for_key, for_value = device.empty(k.shape, k.dtype), device.empty(v.shape, v.dtype)
        device.kernels["attention_backward_key_value"](for_key, for_value, *given, **attrs)
        grads[1] = unbroadcast(wrap(for_key, device), key.shape) if needs[1] else None
        grads[2] = unbroadcast(wrap(for_value, device), value.shape) if needs[2] else None
    return tuple(grads)


def _composite_backward(
    needs: tuple[bool, ...],
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float,
    causal: bool,
) -> tuple[Tensor | None, ...]:
    """The same in ops, on all weights at once: to be differentiated again, and for the gradient by the mask."""
    weights = attention_weights(query, key, mask, causal=causal, scale=scale)
    by_weight = matmul(grad, matrix_transpose(value))
    change = multiply(weights, subtract(by_weight, sum(multiply(by_weight, weights), axis=-1, keepdims=True)))
    scaled = multiply(change, scale)
    found = (
        unbroadcast(matmul(scaled, key), query.shape) if needs[0] else None,
        unbroadcast(matmul(matrix_transpose(scaled), query), key.shape) if needs[1] else None,
        unbroadcast(matmul(matrix_transpose(weights), grad), value.shape) if needs[2] else None,
    )
    if mask is None:
        return found
    return (*found, unbroadcast(change, mask.shape) if needs[3] else None)


__all__ = ["attention"]
