"""`make gpu` where there is no GPU: its command lines against what the programs know, its record, its error."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from whitewolf import cases, cli
from whitewolf.checks import CHECKS
from whitewolf.verify import select

CUDA_TESTS = Path(__file__).parent / "cuda"
SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def gpu() -> Any:
    spec = importlib.util.spec_from_file_location("gpu_script", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_script"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_every_stage_of_the_issue_is_there_in_order(gpu: Any, tmp_path: Path) -> None:
    names = [stage.name for stage in gpu.stages(tmp_path, "80", False)]
    assert names == ["build", "conformance", "table", "memcheck", "racecheck", "initcheck", "synccheck", "bench", "variants"]


def test_the_commands_are_ones_that_the_programs_take(gpu: Any, tmp_path: Path) -> None:
    for stage in gpu.stages(tmp_path, "90a", True):
        words = list(stage.command)
        if "whitewolf" in words:
            options = cli.parser().parse_args(words[words.index("whitewolf") + 1 :])
            assert options.device == "cuda"
            assert all(check in CHECKS for check in getattr(options, "check", []))
            select(list(cases.tables()), getattr(options, "op", []))
    made = next(s for s in gpu.stages(tmp_path, "90a", True) if s.name == "conformance").command
    said = subprocess.run([*made, "--dry-run"], cwd=SCRIPT.parents[1], capture_output=True, text=True)
    assert said.returncode == 0 and "arch=compute_90a,code=sm_90a" in said.stdout, said.stderr
    for program in device_tests():
        assert f"{program}.cu -o" in said.stdout and f"/{program}_sm_90a" in said.stdout.split("for test in")[1]


def device_tests() -> list[str]:
    """The programs of tests/cuda that `make gpu` runs on the device."""
    return subprocess.run(["make", "-s", "-C", str(CUDA_TESTS), "device-names"], capture_output=True, text=True).stdout.split()


def test_every_wrapper_of_ptx_is_called_by_a_program_that_runs_on_the_device() -> None:
    programs = "".join((CUDA_TESTS / f"{name}.cu").read_text() for name in device_tests())
    wrappers: set[str] = set()
    for header in (SCRIPT.parents[1] / "engine" / "cuda" / "ptx").glob("*.cuh"):
        wrappers.update(re.findall(r"^WW_DEVICE [\w ]+?(\w+)(?:<\w+>)?\(", header.read_text(), re.MULTILINE))
    assert len(wrappers) > 30 and {"mbarrier_wait", "copy_tensor_async", "wgmma_half", "poll_until_ge", "to_tf32"} <= wrappers
    missing = sorted(w for w in wrappers if not re.search(rf"\b{w}\b", programs))
    assert not missing, f"expected each wrapper in a test for both worlds, got none of {', '.join(missing)}"


def test_a_failed_stage_is_recorded_and_the_next_ones_run(gpu: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    todo = [
        gpu.Stage("bad", (sys.executable, "-c", "print('why'); raise SystemExit(3)")),
        gpu.Stage("absent", ("no-such-program-at-all",)),
        gpu.Stage("slow", (sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(60)"), seconds=5),
        gpu.Stage(
            "good", (sys.executable, "-c", "import os; print(os.environ['WHITEWOLF_CUDA'])"), environment=(("WHITEWOLF_CUDA", "1"),)
        ),
    ]
    record = tmp_path / "gpu.json"
    gpu.prove(todo, record)
    found = {stage["name"]: stage for stage in json.loads(record.read_text())["stages"]}
    assert {name: stage["state"] for name, stage in found.items()} == {
        "bad": "FAILED", "absent": "missing", "slow": "FAILED", "good": "passed",
    }  # fmt: skip
    assert found["bad"]["output"] == "why\nexit status 3" and "stopped after 5 s" in found["slow"]["output"]
    assert "begun" in found["slow"]["output"] and found["good"]["command"].startswith("WHITEWOLF_CUDA=1 ")
    assert "--- bad: FAILED" in capsys.readouterr().out


def test_without_a_gpu_it_says_so_and_runs_nothing(
    gpu: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "gpu", lambda: "the NVIDIA driver is not installed (no libcuda.so.1)")
    assert gpu.main([str(tmp_path / "out")]) == 1
    assert "expected a GPU to prove the kernels on, got none: the NVIDIA driver is not installed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
