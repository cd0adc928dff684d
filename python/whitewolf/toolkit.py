"""The CUDA toolkit and the GPU of this machine, found without CuPy. setup.py reads this file too: the standard library alone."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ARCHITECTURES = "80 90a"  # unless WHITEWOLF_CUDA_ARCHS names others


@dataclass(frozen=True)
class Toolkit:
    """An nvcc that compiles and links.

    Attributes:
        nvcc: the program.
        version: as it says, "13.0".
        include: folders of headers that it does not find by itself.
        runtime: libcudart_static.a, so that the module loads where there is no driver.
    """

    nvcc: Path
    version: str
    include: tuple[Path, ...]
    runtime: Path


def candidates() -> list[Path]:
    """Where nvcc may be: NVCC, the path, CUDA_HOME, the usual folder, the nvidia-cuda-nvcc wheel."""
    found = [os.environ.get("NVCC"), shutil.which("nvcc")]
    found += [os.path.join(os.environ[name], "bin", "nvcc") for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    found.append("/usr/local/cuda/bin/nvcc")
    wheels = Path(sysconfig.get_path("purelib")) / "nvidia"
    found += [str(path) for path in sorted(wheels.glob("*/bin/nvcc"), reverse=True)]
    return [Path(name) for name in found if name]


def _home(nvcc: Path) -> Path:
    """The folder of the toolkit, which nvcc says itself: the program on the path may be a script or a link."""
    said = subprocess.run([nvcc, "--dryrun", "-x", "cu", os.devnull], capture_output=True, text=True, timeout=30)
    top = re.search(r"^#\$ TOP=(.*)$", said.stderr, re.M)
    return Path(top.group(1)).resolve() if top else nvcc.resolve().parent.parent


def find_toolkit() -> tuple[Toolkit | None, str]:
    """The first toolkit that is complete, or None with what is missing."""
    reason = "no nvcc on the path, in CUDA_HOME, in /usr/local/cuda or in an nvidia-cuda-nvcc wheel"
    for nvcc in candidates():
        if not os.access(nvcc, os.X_OK):
            continue
        try:
            said = subprocess.run([nvcc, "--version"], capture_output=True, text=True, timeout=30).stdout
            home = _home(nvcc)
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = f"{nvcc} does not run: {error}"
            continue
        homes = [home, *sorted(home.parent.glob("cuda_runtime"))]  # wheels of CUDA 12 have a folder for each part
        runtimes = [path for h in homes for path in sorted(h.glob("**/libcudart_static.a"))]
        headers = [path.parent for h in homes for path in sorted(h.glob("**/cuda_runtime.h"))]
        if not runtimes or not headers:
            what = "libcudart_static.a" if not runtimes else "cuda_runtime.h"
            reason = f"{nvcc} is there, but no {what} under {home}: pip install nvidia-cuda-runtime"
            continue
        version = re.search(r"release (\S+),", said)
        return Toolkit(nvcc, version.group(1) if version else "?", (headers[0],), runtimes[0]), ""
    return None, reason


def gpu() -> str:
    """Why no GPU can be used, as its driver says; empty where one can."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "the NVIDIA driver is not installed (no libcuda.so.1)"
    status, count = driver.cuInit(0), ctypes.c_int(0)
    if status == 0:
        status = driver.cuDeviceGetCount(ctypes.byref(count))
    if status:
        return f"the NVIDIA driver finds no GPU (error {status})"
    return "" if count.value else "the NVIDIA driver finds no GPU"
