"""Benchmarks: our kernels against other libraries and against the machine's own peak, in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from .. import cases
from ..cases import Case
from ..device import Device
from ..device import device as find_device
from ..environment import has
from ..verify import select
from .apart import rows_apart
from .contests import GPU_LIBRARIES, LIBRARIES, Contest, from_table
from .core import STEPS, SUITES, builder
from .run import bench
from .timing import QUICK, Plan
from .variants import every_variant

QUICK_FLOPS, QUICK_BYTES = 3e9, 1.5e8  # of a call that `quick` times


def run_bench(
    names: Sequence[str] = (),
    against: Sequence[str] | None = None,
    quick: bool = False,
    device: str = "cpu",
    seed: int = 0,
    progress: Callable[[dict[str, Any]], None] | None = None,
    suite: str = "core",
    apart: bool = False,
) -> dict[str, Any]:
    """Times ops of the table, or a suite where no name is given; see `bench.run.bench` for the result.

    Args:
        names: ops, kernels or kernel families; or "sgd", "adam" (a step over all parameters), "lstm" (the whole layer), "step" (a step of
            a network).
        against: reference libraries: "numpy" and "torch" on a CPU, "cupy" and "torch" on a GPU, which is what None stands for.
        quick: shorter runs, and fewer rows of the suite.
        device: whose kernels.
        seed: of the inputs.
        progress: called with each row as it is done.
        suite: "core", "paper" or "variants" (those that no call chooses by itself).
        apart: run each row of a whole "core" or "paper" on the CPU in a process of its own, as the command does. What was set or loaded
            in this process does not reach them, and a script that asks for it needs `if __name__ == "__main__"`.

    Raises:
        ValueError: a suite, an op or a library of that name does not exist, or an op has nothing to time.
        ww.DeviceError: the device is not there.
    """
    suites = (*SUITES, "variants")
    if suite not in suites:
        raise ValueError(f"bench: expected suite to be one of {', '.join(suites)}, got {suite!r}")
    where = find_device(device)
    known = GPU_LIBRARIES if where == "cuda" else LIBRARIES
    against = known if against is None else against
    unknown = [name for name in against if name not in known]
    if unknown:
        raise ValueError(f"bench: expected references among {', '.join(known)}, got {', '.join(unknown)}")
    here = [name for name in against if has(name)]
    plan = QUICK if quick else Plan()
    builders: Sequence[Callable[[], Contest | dict[str, Any] | None]]
    if apart and suite in SUITES and where == "cpu" and not (names or quick):
        builders = rows_apart(suite, here, seed, plan)
    else:
        builders = list(_named(names, where, here, seed, quick) if names else _suite(suite, quick, where, here, seed))
    return bench(builders, against, plan, device, progress)


def _suite(name: str, quick: bool, device: Device, libraries: Sequence[str], seed: int) -> Iterator[Callable[[], Contest | None]]:
    if name == "variants":
        yield from every_variant(device, libraries, seed, quick)
        return
    for row in [row for row in SUITES[name] if row.quick] if quick and name == "core" else SUITES[name]:
        yield builder(row, device, libraries, seed)


def _quick_cases(found: list[Case]) -> list[Case]:
    """Those of moderate size, or the smallest if none is."""
    found = sorted(found, key=lambda case: (case.flops, case.bytes))
    return [case for case in found if case.flops <= QUICK_FLOPS and case.bytes <= QUICK_BYTES] or found[:1]


def _named(
    names: Sequence[str], device: Device, libraries: Sequence[str], seed: int, quick: bool = False
) -> Iterator[Callable[[], Contest]]:
    ops = [name for name in names if name not in STEPS]
    chosen = select(list(cases.tables()), ops) if ops else []
    for name in ops:  # a family may hold ops that are not timed, but not only such
        tables = select(chosen, [name])
        if not any(case.bench for table in tables for case in table.cases):
            raise ValueError(f"bench: expected an op with cases to time, got {name!r}, which has none")
    for table in chosen:
        timed = [case for case in table.cases if case.bench]
        for case in _quick_cases(timed) if quick else timed:
            for train in (False, True) if case.train else (False,):
                yield partial(from_table, table, case, "float32", device, libraries, train, seed)
    for name in names:
        steps = STEPS.get(name, ())
        for step in [s for s in steps if s.quick] or steps[:1] if quick else steps:
            yield partial(step.build, *step.arguments, device, libraries, seed)


__all__ = ["Plan", "bench", "run_bench"]
