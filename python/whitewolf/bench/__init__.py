"""Benchmarks: our kernels against other libraries and against the machine's own peak, in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from .. import cases
from ..device import device as find_device
from ..environment import has
from ..verify import select
from .contests import LIBRARIES, Contest, from_table
from .core import CORE
from .run import bench
from .steps import network, optimizer
from .timing import QUICK, Plan

# name -> builder, its arguments, whether it is in the quick run
STEPS: dict[str, list[tuple[Callable[..., Contest], tuple[Any, ...], bool]]] = {
    "sgd": [(optimizer, ("SGD", 10_000_000), True)],
    "adam": [(optimizer, ("Adam", 10_000_000), True)],
    "step": [
        (network, ("LeNet", 1), False),
        (network, ("LeNet", 64), True),
        (network, ("LeNet", 256), False),
        (network, ("MLP 784-500-10", 64), False),
    ],
}


def run_bench(
    names: Sequence[str] = (),
    against: Sequence[str] = LIBRARIES,
    quick: bool = False,
    device: str = "cpu",
    seed: int = 0,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Times ops of the table, or the suite `core` where no name is given; see `bench.run.bench` for the result.

    Args:
        names: ops, kernels or kernel families; or "sgd", "adam" (a step over all parameters), "step" (a step of a network).
        against: reference libraries: "numpy", "torch".
        quick: fewer rows and shorter runs.
        device: whose kernels.
        seed: of the inputs.
        progress: called with each row as it is done.

    Raises:
        ValueError: an op or a library of that name does not exist.
        ww.DeviceError: the device is not there.
    """
    unknown = [name for name in against if name not in LIBRARIES]
    if unknown:
        raise ValueError(f"bench: expected references among {', '.join(LIBRARIES)}, got {', '.join(unknown)}")
    where = find_device(device)
    here = [name for name in against if has(name)]
    steps = [name for name in names if name in STEPS]
    others = [name for name in names if name not in STEPS]
    builders: list[Callable[[], Contest]] = []
    if others or not names:
        builders += _contests(others, quick, partial(from_table, dtype="float32", device=where, libraries=here, seed=seed))
    for name in steps or ([] if names else STEPS):
        for build, arguments, in_quick in STEPS[name]:
            if in_quick or not quick or names:
                builders.append(partial(build, *arguments, device=where, libraries=here, seed=seed))
    return bench(builders, against, QUICK if quick else Plan(), device, progress)


def _contests(names: Sequence[str], quick: bool, build: Callable[..., Contest]) -> Iterator[Callable[[], Contest]]:
    tables = {table.op: table for table in cases.tables()}
    wanted = select(list(tables.values()), names)
    for row in CORE:
        if tables.get(row.op) in wanted and (row.quick or not quick):
            yield partial(build, tables[row.op], row.case, train=row.train)
    if not names:
        return
    for table in wanted:
        for case in table.cases:
            if case.bench:
                yield partial(build, table, case, train=False)
                if case.train:
                    yield partial(build, table, case, train=True)


__all__ = ["Plan", "bench", "run_bench"]
