"""Whitewolf: a lean deep-learning engine whose hand-written kernels can be read, run without a GPU, differentiated and benchmarked.

>>> import whitewolf as ww
>>> x = ww.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from __future__ import annotations

import math as _math
from typing import Any as _Any

from . import _einops, autograd, kernels, random
from ._errors import DeviceError, FileFormatError, StaleTensorError
from ._precision import get_precision, precision
from .autograd import enable_grad, grad, is_grad_enabled, no_grad, set_grad_enabled
from .device import Device, device, devices
from .dtypes import (
    bool,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .elementwise import elementwise
from .info import __array_namespace_info__, can_cast, finfo, iinfo, isdtype, result_type
from .ops.binary import *
from .ops.complex_parts import *
from .ops.creation import *
from .ops.cumulative import *
from .ops.einsum import *
from .ops.elementwise import *
from .ops.gather import *
from .ops.indexing import *
from .ops.joining import *
from .ops.logic import *
from .ops.manipulation import *
from .ops.matmul import *
from .ops.ranges import *
from .ops.rearrange import *
from .ops.reduce import *
from .ops.search import *
from .ops.select import *
from .ops.topk import *
from .random import manual_seed
from .runtime import (
    empty_cache,
    get_include,
    get_num_threads,
    isa,
    memory_stats,
    reset_peak_memory,
    set_num_threads,
    set_poison,
)
from .simulator import cudasim
from .tensor import Tensor, tensor

__version__ = "0.1.0"
__array_api_version__ = "2024.12"

e, inf, nan, newaxis, pi = _math.e, _math.inf, _math.nan, None, _math.pi

_einops.register()

_LAZY = ("nn", "amp", "optim", "data", "io", "cases", "bench", "workloads")
_FROM_IO = ("save", "load", "save_checkpoint", "load_checkpoint")


def __getattr__(name: str) -> _Any:
    """Rooms that are not needed to compute are imported when they are first named: `import whitewolf` stays quick."""
    import importlib

    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FROM_IO:
        return getattr(importlib.import_module(f"{__name__}.io"), name)
    if name == "bfloat16":
        from .dtypes import bfloat16

        return bfloat16()
    if name.startswith("_"):
        raise AttributeError(f"module 'whitewolf' has no attribute {name!r}")
    from ._pytorch import find

    return find(name)
