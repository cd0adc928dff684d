"""Cases of the elementwise functions and activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import whitewolf as ww

from ..ops import activation
from . import BadCall, Case, Input, OpTable


def _cases(kind: str, *, bench: bool = False) -> tuple[Case, ...]:
    shapes = (("prime", (7, 13)), ("vector tail", (67,)), ("0-d", ()), ("empty", (3, 0)), ("4-d", (2, 3, 5, 2)))
    large = Case("large", (Input((4096, 4096), kind),), flops=4096**2, bytes=8 * 4096**2, bench=True, train=True, heavy=True)
    found = tuple(Case(name, (Input(shape, kind, batch=0 if len(shape) > 1 else None),)) for name, shape in shapes)
    return (*found, large) if bench else found


def _bad(name: str, function: Callable[..., Any]) -> tuple[BadCall, ...]:
    return (BadCall("type", lambda: function([1.0]), TypeError, (name, "x", "Tensor", "list")),)


def _bad_pair(name: str, function: Callable[..., Any]) -> tuple[BadCall, ...]:
    return (
        BadCall("shapes", lambda: function(ww.zeros(3), ww.zeros(4)), ValueError, (name, "broadcast", "(3,)", "(4,)")),
        BadCall("type", lambda: function(ww.zeros(3), "x"), TypeError, (name, "x2", "str")),
    )


_erf = np.vectorize(math.erf, otypes=[np.float64])

# name: (reference, kind of input, allowed error in ulps)
UNARY: dict[str, tuple[Callable[..., Any], str, float]] = {
    "negative": (np.negative, "normal", 1),
    "abs": (np.abs, "distinct", 1),
    "sign": (np.sign, "distinct", 1),
    "square": (np.square, "normal", 2),
    "sqrt": (np.sqrt, "positive", 2),
    "rsqrt": (lambda x: 1 / np.sqrt(x), "positive", 4),
    "reciprocal": (np.reciprocal, "positive", 2),
    "floor": (np.floor, "distinct", 1),
    "ceil": (np.ceil, "distinct", 1),
    "trunc": (np.trunc, "distinct", 1),
    "round": (np.round, "distinct", 1),
    "exp": (np.exp, "normal", 4),
    "exp2": (np.exp2, "normal", 4),
    "expm1": (np.expm1, "normal", 4),
    "log": (np.log, "positive", 4),
    "log2": (np.log2, "positive", 4),
    "log10": (np.log10, "positive", 4),
    "log1p": (np.log1p, "positive", 4),
    "sin": (np.sin, "normal", 4),
    "cos": (np.cos, "normal", 4),
    "tan": (np.tan, "unit", 4),
    "asin": (np.arcsin, "unit", 4),
    "acos": (np.arccos, "unit", 4),
    "atan": (np.arctan, "normal", 4),
    "sinh": (np.sinh, "normal", 4),
    "cosh": (np.cosh, "normal", 4),
    "asinh": (np.arcsinh, "normal", 4),
    "acosh": (lambda x: np.arccosh(x + 1), "positive", 8),
    "atanh": (np.arctanh, "unit", 4),
    "tanh": (np.tanh, "normal", 4),
    "erf": (_erf, "normal", 4),
}


def _function(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(ww, name)
    return (lambda x: function(x + 1)) if name == "acosh" else function


def _torch(name: str) -> Callable[..., Any]:
    def run(x: Any) -> Any:
        import torch

        return getattr(torch, name)(x + 1 if name == "acosh" else x)

    return run


_EXACT = ("negative", "abs", "sign", "square", "floor", "ceil", "trunc", "round")

_unary_tables = tuple(
    OpTable(
        op=name,
        elementwise=True,
        function=_function(name),
        reference=reference,
        kernels=(f"{name}_forward", "add_forward")
        if name == "acosh"
        else (f"{name}_forward", "tanh_backward_x")
        if name == "tanh"
        else (f"{name}_forward",),
        cases=_cases(kind, bench=name in ("exp", "tanh")),
        exact=name in _EXACT,
        ulps=ulps,
        bad=_bad(name, getattr(ww, name)),
        torch=_torch(name),
        numpy=reference,
    )
    for name, (reference, kind, ulps) in UNARY.items()
)


def _sigmoid(x: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    # The upper tail by erfc: 1 + erf(x) cancels for large negative x.
    return x * np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)), otypes=[np.float64])(x)


def _with(cases: tuple[Case, ...], *attrs: dict[str, Any]) -> tuple[Case, ...]:
    """The cases as they are, and the first two with each set of attributes."""
    named = [Case(f"{c.name} {a}", c.inputs, a) for a in attrs for c in cases[:2]]
    return (*cases, *named)


def _torch_functional(name: str) -> Callable[..., Any]:
    def run(x: Any, **attrs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, **attrs)

    return run


# name: (function, reference, sets of attributes beside the defaults)
ACTIVATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[dict[str, Any], ...]]] = {
    "relu": (activation.relu, lambda x: np.maximum(x, 0), ()),
    "leaky_relu": (
        activation.leaky_relu,
        lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
        ({"negative_slope": 0.25},),
    ),
    "elu": (activation.elu, lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), ({"alpha": 0.5},)),
    "sigmoid": (activation.sigmoid, _sigmoid, ()),
    "silu": (activation.silu, lambda x: x * _sigmoid(x), ()),
    "softplus": (
        activation.softplus,
        lambda x, beta=1.0, threshold=20.0: np.where(x * beta > threshold, x, np.logaddexp(0, x * beta) / beta),
        ({"beta": 2.0, "threshold": 0.3},),
    ),
    "gelu": (activation.gelu, _gelu, ({"approximate": "tanh"},)),
}

_activation_tables = tuple(
    OpTable(
        op=name,
        elementwise=True,
        function=function,
        reference=reference,
        kernels=(f"{name}_forward", f"{name}_backward_x"),
        cases=_with(_cases("distinct", bench=name in ("relu", "gelu")), *attrs),
        exact=name == "relu",
        ulps=6.0,
        bad=_bad(name, function),
        torch=_torch_functional(name),
    )
    for name, (function, reference, attrs) in ACTIVATIONS.items()
)

_two = (
    Case("same", (Input((7, 13), "positive", batch=0), Input((7, 13), "positive", batch=0))),
    Case("row", (Input((5, 11), "positive", batch=0), Input((11,), "positive"))),
    Case("column", (Input((5, 1), "positive", batch=0), Input((5, 9), "positive", batch=0))),
    Case("scalar", (Input((3, 5), "positive"), Input((), "positive"))),
    Case("empty", (Input((0, 3), "positive"), Input((3,), "positive"))),
)

# name: (reference, allowed error in ulps, exact on small integers)
BINARY: dict[str, tuple[Callable[..., Any], float, bool]] = {
    "divide": (np.divide, 2, False),
    "maximum": (np.maximum, 1, True),
    "minimum": (np.minimum, 1, True),
    "remainder": (np.remainder, 4, False),
    "floor_divide": (np.floor_divide, 1, False),
    "pow": (np.power, 4, False),
    "atan2": (np.arctan2, 4, False),
    "hypot": (np.hypot, 4, False),
    "logaddexp": (np.logaddexp, 4, False),
    "copysign": (np.copysign, 1, False),
}

_binary_tables = tuple(
    OpTable(
        op=name,
        elementwise=True,
        function=getattr(ww, name),
        reference=reference,
        kernels=(f"{name}_forward",),
        cases=_two,
        gradient="floor_divide is constant wherever its derivative exists" if name == "floor_divide" else "second",
        exact=exact,
        ulps=ulps,
        bad=_bad_pair(name, getattr(ww, name)),
        numpy=reference,
    )
    for name, (reference, ulps, exact) in BINARY.items()
)

_select_tables = (
    OpTable(
        op="where",
        elementwise=True,
        function=ww.where,
        reference=np.where,
        kernels=("where_forward",),
        cases=(
            Case("same", (Input((5, 7), "bool", grad=False, batch=0), Input((5, 7), batch=0), Input((5, 7), batch=0))),
            Case("row", (Input((7,), "bool", grad=False), Input((5, 1)), Input((5, 7)))),
            Case("scalar", (Input((), "bool", grad=False), Input((3,)), Input((2, 1)))),
            Case("empty", (Input((0, 1), "bool", grad=False), Input((3,)), Input((1, 3)))),
        ),
        exact=True,
        ulps=1.0,
        bad=(
            BadCall(
                "dtype", lambda: ww.where(ww.ones(2), ww.ones(2), 0), TypeError, ("where", "condition.dtype == bool", "float32")
            ),
            BadCall("shapes", lambda: ww.where(ww.ones(2) > 0, ww.ones(3), 0), ValueError, ("where", "broadcast", "(2,)", "(3,)")),
        ),
    ),
    OpTable(
        op="clip",
        elementwise=True,
        function=ww.clip,
        reference=lambda x, min=None, max=None: np.clip(x, min, max),
        kernels=("clip_forward", "clip_backward_x"),
        cases=(
            Case("both", (Input((7, 13), "distinct", batch=0),), {"min": -0.2, "max": 0.3}),
            Case("lower", (Input((67,), "distinct"),), {"min": 0.0}),
            Case("upper", (Input((3, 5), "distinct"),), {"max": 0.05}),
            Case("empty", (Input((0, 2), "distinct"),), {"min": 0.0, "max": 1.0}),
        ),
        exact=False,
        ulps=1.0,
        bad=_bad("clip", ww.clip),
    ),
    OpTable(
        op="contiguous",
        elementwise=True,
        function=lambda x: x.T.contiguous(),
        reference=lambda x: np.ascontiguousarray(x.T),
        kernels=("copy_forward",),
        cases=(
            Case("prime", (Input((7, 13)),)),
            Case("3-d", (Input((2, 3, 5)),)),
            Case("one", (Input((1, 1)),)),
            Case("empty", (Input((0, 4)),)),
        ),
        exact=True,
        ulps=1.0,
    ),
)

TABLES = _unary_tables + _activation_tables + _binary_tables + _select_tables
