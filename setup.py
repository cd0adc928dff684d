"""Builds the compiled modules with CMake; all else is in pyproject.toml.

Environment: CXX (the compiler), CMAKE_ARGS (further arguments to CMake), WHITEWOLF_BUILD_JOBS (compilers at a time),
WHITEWOLF_CUDA (1: build the module for GPUs, 0: do not; else where nvcc and a GPU are there), WHITEWOLF_CUDA_ARCHS ("80 90a").
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
SOURCES = ("engine", "kernels")


def find_compiler() -> str:
    """The C++ compiler, or an error that says what is missing and how to name one."""
    asked = os.environ.get("CXX")
    for name in [asked] if asked else ["c++", "g++", "clang++"]:
        if shutil.which(name.split()[0]):
            return name
    what = f"CXX={asked} is no program on the path" if asked else "none of c++, g++, clang++ is on the path"
    sys.exit(
        f"whitewolf: expected a C++17 compiler (GCC 9 or later, or Clang 10 or later), but {what}.\n"
        "Install one (Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++), or name it: CXX=/path/to/g++ pip install ."
    )


def cuda_arguments() -> list[str]:
    """What CMake must know to build the module for GPUs; nothing where it is not to be built."""
    asked = os.environ.get("WHITEWOLF_CUDA", "")
    if asked not in ("", "0", "1"):
        sys.exit(f"whitewolf: expected WHITEWOLF_CUDA to be 0, 1 or unset, got {asked!r}")
    spec = importlib.util.spec_from_file_location("toolkit", ROOT / "python" / "whitewolf" / "toolkit.py")
    toolkit = importlib.util.module_from_spec(spec)
    sys.modules["toolkit"] = toolkit  # dataclasses look there
    spec.loader.exec_module(toolkit)
    if asked == "0" or not asked and toolkit.gpu():
        return ["-DWW_NVCC="]
    found, reason = toolkit.find_toolkit()
    if found is None:
        if asked:
            sys.exit(f"whitewolf: WHITEWOLF_CUDA=1 asks for nvcc: {reason}")
        print(f"whitewolf: a GPU is there, but the module for it is not built: {reason}")
        return ["-DWW_NVCC="]
    architectures = os.environ.get("WHITEWOLF_CUDA_ARCHS") or toolkit.ARCHITECTURES
    return [
        f"-DWW_NVCC={found.nvcc}",
        f"-DWW_CUDA_RUNTIME={found.runtime}",
        f"-DWW_CUDA_INCLUDE={';'.join(map(str, found.include))}",
        f"-DWW_CUDA_ARCHS={';'.join(architectures.replace(',', ' ').split())}",
    ]


class CMakeBuild(build_ext):
    """Configures and builds once; the modules land beside the package."""

    def run(self) -> None:
        import pybind11

        find_compiler()
        if shutil.which("cmake") is None:
            sys.exit("whitewolf: expected cmake 3.20.2 or later on the path; pip installs it with the build requirements")
        target = ROOT / "python" / "whitewolf" if self.inplace else Path(self.build_lib).resolve() / "whitewolf"
        tag = f"{sys.implementation.cache_tag}-{sys.platform}"
        folder = ROOT / "build" / tag
        folder.mkdir(parents=True, exist_ok=True)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
        jobs = os.environ.get("WHITEWOLF_BUILD_JOBS") or str(cores)
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        cache = folder / "CMakeCache.txt"
        if cache.exists() and f"CMAKE_HOME_DIRECTORY:INTERNAL={ROOT}\n" not in cache.read_text():
            cache.unlink()  # the folder was moved or copied: its absolute paths are stale
        configure = [
            "cmake", "-S", str(ROOT), "-B", str(folder), *generator,
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            f"-DPython_EXECUTABLE={sys.executable}",
            "-DCMAKE_BUILD_TYPE=Release",
            *cuda_arguments(),
            *os.environ.get("CMAKE_ARGS", "").split(),
        ]  # fmt: skip
        for command in (configure, ["cmake", "--build", str(folder), "--parallel", jobs],
                        ["cmake", "--install", str(folder), "--prefix", str(target.parent)]):  # fmt: skip
            try:
                subprocess.run(command, check=True)
            except subprocess.CalledProcessError as error:
                sys.exit(
                    f"whitewolf: expected `{' '.join(command)}` to end with status 0, got {error.returncode}; its output is above"
                )


class PackageSources(build_py):
    """Puts engine/ and kernels/ into the wheel, so that people can compile kernels of their own against them."""

    def run(self) -> None:
        super().run()
        if getattr(self, "editable_mode", False):
            return
        for name in SOURCES:
            for path in sorted((ROOT / name).rglob("*")):
                if path.suffix in (".h", ".cpp", ".cu", ".cuh", ".py"):
                    goal = Path(self.build_lib) / "whitewolf" / "include" / path.relative_to(ROOT)
                    goal.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, goal)


class SourceDistribution(sdist):
    """Adds what CMake needs: an sdist that does not build is no use."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        for name in SOURCES:
            shutil.copytree(ROOT / name, Path(base_dir) / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("CMakeLists.txt", "LICENSE"):
            shutil.copyfile(ROOT / name, Path(base_dir) / name)


setup(
    ext_modules=[Extension("whitewolf._cpu", sources=[]), Extension("whitewolf._cudasim", sources=[])],
    cmdclass={"build_ext": CMakeBuild, "build_py": PackageSources, "sdist": SourceDistribution},
)
