"""Kernels of one's own: a folder of .cpp and .cu files is compiled, cached, and joins the registry. See `ww.kernels.load`.

A library is named after all that it depends on: its sources, the headers of the package, the flags, the compiler. It is linked against
the device's module, so it has the same registry, thread pool and simulator.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from . import toolkit
from ._cache import cache_folder
from ._errors import DeviceError
from .device import Device, devices
from .device import device as find_device
from .runtime import get_include

SOURCES = {"cpu": ".cpp", "cudasim": ".cu", "cuda": ".cu"}
HEADERS = (".h", ".hpp", ".cuh", ".inl")

# As in CMakeLists.txt: tests/test_load.py compares them.
FLAGS = "-std=gnu++17 -fPIC -fvisibility=hidden -fvisibility-inlines-hidden".split()
WARNINGS = "-ffp-contract=off -fno-math-errno -fno-trapping-math -Wall -Wextra -Wno-psabi -Wno-ignored-attributes".split()
GNU_ALONE = "-fsanitize-undefined-trap-on-error --param=stack-clash-protection-guard-size=12".split()
GNU_ALONE += "-fno-ipa-icf -fno-crossjumping -fno-tree-tail-merge -fno-isolate-erroneous-paths-dereference".split()
AVX2 = "-mavx2 -mfma -mf16c -mbmi2".split()
ISA_FLAGS = {
    "baseline": [],
    "avx2": AVX2,
    "avx512": [*AVX2, *"-mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512".split()],
}

_loaded: dict[str, list[dict[str, Any]]] = {}  # rows by library
_loading = threading.Lock()


@dataclass(frozen=True)
class Recipe:
    """How a folder becomes a library for one device."""

    device: Device
    folder: Path
    sources: tuple[Path, ...]
    compile: tuple[str, ...]  # the command, without its input and output
    link: tuple[str, ...]
    version: str  # of the compilers


def load(path: Any, device: Any = None) -> list[dict[str, Any]]:
    """What `ww.kernels.load` does."""
    with _loading:
        return _load(_checked(path), device)


def _load(folder: Path, device: Any) -> list[dict[str, Any]]:
    wanted = [n for n, state in devices().items() if state == "available"] if device is None else [find_device(device).name]
    places = [
        find_device(name) for name in wanted if any(folder.glob("*" + SOURCES[name])) and _compiled(find_device(name), device)
    ]
    if not places:
        kinds = " or ".join(sorted({SOURCES[name] for name in wanted}))
        raise ValueError(f"kernels.load: expected a {kinds} file in {folder}, got none")
    libraries = [(where, str(_build(_recipe(where, folder)))) for where in places]  # all are built, then all are checked,
    rows = [(where, path, _loaded.get(path) or where.module.check_library(path, str(folder))) for where, path in libraries]
    for where, library, added in rows:  # and only then one is added
        if library not in _loaded:
            where.module.add_library(library, str(folder))
            where.find_new_kernels()
            _loaded[library] = added
    return [row | {"device": where.name} for where, _, added in rows for row in added]


def _checked(path: Any) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"kernels.load: expected path to be a str or a path, got {type(path).__name__}")
    folder = Path(path)
    if not folder.exists():
        raise FileNotFoundError(
            f"kernels.load: expected path to be a folder with a .cpp or .cu file, got {str(path)!r}: nothing is there"
        )
    if not folder.is_dir():
        raise NotADirectoryError(f"kernels.load: expected path to be a folder with a .cpp or .cu file, got the file {str(path)!r}")
    return folder.resolve()


def _compiled(where: Device, asked: Any) -> bool:
    """Whether the device has a compiled module to link against: cuda may have the kernels written in Python alone."""
    found = where.module_file is not None
    if not found and asked is not None:
        raise DeviceError(f"kernels.load: device {where.name} has no compiled module, only the kernels written in Python")
    return found


def _compiler() -> list[str]:
    asked = os.environ.get("CXX")
    for name in [asked] if asked else ["c++", "g++", "clang++"]:
        words = shlex.split(name)
        if words and shutil.which(words[0]):
            return words
    what = f"CXX={asked} is no program on the path" if asked else "none of c++, g++, clang++ is on the path"
    raise RuntimeError(
        f"kernels.load: expected a C++17 compiler (GCC 9 or later, or Clang 10 or later), but {what}. Install one (Debian, Ubuntu: "
        "apt-get install g++; Fedora: dnf install gcc-c++), or name it in CXX"
    )


@cache
def _version(command: tuple[str, ...]) -> str:
    return subprocess.run([*command, "--version"], capture_output=True, text=True).stdout


def _recipe(where: Device, folder: Path) -> Recipe:
    include, compiler = get_include(), _compiler()
    sources = sorted(folder.glob("*" + SOURCES[where.name]))
    version = _version(tuple(compiler))
    link = [*compiler, "-shared"]
    end = [str(where.module_file), "-pthread"]
    if where.name == "cpu":
        isa = where.module.isa()
        command = [*compiler, *FLAGS, *WARNINGS, "-O3", *ISA_FLAGS[isa], f"-DWW_ISA={isa}"]
    elif where.name == "cudasim":
        command = [*compiler, *FLAGS, *WARNINGS, "-O2", "-g1", "-Wno-unknown-pragmas"]
        command += ["-fno-optimize-sibling-calls", "-fstack-clash-protection", "-fsanitize=alignment"]
        command += ["-fsanitize-trap=alignment"] if "clang" in version else list(GNU_ALONE)
        command += ["-x", "c++"]
    else:
        found, reason = toolkit.find_toolkit()
        if found is None:
            raise RuntimeError(
                f"kernels.load: expected nvcc, to compile for device cuda: {reason}; device='cpu' leaves the GPU out"
            )
        command = nvcc_command(found)
        sources.append(Path(include) / "engine" / "cuda" / "follow_stream.cu")
        version += found.version
        end = [str(found.runtime), *end, "-ldl", "-lrt"]
    return Recipe(where, folder, tuple(sources), (*command, f"-I{include}"), (*link, *end), version)


def nvcc_command(found: toolkit.Toolkit) -> list[str]:
    """nvcc as CMakeLists.txt calls it, without its input and output."""
    architectures = (os.environ.get("WHITEWOLF_CUDA_ARCHS") or toolkit.ARCHITECTURES).replace(",", " ").split()
    first = architectures[0]
    return [
        str(found.nvcc), "-std=c++17", "-O2", "--expt-relaxed-constexpr", "-Xcompiler=-fPIC,-fvisibility=hidden",
        *(f"-isystem={path}" for path in found.include),
        f"-gencode=arch=compute_{first},code=compute_{first}", *(f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures),
    ]  # fmt: skip


def _digest(paths: list[Path], *more: Any) -> str:
    found = hashlib.sha256(json.dumps(more, default=str).encode())
    for path in paths:
        found.update(f"\0{path}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:32]


def _files(folder: Path, *endings: str) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in endings and path.is_file())


@cache
def _package(include: str) -> str:
    """A digest of all that the package gives to compile against."""
    root = Path(include)
    return _digest(
        [*_files(root / "engine", *HEADERS, ".cu"), *_files(root / "kernels", *HEADERS), *_files(root / "kernels/common", ".cpp")]
    )


def _build(recipe: Recipe) -> Path:
    """The library, from the cache where nothing that it depends on has changed."""
    given = _files(recipe.folder, *HEADERS, ".cpp", ".cu")
    key = _digest(given, recipe.folder, recipe.compile, recipe.link, recipe.version, _package(get_include()), sys.version)
    folder = cache_folder() / "kernels"
    note = folder / f"{key}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        seen = json.loads(note.read_text())
        if _digest([Path(path) for path in seen["others"]]) == seen["digest"] and (folder / seen["library"]).is_file():
            return folder / str(seen["library"])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="building-") as place:
        made, others = _compile(recipe, Path(place))
        digest = _digest(others)
        library = folder / f"{recipe.folder.name}-{recipe.device.name}-{_digest([], key, digest)}.so"
        os.replace(made, library)  # at once: another process may be doing the same
        written = Path(place) / "note"
        written.write_text(json.dumps({"others": list(map(str, others)), "digest": digest, "library": library.name}))
        os.replace(written, note)
    return library


def _compile(recipe: Recipe, place: Path) -> tuple[Path, list[Path]]:
    """The library, and the headers that it includes from elsewhere than its folder and the package."""
    include = Path(get_include())
    objects: dict[Path, Path] = {}
    headers: set[Path] = set()
    waiting = list(recipe.sources)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2) as pool:
        while waiting:
            for source in waiting:
                objects[source] = place / f"{len(objects)}.o"
            for found in pool.map(lambda source: _compile_one(recipe, source, objects[source]), waiting):
                headers |= found
            # What a header of kernels/common declares, the file beside it defines; each library has its own.
            waiting = sorted({h.with_suffix(".cpp") for h in headers if h.parent == include / "kernels" / "common"} - set(objects))
            waiting = [path for path in waiting if path.is_file() and recipe.device.name == "cpu"]
    library = place / "library.so"
    head, *rest = recipe.link
    _run(recipe, [head, *map(str, objects.values()), *rest, "-o", str(library)])
    return library, sorted(h for h in headers if not h.is_relative_to(recipe.folder) and not h.is_relative_to(include))


def _compile_one(recipe: Recipe, source: Path, target: Path) -> set[Path]:
    depends = target.with_suffix(".d")
    _run(recipe, [*recipe.compile, "-MMD", "-MF", str(depends), "-c", str(source), "-o", str(target)])
    words = shlex.split(depends.read_text().replace("\\\n", " "))
    return {Path(word).resolve() for word in words[1:]} - {source}


def _run(recipe: Recipe, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise RuntimeError(
            f"kernels.load: expected {recipe.folder} to compile for {recipe.device.name}, got status {done.returncode} of\n"
            f"  {shlex.join(command)}\n{done.stderr or done.stdout}"
        )
