"""The binding of `_cuda`, linked with the simulator in a GPU's place, over a stand-in for CuPy: `.ci/cuda` builds it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers import fake_cupy
from helpers.cuda_stand_ins import needs_standin, run_table
from whitewolf import cases
from whitewolf.checks import Context, missing_kernel

pytest_plugins = ["helpers.cuda_fixtures"]
pytestmark = needs_standin


def test_the_binding_reads_arrays_on_a_gpu(compiled: Any) -> None:
    context = Context(device=ww.device("cuda"))
    ran = 0
    for table in cases.tables():
        if not missing_kernel(table, context):
            run_table(table, 4)
            ran += 1
    assert ran > 40


def test_the_binding_checks_arrays_as_the_cpus_does(compiled: Any) -> None:
    kernel = ww.kernels.get("matmul_forward", device="cuda")
    x, w, out = (fake_cupy.device(np.ones((4, 4), "f4")) for _ in range(3))
    kernel(out, x, w)
    assert out.get()[0, 0] == 4
    wide = fake_cupy.device(np.ones((8, 8), "f4"))
    odd = fake_cupy.device(np.empty(65, "u1")[1:].view("f4").reshape(4, 4))
    for arguments, error, words in (
        ((np.empty((4, 4), "f4"), x, w), TypeError, "expected out to be an array on a GPU (cupy.ndarray), got numpy.ndarray"),
        ((out, x, [1.0]), TypeError, "expected w to be an array on a GPU"),
        ((out, x, fake_cupy.device(np.ones((5, 4), "f4"))), ValueError, "expected w.shape[0] == 4"),
        ((wide[:4, :4], wide[2:6, :4], w), ValueError, "expected out not to overlap x"),
        ((out, odd, w), ValueError, "expected x aligned to its dtype"),
        ((out, x, fake_cupy.device(np.ones((4, 4), "f8"))), TypeError, "w.dtype == float32"),
    ):
        with pytest.raises(error) as raised:
            kernel(*arguments)
        assert words in str(raised.value)
    kernel(wide[:4, :4], wide[4:, 4:], w)  # beside each other in one block


class Foreign:
    """An array of another library, as the protocol shows it."""

    def __init__(self, array: Any, **fields: Any) -> None:
        self._kept = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, **fields}


def test_the_binding_waits_for_the_stream_that_an_array_names_and_refuses_a_mask(compiled: Any) -> None:
    kernel = ww.kernels.get("matmul_forward", device="cuda")
    x, w, out = (fake_cupy.device(np.ones((4, 4), "f4")) for _ in range(3))
    for current, streams in ((0, (None, 1)), (0x5EED, (None, 0x5EED))):  # nothing to wait for
        fake_cupy.STREAM.ptr = current
        for stream in streams:
            kernel(out, Foreign(x, stream=stream), w)
    for current, stream in ((0, 2), (0, 77), (0x5EED, 1)):
        fake_cupy.STREAM.ptr = current
        for arguments in ((out, Foreign(x, stream=stream), w), (Foreign(out, stream=stream), x, w)):
            with pytest.raises(ww.DeviceError, match=f"waits for stream {stream}"):
                kernel(*arguments)
        kernel(out, x, w)  # and the wait of that call is not this one's
    with pytest.raises(ValueError, match="expected w with a stream that is None or not 0 .1 is the default one., got 0"):
        kernel(out, x, Foreign(w, stream=0))
    fake_cupy.STREAM.ptr = 0
    kernel(out, Foreign(x, mask=None), w)
    with pytest.raises(
        TypeError, match="matmul_forward: expected x without a mask, got one that its __cuda_array_interface__ masks"
    ):
        kernel(out, Foreign(x, mask=w), w)


def test_launches_of_the_binding_go_to_the_current_stream(compiled: Any) -> None:
    kernel = ww.kernels.get("matmul_forward", device="cuda")
    x, w, out = (fake_cupy.device(np.ones((4, 4), "f4")) for _ in range(3))
    fake_cupy.STREAM.ptr = 13
    with pytest.raises(ww.DeviceError, match="launched on stream 13"):
        kernel(out, x, w)


def test_workspaces_come_from_the_pool(compiled: Any, pool: Any) -> None:
    rows, samples, units = 4, 2, 8
    shapes = [(rows, units), (rows, units), (rows, 4 * units), (samples, units), (samples, units), (rows, 4 * units),
              (4 * units, units), (samples, units), (samples, units)]  # fmt: skip
    arrays = [fake_cupy.device(np.ones(shape, "f4")) for shape in shapes]
    kernel = ww.kernels.get("lstm_forward", device="cuda", variant="persistent")
    assert kernel.workspace_bytes(*arrays) > 0
    with pytest.raises(TypeError, match="expected workspace to be an array on a GPU .cupy.ndarray., got numpy.ndarray"):
        kernel(*arrays, workspace=np.empty(kernel.workspace_bytes(*arrays), np.uint8))
    kernel(*arrays)
    step = ww.kernels.get("lstm_forward", device="cuda", variant="step")
    step(*arrays, np.array([2, 2]))  # batch_sizes stay on the host
    with pytest.raises(TypeError, match="expected batch_sizes to be a numpy.ndarray"):
        step(*arrays, fake_cupy.device(np.array([2, 2])))
    pool.limit = 1
    with pytest.raises(MemoryError, match="workspace: expected .* bytes on cuda, got none"):
        kernel(*arrays)


def test_the_runtime_says_why_there_is_no_gpu(compiled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WW_STANDIN_ERROR", "the CUDA runtime finds no GPU")
    assert ww.devices()["cuda"] == "the CUDA runtime finds no GPU"
