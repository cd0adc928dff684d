"""All that is owed on a GPU, by one command: `make gpu`, or `python benchmarks/gpu.py FOLDER`.

Builds the module for GPUs, compares every PTX wrapper with the PTX manual, runs the op table, runs small
cases under compute-sanitizer's four tools, and measures against CuPy (cuBLAS) and PyTorch (cuBLAS, cuDNN), last the variants that no call chooses by itself. Each stage is recorded in
FOLDER/gpu.json with its command, status, seconds and last lines, whether or not another fails; the figures of the two benchmarks are in
FOLDER/bench.json and FOLDER/variants.json. Exit status 0 only when every stage passed.

    --only STAGE ...   some of: build conformance table memcheck racecheck initcheck synccheck bench variants
    --quick            a short benchmark

Environment: WHITEWOLF_CUDA_ARCHS names other architectures than sm_80 and sm_90a.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = str(ROOT / "python" / "whitewolf")
sys.path.insert(0, PACKAGE)
from toolkit import gpu  # noqa: E402  (not the package: it may not be built yet)

sys.path.remove(PACKAGE)  # its numba_cuda.py must not pass for numba-cuda

TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")

# What runs under compute-sanitizer, where a kernel is tens of times slower: one kernel of each kind, values alone.
SANITIZED = ("matmul", "conv2d", "relu", "sum", "softmax", "lstm", "layer_norm", "embedding", "sgd")
LINES = 40  # of a stage's output that are kept


@dataclass(frozen=True)
class Stage:
    """One command of the proof; `seconds` is how long it may take."""

    name: str
    command: tuple[str, ...]
    seconds: int = 1800
    environment: tuple[tuple[str, str], ...] = ()


@dataclass
class Outcome:
    """What became of a stage: "passed", "FAILED" or "missing", where its program is not there."""

    name: str
    command: str
    state: str
    seconds: float
    output: str


def stages(folder: Path, architecture: str, quick: bool, python: str = sys.executable) -> list[Stage]:
    """The proof on a GPU of this architecture ("80", "90a"), in order."""
    whitewolf = (python, "-m", "whitewolf")
    sanitize = ("compute-sanitizer", "--error-exitcode", "3", "--target-processes", "all")
    bench = (*whitewolf, "bench", "--device", "cuda", *(["--quick"] if quick else []))
    checks = ("--check", "value")
    ops = tuple(word for op in SANITIZED for word in ("--op", op))
    return [
        Stage("build", (python, "setup.py", "build_ext", "--inplace"), environment=(("WHITEWOLF_CUDA", "1"),)),
        Stage("conformance", ("make", "-C", "tests/cuda", "device-run", f"ARCH={architecture}", f"OUT={folder / 'conformance'}")),
        Stage("table", (*whitewolf, "verify", "--device", "cuda", "--json", str(folder / "verify.json"))),
        *(
            Stage(tool, (*sanitize, "--tool", tool, *whitewolf, "verify", "--device", "cuda", *checks, *ops))
            for tool in TOOLS
        ),
        Stage("bench", (*bench, "--json", str(folder / "bench.json"))),
        Stage("variants", (*bench, "--suite", "variants", "--json", str(folder / "variants.json"))),
    ]  # fmt: skip


def run(stage: Stage) -> Outcome:
    """Runs one stage and never raises: what went wrong is its outcome."""
    command = shlex.join([*(f"{k}={v}" for k, v in stage.environment), *stage.command])
    start = time.perf_counter()
    if shutil.which(stage.command[0]) is None:
        return Outcome(stage.name, command, "missing", 0.0, f"{stage.command[0]} is not on the path")
    try:
        done = subprocess.run(
            stage.command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "python"), **dict(stage.environment)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=stage.seconds,
        )  # fmt: skip
        state, said = "FAILED" if done.returncode else "passed", f"{done.stdout.rstrip()}\nexit status {done.returncode}"
    except subprocess.TimeoutExpired as late:
        heard = late.stdout or b""
        said = (heard.decode(errors="replace") if isinstance(heard, bytes) else heard) + f"\nstopped after {stage.seconds} s"
        state = "FAILED"
    kept = "\n".join(said.strip().splitlines()[-LINES:])
    return Outcome(stage.name, command, state, round(time.perf_counter() - start, 1), kept)


def prove(todo: Sequence[Stage], record: Path, perform: Callable[[Stage], Outcome] = run) -> list[Outcome]:
    """Runs the stages in order, all of them, and writes the record anew after each."""
    outcomes: list[Outcome] = []
    for stage in todo:
        print(f"=== {stage.name}", flush=True)
        outcomes.append(perform(stage))
        print(outcomes[-1].output)
        print(f"--- {stage.name}: {outcomes[-1].state}, {outcomes[-1].seconds} s", flush=True)
        record.write_text(json.dumps({"stages": [asdict(o) for o in outcomes]}, indent=1) + "\n")
    return outcomes


def architecture() -> str:
    """What to compile the conformance tests for: sm_90a has wgmma and TMA, all else runs what sm_80 has."""
    said = subprocess.run(
        ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"], capture_output=True, text=True, timeout=60
    ).stdout
    return "90a" if said.strip().startswith("9.0") else "80"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default="runs/gpu", type=Path)
    parser.add_argument("--only", nargs="+", metavar="STAGE", default=[])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if reason := gpu():
        print(f"gpu: expected a GPU to prove the kernels on, got none: {reason}", file=sys.stderr)
        return 1
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    todo = stages(folder, architecture() if shutil.which("nvidia-smi") else "80", options.quick)
    unknown = sorted(set(options.only) - {stage.name for stage in todo})
    if unknown:
        parser.error(f"expected stages among {', '.join(s.name for s in todo)}, got {', '.join(unknown)}")
    outcomes = prove([s for s in todo if not options.only or s.name in options.only], folder / "gpu.json")
    for outcome in outcomes:
        print(f"{outcome.name}: {outcome.state} ({outcome.seconds} s)")
    return 0 if all(outcome.state == "passed" for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
