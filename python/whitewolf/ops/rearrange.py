"""More ways to rearrange arrays: broadcasting together, taking apart, rolling, repeating, triangles.

Names and arguments as in the array API standard (2024.12).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph import record
from ..tensor import Tensor, wrap
from ._common import MAX_NDIM, check_int, check_ints, check_same_device, check_size, check_tensor, normalize_axis
from .manipulation import broadcast_to, flatten, reshape


def broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    """All arrays broadcast to one shape: views.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> import whitewolf as ww
    >>> [x.shape for x in ww.broadcast_arrays(ww.zeros((3, 1)), ww.zeros(2))]
    [(3, 2), (3, 2)]
    """
    shapes = [check_tensor("broadcast_arrays", f"arrays[{i}]", a).shape for i, a in enumerate(arrays)]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"broadcast_arrays: expected arrays of shapes that broadcast to one, got {shapes}") from None
    return [broadcast_to(a, shape) for a in arrays]


def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of x along `axis`, without that dimension: views.

    >>> import whitewolf as ww
    >>> ww.unstack(ww.asarray([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    x = check_tensor("unstack", "x", x)
    at = normalize_axis("unstack", axis, x.ndim)
    return tuple(x[(slice(None),) * at + (i,)] for i in range(x.shape[at]))


def roll(x: Tensor, /, shift: int | Sequence[int], *, axis: int | Sequence[int] | None = None) -> Tensor:
    """x moved by `shift` places along `axis`, what falls off coming in at the other end (None: as if flattened).

    Args:
        shift: an int, or one for each of `axis`; an axis may be named more than once, and its shifts add up.

    Raises:
        ValueError: `shift` and `axis` differ in length.
        IndexError: an axis is outside.

    >>> import whitewolf as ww
    >>> ww.roll(ww.asarray([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    x = check_tensor("roll", "x", x)
    shifts = check_ints("roll", "shift", shift)
    axes = None if axis is None else tuple(normalize_axis("roll", a, x.ndim) for a in check_ints("roll", "axis", axis))
    if axes is None:
        if len(shifts) != 1:
            raise ValueError(f"roll: expected shift to be one int where axis is None, got {shift}")
        sizes: tuple[int, ...] = (x.size,)
    else:
        if isinstance(shift, (int, np.integer)):
            shifts *= len(axes)
        if len(shifts) != len(axes):
            raise ValueError(f"roll: expected as many in shift as in axis, got {shift} and {axis}")
        sizes = tuple(x.shape[a] for a in axes)
    places: Any = tuple(s % n if n else 0 for s, n in zip(shifts, sizes))  # an absurd shift is a small one
    back = tuple(-s for s in places)
    data = x.device.xp.roll(x._data, places if axes is not None else places[0], axes)
    return record("roll", data, (x,), lambda node, grad: (roll(grad, back if axes is not None else back[0], axis=axes),))  # type: ignore[no-any-return]


def tile(x: Tensor, repetitions: Sequence[int], /) -> Tensor:
    """x repeated `repetitions[i]` times along dimension i; fewer repetitions are those of the last dimensions.

    Raises:
        ValueError: a repetition is negative.
        MemoryError: the result does not fit.

    >>> import whitewolf as ww
    >>> ww.tile(ww.asarray([1, 2]), (2, 2))
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    x = check_tensor("tile", "x", x)
    reps = check_ints("tile", "repetitions", repetitions)
    if any(r < 0 for r in reps):
        raise ValueError(f"tile: expected repetitions >= 0, got {reps}")
    if x.ndim + len(reps) > MAX_NDIM:
        raise ValueError(f"tile: expected x and repetitions of at most {MAX_NDIM} dimensions in all, got {x.ndim} and {len(reps)}")
    check_size("tile", x.size * math.prod(reps), x.dtype, "repetitions")
    n = max(x.ndim, len(reps))
    shape, reps = (1,) * (n - x.ndim) + x.shape, (1,) * (n - len(reps)) + reps
    pairs = tuple(v for r, s in zip(reps, shape) for v in (r, s))
    spread = broadcast_to(reshape(x, tuple(v for s in shape for v in (1, s))), pairs)
    return reshape(spread, tuple(r * s for r, s in zip(reps, shape)))


def repeat(x: Tensor, repeats: int | Tensor, /, *, axis: int | None = None) -> Tensor:
    """Each element (or slice along `axis`) `repeats` times in a row.

    Args:
        repeats: an int, or an integer tensor of counts: 0-d, or one for each slice.
        axis: None for the flattened x.

    Raises:
        ValueError: a count is negative, or there are not as many as slices.
        MemoryError: the result does not fit.

    >>> import whitewolf as ww
    >>> ww.repeat(ww.asarray([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    from .indexing import take

    x = check_tensor("repeat", "x", x)
    if isinstance(repeats, Tensor):
        check_same_device("repeat", x=x, repeats=repeats)
        if repeats.dtype.kind not in "iu":
            raise TypeError(f"repeat: expected repeats of integers, got dtype {repeats.dtype}")
    else:
        check_int("repeat", "repeats", repeats)
    if axis is None:
        x, axis = flatten(x), 0
    at = normalize_axis("repeat", axis, x.ndim)
    counts: Any = repeats.numpy() if isinstance(repeats, Tensor) else repeats
    if isinstance(repeats, Tensor) and repeats.shape not in ((), (1,), (x.shape[at],)):
        raise ValueError(f"repeat: expected repeats.shape == () or ({x.shape[at]},), got {repeats.shape}")
    if np.any(np.asarray(counts) < 0):
        raise ValueError("repeat: expected repeats >= 0, got a negative count")
    total = int(counts.sum(dtype=np.float64)) if isinstance(repeats, Tensor) else int(counts) * x.shape[at]
    check_size("repeat", total * (x.size // (x.shape[at] or 1) or 1), np.dtype(np.int64), "repeats")
    return take(x, wrap(np.repeat(np.arange(x.shape[at]), counts), x.device), axis=at)


def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """x with zeros above the k-th diagonal of its last two dimensions.

    Raises:
        ValueError: x has less than 2 dimensions.

    >>> import whitewolf as ww
    >>> ww.tril(ww.ones((2, 2)))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return _triangle("tril", np.tril, x, k)


def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """x with zeros below the k-th diagonal of its last two dimensions.

    Raises:
        ValueError: x has less than 2 dimensions.

    >>> import whitewolf as ww
    >>> ww.triu(ww.ones((2, 2)))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return _triangle("triu", np.triu, x, k)


def _triangle(name: str, function: Any, x: Tensor, k: int) -> Tensor:
    x = check_tensor(name, "x", x)
    k = min(max(check_int(name, "k", k), -(2**31)), 2**31)  # beyond any matrix, and within NumPy's indices
    if x.ndim < 2:
        raise ValueError(f"{name}: expected x of at least 2 dimensions, got x.shape == {x.shape}")
    return record(name, function(x._data, k), (x,), lambda node, grad: (_triangle(name, function, grad, k),))  # type: ignore[no-any-return]


__all__ = [
    "broadcast_arrays",
    "unstack",
    "roll",
    "tile",
    "repeat",
    "tril",
    "triu",
]
