"""Variants written in Python beside a compiled module's, and in place of one."""

from __future__ import annotations

import numpy as np
import pytest
import whitewolf as ww
from whitewolf.device import Device
from whitewolf.overlay import Overlay, PythonKernel

CPU = ww.device("cpu").module


def product(out, x, w, bias=None, activation="none"):
    out[...] = x @ w + 1000  # so that it shows which one ran


def overlay(module):
    kernel = PythonKernel("matmul_forward", "python", product, ("float32",), CPU.get("matmul_forward"))
    return Overlay("cudasim", module, {"matmul_forward": kernel}, CPU)


@pytest.fixture
def both():
    return overlay(CPU)


@pytest.fixture
def arrays():
    return np.empty((2, 3), "f4"), np.ones((2, 4), "f4"), np.ones((4, 3), "f4")


def ran(module, arrays) -> str:
    module.get("matmul_forward")(*arrays)
    return "python" if arrays[0][0, 0] == 1004 else "compiled"


def test_it_is_listed_last_and_not_chosen_by_itself(both, arrays):
    rows = [row for row in both.list() if row["op"] == "matmul_forward"]
    assert (
        rows[-1]["variant"] == "python" and rows[-1]["family"] == "matmul" and rows[-1]["rank"] < min(r["rank"] for r in rows[:-1])
    )
    assert ran(both, arrays) == "compiled"
    assert len(both.op_names()) == len(CPU.op_names())


def test_the_scope_entered_last_counts_in_whatever_order_they_end(both, arrays):
    first = both.push_variant("matmul", "python")
    assert ran(both, arrays) == "python"
    second = both.push_variant("matmul", "naive")
    assert ran(both, arrays) == "compiled" and both.get("matmul_forward").choice(*arrays) == "naive"
    both.pop_variant(first)
    assert both.get("matmul_forward").choice(*arrays) == "naive"
    third = both.push_variant("matmul", "python")
    both.pop_variant(second)
    assert ran(both, arrays) == "python"
    both.pop_variant(third)
    assert ran(both, arrays) == "compiled" and both.get("matmul_forward").choice(*arrays) != "naive"
    assert CPU.get("matmul_forward").choice(*arrays) != "naive"


def test_an_asked_for_variant_that_does_not_take_the_dtype_is_an_error(both):
    scope = both.push_variant("matmul", "python")
    try:
        with pytest.raises(ValueError, match="that variant 'python' accepts .* got dtype float64"):
            both.get("matmul_forward")(np.empty((1, 1)), np.ones((1, 1)), np.ones((1, 1)))
    finally:
        both.pop_variant(scope)


def test_it_is_profiled(both, arrays):
    both.profile_start()
    both.get("matmul_forward", "python")(*arrays)
    both.get("matmul_forward", "naive")(*arrays)
    records = both.profile_stop()
    assert sorted((op, variant) for op, variant, _, _ in records) == [("matmul_forward", "naive"), ("matmul_forward", "python")]
    assert {touched for *_, touched in records} == {sum(a.nbytes for a in arrays)}


def test_without_a_compiled_module_it_is_the_choice_and_other_ops_are_errors(arrays):
    alone = overlay(None)
    assert ran(alone, arrays) == "python"
    assert alone.op_names() == ["matmul_forward"] and [row["variant"] for row in alone.list()] == ["python"]
    with pytest.raises(ValueError, match="expected a registered op, got 'relu_forward'"):
        alone.get("relu_forward")
    with pytest.raises(ValueError, match="expected variant of matmul_forward in {python}, got 'naive'"):
        alone.get("matmul_forward", "naive")
    with pytest.raises(ValueError, match="kernels.use: expected a variant of conv2d, got 'naive'"):
        alone.push_variant("conv2d", "naive")
    with pytest.raises(ww.DeviceError, match="num_threads: device cudasim has no compiled module"):
        alone.num_threads()


def test_arrays_on_a_gpu_are_checked_by_their_addresses_alone(arrays):
    """What carries a GPU's address reaches the contract, overlaps included, and nobody reads it."""

    class OnGpu:
        def __init__(self, address, shape, dtype):
            self.dtype, self.shape, self.size, self.nbytes = np.dtype(dtype), shape, int(np.prod(shape)), 0
            self.__cuda_array_interface__ = {
                "data": (address, False), "shape": shape, "typestr": self.dtype.str, "strides": None, "version": 3, "stream": 1,
            }  # fmt: skip

    kernel = overlay(None).get("matmul_forward", "python")
    nowhere = 1 << 40
    x, w = OnGpu(nowhere, (2, 4), "f4"), OnGpu(nowhere + 4096, (4, 3), "f4")
    assert kernel.choice(OnGpu(nowhere + 8192, (2, 3), "f4"), x, w) == "python"
    with pytest.raises(ValueError, match="expected out not to overlap x"):
        kernel.choice(OnGpu(nowhere + 8, (2, 3), "f4"), x, w)
    with pytest.raises(ValueError, match=r"expected w.shape\[0\] == 4"):
        kernel.choice(OnGpu(nowhere + 8192, (2, 3), "f4"), x, OnGpu(nowhere + 4096, (5, 3), "f4"))
    assert kernel.choice(OnGpu(0, (0, 3), "f4"), OnGpu(0, (0, 4), "f4"), w) == "python"


def test_a_device_runs_ops_over_it(both):
    device = Device("cudasim", both, np)
    device.empty = CPU.empty
    x = ww.ops._common.wrap(np.ones((2, 2), "f4"), device)
    scope = both.push_variant("matmul", "python")
    try:
        assert (x @ x).numpy()[0, 0] == 1002
    finally:
        both.pop_variant(scope)
