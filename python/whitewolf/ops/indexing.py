"""Reading and writing parts of tensors, with gradients that are each other's: a read's is a sum into place, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._precision import round_into, widened
from ..dtypes import is_sixteen_bit, promote
from ..graph import Node, _mode, record
from ..tensor import Tensor, wrap
from ._common import check_same_device, check_tensor, from_scalar, is_writable, normalize_axis, share_memory, unbroadcast
from .manipulation import astype
from .select import where


def _key(op: str, x: Tensor, key: Any) -> tuple[Any, ...]:
    """The key with tensors and lists as arrays; what is in range, NumPy says, with an IndexError."""
    parts = key if isinstance(key, tuple) else (key,)
    found = []
    for part in parts:
        if isinstance(part, Tensor):
            check_same_device(op, x=x, index=part)
            part = part._data
        elif isinstance(part, list):
            part = np.asarray(part) if part else np.zeros(0, np.int64)
        elif isinstance(part, np.ndarray) and x._requires_grad:
            part = part.copy()  # backward needs it as it is now
        if isinstance(part, np.ndarray) and part.dtype.kind not in "biu":
            raise IndexError(f"{op}: expected an index of integers or booleans, got dtype {part.dtype}")
        found.append(part)
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
    return _read("getitem", x, key, "an index")


def _read(op: str, x: Tensor, key: Any, what: str) -> Tensor:
    parts = _key(op, x, key)
    try:
        data = x._data[parts]
    except (IndexError, TypeError, ValueError) as error:
        raise IndexError(f"{op}: expected {what} into shape {x.shape}, got {error}") from None
    shape = x.shape
    if _is_basic(parts):
        result: Tensor = record("getitem", data, (x,), lambda node, grad: (_put(grad, parts, shape),))
        return share_memory(x, result)
    saved = _tensors(key)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        _ = node.saved  # an index that was overwritten raises here
        return (_put(grad, parts, shape, saved),)

    return record("getitem", data, (x,), backward, saved)  # type: ignore[no-any-return]


def _tensors(key: Any) -> tuple[Tensor, ...]:
    """The tensors of a key: backward needs them as they were."""
    return tuple(part for part in (key if isinstance(key, tuple) else (key,)) if isinstance(part, Tensor))


def _put(grad: Tensor, key: tuple[Any, ...], shape: tuple[int, ...], saved: tuple[Tensor, ...] = ()) -> Tensor:
    """Zeros of `shape` with grad added at `key`; elements that appear more than once add up, in a fixed order.

    `saved` are the tensors whose arrays are in the key.
    """
    data = grad.device.empty(shape, grad.dtype)
    data.fill(0)
    if _is_basic(key):
        data[key] = grad._data
    elif is_sixteen_bit(grad.dtype):
        wide = widened(data)
        np.add.at(wide, key, widened(grad._data))
        round_into(data, wide)
    else:
        np.add.at(data, key, grad._data)

    def backward(node: Node, g: Tensor) -> tuple[Tensor]:
        _ = node.saved
        return (_take_key(g, key, saved),)

    return record("put", data, (grad,), backward, saved)  # type: ignore[no-any-return]


def _take_key(x: Tensor, key: tuple[Any, ...], saved: tuple[Tensor, ...] = ()) -> Tensor:
    shape = x.shape

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        _ = node.saved
        return (_put(grad, key, shape, saved),)

    return record("getitem", x._data[key], (x,), backward, saved)  # type: ignore[no-any-return]


def setitem(x: Tensor, key: Any, value: Any) -> None:
    """x[key] = value, in place. In a graph, x goes on as the result: gradients reach what was not overwritten, and `value`.

    What ops saved of x before is stale, and backward through them says so. Since the graph of a view cannot learn of what was
    written to its base, nor the other way round, a recorded assignment to memory that another living tensor sees is refused.

    Raises:
        ValueError: `value` does not broadcast to x[key]; x is read-only; or, in a graph, x is a leaf that requires grad, or another
            tensor shares its memory.
        IndexError: an index is out of range or of a wrong type.
        TypeError: `value` has a dtype that does not promote to x's.
    """
    parts = _key("setitem", x, key)
    new = _value(x, value)
    recording = _mode.enabled and (x._requires_grad or new._requires_grad)
    if recording:
        check_alone(x)
    before = as_it_is(x, x._data)
    try:
        x._data[parts] = new._data
    except (IndexError, TypeError) as error:
        raise IndexError(f"setitem: expected key to be an index into x.shape == {x.shape}, got {error}") from None
    except ValueError as error:
        if not is_writable(x):
            raise ValueError(
                f"setitem: expected x that can be written to, got one over read-only memory of shape {x.shape}"
            ) from None
        raise ValueError(
            f"setitem: expected value of a shape that broadcasts to x[key], x.shape == {x.shape}, got value.shape == {new.shape}: {error}"
        ) from None
    x._overwritten()
    if recording:
        saved = _tensors(key)

        def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
            _ = node.saved
            kept = None
            if node.needs[0]:
                written = grad.device.xp.zeros(grad.shape, bool)
                written[parts] = True
                kept = where(wrap(written, grad.device), 0.0, grad)
            if not node.needs[1]:
                return kept, None
            taken = _take_key(grad, parts, saved)
            if not _is_basic(parts):  # of values that were written to one place, the last is there
                places = grad.device.xp.zeros(grad.shape, np.int64)
                order = grad.device.xp.arange(taken.size).reshape(taken.shape)
                places[parts] = order
                taken = where(wrap(places[parts] == order, grad.device), taken, 0.0)
            return kept, unbroadcast(taken, new.shape)

        result: Tensor = record("setitem", x._data, (before, new), backward, saved)
        x._requires_grad, x._node, x._output = True, result._node, 0


def _value(x: Tensor, value: Any) -> Tensor:
    """What is to be written, on x's device and in x's dtype: a number, or a tensor of a dtype that promotes to x's."""
    if not isinstance(value, Tensor):
        new = from_scalar("setitem", "value", value, x)
        dtype = new.dtype
    else:
        check_same_device("setitem", x=x, value=value)
        try:
            dtype = promote(x.dtype, value.dtype)
        except TypeError as error:
            raise TypeError(
                f"setitem: expected value of a dtype that promotes to x's {x.dtype}, got {value.dtype}: {error}"
            ) from None
        if dtype.kind == "c" and value._requires_grad and _mode.enabled:
            raise TypeError("setitem: expected value that requires no grad for a complex x, in which nothing is differentiated; "
                            "value.detach() is one")  # fmt: skip
        new = value
    if dtype != x.dtype:
        raise TypeError(f"setitem: expected value of a dtype that promotes to x's {x.dtype}, got {new.dtype}")
    return astype(new, dtype, copy=False)


def as_it_is(x: Tensor, data: Any) -> Tensor:
    """x's place in the graph, over `data`: what an op takes in x's stead before x itself goes on as the op's result."""
    before = wrap(data, x.device)
    before._requires_grad, before._node, before._output = x._requires_grad, x._node, x._output
    return before


def check_alone(x: Tensor, op: str = "setitem") -> None:
    """Raises ValueError where a recorded assignment to x would give somebody a wrong gradient."""
    if x._node is None and x._requires_grad:
        raise ValueError(
            f"{op}: expected a tensor that is no leaf of the graph, got a leaf of shape {x.shape} that requires grad; "
            "write inside no_grad(), or to a copy"
        )
    for sharer in x._version[1:]:
        other = sharer()
        if other is not None and other is not x:
            what = "a leaf" if other._node is None else f"the result of {other._node.name}"
            raise ValueError(
                f"{op}: expected a tensor whose memory no other sees where a graph is recorded, got one of shape {x.shape} "
                f"whose memory {what} of shape {other.shape} shares; write to a copy (x.clone())"
            )


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """The slices of x at `indices` (integers, one dimension or more) along `axis`; axis may be left out of a 1-d x.

    Raises:
        IndexError: an index is outside [-n, n).
        ValueError: no axis where x has several.

    >>> import whitewolf as ww
    >>> ww.take(ww.asarray([10, 20, 30]), ww.asarray([2, 0]))
    tensor([30, 10])
    """
    x, indices = check_tensor("take", "x", x), check_tensor("take", "indices", indices)
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"take: expected axis for x of {x.ndim} dimensions, got None")
        axis = 0
    at = normalize_axis("take", axis, x.ndim)
    if indices.dtype.kind not in "iu":
        raise IndexError(f"take: expected integer indices, got dtype {indices.dtype}")
    return _read("take", x, (slice(None),) * at + (indices,), "indices")


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """x[..., indices[..., i, ...], ...] along `axis`: the other dimensions of x and `indices` broadcast.

    Raises:
        IndexError: an index is outside [-n, n).
        ValueError: the shapes do not fit.

    >>> import whitewolf as ww
    >>> ww.take_along_axis(ww.asarray([[1, 2], [3, 4]]), ww.asarray([[1], [0]]))
    tensor([[2],
            [3]])
    """
    x, indices = check_tensor("take_along_axis", "x", x), check_tensor("take_along_axis", "indices", indices)
    at = normalize_axis("take_along_axis", axis, x.ndim)
    if indices.ndim != x.ndim:
        raise ValueError(f"take_along_axis: expected indices of {x.ndim} dimensions (as x), got {indices.ndim}")
    if indices.dtype.kind not in "iu":
        raise IndexError(f"take_along_axis: expected integer indices, got dtype {indices.dtype}")
    pairs = [(d, m, n) for d, (m, n) in enumerate(zip(indices.shape, x.shape)) if d != at]
    if not all(m == n or 1 in (m, n) for _, m, n in pairs):
        raise ValueError(
            f"take_along_axis: expected indices that broadcast with x but along axis {at}, got x.shape == {x.shape}, "
            f"indices.shape == {indices.shape}"
        )
    if any(n == 1 != m for _, m, n in pairs):
        from .manipulation import broadcast_to

        x = broadcast_to(x, tuple(n if d == at or n != 1 else indices.shape[d] for d, n in enumerate(x.shape)))
    grid: list[Any] = [np.arange(n).reshape((-1,) + (1,) * (x.ndim - d - 1)) for d, n in enumerate(x.shape)]
    grid[at] = indices
    return _read("take_along_axis", x, tuple(grid), "indices")


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The indices of the elements that are not zero, one int64 tensor for each dimension.

    Raises:
        ValueError: x is 0-d.

    >>> import whitewolf as ww
    >>> ww.nonzero(ww.asarray([5, 0, 7]))
    (tensor([0, 2]),)
    """
    x = check_tensor("nonzero", "x", x)
    if x.ndim == 0:
        raise ValueError("nonzero: expected x of at least 1 dimension, got a 0-d tensor")
    return tuple(wrap(i, x.device) for i in x._data.nonzero())


__all__ = [
    "nonzero",
    "take",
    "take_along_axis",
]
