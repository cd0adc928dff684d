"""Devices: where a tensor's array lives and which module's kernels run on it.

`cpu` is NumPy arrays and C++ kernels. `cudasim` is the CUDA kernels compiled by the C++ compiler, over NumPy arrays. `cuda` is
CuPy arrays and CUDA kernels. A device that is not there is a failed import with a reason, and nothing ever falls back from one
device to another.
"""

from __future__ import annotations

import gc
import importlib
import math
import sys
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from . import index_checks, numba_cuda
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

    __slots__ = ("name", "module", "kernels", "xp", "array", "empty")

    @property
    def type(self) -> str:
        """The name, as PyTorch's devices have it."""
        return self.name

    def __init__(self, name: str, module: Any, xp: Any, empty: Callable[..., Array] | None = None) -> None:
        self.name = name
        self.module = module
        self.xp = xp  # the array library of this device: numpy or cupy
        self.array = xp.ndarray
        self.kernels = Kernels(name, {op: module.get(op) for op in module.op_names()})
        # empty(shape, dtype, layout=None): an uninitialised array in C order, channels last (True), or in the dimension order of
        # the array `layout`. On a CPU the module's own function, since every op calls it.
        self.empty: Callable[..., Array] = empty or module.empty

    @property
    def module_file(self) -> str | None:
        """The file of the compiled module; None where the device has kernels in Python alone."""
        try:
            return str(self.module.__file__)
        except DeviceError:
            return None

    def find_new_kernels(self) -> None:
        """Takes up ops that were added to the module: `ww.kernels.load`."""
        self.kernels.update({op: self.module.get(op) for op in self.module.op_names() if op not in self.kernels})

    def hold(self, array: Array) -> Any:
        """A copy of a NumPy array in this device's memory, in the same order of dimensions."""
        if self.name == "cuda":
            return self.xp.asarray(array)
        own = self.empty(array.shape, array.dtype, array)
        own[...] = array
        return own

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


def host(array: Any) -> Array:
    """The array in the CPU's memory: itself, or a copy of one that lies on a GPU, in the same order of dimensions."""
    return array if isinstance(array, np.ndarray) else array.get()  # type: ignore[no-any-return]  # CuPy has no types


def over(block: Any, shape: tuple[int, ...], dtype: Any, offset: int, strides: tuple[int, ...] | None = None) -> Any:
    """An array over the memory of `block`, an array of bytes on any device, from byte `offset` on."""
    if isinstance(block, np.ndarray):
        return np.ndarray(shape, dtype, block.data, offset, strides)
    return type(block)(shape, dtype, memptr=block.data + offset, strides=strides)


def stopwatch(where: Device) -> Callable[[Callable[[], Any], int], float]:
    """What times calls on a device, in seconds a call: `seconds = stopwatch(device)(run, calls)`.

    On a GPU, between two events of the current stream: the clock of the host would see launches alone.
    """

    def by_events(run: Callable[[], Any], calls: int) -> float:
        cuda = where.xp.cuda
        start, end = cuda.Event(), cuda.Event()
        start.record()
        for _ in range(calls):
            run()
        end.record()
        end.synchronize()
        return float(cuda.get_elapsed_time(start, end)) / 1e3 / calls

    def by_clock(run: Callable[[], Any], calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - start) / calls

    return by_events if where.name == "cuda" else by_clock


def interface(array: Any) -> dict[str, Any]:
    """The `__cuda_array_interface__` of an array on a GPU, version 3, with the stream that consumers have to wait for: the current one.

    CuPy's own leaves the stream out where CUPY_CUDA_ARRAY_INTERFACE_EXPORT_VERSION asks for an older version.
    """
    stream = int(importlib.import_module("cupy").cuda.get_current_stream().ptr)
    return {**array.__cuda_array_interface__, "version": 3, "stream": stream or 1}  # 0 is the default stream, which is 1 there


def gpu_name(where: Device) -> str:
    """The GPU as its driver names it."""
    name = where.xp.cuda.runtime.getDeviceProperties(where.xp.cuda.Device().id)["name"]
    return name.decode() if isinstance(name, bytes) else str(name)


class Cupy:
    """CuPy as device cuda needs it: its arrays, its pool of memory, its current stream. No other file knows CuPy.

    Raises:
        ww.DeviceError: CuPy is not installed, or finds no GPU: it imports without one, and then fails obscurely.
    """

    def __init__(self) -> None:
        try:
            cupy = importlib.import_module("cupy")
        except ImportError as error:
            absent = isinstance(error, ModuleNotFoundError) and error.name == "cupy"
            raise DeviceError(
                "CuPy is not installed: pip install 'whitewolf[cuda]', or whitewolf[cuda13] for CUDA 13"
                if absent
                else f"CuPy does not load: {error}"
            ) from None
        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except Exception as error:  # of the driver's absence CuPy has errors of several types
            raise DeviceError(f"CuPy finds no GPU: {error}") from None
        if count == 0:
            raise DeviceError("CuPy finds no GPU")
        self.cupy = cupy

    def stream(self) -> int:
        """The address of this thread's current stream."""
        return int(self.cupy.cuda.get_current_stream().ptr)

    def _take(self, size: int, op: str) -> Any:
        """`size` bytes of the pool. Out of memory, what the pool keeps is given back and the request repeated, once.

        Raises:
            MemoryError: there are not as many: bytes wanted, used and free.
        """
        cuda, pool = self.cupy.cuda, self.cupy.get_default_memory_pool()
        try:
            return cuda.alloc(size)
        except cuda.memory.OutOfMemoryError:
            gc.collect()  # graphs may hold arrays in cycles
            pool.free_all_blocks()
        try:
            return cuda.alloc(size)
        except cuda.memory.OutOfMemoryError:
            free, total = cuda.runtime.memGetInfo()
            raise MemoryError(
                f"{op}: expected {size} bytes on cuda, got none: {pool.used_bytes()} in use, {free} free of {total}"
            ) from None

    def workspace(self, size: int) -> Any:
        """Bytes for a kernel to work in."""
        return self.cupy.ndarray((size,), np.uint8, memptr=self._take(size, "workspace"))

    def empty(self, shape: tuple[int, ...], dtype: Any, layout: Any = None) -> Any:
        """An uninitialised array: `Device.empty`."""
        dtype = np.dtype(dtype)
        order = list(range(len(shape)))
        if layout is True and len(shape) > 2:
            order = [0, *order[2:], 1]
        elif isinstance(layout, self.cupy.ndarray) and layout.ndim == len(shape) > 1:
            order = _order_like(layout.shape, layout.strides)
        strides, step = [0] * len(shape), dtype.itemsize
        for d in reversed(order):
            strides[d] = step
            step *= max(shape[d], 1)
        memory = self._take(math.prod(shape) * dtype.itemsize, _running_function())
        return self.cupy.ndarray(shape, dtype, memptr=memory, strides=tuple(strides))


def _order_like(shape: tuple[int, ...], strides: tuple[int, ...]) -> list[int]:
    """Dimensions from the outermost to the innermost in memory; those that are never stepped along stay where they are."""
    order = list(range(len(shape)))
    moved = sorted((d for d in order if shape[d] > 1), key=lambda d: -abs(strides[d]))
    return [moved.pop(0) if shape[d] > 1 else d for d in order]


def _running_function() -> str:
    """The public function that is running: the innermost whose name has no underscore in front. For errors."""
    frame = sys._getframe(2)
    while frame.f_back and (frame.f_code.co_name.startswith(("_", "<"))):
        frame = frame.f_back
    return frame.f_code.co_name


class _CudaModule:
    """`whitewolf._cuda`, with what CuPy knows better: memory is its pool's."""

    def __init__(self, module: Any, library: Cupy) -> None:
        self._module, self._library = module, library
        module.bind(library.workspace, library.stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def get(self, op: str, variant: str | None = None) -> Any:
        """The raw kernel; one that is given indices looks at them first, which the contract cannot do in a GPU's memory."""
        kernel = self._module.get(op, variant)
        return index_checks.Checked(kernel) if op in index_checks.CHECKS else kernel

    def memory_stats(self) -> dict[str, int]:
        pool = self._library.cupy.get_default_memory_pool()
        return {"bytes_in_use": int(pool.used_bytes()), "bytes_cached": int(pool.free_bytes())}

    def memory_release_cached(self) -> None:
        self._library.cupy.get_default_memory_pool().free_all_blocks()


def _load_cuda(contracts: Any) -> Device:
    """Device cuda: the compiled module and the Numba variants, or those alone where the module is not built."""
    try:
        module = importlib.import_module("whitewolf._cuda")
        reason = ""
    except ModuleNotFoundError:
        module, reason = None, "whitewolf._cuda is not built"
    if module is not None:
        module.require_device()
    elif numba_cuda.missing("cuda"):
        raise DeviceError(f"{reason}, and {numba_cuda.missing('cuda')}")
    library = Cupy()
    compiled = None if module is None else _CudaModule(module, library)
    found = Device("cuda", numba_cuda.overlay("cuda", compiled, contracts, library.stream), library.cupy, library.empty)
    if module is not None:  # ops have checked their indices, or made them
        found.kernels.update({op: module.get(op) for op in index_checks.CHECKS if op in found.kernels})
    return found


_devices: dict[str, Device] = {}
_reasons: dict[str, str] = {}


def _load(name: str) -> Device | None:
    if name in _devices:
        return _devices[name]
    if name in _reasons:
        return None
    try:
        if name == "cuda":
            _devices[name] = _load_cuda(device("cpu").module)
            return _devices[name]
        module: Any = importlib.import_module(f"whitewolf._{name}")
        if name == "cudasim":
            module.schedule()  # a setting in the environment that is none of what is expected is told here, and by `doctor`
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
