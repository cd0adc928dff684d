"""verify and bench on device cuda, over stand-ins for CuPy and for `whitewolf._cuda`."""

from __future__ import annotations

import importlib.util
import json
from functools import partial
from typing import Any

import pytest
import whitewolf as ww
from helpers.cuda_stand_ins import needs_standin
from whitewolf import cases
from whitewolf.bench import contests, machine, variants
from whitewolf.bench.report import report
from whitewolf.bench.run import bench
from whitewolf.bench.timing import QUICK, Plan
from whitewolf.verify import verify

pytest_plugins = ["helpers.cuda_fixtures"]


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
