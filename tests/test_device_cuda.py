"""Device cuda where there is no GPU: the real device.py and ops over a stand-in for CuPy."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers import fake_cupy
from helpers.cuda_stand_ins import run_table
from whitewolf import cases
from whitewolf.checks import Context, missing_kernel

pytest_plugins = ["helpers.cuda_fixtures"]


@pytest.mark.parametrize("table", list(cases.tables()), ids=lambda t: t.op)
def test_no_op_takes_an_array_of_cupy_for_one_of_numpy(table: cases.OpTable, simulated: Any) -> None:
    run_table(table, 2)


def test_a_tensor_moves_there_and_back(simulated: Any) -> None:
    a = np.arange(6, dtype="f4").reshape(2, 3)
    x = ww.tensor(a, requires_grad=True)
    y = x.to("cuda")
    assert y.device == "cuda" and isinstance(y._data, fake_cupy.ndarray)
    (y * 2).sum().to("cpu").backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full((2, 3), 2, "f4"))
    array = y.numpy()
    array[0, 0] = 7
    assert y.numpy()[0, 0] == 0, "numpy() copies on cuda"
    assert repr(ww.ones(2, device="cuda")) == "tensor([1., 1.], device='cuda')"
    assert ww.memory_stats("cuda") == {"bytes_in_use": 7, "bytes_cached": 0}


def test_memory_is_lent_to_and_by_others(simulated: Any) -> None:
    x = ww.zeros((2, 3), device="cuda")
    interface = x.__cuda_array_interface__
    assert interface["shape"] == (2, 3) and interface["typestr"] == "<f4"
    assert interface["version"] == 3 and interface["stream"] == 1  # the protocol's number of the default stream
    fake_cupy.STREAM.ptr = 0x5EED
    assert x.__cuda_array_interface__["stream"] == 0x5EED
    assert x.__dlpack_device__()[0] == 2
    y = ww.from_dlpack(x)
    assert y.device == "cuda" and np.shares_memory(y._data, x._data)
    if y._data._host.flags.writeable:  # NumPy before 2.2, in CuPy's place, lends memory to read
        y[0, 0] = 5
        assert x[0, 0].item() == 5
    assert ww.from_dlpack(x, device="cpu").device == "cpu"
    with pytest.raises(ValueError, match="expected copy=None to bring x to cpu"):
        ww.from_dlpack(x, device="cpu", copy=False)
    with pytest.raises(AttributeError, match="x.detach"):
        _ = x.requires_grad_().__cuda_array_interface__


def test_assignment_and_in_place_operators_write_to_arrays_whose_flags_are_those_of_cupy(simulated: Any) -> None:
    x, w = ww.ones(3, device="cuda"), ww.tensor([1.0, 2.0, 3.0], device="cuda", requires_grad=True)
    memory = x._data
    x += 1
    x[0] = 5
    assert x._data is memory and x.tolist() == [5, 2, 2]
    x *= w
    assert x._data is memory and x.tolist() == [5, 4, 6] and ww.grad(x.sum(), w).tolist() == [5, 2, 2]
    with pytest.raises(ZeroDivisionError, match="remainder: expected x2 without 0"):
        ww.arange(3, device="cuda") % 0
    with pytest.raises(ValueError, match="bitwise_left_shift: expected x2 >= 0"):
        ww.arange(3, device="cuda") << -1


def test_empty_has_the_layouts_of_the_cpu(simulated: Any) -> None:
    cpu, cuda = ww.device("cpu").empty, ww.device("cuda").empty
    for shape in ((), (3,), (2, 3), (2, 3, 4), (2, 1, 3, 5), (4, 3, 1, 1), (2, 3, 4, 5)):
        base = np.empty(shape, "f8")
        likes = [None, True, base, base.T.copy().T, base.transpose(np.roll(range(base.ndim), 1)).copy() if base.ndim else base]
        for like in likes:
            if isinstance(like, np.ndarray) and like.shape != shape:
                continue
            theirs = fake_cupy.device(like) if isinstance(like, np.ndarray) else like
            ours, expected = cuda(shape, np.dtype("f4"), theirs), cpu(shape, np.dtype("f4"), like)
            steps = [(a, b) for n, a, b in zip(shape, ours.strides, expected.strides) if n > 1]
            assert ours.shape == expected.shape and all(a == b for a, b in steps), (shape, like)


def test_out_of_memory_is_tried_again_once_the_pool_has_given_back(simulated: Any, pool: Any) -> None:
    pool.limit, pool.kept = 4096, 4096
    assert ww.zeros(1000, device="cuda").shape == (1000,)
    assert pool.released == 1 and pool.kept == 0


def test_out_of_memory_names_bytes_wanted_used_and_free(simulated: Any, pool: Any) -> None:
    x = ww.zeros((10, 10), device="cuda")
    pool.limit = 300
    with pytest.raises(MemoryError, match="matmul: expected 400 bytes on cuda, got none: 7 in use, 150 free of 300"):
        x @ x
    assert pool.released == 1


def test_launches_go_to_the_current_stream(simulated: Any) -> None:
    x = ww.ones((2, 2), device="cuda")
    fake_cupy.STREAM.ptr = 0x5EED
    x @ x
    assert simulated.streams[-1] == 0x5EED


@pytest.mark.usefixtures("pool")
def test_absence_is_told_in_words_and_nothing_falls_back() -> None:
    def reason() -> str:
        with pytest.raises(ww.DeviceError, match="device: cuda is not available: ") as raised:
            ww.zeros(1, device="cuda")
        assert ww.devices()["cuda"] == str(raised.value).removeprefix("device: cuda is not available: ")
        return ww.devices()["cuda"]

    try:
        fake_cupy.install(fake_cupy.SimulatedCuda(ww.device("cpu").module, error="no driver"))
        assert reason() == "no driver"
        fake_cupy.install(fake_cupy.SimulatedCuda(ww.device("cpu").module))
        fake_cupy.DEVICES.clear()
        assert reason() == "CuPy finds no GPU: cudaErrorNoDevice: no CUDA-capable device is detected"
        fake_cupy.install(fake_cupy.SimulatedCuda(ww.device("cpu").module))
        sys.modules["cupy"] = None  # type: ignore[assignment]  # import cupy is a ModuleNotFoundError
        assert reason() == "CuPy is not installed: pip install 'whitewolf[cuda]', or whitewolf[cuda13] for CUDA 13"
    finally:
        fake_cupy.uninstall()


CUDASIM = Context(device=ww.device("cudasim"))
TWO_INPUTS = [
    table for table in cases.tables()
    if len(table.cases[0].inputs) > 1 and not missing_kernel(table, CUDASIM)
    and not any(kernel.endswith("_step") for kernel in table.kernels)  # optimizers: `.grad` refuses it before
    and table.op != "max_pool2d_gather"  # a gradient's gradient, which nobody calls
]  # fmt: skip


@pytest.mark.parametrize("table", TWO_INPUTS, ids=lambda t: t.op)
def test_mixed_devices_are_an_error_that_names_both(table: cases.OpTable) -> None:
    case = next(c for c in table.cases if not c.heavy and len(c.inputs) > 1)
    rng = np.random.default_rng(0)
    arrays = [i.make(rng, "float32") for i in case.inputs]
    for other in range(1, len(arrays)):
        tensors = [ww.asarray(a, device="cudasim" if at == other else "cpu") for at, a in enumerate(arrays)]
        with pytest.raises(ww.DeviceError, match="expected .* on (cpu|cudasim)") as raised:
            table.function(*tensors, **case.attrs)
        assert "cpu" in str(raised.value) and "cudasim" in str(raised.value), raised.value
