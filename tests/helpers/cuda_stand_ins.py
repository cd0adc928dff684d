"""What the tests of device cuda over stand-ins share; its fixtures are in cuda_fixtures.py."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import cases
from whitewolf.checks.calls import compare, forward, gradients, reference
from whitewolf.checks.values import differentiable

STANDIN = os.environ.get("WHITEWOLF_CUDA_STANDIN", "")
needs_standin = pytest.mark.skipif(not STANDIN, reason="WHITEWOLF_CUDA_STANDIN names no module; .ci/cuda builds one")


def run_table(table: cases.OpTable, count: int) -> None:
    """Values and gradients of the first cases, on device cuda."""
    device = ww.device("cuda")
    for case in [c for c in table.cases if not c.heavy][:count]:
        rng = np.random.default_rng(0)
        arrays = [i.make(rng, "float32") for i in case.inputs]
        got = forward(table, case, arrays, device)
        compare(got, reference(table, case, arrays), partial(table.tolerance, case, "float32"), "float32")
        if differentiable(table, case):
            gradients(table, case, arrays, device)
