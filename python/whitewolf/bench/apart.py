"""Rows of a suite that run in a process of their own, as whoever trains one network would run it.

In one process the rows before decide how fast a row is: the largest buffer freed so far sets the size from which glibc's malloc takes
memory from the system anew, page by page (mallopt(3), M_MMAP_THRESHOLD), and with AlexNet's buffers before them some steps of other
libraries take two thirds of the time that they take alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from typing import Any

from ..device import device as find_device
from ..runtime import get_num_threads, set_num_threads
from .contests import match_modes
from .core import SUITES, builder
from .run import run_contest
from .timing import Plan


def rows_apart(suite: str, libraries: Sequence[str], seed: int, plan: Plan) -> list[Callable[[], dict[str, Any]]]:
    """Builders for `bench.run.bench` of the rows of a suite on the CPU: each runs its contest in a new process and gives the row."""
    return [partial(_in_child, suite, i, libraries, seed, plan) for i in range(len(SUITES[suite]))]


def _in_child(*arguments: Any) -> dict[str, Any]:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            return pool.submit(_row, get_num_threads(), *arguments).result()
        except BrokenProcessPool as error:
            suite, index = arguments[:2]
            raise RuntimeError(f"bench: expected the process of row {index} of {suite} ({SUITES[suite][index]}) to end by itself, got "
                               f"one that was killed or crashed") from error  # fmt: skip


def _row(threads: int, suite: str, index: int, libraries: Sequence[str], seed: int, plan: Plan) -> dict[str, Any]:
    """In the new process: one row."""
    cpu = find_device("cpu")
    set_num_threads(threads)
    match_modes(libraries, threads, cpu)
    return run_contest(builder(SUITES[suite][index], cpu, libraries, seed)(), cpu, plan)
