"""A device with kernels written in Python, so that tests can break them and see that the checks notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from whitewolf.device import Device, device


class PythonKernel:
    """Looks like one raw kernel; `functions` are its variants, the first the default."""

    def __init__(self, op: str, signature: str, functions: dict[str, Callable[..., None]], workspace: int = 0) -> None:
        self.op, self.signature, self.functions, self.workspace = op, signature, functions, workspace
        self.variant = next(iter(functions))
        self.forced: list[str] = []

    def bound(self, variant: str) -> PythonKernel:
        copy = PythonKernel(self.op, self.signature, self.functions, self.workspace)
        copy.variant = variant
        return copy

    def choice(self, *args: Any, **attrs: Any) -> str:
        return self.variant

    def workspace_bytes(self, *args: Any, **attrs: Any) -> int:
        return self.workspace

    def __call__(self, *args: Any, workspace: Any = None, **attrs: Any) -> None:
        if self.workspace:
            attrs["workspace"] = np.empty(self.workspace, np.uint8) if workspace is None else workspace
        self.functions[self.forced[-1] if self.forced else self.variant](*args, **attrs)


class PythonModule:
    """The compiled module of the cpu, with PythonKernels beside its own."""

    def __init__(self, *kernels: PythonKernel) -> None:
        self._real: Any = device("cpu").module
        self._kernels = {k.op: k for k in kernels}

    def op_names(self) -> list[str]:
        return [*self._real.op_names(), *self._kernels]

    def get(self, op: str, variant: str | None = None) -> Any:
        if op not in self._kernels:
            return self._real.get(op, variant)
        return self._kernels[op].bound(variant) if variant else self._kernels[op]

    def push_variant(self, family: str, variant: str) -> int:
        self._kernels[family].forced.append(variant)
        return 0

    def pop_variant(self, scope: int) -> None:
        for kernel in self._kernels.values():
            kernel.forced.clear()

    def list(self) -> list[dict[str, Any]]:
        facts = {"dtypes": ("float32", "float64"), "precision": "dtype"}
        rows = [{"op": k.op, "family": k.op, "variant": v} | facts for k in self._kernels.values() for v in k.functions]
        return [*self._real.list(), *rows]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def broken_device(*kernels: PythonKernel) -> Device:
    return Device("python", PythonModule(*kernels), np)
