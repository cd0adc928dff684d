"""A wrong kernel of the user's own, loaded by ww.kernels.load: its errors name files that are there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HEADER = """
#pragma once
#include "engine/registry.h"

namespace ww {
inline constexpr Contract kWrong = {"wrong_forward", "wrong", "out y: T[n], x: T[n]; mode: int", "Wrong."};
}
"""
HELPER = """
#pragma once
#include "engine/cuda/device.cuh"

WW_DEVICE void write_far(float* y) { y[1000] = 1; }
"""
KERNEL = """
#include "wrong.h"

#include <cstdio>
#include <stdexcept>

#include "../shared/helper.cuh"

namespace ww::cuda {
namespace {

__global__ void wrong(float* y, int mode, FILE* file) {
    if (threadIdx.x != 5) return;
    if (mode == 0) y[1000] = 1;  // line of mode 0
    if (mode == 1) write_far(y);  // line of mode 1
    if (mode == 2) atomicAdd(y + 1000, 1.0f);  // line of mode 2
    if (mode == 3) throw std::runtime_error("thrown");  // line of mode 3
    if (mode == 4) exit(3);  // line of mode 4
    if (mode == 5) fputs(reinterpret_cast<const char*>(5), file);  // line of mode 5
    while (mode == 6) fprintf(file, "%f\\n", 0.5);  // line of mode 6
}

void run(const Call& call) {
    static FILE* file = fopen("/dev/null", "w");
    launch<wrong>({1, call.integer(0) == 7 ? 33 : 32}, call.view(0).ptr<float>(), static_cast<int>(call.integer(0)), file);  // line of mode 7
}
constexpr Kernel kernels[] = {{&kWrong, "mine", WW_DEVICE_NAME, dtype_bit(DType::float32), run}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::cuda
"""
USE = """
import numpy as np
import whitewolf as ww

ww.kernels.load("own", device="cudasim")
kernel = ww.kernels.get("wrong_forward", device="cudasim")
y, x = np.ones(8, "f4"), np.ones(8, "f4")
for mode in range(8):
    try:
        with ww.cudasim(timeout=0.05 if mode == 6 else None):
            kernel(y, x, mode=mode)
    except ww.DeviceError as error:
        print(str(error), flush=True)
kernel(y, x, mode=-1)
"""


@pytest.mark.skipif(not shutil.which("addr2line"), reason="lines of faults are addr2line's")
@pytest.mark.skipif(
    not any(shutil.which(c) for c in (os.environ.get("CXX", "c++"), "g++", "clang++")), reason="there is no C++ compiler"
)
def test_errors_of_a_loaded_kernel_name_files_and_lines_that_are_there(tmp_path: Path) -> None:
    for name, text in (("own/wrong.h", HEADER), ("shared/helper.cuh", HELPER), ("own/wrong.cu", KERNEL)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env=os.environ | {"WHITEWOLF_CACHE_DIR": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    errors = done.stdout.splitlines()
    assert len(errors) == 8, errors
    lines = KERNEL.splitlines()
    words = ["past the end of a block", "past the end of a block", "past the end of a block",
             "a C++ exception left the kernel: std::runtime_error: thrown", "exit(3) in a kernel",
             "access to address 0x5", "its time is over", "multiple of 32 threads a block, got 33"]  # fmt: skip
    for mode, error in enumerate(errors):
        number = 1 + next(i for i, line in enumerate(lines) if line.endswith(f"// line of mode {mode}"))
        assert f"{tmp_path}/own/wrong.cu:{number}" in error and words[mode] in error, (mode, error)
        assert mode == 7 or "block (0, 0, 0), thread (5, 0, 0) (warp 0, lane 5)" in error
        paths = re.findall(r"(\S+\.(?:cu|cuh|h|cpp)):\d+", error)
        assert paths and all(os.path.isfile(path) for path in paths), error
    assert f"{tmp_path}/shared/helper.cuh:5" in errors[1]
