"""Parity with PyTorch, where it is installed: each op of the table that names its torch twin, forward and backward."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from whitewolf import cases
from whitewolf.cases import Case, OpTable
from whitewolf.checks.calls import Context, as_tuple, compare, cotangents, forward, gradient_tolerance, gradients
from whitewolf.checks.values import differentiable

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")

TABLES = [t for t in cases.tables() if t.torch is not None]


def torch_results(table: OpTable, case: Case, arrays: list[Any], grads: list[Any] | None) -> tuple[list[Any], list[Any]]:
    """PyTorch's outputs, and its gradients for these gradients of the outputs."""
    assert table.torch is not None
    inputs = [torch.from_numpy(a.copy()) for a in arrays]
    active = [t for t, spec in zip(inputs, case.inputs) if grads is not None and spec.grad and t.is_floating_point()]
    for tensor in active:
        tensor.requires_grad_()
    outputs = as_tuple(table.torch(*inputs, **case.attrs))
    found = []
    if active and grads is not None:
        floating = [o for o in outputs if o.requires_grad]
        given = torch.autograd.grad(floating, active, [torch.from_numpy(g) for g in grads], allow_unused=True)
        found = [np.zeros(a.shape, a.detach().numpy().dtype) if g is None else g.numpy() for a, g in zip(active, given)]
    return [o.detach().numpy() for o in outputs], found


def widened(arrays: list[Any]) -> list[Any]:
    return [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.op)
def test_values_are_pytorch_s(table: OpTable, dtype: str) -> None:
    context = Context()
    for case in context.cases(table):
        arrays = context.inputs(table, case, dtype)
        expected, _ = torch_results(table, case, widened(arrays), None)
        compare(forward(table, case, arrays, context.device), expected, partial(table.tolerance, case, dtype), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("table", [t for t in TABLES if t.gradient in ("first", "second")], ids=lambda t: t.op)
def test_gradients_are_pytorch_s(table: OpTable, dtype: str) -> None:
    context = Context()
    for case in context.cases(table):
        if not differentiable(table, case):
            continue
        arrays = context.inputs(table, case, dtype)
        outputs = [o for o in forward(table, case, arrays, context.device) if o.dtype.kind == "f"]
        grads = cotangents(outputs, np.random.default_rng(0))
        _, expected = torch_results(table, case, widened(arrays), widened(grads))
        tolerance = gradient_tolerance(table, case, dtype, sum(o.size for o in outputs))
        compare(gradients(table, case, arrays, context.device, grads), expected, tolerance, dtype)
