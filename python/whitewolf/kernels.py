"""The raw kernels: list them, call them on plain arrays, choose among their variants, load your own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from . import numba_cuda
from ._errors import DeviceError
from .device import Device, devices
from .device import device as find_device

_list = list


def list(op: str | None = None, device: str | Device | None = None) -> _list[dict[str, Any]]:
    """One row a kernel variant: op, family, variant, isa, dtypes, rank, signature, precision, determinism and device.

    Args:
        op: only this op ("matmul_forward") or family ("matmul").
        device: only this device; otherwise all that are there.

    >>> import whitewolf as ww
    >>> sorted(row["variant"] for row in ww.kernels.list("matmul_forward", device="cpu"))[-1]
    'naive'
    """
    if op is not None and not isinstance(op, str):
        raise TypeError(f"list: expected op to be a string or None, got {type(op).__name__}")
    names = [name for name, state in devices().items() if state == "available"] if device is None else [find_device(device).name]
    rows = [row | {"device": name} for name in names for row in find_device(name).module.list()]
    return [row for row in rows if op is None or op in (row["op"], row["family"])]


def get(op: str, *, device: str | Device | None = None, variant: str | None = None) -> Any:
    """The raw kernel `op` as a callable on plain arrays: outputs first, then inputs, then attributes by name.

    `get("matmul_forward")(out, x, w)` checks the arrays against the kernel's signature and runs the best variant, or the one asked
    for. The callable's `__doc__` is its contract; `.workspace_bytes(...)` says what a call would need with the threads now in force
    (allocated unless `workspace=` is given), `.choice(...)` which variant would run.

    Raises:
        ValueError: there is no such op or variant.
        TypeError: one of them is no name.
        ww.DeviceError: the device is not there, or has no kernel for this op.

    >>> import numpy as np, whitewolf as ww
    >>> x, w, out = np.ones((2, 3), "f4"), np.ones((3, 4), "f4"), np.empty((2, 4), "f4")
    >>> ww.kernels.get("matmul_forward", device="cpu")(out, x, w)
    >>> out[0, 0].item()
    3.0
    """
    for name, value in (("op", op), ("variant", variant)):
        if not isinstance(value, str) and (name == "op" or value is not None):
            raise TypeError(f"kernels.get: expected {name} to be a name, got {value!r}")
    where = find_device(device)
    if op not in where.kernels and op in find_device("cpu").kernels:
        raise DeviceError(f"kernels.get: device {where.name} has no kernel for {op}")
    return where.module.get(op, variant)


def load(path: str | os.PathLike[str], device: str | Device | None = None) -> _list[dict[str, Any]]:
    """Compiles a folder of kernels of your own and registers them: a new variant of an op that is there, or a new op.

    The folder holds what a folder of `kernels/` holds: a contract in a header, a .cpp with kernels in a static `Registrar` for cpu, a
    .cu for cudasim and cuda (docs/kernels.md has a whole one). It is compiled as the package was, the .cpp for this machine's best
    instruction set (`ww.isa()`), and kept in the user's cache (WHITEWOLF_CACHE_DIR, XDG_CACHE_HOME or ~/.cache) under a digest of its
    sources, the package's headers, flags and compilers: a second process only opens it. `list`, `get` and `use` know the kernels from
    then on, and ops run them. What is loaded stays; the same folder again, unchanged, does nothing.

    Args:
        path: the folder.
        device: compile for this one alone; otherwise for all that are there and have a file in the folder. cuda needs nvcc.

    Returns:
        The rows that `list` has of these kernels, each with its device.

    Raises:
        TypeError: path is no path.
        FileNotFoundError, NotADirectoryError: nothing is there, or a file.
        ValueError: there is no .cpp or .cu file, or no Registrar in it; a variant is there already; an op has another contract.
        RuntimeError: there is no compiler, or it does not take the folder: its message and the command.
        ww.DeviceError: the device is not there. After any error nothing is registered.

    >>> import whitewolf as ww
    >>> try:
    ...     ww.kernels.load("no_such_folder")
    ... except FileNotFoundError as error:
    ...     print(error)
    kernels.load: expected path to be a folder with a .cpp or .cu file, got 'no_such_folder': nothing is there
    """
    from .loading import load

    return load(path, device)


@contextlib.contextmanager
def use(**variants: str) -> Iterator[None]:
    """A scope in which families of kernels run a named variant, in this thread, on every device that has it.

    A call that the variant does not accept is an error, never a silent fall-back. Where scopes name the same family, the one that was
    entered last counts, in whatever order they end; a generator that pauses inside a scope leaves it open for its caller.

    Raises:
        ValueError: there is no such family or variant on any device that is here.
        TypeError: a variant is no name.

    >>> import whitewolf as ww
    >>> with ww.kernels.use(matmul="naive"):
    ...     y = ww.ones((2, 2)) @ ww.ones((2, 2))
    """
    for family, variant in variants.items():
        if not isinstance(variant, str):
            raise TypeError(f"kernels.use: expected {family} to be the name of a variant, got {variant!r}")
    modules = [find_device(name).module for name, state in devices().items() if state == "available"]
    with contextlib.ExitStack() as scope:
        for family, variant in variants.items():
            errors = []
            for module in modules:
                try:
                    token = module.push_variant(family, variant)
                except ValueError as error:
                    errors.append(error)
                else:
                    scope.callback(module.pop_variant, token)
            if len(errors) == len(modules):
                if variant == "numba" and "a variant of" in str(errors[0]):
                    why = "; ".join(f"on {name}, {reason}" for name in ("cuda", "cudasim") if (reason := numba_cuda.missing(name)))
                    if family not in (written := numba_cuda.families()):
                        why = f"written in Numba are those of {', '.join(written)}"
                    raise ValueError(f"{errors[0]}: {why}") from None
                raise errors[0]
        yield
