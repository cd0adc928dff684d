"""The variants that take 16-bit operands, which no op chooses by itself: float32 sums of bfloat16 or float16 products."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..cases import Array, Case, OpTable
from ..device import device as find_device
from ..device import host
from ..dtypes import bfloat16, float16
from . import layouts
from .calls import CheckFailure, Context, compare, each_case, forward, gradients
from .replay import RawCall, arrays_of, variants
from .spy import Watch
from .values import differentiable

_CHOICES = re.compile(r"activation: ([a-z|]+)=")


def half_dtypes() -> list[Any]:
    """float16, and bfloat16 where the package that gives it to NumPy is installed."""
    return [float16, *([bfloat16()] if importlib.util.find_spec("ml_dtypes") else [])]


def half_precision(table: OpTable, context: Context) -> float:
    """Each raw kernel call of forward and backward, rounded to 16 bits, gives what float64 gives for the rounded operands.

    On each variant that takes them, with each argument in each layout (half of them for each dtype) and with each activation that the
    kernel can fuse. The sum is float32, so that the result may be off by half a last place of its own dtype and float32's error of
    the sum.
    """
    wanted = {(op, v, d.name) for op in table.kernels for d in half_dtypes() for v in variants(context.device, op, d)}
    if not wanted:
        return 0.0
    ran: set[tuple[str, str, str]] = set()

    @each_case("half precision", dtypes=("float32",))
    def run(table: OpTable, case: Case, dtype: str, context: Context) -> float:
        arrays = context.inputs(table, case, dtype)
        with Watch(context.device, record=True) as watch:
            forward(table, case, arrays, context.device)
            if differentiable(table, case):
                gradients(table, case, arrays, context.device)
        worst = 0.0
        for call in watch.recorded.values():
            for op, variant, name in sorted(wanted):
                if call.op == op:
                    short = next(d for d in half_dtypes() if d.name == name)
                    worst = max(worst, _compare(call.cast(short), variant, short, context, ran))
        return worst

    worst = run(table, context)
    idle = sorted(" ".join(w) for w in wanted - ran)
    if idle:
        raise CheckFailure(f"{table.op}, check 'half precision': expected cases that run each variant, none runs {', '.join(idle)}")
    return worst


def _forms(call: RawCall, dtype: Any, context: Context) -> Iterator[tuple[str, RawCall]]:
    """The call as it is, with each argument in every other layout, float16's and bfloat16's in turn, and with each activation."""
    yield "as called", call
    for at, view in enumerate(call.views):
        if view is not None:
            for pattern in list(layouts.EMPTY)[(at + (dtype == float16)) % 2 :: 2]:
                yield f"argument {at} in {pattern}", call.in_layout(at, pattern)
    choices = _CHOICES.search(context.device.kernels[call.op].signature)
    for name in choices.group(1).split("|") if choices else ():
        if name != call.attrs.get("activation", "none"):
            yield f"activation {name}", replace(call, attrs={**call.attrs, "activation": name})


def _compare(call: RawCall, variant: str, dtype: Any, context: Context, ran: set[tuple[str, str, str]]) -> float:
    cpu, worst = find_device("cpu"), 0.0
    expected: dict[str, list[Array]] = {}
    for how, form in _forms(call, dtype, context):
        found = form.run(context.device, variant)
        if found is None:
            continue
        ran.add((call.op, variant, dtype.name))
        key = how if how.startswith("activation") else ""
        if key not in expected:
            wide = form.on_host().cast(np.float64)
            views = wide.run(cpu)
            assert views is not None, "the cpu's best variant takes every call"
            expected[key] = wide.written(views)
        terms = max(a.size for a in arrays_of(form.views))
        try:
            got = [host(a) for a in form.written(found)]
            worst = max(worst, compare(got, expected[key], partial(allowed_of_rounded, dtype, terms), dtype))
        except CheckFailure as error:
            raise CheckFailure(f"{call.op}:{variant}, {dtype.name}, {how}: {error}") from error
    return worst


def allowed_of_rounded(dtype: Any, terms: int, expected: Array) -> Array:
    """Half a last place of the result, and float32's error of a sum of so many terms."""
    short = _finfo(dtype)
    scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=1.0))
    total = 8 * float(np.finfo(np.float32).eps) * scale * np.sqrt(terms)
    return np.asarray(0.5 * float(short.eps) * np.abs(expected) + total + float(short.smallest_subnormal))


def _finfo(dtype: Any) -> Any:
    return np.finfo(dtype) if dtype == float16 else importlib.import_module("ml_dtypes").finfo(dtype)


__all__ = ["allowed_of_rounded", "half_dtypes", "half_precision"]
