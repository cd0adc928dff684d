"""ww.kernels.load: the page's example as it stands, new variants under autograd, the cache, and every way to fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import whitewolf as ww
from whitewolf import loading, toolkit

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "kernels.md"

pytestmark = pytest.mark.skipif(
    not any(shutil.which(c) for c in (os.environ.get("CXX", "c++"), "g++", "clang++")), reason="there is no C++ compiler"
)

VARIANT = """
#include "kernels/elementwise/elementwise.h"
#include "engine/parallel.h"
#include "engine/simd.h"
#include SHIFT

namespace ww::WW_ISA {
namespace {

void negative(const Call& call) {
    const View &y = call.view(0), &x = call.view(1);
    if (y.size() == 7) fail<IndexError>("mine: seven");
    parallel_for(y.size(), 1, [&](int64_t begin, int64_t end) {
        if (y.size() == 5) fail<ShapeError>("mine: five");
        for (int64_t i = begin; i < end; i++) y.ptr<float>()[i] = shift - x.ptr<float>()[i];
    });
}

constexpr Kernel kernels[] = {{&kNegativeForward, "VARIANT", WW_ISA_NAME, dtype_bit(DType::float32), negative, -5,
    [](const Call& call) { return call.view(0).is_contiguous() && call.view(1).is_contiguous(); }}};
const Registrar registrar(kernels);

}  // namespace
}  // namespace ww::WW_ISA
"""


def folder_of(place: Path, source: str = VARIANT, variant: str = "mine") -> None:
    """A folder whose kernel includes a header that lies beside the folder."""
    folder = place / variant
    folder.mkdir(parents=True)
    (place / "shift.h").write_text("constexpr float shift = 0;\n")
    (folder / "kernel.cpp").write_text(source.replace("VARIANT", variant).replace("SHIFT", '"../shift.h"'))


def python(code: str, place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What is loaded stays: in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, timeout=300,
        env={**os.environ, "WHITEWOLF_CACHE_DIR": str(place / "cache"), **environment},
    )  # fmt: skip


def write_example(place: Path) -> None:
    blocks = re.findall(r"^## [^\n]*`([\w/]+\.\w+)`\n.*?```\w+\n(.*?)```", PAGE.read_text(), re.S | re.M)
    assert [name for name, _ in blocks] == [*(f"squared_relu/squared_relu.{e}" for e in ("h", "cpp", "cu")), "squared_relu.py"]
    (place / "squared_relu").mkdir()
    for name, text in blocks:
        (place / name).write_text(text)


def test_the_example_of_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    if not PAGE.is_file():
        pytest.skip("the tests run outside the repository, without docs/")
    write_example(tmp_path)
    known = "\nassert all('squared_relu_forward' in ww.device(name).kernels for name in ('cpu', 'cudasim'))\n"
    done = python((tmp_path / "squared_relu.py").read_text() + known, tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [f"{device} squared_relu_{op}" for device in ("cpu", "cudasim") for op in ("forward", "backward_x")]
    assert [line.rsplit(" ", 2)[0] for line in done.stdout.splitlines()[:4]] == rows
    assert done.stdout.splitlines()[4:] == ["[[ 0.  0.  9.]", " [ 4. nan  0.]]", "[[ 0.  0.  6.]", " [ 4. nan  0.]]"]


def test_the_example_compiles_for_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, reason = toolkit.find_toolkit()
    if found is None or not PAGE.is_file():
        pytest.skip(f"no nvcc: {reason}")
    monkeypatch.setenv("WHITEWOLF_CUDA_ARCHS", "80")
    write_example(tmp_path)
    # The recipe of a machine that has a GPU, but that cudasim's module stands for cuda's.
    where = SimpleNamespace(name="cuda", module_file=ww.device("cudasim").module_file)
    recipe = loading._recipe(where, tmp_path / "squared_relu")
    library, others = loading._compile(recipe, tmp_path)
    exported = subprocess.run(["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True).stdout
    assert "ww_set_stream" in exported and [path for path in others if "squared_relu" in str(path)] == []


USE = """
import numpy as np, threading, whitewolf as ww
held = ww.kernels.get("negative_forward")
rows = ww.kernels.load("mine")
assert [(r["op"], r["variant"], r["isa"], r["device"]) for r in rows] == [("negative_forward", "mine", ww.isa(), "cpu")]
assert ww.kernels.load(ww.kernels.os.path.abspath("mine")) == rows
assert sum(r["variant"] == "mine" for r in ww.kernels.list("negative")) == 1
assert rows[0] in ww.kernels.list("negative_forward", device="cpu")
x = ww.tensor(np.arange(70000, dtype="f4"), requires_grad=True)
assert (-x).numpy()[1] == -1
with ww.kernels.use(negative="mine"):
    y = -x
    y.backward(ww.ones(70000))
    assert held.choice(y.numpy().copy(), x.numpy()) == "mine"
    for n, kind in ((5, ValueError), (7, IndexError)):
        try:
            -ww.ones(n)
            raise SystemExit("no error")
        except kind as error:
            assert "mine: " in str(error)
    try:
        -ww.ones((4, 4)).mT[::2]
        raise SystemExit("no error")
    except ValueError as error:
        assert "that variant 'mine' accepts" in str(error)
assert (y.numpy() == SHIFT - x.numpy()).all() and (x.grad.numpy() == SHIFT - 1).all()
assert ww.kernels.get("negative_forward", variant="mine").__doc__ == held.__doc__
"""


TWICE = """
try:
    ww.kernels.load("copy/mine")
except ValueError as error:
    print(error)
open("mine/kernel.cpp", "a").write("// changed")
try:
    ww.kernels.load("mine")
except ValueError as error:
    print(error)
"""


def test_a_variant_joins_its_op_under_autograd_and_the_cache_sees_what_changed(tmp_path: Path) -> None:
    folder_of(tmp_path)
    assert (done := python(USE.replace("SHIFT", "0"), tmp_path)).returncode == 0, done.stderr
    libraries = set((tmp_path / "cache").rglob("*.so"))
    assert len(libraries) == 1
    # Nothing has changed: no compiler is needed but for its version.
    lazy = tmp_path / "lazy"
    lazy.write_text(f'#!/bin/sh\ncase "$*" in --version) exec {shutil.which("c++")} --version;; *) exit 9;; esac\n')
    lazy.chmod(0o755)
    assert (done := python(USE.replace("SHIFT", "0"), tmp_path, CXX=str(lazy))).returncode != 0  # another compiler: compiled anew
    assert "got status 9 of" in done.stderr
    stamp = libraries.pop().stat().st_mtime_ns
    assert (done := python(USE.replace("SHIFT", "0"), tmp_path)).returncode == 0, done.stderr
    assert [path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.so")] == [stamp]
    # A header outside the folder has changed.
    (tmp_path / "shift.h").write_text("constexpr float shift = 3;\n")
    folder_of(tmp_path / "copy")
    assert (done := python(USE.replace("SHIFT", "3") + TWICE, tmp_path)).returncode == 0, done.stderr
    # The same variant from two folders, or from one that has changed, is an error that names both.
    for said, where in zip(done.stdout.splitlines(), ("copy/mine", "mine"), strict=True):
        assert f"in {tmp_path}/{where}, got 'mine' ({ww.isa()}), which is there already, from {tmp_path}/mine" in said


FAIL = """
import os, whitewolf as ww
before = ww.kernels.list()
def fails(kind, *words, path):
    try:
        ww.kernels.load(path)
    except kind as error:
        assert type(error) is kind, repr(error)
        for word in words:
            assert word in str(error), (word, str(error))
    else:
        raise SystemExit(f"{path}: no error")
    assert ww.kernels.list() == before
fails(RuntimeError, "broken to compile for cpu", "kernel.cpp", "no_such_type", "-ffp-contract=off", path="broken")
fails(ValueError, "expected a new variant of negative_forward", "vector/vector, got 'vector'", "from Whitewolf itself", path="vector/vector")
fails(ValueError, "expected kernels in a static Registrar", path="none")
fails(ValueError, "to have the contract of Whitewolf itself", "other", path="other")
fails(ValueError, "expected mine in", "to have a signature", "expected ':' at", path="signature")
fails(ValueError, "expected a new variant of negative_forward", "from the same folder", path="half")
"""


def test_what_cannot_be_loaded_is_an_error_and_registers_nothing(tmp_path: Path) -> None:
    contract = 'constexpr Contract kMine = {"negative_forward", "negative", "out y: T[n], x: T[n], other: T[n]", ""};\n'
    head, tail = VARIANT.split("void negative")
    sources = {
        "broken": VARIANT.replace("const View &y", "no_such_type y"),
        "none": "int nothing;\n",
        "other": head + contract + "void negative" + tail.replace("kNegativeForward", "kMine"),
        "signature": head + contract.replace('"negative_forward"', '"mine"').replace("out y: T[n]", "out y T[n") + "void negative" + tail.replace("kNegativeForward", "kMine"),
    }  # fmt: skip
    for name, text in sources.items():
        folder_of(tmp_path, text, variant=name)
    folder_of(tmp_path / "vector", variant="vector")
    folder_of(tmp_path, variant="half")  # the .cpp could be added, the .cu not
    cuda = (
        "#include \"engine/cuda/device.cuh\"\n"
        + VARIANT.replace("WW_ISA_NAME", "WW_DEVICE_NAME").replace("WW_ISA", "cuda").replace("#include SHIFT", "constexpr float shift = 0;").replace("VARIANT", "half")
    )  # fmt: skip
    (tmp_path / "half" / "a.cu").write_text(cuda)
    (tmp_path / "half" / "b.cu").write_text(cuda)
    assert (done := python(FAIL, tmp_path)).returncode == 0, done.stderr


def test_arguments_that_are_no_folder_of_kernels_are_typed_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="kernels.load: expected path to be a str or a path, got int"):
        ww.kernels.load(3)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(FileNotFoundError, match="nothing is there"):
        ww.kernels.load(tmp_path / "none")
    (tmp_path / "file.cpp").write_text("")
    with pytest.raises(NotADirectoryError, match=r"got the file '.*file.cpp'"):
        ww.kernels.load(tmp_path / "file.cpp")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"expected a \.cpp or \.cu file in .*empty, got none"):
        ww.kernels.load(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"expected a \.cu file in .*, got none"):
        ww.kernels.load(tmp_path, device="cudasim")
    with pytest.raises(ww.DeviceError, match="expected one of cpu, cudasim, cuda, got 'tpu'"):
        ww.kernels.load(tmp_path, device="tpu")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        RuntimeError, match=r"CXX=no-such-compiler is no program on the path\. Install one \(Debian, Ubuntu: apt-get"
    ):
        ww.kernels.load(tmp_path)


def test_flags_are_those_of_the_package(tmp_path: Path) -> None:
    page = ROOT / "CMakeLists.txt"
    if not page.is_file():
        pytest.skip("the tests run outside the repository, without CMakeLists.txt")
    text = " ".join(page.read_text().split())
    assert " ".join(["target_compile_options(ww_flags INTERFACE", *loading.WARNINGS]) + ")" in text
    assert f"set(isa_flags_avx2 {' '.join(loading.AVX2)})" in text
    assert f"set(isa_flags_avx512 ${{isa_flags_avx2}} {' '.join(loading.ISA_FLAGS['avx512'][len(loading.AVX2) :])})" in text
    nvcc = loading.nvcc_command(toolkit.Toolkit(Path("nvcc"), "13.0", (), Path("cudart")))[1:5]
    assert " ".join(nvcc[:4]) in text
    simulated = loading._recipe(ww.device("cudasim"), tmp_path).compile
    for flag in ("-fstack-clash-protection", "-fsanitize=alignment"):  # without them such mistakes go unseen
        assert flag in simulated and f" {flag} " in text
