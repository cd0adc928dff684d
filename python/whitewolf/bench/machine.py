"""The machine's own peak, measured in the same run as everything else: multiply-adds from registers, and copied bytes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ..device import Device, stopwatch

COPY_BYTES = 64 << 20  # read and as much written: beyond the caches of all but the largest servers


class Machine:
    """Peaks of one device at the threads in force: the best sample so far counts, for a peak is what the machine can do.

    Attributes:
        flops: dtype -> FLOP/s.
        bandwidth: bytes a second, read and written ones added.
    """

    def __init__(self, device: Device, threads: int) -> None:
        self.device = device
        self.flops: dict[str, float] = {"float32": 0.0, "float64": 0.0}
        self.bandwidth = 0.0
        self._threads = threads
        # A GPU's caches are left behind by more; its arithmetic no probe measures yet.
        copied = COPY_BYTES * (8 if device == "cuda" else 1)
        self._seconds = stopwatch(device)
        self._x = device.xp.zeros(copied // 4, np.float32)
        self._y = device.xp.zeros_like(self._x)

    def sample(self) -> None:
        """Measures again, some 30 ms."""
        for dtype in self.flops if self.device != "cuda" else ():
            self.flops[dtype] = max(self.flops[dtype], self._multiply_add(dtype))
        self.bandwidth = max(self.bandwidth, self._copy())

    def _multiply_add(self, dtype: str) -> float:
        kernel = self.device.kernels["probe_fma"]
        count, one = np.empty(self._threads * 4), np.ones((), dtype)
        kernel(count, one, steps=1 << 10)
        start = time.perf_counter()
        kernel(count, one, steps=1 << 16)
        return float(2 * count.sum() / (time.perf_counter() - start))

    def _copy(self) -> float:
        kernel = self.device.kernels["copy_forward" if self.device == "cuda" else "probe_copy"]
        return float(2 * self._x.nbytes / self._seconds(lambda: kernel(self._y, self._x), 1))

    def roof(self, flops: int, bytes_: int, dtype: str) -> tuple[float, str]:
        """Seconds that the peaks allow at best for so much work, and which of them sets the limit."""
        peak = self.flops.get(dtype, 0.0)  # none is measured for 16 bits
        arithmetic = flops / peak if peak else 0.0
        memory = bytes_ / self.bandwidth if self.bandwidth else 0.0
        return (arithmetic, "arithmetic") if arithmetic >= memory else (memory, "memory")

    def describe(self) -> dict[str, Any]:
        """The peaks in GFLOP/s and GB/s."""
        return {**{f"gflops_{k}": v / 1e9 for k, v in self.flops.items()}, "gbps": self.bandwidth / 1e9}
