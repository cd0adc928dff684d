"""Timing contestants against each other on a machine that does other things as well.

Blocks are interleaved (ours, theirs, ours, ...), so that a slow minute hits all alike. Each block rests first, because thread pools
of other libraries spin for milliseconds after their work and would slow the next contestant several times over; then it warms up;
then it counts. A contestant's time is the median over its blocks; the run ends when the medians have settled, or at its budget.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..device import device as find_device
from ..device import stopwatch


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        rest: seconds of sleep before each block.
        block: seconds that a block counts, at least one call.
        blocks: least and most blocks for each contestant.
        settle: the run ends when every median is known to this part of itself (standard error).
        budget: seconds after which no further round starts.
    """

    rest: float = 0.010
    block: float = 0.020
    blocks: tuple[int, int] = (7, 60)
    settle: float = 0.01
    budget: float = 8.0


QUICK = Plan(rest=0.006, block=0.006, blocks=(3, 9), settle=0.05, budget=0.8)


@dataclass
class Timing:
    """Seconds a call: one figure for each block."""

    calls: int = 1
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """The middle half of the blocks, as a part of the median."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return float((high - low) / self.median)

    @property
    def uncertainty(self) -> float:
        """Standard error of the median as a part of it, for a normal spread."""
        return float(self.spread / 1.349 * 1.2533 / len(self.seconds) ** 0.5)


Stopwatch = Callable[[Callable[[], Any], int], float]  # seconds a call: `whitewolf.device.stopwatch`


def _calibrate(run: Callable[[], Any], plan: Plan, seconds: Stopwatch) -> int:
    run()
    once = seconds(run, 1)
    return max(1, min(100_000, round(plan.block / max(once, 1e-7))))


def interleave(contestants: Mapping[str, Callable[[], Any]], plan: Plan, seconds: Stopwatch | None = None) -> dict[str, Timing]:
    """Times the contestants against each other; see the top of this file. `seconds` times calls; the clock of the CPU does unless given.

    Raises:
        ValueError: there is no contestant.
    """
    if not contestants:
        raise ValueError("interleave: expected a contestant, got none")
    seconds = seconds or stopwatch(find_device("cpu"))
    timings = {name: Timing(_calibrate(run, plan, seconds)) for name, run in contestants.items()}
    end = time.perf_counter() + plan.budget
    least, most = plan.blocks
    for round_ in range(most):
        for name, run in contestants.items():
            timing = timings[name]
            time.sleep(plan.rest)
            for _ in range(max(1, timing.calls // 8)):
                run()
            timing.seconds.append(seconds(run, timing.calls))
        if round_ + 1 >= least and (all(t.uncertainty <= plan.settle for t in timings.values()) or time.perf_counter() > end):
            break
    return timings
