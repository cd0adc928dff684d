"""`whitewolf verify`: the op table's checks, on this machine, for anybody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import cases, console
from ._errors import DeviceError
from .cases import OpTable
from .checks import CHECKS, CheckFailure, Context, missing_kernel, unlisted
from .checks.half_precision import half_dtypes
from .checks.replay import variants
from .device import device as find_device
from .environment import environment
from .profile import Profile, profile
from .simulator import schedules

# The heaviest cases that the simulator is given: LeNet's first layer of a batch of 64 is among them.
SIMULATED_FLOPS, SIMULATED_BYTES = 5 * 10**7, 4 << 20


def verify(
    ops: Sequence[str] = (),
    checks: Sequence[str] = (),
    device: str = "cpu",
    seed: int = 0,
    progress: Callable[[dict[str, Any]], None] | None = None,
    shard: tuple[int, int] = (1, 1),
) -> dict[str, Any]:
    """Runs the checks of the table and returns {"environment", "device", "seed", "schedules", "rows", "absent", "table", "ok"}.

    Each row holds "ran", for each of the op's kernels the variants that were run, and "idle", those that are registered and were not.

    Ops for which a device other than cpu has no kernel are not checked: "absent" says which kernel each lacks. "schedules" are those
    of the simulator that the check of this name sweeps over.

    Args:
        ops: names of ops or of kernel families; all if empty.
        checks: names of checks (see `whitewolf.checks.CHECKS`); all if empty.
        device: whose kernels.
        seed: of the inputs.
        progress: called with each row as it is done.
        shard: (i, n): every n-th of these ops, from the i-th on, for n processes side by side.

    Raises:
        ValueError: an op or a check of that name does not exist, or there is no such shard.
        ww.DeviceError: the device is not there, or an op that is named has no kernel on it.
    """
    where = find_device(device)
    tables = select(list(cases.tables()), ops)
    part, parts = shard
    if not 1 <= part <= parts:
        raise ValueError(f"verify: expected shard i/n with 1 <= i <= n, got {part}/{parts}")
    unknown = [c for c in checks if c not in CHECKS]
    if unknown:
        raise ValueError(f"verify: expected check to be one of {', '.join(CHECKS)}, got {', '.join(unknown)}")
    context = Context(device=where, seed=seed)
    if where == "cudasim":
        context = Context(device=where, seed=seed, max_flops=SIMULATED_FLOPS, max_bytes=SIMULATED_BYTES)
    chosen = checks or [name for name in CHECKS if name != "schedules" or where == "cudasim"]
    rows = []
    absent: dict[str, str] = {}
    for table in tables[part - 1 :: parts]:
        lacks = missing_kernel(table, context)
        if lacks and ops:
            raise DeviceError(f"verify: expected a kernel for {table.op} on device {where.name}, got none for {lacks}")
        if lacks:
            absent[table.op] = lacks
            continue
        rows.append(_row(table, context, chosen))
        if progress is not None:
            progress(rows[-1])
    registered = {row["op"] for row in where.module.list()}
    exempt = {k: why for k, why in cases.KERNELS_WITHOUT_CASE.items() if where == "cpu" or k in registered}
    lies = [] if ops else unlisted(tables, registered, exempt)
    ok = all(row["ok"] for row in rows) and not lies
    swept = schedules(seed) if where == "cudasim" and "schedules" in chosen else []
    return {
        "environment": environment(),
        "device": where.name,
        "seed": seed,
        "schedules": swept,
        "rows": rows,
        "absent": absent,
        "table": lies,
        "ok": ok,
    }


def select(tables: Sequence[OpTable], names: Sequence[str]) -> list[OpTable]:
    """The tables of these ops: an op's name, a kernel's, or a kernel family's.

    Raises:
        ValueError: a name fits none.
    """
    if not names:
        return list(tables)
    found: list[OpTable] = []
    for name in names:
        fitting = [t for t in tables if name == t.op or name in t.kernels or any(k.startswith(f"{name}_") for k in t.kernels)]
        if not fitting:
            raise ValueError(f"expected an op of the table ({', '.join(sorted(t.op for t in tables))}), got {name!r}")
        found += [t for t in fitting if t not in found]
    return found


def _row(table: OpTable, context: Context, checks: Sequence[str]) -> dict[str, Any]:
    outcomes: dict[str, Any] = {}
    ran: dict[str, set[str]] = {}  # what the device's module saw run, not what is registered
    for name in checks:
        start = time.perf_counter()
        try:
            with _seen(context.device.name, ran):
                error = CHECKS[name](table, context)
            outcomes[name] = {"ok": True, "error": error}
        except CheckFailure as failure:
            outcomes[name] = {"ok": False, "text": str(failure)}
        except Exception as error:  # of a check itself: the ops after this one are checked all the same
            text = f"{table.op}, check {name!r}: expected no error, got {type(error).__name__}: {error}"
            outcomes[name] = {"ok": False, "text": text}
        outcomes[name]["seconds"] = round(time.perf_counter() - start, 4)
    registered = [(r["op"], r["variant"]) for r in context.device.module.list() if r["op"] in table.kernels]
    return {
        "op": table.op,
        "ran": {op: sorted(ran.get(op, ())) for op in sorted({op for op, _ in registered})},
        "idle": sorted(f"{op}:{variant}" for op, variant in registered if variant not in ran.get(op, ())),
        "dtypes": [*context.dtypes, *_half_dtypes(table, context, checks)],
        "cases": len(list(context.cases(table))),
        "error": max((o.get("error", 0.0) for o in outcomes.values()), default=0.0),
        "ok": all(o["ok"] for o in outcomes.values()),
        "checks": outcomes,
    }


@contextmanager
def _seen(device: str, ran: dict[str, set[str]]) -> Iterator[None]:
    """A scope that adds the variants of each kernel that run in it."""
    found = Profile()
    try:
        with profile(device) as found:
            yield
    finally:
        for row in found.rows:
            ran.setdefault(row["kernel"], set()).add(row["variant"])


def _half_dtypes(table: OpTable, context: Context, checks: Sequence[str]) -> list[str]:
    """The 16-bit dtypes that the table's kernels take, if they are checked."""
    if "half precision" not in checks:
        return []
    return [d.name for d in half_dtypes() if any(variants(context.device, op, d) for op in table.kernels)]


def _ran(result: dict[str, Any]) -> set[str]:
    return {f"{op}:{variant}" for row in result["rows"] for op, variants in row["ran"].items() for variant in variants}


def report(result: dict[str, Any]) -> None:
    """Prints the table, then each failure."""
    columns = ("op", "kernels: variants that ran", "dtypes", "cases", "error/allowed", "seconds", "ok")
    rows = [
        (
            row["op"],
            "; ".join(f"{op}: {' '.join(names) or '-'}" for op, names in row["ran"].items()) or "-",
            " ".join(row["dtypes"]),
            row["cases"],
            f"{row['error']:.3f}",
            f"{sum(o['seconds'] for o in row['checks'].values()):.1f}",
            "ok" if row["ok"] else "FAILED",
        )
        for row in result["rows"]
    ]
    where = result["environment"]
    title = f"op table on {result['device']} ({where['cpu']}, {where['isa']}, {where['threads']} threads, seed {result['seed']})"
    console.table(title, columns, rows, right=("cases", "error/allowed", "seconds"))
    for row in result["rows"]:
        for outcome in row["checks"].values():
            if not outcome["ok"]:
                console.line(f"FAILED {outcome['text']}")
    for lie in result["table"]:
        console.line(f"FAILED {lie}")
    if result["schedules"]:
        console.line(f"schedules swept: {', '.join('-'.join(map(str, s[:2])) for s in result['schedules'])}")
    if result["absent"]:
        console.line(f"no kernel on {result['device']}, not checked: {', '.join(sorted(result['absent']))}")
    if idle := sorted({name for row in result["rows"] for name in row["idle"]} - _ran(result)):
        console.line(f"registered, and run by none of these checks: {', '.join(idle)}")
    passed = sum(row["ok"] for row in result["rows"])
    console.line(f"{passed} of {len(result['rows'])} ops passed {'all checks' if result['ok'] else ''}".rstrip())
