"""Tensor's methods under PyTorch's names that the array API standard does not have; those of the same arguments are the ops themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..device import device as find_device
from ..dtypes import is_floating
from ..tensor import Tensor
from . import binary, creation, cumulative, elementwise, gather, logic, manipulation, matmul, rearrange, reduce, select
from ._common import SCALARS, check_int, check_number, check_tensor
from .in_place import in_place

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


# ---- in place ----


def add_(x: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
    """x += alpha * other; returns x.

    Raises:
        ValueError: as for `x += other`.
    """
    return _scaled("add_", elementwise.add, x, other, alpha)


def sub_(x: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
    """x -= alpha * other; returns x.

    Raises:
        ValueError: as for `x -= other`.
    """
    return _scaled("sub_", elementwise.subtract, x, other, alpha)


def _scaled(name: str, op: Callable[..., Tensor], x: Tensor, other: Any, alpha: float) -> Tensor:
    check_number(name, "alpha", alpha)
    if not isinstance(other, SCALARS):
        check_tensor(name, "other", other)
    step = other if alpha == 1 else elementwise.multiply(other, alpha) if isinstance(other, Tensor) else other * alpha
    return in_place(name, x, lambda before: op(before, before if step is x else step), step, saves=False)


def _binary(name: str, op: Callable[..., Tensor], sign: str) -> Callable[..., Tensor]:
    def run(x: Tensor, other: Any, /) -> Tensor:
        return in_place(name, x, lambda before: op(before, before if other is x else other), other)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"x {sign}= other; returns x.\n\n    Raises:\n        ValueError: as for `x {sign}= other`.\n    "
    return run


mul_ = _binary("mul_", elementwise.multiply, "*")
div_ = _binary("div_", elementwise.divide, "/")
pow_ = _binary("pow_", binary.pow, "**")


def _unary(name: str, op: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor, /) -> Tensor:
        return in_place(name, x, op)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"x = {name[:-1]}(x), in x's memory; returns x."
    return run


def _placed(name: str, op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, dim: int, index: Tensor, src: Any) -> Tensor:
        return in_place(name, x, lambda before: op(before, dim, index, src), src)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"""x = {name[:-1]}(x, dim, index, src), in x's memory; returns x.

    Raises:
        ValueError: as `{name[:-1]}`; x is read-only, or, in a graph, a leaf or shared by another tensor.
        IndexError: as `{name[:-1]}`.
    """
    return run


def index_add_(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """x = index_add(x, dim, index, source, alpha=alpha), in x's memory; returns x.

    Raises:
        ValueError: as `index_add`; x is read-only, or, in a graph, a leaf or shared by another tensor.
        IndexError: as `index_add`.
    """
    return in_place("index_add_", x, lambda before: gather.index_add(before, dim, index, source, alpha=alpha), source)


def clamp_(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """x = clip(x, min, max), in x's memory; returns x.

    Raises:
        ValueError: x is read-only, or, in a graph, a leaf or shared by another tensor.
    """
    return in_place("clamp_", x, lambda before: select.clip(before, min, max), min, max)


def masked_fill_(x: Tensor, mask: Tensor, value: float) -> Tensor:
    """x = masked_fill(x, mask, value), in x's memory; returns x.

    Raises:
        ValueError: as `masked_fill`; x is read-only, or, in a graph, a leaf or shared by another tensor.
    """
    return in_place("masked_fill_", x, lambda before: select.masked_fill(before, mask, value))


def copy_(x: Tensor, src: Tensor) -> Tensor:
    """Writes `src`, a tensor of any dtype and device that broadcasts to x, into x's memory; returns x.

    Raises:
        ValueError: it does not broadcast to x; x is read-only, or, in a graph, a leaf or shared by another tensor.
        TypeError: it is complex and x is not.
    """
    check_tensor("copy_", "src", src)
    if src.dtype.kind == "c" and x.dtype.kind not in "cb":
        raise TypeError(f"copy_: expected src of real numbers for x of dtype {x.dtype}, got {src.dtype}")
    if src.ndim > x.ndim or any(n not in (1, m) for n, m in zip(src.shape[::-1], x.shape[::-1])):
        raise ValueError(f"copy_: expected src of a shape that broadcasts to {x.shape}, x's, got src.shape == {src.shape}")
    x[...] = manipulation.astype(manipulation.to(src, x.device), x.dtype, copy=False)
    return x


def fill_(x: Tensor, value: float) -> Tensor:
    """Writes a number, or a 0-d tensor, everywhere into x's memory; returns x.

    Raises:
        TypeError: x's dtype cannot hold it.
        ValueError: `value` has dimensions; x is read-only, or, in a graph, a leaf or shared by another tensor.
    """
    if isinstance(value, Tensor) and value.ndim:
        raise ValueError(f"fill_: expected value to be a number or a 0-d tensor, got value.shape == {value.shape}")
    x[...] = value
    return x


def zero_(x: Tensor) -> Tensor:
    """Writes zeros into x's memory; returns x."""
    return fill_(x, 0)


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
    """x in the shape of `other`.

    Raises:
        ValueError: they differ in size.
    """
    return manipulation.reshape(x, check_tensor("view_as", "other", other).shape)


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


def uniform_(x: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Writes `ww.random.uniform` numbers in [low, high) into x's memory; returns x.

    Raises:
        ValueError: low > high; x is read-only, or, in a graph, a leaf or shared by another tensor.
    """
    from .random import uniform

    x[...] = uniform(x.shape, low, high, dtype=x.dtype, device=x.device)
    return x


def normal_(x: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Writes `ww.random.normal` numbers into x's memory; returns x.

    Raises:
        ValueError: std is negative; x is read-only, or, in a graph, a leaf or shared by another tensor.
    """
    from .random import normal

    x[...] = normal(x.shape, mean, std, dtype=x.dtype, device=x.device)
    return x


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
    from .activation import relu, sigmoid

    own = (add_, sub_, mul_, div_, pow_, clamp_, masked_fill_, index_add_, copy_, fill_, zero_, cpu, cuda, type_as, is_contiguous, new_full, new_tensor,
           cumsum, cumprod, softmax, log_softmax, flip, roll, tril, triu, where, view_as, expand_as, is_floating_point, element_size, uniform_, normal_,
           unbind, t)  # fmt: skip
    unary = {
        n: getattr(elementwise, n)
        for n in ("abs", "exp", "log", "sqrt", "square", "sin", "cos", "tanh", "floor", "ceil", "round", "reciprocal", "sign")
    }
    unary |= {"neg": elementwise.negative, "relu": relu, "sigmoid": sigmoid}
    return {
        **SAME,
        **{f.__name__: f for f in own},
        **{f"{name}_": _unary(f"{name}_", op) for name, op in unary.items()},
        **{f"new_{make.__name__}": _new(f"new_{make.__name__}", make) for make in (creation.zeros, creation.ones, creation.empty)},
        **{f"{name}_": _placed(f"{name}_", op) for name, op in (("scatter", gather.scatter), ("scatter_add", gather.scatter_add))},
        "clip_": clamp_,
        "reshape_as": view_as,
        "ravel": lambda x: manipulation.reshape(x, (-1,)),
        "half": lambda x: manipulation.astype(x, "float16", copy=False),
        "bfloat16": lambda x: manipulation.astype(x, "bfloat16", copy=False),
        "int": lambda x: manipulation.astype(x, "int32", copy=False),
        "bool": lambda x: manipulation.astype(x, "bool", copy=False),
        "data": property(lambda x: x.detach(), _set_data, doc="The same memory outside the graph: `detach()`."),
        **{name: Absent(name, instead) for name, instead in ABSENT.items()},
    }
