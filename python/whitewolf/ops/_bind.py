"""Tensor's operators and methods. Each is an op: `a * b` and `ww.multiply(a, b)` are the same call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import elementwise, indexing, joining, logic, manipulation
from ._common import SCALARS, check_ints
from .in_place import in_place


def bind_methods(tensor_class: Any) -> None:
    """Sets the operators and methods that whitewolf._methods declares."""
    for name, op in _operators().items():
        setattr(tensor_class, name, op)
    for name, op in _methods().items():
        setattr(tensor_class, name, op)
    tensor_class.T = property(_reverse_dims, doc="The transpose of a matrix; all dimensions reversed otherwise.")
    tensor_class.mT = property(manipulation.matrix_transpose, doc="The last two dimensions exchanged.")


def _reverse_dims(x: Any) -> Any:
    return manipulation.permute_dims(x, tuple(range(x.ndim))[::-1])


def _expand(x: Any, sizes: Any) -> Any:
    """broadcast_to, in which -1 keeps a size.

    Raises:
        ValueError: there are fewer sizes than dimensions, or x does not broadcast to them.
    """
    shape = check_ints("expand", "sizes", sizes)
    if len(shape) < x.ndim:
        raise ValueError(f"expand: expected sizes for at least {x.ndim} dimensions, got {shape}")
    return manipulation.broadcast_to(x, tuple(x.shape[i - len(shape)] if n == -1 else n for i, n in enumerate(shape)))


def _reflected(op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda x, other: op(other, x)


def _comparison(op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    from ..tensor import Tensor

    # Python compares with None and strangers by identity when both sides decline.
    return lambda x, other: op(x, other) if isinstance(other, (Tensor, *SCALARS)) else NotImplemented


def _in_place(name: str, op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    saves = name not in ("add", "sub")

    def run(x: Any, other: Any) -> Any:
        return in_place(name, x, lambda before: op(before, before if other is x else other), other, saves=saves)

    run.__doc__ = f"""x = {name}(x, other), in x's memory.

    Raises:
        ValueError: the result has another shape than x, or none, for these shapes; x is read-only, or, in a graph, a leaf or shared by
            another tensor.
        TypeError: the result has another dtype than x.
    """
    return run


def _operators() -> dict[str, Callable[..., Any]]:
    from .binary import floor_divide, pow, remainder
    from .elementwise import abs, add, divide, multiply, negative, positive, subtract
    from .matmul import matmul

    arithmetic: dict[str, Callable[..., Any]] = {
        "add": add, "sub": subtract, "mul": multiply, "truediv": divide,
        "floordiv": floor_divide, "mod": remainder, "pow": pow, "matmul": matmul, "and": logic.bitwise_and, "or": logic.bitwise_or, "xor": logic.bitwise_xor,
        "lshift": logic.bitwise_left_shift, "rshift": logic.bitwise_right_shift,
    }  # fmt: skip
    comparisons = {"eq": logic.equal, "ne": logic.not_equal, "lt": logic.less, "le": logic.less_equal, "gt": logic.greater,
                   "ge": logic.greater_equal}  # fmt: skip
    found: dict[str, Callable[..., Any]] = {}
    for name, op in arithmetic.items():
        found[f"__{name}__"] = op
        found[f"__r{name}__"] = _reflected(op)
        found[f"__i{name}__"] = _in_place(name, op)
    for name, op in comparisons.items():
        found[f"__{name}__"] = _comparison(op)
    return found | {"__neg__": negative, "__pos__": positive, "__abs__": abs,
                    "__invert__": logic.bitwise_invert,
                    "__getitem__": indexing.getitem}  # fmt: skip


def _view(x: Any, shape: Any) -> Any:
    """x with another shape in the same memory.

    Raises:
        ValueError: the sizes do not multiply to x.size, or the strides ask for a copy: `x.reshape` makes one.
    """
    return manipulation.reshape(x, shape, copy=False)


def _methods() -> dict[str, Callable[..., Any]]:
    from . import _pytorch_methods, activation, binary, gather, reduce, search, select, topk

    found: dict[str, Callable[..., Any]] = {
        name: getattr(module, name)
        for module, names in (
            (elementwise, ("abs", "exp", "log", "sqrt", "square", "sin", "cos", "tanh", "floor", "ceil", "round")),
            (binary, ("pow",)),
            (select, ("clip", "masked_fill")),
            (activation, ("relu", "sigmoid")),
            (reduce, ("sum", "mean", "prod", "max", "min", "var", "std", "argmax", "argmin", "logsumexp")),
            (logic, ("all", "any")),
            (search, ("argsort", "sort")),
            (indexing, ("take", "nonzero")),
            (gather, ("gather", "scatter", "scatter_add", "index_add", "index_select")),
            (topk, ("topk",)),
            (manipulation, ("squeeze", "unsqueeze", "flatten", "contiguous", "transpose", "astype", "to")),
            (joining, ("split", "chunk")),
        )
        for name in names
    }

    # These take sizes or axes one by one, too: x.reshape(2, 3) and x.reshape((2, 3)).
    def spread(op: Callable[..., Any]) -> Callable[..., Any]:
        def method(x: Any, *sizes: Any) -> Any:
            return op(x, sizes[0] if len(sizes) == 1 else sizes)

        method.__doc__ = op.__doc__
        return method

    found["reshape"], found["view"] = spread(manipulation.reshape), spread(_view)
    found["permute"] = spread(manipulation.permute_dims)
    found["expand"] = spread(_expand)
    found["clone"] = lambda x: manipulation.astype(x, x.dtype)
    found["float"] = lambda x: manipulation.astype(x, "float32", copy=False)
    found["double"] = lambda x: manipulation.astype(x, "float64", copy=False)
    found["long"] = lambda x: manipulation.astype(x, "int64", copy=False)
    found["dim"] = lambda x: x.ndim
    found["numel"] = lambda x: x.size
    found |= _pytorch_methods.methods()
    return found | {
        name: _pytorch_methods.by_dim(name, found[name]) for name in (*_pytorch_methods.BY_DIM, *_pytorch_methods.NO_DIM)
    }
