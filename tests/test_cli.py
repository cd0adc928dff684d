"""The command: what it prints, what it writes, how it fails and the status it ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import whitewolf as ww
from whitewolf import cli, doctor, verify
from whitewolf.cases import Case, Input, OpTable

Run = Callable[..., "tuple[int, str, str]"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process: status, standard output, standard error."""

    def command(*arguments: str) -> tuple[int, str, str]:
        try:
            status = cli.main(arguments)
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return command


def test_info_names_version_devices_and_kernels(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("info", "--json", str(tmp_path / "info.json"))
    found = json.loads((tmp_path / "info.json").read_text())
    assert status == 0 and ww.__version__ in out and "device cuda" in out
    assert found["isa"] == ww.isa() and found["kernels"]["cpu"]["kernels"] > 0 and found["devices"]["cpu"] == "available"


def test_doctor_says_what_is_missing_and_how_to_get_it(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "has", lambda module: module != "matplotlib")
    status, out, _ = run("doctor", "--json", str(tmp_path / "doctor.json"))
    found = {f["what"]: f for f in json.loads((tmp_path / "doctor.json").read_text())["findings"]}
    assert status == 0 and "whitewolf works on the cpu" in out
    assert found["matplotlib"]["state"] == "missing" and found["matplotlib"]["remedy"] == "pip install 'whitewolf[train]'"
    assert found["kernels on cpu"]["state"] == "ok" and found["device cuda"]["detail"]


def test_doctor_fails_where_the_kernels_are_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "matmul", lambda a, b: ww.zeros((33, 17)))
    status, out, _ = run("doctor")
    assert status == 1 and "matmul gives wrong values" in out and "does not work" in out


def test_doctor_names_a_compiler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    (finding,) = [f for f in doctor.doctor() if f.what == "C++ compiler"]
    assert finding.state == "missing" and "CXX=no-such-compiler" in finding.detail and finding.remedy


def table(function: Any) -> OpTable:
    return OpTable("broken", function, lambda x: x * 2.0, (), (Case("small", (Input((3,)),)),), gradient="first")


def test_verify_passes_a_sound_op(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("verify", "--op", "multiply", "--check", "value", "--check", "exact", "--json", str(tmp_path / "v.json"))
    found = json.loads((tmp_path / "v.json").read_text())
    assert status == 0 and "multiply" in out and found["ok"] and found["rows"][0]["checks"].keys() == {"value", "exact"}


def test_verify_takes_names_as_bench_does(run: Run) -> None:
    status, out, _ = run("verify", "tanh", "sinh", "--op", "relu", "--check", "value")
    assert status == 0 and "3 of 3 ops passed" in out
    assert [line.split(":")[0] for line in out.splitlines() if ": ok (" in line] == ["tanh", "sinh", "relu"]


def test_verify_shards_are_all_ops_each_once(run: Run, tmp_path: Path) -> None:
    rows = []
    for part in (1, 2, 3):
        status, _, _ = run("verify", "add", "exp", "sum", "--check", "value", "--shard", f"{part}/3", "--json", str(tmp_path / "x"))
        assert status == 0
        rows += [row["op"] for row in json.loads((tmp_path / "x").read_text())["rows"]]
    assert len(rows) == len(set(rows)) >= 3 and {"add", "exp", "sum"} <= set(rows)
    for wrong in ("4/3", "0/1", "x"):
        status, _, err = run("verify", "add", "--shard", wrong)
        assert status != 0 and "shard" in err


def test_verify_fails_on_a_broken_op_and_names_op_case_and_check(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify.cases, "tables", lambda: iter([table(lambda x: x * 2.001)]))
    status, out, _ = run("verify", "--op", "broken", "--check", "value")
    assert status == 1 and "FAILED broken, case 'small', float32, check 'value'" in out


def test_verify_goes_on_after_a_check_that_raised(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fault(table: OpTable, context: Any) -> float:
        raise ww.DeviceError("cudasim: kernel naive")

    monkeypatch.setitem(verify.CHECKS, "value", fault)
    status, out, _ = run("verify", "exp", "add", "--check", "value", "--check", "exact", "--json", str(tmp_path / "v.json"))
    assert status == 1 and "exp, check 'value': expected no error, got DeviceError: cudasim: kernel naive" in out
    assert [row["op"] for row in json.loads((tmp_path / "v.json").read_text())["rows"]][:2] == ["exp", "add"]


def test_verify_fails_where_a_kernel_has_no_table(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify.cases, "tables", lambda: iter([table(lambda x: x * 2.0)]))
    status, out, _ = run("verify", "--check", "value")
    assert status == 1 and "matmul_forward: registered, but no OpTable lists it" in out


def test_bench_writes_json_and_a_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "whitewolf", "bench", "multiply", "--quick", "--against", "numpy", "--threads", "1"]
    files = ["--json", str(tmp_path / "b.json"), "--html", str(tmp_path / "b.html")]
    done = subprocess.run([*command, *files], capture_output=True, text=True, env=environment(), timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["environment"]["threads"] == 1 and found["rows"][0]["op"] == "multiply" and found["rows"][0]["ratio"]["numpy"] > 0
    assert "<svg" in (tmp_path / "b.html").read_text()


def environment() -> dict[str, str]:
    root = str(Path(ww.__file__).resolve().parents[1])
    return os.environ | {"PYTHONPATH": root}


def test_profile_adds_up_the_kernels_of_a_script(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys, whitewolf as ww\nfor _ in range(int(sys.argv[1])): ww.ones((8, 8)) @ ww.ones((8, 8))\n")
    status, out, _ = run("profile", "--json", str(tmp_path / "p.json"), str(script), "5")
    (row,) = json.loads((tmp_path / "p.json").read_text())["rows"]
    assert status == 0 and row["kernel"] == "matmul_forward" and row["calls"] == 5 and "matmul_forward" in out
    assert 0 < row["share"] <= 1 and row["gbps"] > 0


def test_train_lists_its_workloads(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("train", "--list", "--json", str(tmp_path / "list.json"))
    rows = {row["name"]: row for row in json.loads((tmp_path / "list.json").read_text())}
    assert status == 0 and "lenet" in out and rows["lenet"]["target"] == 0.98
    for row in rows.values():
        assert all(row[name] for name in ("summary", "paper", "data", "metric")) and row["name"] in out, row
    assert "--without" not in rows["alexnet"]["last"]["from"]  # an ablation is not the last result of the net


def test_train_lists_the_last_result_of_each_workload(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs" / "lenet").mkdir(parents=True)
    found = {"metric": "test_accuracy", "value": 0.9876, "reached": True}
    (tmp_path / "runs" / "lenet" / "result.json").write_text(json.dumps(found))
    monkeypatch.chdir(tmp_path)
    status, out, _ = run("train", "--list", "--json", "list.json")
    (row,) = [row for row in json.loads(Path("list.json").read_text()) if row["name"] == "lenet"]
    assert status == 0 and row["last"]["value"] == 0.9876 and "test_accuracy 0.9876" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("verify", "--op", "nonsense"), "whitewolf verify: expected an op of the table"),
        (("verify", "--check", "nonsense"), "whitewolf verify: expected check to be one of value"),
        (("verify", "--device", "cuda"), "whitewolf verify: device: cuda is not available"),
        (("bench", "nonsense"), "whitewolf bench: expected an op of the table"),
        (("bench", "--against", "nonsense"), "expected references among numpy, torch, got nonsense"),
        (("bench", "--threads", "0"), "expected a positive number, got 0"),
        (("profile", "no-such-file.py"), "whitewolf profile: expected a Python file or a workload, got 'no-such-file.py'"),
        (("train", "nonsense"), "invalid choice: 'nonsense'"),
        (("train", "lenet", "--epochs", "0"), "expected --epochs >= 1, got 0"),
        (("nonsense",), "invalid choice: 'nonsense'"),
        (("info", "--json", "/proc/no/such/folder.json"), "/proc/no"),
    ],
)
def test_an_error_is_one_line_and_a_status(run: Run, arguments: tuple[str, ...], words: str) -> None:
    status, _, err = run(*arguments)
    assert status != 0 and words in err and err.count("\n") == 1 and "Traceback" not in err


@pytest.mark.parametrize(
    "arguments", [("info",), ("doctor",), ("verify", "--op", "relu", "--check", "value"), ("train", "--list")], ids=lambda a: a[0]
)
def test_json_alone_goes_to_standard_output(run: Run, arguments: tuple[str, ...]) -> None:
    status, out, err = run(*arguments, "--json", "-")
    assert status == 0 and json.loads(out) and err.strip()


def test_bench_s_json_can_be_piped() -> None:
    command = [sys.executable, "-m", "whitewolf", "bench", "multiply", "--quick", "--against", "numpy", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120)
    assert json.loads(done.stdout)["rows"] and "multiply" in done.stderr


@pytest.mark.parametrize("command", ["info", "doctor"])
def test_a_device_that_is_not_there_is_an_error(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if ww.devices()["cuda"] == "available":
        pytest.skip("cuda is here")
    status, out, err = run(command, "--device", "cuda")
    assert status == 1 and "cuda is not available" in out + err
    status, out, err = run(command, "--device", "zzz")
    assert status == 1 and out == "" and "expected" in err and "zzz" in err


@pytest.mark.parametrize(("name", "value", "words"), [("ISA", "nonsense", "baseline"), ("THREADS", "x", "expected an integer")])
def test_doctor_prints_its_table_whatever_the_environment_says(name: str, value: str, words: str) -> None:
    command = [sys.executable, "-m", "whitewolf", "doctor"]
    env = environment() | {f"WHITEWOLF_{name}": value}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 1 and "C++ compiler" in done.stdout and "Traceback" not in done.stderr
    assert words in done.stdout and f"unset WHITEWOLF_{name}" in done.stdout


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_bench_refuses_a_file_that_cannot_be_written_before_it_starts(
    run: Run, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whitewolf.bench.run_bench", lambda *_: pytest.fail("the work began"))
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "b.json"):
        status, _, err = run("bench", "relu", option, str(path))
        assert status == 1 and str(tmp_path) in err


def test_train_refuses_a_folder_that_cannot_be_written_before_it_starts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whitewolf.workloads.lenet.LeNet.setup", lambda *_: pytest.fail("the work began"))
    (tmp_path / "file").write_text("")
    status, _, err = run("train", "lenet", "--out", str(tmp_path / "file"))
    assert status == 1 and str(tmp_path / "file") in err


def test_a_quick_bench_of_an_op_leaves_out_the_largest_cases() -> None:
    from whitewolf.bench import QUICK_FLOPS, _quick_cases
    from whitewolf.cases import tables

    cases = [case for table in tables() if table.op == "matmul" for case in table.cases if case.bench]
    quick = _quick_cases(cases)
    assert 0 < len(quick) < len(cases) and max(c.flops for c in quick) <= QUICK_FLOPS < max(c.flops for c in cases)
    assert len(_quick_cases([max(cases, key=lambda c: c.flops)])) == 1


def test_python_m_whitewolf_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "whitewolf", "--version"], capture_output=True, text=True, env=environment(), timeout=60
    )
    assert done.returncode == 0 and done.stdout.strip() == f"whitewolf {ww.__version__}"
