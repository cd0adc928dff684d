"""The engine's switches and gauges: threads, memory, the instruction set."""

from __future__ import annotations

from pathlib import Path

from .device import Device, device, devices
from .ops._common import check_int

MAX_THREADS = 1024  # beyond what a machine has; a mistake, rather than a wish


def _modules() -> list[object]:
    return [device(name).module for name, state in devices().items() if state == "available"]


def set_num_threads(n: int) -> None:
    """Lets kernels on the CPU use `n` threads, the caller's included. Results do not depend on it, bit for bit.

    Raises:
        ValueError: n is outside [1, 1024].

    >>> import whitewolf as ww
    >>> ww.set_num_threads(ww.get_num_threads())
    """
    n = check_int("set_num_threads", "n", n)
    if not 1 <= n <= MAX_THREADS:
        raise ValueError(f"set_num_threads: expected n in [1, {MAX_THREADS}], got {n}")
    for module in _modules():
        module.set_num_threads(n)  # type: ignore[attr-defined]


def get_num_threads() -> int:
    """Threads that kernels on the CPU may use: WHITEWOLF_THREADS, else what affinity and the cgroup quota leave.

    >>> import whitewolf as ww
    >>> ww.get_num_threads() >= 1
    True
    """
    return int(device("cpu").module.num_threads())


def memory_stats(which: str | Device = "cpu") -> dict[str, int]:
    """Bytes in use, cached and at the peak, allocations and cache hits of a device's block cache.

    >>> import whitewolf as ww
    >>> sorted(ww.memory_stats())
    ['allocations', 'bytes_cached', 'bytes_in_use', 'cache_hits', 'peak_in_use']
    """
    return dict(device(which).module.memory_stats())


def empty_cache() -> None:
    """Gives the blocks that the cache keeps back to the system.

    >>> import whitewolf as ww
    >>> ww.empty_cache()
    >>> ww.memory_stats()["bytes_cached"]
    0
    """
    for module in _modules():
        module.memory_release_cached()  # type: ignore[attr-defined]


def reset_peak_memory() -> None:
    """Starts `peak_in_use` of memory_stats anew.

    >>> import whitewolf as ww
    >>> ww.reset_peak_memory()
    >>> stats = ww.memory_stats()
    >>> stats["peak_in_use"] == stats["bytes_in_use"]
    True
    """
    for module in _modules():
        module.memory_reset_peak()  # type: ignore[attr-defined]


def set_poison(on: bool) -> None:
    """Fills each new block with NaN (all bits set), so that reading what nobody wrote shows; also WHITEWOLF_POISON=1.

    >>> import whitewolf as ww
    >>> ww.set_poison(True)
    >>> x = ww.empty(2)
    >>> ww.set_poison(False)
    >>> x
    tensor([nan, nan])
    """
    if not isinstance(on, bool):
        raise TypeError(f"set_poison: expected on to be True or False, got {type(on).__name__}")
    for module in _modules():
        module.memory_set_poison(on)  # type: ignore[attr-defined]  # a module by its name


def isa() -> str:
    """The instruction set that the CPU kernels run with: baseline, avx2 or avx512; WHITEWOLF_ISA caps it.

    >>> import whitewolf as ww
    >>> ww.isa() in ("baseline", "avx2", "avx512")
    True
    """
    return str(device("cpu").module.isa())


def get_include() -> str:
    """The folder to compile kernels of your own against: it holds engine/ and kernels/.

    Raises:
        FileNotFoundError: the sources were not installed with the package.

    >>> import pathlib, whitewolf as ww
    >>> (pathlib.Path(ww.get_include()) / "kernels" / "matmul" / "matmul.h").is_file()
    True
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "include", here.parent.parent):
        if (folder / "engine" / "view.h").is_file():
            return str(folder)
    raise FileNotFoundError(f"get_include: expected engine/view.h under {here / 'include'}, found none")
