"""Random tensors from the stream of `ww.manual_seed`; the numbers are those of engine/random.h, the same on every device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import random as stream
from .._named import checked
from ..device import device as find_device
from ..dtypes import find_dtype, float32, int64, is_sixteen_bit
from ..tensor import Tensor, wrap
from ._common import KERNEL_FLOATS, check_float, check_tensor
from ._sixteen import takes_sixteen_bit
from .creation import _finish, _shape
from .logic import less
from .manipulation import astype
from .search import argsort

if TYPE_CHECKING:
    from .creation import DeviceLike, Shape


def _draw(op: str, shape: Shape, dtype: Any, device: DeviceLike, requires_grad: bool, **attributes: float) -> Tensor:
    found, kind = find_device(device), float32 if dtype is None else find_dtype(op, dtype)
    if is_sixteen_bit(kind):
        drawn = astype(_draw(op, shape, float32, device, False, **attributes), kind)
        return drawn.requires_grad_() if requires_grad else drawn
    if kind not in KERNEL_FLOATS:
        raise TypeError(f"{op}: expected a floating dtype, got {kind}")
    data = found.empty(_shape(op, shape), kind)
    seed, offset = stream.take_blocks(-(-data.size * data.itemsize // 16))  # a block is 128 bits
    found.kernels[f"{op}_forward"](data, **attributes, seed=seed, offset=offset)
    return _finish(op, data, found, requires_grad)


def uniform(
    shape: Shape, low: float = 0.0, high: float = 1.0, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """low + (high - low) u, u uniform on the multiples of 2**-24 (float64: 2**-53) in [0, 1).

    Args:
        shape: an int or a sequence of them.
        dtype: float32 unless given; float64, or float16 and bfloat16, rounded from float32 (so that high can be drawn).

    Raises:
        ValueError: low > high.
        TypeError: the dtype is not floating.

    >>> import whitewolf as ww
    >>> x = ww.random.uniform((2, 3), -1, 1)
    >>> x.shape, bool(ww.all(x >= -1))
    ((2, 3), True)
    """
    if not low <= high:
        raise ValueError(f"uniform: expected low <= high, got low == {low}, high == {high}")
    return _draw("uniform", shape, dtype, device, requires_grad, low=low, high=high)


def normal(
    shape: Shape, mean: float = 0.0, std: float = 1.0, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """Normal numbers of that mean and standard deviation (Box and Muller 1958).

    Args:
        shape: an int or a sequence of them.
        dtype: float32 unless given; float64, or float16 and bfloat16, rounded from float32.

    Raises:
        ValueError: std is negative.
        TypeError: the dtype is not floating.

    >>> import whitewolf as ww
    >>> bool(ww.abs(ww.random.normal(10_000).sum()) < 1000)
    True
    """
    if not std >= 0:
        raise ValueError(f"normal: expected std >= 0, got {std}")
    return _draw("normal", shape, dtype, device, requires_grad, mean=mean, std=std)


def randint(low: int, high: int | None = None, shape: Shape = (), *, device: DeviceLike = None) -> Tensor:
    """int64 uniform on [low, high), or on [0, low) where high is not given.

    Raises:
        ValueError: there is no integer to choose.

    >>> import whitewolf as ww
    >>> set(ww.random.randint(2, shape=100).tolist()) <= {0, 1}
    True
    """
    first, last = (0, low) if high is None else (low, high)
    if not first < last:
        raise ValueError(f"randint: expected low < high, got low == {first}, high == {last}")
    found = find_device(device)
    data = found.empty(_shape("randint", shape), int64)
    seed, offset = stream.take_blocks(data.size)
    found.kernels["randint_forward"](data, low=first, high=last, seed=seed, offset=offset)
    return wrap(data, found)


@takes_sixteen_bit
def bernoulli(p: Tensor) -> Tensor:
    """1 with probability p and 0 with 1 - p, for each element of p, outside the graph.

    Args:
        p: float32 or float64 in [0, 1], any shape.

    Raises:
        ValueError: an element is outside.

    >>> import whitewolf as ww
    >>> ww.random.bernoulli(ww.asarray([0.0, 1.0]))
    tensor([0., 1.])
    """
    check_float("bernoulli", "p", check_tensor("bernoulli", "p", p))
    inside = (p._data >= 0) & (p._data <= 1)
    if not bool(inside.all()):
        raise ValueError(f"bernoulli: expected p in [0, 1], got {p._data[~inside].ravel()[0]}")
    return astype(less(uniform(p.shape, dtype=p.dtype, device=p.device), p.detach()), p.dtype)


def permutation(n: int, *, device: DeviceLike = None) -> Tensor:
    """0, ..., n - 1 in random order, int64: the order that sorts n random integers of 63 bits.

    Raises:
        ValueError: n is negative.

    >>> import whitewolf as ww
    >>> sorted(ww.random.permutation(5).tolist())
    [0, 1, 2, 3, 4]
    """
    if n < 0:
        raise ValueError(f"permutation: expected n >= 0, got {n}")
    return argsort(randint(0, 2**63 - 1, (n,), device=device))


__all__ = ["bernoulli", "normal", "permutation", "randint", "uniform"]


globals().update({_function.__name__: checked(_function) for _function in (bernoulli, normal, permutation, randint, uniform)})
