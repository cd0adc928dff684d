"""Running contests: verified before and after the clock, for a wrong kernel is not timed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..device import Device, gpu_name, stopwatch
from ..device import device as find_device
from ..environment import environment
from ..runtime import get_num_threads
from .contests import CheckFailure, Contest, installed, match_modes
from .machine import Machine
from .timing import Plan, Timing, interleave


def variants_of(call: Callable[[], Any], device: Device) -> str:
    """The kernel variants that a call of ours runs, the longest-running first."""
    device.module.profile_start()
    try:
        call()
    finally:
        records = device.module.profile_stop()
    seconds: dict[str, float] = {}
    for _, variant, took, _ in records:
        seconds[variant] = seconds.get(variant, 0.0) + took
    return "+".join(sorted(seconds, key=lambda v: -seconds[v]))


def run_contest(contest: Contest, device: Device, plan: Plan) -> dict[str, Any]:
    """One row; without times, and with "wrong", where our result is wrong before or after."""
    row: dict[str, Any] = {"op": contest.op, "case": contest.case, "device": device.name, "dtype": contest.dtype}
    try:
        row["error"] = contest.check()
        calls: dict[str, Callable[[], Any]] = {}
        for library, ways in {"": contest.ours, **contest.references}.items():
            calls |= {f"{library}/{way}": call for way, call in ways.items()}
        timings = interleave(calls, plan, stopwatch(device))
        row["error"] = max(row["error"], contest.check())
    except CheckFailure as failure:
        return row | {"wrong": str(failure)}
    row["way"], ours = _best(timings, "")
    row["variant"] = variants_of(contest.ours[row["way"]], device)
    row |= {"ms": 1e3 * ours.median, "spread": ours.spread, "blocks": len(ours.seconds), "seconds": ours.median}
    row |= {"flops": contest.flops, "bytes": contest.bytes}
    row |= {"gflops": contest.flops / ours.median / 1e9, "gbps": contest.bytes / ours.median / 1e9}
    row |= {"reference_ms": {}, "reference_way": {}, "ratio": {}}
    for library in contest.references:
        row["reference_way"][library], best = _best(timings, library)
        row["reference_ms"][library] = 1e3 * best.median
        row["ratio"][library] = best.median / ours.median
    return row


def _best(timings: dict[str, Timing], library: str) -> tuple[str, Timing]:
    """The fastest way of calling a library; ours is ""."""
    ways = ((name.split("/", 1)[1], timing) for name, timing in timings.items() if name.split("/", 1)[0] == library)
    return min(ways, key=lambda item: item[1].median)


def bench(
    contests: Iterable[Callable[[], Contest | dict[str, Any] | None]],
    libraries: Sequence[str],
    plan: Plan,
    device: str = "cpu",
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Runs the contests, each built when its turn comes, and returns {"environment", "machine", "rows", "ok"}.

    Args:
        contests: builders; one that gives None is left out, one that gives a row has run its contest itself (`bench.apart`).
        libraries: references to run; those that are not installed are named in the environment, not silently left out.
        plan: how long to measure.
        device: whose kernels.
        progress: called with each row as it is done.
    """
    where = find_device(device)
    here = [name for name in libraries if installed(name)]
    match_modes(here, get_num_threads(), where)
    machine = Machine(where, get_num_threads())
    for _ in range(3):
        machine.sample()
    rows = []
    for build in contests:
        machine.sample()
        contest = build()
        if contest is None:
            continue
        rows.append(contest if isinstance(contest, dict) else run_contest(contest, where, plan))
        if progress is not None:
            progress(rows[-1])
    machine.sample()
    for row in rows:  # the peak is the best of the whole run, so shares come last
        if "seconds" in row:
            seconds, bound = machine.roof(row.pop("flops"), row.pop("bytes"), row["dtype"])
            row["share_of_peak"], row["bound"] = seconds / row.pop("seconds"), bound
    gpu = {"gpu": gpu_name(where), "arithmetic": "float32, no TF32; cudnn.benchmark"} if where == "cuda" else {}
    described = environment() | gpu | {"references": {name: installed(name) or "not installed" for name in libraries}}
    return {"environment": described, "machine": machine.describe(), "rows": rows, "ok": all("wrong" not in r for r in rows)}
