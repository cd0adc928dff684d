"""Kernel variants written in Python, beside those of a device's compiled module or in its place.

`Overlay` has the names of a compiled module (`list`, `get`, `push_variant`, ...), so nothing above can tell: the variants are listed,
got, chosen with `ww.kernels.use`, profiled, and their arguments checked against the same contract, which the cpu module knows.
They are never chosen unless they are asked for by name or nothing else is there.
"""

from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from ._errors import DeviceError

RANK = -1  # below every compiled variant


class PythonKernel:
    """One variant of one op: `run(*arrays, **attributes)` after the contract's checks.

    Attributes:
        op, variant, signature: as of a compiled kernel; the docstring is the contract.
    """

    def __init__(self, op: str, variant: str, run: Callable[..., None], dtypes: Sequence[str], contract: Any) -> None:
        self.op = self.__name__ = op
        self.variant = variant
        self.dtypes = tuple(dtypes)
        self.signature = contract.signature
        self.__doc__ = contract.__doc__
        self._run, self._contract = run, contract
        self.records: list[tuple[str, str, float, int]] | None = None

    def choice(self, *arrays: Any, **attributes: Any) -> str:
        """The variant, if the call fits the contract; nothing is run."""
        attributes.pop("workspace", None)  # these need none
        self._contract.choice(*map(_at_same_address, arrays), **attributes)
        if arrays[0].dtype.name not in self.dtypes:
            raise ValueError(
                f"{self.op}: expected arguments that variant '{self.variant}' accepts (dtype, strides, sizes), "
                f"got dtype {arrays[0].dtype}"
            )
        return self.variant

    def workspace_bytes(self, *arrays: Any, **attributes: Any) -> int:
        """None is needed: 0."""
        self.choice(*arrays, **attributes)
        return 0

    def __call__(self, *arrays: Any, **attributes: Any) -> None:
        self.choice(*arrays, **attributes)
        attributes.pop("workspace", None)
        start = time.perf_counter()
        self._run(*arrays, **attributes)
        if self.records is not None:
            touched = sum(getattr(a, "nbytes", 0) for a in arrays)
            self.records.append((self.op, self.variant, time.perf_counter() - start, touched))

    def __repr__(self) -> str:
        return f"<kernel {self.op}:{self.variant} ({self.signature})>"


class _Address:
    def __init__(self, interface: dict[str, Any]) -> None:
        self.__array_interface__ = {k: v for k, v in interface.items() if k in ("data", "typestr", "shape", "strides", "version")}


def _at_same_address(array: Any) -> Any:
    """For an array on a GPU, a NumPy array of the same address, shape and strides: to be checked, never read."""
    interface = getattr(array, "__cuda_array_interface__", None)
    if interface is None:
        return array
    return np.asarray(_Address(interface)) if array.size else np.empty(array.shape, array.dtype)


class _Chooser:
    """The kernel of an op that has Python variants: the one in force by `ww.kernels.use`, else the compiled module's choice."""

    def __init__(self, overlay: Overlay, op: str) -> None:
        self._overlay = overlay
        self.op = self.__name__ = op
        self.variant = None
        self._own = overlay.kernels[op]
        self._compiled = overlay.compiled_kernel(op)
        self.signature, self.__doc__ = self._own.signature, self._own.__doc__

    def _chosen(self) -> Any:
        asked = self._overlay.asked(self.op)
        return self._own if self._compiled is None or asked == self._own.variant else self._compiled

    def __call__(self, *arrays: Any, **attributes: Any) -> None:
        self._chosen()(*arrays, **attributes)

    def choice(self, *arrays: Any, **attributes: Any) -> str:
        return str(self._chosen().choice(*arrays, **attributes))

    def workspace_bytes(self, *arrays: Any, **attributes: Any) -> int:
        return int(self._chosen().workspace_bytes(*arrays, **attributes))

    def __repr__(self) -> str:
        return f"<kernel {self.op} ({self.signature})>"


class Overlay:
    """A device's module with Python variants added.

    Args:
        device: its name.
        module: the compiled module, or None where there is none.
        kernels: the Python variants by op, one an op.
        contracts: the module that knows the contracts of their ops: the cpu's.
    """

    def __init__(self, device: str, module: Any, kernels: dict[str, PythonKernel], contracts: Any) -> None:
        self.device = device
        self.module = module
        self.kernels = kernels
        self._families = {row["op"]: row["family"] for row in contracts.list() if row["op"] in kernels}
        self._rows = self._compiled_rows()
        self._forced = threading.local()
        self._scopes = count(1)

    def __getattr__(self, name: str) -> Any:
        if self.module is None:
            raise DeviceError(f"{name}: device {self.device} has no compiled module, only the kernels written in Python")
        return getattr(self.module, name)

    def _compiled_rows(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {} if self.module is None else {(row["op"], row["variant"]): row for row in self.module.list()}

    def add_library(self, path: str, source: str) -> None:
        self.module.add_library(path, source)
        self._rows = self._compiled_rows()

    def compiled_kernel(self, op: str) -> Any:
        """The compiled module's kernel of this op, or None."""
        return self.module.get(op) if any(op == name for name, _ in self._rows) else None

    def list(self) -> builtins.list[dict[str, Any]]:
        own = [
            {"op": op, "family": self._families[op], "variant": k.variant, "isa": self.device, "dtypes": k.dtypes, "rank": RANK,
             "signature": k.signature, "precision": "dtype", "determinism": "bitwise"}
            for op, k in self.kernels.items()
        ]  # fmt: skip
        return [*self._rows.values(), *own]

    def op_names(self) -> Sequence[str]:
        return sorted({op for op, _ in self._rows} | set(self.kernels))

    def get(self, op: str, variant: str | None = None) -> Any:
        own = self.kernels.get(op)
        if own is not None and variant is None:
            return _Chooser(self, op)
        if own is not None and variant == own.variant:
            return own
        if own is None and self.module is not None:
            return self.module.get(op, variant)
        have = [v for name, v in self._rows if name == op] + ([own.variant] if own else [])
        if not have:
            raise ValueError(f"kernels.get: expected a registered op, got '{op}'; kernels.list() has them all")
        if variant not in have:
            raise ValueError(f"kernels.get: expected variant of {op} in {{{', '.join(have)}}}, got '{variant}'")
        return self.module.get(op, variant)

    def asked(self, op: str) -> str | None:
        """The variant in force for this op on this thread: the scope entered last of those whose variant the op has."""
        found = None
        for _, family, variant, _ in self._stack():
            if family == self._families[op] and (variant == self.kernels[op].variant or (op, variant) in self._rows):
                found = variant
        return found

    def _stack(self) -> builtins.list[tuple[int, str, str, int | None]]:  # scope, family, variant, scope of the compiled module
        if not hasattr(self._forced, "stack"):
            self._forced.stack = []
        return self._forced.stack  # type: ignore[no-any-return]  # a threading.local's attributes are Any

    def push_variant(self, family: str, variant: str) -> int:
        own = any(f == family and self.kernels[op].variant == variant for op, f in self._families.items())
        inner = None
        if not own:
            if self.module is None:
                raise ValueError(f"kernels.use: expected a variant of {family}, got '{variant}'")
            inner = self.module.push_variant(family, variant)
        scope = next(self._scopes)
        self._stack().append((scope, family, variant, inner))
        return scope

    def pop_variant(self, scope: int) -> None:
        stack = self._stack()
        for entry in [entry for entry in stack if entry[0] == scope]:
            stack.remove(entry)
            if entry[3] is not None:
                self.module.pop_variant(entry[3])

    def profile_start(self) -> None:
        records: builtins.list[tuple[str, str, float, int]] = []
        for kernel in self.kernels.values():
            kernel.records = records
        if self.module is not None:
            self.module.profile_start()

    def profile_stop(self) -> Sequence[tuple[str, str, float, int]]:
        compiled = [] if self.module is None else list(self.module.profile_stop())
        own: builtins.list[tuple[str, str, float, int]] = []
        for kernel in self.kernels.values():
            own, kernel.records = kernel.records or own, None
        return [*compiled, *own]
