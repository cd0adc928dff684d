"""Reading and writing parts of tensors, with gradients that are each other's: a read's is a sum into place, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import Node, _mode, record
from ..tensor import Tensor, wrap
from ._common import check_same_device, check_tensor, normalize_axis, operands, unbroadcast


def _key(op: str, x: Tensor, key: Any) -> tuple[Any, ...]:
    """The key with tensors as arrays; everything in it is checked by NumPy, which raises IndexError."""
    parts = key if isinstance(key, tuple) else (key,)
    found = []
    for part in parts:
        if isinstance(part, Tensor):
            check_same_device(op, x=x, index=part)
            if part.dtype.kind not in "biu":
                raise IndexError(f"{op}: expected an index of integers or booleans, got dtype {part.dtype}")
            found.append(part._data)
        else:
            found.append(np.asarray(part) if isinstance(part, list) else part)
    return tuple(found)


def _is_basic(key: tuple[Any, ...]) -> bool:
    """Only ints, slices, None and ...: the result is a view and no element appears twice."""
    return all(
        part is None or part is Ellipsis or isinstance(part, (int, slice, np.integer)) and not isinstance(part, bool)
        for part in key
    )


def getitem(x: Tensor, key: Any, /) -> Tensor:
    """x[key]: a view for ints, slices, None and ..., a copy for masks and integer arrays.

    Raises:
        IndexError: an index is out of range or of a wrong type.
    """
    parts = _key("getitem", x, key)
    try:
        data = x._data[parts]
    except IndexError as error:
        raise IndexError(f"getitem: expected an index into shape {x.shape}, got {error}") from None
    shape = x.shape
    result: Tensor = record("getitem", data, (x,), lambda node, grad: (_put(grad, parts, shape),))
    if _is_basic(parts):
        result._version = x._version
    return result


def _put(grad: Tensor, key: tuple[Any, ...], shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape` with grad added at `key`; elements that appear more than once add up, in a fixed order."""
    data = grad.device.empty(shape, grad.dtype)
    data.fill(0)
    if _is_basic(key):
        data[key] = grad._data
    else:
        np.add.at(data, key, grad._data)
    return record("put", data, (grad,), lambda node, g: (_take_key(g, key),))  # type: ignore[no-any-return]


def _take_key(x: Tensor, key: tuple[Any, ...]) -> Tensor:
    shape = x.shape
    return record("getitem", x._data[key], (x,), lambda node, grad: (_put(grad, key, shape),))  # type: ignore[no-any-return]


def setitem(x: Tensor, key: Any, value: Any) -> None:
    """x[key] = value, in place. In a graph, x goes on as the result: gradients reach what was not overwritten, and `value`.

    Raises:
        ValueError: `value` does not broadcast to x[key], or x is read-only, a leaf that requires grad, or a view in a graph.
        IndexError: an index is out of range or of a wrong type.
    """
    parts = _key("setitem", x, key)
    _, new = operands("setitem", x, value)
    recording = _mode.enabled and (x._requires_grad or new._requires_grad)
    if recording and x._node is None and x._requires_grad:
        raise ValueError(
            f"setitem: expected a tensor that is no leaf of the graph, got a leaf of shape {x.shape} that requires grad; "
            "write inside no_grad(), or to a copy"
        )
    if recording and x._data.base is not None and isinstance(x._data.base, np.ndarray):
        raise ValueError(
            f"setitem: expected a tensor that owns its memory where a graph is recorded, got a view of shape {x.shape}"
        )
    if new.dtype != x.dtype:
        raise TypeError(f"setitem: expected a value of dtype {x.dtype}, got {new.dtype}")
    before = wrap(x._data, x.device)
    before._requires_grad, before._node, before._output = x._requires_grad, x._node, x._output
    try:
        x._data[parts] = new._data
    except IndexError as error:
        raise IndexError(f"setitem: expected an index into shape {x.shape}, got {error}") from None
    except ValueError as error:
        raise ValueError(f"setitem: {error}") from None
    x._overwritten()
    if recording:

        def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
            kept = None
            if node.needs[0]:
                mask = grad.device.xp.ones(grad.shape, grad.dtype)
                mask[parts] = 0
                kept = grad * wrap(mask, grad.device)
            return kept, unbroadcast(_take_key(grad, parts), new.shape) if node.needs[1] else None

        result: Tensor = record("setitem", x._data, (before, new), backward)
        x._requires_grad, x._node, x._output = True, result._node, 0


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """The slices of x at `indices` (integers, one dimension or more) along `axis`; axis may be left out of a 1-d x.

    Raises:
        IndexError: an index is outside [-n, n).
    """
    x, indices = check_tensor("take", "x", x), check_tensor("take", "indices", indices)
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"take: expected axis for x of {x.ndim} dimensions, got None")
        axis = 0
    at = normalize_axis("take", axis, x.ndim)
    if indices.dtype.kind not in "iu":
        raise IndexError(f"take: expected integer indices, got dtype {indices.dtype}")
    return getitem(x, (slice(None),) * at + (indices,))


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """x[..., indices[..., i, ...], ...] along `axis`: the other dimensions of `indices` broadcast against x's.

    Raises:
        IndexError: an index is outside [-n, n).
    """
    x, indices = check_tensor("take_along_axis", "x", x), check_tensor("take_along_axis", "indices", indices)
    at = normalize_axis("take_along_axis", axis, x.ndim)
    if indices.ndim != x.ndim:
        raise ValueError(f"take_along_axis: expected indices of {x.ndim} dimensions (as x), got {indices.ndim}")
    if indices.dtype.kind not in "iu":
        raise IndexError(f"take_along_axis: expected integer indices, got dtype {indices.dtype}")
    grid: list[Any] = [np.arange(n).reshape((-1,) + (1,) * (x.ndim - d - 1)) for d, n in enumerate(x.shape)]
    grid[at] = indices
    return getitem(x, tuple(wrap(g, x.device) if isinstance(g, np.ndarray) else g for g in grid))


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The indices of the elements that are not zero, one int64 tensor for each dimension."""
    x = check_tensor("nonzero", "x", x)
    if x.ndim == 0:
        raise ValueError("nonzero: expected x of at least 1 dimension, got a 0-d tensor")
    return tuple(wrap(i, x.device) for i in x._data.nonzero())


__all__ = [
    "nonzero",
    "take",
    "take_along_axis",
]
