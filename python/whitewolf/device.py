"""Devices: where a tensor's array lives and which module's kernels run on it.

`cpu` is NumPy arrays and C++ kernels. `cudasim` is the CUDA kernels compiled by the C++ compiler, over NumPy arrays. `cuda` is
CuPy arrays and CUDA kernels. A device that is not there is a failed import with a reason, and nothing ever falls back from one
device to another.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from . import numba_cuda
from ._errors import DeviceError

Array: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[Any]]"

NAMES = ("cpu", "cudasim", "cuda")


class Kernels(dict[str, Any]):
    """A device's raw kernels by op. One that the device has none for is an error that says so, never another device's."""

    def __init__(self, device: str, kernels: dict[str, Any]) -> None:
        super().__init__(kernels)
        self.device = device

    def __missing__(self, op: str) -> Any:
        raise DeviceError(
            f"{op}: device {self.device} has no kernel for this op; whitewolf.kernels.list(device='{self.device}') has all"
        )


class Device:
    """One device. Compare with `==`, also with its name; get it from `ww.device("cpu")`.

    >>> import whitewolf as ww
    >>> ww.zeros(1).device == "cpu"
    True
    """

    __slots__ = ("name", "module", "kernels", "xp", "empty")

    def __init__(self, name: str, module: Any, xp: Any) -> None:
        self.name = name
        self.module = module
        self.xp = xp  # the array library of this device: numpy or cupy
        self.kernels = Kernels(name, {op: module.get(op) for op in module.op_names()})
        # empty(shape, dtype, layout=None): an uninitialised array in C order, channels last (True), or in the dimension order of
        # the array `layout`. The module's own function, since every op calls it.
        self.empty: Callable[..., Array] = module.empty

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, str) and other == self.name)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"device('{self.name}')"

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.name,)


_devices: dict[str, Device] = {}
_reasons: dict[str, str] = {}


def _load(name: str) -> Device | None:
    if name in _devices:
        return _devices[name]
    if name in _reasons:
        return None
    try:
        module: Any = importlib.import_module(f"whitewolf._{name}")
        if name == "cuda":
            module.require_device()
        if name == "cudasim":
            module = numba_cuda.overlay(name, module, device("cpu").module)
        _devices[name] = Device(name, module, np)
    except DeviceError as error:
        _reasons[name] = str(error)
        return None
    except ImportError as error:
        built = "is not built" if isinstance(error, ModuleNotFoundError) else f"does not load: {error}"
        _reasons[name] = f"whitewolf._{name} {built}"
        return None
    return _devices[name]


def device(which: str | Device | None = None) -> Device:
    """The device of that name; `None` is the default, cpu.

    Raises:
        ww.DeviceError: there is no such device, or it is not there; the text says why.

    >>> import whitewolf as ww
    >>> ww.device("cpu")
    device('cpu')
    """
    if isinstance(which, Device):
        return which
    name = "cpu" if which is None else which
    if not isinstance(name, str) or name not in NAMES:
        raise DeviceError(f"device: expected one of {', '.join(NAMES)}, got {which!r}")
    found = _load(name)
    if found is None:
        raise DeviceError(f"device: {name} is not available: {_reasons[name]}")
    return found


def devices() -> dict[str, str]:
    """Each device's name with "available", or the reason why it is not.

    >>> import whitewolf as ww
    >>> ww.devices()["cpu"]
    'available'
    """
    return {name: "available" if _load(name) else _reasons[name] for name in NAMES}
