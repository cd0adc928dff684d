"""The benchmark: fair timing, honest rows, wrong kernels refused, references named."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import cases
from whitewolf.bench import _named, run_bench
from whitewolf.bench.apart import _in_child, rows_apart
from whitewolf.bench.contests import Contest, from_table
from whitewolf.bench.core import CORE
from whitewolf.bench.machine import Machine
from whitewolf.bench.networks import network
from whitewolf.bench.page import page
from whitewolf.bench.report import number, report
from whitewolf.bench.run import bench
from whitewolf.bench.sequences import lstm
from whitewolf.bench.steps import SETTINGS, NumpyOptimizer, optimizer
from whitewolf.bench.timing import Plan, Timing, interleave
from whitewolf.cases import Case, Input, OpTable
from whitewolf.checks import CheckFailure
from whitewolf.ops import recurrent

FAST = Plan(rest=0.0, block=0.0005, blocks=(3, 3), budget=0.05)
CASE = Case("small", (Input((16, 16)), Input((16, 16))), flops=2 * 16**3, bytes=3 * 4 * 256, reduction=16)
MATMUL = OpTable("matmul", ww.matmul, np.matmul, ("matmul_forward",), (CASE,), numpy=np.matmul)


def contest(function: Any = ww.matmul, train: bool = False) -> Contest:
    table = dataclasses.replace(MATMUL, function=function)
    return from_table(table, CASE, "float32", ww.device("cpu"), ["numpy"], train)


def test_blocks_are_interleaved_and_rest() -> None:
    order: list[str] = []
    plan = Plan(rest=0.002, block=0.0, blocks=(4, 4), budget=1.0)
    start = time.perf_counter()
    timings = interleave({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, plan)
    assert time.perf_counter() - start >= 4 * 2 * plan.rest
    counted = "".join(order[4:])  # after two calls each of calibration
    assert counted == "aabb" * 4  # one call to warm up, one that counts
    assert [len(t.seconds) for t in timings.values()] == [4, 4]


def test_timing_measures_what_it_says() -> None:
    timing = interleave({"sleep": lambda: time.sleep(0.003)}, FAST)["sleep"]
    assert 0.003 <= timing.median < 0.02


def test_timing_stops_when_medians_have_settled_and_goes_on_until_then() -> None:
    assert Timing(1, [1.0, 1.0, 1.0]).uncertainty == 0.0
    assert Timing(1, [1.0, 2.0, 3.0]).spread == pytest.approx(0.5)
    plan = Plan(rest=0.0, block=0.0, blocks=(3, 50), settle=1e9, budget=10)
    assert len(interleave({"a": lambda: None}, plan)["a"].seconds) == 3


def test_an_empty_match_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected a contestant"):
        interleave({}, FAST)


def test_a_row_has_every_figure() -> None:
    result = bench([contest], ["numpy"], FAST)
    (row,) = result["rows"]
    assert (
        result["ok"] and row["op"] == "matmul" and row["case"] == "small" and row["dtype"] == "float32" and row["device"] == "cpu"
    )
    assert row["ms"] > 0 and row["reference_ms"]["numpy"] > 0 and 0 <= row["error"] < 1e-6
    assert row["ratio"]["numpy"] == pytest.approx(row["reference_ms"]["numpy"] / row["ms"])
    assert row["gflops"] == pytest.approx(CASE.flops / row["ms"] / 1e6) and row["gbps"] == pytest.approx(
        CASE.bytes / row["ms"] / 1e6
    )
    assert row["variant"] in {r["variant"] for r in ww.kernels.list("matmul_forward", device="cpu")}
    assert row["share_of_peak"] > 0 and row["bound"] in ("arithmetic", "memory")
    assert {"cpu", "threads", "isa", "numpy", "references"} <= result["environment"].keys()
    json.dumps(result)


def test_training_rows_time_backward_too() -> None:
    calls = 0

    def counted(a: ww.Tensor, b: ww.Tensor) -> ww.Tensor:
        nonlocal calls
        calls += a.requires_grad
        return ww.matmul(a, b)

    row = bench([lambda: contest(counted, train=True)], ["numpy"], FAST)["rows"][0]
    assert row["case"] == "small, train" and calls > 3 and row["error"] < 1e-6 and row["reference_ms"] == {}
    assert row["gflops"] == pytest.approx(3 * CASE.flops / row["ms"] / 1e6)


def test_a_wrong_kernel_is_not_timed() -> None:
    result = bench([lambda: contest(lambda a, b: ww.matmul(a, b) * 1.001), contest], ["numpy"], FAST)
    assert not result["ok"] and "ms" not in result["rows"][0] and "expected" in result["rows"][0]["wrong"]
    assert "ms" in result["rows"][1]


def test_a_kernel_that_turns_wrong_while_it_is_timed_has_no_time() -> None:
    calls = 0

    def tires(a: ww.Tensor, b: ww.Tensor) -> ww.Tensor:
        nonlocal calls
        calls += 1
        return ww.matmul(a, b) * (1.0 if calls < 5 else 1.01)

    with pytest.raises(CheckFailure):
        [contest(tires).check() for _ in range(6)]
    calls = 0
    result = bench([lambda: contest(tires)], [], FAST)
    assert not result["ok"] and "ms" not in result["rows"][0]


def test_a_reference_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whitewolf.bench.run.installed", lambda name: None if name == "torch" else "1.0")
    result = bench([contest], ["numpy", "torch"], FAST)
    assert result["environment"]["references"] == {"numpy": "1.0", "torch": "not installed"}
    assert "torch" not in result["rows"][0]["ratio"]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="expected an op of the table .*got 'nonsense'"):
        run_bench(["nonsense"])
    with pytest.raises(ValueError, match="expected an op with cases to time, got 'floor'"):
        run_bench(["floor"])
    with pytest.raises(ValueError, match="expected references among numpy, torch, got cupy"):
        run_bench(against=["cupy"])
    with pytest.raises(ValueError, match="expected suite to be one of core, paper, variants, got 'nosuch'"):
        run_bench(suite="nosuch")


def test_a_row_in_a_process_of_its_own_is_a_row() -> None:
    """The last of the suite: the least graph there is, forward and backward."""
    here = ww.get_num_threads()
    (row,) = bench(rows_apart("paper", ["numpy"], 0, FAST)[-1:], ["numpy"], FAST)["rows"]
    assert (row["op"], row["case"]) == ("multiply", "4 x 4, recorded, train")
    assert row["ms"] > 0 and row["error"] < 1e-6 and ww.get_num_threads() == here


def _ends(*arguments: Any) -> None:
    os._exit(3)


def test_a_row_whose_process_ends_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whitewolf.bench.apart._row", _ends)
    with pytest.raises(RuntimeError, match="expected the process of row 0 of paper .*matmul.* to end by itself"):
        _in_child("paper", 0, [], 0, FAST)


def test_a_family_is_timed_where_it_can_be() -> None:
    """Of matmul's family, tensordot has no case to time."""
    contests = [build() for build in _named(["matmul"], ww.device("cpu"), (), 0)]
    assert {contest.op for contest in contests} == {"matmul", "linear"}


def test_each_core_row_is_a_bench_case_of_the_table() -> None:
    tables = {t.op: t for t in cases.tables()}
    for row in CORE:
        (case,) = [c for c in tables[row.op].cases if c.name == row.case]
        assert case.bench and case.bytes > 0
        assert not row.train or tables[row.op].gradient in ("first", "second")
    assert any(row.quick for row in CORE)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_an_optimizer_s_step_is_verified_and_timed(name: str) -> None:
    row = bench([lambda: optimizer(name, 16_000, ww.device("cpu"), [])], [], FAST)["rows"][0]
    assert row["op"] == name.lower() and row["error"] < 1e-6 and row["ms"] > 0 and row["gbps"] > 0


def test_an_optimizer_that_steps_wrongly_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    contest = optimizer("SGD", 16_000, ww.device("cpu"), [])
    monkeypatch.setattr(ww.optim.SGD, "step", lambda self: None)
    assert "expected three steps within" in bench([lambda: contest], [], FAST)["rows"][0]["wrong"]


@pytest.mark.parametrize("name", ["LeNet", "MLP 784-500-10"])
def test_a_network_s_step_is_verified_and_timed(name: str) -> None:
    row = bench([lambda: network(name, 2, ww.device("cpu"), [])], [], FAST)["rows"][0]
    assert row["case"] == f"{name}, batch 2" and row["error"] < 1e-4 and row["ms"] > 0 and row["gflops"] > 0


def test_an_lstm_is_verified_and_timed() -> None:
    row = bench([lambda: lstm(3, 2, 4, 5, 2, ww.device("cpu"), [])], [], FAST)["rows"][0]
    assert row["ms"] > 0 and row["error"] < 1e-5
    assert row["gflops"] * row["ms"] * 1e6 == pytest.approx(6 * 3 * 2 * 20 * (4 + 5 + 10))


def test_an_lstm_with_wrong_gradients_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    contest = lstm(3, 2, 4, 5, 1, ww.device("cpu"), [])
    monkeypatch.setattr(recurrent, "_weight_gradient", lambda change, *_: ww.zeros((20, 5), dtype=change.dtype))
    assert "within 1e-4 of float64" in bench([lambda: contest], [], FAST)["rows"][0]["wrong"]


def test_the_multiply_add_probe_counts_what_it_does() -> None:
    count = np.full(6, np.nan)
    probe = ww.kernels.get("probe_fma", device="cpu")
    probe(count[::2], np.ones((), "float32"), steps=1000)
    assert np.isnan(count[1::2]).all() and (count[::2] > 0).all() and (count[::2] % 1000 == 0).all()
    probe(count, np.ones((), "float32"), steps=0)
    assert (count == 0).all()
    with pytest.raises(ValueError, match=r"probe_fma: expected steps in \[0, 2\^23\], got -1"):
        probe(count, np.ones((), "float32"), steps=-1)


@pytest.mark.parametrize("step", [1, 2, -1])
def test_the_copy_probe_copies(step: int) -> None:
    x = np.random.default_rng(0).standard_normal(300_001)[::step]
    y = np.full_like(x, np.nan)
    ww.kernels.get("probe_copy", device="cpu")(y, x)
    assert np.array_equal(x, y)


def test_the_roof_is_the_tighter_of_the_two_peaks() -> None:
    machine = Machine(ww.device("cpu"), 1)
    machine.flops["float32"], machine.bandwidth = 100.0, 10.0
    assert machine.roof(1000, 10, "float32") == (10.0, "arithmetic")
    assert machine.roof(100, 1000, "float32") == (100.0, "memory")
    machine.sample()
    assert machine.flops["float32"] >= 100.0 and machine.flops["float64"] > 1e6 and machine.bandwidth > 1e6


def test_the_page_is_whole_and_loads_nothing() -> None:
    result = bench([contest, lambda: contest(lambda a, b: ww.matmul(a, b) * 2)], ["numpy"], FAST)
    result["rows"][0]["case"] = "<script>"
    text = page(result)
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    assert "&lt;script&gt;" in text and "<script" not in text and "http" not in text and "WRONG" in text
    assert text.count("<circle") == 1 and "<polyline" in text


def test_numbers_have_three_digits() -> None:
    assert [number(v) for v in (0.0, 0.01234, 1.234, 12.34, 123.4, 12345.6)] == ["0", "0.0123", "1.23", "12.3", "123", "12346"]


@pytest.mark.parametrize(("op", "name"), [("conv2d", "LeNet c2"), ("conv2d", "AlexNet c3"), ("max_pool2d", "AlexNet pool 1")])
def test_the_numpy_references_compute_what_we_do(op: str, name: str) -> None:
    (table,) = [t for t in cases.tables() if t.op == op]
    (case,) = [c for c in table.cases if c.name == name]
    arrays = [i.make(np.random.default_rng(0), "float32") for i in case.inputs]
    assert table.numpy is not None
    ours = table.function(*(ww.asarray(a) for a in arrays), **case.attrs).numpy()
    np.testing.assert_allclose(table.numpy(*arrays, **case.attrs), ours, rtol=1e-4, atol=2e-6 * np.abs(ours).max())


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_the_numpy_optimizers_step_as_ours_do(name: str) -> None:
    rng = np.random.default_rng(0)
    start, gradient = rng.standard_normal(1001).astype("f4"), rng.standard_normal(1001).astype("f4")
    ours = ww.tensor(start, requires_grad=True)
    ours.grad = ww.asarray(gradient)
    stepper, theirs = getattr(ww.optim, name)([ours], **SETTINGS[name]), NumpyOptimizer(name, [start], [gradient])
    for _ in range(3):
        stepper.step()
        theirs.step()
    np.testing.assert_allclose(theirs.parameters[0], ours.detach().numpy(), rtol=1e-5, atol=1e-7)


def test_the_table_has_a_row_for_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    report(bench([contest, lambda: contest(lambda a, b: ww.matmul(a, b) * 2)], ["numpy"], FAST))
    assert "WRONG" in capsys.readouterr().out
