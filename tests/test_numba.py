"""The Numba CUDA variants in numba-cuda's own simulator, which must be set before Numba is imported: in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import whitewolf as ww
from whitewolf import numba_cuda

HELPER = Path(__file__).parent / "helpers" / "numba_simulated.py"


def test_variants_have_the_values_and_gradients_of_the_op_table() -> None:
    if importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("numba-cuda is not installed: pip install 'whitewolf[numba]'")
    simulated = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run([sys.executable, str(HELPER)], env=simulated, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    wanted = {
        "elementwise",
        "gradients of matmul, bias",
        "gradients of relu",
        "gradients of conv2d",
        "gradients of lstm, lengths, reversed",
    }
    assert wanted <= set(done.stdout.splitlines())


def test_without_the_simulator_cudasim_has_none_and_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    assert "numba" not in {row["variant"] for row in ww.kernels.list(device="cudasim")}
    assert "NUMBA_ENABLE_CUDASIM=1 is set before" in numba_cuda.missing("cudasim")
    why = r"expected a variant of matmul, got 'numba': on cuda, .*; on cudasim, they run there where NUMBA_ENABLE_CUDASIM=1"
    with pytest.raises(ValueError, match=why):
        with ww.kernels.use(matmul="numba"):
            pass


def test_a_family_that_nobody_wrote_in_numba_is_told_to_be_one() -> None:
    with pytest.raises(
        ValueError, match="a variant of softmax, got 'numba': written in Numba are those of conv2d, lstm, matmul, relu, sum"
    ):
        with ww.kernels.use(softmax="numba"):
            pass


def test_without_numba_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    monkeypatch.setattr(numba_cuda.importlib.util, "find_spec", lambda name: None)
    assert numba_cuda.missing("cuda") == "numba-cuda is not installed"
    assert numba_cuda.overlay("cuda", None, ww.device("cpu").module) is None
