"""Tensor's methods that write into its memory, under PyTorch's names: `x.add_(y)` is `x += y`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor
from . import binary, elementwise, gather, manipulation, select
from ._common import SCALARS, check_number, check_tensor
from .in_place import in_place


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
    if x.dtype.kind == "b" and not isinstance(value, Tensor):
        value = bool(value)
    x[...] = value
    return x


def zero_(x: Tensor) -> Tensor:
    """Writes zeros into x's memory; returns x."""
    return fill_(x, 0)


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


def methods() -> dict[str, Any]:
    """What Tensor gets, by name."""
    from .activation import relu, sigmoid

    own = (add_, sub_, mul_, div_, pow_, clamp_, masked_fill_, index_add_, copy_, fill_, zero_, uniform_, normal_)
    unary = {
        n: getattr(elementwise, n)
        for n in ("abs", "exp", "log", "sqrt", "square", "sin", "cos", "tanh", "floor", "ceil", "round", "reciprocal", "sign")
    }
    unary |= {"neg": elementwise.negative, "relu": relu, "sigmoid": sigmoid}
    return {
        **{f.__name__: f for f in own},
        **{f"{name}_": _unary(f"{name}_", op) for name, op in unary.items()},
        **{f"{name}_": _placed(f"{name}_", op) for name, op in (("scatter", gather.scatter), ("scatter_add", gather.scatter_add))},
        "clip_": clamp_,
    }
