"""Tensor's methods under PyTorch's names that the array API standard does not have; those of the same arguments are the ops themselves."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ..device import device as find_device
from ..dtypes import is_floating
from ..tensor import Tensor
from . import (
    _in_place_methods,
    binary,
    creation,
    cumulative,
    elementwise,
    logic,
    manipulation,
    matmul,
    rearrange,
    reduce,
    select,
)
from ._common import check_int, check_tensor

SAME: dict[str, Callable[..., Any]] = {
    "add": elementwise.add, "sub": elementwise.subtract, "mul": elementwise.multiply, "div": elementwise.divide, "neg": elementwise.negative,
    "reciprocal": elementwise.reciprocal, "rsqrt": elementwise.rsqrt, "log1p": elementwise.log1p, "log2": elementwise.log2, "log10": elementwise.log10,
    "expm1": elementwise.expm1, "erf": elementwise.erf, "sign": elementwise.sign, "trunc": elementwise.trunc, "matmul": matmul.matmul,
    "mm": matmul.matmul, "bmm": matmul.matmul, "mv": matmul.matmul, "eq": logic.equal, "ne": logic.not_equal, "lt": logic.less,
    "le": logic.less_equal, "gt": logic.greater, "ge": logic.greater_equal, "isnan": logic.isnan, "isinf": logic.isinf,
    "isfinite": logic.isfinite, "logical_not": logic.logical_not, "maximum": binary.maximum, "minimum": binary.minimum, "clamp": select.clip,
    "absolute": elementwise.abs, "negative": elementwise.negative, "multiply": elementwise.multiply, "subtract": elementwise.subtract,
    "divide": elementwise.divide, "true_divide": elementwise.divide, "asin": elementwise.asin, "acos": elementwise.acos, "atan": elementwise.atan,
    "sinh": elementwise.sinh, "cosh": elementwise.cosh, "tan": elementwise.tan, "exp2": elementwise.exp2, "atan2": binary.atan2,
    "floor_divide": binary.floor_divide, "remainder": binary.remainder, "logical_and": logic.logical_and, "logical_or": logic.logical_or,
    "logical_xor": logic.logical_xor, "allclose": logic.allclose, "equal": logic.array_equal, "movedim": manipulation.moveaxis,
    "moveaxis": manipulation.moveaxis, "amax": reduce.max, "amin": reduce.min, "swapaxes": manipulation.transpose, "tile": rearrange.tile,
}  # fmt: skip

# What is absent, and what to use: x.{name} raises AttributeError with these words.
ABSENT = {
    "grad_fn": "repr(x) names the op that made it; is_leaf tells whether one did",
    "is_cuda": "x.device == 'cuda'",
    "layout": "x.strides, in bytes",
    "masked_select": "x[mask]",
    "norm": "ww.sqrt(ww.sum(x * x)), or nn.functional.normalize",
    "register_hook": "ww.grad(loss, x) gives the gradient of any tensor; ww.autograd.Function changes it on its way",
    "repeat": "x.tile((2, 3)), as in NumPy, or ww.repeat for each element by itself",
    "repeat_interleave": "ww.repeat",
    "retain_grad": "ww.grad(loss, x) gives the gradient of any tensor, also of one that an op made",
    "share_memory_": "data.DataLoader's workers share memory by themselves",
    "storage": "x.numpy() is the memory, without a copy on cpu and cudasim",
    "stride": "x.strides, in bytes",
    "unique": "ww.unique_values, unique_counts, unique_inverse or unique_all",
    "detach_": "x.detach()",
}


class Absent:
    """Raises AttributeError for a name that tensors do not have: a descriptor, so that the names they have cost nothing."""

    def __init__(self, name: str, instead: str) -> None:
        self.name, self.instead = name, instead

    def __get__(self, tensor: Any, cls: type | None = None) -> Any:
        if tensor is None:
            return self
        raise AttributeError(f"Tensor has no attribute {self.name!r}; {self.instead}")


# ---- PyTorch's words for axis and keepdims ----

# Methods that take dim= and keepdim= as well; and those that do not, since with these words PyTorch's give something else.
BY_DIM = (
    "sum",
    "mean",
    "prod",
    "argmax",
    "argmin",
    "logsumexp",
    "all",
    "any",
    "argsort",
    "squeeze",
    "unsqueeze",
    "split",
    "chunk",
    "amax",
    "amin",
)
NO_DIM = {
    **dict.fromkeys(("max", "min"), "axis, which gives the values alone; argmax and argmin give their places"),
    "sort": "axis, which gives the values alone; argsort gives their places",
    **dict.fromkeys(("std", "var"), "axis, and correction=1 for PyTorch's n - 1"),
}


def by_dim(name: str, op: Callable[..., Any]) -> Callable[..., Any]:
    """The op as a method that knows PyTorch's words."""

    @wraps(op)
    def method(x: Tensor, *args: Any, **named: Any) -> Any:
        for theirs, ours in (("dim", "axis"), ("keepdim", "keepdims")) if named else ():
            if theirs in named:
                if name in NO_DIM:
                    raise TypeError(f"{name}: expected {NO_DIM[name]}, got {theirs}")
                named[ours] = named.pop(theirs)
        return op(x, *args, **named)

    return method


def to(x: Tensor, *targets: Any, device: Any = None, dtype: Any = None) -> Tensor:
    """x on another device, in another dtype, or both; x itself if it is there already.

    Args:
        targets: devices, dtypes, or a tensor, whose device and dtype are meant.

    Raises:
        ww.DeviceError: the device is not there.
    """
    if not targets and device is None and dtype is None:
        raise TypeError("to: expected targets, a device, a dtype or a tensor, got none")
    for target in (*targets, *(t for t in (device, dtype) if t is not None)):
        parts = (target.device, target.dtype) if isinstance(target, Tensor) else (target,)
        for part in parts:
            x = manipulation.to(x, part)
    return x


# ---- dtypes, devices, new tensors ----


def cpu(x: Tensor) -> Tensor:
    """`x.to("cpu")`."""
    return manipulation.to(x, find_device("cpu"))


def cuda(x: Tensor) -> Tensor:
    """`x.to("cuda")`.

    Raises:
        ww.DeviceError: there is no such device here.
    """
    return manipulation.to(x, find_device("cuda"))


def type_as(x: Tensor, other: Tensor) -> Tensor:
    """x in the dtype and on the device of `other`."""
    check_tensor("type_as", "other", other)
    return manipulation.astype(manipulation.to(x, other.device), other.dtype, copy=False)


def is_contiguous(x: Tensor) -> bool:
    """Whether x is in C order without gaps."""
    return bool(x._data.flags.c_contiguous)


def _alike(x: Tensor, dtype: Any, device: Any) -> dict[str, Any]:
    return {"dtype": x.dtype if dtype is None else dtype, "device": x.device if device is None else device}


def _new(name: str, make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, *size: Any, dtype: Any = None, device: Any = None) -> Tensor:
        shape = size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
        return make(shape, **_alike(x, dtype, device))

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"""`ww.{make.__name__}` of these sizes, in x's dtype and on its device unless others are given.

    Raises:
        ValueError: a size is negative.
    """
    return run


def new_full(x: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`ww.full`, in x's dtype and on its device unless others are given.

    Raises:
        ValueError: a size is negative.
    """
    return creation.full(size, fill_value, **_alike(x, dtype, device))


def new_tensor(x: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """`ww.tensor`, in x's dtype and on its device unless others are given.

    Raises:
        ValueError: as `ww.tensor`.
    """
    from ..tensor import tensor

    return tensor(data, **_alike(x, dtype, device), requires_grad=requires_grad)


def cumsum(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """`ww.cumulative_sum` along `dim`.

    Raises:
        ValueError: x is 0-d.
    """
    return cumulative.cumulative_sum(x, axis=dim, dtype=dtype)


def cumprod(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """`ww.cumulative_prod` along `dim`.

    Raises:
        ValueError: x is 0-d.
    """
    return cumulative.cumulative_prod(x, axis=dim, dtype=dtype)


def softmax(x: Tensor, dim: int) -> Tensor:
    """`nn.functional.softmax` along `dim`."""
    from ..nn.functional import softmax as run

    return run(x, dim)


def log_softmax(x: Tensor, dim: int) -> Tensor:
    """`nn.functional.log_softmax` along `dim`."""
    from ..nn.functional import log_softmax as run

    return run(x, dim)


def flip(x: Tensor, *dims: Any) -> Tensor:
    """`ww.flip` along the dims: a view.

    Raises:
        ValueError: a dim is named twice.
    """
    return manipulation.flip(x, axis=dims[0] if len(dims) == 1 else dims)


def roll(x: Tensor, shift: int, dims: int | None = None) -> Tensor:
    """`ww.roll` along the dims, each an int or several.

    Raises:
        ValueError: there are not as many dims as shifts in `shift`.
    """
    return rearrange.roll(x, shift, axis=dims)


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """`ww.tril`.

    Raises:
        ValueError: x has less than 2 dimensions.
    """
    return rearrange.tril(x, k=check_int("tril", "diagonal", diagonal))


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """`ww.triu`.

    Raises:
        ValueError: x has less than 2 dimensions.
    """
    return rearrange.triu(x, k=check_int("triu", "diagonal", diagonal))


def where(x: Tensor, condition: Tensor, other: Any) -> Tensor:
    """x where the condition holds, else `other`."""
    return select.where(condition, x, other)


def view_as(x: Tensor, other: Tensor) -> Tensor:
    """x in the shape of `other`, in the same memory.

    Raises:
        ValueError: they differ in size, or x's strides ask for a copy.
    """
    return manipulation.reshape(x, check_tensor("view_as", "other", other).shape, copy=False)


def reshape_as(x: Tensor, other: Tensor) -> Tensor:
    """x in the shape of `other`.

    Raises:
        ValueError: they differ in size.
    """
    return manipulation.reshape(x, check_tensor("reshape_as", "other", other).shape)


def expand_as(x: Tensor, other: Tensor) -> Tensor:
    """x broadcast to the shape of `other`: a view.

    Raises:
        ValueError: it does not broadcast to it.
    """
    return manipulation.broadcast_to(x, check_tensor("expand_as", "other", other).shape)


def is_floating_point(x: Tensor) -> bool:
    """Whether x's dtype is float16, bfloat16, float32 or float64."""
    return bool(is_floating(x.dtype))


def element_size(x: Tensor) -> int:
    """The bytes of an element."""
    return int(x.dtype.itemsize)


def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """`ww.unstack` along `dim`."""
    return rearrange.unstack(x, axis=dim)


def t(x: Tensor) -> Tensor:
    """`x.T`, of a matrix, or of fewer dimensions as it is.

    Raises:
        ValueError: x has more than two dimensions.
    """
    if x.ndim > 2:
        raise ValueError(f"t: expected x of at most 2 dimensions, got x.shape == {x.shape}")
    return x.T


def _set_data(x: Any, value: Any) -> None:
    raise AttributeError("data: expected no assignment to x.data; `with ww.no_grad(): x.copy_(value)` writes to x's memory")


def methods() -> dict[str, Any]:
    """What Tensor gets, by name."""
    own = (to, cpu, cuda, type_as, is_contiguous, new_full, new_tensor, cumsum, cumprod, softmax, log_softmax, flip, roll, tril, triu, where, view_as,
           expand_as, is_floating_point, element_size, unbind, t)  # fmt: skip
    return {
        **SAME,
        **{f.__name__: f for f in own},
        **_in_place_methods.methods(),
        **{f"new_{make.__name__}": _new(f"new_{make.__name__}", make) for make in (creation.zeros, creation.ones, creation.empty)},
        "reshape_as": reshape_as,
        "ravel": lambda x: manipulation.reshape(x, (-1,)),
        "half": lambda x: manipulation.astype(x, "float16", copy=False),
        "bfloat16": lambda x: manipulation.astype(x, "bfloat16", copy=False),
        "int": lambda x: manipulation.astype(x, "int32", copy=False),
        "bool": lambda x: manipulation.astype(x, "bool", copy=False),
        "data": property(lambda x: x.detach(), _set_data, doc="The same memory outside the graph: `detach()`."),
        **{name: Absent(name, instead) for name, instead in ABSENT.items()},
    }
