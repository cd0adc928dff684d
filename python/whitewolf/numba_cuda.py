"""Numba CUDA variants: what the files `kernels/<op>/<op>_numba.py` are written with, and where they come from.

They run on device `cuda` where numba-cuda and a GPU are there, also if the compiled kernels are not; and on device `cudasim` where
NUMBA_ENABLE_CUDASIM=1 was set before the first import of Numba, which then runs them in numba-cuda's own simulator, one Python
thread a CUDA thread: for small arrays.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import toolkit
from ._errors import DeviceError
from .overlay import Overlay, PythonKernel

GRID = (2**31 - 1, 65535, 65535)  # blocks that a launch may have along x, y and z

_registered: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {}
_loaded = False
_stream: Callable[[], int] = lambda: 0  # address of the stream to launch on: the array library's current one


def variant(op: str, dtypes: Sequence[str] = ("float32", "float64")) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a function of an op's arrays and attributes as its variant `numba`; the contract has been checked before it runs."""

    def register(run: Callable[..., None]) -> Callable[..., None]:
        _registered[op] = run, tuple(dtypes)
        return run

    return register


def simulated() -> bool:
    """Whether Numba was told to simulate."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")


def on_device(size: int, simulated_size: int) -> int:
    """A size of blocks: `simulated_size` in the simulator, which starts a Python thread for each of a block's."""
    return simulated_size if simulated() else size


def launch(kernel: Any, elements: int | tuple[int, ...], block: int | tuple[int, ...], *arguments: Any) -> None:
    """Runs `kernel` with enough blocks of `block` threads for one thread an element, on the current stream.

    Arrays of any strides; None stays None. Nothing runs where there are no elements.
    """
    from numba import cuda

    sizes = (elements,) if isinstance(elements, int) else elements
    threads = (block,) if isinstance(block, int) else block
    if 0 in sizes:
        return
    grid = tuple(-(-size // n) for size, n in zip(sizes, threads))
    if any(n > limit for n, limit in zip(grid, GRID)):
        raise DeviceError(f"{kernel.__name__}: expected a grid of at most {GRID} blocks, got {grid}")
    stream = _stream()
    kernel[grid, threads, cuda.external_stream(stream) if stream else 0](*map(_array, arguments))


def rows(out: Any, *inputs: Any) -> Iterator[list[Any]]:
    """The arrays, inputs broadcast to the output, as one row each where all step through memory alike; else row by row."""
    order = sorted(range(out.ndim), key=lambda d: -abs(out.strides[d]))
    arrays = [out.transpose(order), *(np.broadcast_to(a, out.shape).transpose(order) for a in inputs)]
    steps = zip(arrays[0].shape[1:], *(zip(a.strides, a.strides[1:]) for a in arrays))
    if all(outer == inner * size for size, *pairs in steps for outer, inner in pairs):
        yield [a.reshape(-1) for a in arrays]
    else:
        for row in np.ndindex(arrays[0].shape[:-1]):
            yield [a[row] for a in arrays]


@cache
def activation(name: str, number: Any) -> Any:
    """A device function for kernels that end in an activation; `number` is the Numba type they compute in."""
    from numba import cuda

    zero, half, one, root_half = number(0), number(0.5), number(1), number(math.sqrt(0.5))

    def none(x: Any) -> Any:
        return x

    def relu(x: Any) -> Any:
        return zero if x <= zero else x  # NaN is not: it stays; -0.0 is, and gives 0

    def tanh(x: Any) -> Any:
        return math.tanh(x)

    def sigmoid(x: Any) -> Any:
        return one / (one + math.exp(-x))

    def gelu(x: Any) -> Any:
        return x * half * math.erfc(-x * root_half)

    return cuda.jit({"none": none, "relu": relu, "tanh": tanh, "sigmoid": sigmoid, "gelu": gelu}[name], device=True)


def _array(value: Any) -> Any:
    from numba import cuda

    if not hasattr(value, "ndim"):
        return value
    if simulated():  # the simulator's own conversion takes contiguous arrays alone
        from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

        return FakeCUDAArray(value)
    return cuda.as_cuda_array(value, sync=False)  # the same stream: nothing to wait for


def families() -> list[str]:
    """The families of kernels that have a Numba variant: a file each."""
    return sorted(path.stem.removesuffix("_numba") for path in _files())


def missing(device: str) -> str:
    """Why the variants are not on this device; empty where they are."""
    if device not in ("cuda", "cudasim"):
        return "they are CUDA kernels"
    if device == "cudasim" and not simulated():
        return "they run there where NUMBA_ENABLE_CUDASIM=1 is set before the first import of Numba"
    if device == "cuda" and simulated():
        return "NUMBA_ENABLE_CUDASIM is set: Numba simulates"
    if importlib.util.find_spec("numba_cuda") is None:
        return "numba-cuda is not installed"
    if device == "cuda" and (reason := toolkit.gpu()):
        return reason
    try:
        from numba import cuda

        if device == "cuda" and not cuda.is_available():
            return "numba-cuda finds no GPU"
    except Exception as error:  # a broken installation costs these variants, not the device
        return f"numba-cuda does not load: {error}"
    return ""


def overlay(device: str, module: Any, contracts: Any, stream: Callable[[], int] | None = None) -> Any:
    """The module with the Numba variants added, where they can run; else the module as it is, or None.

    Args:
        module: the device's compiled module, or None.
        contracts: the cpu's module.
        stream: gives the address of the stream to launch on.

    Raises:
        ww.DeviceError: a file of the variants does not load.
    """
    global _stream
    if missing(device):
        return module
    if stream is not None:
        _stream = stream
    _load()
    kernels = {op: PythonKernel(op, "numba", run, dtypes, contracts.get(op)) for op, (run, dtypes) in _registered.items()}
    return Overlay(device, module, kernels, contracts)


def _files() -> list[Path]:
    from .runtime import get_include

    return sorted((Path(get_include()) / "kernels").glob("*/*_numba.py"))


def _load() -> None:
    global _loaded
    if _loaded:
        return
    for path in _files():
        spec = importlib.util.spec_from_file_location(f"whitewolf._kernels.{path.stem}", path)
        if spec is None or spec.loader is None:
            raise DeviceError(f"kernels: expected a Python file at {path}")
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    _loaded = True
