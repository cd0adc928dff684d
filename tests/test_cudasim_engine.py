"""The CUDA layer without Python: the simulator's conformance tests, its errors, and the seeded bugs that it must catch."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "cuda"
OUT = Path(__file__).parent.parent / "build" / "tests-cuda"


@pytest.mark.skipif(
    not (shutil.which("make") and shutil.which(os.environ.get("CXX", "g++").split()[0])), reason="needs make and g++"
)
@pytest.mark.parametrize(
    "program",
    [
        "conformance",
        "conformance_tiles",
        "conformance_hopper",
        "errors",
        "errors_hopper",
        "faults",
        "host_code",
        "stops",
        "pipelines",
        "cooperation",
    ],
)
def test_program_passes(program: str) -> None:
    made = subprocess.run(["make", "-C", str(TESTS), f"OUT={OUT}", f"{OUT}/{program}"], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    ran = subprocess.run([str(OUT / program)], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.rstrip().splitlines()[-1].endswith(" 0 failed")
