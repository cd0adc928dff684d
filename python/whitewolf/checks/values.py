"""Checks of values: against the reference, in every layout, with NaN and Inf, inside guard bands, exactly on small integers."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..cases import Array, Case, Input, OpTable
from . import layouts
from .calls import CheckFailure, Context, compare, each_case, floating, forward, gradients, reference
from .spy import Watch


def _against_reference(table: OpTable, case: Case, arrays: list[Array], dtype: str, context: Context) -> float:
    got = forward(table, case, arrays, context.device)
    return compare(got, reference(table, case, arrays), partial(table.tolerance, case, dtype), dtype)


@each_case("value", heavy=0.25)
def value(table: OpTable, case: Case, dtype: str, context: Context) -> float:
    """The result is the float64 reference's within the tolerance, and the inputs are as they were."""
    arrays = context.inputs(table, case, dtype)
    before = [a.copy() for a in arrays]
    worst = _against_reference(table, case, arrays, dtype, context)
    gradients(table, case, arrays, context.device) if differentiable(table, case) else None
    for at, (now, was) in enumerate(zip(arrays, before)):
        if now.tobytes() != was.tobytes():
            raise CheckFailure(f"expected the inputs unchanged, got other values in input {at}")
    return worst


@each_case("strides")
def strides(table: OpTable, case: Case, dtype: str, context: Context) -> float:
    """Each input in each layout (the others in C order), and all of them in each, give the reference's values."""
    arrays = context.inputs(table, case, dtype)
    worst = 0.0

    def attempt(how: str, laid: list[Array]) -> None:
        nonlocal worst
        try:
            worst = max(worst, _against_reference(table, case, laid, dtype, context))
        except CheckFailure as error:
            raise CheckFailure(f"{how}: {error}") from error

    for pattern in layouts.EMPTY:
        for at in range(len(arrays)):
            attempt(f"input {at} in {pattern}", [layouts.lay(a, pattern) if i == at else a for i, a in enumerate(arrays)])
        attempt(f"all inputs in {pattern}", [layouts.lay(a, pattern) for a in arrays])
    for at, array in enumerate(arrays):
        if case.inputs[at].kind != "distinct":  # stride 0 makes ties
            for name, spread in layouts.broadcasts(array).items():
                attempt(f"input {at} with {name}", [spread if i == at else a for i, a in enumerate(arrays)])
    return worst


@each_case("nonfinite")
def nonfinite(table: OpTable, case: Case, dtype: str, context: Context) -> float:
    """NaN, Inf and -Inf at one place of an input come out where, and as, the reference has them."""
    if table.nonfinite:
        return 0.0
    worst = 0.0
    clean = context.inputs(table, case, dtype)
    rng = context.rng(table, case, "nonfinite")
    for at, array in enumerate(clean):
        if not floating(array) or not array.size:
            continue
        for bad in (np.nan, np.inf, -np.inf):
            arrays = [a.copy() for a in clean]
            arrays[at].reshape(-1)[rng.integers(array.size)] = bad
            try:
                worst = max(worst, _against_reference(table, case, arrays, dtype, context))
            except CheckFailure as error:
                raise CheckFailure(f"{bad} in input {at}: {error}") from error
    return worst


def _integers(spec: Input, array: Array, rng: np.random.Generator) -> Array:
    if spec.kind in ("index", "bool"):
        return array
    values: Array
    if spec.kind == "positive":
        values = rng.integers(1, 5, spec.shape).astype(np.float64)
    elif spec.kind == "distinct":
        values = np.asarray(np.floor(array.astype(np.float64) * 100))
    elif spec.kind == "unit":
        values = rng.integers(-1, 2, spec.shape) * 0.5
    else:
        values = rng.integers(-4, 5, spec.shape).astype(np.float64)
    return np.asarray(values).astype(array.dtype)


@each_case("exact")
def exact(table: OpTable, case: Case, dtype: str, context: Context) -> float:
    """On small integers, whose sums and products a float holds, the result is exactly the reference's."""
    if not table.exact:
        return 0.0
    rng = context.rng(table, case, "exact")
    arrays = [_integers(s, a, rng) for s, a in zip(case.inputs, context.inputs(table, case, dtype))]
    compare(forward(table, case, arrays, context.device), reference(table, case, arrays), lambda e: np.zeros_like(e), dtype)
    return 0.0


@each_case("guards")
def guards(table: OpTable, case: Case, dtype: str, context: Context) -> float:
    """No kernel, forward or backward, writes beside its outputs or workspace, changes an input, or reads what nobody wrote."""
    arrays = [layouts.lay(a, "C order") for a in context.inputs(table, case, dtype)]
    with Watch(context.device, guard=True) as watch:
        worst = _against_reference(table, case, arrays, dtype, context)
        watch.check_guards("after forward")
        if differentiable(table, case):
            for at, grad in enumerate(gradients(table, case, arrays, context.device)):
                if np.isnan(grad).any():
                    raise CheckFailure(f"expected no NaN in gradient {at}, got {int(np.isnan(grad).sum())}: never written")
            watch.check_guards("after backward")
    return worst


def differentiable(table: OpTable, case: Case) -> bool:
    """Whether the table states gradients for this case."""
    return table.gradient in ("first", "second") and any(i.grad and i.kind not in ("index", "bool") for i in case.inputs)
