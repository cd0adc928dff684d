"""Arrays in every layout that a kernel must take: the same values, other strides.

The memory around the values is NaN (all bits set), so that a read beside them shows in the result.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..cases import Array
from ..device import over

GUARD = 256  # bytes on either side of a block


def poisoned(bytes_: int, like: Array | None = None) -> Array:
    """Bytes, all bits set, 64-byte aligned at offset GUARD, where the array `like` lies: without one, on the CPU."""
    raw = np.full_like(np.empty(0, np.uint8) if like is None else like, 0xFF, np.uint8, shape=(bytes_ + 2 * GUARD + 64,))
    address = raw.ctypes.data if isinstance(raw, np.ndarray) else raw.data.ptr
    start = -(address + GUARD) % 64
    return raw[start : start + bytes_ + 2 * GUARD]


def _place(like: Array, steps: tuple[int, ...], order: tuple[int, ...], pad: int = 0) -> Array:
    """An array of poison, shaped like `like`. Dimension order[-1] varies fastest; i holds every |steps[i]|-th slot, backwards if negative.

    `pad` is a number of slots left free after each run of the fastest dimension.
    """
    shape, dtype = like.shape, like.dtype
    strides, distance = [0] * len(shape), dtype.itemsize
    for at, i in enumerate(reversed(order)):
        strides[i] = distance * abs(steps[i])
        distance *= max(shape[i] * abs(steps[i]) + (pad if at == 0 else 0), 1)
    block = poisoned(max(distance, dtype.itemsize), like)
    array: Array = over(block, shape, dtype, GUARD, tuple(strides))
    return array[(..., *(slice(None, None, -1) if s < 0 else slice(None) for s in steps))]  # ...: an array also where 0-d


Axes = Callable[[int], "tuple[int, ...]"]  # from the number of dimensions


def _ordered(order: Axes, steps: Axes, pad: int = 0) -> Callable[[Array], Array]:
    def make(like: Array) -> Array:
        return _place(like, steps(like.ndim), order(like.ndim), pad)

    return make


def _c(n: int) -> tuple[int, ...]:
    return tuple(range(n))


def _offset(like: Array) -> Array:
    block = poisoned((like.size + 1) * like.itemsize, like)
    return over(block, like.shape, like.dtype, GUARD + like.itemsize)  # type: ignore[no-any-return]  # NumPy's or CuPy's: `over` is Any


# name -> an array of poison shaped like the argument
EMPTY: dict[str, Callable[[Array], Array]] = {
    "C order": _ordered(_c, lambda n: (1,) * n),
    "Fortran order": _ordered(lambda n: _c(n)[::-1], lambda n: (1,) * n),
    "channels last": _ordered(lambda n: (0, *range(2, n), 1) if n > 2 else _c(n), lambda n: (1,) * n),
    "rows apart": _ordered(_c, lambda n: (1,) * n, pad=3),
    "columns apart": _ordered(lambda n: _c(n)[::-1], lambda n: (1,) * n, pad=3),
    "stepped": _ordered(_c, lambda n: (1,) * (n - 1) + (3,) if n else ()),
    "all stepped": _ordered(_c, lambda n: (2,) * n),
    "negative": _ordered(_c, lambda n: (-1,) * n),
    "mixed": _ordered(lambda n: _c(n)[::-1], lambda n: tuple(-2 if i % 2 else 1 for i in range(n))),
    "offset": _offset,
}


def lay(array: Array, pattern: str) -> Array:
    """The same values in another layout."""
    placed = EMPTY[pattern](array)
    placed[...] = array
    return placed


def broadcasts(array: Array) -> dict[str, Array]:
    """The array made constant along its first, its last, and all dimensions, with stride 0 there."""
    found = {}
    if array.size and array.ndim:
        axes = {"first": (0,), "last": (array.ndim - 1,), "all": tuple(range(array.ndim))}
        for name, which in axes.items():
            part = tuple(slice(0, 1) if i in which else slice(None) for i in range(array.ndim))
            found[f"stride 0 along {name}"] = np.broadcast_to(array[part].copy(), array.shape)
    return found
