"""Builds `_cuda` with nvcc for sm_80 and sm_90a as users do, and imports it; lists what spills; looks for the instructions that
variants are named for.

    nvcc.py FOLDER             all
    nvcc.py FOLDER FILE ...    these .cu files alone, without the module

No GPU is needed. Fails where a file does not compile, where a kernel spills more than SPILLS allows, where the PTX of a tensor-core
variant holds no tensor-core instruction, or where the module without a driver has another end than a DeviceError.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from whitewolf.toolkit import Toolkit, find_toolkit

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURES = ("80", "90a")
PLAIN = "--no-compress"  # the PTX in an object is text then, to be looked at without compiling a second time

# Bytes of spill stores that a kernel may have, with the reason; any other must have none.
SPILLS = {
    "weight_gemm": (
        16,
        "16-bit operands by runs, sm_90a: 168 registers, likely kept so low that an SM holds three blocks (65536 / 384)",
    ),
    "warp_tiled": (32, "255 registers: the addresses of a thread's 16 loads are kept over the loop"),
    "naive_backward": (40, "64-bit division is a call, around which registers are saved"),
    "find_extreme": (96, "a block's 8 pairs of value and place are held at once; once an output"),
    "select_best": (96, "the same, once a round"),
    "softmax_rows": (32, "not for want of registers, of which 32 to 64 are used: likely saved around calls of 64-bit division"),
    "entropy_": (64, "the same"),
    "differentiate_rows": (64, "saved around calls of 64-bit and double division; 48 registers are used"),
    "sum_rows": (16, "the same"),
    "sum_channels": (32, "the same"),
    "find_moments": (48, "the same"),
}

# Instructions that the PTX of a file must hold, by architecture.
INSTRUCTIONS = {
    ("kernels/matmul/mma.cu", "80"): (
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16",
        "cp.async.cg.shared.global",
    ),
    ("kernels/conv2d/mma.cu", "80"): (
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
        "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16",
        "cp.async.cg.shared.global",
    ),
    ("kernels/conv2d/mma_half.cu", "80"): (
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
        "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16",
        "cp.async.cg.shared.global",
    ),
    ("kernels/conv2d/mma_tf32.cu", "80"): (
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
        "cp.async.cg.shared.global",
    ),
    ("tests/cuda/pipelines.cu", "90a"): (
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16",
        "cp.async.bulk.tensor.2d",
        "mbarrier.try_wait",
    ),
    ("tests/cuda/conformance_hopper.cu", "90a"): tuple(
        f"wgmma.mma_async.sync.aligned.m64n{n}k16.f32.{t}.{t}" for n in (64, 128) for t in ("bf16", "f16")
    ),
}


def read_log(name: str, log: str) -> tuple[list[str], list[str]]:
    """Of what ptxas said of one file: spills beyond what is allowed, and all spills."""
    wrong, spills, architecture, kernel = [], [], "?", ""
    for line in log.splitlines():
        if found := re.search(r"Compiling entry function '\S+' for '(\w+)'", line):
            architecture = found.group(1)
        elif found := re.search(r"Function properties for (\S+)", line):
            kernel = found.group(1)
        elif (found := re.search(r"(\d+) bytes spill stores", line)) and int(found.group(1)):
            allowed = max((limit for key, (limit, _) in SPILLS.items() if key in kernel), default=0)
            spills.append(f"{name}, {architecture}: {found.group(1)} bytes in {kernel[:60]}")
            if int(found.group(1)) > allowed:
                wrong.append(f"expected at most {allowed} bytes of spills, got {spills[-1]}")
    return wrong, spills


def missing_instructions(made: Path, name: str) -> list[str]:
    """Instructions that the PTX in an object or program (PLAIN) must hold and does not."""
    code = made.read_bytes()
    return [
        f"{name}, sm_{architecture}: expected {i} in the PTX, found none"
        for (file, architecture), instructions in INSTRUCTIONS.items()
        for i in instructions
        if file == name and i.encode() not in code
    ]


def command(toolkit: Toolkit) -> list[str]:
    return [str(toolkit.nvcc), "-std=c++17", "-O2", "--expt-relaxed-constexpr", f"-I{ROOT}", *(f"-I{i}" for i in toolkit.include)]


def compile_one(toolkit: Toolkit, folder: Path, name: str) -> tuple[list[str], list[str]]:
    """One file for all architectures, a test as the program it is: what is wrong with it, and what spills."""
    targets = [f"-gencode=arch=compute_{a},code=[sm_{a},compute_{a}]" for a in ARCHITECTURES]
    out = folder / f"{name.replace('/', '-')}.o"
    kind = [f"-L{toolkit.runtime.parent}"] if name.startswith("tests/") else ["-c"]
    made = subprocess.run(
        [*command(toolkit), *targets, PLAIN, "-Xptxas=-v", *kind, str(ROOT / name), "-o", str(out)], capture_output=True, text=True
    )
    if made.returncode:
        return [f"{name}: {made.stderr[-600:]}"], []
    wrong, spills = read_log(name, made.stderr)
    return wrong + missing_instructions(out, name), spills


def build_module(toolkit: Toolkit, folder: Path) -> list[tuple[list[str], list[str]]]:
    """`_cuda` by the build that users have, imported: what is wrong with each file, and what spills, as ptxas said beside its object."""
    import pybind11

    arguments = [
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", f"-DPython_EXECUTABLE={sys.executable}", f"-DWW_NVCC={toolkit.nvcc}",
        f"-DWW_CUDA_RUNTIME={toolkit.runtime}", f"-DWW_CUDA_INCLUDE={';'.join(map(str, toolkit.include))}",
        f"-DWW_CUDA_ARCHS={';'.join(ARCHITECTURES)}", "-DWW_ISAS=baseline",
    ]  # fmt: skip
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    subprocess.run(["cmake", "-S", str(ROOT), "-B", str(folder), *generator, *arguments], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(
        ["cmake", "--build", str(folder), "--target", "_cuda", "--parallel", "2"], check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "NVCC_APPEND_FLAGS": PLAIN},
    )  # fmt: skip
    subprocess.run([sys.executable, "-c", IMPORT, str(next(folder.glob("_cuda*.so")))], check=True)
    results = []
    for name in module_files():
        made = folder / "cuda" / f"{name.replace('/', '-')}.o"
        wrong, spills = read_log(name, made.with_name(f"{made.name}.log").read_text())
        results.append((wrong + missing_instructions(made, name), spills))
    return results


def module_files() -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "kernels").glob("*/*.cu"))]


IMPORT = """
import importlib.util, sys
import whitewolf as ww
spec = importlib.util.spec_from_file_location("whitewolf._cuda", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(len(module.op_names()), "ops in the module")
try:
    module.require_device()
    print("a GPU is there")
except ww.DeviceError as error:
    assert "GPU" in str(error), error
    print("DeviceError:", error)
"""


def main() -> int:
    toolkit, reason = find_toolkit()
    if toolkit is None:
        print(f"nvcc: {reason}")
        return 1
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        if sys.argv[2:]:
            names = [str(Path(name).resolve().relative_to(ROOT)) for name in sys.argv[2:]]
            results = list(pool.map(lambda name: compile_one(toolkit, folder, name), names))
        else:
            tests = subprocess.run(
                ["make", "-s", "-C", str(ROOT / "tests/cuda"), "device-names"], capture_output=True, text=True, check=True
            )
            names = [f"tests/cuda/{name}.cu" for name in tests.stdout.split()]
            module = pool.submit(build_module, toolkit, folder)  # beside the tests, so that no end of either leaves a CPU idle
            results = list(pool.map(lambda name: compile_one(toolkit, folder, name), names)) + module.result()
            names += module_files()
    for _, spills in results:
        for spill in spills:
            print("spills:", spill)
    wrong = [text for texts, _ in results for text in texts]
    for text in wrong:
        print("FAILED", text)
    print(f"nvcc {toolkit.version}: {len(names)} files for {', '.join('sm_' + a for a in ARCHITECTURES)}, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
