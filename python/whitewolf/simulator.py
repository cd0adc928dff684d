"""How the simulator of the CUDA device runs kernels: the order of threads, and when asynchronous copies land."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import product

import numpy as np

from .device import device

ORDERS = ("lockstep", "forward", "reverse", "random")
ASYNCHRONIES = ("late", "eager", "random")


def schedules(seed: int = 0) -> list[tuple[str, str, int]]:
    """Every combination of order and asynchrony, with one seed."""
    return [(order, asynchrony, seed) for order, asynchrony in product(ORDERS, ASYNCHRONIES)]


def _integer(name: str, value: int, limit: int) -> int:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"cudasim: expected {name} to be an int, got {type(value).__name__}")
    if not 0 <= value < limit:
        raise ValueError(f"cudasim: expected {name} in [0, {limit}), got {value}")
    return int(value)


def _word(name: str, value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"cudasim: expected {name} to be a str, got {type(value).__name__}")
    return value


def _seconds(value: float) -> float:
    if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
        raise TypeError(f"cudasim: expected timeout to be a float, got {type(value).__name__}")
    return float(value)


@contextlib.contextmanager
def cudasim(
    *,
    order: str | None = None,
    asynchrony: str | None = None,
    seed: int | None = None,
    arch: int | None = None,
    timeout: float | None = None,
) -> Iterator[None]:
    """A scope in which kernels on device cudasim, launched from this thread, run under another schedule. What is None stays.

    No single schedule shows every mistake: a kernel whose result depends on one is wrong. The environment sets the first one:
    WHITEWOLF_SIM_ORDER, WHITEWOLF_SIM_ASYNC, WHITEWOLF_SIM_SEED, WHITEWOLF_SIM_ARCH, WHITEWOLF_SIM_TIMEOUT.

    Args:
        order: which thread goes on: "lockstep" (turns, from barrier to barrier), "forward" or "reverse" (one thread runs ahead until
            it must wait, lowest or highest first), "random".
        asynchrony: when cp.async and TMA copies land: "late" (as late as the waits allow), "eager" (at once), "random".
        seed: of what is random, in [0, 2**64).
        arch: compute capability of the device, times ten: 80 (at first), 86, 89 or 90. Its limits hold for launches.
        timeout: seconds of CPU time that a block may take (at first 300), and the whole grid of a cooperative launch.

    Raises:
        ww.DeviceError: cudasim is not there, a word or `arch` is none of those, or `timeout` is not above 0.
        TypeError: a setting is of another type.
        ValueError: `seed` is outside its range.

    >>> import whitewolf as ww
    >>> x = ww.ones((2, 2), device="cudasim")
    >>> with ww.cudasim(order="reverse", asynchrony="eager"):
    ...     (x @ x).numpy().sum().item()
    8.0
    """
    module = device("cudasim").module
    schedule, limits = module.schedule(), module.limits()
    wanted = (
        schedule[0] if order is None else _word("order", order),
        schedule[1] if asynchrony is None else _word("asynchrony", asynchrony),
        schedule[2] if seed is None else _integer("seed", seed, 2**64),
    )
    limit = (limits[0] if arch is None else _integer("arch", arch, 1000), limits[1] if timeout is None else _seconds(timeout))
    try:
        module.set_schedule(*wanted)
        module.set_limits(*limit)
        yield
    finally:
        module.set_schedule(*schedule)
        module.set_limits(*limits)
