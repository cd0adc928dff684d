"""Device cudasim: the CUDA kernels on the simulator, from Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from typing import Any

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


def test_a_scope_of_settings_is_that_of_its_thread() -> None:
    module, seen = ww.device("cudasim").module, []
    with ww.cudasim(order="reverse", seed=9):
        thread = threading.Thread(target=lambda: seen.append(module.schedule()))
        thread.start()
        thread.join()
        assert module.schedule()[0] == "reverse"
    assert seen == [module.schedule()]  # as the environment says, like this thread's again


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"order": 3}, TypeError, "cudasim: expected order to be a str, got int"),
        ({"asynchrony": "soon"}, ww.DeviceError, "cudasim: asynchrony: expected late, eager or random, got 'soon'"),
        ({"asynchrony": b"late"}, TypeError, "cudasim: expected asynchrony to be a str, got bytes"),
        ({"seed": -1}, ValueError, r"cudasim: expected seed in \[0, 18446744073709551616\), got -1"),
        ({"seed": 2**64}, ValueError, r"cudasim: expected seed in \[0, 18446744073709551616\), got 18446744073709551616"),
        ({"seed": "a"}, TypeError, "cudasim: expected seed to be an int, got str"),
        ({"seed": 1.5}, TypeError, "cudasim: expected seed to be an int, got float"),
        ({"seed": True}, TypeError, "cudasim: expected seed to be an int, got bool"),
        ({"arch": 75}, ww.DeviceError, "cudasim: arch: expected 80, 86, 89 or 90, got 75"),
        ({"arch": "sm_90"}, TypeError, "cudasim: expected arch to be an int, got str"),
        ({"timeout": 0}, ww.DeviceError, "cudasim: timeout: expected seconds > 0, got 0"),
        ({"timeout": float("nan")}, ww.DeviceError, "cudasim: timeout: expected seconds > 0, got nan"),
        ({"timeout": "long"}, TypeError, "cudasim: expected timeout to be a float, got str"),
    ],
)
def test_a_wrong_setting_is_an_error_that_names_it_and_changes_nothing(
    settings: dict[str, object], error: type[Exception], words: str
) -> None:
    module = ww.device("cudasim").module
    before = module.schedule(), module.limits()
    with pytest.raises(error, match=words), ww.cudasim(**settings):  # type: ignore[arg-type]  # they are wrong on purpose
        pass
    assert (module.schedule(), module.limits()) == before


@pytest.mark.parametrize(
    ("variable", "value", "answer"),
    [
        ("ORDER", "reverse", "('reverse', 'late', 0) (80, 300.0)"),
        ("ASYNC", "eager", "('lockstep', 'eager', 0) (80, 300.0)"),
        ("SEED", "17", "('lockstep', 'late', 17) (80, 300.0)"),
        ("ARCH", "90", "('lockstep', 'late', 0) (90, 300.0)"),
        ("TIMEOUT", "2.5", "('lockstep', 'late', 0) (80, 2.5)"),
        ("SEED", "-1", "WHITEWOLF_SIM_SEED: expected an integer in [0, 2^64), got '-1'"),
        ("SEED", " -1", "WHITEWOLF_SIM_SEED: expected an integer in [0, 2^64), got ' -1'"),
        ("SEED", str(2**64), f"WHITEWOLF_SIM_SEED: expected an integer in [0, 2^64), got '{2**64}'"),
        ("ORDER", "fast", "WHITEWOLF_SIM_ORDER: expected lockstep, forward, reverse or random, got 'fast'"),
        ("ARCH", "70", "WHITEWOLF_SIM_ARCH: expected 80, 86, 89 or 90, got '70'"),
        ("ARCH", "sm_80", "WHITEWOLF_SIM_ARCH: expected 80, 86, 89 or 90, got 'sm_80'"),
        ("ARCH", " 90", "WHITEWOLF_SIM_ARCH: expected 80, 86, 89 or 90, got ' 90'"),
        ("TIMEOUT", "inf", "('lockstep', 'late', 0) (80, inf)"),
        ("TIMEOUT", " 2", "WHITEWOLF_SIM_TIMEOUT: expected seconds > 0, got ' 2'"),
        ("TIMEOUT", "1s", "WHITEWOLF_SIM_TIMEOUT: expected seconds > 0, got '1s'"),
    ],
)
def test_the_environment_sets_schedule_and_limits(variable: str, value: str, answer: str) -> None:
    code = """
import whitewolf as ww
try:
    module = ww.device('cudasim').module
    print(module.schedule(), module.limits())
except ww.DeviceError as error:
    print(str(error).removeprefix('device: cudasim is not available: '))
"""
    environment = os.environ | {f"WHITEWOLF_SIM_{variable}": value}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ran.stdout.strip() == answer, ran.stderr


def test_a_kernel_that_takes_longer_than_the_timeout_is_ended_where_it_is() -> None:
    kernel = ww.kernels.get("matmul_forward", device="cudasim", variant="naive")
    a, b, out = np.ones((16, 400000), "f4"), np.ones((400000, 16), "f4"), np.empty((16, 16), "f4")
    with (
        ww.cudasim(timeout=0.02),
        pytest.raises(ww.DeviceError, match=r"kernel naive<float>, block .* thread .*: its time is over") as ended,
    ):
        kernel(out, a, b)
    if shutil.which("addr2line"):
        assert "kernels/matmul/naive.cu:" in str(ended.value)
    kernel(out, a, b)
    assert (out == 400000).all()


def test_what_a_kernel_gets_is_guarded_also_where_numpy_made_it() -> None:
    """A pattern of strides over NumPy's memory goes to a copy between guards and back, and nothing else is touched."""
    kernel = ww.kernels.get("add_forward", device="cudasim")
    memory = np.arange(200, dtype="f4")
    x, y, out = memory[3:33:3], memory[60:40:-2], memory[100:120:2]
    expected = memory.copy()
    expected[100:120:2] = x + y
    kernel(out, x, y)
    np.testing.assert_array_equal(memory, expected)
    in_place = memory[::7]
    kernel(in_place, in_place, np.broadcast_to(np.float32(1), in_place.shape))
    expected[::7] += 1
    np.testing.assert_array_equal(memory, expected)


@pytest.mark.parametrize(
    "make", [ww.asarray, ww.tensor, lambda x, device: ww.asarray(x).to(device)], ids=["asarray", "tensor", "to"]
)
def test_an_array_that_moves_to_cudasim_lies_in_guarded_memory(make: Any) -> None:
    before = ww.memory_stats("cudasim")["bytes_in_use"]
    x = np.arange(12, dtype="f4").reshape(3, 4).T
    moved = make(x, device="cudasim")
    assert ww.memory_stats("cudasim")["bytes_in_use"] > before
    np.testing.assert_array_equal(moved.numpy(), x)
    assert moved.numpy().strides == x.strides
    x[0, 0] = 99
    assert moved.numpy()[0, 0] == 0


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


@pytest.mark.parametrize("layer", [ww.nn.RNN, ww.nn.GRU, ww.nn.LSTM, ww.nn.RNNCell, ww.nn.GRUCell, ww.nn.LSTMCell])
def test_recurrent_layers_name_what_the_user_gave_where_devices_mix(layer: Any) -> None:
    net, cell = layer(3, 4), "Cell" in layer.__name__
    x, weight = ww.ones((2, 3) if cell else (5, 2, 3)), "weight_ih" if cell else "weight_ih_l0"
    with pytest.raises(
        ww.DeviceError, match=rf"{layer.__name__}: expected {weight} on cudasim, as input \(.*, got {weight} .* on cpu"
    ):
        net(x.to("cudasim"))
    h = ww.zeros((2, 4) if cell else (1, 2, 4), device="cudasim")
    state = "h|hx" if cell else "h_0"
    with pytest.raises(ww.DeviceError, match=rf"{layer.__name__}: expected ({state}) on cpu, as input .* on cudasim"):
        net(x, (h, h) if "LSTM" in layer.__name__ else h)


def test_doctor_names_a_setting_of_the_simulator_that_is_none(tmp_path: Any) -> None:
    command = [sys.executable, "-m", "whitewolf", "doctor", "--device", "cudasim"]
    ran = subprocess.run(command, env=os.environ | {"WHITEWOLF_SIM_TIMEOUT": "soon"}, capture_output=True, text=True)
    line = next(line for line in ran.stdout.splitlines() if "device cudasim" in line)
    assert ran.returncode == 1 and "missing" in line and "WHITEWOLF_SIM_TIMEOUT: expected seconds > 0, got 'soon'" in line
    assert "unset WHITEWOLF_SIM_TIMEOUT" in line


def test_many_live_arrays_have_their_guards() -> None:
    empty = ww.device("cudasim").empty
    arrays = [empty((3,), np.dtype("f8")) for _ in range(500)]
    assert all(np.isnan(a).all() for a in arrays)
    assert ww.memory_stats("cudasim")["bytes_in_use"] >= 500 * 4096
    del arrays


def test_more_arrays_than_there_are_mappings_lie_between_margins(capfd: pytest.CaptureFixture[str]) -> None:
    """No array is refused; beside those without guard pages a write is found all the same, after the launch."""
    empty, kernel = ww.device("cudasim").empty, ww.kernels.get("matmul_forward", device="cudasim", variant="naive")
    arrays = [empty((3,), np.dtype("f4")) for _ in range(40000)]
    assert capfd.readouterr().err.count("more than") <= 1  # once a process
    short = arrays[-1]
    long = np.lib.stride_tricks.as_strided(short, (1, 4), (16, 4))
    with pytest.raises(ww.DeviceError, match="wrote 0 bytes past the end of a block of 12 bytes, seen after the launch"):
        kernel(long, np.ones((1, 2), "f4"), np.ones((2, 4), "f4"))
    kernel(np.lib.stride_tricks.as_strided(short, (1, 3), (12, 4)), np.ones((1, 2), "f4"), np.ones((2, 3), "f4"))
    assert (short == 2).all() and np.isnan(arrays[-2]).all()
    del arrays, short, long
    assert all(np.isnan(empty((3,), np.dtype("f4"))).all() for _ in range(3))
