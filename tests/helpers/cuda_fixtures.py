"""Device cuda where there is no GPU, as fixtures: stand-ins for CuPy and for `whitewolf._cuda`. A plugin of pytest.

"simulated" is another device's kernels with arrays unwrapped in Python. "compiled" is the real binding of _cuda linked with the
simulator in a GPU's place: `.ci/cuda` builds it (target _cuda_standin) and names it in WHITEWOLF_CUDA_STANDIN.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest
import whitewolf as ww

from . import fake_cupy
from .cuda_stand_ins import STANDIN


@pytest.fixture
def pool() -> Iterator[Any]:
    pool = fake_cupy.POOL
    pool.limit, pool.kept, pool.released = 1 << 40, 0, 0
    yield pool
    pool.limit, fake_cupy.STREAM.ptr, fake_cupy.DEVICES[:] = 1 << 40, 0, [1]


@pytest.fixture
def simulated(pool: Any) -> Iterator[Any]:
    module = fake_cupy.SimulatedCuda(ww.device("cpu").module)
    fake_cupy.install(module)
    yield module
    fake_cupy.uninstall()


@pytest.fixture
def compiled(pool: Any) -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("whitewolf._cuda", STANDIN)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    fake_cupy.install(module)
    yield module
    fake_cupy.uninstall()
