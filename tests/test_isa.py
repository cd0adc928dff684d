"""The op table with each instruction set that this machine has below its best: WHITEWOLF_ISA is read when the module loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import whitewolf as ww

LEVELS = ["baseline", "avx2", "avx512"]
BELOW = LEVELS[: LEVELS.index(ww.isa())]
CHECKS = ("value", "strides", "nonfinite", "exact", "guards", "float32 gradient", "variants", "threads", "batch")


def environment(isa: str) -> dict[str, str]:
    return os.environ | {"WHITEWOLF_ISA": isa, "PYTHONPATH": str(Path(ww.__file__).resolve().parents[1])}


@pytest.mark.skipif(not BELOW, reason="this machine has no other instruction set than the baseline")
@pytest.mark.parametrize("isa", BELOW)
def test_the_table_passes_with(isa: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "whitewolf", "verify", "--json", str(tmp_path / "verify.json")]
    for check in CHECKS:
        command += ["--check", check]
    done = subprocess.run(command, env=environment(isa), capture_output=True, text=True, timeout=600)
    result = json.loads((tmp_path / "verify.json").read_text())
    assert result["environment"]["isa"] == isa
    failures = [o["text"] for row in result["rows"] for o in row["checks"].values() if not o["ok"]] + result["table"]
    assert failures == [] and done.returncode == 0


def test_a_wrong_instruction_set_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "whitewolf", "info"], env=environment("avx9"), capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0 and "WHITEWOLF_ISA" in done.stderr and "avx9" in done.stderr
