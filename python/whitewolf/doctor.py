"""`whitewolf info` and `whitewolf doctor`: what is here, what is not, why, and the command that mends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import console, numba_cuda, toolkit
from .device import devices
from .environment import cores, environment, has, version
from .kernels import list as list_kernels
from .ops.creation import asarray
from .ops.matmul import matmul
from .runtime import get_num_threads, isa

# extra -> (module, what for)
EXTRAS = {
    "bench": (("rich", "tables and progress bars"),),
    "train": (("sklearn", "the digits that `whitewolf train lenet` learns"), ("matplotlib", "plots of curves and filters")),
    "test": (("pytest", "the tests"), ("hypothesis", "the tests"), ("safetensors", "the tests"), ("ml_dtypes", "bfloat16")),
}
DISTRIBUTIONS = {"sklearn": "scikit-learn", "ml_dtypes": "ml-dtypes"}


def info() -> dict[str, Any]:
    """Version, devices, instruction set, threads, kernels."""
    rows = list_kernels()
    kernels = {
        device: {"kernels": len({r["op"] for r in rows if r["device"] == device}),
                 "variants": sum(r["device"] == device for r in rows)}
        for device, state in devices().items() if state == "available"
    }  # fmt: skip
    return {**environment(), "devices": devices(), "kernels": kernels, "path": str(Path(__file__).parent)}


def print_info() -> dict[str, Any]:
    """Prints what `info` finds."""
    found = info()
    plain = [(k, v if v is not None else "-") for k, v in found.items() if k not in ("devices", "kernels")]
    plain += [(f"device {name}", state) for name, state in found["devices"].items()]
    plain += [(f"kernels on {name}", f"{n['kernels']} in {n['variants']} variants") for name, n in found["kernels"].items()]
    console.table(f"whitewolf {found['whitewolf']}", ("what", "value"), plain)
    return found


class Finding(NamedTuple):
    """One line of the doctor: `state` is "ok", "missing" or "FAILED"; `remedy` is a command or an action, or empty."""

    what: str
    state: str
    detail: str
    remedy: str = ""


def _compiler() -> Finding:
    asked = os.environ.get("CXX")
    for name in [asked] if asked else ["c++", "g++", "clang++"]:
        program = shutil.which(name.split()[0])
        if program:
            try:
                said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout
            except (OSError, subprocess.TimeoutExpired) as error:
                return Finding("C++ compiler", "FAILED", f"{program}: {error}", "CXX=/path/to/g++ names another")
            return Finding("C++ compiler", "ok", said.splitlines()[0] if said else program)
    what = f"CXX={asked} is no program on the path" if asked else "none of c++, g++, clang++ is on the path"
    return Finding("C++ compiler", "missing", f"{what}; needed to build kernels, not to run them", "apt-get install g++")


def _kernels() -> Finding:
    """One product, held against NumPy's."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(-4, 5, (33, 65)).astype("float32"), rng.integers(-4, 5, (65, 17)).astype("float32")
    if not np.array_equal(matmul(asarray(a), asarray(b)).numpy(), a @ b):
        return Finding("kernels on cpu", "FAILED", "matmul gives wrong values", "whitewolf verify says which kernels are wrong")
    here = info()["kernels"]["cpu"]
    return Finding("kernels on cpu", "ok", f"{here['kernels']} kernels in {here['variants']} variants, for {isa()}")


def _threads() -> Finding:
    asked = os.environ.get("WHITEWOLF_THREADS")
    source = f"WHITEWOLF_THREADS={asked}" if asked else "affinity and cgroup quota"
    threads = get_num_threads()
    remedy = f"more than the {cores()} cores there are: unset WHITEWOLF_THREADS" if threads > cores() else ""
    return Finding("threads", "ok", f"{threads} of {cores()} cores ({source})", remedy)


def _instruction_set() -> Finding:
    asked = os.environ.get("WHITEWOLF_ISA")
    built = sorted({row["isa"] for row in list_kernels(device="cpu")})
    remedy = "unset WHITEWOLF_ISA to use the best that the machine has" if asked else ""
    return Finding("instruction set", "ok", f"{isa()}, kernels in use: {', '.join(built)}", remedy)


def _folder(what: str, folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"whitewolf")
    except OSError as error:
        return Finding(what, "FAILED", f"{folder}: {error.strerror}", "make it writable, or run elsewhere")
    return Finding(what, "ok", f"{folder} can be written")


def _huge_pages() -> Finding:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    try:
        chosen = setting.read_text().split("[")[1].split("]")[0]
    except (OSError, IndexError):
        return Finding("huge pages", "missing", "the system does not say; large tensors use ordinary pages")
    if chosen == "never":
        return Finding("huge pages", "missing", "off: large tensors are slower to touch", f"echo madvise | sudo tee {setting}")
    return Finding("huge pages", "ok", chosen)


def _setting(reason: str) -> str:
    """How to mend what an environment variable broke."""
    name = reason.split(":")[0]
    return f"unset {name}, or set it to what is expected" if name.startswith("WHITEWOLF_") else ""


def _devices() -> list[Finding]:
    remedies = {
        "cpu": _rebuild(),
        "cudasim": _rebuild(),
        "cuda": "see the lines on CUDA",
    }
    return [
        Finding(f"device {name}", "ok", state)
        if state == "available"
        else Finding(f"device {name}", "missing", state, _setting(state) or remedies[name])
        for name, state in devices().items()
    ]


def _rebuild() -> str:
    """The command that builds the modules again: of the clone that runs, or of the package that was installed."""
    clone = Path(__file__).resolve().parents[2]
    if (clone / "setup.py").is_file() and (clone / "CMakeLists.txt").is_file():
        return f"{sys.executable} -m pip install --editable {clone}"
    return "pip install --force-reinstall --no-binary whitewolf whitewolf"


def _cuda() -> list[Finding]:
    """What device cuda is made of, each part with the command that brings it."""
    driver = toolkit.gpu()
    tools, reason = toolkit.find_toolkit()
    cuda = tools.version.split(".")[0] if tools else "13"
    found = [
        Finding("CUDA: GPU", "missing", driver, "needs an NVIDIA GPU and its driver")
        if driver
        else Finding("CUDA: GPU", "ok", "the driver finds one"),
        Finding("CUDA: nvcc", "ok", f"{tools.version}, {tools.nvcc} (to build the module for GPUs)")
        if tools
        else Finding("CUDA: nvcc", "missing", reason, "pip install nvidia-cuda-nvcc nvidia-cuda-runtime, or NVCC=/path/to/nvcc"),
        Finding("CUDA: whitewolf._cuda", "ok", "built")
        if has("whitewolf._cuda")
        else Finding("CUDA: whitewolf._cuda", "missing", "the module for GPUs is not built", f"WHITEWOLF_CUDA=1 {_rebuild()}"),
    ]
    names = [name for name in ("cupy", "cupy-cuda13x", "cupy-cuda12x") if version(name)]
    found.append(
        Finding("CUDA: CuPy", "ok", f"{version(names[0])} (arrays on the GPU)")
        if names
        else Finding("CUDA: CuPy", "missing", "not installed (arrays on the GPU)", f"pip install cupy-cuda{cuda}x")
    )
    for device in ("cuda", "cudasim"):
        why = numba_cuda.missing(device)
        wanted = [] if has("numba_cuda") else ["pip install 'whitewolf[numba]'"]
        remedy = ", then ".join(wanted + (["NUMBA_ENABLE_CUDASIM=1 python ..."] if device == "cudasim" else []))
        what = f"Numba variants on {device}"
        found.append(Finding(what, "missing", why, remedy) if why else Finding(what, "ok", "registered as variant numba"))
    return found


def _extras() -> list[Finding]:
    found = []
    for extra, modules in EXTRAS.items():
        for module, purpose in modules:
            name = DISTRIBUTIONS.get(module, module)
            if has(module):
                found.append(Finding(name, "ok", f"{version(name) or 'installed'} ({purpose})"))
            else:
                found.append(Finding(name, "missing", f"not installed ({purpose})", f"pip install 'whitewolf[{extra}]'"))
    if has("torch"):
        found.append(Finding("torch", "ok", f"{version('torch')} (a reference in `whitewolf bench`)"))
    else:
        found.append(Finding("torch", "missing", "not installed (a reference in `whitewolf bench`)", "pip install torch"))
    return found


def _looked_at(what: str, look: Callable[[], Finding], remedy: str) -> Finding:
    """A finding that needs the cpu; without it, that it could not be had."""
    if devices()["cpu"] != "available":
        return Finding(what, "FAILED", "needs the device cpu", remedy)
    try:
        return look()
    except Exception as error:  # a broken machine still gets its table
        return Finding(what, "FAILED", str(error), _setting(str(error)))


def doctor() -> list[Finding]:
    """Everything that is looked at, the cpu first."""
    remedy = "see device cpu"
    return [
        *_devices(),
        *_cuda(),
        _looked_at("kernels on cpu", _kernels, remedy),
        _looked_at("instruction set", _instruction_set, remedy),
        _looked_at("threads", _threads, remedy),
        _huge_pages(),
        _compiler(),
        _folder("working folder", Path.cwd()),
        _folder("temporary folder", Path(tempfile.gettempdir())),
        *_extras(),
    ]


def print_doctor(device: str = "cpu") -> tuple[list[dict[str, str]], bool]:
    """Prints the findings; returns them, and whether the cpu works and `device` is there."""
    findings = doctor()
    console.table("whitewolf doctor", ("what", "state", "detail", "remedy"), findings)
    well = all(f.state == "ok" for f in findings if f.what in ("device cpu", "kernels on cpu"))
    failed = [f.what for f in findings if f.state == "FAILED"]
    verdict = "whitewolf works on the cpu" if well else "whitewolf does not work on the cpu"
    if any(f.what == f"device {device}" and f.state != "ok" for f in findings) and device != "cpu":
        verdict, well = f"{verdict}; device {device} is not available", False
    console.line(verdict + (f"; failed: {', '.join(failed)}" if failed else ""))
    return [f._asdict() for f in findings], well
