"""Where the time goes, kernel by kernel: `whitewolf profile script.py`, or `with ww.profile.profile() as p:`."""

from __future__ import annotations

import runpy
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import console
from .device import device as find_device


class Profile:
    """What ran: `rows` has one dictionary a kernel variant, the longest first; `seconds` is the whole scope's wall time."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.seconds = 0.0

    def fill(self, records: Sequence[tuple[str, str, float, int]], seconds: float) -> None:
        """Adds up (kernel, variant, seconds, bytes) of each call."""
        self.seconds = seconds
        sums: dict[tuple[str, str], list[float]] = {}
        for op, variant, took, touched in records:
            entry = sums.setdefault((op, variant), [0, 0.0, 0.0])
            entry[0] += 1
            entry[1] += took
            entry[2] += touched
        self.rows = [
            {
                "kernel": op,
                "variant": variant,
                "calls": int(calls),
                "ms": 1e3 * took,
                "share": took / seconds if seconds else 0.0,
                "gbps": touched / took / 1e9 if took else 0.0,
            }
            for (op, variant), (calls, took, touched) in sorted(sums.items(), key=lambda item: -item[1][1])
        ]

    def report(self) -> None:
        """Prints the table; what is left of the wall time is Python's and NumPy's."""
        rows = [
            (r["kernel"], r["variant"], r["calls"], f"{r['ms']:.3f}", f"{100 * r['share']:.1f} %", f"{r['gbps']:.1f}")
            for r in self.rows
        ]
        kernels = sum(r["ms"] for r in self.rows)
        rest = max(1e3 * self.seconds - kernels, 0.0)
        rows.append(("(outside kernels)", "", "", f"{rest:.3f}", f"{100 * rest / max(1e3 * self.seconds, 1e-9):.1f} %", ""))
        columns = ("kernel", "variant", "calls", "total ms", "share", "GB/s")
        console.table(f"{1e3 * self.seconds:.1f} ms in all, {kernels:.1f} ms in kernels", columns, rows, right=columns[2:])


@contextmanager
def profile(device: str = "cpu") -> Iterator[Profile]:
    """A scope whose kernel calls are timed. Scopes do not nest.

    >>> import whitewolf as ww
    >>> from whitewolf.profile import profile
    >>> with profile() as p:
    ...     y = ww.ones((4, 4)) @ ww.ones((4, 4))
    >>> p.rows[0]["kernel"], p.rows[0]["calls"]
    ('matmul_forward', 1)
    """
    module = find_device(device).module
    found = Profile()
    module.profile_start()
    start = time.perf_counter()
    try:
        yield found
    finally:
        seconds = time.perf_counter() - start
        found.fill(module.profile_stop(), seconds)


def profile_script(path: str, arguments: Sequence[str], device: str = "cpu") -> Profile:
    """Runs a Python file as `__main__` with these arguments and returns what its kernels did.

    Raises:
        FileNotFoundError: there is no such file.
    """
    before = sys.argv
    sys.argv = [path, *arguments]
    try:
        with profile(device) as found:
            runpy.run_path(path, run_name="__main__")
    except SystemExit as stop:
        if stop.code not in (None, 0):
            raise
    finally:
        sys.argv = before
    return found
