"""Device cuda where there is no GPU: the real device.py and ops over stand-ins for CuPy and for `whitewolf._cuda`.

"simulated" is another device's kernels with arrays unwrapped in Python. "compiled" is the real binding of _cuda linked with the
simulator in a GPU's place: `.ci/cuda` builds it (target _cuda_standin) and names it in WHITEWOLF_CUDA_STANDIN.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers import fake_cupy
from whitewolf import cases, index_checks
from whitewolf.bench import contests, machine, variants
from whitewolf.bench.report import report
from whitewolf.bench.run import bench
from whitewolf.bench.timing import QUICK, Plan
from whitewolf.checks import Context, missing_kernel
from whitewolf.checks.calls import compare, forward, gradients, reference
from whitewolf.checks.values import differentiable
from whitewolf.verify import verify

STANDIN = os.environ.get("WHITEWOLF_CUDA_STANDIN", "")
needs_standin = pytest.mark.skipif(not STANDIN, reason="WHITEWOLF_CUDA_STANDIN names no module; .ci/cuda builds one")


@pytest.fixture
def simulated() -> Iterator[Any]:
    module = fake_cupy.SimulatedCuda(ww.device("cpu").module)
    fake_cupy.install(module)
    yield module
    fake_cupy.uninstall()


@pytest.fixture
def compiled() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("whitewolf._cuda", STANDIN)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    fake_cupy.install(module)
    yield module
    fake_cupy.uninstall()


@pytest.fixture(autouse=True)
def pool() -> Iterator[Any]:
    pool = fake_cupy.POOL
    pool.limit, pool.kept, pool.released = 1 << 40, 0, 0
    yield pool
    pool.limit, fake_cupy.STREAM.ptr, fake_cupy.DEVICES[:] = 1 << 40, 0, [1]


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


@pytest.mark.parametrize("table", list(cases.tables()), ids=lambda t: t.op)
def test_no_op_takes_an_array_of_cupy_for_one_of_numpy(table: cases.OpTable, simulated: Any) -> None:
    run_table(table, 2)


@needs_standin
def test_the_binding_reads_arrays_on_a_gpu(compiled: Any) -> None:
    context = Context(device=ww.device("cuda"))
    ran = 0
    for table in cases.tables():
        if not missing_kernel(table, context):
            run_table(table, 4)
            ran += 1
    assert ran > 40


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


@needs_standin
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


@needs_standin
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


@needs_standin
def test_launches_of_the_binding_go_to_the_current_stream(compiled: Any) -> None:
    kernel = ww.kernels.get("matmul_forward", device="cuda")
    x, w, out = (fake_cupy.device(np.ones((4, 4), "f4")) for _ in range(3))
    fake_cupy.STREAM.ptr = 13
    with pytest.raises(ww.DeviceError, match="launched on stream 13"):
        kernel(out, x, w)


@needs_standin
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


@needs_standin
def test_the_runtime_says_why_there_is_no_gpu(compiled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WW_STANDIN_ERROR", "the CUDA runtime finds no GPU")
    assert ww.devices()["cuda"] == "the CUDA runtime finds no GPU"


def test_verify_guards_and_lays_out_arrays_on_a_gpu(simulated: Any) -> None:
    result = verify(["relu", "sgd"], ["value", "guards", "kernels"], "cuda")
    assert result["ok"] and len(result["rows"]) == 2, result


def test_bench_times_by_events_against_cupy_and_torch(simulated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(contests.TORCH_DEVICES, "cuda", "cpu")
    monkeypatch.setattr(contests, "has", lambda library: library != "torch" or importlib.util.find_spec("torch") is not None)
    monkeypatch.setattr(machine, "COPY_BYTES", 4096)
    device, table = ww.device("cuda"), next(t for t in cases.tables() if t.op == "matmul")
    libraries = ["cupy", "torch"] if importlib.util.find_spec("torch") else ["cupy"]
    build = partial(contests.from_table, table, table.cases[0], "float32", device, libraries, False)
    result = bench([build], libraries, QUICK, "cuda")
    report(result)
    (row,) = result["rows"]
    assert result["ok"] and row["device"] == "cuda" and set(row["reference_ms"]) == set(libraries)
    assert result["environment"]["gpu"] == "a stand-in" and "no TF32" in result["environment"]["arithmetic"]


@needs_standin
def test_bench_of_the_binding_times_every_variant_in_matched_arithmetic(compiled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    has_torch = importlib.util.find_spec("torch") is not None
    monkeypatch.setitem(contests.TORCH_DEVICES, "cuda", "cpu")
    monkeypatch.setattr(contests, "has", lambda library: library != "torch" or has_torch)
    monkeypatch.setattr(machine, "COPY_BYTES", 4096)
    device, found = ww.device("cuda"), {table.op: table for table in cases.tables()}
    libraries = ["cupy", "torch"] if has_torch else ["cupy"]
    builders: list[Any] = []
    for op, name in (("matmul", "several tiles"), ("conv2d", "wide vectors")):
        case = next(c for c in found[op].cases if c.name == name)
        builders += variants.ladder(found[op], case, (False,), device, libraries)
    builders.append(partial(variants.rung, found["conv2d"], case, "naive", False, device, libraries, True))
    builders += [partial(variants.sequence, v, (3, 2, 5, 8, 1), device, libraries) for v in ("step", "persistent")]
    flags: list[bool] = []
    monkeypatch.setattr(variants, "_in_tf32", lambda call: lambda: (flags.append(True), call())[1])
    result = bench(builders, libraries, Plan(rest=0.0, block=0.0, blocks=(1, 1), budget=0.01), "cuda")
    rows = {(r["op"], r["case"].split(", ", 1)[1], r["dtype"]): r for r in result["rows"]}
    assert result["ok"], [r["wrong"] for r in result["rows"] if "wrong" in r]
    report(result)
    json.dumps(result)
    for op in ("matmul", "conv2d"):
        for variant in ("naive", "tiled", "warp_tiled"):
            assert rows[op, variant, "float32"]["variant"] == variant
        assert rows[op, "tf32", "float32"]["variant"] == "mma_tf32" and "cupy" not in rows[op, "tf32", "float32"]["ratio"]
        for dtype in ("float16", "bfloat16"):
            assert rows[op, "mma", dtype]["variant"] == "mma"
            assert set(rows[op, "mma", dtype]["ratio"]) == set(libraries) - {"cupy"}
        assert rows[op, "tf32", "float32"]["error"] > 10 * rows[op, "tiled", "float32"]["error"]
    assert rows["conv2d", "train, naive", "float32"]["variant"].startswith("naive")
    assert ("conv2d", "depthwise", "float32") not in rows, "which takes no such call"
    for row in [row for row in result["rows"] if row["op"] == "lstm"]:
        assert {"step", "persistent"} & set(row["variant"].split("+")) == {row["case"].split(", ")[-1]}
    assert bool(flags) == has_torch


class Blind:
    """A kernel that, as on a GPU, does not look at its indices."""

    def __init__(self, op: str) -> None:
        self.op = op
        self.calls = 0

    def choice(self, *arrays: Any, **attrs: Any) -> str:
        return "blind"

    def __call__(self, *arrays: Any, **attrs: Any) -> None:
        self.calls += 1


def indexed_calls(bad: int) -> Iterator[tuple[str, list[np.ndarray | None], dict[str, Any]]]:
    """A call of each kernel that is given indices, with `bad` as one of them."""
    f, index = partial(np.ones, dtype="f4"), np.array([1, 0, bad, 2])
    yield "cross_entropy_forward", [f(4), f((4, 2)), None, f((4, 3)), index, None], {"ignore_index": -7}
    yield "cross_entropy_backward_logits", [f((4, 3)), f(4), f((4, 2)), f((4, 3)), index, None], {"ignore_index": -7}
    yield "nll_loss_forward", [f(4), f((4, 3)), index, None], {"ignore_index": -7}
    yield "nll_loss_backward_input", [f((4, 3)), f(4), index, None], {"ignore_index": -7}
    yield "gather_forward", [f((1, 4)), f((1, 3)), index[None]], {}
    yield "embedding_forward", [f((4, 2)), index, f((3, 2))], {}
    yield "scatter_add_forward", [f((1, 3)), f((1, 4)), index[None]], {}
    windows = {"kernel": (1, 1), "stride": (2, 2)}
    yield "max_pool2d_backward_x", [f((1, 1, 3, 3)), f((1, 1, 2, 2)), index.reshape(1, 1, 2, 2)], windows
    yield "max_pool2d_gather", [f((1, 1, 2, 2)), f((1, 1, 3, 3)), index.reshape(1, 1, 2, 2)], windows


@pytest.mark.parametrize("bad", [-3, 9])
def test_an_index_outside_is_the_error_of_the_cpu(bad: int, simulated: Any) -> None:
    lent = sys.modules["cupy"].asarray
    seen = set()
    for op, arrays, attrs in indexed_calls(bad):
        with pytest.raises(IndexError) as expected:
            ww.kernels.get(op, device="cpu")(*arrays, **attrs)
        blind = Blind(op)
        with pytest.raises(IndexError) as found:
            index_checks.Checked(blind)(*(None if a is None else lent(a) for a in arrays), **attrs)
        assert str(found.value) == str(expected.value) and blind.calls == 0
        seen.add(op)
    for op, arrays, attrs in indexed_calls(0):
        blind = Blind(op)
        index_checks.Checked(blind)(*(None if a is None else lent(a) for a in arrays), **attrs)
        assert blind.calls == 1
    assert seen == set(index_checks.CHECKS)


def test_raw_kernels_check_indices_and_ops_check_what_they_are_given(simulated: Any) -> None:
    for op in index_checks.CHECKS:
        assert isinstance(ww.kernels.get(op, device="cuda"), index_checks.Checked)
        assert not isinstance(ww.device("cuda").kernels[op], index_checks.Checked)
    logits = ww.zeros((2, 3), device="cuda")
    with pytest.raises(IndexError, match=r"cross_entropy: expected target in \[0, 3\) or ignore_index -100, got 3 at position 1"):
        ww.nn.functional.cross_entropy(logits, ww.asarray(np.array([-100, 3]), device="cuda"))
    with pytest.raises(IndexError, match="embedding: expected input in"):
        ww.nn.functional.embedding(ww.asarray(np.array([4]), device="cuda"), ww.zeros((3, 2), device="cuda"))
