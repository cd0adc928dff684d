"""Device cudasim: the CUDA kernels on the simulator, from Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import whitewolf as ww
from whitewolf.simulator import schedules

MATMUL = [row for row in ww.kernels.list("matmul_forward", device="cudasim")]


def product_of_integers(shape: tuple[int, int, int], dtype: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    m, k, n = shape
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-4, 5, (m, k)).astype(dtype), rng.integers(-4, 5, (k, n)).astype(dtype)
    return a, b, a.astype("f8") @ b.astype("f8")


@pytest.mark.parametrize("variant", [row["variant"] for row in MATMUL])
@pytest.mark.parametrize("schedule", schedules(seed=5), ids=lambda s: "-".join(map(str, s)))
def test_matmul_gives_the_same_bits_under_every_schedule(variant: str, schedule: tuple[str, str, int]) -> None:
    row = next(r for r in MATMUL if r["variant"] == variant)
    kernel = ww.kernels.get("matmul_forward", device="cudasim", variant=variant)
    for dtype in row["dtypes"]:
        if dtype == "bfloat16":
            dtype = pytest.importorskip("ml_dtypes").bfloat16
        a, b, expected = product_of_integers((67, 45, 71), dtype)
        out = np.full(expected.shape, np.nan).astype(dtype)
        with ww.cudasim(order=schedule[0], asynchrony=schedule[1], seed=schedule[2]):
            kernel(out, a, b)
        np.testing.assert_array_equal(out.astype("f8"), expected.astype(dtype).astype("f8"))


def test_a_schedule_is_a_scope() -> None:
    module = ww.device("cudasim").module
    before = module.schedule()
    with ww.cudasim(order="reverse", seed=9):
        assert module.schedule() == ("reverse", before[1], 9)
        with ww.cudasim(asynchrony="eager"):
            assert module.schedule() == ("reverse", "eager", 9)
    assert module.schedule() == before
    with pytest.raises(ww.DeviceError, match="order: expected lockstep, forward, reverse or random, got 'sideways'"):
        with ww.cudasim(order="sideways"):
            pass
    assert module.schedule() == before


@pytest.mark.parametrize(
    ("variable", "value", "answer"),
    [
        ("WHITEWOLF_SIM_ORDER", "reverse", "('reverse', 'late', 0)"),
        ("WHITEWOLF_SIM_ASYNC", "eager", "('lockstep', 'eager', 0)"),
        ("WHITEWOLF_SIM_SEED", "17", "('lockstep', 'late', 17)"),
        ("WHITEWOLF_SIM_SEED", "-1", "WHITEWOLF_SIM_SEED: expected an integer >= 0, got '-1'"),
        ("WHITEWOLF_SIM_ORDER", "fast", "WHITEWOLF_SIM_ORDER: expected lockstep, forward, reverse or random, got 'fast'"),
    ],
)
def test_the_environment_sets_the_schedule(variable: str, value: str, answer: str) -> None:
    code = "import whitewolf as ww\ntry: print(ww.device('cudasim').module.schedule())\nexcept ww.DeviceError as e: print(e)"
    ran = subprocess.run([sys.executable, "-c", code], env=os.environ | {variable: value}, capture_output=True, text=True)
    assert ran.stdout.strip() == answer, ran.stderr


def test_an_array_that_is_too_short_is_a_named_fault_not_a_crash() -> None:
    """Views lie about their memory: the kernel reads past the end of a guarded block, and the launch says so."""
    kernel = ww.kernels.get("matmul_forward", device="cudasim", variant="naive")
    empty = ww.device("cudasim").empty
    short = empty((4, 4), np.dtype("f4"))
    short[...] = 1
    x = np.lib.stride_tricks.as_strided(short, (8, 4), short.strides)
    w, out = np.ones((4, 4), "f4"), np.empty((8, 4), "f4")
    with pytest.raises(
        ww.DeviceError, match=r"kernel naive<float>, block .* thread .*: global memory: access 0 bytes past"
    ) as caught:
        kernel(out, x, w)
    if shutil.which("addr2line"):
        assert "kernels/matmul/naive.cu:" in str(caught.value)
    kernel(np.empty((4, 4), "f4"), short, w)  # the device works on


def test_an_op_without_a_kernel_is_an_error_that_names_op_and_device() -> None:
    missing = sorted(set(ww.device("cpu").kernels) - set(ww.device("cudasim").kernels))
    for op in missing[:3]:
        with pytest.raises(ww.DeviceError, match=f"{op}.*cudasim has no kernel|cudasim has no kernel for {op}"):
            ww.kernels.get(op, device="cudasim")
        with pytest.raises(ww.DeviceError, match=f"{op}: device cudasim has no kernel"):
            ww.device("cudasim").kernels[op]


def test_tensors_of_two_devices_do_not_mix() -> None:
    with pytest.raises(ww.DeviceError, match="matmul: expected x2 on cpu"):
        ww.matmul(ww.ones((2, 2)), ww.ones((2, 2), device="cudasim"))


def test_many_live_arrays_have_their_guards() -> None:
    empty = ww.device("cudasim").empty
    arrays = [empty((3,), np.dtype("f8")) for _ in range(500)]
    assert all(np.isnan(a).all() for a in arrays)
    assert ww.memory_stats("cudasim")["bytes_in_use"] >= 500 * 4096
    del arrays
