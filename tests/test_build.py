"""What a stranger is told who lacks something to build with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# An interpreter that says it is an older one.
OLD_PYTHON = """#!/bin/sh
exec {python} -c 'import sys; sys.version_info = (3, 9, 18, "final", 0); exec(sys.argv[1])' "$2"
"""


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | environment, timeout=120)


@pytest.mark.parametrize("how", ["named wrongly", "not there"])
def test_a_missing_compiler_is_named_with_its_remedy(tmp_path: Path, how: str) -> None:
    pytest.importorskip("setuptools")
    pytest.importorskip("pybind11")
    command = [sys.executable, "setup.py", "build_ext", "--build-lib", str(tmp_path)]
    done = run(command, CXX="no-such-compiler") if how == "named wrongly" else run(command, PATH=str(tmp_path), CXX="")
    assert done.returncode != 0
    what = (
        "CXX=no-such-compiler is no program on the path" if how == "named wrongly" else "none of c++, g++, clang++ is on the path"
    )
    assert f"expected a C++17 compiler (GCC 9 or later, or Clang 10 or later), but {what}" in done.stderr
    assert "apt-get install g++" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_refuses_a_python_that_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    old.write_text(OLD_PYTHON.format(python=sys.executable))
    old.chmod(0o755)
    done = run(["make", "build", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"])
    assert done.returncode != 0 and not (tmp_path / "venv").exists()
    assert "whitewolf: expected Python 3.10 or later, got 3.9; name one: make PYTHON=python3.12" in done.stderr
