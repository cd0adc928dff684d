"""Stands in for CuPy where there is no GPU: arrays over NumPy's memory that behave as CuPy's do where that differs from NumPy.

An array never turns into NumPy's by itself, operations with NumPy's arrays are errors, reductions return 0-d arrays, memory comes from
a pool that can run out. `install()` puts it where `import cupy` looks.
"""

from __future__ import annotations

import sys
import time
import types
from typing import Any

import numpy as np


class CUDARuntimeError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class Pool:
    """Counts bytes; `limit` is what the GPU has. Freed blocks are kept, as CuPy keeps them, until free_all_blocks."""

    def __init__(self) -> None:
        self.limit = 1 << 40
        self.kept = 0
        self.released = 0

    def free_all_blocks(self) -> None:
        self.released += 1
        self.kept = 0

    def used_bytes(self) -> int:
        return 7

    def free_bytes(self) -> int:
        return self.kept


POOL = Pool()


class Event:
    def record(self) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        pass


STREAM = types.SimpleNamespace(ptr=0)
DEVICES = [1]


class Memory:
    """A pointer into a block."""

    def __init__(self, size: int, host: Any = None, offset: int = 0) -> None:
        if size + POOL.kept > POOL.limit:
            raise OutOfMemoryError(f"Out of memory allocating {size} bytes")
        self.host = np.empty(size, np.uint8) if host is None else host
        self.offset = offset

    @property
    def ptr(self) -> int:
        return int(self.host.ctypes.data) + self.offset

    def __add__(self, offset: int) -> Memory:
        return Memory(0, self.host, self.offset + offset)


def host(value: Any) -> Any:
    """NumPy's array of one of ours; sequences and dictionaries of them likewise."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, (list, tuple)):
        return type(value)(map(host, value)) if type(value) in (list, tuple) else value
    if isinstance(value, dict):
        return {k: host(v) for k, v in value.items()}
    return value


def device(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray._of(np.asarray(value))
    if isinstance(value, (list, tuple)) and any(isinstance(v, (np.ndarray, np.generic)) for v in value):
        return type(value)(map(device, value)) if type(value) in (list, tuple) else tuple(map(device, value))
    return value


def refuse(values: Any) -> None:
    for value in values:
        if isinstance(value, np.ndarray):
            raise TypeError(f"Unsupported type {type(value)}")


class Flags:
    """What CuPy's flags have, and nothing else: NumPy's `writeable` is not among it."""

    def __init__(self, of: Any) -> None:
        self.c_contiguous, self.f_contiguous, self.owndata = of.c_contiguous, of.f_contiguous, of.owndata


class ndarray:
    def __init__(self, shape: Any, dtype: Any = float, memptr: Memory | None = None, strides: Any = None, order: str = "C") -> None:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        memory = memptr or Memory(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        some = memory.host.size > 0
        self._host = np.ndarray(shape, dtype, memory.host.data if some else None, memory.offset, strides if some else None)

    @classmethod
    def _of(cls, array: np.ndarray) -> ndarray:
        self = object.__new__(cls)
        self._host = array
        return self

    @property
    def flags(self) -> Flags:
        return Flags(self._host.flags)

    @property
    def data(self) -> Memory:
        return Memory(0, self._host.view(np.uint8))  # of blocks of bytes alone

    def get(self) -> np.ndarray:
        return self._host.copy(order="K")

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        a = self._host
        return {
            "data": (a.ctypes.data if a.size else 0, False), "shape": a.shape, "typestr": a.dtype.str, "version": 3,
            "stream": STREAM.ptr or 1,
            "strides": None if a.flags.c_contiguous else a.strides,
        }  # fmt: skip

    def __dlpack__(self, **named: Any) -> Any:
        return self._host.__dlpack__(**{k: v for k, v in named.items() if k == "max_version"})

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_function__(self, function: Any, kinds: Any, args: Any, named: Any) -> Any:
        refuse(args)
        return device(function(*host(args), **host(named)))

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **named: Any) -> Any:
        refuse(args)
        return device(getattr(ufunc, method)(*host(args), **host(named)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("ctypes", "base"):
            raise AttributeError(name)
        found = getattr(self._host, name)
        if callable(found) and not isinstance(found, np.ndarray):
            return lambda *args, **named: device(found(*host(args), **host(named)))
        return device(found) if isinstance(found, np.ndarray) else found

    def item(self) -> Any:
        return self._host.item()

    def tolist(self) -> Any:
        return self._host.tolist()

    def __getitem__(self, key: Any) -> Any:
        return device(self._host[host(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        refuse([value])
        self._host[host(key)] = host(value)

    def __len__(self) -> int:
        return len(self._host)

    def __bool__(self) -> bool:
        return bool(self._host)

    def __int__(self) -> int:
        return int(self._host)

    def __float__(self) -> float:
        return float(self._host)

    def __index__(self) -> int:
        return self._host.__index__()

    def __repr__(self) -> str:
        return f"fake {self._host!r}"

    __hash__ = None  # type: ignore[assignment]  # as CuPy's arrays: they compare elementwise


def _operator(name: str) -> Any:
    def method(self: ndarray, *others: Any) -> Any:
        refuse(others)
        result = getattr(self._host, name)(*host(others))
        return result if result is NotImplemented else device(result)

    return method


_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift", "matmul")
for _name in [f"__{side}{op}__" for op in _BINARY for side in ("", "r")] + ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__",
                                                                          "__neg__", "__pos__", "__abs__", "__invert__"]:  # fmt: skip
    setattr(ndarray, _name, _operator(_name))
for _name in (f"__i{op}__" for op in _BINARY):

    def _in_place(self: ndarray, other: Any, name: str = _name) -> ndarray:
        refuse([other])
        getattr(self._host, name)(host(other))
        return self

    setattr(ndarray, _name, _in_place)


class _Module(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(np, name)
        if not callable(found) or isinstance(found, type):
            return found

        def function(*args: Any, **named: Any) -> Any:
            if name not in ("asarray", "array", "ascontiguousarray"):
                refuse(args)
            result = found(*host(args), **host(named))
            if name in ("asarray", "array") and args and isinstance(args[0], np.ndarray):
                result = result.copy(order="K")  # it came from the host
            return device(result)

        return function


def _device_count() -> int:
    if not DEVICES:
        raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    return len(DEVICES)


def make() -> types.ModuleType:
    cupy: Any = _Module("cupy")
    cupy.ndarray = ndarray
    cupy.get_default_memory_pool = lambda: POOL
    runtime = types.SimpleNamespace(
        getDeviceCount=_device_count, memGetInfo=lambda: (POOL.limit // 2, POOL.limit), CUDARuntimeError=CUDARuntimeError
    )
    memory = types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
    runtime.getDeviceProperties = lambda which: {"name": b"a stand-in"}
    cupy.cuda = types.SimpleNamespace(
        alloc=Memory, memory=memory, runtime=runtime, get_current_stream=lambda: STREAM, Event=Event,
        get_elapsed_time=lambda start, end: 1e3 * (end.at - start.at), Device=lambda: types.SimpleNamespace(id=0),
    )  # fmt: skip
    cupy.from_dlpack = lambda x: ndarray._of(np.from_dlpack(_Lent(x)))
    return cupy


class _Lent:
    """What was lent by a fake array, for NumPy, which must believe it to be on the CPU."""

    def __init__(self, lender: Any) -> None:
        self.__dlpack__ = lender.__dlpack__

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


class SimulatedCuda:
    """`whitewolf._cuda` over the simulator's kernels: arrays are unwrapped, all else is the real thing."""

    def __init__(self, simulator: Any, error: str = "") -> None:
        self._simulator, self._error = simulator, error
        self.streams: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._simulator, name)

    def require_device(self) -> None:
        from whitewolf import DeviceError

        if self._error:
            raise DeviceError(self._error)

    def bind(self, allocate: Any, stream: Any) -> None:
        self._allocate, self._stream = allocate, stream

    def get(self, op: str, variant: str | None = None) -> Any:
        kernel = self._simulator.get(op, variant)

        def run(*args: Any, **attrs: Any) -> None:
            for value in args:
                if isinstance(value, np.ndarray) and value.dtype != np.int64:
                    raise TypeError(f"{op}: expected an array on a GPU (cupy.ndarray), got numpy.ndarray")
            self.streams.append(self._stream())
            kernel(*host(args), **host(attrs))

        made: Any = run
        made.choice = lambda *args, **attrs: kernel.choice(*host(args), **host(attrs))
        made.workspace_bytes = lambda *args, **attrs: kernel.workspace_bytes(*host(args), **host(attrs))
        made.signature, made.__doc__ = kernel.signature, kernel.__doc__
        return made


def install(module: Any) -> types.ModuleType:
    """Puts the stand-ins in place of `cupy` and `whitewolf._cuda`, before device cuda is first asked for."""
    devices = sys.modules["whitewolf.device"]  # whitewolf.device is the function

    sys.modules["cupy"] = make()
    if module is not None:
        sys.modules["whitewolf._cuda"] = module
    devices._reasons.pop("cuda", None)
    devices._devices.pop("cuda", None)
    return sys.modules["cupy"]


def uninstall() -> None:
    devices = sys.modules["whitewolf.device"]  # whitewolf.device is the function

    for name in ("cupy", "whitewolf._cuda"):
        sys.modules.pop(name, None)
    devices._reasons.pop("cuda", None)
    devices._devices.pop("cuda", None)
