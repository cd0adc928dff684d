"""Compiles every .cu file with nvcc for sm_80 and sm_90a, lists what spills, and looks for the instructions that variants are named for.

    nvcc.py FOLDER [FILE ...]

No GPU is needed. Fails where a file does not compile, where a kernel spills more than SPILLS allows, or where the PTX of a
tensor-core variant holds no tensor-core instruction.
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURES = ("80", "90a")

# Bytes of spill stores that a kernel may have, with the reason; any other must have none.
SPILLS = {
    "mma_product": (256, "128 x 128 tiles need all 255 registers; where the spills fall has not been looked into"),
    "warp_tiled": (32, "255 registers: the addresses of a thread's 16 loads are kept over the loop"),
    "naive_backward": (40, "64-bit division is a call, around which registers are saved"),
    "find_extreme": (96, "a block's 8 pairs of value and place are held at once; once an output"),
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
    ("kernels/conv2d/mma.cu", "80"): ("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "cp.async.cg.shared.global"),
    ("tests/cuda/pipelines.cu", "90a"): (
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16",
        "cp.async.bulk.tensor.2d",
        "mbarrier.try_wait",
    ),
}


def compile_one(folder: Path, source: Path, architecture: str) -> tuple[str, list[str]]:
    """What went wrong, and what spills."""
    name = str(source.relative_to(ROOT))
    out = folder / f"{name.replace('/', '-')}-sm_{architecture}.o"
    command = ["nvcc", "-std=c++17", "-O2", "--expt-relaxed-constexpr", f"-I{ROOT}", str(source)]
    target = f"-gencode=arch=compute_{architecture},code=sm_{architecture}"
    made = subprocess.run([*command, target, "-Xptxas=-v", "-c", "-o", str(out)], capture_output=True, text=True)
    if made.returncode:
        return f"{name}, sm_{architecture}: {made.stderr[-600:]}", []
    spills, wrong, kernel = [], [], ""
    for line in made.stderr.splitlines():
        if found := re.search(r"Function properties for (\S+)", line):
            kernel = found.group(1)
        elif (found := re.search(r"(\d+) bytes spill stores", line)) and int(found.group(1)):
            allowed = max((limit for key, (limit, _) in SPILLS.items() if key in kernel), default=0)
            spills.append(f"{name}, sm_{architecture}: {found.group(1)} bytes in {kernel[:60]}")
            if int(found.group(1)) > allowed:
                wrong.append(f"expected at most {allowed} bytes of spills, got {spills[-1]}")
    if wanted := INSTRUCTIONS.get((name, architecture)):
        ptx = out.with_suffix(".ptx")
        subprocess.run([*command, f"--gpu-architecture=compute_{architecture}", "-ptx", "-o", str(ptx)], check=True)
        code = ptx.read_text()
        wrong += [f"{name}, sm_{architecture}: expected {i} in the PTX, found none" for i in wanted if i not in code]
    return "; ".join(wrong), spills


def main() -> int:
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    sources = [*sorted((ROOT / "kernels").glob("*/*.cu")), ROOT / "tests/cuda/conformance.cu", ROOT / "tests/cuda/pipelines.cu"]
    if sys.argv[2:]:
        sources = [source for source in sources if source in [Path(name).resolve() for name in sys.argv[2:]]]
    jobs = [(source, architecture) for architecture in ARCHITECTURES for source in sources]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda job: compile_one(folder, *job), jobs))
    for _, spills in results:
        for spill in spills:
            print("spills:", spill)
    wrong = [text for text, _ in results if text]
    for text in wrong:
        print("FAILED", text)
    print(f"nvcc: {len(jobs) - len(wrong)} of {len(jobs)} compilations passed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
