"""Reading and adding at places that an index names, under PyTorch's arguments: each is the other's gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import is_sixteen_bit
from ..graph import Node, record
from ..tensor import Tensor, wrap
from ._common import (
    KERNEL_FLOATS,
    SCALARS,
    check_dims,
    check_number,
    check_same_device,
    check_same_dtype,
    check_tensor,
    normalize_axis,
)
from ._sixteen import through_float32
from .creation import full, zeros
from .elementwise import multiply
from .manipulation import astype, broadcast_to, pad_constant, reshape
from .select import where


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """out[i, j, k] = input[i, index[i, j, k], k] for dim = 1, and so on: one element for each of `index`.

    Args:
        input: any shape and dtype.
        index: integers in [0, input.shape[dim]), as many dimensions as input, in others than `dim` no longer than it.

    Returns:
        shaped like index.

    Raises:
        IndexError: an index or `dim` is outside.
        ValueError: the shapes do not fit.

    >>> import whitewolf as ww
    >>> ww.gather(ww.asarray([[1.0, 2.0], [3.0, 4.0]]), 1, ww.asarray([[1], [0]]))
    tensor([[2.],
            [3.]])
    """
    x, at = _check("gather", input, dim, index)
    shape, places = x.shape, index._data
    part = x._data[tuple(slice(None) if d == at else slice(n) for d, n in enumerate(places.shape))]
    if not x.ndim:
        data = x._data.copy()
    elif x.dtype in KERNEL_FLOATS:
        check_dims("gather", "input", x)
        data = x.device.empty(places.shape, x.dtype, places)
        x.device.kernels["gather_forward"](*(np.moveaxis(a, at, -1) for a in (data, part, _int64(places))))
    else:
        data = np.take_along_axis(part, places, at)

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        return (scatter_add(zeros(shape, dtype=grad.dtype, device=grad.device), at, node.saved[0], grad),)

    return record("gather", data, (x,), backward, (index,))  # type: ignore[no-any-return]


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """input, with src[i, j, k] added at [i, index[i, j, k], k] for dim = 1, and so on, for each element of `index`.

    Terms of one element are added in the order of their places along `dim`: the same bits from run to run.

    Args:
        input: any shape; a number's dtype.
        index: integers in [0, input.shape[dim]), as many dimensions as input, in others than `dim` no longer than it.
        src: of input's dtype, in no dimension shorter than index; what is beyond index is not read.

    Raises:
        IndexError: an index or `dim` is outside.
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.

    >>> import whitewolf as ww
    >>> ww.scatter_add(ww.zeros(3), 0, ww.asarray([0, 2, 2]), ww.ones(3))
    tensor([1., 0., 2.])
    """
    x, at = _check("scatter_add", input, dim, index)
    check_tensor("scatter_add", "src", src)
    check_same_device("scatter_add", input=x, src=src)
    check_same_dtype("scatter_add", input=x, src=src)
    if is_sixteen_bit(x.dtype):  # sums of many terms
        return through_float32(scatter_add, x, at, index, src)
    sizes, places = index.shape, index._data
    if src.ndim != x.ndim or any(n > m for n, m in zip(sizes, src.shape)):
        raise ValueError(
            f"scatter_add: expected src of {x.ndim} dimensions, none shorter than {sizes}, got src.shape == {src.shape}"
        )
    data = x.device.empty(x.shape, x.dtype)
    np.copyto(data, x._data)
    if x.ndim:
        into = data[tuple(slice(None) if d == at else slice(n) for d, n in enumerate(sizes))]
        terms = src._data[tuple(slice(n) for n in sizes)]
    else:  # a row of one
        into, terms, places = (a.reshape(1) for a in (data, src._data, places))
    if x.dtype in KERNEL_FLOATS:
        x.device.kernels["scatter_add_forward"](*(np.moveaxis(a, at, -1) for a in (into, terms, _int64(places))))
    else:
        grid: list[Any] = list(np.ogrid[tuple(slice(n) for n in places.shape)])
        grid[at] = places
        np.add.at(into, tuple(grid), terms)
    extra = [(0, m - n) for n, m in zip(sizes, src.shape)]

    def backward(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
        if not node.needs[1]:
            return grad, None
        taken = gather(grad, at, node.saved[0])
        return grad if node.needs[0] else None, pad_constant(taken, extra) if any(b for _, b in extra) else taken

    return record("scatter_add", data, (x, src), backward, (index,))  # type: ignore[no-any-return]


def scatter(input: Tensor, dim: int, index: Tensor, src: Tensor | complex) -> Tensor:
    """input, with src[i, j, k] put at [i, index[i, j, k], k] for dim = 1, and so on, for each element of `index`.

    Of elements that go to one place, the last along `dim` stays, and has the gradient.

    Args:
        input: any shape and dtype.
        index: integers in [0, input.shape[dim]), as many dimensions as input, in others than `dim` no longer than it.
        src: of input's dtype, in no dimension shorter than index; what is beyond index is not read. Or one number.

    Raises:
        IndexError: an index or `dim` is outside.
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.

    >>> import whitewolf as ww
    >>> ww.scatter(ww.zeros(3), 0, ww.asarray([2, 0, 2]), ww.asarray([1.0, 2.0, 3.0]))
    tensor([2., 0., 3.])
    """
    x, at = _check("scatter", input, dim, index)
    if not isinstance(src, Tensor):
        if not isinstance(src, SCALARS) or isinstance(src, complex) and x.dtype.kind != "c":
            raise TypeError(f"scatter: expected src to be a Tensor or a number of dtype {x.dtype}, got {type(src).__name__}")
        src = broadcast_to(full((), src, dtype=x.dtype, device=x.device), index.shape)
    check_same_device("scatter", input=x, src=src)
    check_same_dtype("scatter", input=x, src=src)
    if src.ndim != x.ndim or any(n > m for n, m in zip(index.shape, src.shape)):
        raise ValueError(
            f"scatter: expected src of {x.ndim} dimensions, none shorter than {index.shape}, got src.shape == {src.shape}"
        )
    if not x.ndim:  # a row of one
        return reshape(scatter(reshape(x, (1,)), 0, reshape(index, (1,)), reshape(src, (1,))), ())
    if not index.size:
        return astype(x, x.dtype)
    last = np.moveaxis(last_terms(np.moveaxis(index.numpy(), at, -1), x.shape[at]), -1, at)
    taken = gather(src, at, wrap(np.maximum(last, 0), x.device))
    edges = [(0, n - m) for n, m in zip(x.shape, last.shape)]
    put = np.pad(last, edges, constant_values=-1) >= 0
    return where(wrap(put, x.device), pad_constant(taken, edges) if any(b for _, b in edges) else taken, x)


def last_terms(places: Any, size: int) -> Any:
    """For each of `size` places of a row, the last of the row's terms places[..., j] that goes there; -1 where none does."""
    lead, count = places.shape[:-1], places.shape[-1]
    rows = math.prod(lead)
    found = np.full(rows * size, -1, np.int64)
    flat = np.arange(rows)[:, None] * size + places.reshape(rows, count).astype(np.int64)
    np.maximum.at(found, flat.ravel(), np.tile(np.arange(count), rows))  # an assignment promises no order
    return found.reshape((*lead, size))


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """input, with alpha source[:, j, :] added to its slice [:, index[j], :] for dim = 1, and so on; the order is that of j.

    Args:
        input: any shape; a number's dtype.
        index: integers [m] in [0, input.shape[dim]).
        source: input's shape but m along `dim`.

    Raises:
        IndexError: an index or `dim` is outside.
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.

    >>> import whitewolf as ww
    >>> ww.index_add(ww.zeros((2, 2)), 0, ww.asarray([1, 1]), ww.ones((2, 2)))
    tensor([[0., 0.],
            [2., 2.]])
    """
    x, index = check_tensor("index_add", "input", input), check_tensor("index_add", "index", index)
    check_same_device("index_add", input=x, index=index, source=check_tensor("index_add", "source", source))
    check_same_dtype("index_add", input=x, source=source)
    at = normalize_axis("index_add", dim, x.ndim, "dim")
    if index.ndim != 1 or not x.ndim:
        raise ValueError(f"index_add: expected index of 1 dimension and input of 1 or more, got {index.shape} and {x.shape}")
    wanted = (*x.shape[:at], index.shape[0], *x.shape[at + 1 :])
    if source.shape != wanted:
        raise ValueError(f"index_add: expected source.shape == {wanted}, got {source.shape}")
    _check_places("index_add", x.shape[at], index)
    check_number("index_add", "alpha", alpha)
    places = broadcast_to(reshape(index, (-1,) + (1,) * (x.ndim - at - 1)), wanted)
    return scatter_add(x, at, places, source if alpha == 1 else multiply(source, alpha))


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices input[:, index[j], :] for dim = 1, and so on; the gradient is `index_add`.

    Args:
        input: any shape and dtype.
        index: integers [m] in [0, input.shape[dim]).

    Returns:
        input's shape but m along `dim`.

    Raises:
        IndexError: an index or `dim` is outside.
        ValueError: the shapes do not fit.

    >>> import whitewolf as ww
    >>> ww.index_select(ww.asarray([[1, 2, 3]]), 1, ww.asarray([2, 2, 0]))
    tensor([[3, 3, 1]])
    """
    x, index = check_tensor("index_select", "input", input), check_tensor("index_select", "index", index)
    check_same_device("index_select", input=x, index=index)
    at = normalize_axis("index_select", dim, x.ndim, "dim")
    if index.ndim != 1 or not x.ndim:
        raise ValueError(f"index_select: expected index of 1 dimension and input of 1 or more, got {index.shape} and {x.shape}")
    _check_places("index_select", x.shape[at], index)
    data = x._data.take(_int64(index._data), axis=at)
    shape = x.shape

    def backward(node: Node, grad: Tensor) -> tuple[Tensor]:
        return (index_add(zeros(shape, dtype=grad.dtype, device=grad.device), at, node.saved[0], grad),)

    return record("index_select", data, (x,), backward, (index,))  # type: ignore[no-any-return]


def _check(op: str, input: Tensor, dim: int, index: Tensor) -> tuple[Tensor, int]:
    x = check_tensor(op, "input", input)
    check_tensor(op, "index", index)
    check_same_device(op, input=x, index=index)
    at = normalize_axis(op, dim, max(x.ndim, 1), "dim")
    if index.ndim != x.ndim or any(n > m for d, (n, m) in enumerate(zip(index.shape, x.shape)) if d != at):
        raise ValueError(
            f"{op}: expected index of {x.ndim} dimensions, none but {at} longer than input's {x.shape}, got index.shape == {index.shape}"
        )
    _check_places(op, x.shape[at] if x.ndim else 1, index)
    return x, at


def _check_places(op: str, n: int, index: Tensor) -> None:
    if index.dtype.kind not in "iu":
        raise TypeError(f"{op}: expected index of integers, got dtype {index.dtype}")
    places = index._data.view(np.uint64) if index.dtype == np.int64 else index._data  # as such, what is below 0 is very large
    if index.size and not (places.max() < n and (places.dtype.kind == "u" or places.min() >= 0)):
        wrong = np.argwhere((index._data < 0) | (index._data >= n))[0]
        place = tuple(int(i) for i in wrong)
        raise IndexError(f"{op}: expected index in [0, {n}), got {int(index._data[place])} at {place}")


def _int64(places: Any) -> Any:
    return places if places.dtype == np.int64 else places.astype(np.int64)


__all__ = ["gather", "index_add", "index_select", "scatter", "scatter_add"]
