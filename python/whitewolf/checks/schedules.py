"""What only the simulator can check: that nothing depends on the order of threads or on when asynchronous copies land."""

from __future__ import annotations

from ..cases import Array, Case, OpTable
from ..simulator import cudasim
from ..simulator import schedules as all_schedules
from .calls import CheckFailure, Context, each_case, forward, gradients, same_bits
from .values import differentiable


@each_case("schedules")
def schedules(table: OpTable, case: Case, dtype: str, context: Context) -> float:
    """Forward and backward give the same bits under every order of threads and every asynchrony (device cudasim only)."""
    if context.device.name != "cudasim":
        return 0.0
    arrays = context.inputs(table, case, dtype)

    def everything() -> list[Array]:
        found = forward(table, case, arrays, context.device)
        return found + (gradients(table, case, arrays, context.device) if differentiable(table, case) else [])

    expected: list[Array] | None = None
    for order, asynchrony, seed in all_schedules(context.seed):
        with cudasim(order=order, asynchrony=asynchrony, seed=seed):
            try:
                got = everything()
                expected = got if expected is None else expected
                same_bits(f"order {order}, asynchrony {asynchrony}, seed {seed}", got, expected)
            except CheckFailure:
                raise
            except Exception as error:
                raise CheckFailure(f"order {order}, asynchrony {asynchrony}, seed {seed}: {error}") from error
    return 0.0
