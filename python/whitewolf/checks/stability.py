"""Checks that the bits stay, across runs, thread counts and batches; that each variant can be chosen; that errors are said."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ..cases import Array, Case, OpTable
from ..kernels import use
from ..runtime import get_num_threads, set_num_threads
from .calls import LOOSER, CheckFailure, Context, compare, each_case, forward, gradients, reference, same_bits
from .values import differentiable


@each_case("threads", heavy=1.0)
def threads(table: OpTable, case: Case, dtype: str, context: Context) -> float:
    """Forward and backward give the same bits in a second run and with 1, 2 and 3 threads."""
    arrays = context.inputs(table, case, dtype)
    before = get_num_threads()

    backward = differentiable(table, case) and case.bytes <= context.max_bytes // 4

    def everything() -> list[Array]:
        found = forward(table, case, arrays, context.device)
        return found + (gradients(table, case, arrays, context.device) if backward else [])

    try:
        set_num_threads(1)
        expected = everything()
        for n in (1, 2, 3):
            set_num_threads(n)
            same_bits("a second run" if n == 1 else f"{n} threads against 1", everything(), expected)
    finally:
        set_num_threads(before)
    return 0.0


@each_case("batch", heavy=0.25)
def batch(table: OpTable, case: Case, dtype: str, context: Context) -> float:
    """A sample has the same bits alone, in half the batch and in the whole batch."""
    arrays = context.inputs(table, case, dtype)
    axes = [s.batch for s in case.inputs]
    sizes = {a.shape[axis] for a, axis in zip(arrays, axes) if axis is not None}
    if len(sizes) > 1:
        raise CheckFailure(f"expected batched inputs of one batch size, got {sorted(sizes)}")
    n = sizes.pop() if sizes else 0
    if n < 2:
        return 0.0
    whole = forward(table, case, arrays, context.device)
    for start, stop in ((0, 1), (n - 1, n), (n // 2, n // 2 + 1), (0, n // 2), (1, n)):
        if stop - start == n or stop == start:
            continue
        part = [a if axis is None else np.ascontiguousarray(_cut(a, axis, start, stop)) for a, axis in zip(arrays, axes)]
        got = forward(table, case, part, context.device)
        expected = [_cut(w, _batch_axis(w, g, n, stop - start), start, stop) for w, g in zip(whole, got)]
        same_bits(f"samples {start} to {stop} of {n}, alone against in the batch", got, expected)
    return 0.0


def _cut(array: Array, axis: int, start: int, stop: int) -> Array:
    return array[(slice(None),) * axis + (slice(start, stop),)]


def _batch_axis(whole: Array, part: Array, n: int, m: int) -> int:
    """The one dimension of an output that shrank with the batch."""
    found = [i for i, (a, b) in enumerate(zip(whole.shape, part.shape)) if (a, b) == (n, m)]
    if whole.ndim != part.ndim or len(found) != 1:
        raise CheckFailure(f"expected outputs with one batch dimension, got {whole.shape} for {n} samples and {part.shape} for {m}")
    return found[0]


def families(table: OpTable, context: Context) -> dict[str, dict[str, float]]:
    """The families of the table's kernels with their variants for the context's dtypes, and how loose each one's tolerance is."""
    found: dict[str, dict[str, float]] = {}
    for row in context.device.module.list():
        if row["op"] in table.kernels and set(row["dtypes"]) & set(context.dtypes):
            found.setdefault(row["family"], {})[row["variant"]] = LOOSER[row["precision"]]
    return found


def _scaled(looser: float, table: OpTable, case: Case, dtype: str, expected: Array) -> Array:
    return np.asarray(looser * table.tolerance(case, dtype, expected))


def variants(table: OpTable, context: Context) -> float:
    """Each variant, chosen with ww.kernels.use, gives the reference's values wherever it accepts, and accepts at least once."""
    worst = 0.0
    for family, names in families(table, context).items():
        for variant, looser in names.items():
            accepted = 0
            for case in context.cases(table):
                for dtype in context.dtypes:
                    arrays = context.inputs(table, case, dtype)
                    where = f"{table.op}, case {case.name!r}, {dtype}, check 'variants', {family}={variant}"
                    try:
                        with use(**{family: variant}):
                            got = forward(table, case, arrays, context.device)
                    except Exception as error:  # a fault on the simulator is the variant's failure, told with op and case
                        if f"that variant '{variant}' accepts" in str(error):
                            continue
                        raise CheckFailure(f"{where}: expected no error, got {type(error).__name__}: {error}") from error
                    accepted += 1
                    expected = reference(table, case, arrays)
                    try:
                        worst = max(worst, compare(got, expected, partial(_scaled, looser, table, case, dtype), dtype))
                    except CheckFailure as error:
                        raise CheckFailure(f"{where}: {error}") from error
            if (variant in table.never) == bool(accepted):
                wanted = "no case" if accepted else "a case"
                raise CheckFailure(
                    f"{table.op}, check 'variants': expected {wanted} that {family}={variant} accepts, got {accepted}"
                )
    return worst


def errors(table: OpTable, context: Context) -> float:
    """Each bad call raises the stated type with the stated words."""
    for bad in table.bad:
        where = f"{table.op}, bad call {bad.name!r}"
        try:
            bad.call()
        except Exception as error:
            if not isinstance(error, bad.error):
                raise CheckFailure(f"{where}: expected {bad.error.__name__}, got {type(error).__name__}: {error}") from error
            absent = [w for w in bad.words if w not in str(error)]
            if absent:
                raise CheckFailure(f"{where}: expected the words {absent} in the error, got {str(error)!r}") from error
        else:
            raise CheckFailure(f"{where}: expected {bad.error.__name__}, got no error")
    return 0.0


def unlisted(tables: Sequence[OpTable], registered: set[str], exempt: dict[str, str]) -> list[str]:
    """What is wrong with the table as a whole: kernels without a case, and exemptions that exempt nothing."""
    listed = {kernel for table in tables for kernel in table.kernels}
    found = [f"{k}: registered, but no OpTable lists it" for k in sorted(registered - listed - set(exempt))]
    found += [f"{k}: in KERNELS_WITHOUT_CASE, but not registered" for k in sorted(set(exempt) - registered)]
    found += [f"{k}: in KERNELS_WITHOUT_CASE, but an OpTable lists it" for k in sorted(set(exempt) & listed)]
    found += [f"{k}: in KERNELS_WITHOUT_CASE without a reason" for k, why in sorted(exempt.items()) if len(why.split()) < 2]
    return found
