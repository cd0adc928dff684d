"""The checks that each op of the table must pass. `tests/test_ops.py` and `whitewolf verify` run these same functions.

A check takes an OpTable and a Context, and returns the largest error it saw as a part of the tolerance (0.0 where it compares
bits). It raises CheckFailure, which names op, case, dtype and check, where something does not hold.
"""

from __future__ import annotations

from collections.abc import Callable

from ..cases import OpTable
from .calls import CheckFailure, Context, missing_kernel
from .gradients import float32_gradient, gradient, gradient_strides, kernels, second_gradient
from .half_precision import half_precision
from .schedules import schedules
from .stability import batch, errors, threads, unlisted, variants
from .values import exact, guards, nonfinite, strides, value

Check = Callable[[OpTable, Context], float]

CHECKS: dict[str, Check] = {
    "value": value,
    "strides": strides,
    "nonfinite": nonfinite,
    "exact": exact,
    "guards": guards,
    "gradient": gradient,
    "second gradient": second_gradient,
    "float32 gradient": float32_gradient,
    "gradient strides": gradient_strides,
    "kernels": kernels,
    "half precision": half_precision,
    "variants": variants,
    "threads": threads,
    "batch": batch,
    "errors": errors,
    "schedules": schedules,
}

__all__ = ["CHECKS", "Check", "CheckFailure", "Context", "missing_kernel", "unlisted"]
