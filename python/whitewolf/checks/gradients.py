"""Checks of gradients: first and second against differences, float32 against float64, strided gradients, every raw kernel."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..autograd import gradcheck, gradgradcheck
from ..cases import Array, Case, OpTable
from ..tensor import Tensor
from . import layouts
from .calls import CheckFailure, Context, as_tuple, compare, each_case, forward, gradient_tolerance, gradients, off_kinks, tensors
from .spy import Watch
from .values import differentiable


@each_case("gradient", dtypes=("float64",))
def gradient(table: OpTable, case: Case, dtype: str, context: Context) -> float:
    """Backward agrees with differences along random directions, in float64."""
    if differentiable(table, case):
        inputs = tensors(context.inputs(table, case, dtype), case, context.device, grad=True)
        gradcheck(lambda *xs: table.function(*xs, **case.attrs), inputs, seed=context.seed)
    return 0.0


@each_case("second gradient", dtypes=("float64",))
def second_gradient(table: OpTable, case: Case, dtype: str, context: Context) -> float:
    """Backward of backward agrees with differences of backward, in float64; and backward is the same with a graph of it as without.

    With a graph, a fused backward replays the op's composite definition: gradgradcheck sees that alone, on both of its sides.
    """
    if table.gradient != "second" or not differentiable(table, case):
        return 0.0
    arrays = context.inputs(table, case, dtype)
    inputs = tensors(arrays, case, context.device, grad=True)
    gradgradcheck(lambda *xs: table.function(*xs, **case.attrs), inputs, seed=context.seed)
    fused, replayed = (gradients(table, case, arrays, context.device, create_graph=graph) for graph in (False, True))
    return compare(replayed, fused, gradient_tolerance(table, case, dtype, _output_size(table, case, arrays, context)), dtype)


def _output_size(table: OpTable, case: Case, arrays: list[Array], context: Context) -> int:
    return sum(o.size for o in forward(table, case, arrays, context.device))


@each_case("float32 gradient", heavy=0.25, dtypes=("float32",))
def float32_gradient(table: OpTable, case: Case, dtype: str, context: Context) -> float:
    """The float32 backward agrees with the float64 one (which the differences vouch for) to float32 rounding."""
    if not differentiable(table, case):
        return 0.0
    narrow = context.inputs(table, case, dtype)
    wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in narrow]
    outputs = [[o for o in forward(table, case, a, context.device) if o.dtype.kind == "f"] for a in (narrow, wide)]
    grads = off_kinks(_cotangents(table, case, narrow, context), *outputs)
    found = gradients(table, case, narrow, context.device, grads)
    expected = gradients(table, case, wide, context.device, [g.astype(np.float64) for g in grads])
    tolerance = gradient_tolerance(table, case, dtype, _output_size(table, case, narrow, context))
    return compare(found, expected, tolerance, dtype)


def _cotangents(table: OpTable, case: Case, arrays: list[Array], context: Context) -> list[Array]:
    outputs = as_tuple(table.function(*tensors(arrays, case, context.device, grad=True), **case.attrs))
    rng = context.rng(table, case, "cotangents")
    return [rng.standard_normal(o.shape).astype(o.dtype) for o in outputs if isinstance(o, Tensor) and o.requires_grad]


@each_case("gradient strides")
def gradient_strides(table: OpTable, case: Case, dtype: str, context: Context) -> float:
    """Inputs and output gradients in each layout give the gradients that C order gives."""
    if not differentiable(table, case):
        return 0.0
    arrays = context.inputs(table, case, dtype)
    grads = _cotangents(table, case, arrays, context)
    expected = [g.astype(np.float64) for g in gradients(table, case, arrays, context.device, grads)]
    tolerance = gradient_tolerance(table, case, dtype, _output_size(table, case, arrays, context))
    worst = 0.0

    def attempt(how: str, laid: list[Array], laid_grads: list[Array], expected: list[Array]) -> None:
        nonlocal worst
        try:
            worst = max(worst, compare(gradients(table, case, laid, context.device, laid_grads), expected, tolerance, dtype))
        except CheckFailure as error:
            raise CheckFailure(f"{how}: {error}") from error

    for pattern in layouts.EMPTY:
        attempt(f"inputs in {pattern}", [layouts.lay(a, pattern) for a in arrays], grads, expected)
        attempt(f"output gradients in {pattern}", arrays, [layouts.lay(g, pattern) for g in grads], expected)
    for at, g in enumerate(grads):
        for name, spread in layouts.broadcasts(g).items():
            dense = [spread.copy() if i == at else other for i, other in enumerate(grads)]
            laid = [spread if i == at else other for i, other in enumerate(grads)]
            same = [x.astype(np.float64) for x in gradients(table, case, arrays, context.device, dense)]
            attempt(f"output gradient {at} with {name}", arrays, laid, same)
    return worst


def _raw_tolerance(table: OpTable, case: Case, terms: int, dtype: Any, expected: Array) -> Array:
    return gradient_tolerance(table, case, dtype, terms)(expected)


def kernels(table: OpTable, context: Context) -> float:
    """Each kind of raw kernel call of forward and backward, on each variant with each argument in each layout, gives the same values.

    On the simulator float32 and float64 take the layouts of each argument in turn, since each call is hundreds of times slower.
    And the table tells the truth: each kernel that it lists is registered, and each of its variants runs in one of its cases.
    """
    rows = [r for r in context.device.module.list() if r["op"] in table.kernels]
    registered = {(r["op"], r["variant"]) for r in rows if set(r["dtypes"]) & set(context.dtypes)}
    missing = sorted(set(table.kernels) - {r["op"] for r in rows})
    if missing:
        raise CheckFailure(f"{table.op}, check 'kernels': expected registered kernels, got {', '.join(missing)}, not registered")
    if table.gradient not in ("first", "second") and len(table.gradient.split()) < 2:
        raise CheckFailure(f"{table.op}: expected gradient == 'first', 'second' or why there is none, got {table.gradient!r}")
    ran: set[tuple[str, str]] = set()
    worst = _each_call(table, context, ran)
    idle = sorted(f"{op}:{variant}" for op, variant in registered - ran if variant not in table.never)
    if idle:
        raise CheckFailure(f"{table.op}, check 'kernels': expected cases that run each listed kernel, none runs {', '.join(idle)}")
    return worst


def _each_call(table: OpTable, context: Context, ran: set[tuple[str, str]]) -> float:
    @each_case("kernels")
    def run(table: OpTable, case: Case, dtype: str, context: Context) -> float:
        arrays = context.inputs(table, case, dtype)
        half = context.dtypes.index(dtype) if context.device.name == "cudasim" and len(context.dtypes) == 2 else None
        with Watch(context.device, retry=partial(_raw_tolerance, table, case), half=half) as watch:
            forward(table, case, arrays, context.device)
            if differentiable(table, case):
                gradients(table, case, arrays, context.device)
        ran.update(watch.calls)
        return watch.worst

    return run(table, context)
