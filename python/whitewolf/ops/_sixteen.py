"""16-bit floats (float16, bfloat16): computed in float32, rounded once.

Few kernels take them. What has none runs in float32, which holds every one of their values, on one of two levels:

- `through_float32` runs an op as a whole on its operands as float32, and rounds its results. What the op saves, and its gradient
  inside, are float32. An op reaches it from the check that finds a dtype of no kernel, so float32 and float64 pay nothing: it calls
  it there, or `check_float` raises `SixteenBit`, which `takes_sixteen_bit` catches.
- `_precision.run_rounded` runs one kernel on float32 copies of its arrays: for ops that are one product or one function, whose gradients are
  such ops as well, so that what they save stays 16 bits wide.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ..dtypes import float32, is_floating, is_sixteen_bit
from ..tensor import Tensor
from ._common import SixteenBit
from .manipulation import astype

P = ParamSpec("P")
R = TypeVar("R")


def through_float32(op: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """op(*args, **kwargs) with its 16-bit tensors as float32; what comes back as float32 is rounded to their dtype.

    Raises:
        TypeError: they are of two dtypes, or other floats are among them: which one should the result be?
    """
    first: tuple[str, Tensor] | None = None
    for name, tensor in _tensors(op, args, kwargs):
        if first is None:
            first = name, tensor
        elif tensor.dtype != first[1].dtype:
            raise TypeError(
                f"{op.__name__.lstrip('_')}: expected {name}.dtype == {first[1].dtype} (as {first[0]}), got {tensor.dtype}"
            )
    assert first is not None
    dtype = first[1].dtype
    found = op(*(_widened(a) for a in args), **{k: _widened(v) for k, v in kwargs.items()})
    return _rounded(found, dtype)  # type: ignore[no-any-return]  # what ops return is of many types


def takes_sixteen_bit(op: Callable[P, R]) -> Callable[P, R]:
    """The op, which computes in float32 where `check_float` finds 16-bit floats."""

    @wraps(op)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return op(*args, **kwargs)
        except SixteenBit:
            pass
        return through_float32(op, *args, **kwargs)

    return call


def _tensors(op: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[str, Tensor]]:
    """The floating tensors among the arguments, by name."""
    given = inspect.signature(op).bind(*args, **kwargs).arguments.items()
    return [(name, t) for name, value in given for t in _leaves(value) if is_floating(t.dtype)]


def _leaves(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [t for part in value for t in _leaves(part)] if isinstance(value, (list, tuple)) else []


def _widened(value: Any) -> Any:
    if isinstance(value, Tensor):
        return astype(value, float32) if is_sixteen_bit(value.dtype) else value
    return type(value)(_widened(v) for v in value) if type(value) in (list, tuple) else value


def _rounded(value: Any, dtype: Any) -> Any:
    if isinstance(value, Tensor):
        return astype(value, dtype) if value.dtype == float32 else value
    return tuple(_rounded(v, dtype) for v in value) if type(value) is tuple else value
