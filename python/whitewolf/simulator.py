"""How the simulator of the CUDA device runs kernels: the order of threads, and when asynchronous copies land."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import product

from .device import device

ORDERS = ("lockstep", "forward", "reverse", "random")
ASYNCHRONIES = ("late", "eager", "random")


def schedules(seed: int = 0) -> list[tuple[str, str, int]]:
    """Every combination of order and asynchrony, with one seed."""
    return [(order, asynchrony, seed) for order, asynchrony in product(ORDERS, ASYNCHRONIES)]


@contextlib.contextmanager
def cudasim(*, order: str | None = None, asynchrony: str | None = None, seed: int | None = None) -> Iterator[None]:
    """A scope in which kernels on device cudasim, launched from this thread, run under another schedule. What is None stays.

    No single schedule shows every mistake: a kernel whose result depends on one is wrong. The environment sets the first one:
    WHITEWOLF_SIM_ORDER, WHITEWOLF_SIM_ASYNC, WHITEWOLF_SIM_SEED.

    Args:
        order: which thread goes on: "lockstep" (turns, from barrier to barrier), "forward" or "reverse" (one thread runs ahead until
            it must wait, lowest or highest first), "random".
        asynchrony: when cp.async and TMA copies land: "late" (as late as the waits allow), "eager" (at once), "random".
        seed: of what is random.

    Raises:
        ww.DeviceError: cudasim is not there, or a word is none of those.

    >>> import whitewolf as ww
    >>> x = ww.ones((2, 2), device="cudasim")
    >>> with ww.cudasim(order="reverse", asynchrony="eager"):
    ...     (x @ x).numpy().sum().item()
    8.0
    """
    module = device("cudasim").module
    before = module.schedule()
    wanted = (order, asynchrony, seed)
    module.set_schedule(*(old if new is None else new for new, old in zip(wanted, before)))
    try:
        yield
    finally:
        module.set_schedule(*before)
