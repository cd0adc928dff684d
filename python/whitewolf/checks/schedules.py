"""What only the simulator can check: that nothing depends on the order of threads or on when asynchronous copies land."""

from __future__ import annotations

from collections.abc import Iterator

from ..cases import Array, Case, OpTable
from ..simulator import cudasim
from ..simulator import schedules as all_schedules
from .calls import CheckFailure, Context, each_case, forward, gradients, same_bits
from .half_precision import half_dtypes
from .replay import RawCall, arrays_of, variants
from .spy import Watch
from .values import differentiable

SMALL = 1 << 15  # elements of a call that is run on every variant: several tiles and blocks of each, and not many


def _calls(recorded: dict[str, RawCall], table: OpTable, case: Case, dtype: str, context: Context) -> Iterator[tuple[str, RawCall]]:
    """(variant, call) for each variant of the table's kernels that did not run of itself, in every dtype that it takes.

    What float32 calls ask of 16-bit variants is asked once, with the float32 case.
    """
    for call in recorded.values():
        if call.op not in table.kernels or sum(a.size for a in arrays_of(call.views)) > SMALL:
            continue
        chosen = call.choice(context.device)
        for variant in variants(context.device, call.op, dtype):
            if variant != chosen:
                yield variant, call
        if dtype == "float32":
            for short in half_dtypes():
                for variant in variants(context.device, call.op, short):
                    yield variant, call.cast(short)


@each_case("schedules")
def schedules(table: OpTable, case: Case, dtype: str, context: Context) -> float:
    """Forward and backward give the same bits under every order of threads and every asynchrony (device cudasim only).

    The op as it is called, and then each of its raw kernel calls, if it is small, on each other variant that takes it.
    """
    if context.device.name != "cudasim":
        return 0.0
    arrays = context.inputs(table, case, dtype)

    def everything() -> list[Array]:
        found = forward(table, case, arrays, context.device)
        return found + (gradients(table, case, arrays, context.device) if differentiable(table, case) else [])

    with Watch(context.device, record=True) as watch:
        everything()
    others = list(_calls(watch.recorded, table, case, dtype, context))
    expected: list[list[Array]] = []
    for order, asynchrony, seed in all_schedules(context.seed):
        where = f"order {order}, asynchrony {asynchrony}, seed {seed}"
        with cudasim(order=order, asynchrony=asynchrony, seed=seed):
            try:
                got = [everything()]
                for variant, call in others:
                    views = call.run(context.device, variant)
                    got.append([] if views is None else call.written(views))
            except Exception as error:
                raise CheckFailure(f"{where}: {error}") from error
        expected = expected or got
        same_bits(where, got[0], expected[0])
        for (variant, call), found, wanted in zip(others, got[1:], expected[1:]):
            same_bits(f"{where}, {call.op}:{variant}", found, wanted)
    return 0.0
