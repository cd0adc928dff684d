"""Seeds one bug at a time in the kernels that ship, and expects the simulator's sweep to catch each.

    seeded_kernels.py FOLDER [NAME ...]

A seed is a replacement of text in a copy of kernels/: it fails where the text is not there once, so that it cannot rot. The copy is
built as a module of its own, two at a time, and calls on small cases run under every schedule. What a seed does not touch are the objects
of the build that is there. Caught is: a wrong result, or an error
of the launch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import seeds_of_sequences

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Seed:
    name: str
    file: str
    old: str
    new: str
    probe: str  # of PROBES


MAINLOOP, MMA, WARP, TILED = "matmul/mma_mainloop.cuh", "matmul/mma.cu", "matmul/warp_tiled.cuh", "matmul/tiled.cuh"
MATMUL, GATHER, CONV, NAIVE = "matmul/problem.cuh", "conv2d/gather.cuh", "conv2d/implicit_gemm.cuh", "conv2d/naive.cu"
MAX_POOL, AVG_POOL = "pool2d/max_pool2d.cu", "pool2d/avg_pool2d.cu"
SEEDS = (
    Seed("mainloop: no barrier", MAINLOOP, "        __syncthreads();  // this slice is here", "        // this slice is here", "mma"),
    Seed("mainloop: no wait", MAINLOOP, "copy_async_wait<kStages - 2>();", "", "mma"),
    Seed("mainloop: wait one late", MAINLOOP, "copy_async_wait<kStages - 2>();", "copy_async_wait<kStages - 1>();", "mma"),
    Seed("mainloop: wrong stage", MAINLOOP, "right.load(b, static_cast<int>(next % kStages)", "right.load(b, static_cast<int>(slice % kStages)", "mma"),
    Seed("mainloop: no commit", MAINLOOP, "        copy_async_commit();\n        const int stage", "        const int stage", "mma"),
    Seed("mainloop: swapped fragment", MAINLOOP, "row + lane % 16, half * 2 + lane / 16", "row + lane / 2, half * 2 + lane % 2", "mma"),
    Seed("mainloop: swapped pair", MAINLOOP, "fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]", "fb[j / 2][j % 2 * 2 + 1], fb[j / 2][j % 2 * 2]", "mma"),
    Seed("mainloop: wrong half", MAINLOOP, "half * 2 + lane / 8 % 2", "half + lane / 8 % 2", "mma"),
    Seed("mainloop: other swizzle", MAINLOOP, "copy_async<kChunk>(stage_address(stage) + k_line(row, chunk)", "copy_async<kChunk>(stage_address(stage) + k_line(row, chunk ^ 1)", "mma"),
    Seed("mainloop: no rounding", MAINLOOP, "bits = to_tf32(__uint_as_float(bits));", "bits ^= 0x2000;", "tf32"),
    Seed("mma: k off by one", MATMUL, "return run(row < rows ? k - l : 0", "return run(row < rows ? k - l - 1 : 0", "mma"),
    Seed("mma: no edge along k", MATMUL, "return left <= 0 ? 0 : left < n", "return left <= 0 ? n : left < n", "mma"),
    Seed("mma: no edge along rows", MATMUL, "if (row >= rows || l >= k)", "if (row > rows || l >= k)", "mma"),
    Seed("mma: row written past the end", MATMUL, "if (row < p.m && column < p.n) finish", "if (row <= p.m && column < p.n) finish", "mma"),
    Seed("mma: alignment not asked for", MMA, "if (aligned && k_step == 1 && row_step % run == 0)", "if (k_step == 1)", "mma"),
    Seed("warp_tiled: no first barrier", WARP, "        store(0);\n        __syncthreads();", "        store(0);", "warp"),
    Seed("warp_tiled: no barrier in the loop", WARP, "            if (more) store(buffer ^ 1);\n            __syncthreads();", "            if (more) store(buffer ^ 1);", "warp"),
    Seed("warp_tiled: one buffer", WARP, "if (more) store(buffer ^ 1);", "if (more) store(buffer);", "warp"),
    Seed("warp_tiled: k edge", MATMUL, "if (row >= rows || l >= k)", "if (row >= rows || l > k)", "warp"),
    Seed("warp_tiled: rows that no vector fits", WARP, "kRow = rows + 4", "kRow = rows + 1", "warp"),
    Seed("warp_tiled: short buffer", WARP, "as_(shared.take<float, 16>(2 * kBuffer))", "as_(shared.take<float, 16>(2 * kBuffer - kRow))", "warp"),
    Seed("tiled: no first barrier", TILED, "            __syncthreads();\n            for", "            for", "tiled"),
    Seed("tiled: no second barrier", TILED, "bs_[i * kRow + x], sum);\n            __syncthreads();", "bs_[i * kRow + x], sum);", "tiled"),
    Seed("map: index past the end", "common/strided_map.cuh", "i < plan.size; i += step", "i <= plan.size; i += step", "add"),
    Seed("map: wrong broadcast", "common/strided_map.cuh", "view.shape[own] != 1 ? view.strides[own] : 0", "view.shape[own] != 1 ? view.strides[own] : 1", "add"),
    Seed("reduce: no barrier", "reduce/reduction.cuh", "scratch[warp] = value;\n        __syncthreads();", "scratch[warp] = value;", "sum"),
    Seed("reduce: stale scratch", "reduce/reduction.cuh", "        __syncthreads();  // the last round's results have been read\n", "", "var"),
    Seed("reduce: half the lanes", "reduce/reduction.cuh", "by < 32; by *= 2", "by < 16; by *= 2", "sum"),
    Seed("reduce: last segment lost", "reduce/reduction.cuh", "first < n || pushed == 0", "first + segment < n || pushed == 0", "sum"),
    Seed("conv: padding of the other sign", GATHER, "first(-a.padding)", "first(a.padding)", "conv"),
    Seed("conv: picture read past its end", GATHER, "h >= p.h.read || w < 0", "h > p.h.read || w < 0", "conv"),
    Seed("conv: dilation lost in a lattice", GATHER, "step = -(dilation / common)", "step = -1", "conv"),
    Seed("conv: lattice written past its end", GATHER, "return h < p.h.size && w < p.w.size;", "return true;", "conv"),
    Seed("conv: taps past the filter", GATHER, "return r < p.h.filter && s < p.w.filter;", "return r <= p.h.filter && s < p.w.filter;", "conv"),
    Seed("conv: filters of the first group", GATHER, "filter_group(c.Kg * filter.strides[0])", "filter_group(0)", "conv"),
    Seed("conv: bias of the first group", CONV, "const int64_t channel = part.group * p.columns + column;", "const int64_t channel = column;", "conv"),
    Seed("conv: last slice too long", CONV, "first + slice_length < p.rows() ? first + slice_length : p.rows()", "first + slice_length", "conv"),
    Seed("conv: stale workspace", CONV, "* p.k() + column] = sum;", "* p.k() + column] += sum;", "conv"),
    Seed("conv: one slice too many", CONV, "slice < slices; slice++", "slice <= slices; slice++", "conv"),
    Seed("conv: between two outputs", NAIVE, "return from % stride == 0;", "return true;", "conv naive"),
    Seed("conv: padding read", NAIVE, "return h >= 0 && h < in;", "return h < in;", "conv naive"),
    Seed("max pool: the last of equals", MAX_POOL, "if (value > best || value != value)", "if (value >= best || value != value)", "max pool"),
    Seed("max pool: one window too many", MAX_POOL, "p1 = windows.h.last_window(h)", "p1 = windows.h.last_window(h) + 1", "max pool"),
    Seed("max pool: rows of the wrong length", MAX_POOL, "h = index / windows.w.in, w = index % windows.w.in", "h = index / windows.h.in, w = index % windows.h.in", "max pool"),
    Seed("mean pool: padding counts", AVG_POOL, "if (!padding_counts) return end(p) - begin(p);", "", "mean pool"),
    Seed("mean pool: last window lost", AVG_POOL, ": axis.last_window(h);", ": axis.last_window(h) - 1;", "mean pool"),
    Seed("argmax: the last of equals", "reduce/placed.cuh", "return a.at < b.at ? a : b;", "return a.at < b.at ? b : a;", "argmax"),
)  # fmt: skip
SEEDS += tuple(Seed(*seed) for seed in seeds_of_sequences.SEEDS)

PROBES = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import _cudasim as module

rng = np.random.default_rng(0)
def ints(*shape, dtype="f4"):
    return rng.integers(-4, 5, shape).astype(dtype)
def guarded(array):
    copy = module.empty(array.shape, array.dtype)
    copy[...] = array
    return copy
def call(op, variant, out_shape, dtype, *args, **attrs):
    out = module.empty(out_shape, np.dtype(dtype))
    module.get(op, variant)(out, *args, **attrs)
    return out
def matmul(variant, m, k, n, dtype, transposed=True):
    a = guarded(ints(m, k, dtype=dtype))
    b = guarded(ints(n, k, dtype=dtype)).T if transposed else guarded(ints(k, n, dtype=dtype))
    same = call("matmul_forward", variant, (m, n), dtype, a, b)
    return np.array_equal(same.astype("f8"), (a.astype("f8") @ b.astype("f8")).astype(dtype).astype("f8"))
def tf32():
    x = np.full((1, 8), np.float32(1 + 2**-10 - 2**-14))
    return call("matmul_forward", "mma_tf32", (1, 1), "f4", guarded(x), guarded(np.ones((8, 1), "f4")))[0, 0] == 8 * np.float32(1 + 2**-10)
def add():
    a, b = guarded(ints(6, 8)), guarded(ints(6, 1))
    return np.array_equal(call("add_forward", "map", (6, 8), "f4", a, b), a + b)
def reduction(op, reference, dtype="f4"):
    x = guarded(ints(3, 9001))
    return np.array_equal(call(op, "groups", (3, 1), dtype, x), reference(x))
def var():  # two passes through one scratch: deviations of +-1 from a mean of 0
    x = guarded(np.where(np.arange(4 * 4096).reshape(4, 4096) % 2, 1, -1).astype("f4") + np.arange(4, dtype="f4")[:, None])
    return np.array_equal(call("var_forward", "groups", (4, 1), "f4", x), np.ones((4, 1), "f4"))
def unfold(x, filter, stride, padding, dilation):  # [N, C, R, S, P, Q], and where each element comes from
    (N, C, H, W), (R, S) = x.shape, filter
    P, Q = (H + 2 * padding - dilation * (R - 1) - 1) // stride + 1, (W + 2 * padding - dilation * (S - 1) - 1) // stride + 1
    places = np.full((C, H + 2 * padding, W + 2 * padding), -1)
    places[:, padding : padding + H, padding : padding + W] = np.arange(C * H * W).reshape(C, H, W)
    rows = np.arange(R)[:, None] * dilation + np.arange(P) * stride
    columns = np.arange(S)[:, None] * dilation + np.arange(Q) * stride
    at = places[:, rows[:, None, :, None], columns[None, :, None, :]]
    return np.where(at < 0, 0, x.reshape(N, -1)[:, at]), at
def conv(variant, groups=2, C=6, K=10):  # stride, dilation, groups, padding; several slices of the sum over pictures
    attrs = dict(stride=2, padding=2, dilation=3, groups=groups)
    x, w, b = guarded(ints(3, C, 15, 17)), guarded(ints(K, C // groups, 3, 2)), guarded(ints(K))
    unfolded, at = unfold(np.asarray(x), (3, 2), 2, 2, 3)
    P, Q = unfolded.shape[-2:]
    patches = unfolded.reshape(3, groups, C // groups, 3, 2, P, Q)
    filters = np.asarray(w).reshape(groups, K // groups, C // groups, 3, 2)
    y = np.einsum("ngcrspq,gkcrs->ngkpq", patches, filters).reshape(3, K, P, Q) + np.asarray(b)[:, None, None]
    grad = guarded(ints(3, K, P, Q))
    grads = np.asarray(grad).reshape(3, groups, K // groups, P, Q)
    grad_w = np.einsum("ngcrspq,ngkpq->gkcrs", patches, grads).reshape(w.shape)
    grad_x = np.zeros((3, x[0].size + 1), "f4")  # the last place is the padding
    np.add.at(grad_x, (slice(None), at.reshape(-1)), np.einsum("ngkpq,gkcrs->ngcrspq", grads, filters).reshape(3, -1))
    return (
        np.array_equal(call("conv2d_forward", variant, y.shape, "f4", x, w, b, **attrs), y)
        and np.array_equal(call("conv2d_backward_x", variant, x.shape, "f4", grad, w, **attrs).reshape(3, -1), grad_x[:, :-1])
        and np.array_equal(call("conv2d_backward_w", variant, w.shape, "f4", x, grad, **attrs), grad_w)
    )
def max_pool():  # ties; int64 indices
    x, attrs = guarded(ints(2, 3, 7, 9)), dict(kernel=3, stride=2, padding=1)
    y, at = module.empty((2, 3, 4, 5), np.dtype("f4")), module.empty((2, 3, 4, 5), np.dtype("i8"))
    module.get("max_pool2d_forward", "naive")(y, at, x, **attrs)
    padded = np.pad(np.asarray(x), [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    places = np.pad(np.arange(63).reshape(7, 9), 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2].reshape(2, 3, 4, 5, 9)
    first = windows.argmax(-1)
    expected = np.take_along_axis(np.lib.stride_tricks.sliding_window_view(places, (3, 3))[::2, ::2].reshape(1, 1, 4, 5, 9), first[..., None], -1)[..., 0]
    grad = guarded(ints(2, 3, 4, 5))
    grad_x = np.zeros((6, 63), "f4")
    np.add.at(grad_x, (np.repeat(np.arange(6), 20), expected.reshape(-1)), np.asarray(grad).reshape(-1))
    right = np.array_equal(y, windows.max(-1)) and np.array_equal(at, expected)
    return right and np.array_equal(call("max_pool2d_backward_x", "naive", x.shape, "f4", grad, at, **attrs).reshape(6, 63), grad_x)
def mean_pool():  # windows of 2 x 2 at the edge hold 1, 2 or 4 elements
    x, attrs = guarded(ints(2, 3, 6, 8)), dict(kernel=2, stride=2, padding=1, count_include_pad=False)
    padded = np.pad(np.asarray(x), [(0, 0), (0, 0), (1, 1), (1, 1)]).reshape(2, 3, 4, 2, 5, 2)
    count = np.pad(np.ones((6, 8), "f4"), 1).reshape(4, 2, 5, 2).sum((1, 3))
    grad = guarded(ints(2, 3, 4, 5))
    grad_x = np.repeat(np.repeat(np.asarray(grad) / count, 2, 2), 2, 3)[:, :, 1:-1, 1:-1]
    return np.array_equal(call("avg_pool2d_forward", "naive", (2, 3, 4, 5), "f4", x, **attrs), padded.sum((3, 5)) / count) and np.array_equal(
        call("avg_pool2d_backward_x", "naive", x.shape, "f4", grad, **attrs), grad_x)
probes = {
    "conv": lambda: conv("warp_tiled") and conv("tiled") and conv("mma_tf32"),
    "conv naive": lambda: conv("naive") and conv("depthwise", groups=6, K=6),
    "max pool": max_pool,
    "mean pool": mean_pool,
    "mma": lambda: matmul("mma", 65, 200, 72, "f2") and matmul("mma", 65, 200, 72, "f2", False) and matmul("mma", 63, 33, 62, "f2"),
    "tf32": tf32,
    "warp": lambda: matmul("warp_tiled", 65, 83, 70, "f4"),
    "tiled": lambda: matmul("tiled", 33, 50, 35, "f4"),
    "add": add,
    "sum": lambda: reduction("sum_forward", lambda x: x.sum(axis=1, keepdims=True)),
    "var": var,
    "argmax": lambda: reduction("argmax_forward", lambda x: x.argmax(axis=1)[:, None], "i8"),
}
"""
SWEEP = """
caught = 0
for order in ("lockstep", "forward", "reverse", "random"):
    for asynchrony in ("late", "eager", "random"):
        module.set_schedule(order, asynchrony, 1)
        for probe in sys.argv[2].split(","):
            try:
                wrong = not probes[probe]()
            except Exception as error:
                print(type(error).__name__, str(error)[:150])
                wrong = True
            caught += wrong
print("caught", caught)
"""


SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
COMPILER = os.environ.get("CXX", "g++").split()


# As the build has them, but for the optimisation: an address that a GPU would find misaligned is a trap.
TRAPS = ("-fsanitize=alignment", "-fsanitize-undefined-trap-on-error")


def compile_one(source: Path, made: Path) -> Path:
    include = source.parent.parent.parent
    flags = ["-std=gnu++17", "-O1", "-fPIC", "-w", "-ffp-contract=off", "-fno-math-errno", *TRAPS, f"-I{include}", f"-I{ROOT}"]
    subprocess.run([*COMPILER, *flags, "-c", "-x", "c++", str(source), "-o", str(made)], check=True)
    return made


def headers_of(source: Path) -> str:
    """What a .cu file is made from."""
    listed = subprocess.run(
        [*COMPILER, "-std=gnu++17", "-MM", f"-I{ROOT}", "-x", "c++", str(source)], capture_output=True, text=True, check=True
    )
    return listed.stdout


class Bench:
    """Objects without a bug, and what is linked and run with those of a seed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tree = next((ROOT / "build").glob(f"{sys.implementation.cache_tag}-*"))
        self.objects = [
            tree / f"CMakeFiles/ww_engine.dir/engine/{name}.cpp.o" for name in ("registry", "signature", "library", "parallel")
        ]
        self.objects += [tree / "CMakeFiles/_cudasim.dir/engine/module.cpp.o"]
        simulator = (ROOT / "engine/cuda/sim").glob("*.cpp")
        self.objects += [tree / f"CMakeFiles/ww_cudasim.dir/engine/cuda/sim/{p.name}.o" for p in simulator]
        self.clean = {
            s: tree / f"CMakeFiles/ww_cudasim.dir/{s.relative_to(ROOT)}.o" for s in sorted((ROOT / "kernels").glob("*/*.cu"))
        }
        with ThreadPoolExecutor(2) as pool:
            self.headers = dict(zip(self.clean, pool.map(headers_of, self.clean)))

    def made(self, folder: Path, source: Path) -> Path:
        return folder / f"{source.parent.name}-{source.stem}.o"

    def run(self, folder: Path, objects: list[Path], probes: str) -> subprocess.CompletedProcess[str]:
        """The probes under every schedule, on a module of these objects."""
        module = folder / f"_cudasim{SUFFIX}"
        linked = [*map(str, objects), *map(str, self.objects)]
        subprocess.run([*COMPILER, "-shared", "-pthread", *linked, "-ldl", "-o", str(module)], check=True)
        command = [sys.executable, "-c", PROBES + seeds_of_sequences.PROBES + SWEEP, str(folder), probes]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    def attempt(self, seed: Seed | None) -> tuple[str, str]:
        """A line for the table, and what is wrong. Only the objects that a seed's file is part of are made anew."""
        name = seed.name if seed else "no seed"
        if seed is None:
            ran = self.run(self.folder, list(self.clean.values()), ",".join(sorted({s.probe for s in SEEDS})))
        else:
            folder = self.folder / "seeds" / str(SEEDS.index(seed))
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(ROOT / "kernels", folder / "kernels")
            path = folder / "kernels" / seed.file
            text = path.read_text()
            if text.count(seed.old) != 1:
                return name, f"{name}: expected its text once in {seed.file}, found it {text.count(seed.old)} times"
            path.write_text(text.replace(seed.old, seed.new))
            objects = []
            for source, clean in self.clean.items():
                touched = f"kernels/{seed.file}" in self.headers[source]
                copy = folder / source.relative_to(ROOT)
                objects.append(compile_one(copy, self.made(folder, source)) if touched else clean)
            ran = self.run(folder, objects, seed.probe)
        lines = ran.stdout.strip().splitlines()
        caught = int(lines[-1].split()[1]) if ran.returncode == 0 and lines else -1
        line = f"{name:50s} caught in {caught:2d} of 12 schedules  {lines[0][:90] if len(lines) > 1 else ''}"
        if caught < 0:
            return line, f"{name}: the process ended with {ran.returncode}: {ran.stderr[-300:]}"
        if seed is None and caught:
            return line, "no seed: expected everything right, " + ran.stdout
        return line, f"{name}: not caught" if seed and not caught else ""


def main() -> int:
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    bench, names = Bench(folder), sys.argv[2:]
    wrong = []
    with ThreadPoolExecutor(2) as pool:
        for line, failure in pool.map(bench.attempt, (None, *(s for s in SEEDS if not names or s.name in names))):
            print(line, flush=True)
            wrong += [failure] if failure else []
    for line in wrong:
        print("FAILED", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
