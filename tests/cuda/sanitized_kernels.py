"""Runs every variant of every kernel on its smallest calls of the op table, in `_cudasim`s that are built with sanitizers.

    sanitized_kernels.py address=MODULE thread=MODULE [OP ...]

Each MODULE is what kernels.mk built, and the word before it says what is loaded before Python. The calls are recorded here, by the
module that is installed; a process for each sanitizer runs them on its MODULE, over arrays that the sanitizer's malloc made. A report
ends it.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

CALLS = 2  # of each variant and dtype
ENOUGH = 200  # elements from which a call counts as more than a corner case


def record(only: list[str]) -> list[tuple[str, str, list[Any], dict[str, Any]]]:
    """(op, variant, arguments, attributes) of the smallest calls of each variant and dtype that it accepts, and that are not tiny."""
    import whitewolf as ww
    from whitewolf import cases
    from whitewolf.checks import Context
    from whitewolf.checks.calls import forward, gradients
    from whitewolf.checks.half_precision import half_dtypes
    from whitewolf.checks.replay import RawCall, arrays_of, mapped
    from whitewolf.checks.spy import Watch
    from whitewolf.checks.values import differentiable

    device = ww.device("cudasim")
    context = Context(device=device)
    seen: dict[tuple[str, str], dict[str, RawCall]] = {}  # by kernel and dtype
    for table in cases.tables():
        if only and not set(only) & {table.op, *table.kernels}:
            continue
        for case in context.cases(table):
            for dtype in context.dtypes:
                with Watch(device, record=True) as watch:
                    arrays = context.inputs(table, case, dtype)
                    forward(table, case, arrays, device)
                    if differentiable(table, case):
                        gradients(table, case, arrays, device)
                for kind, call in watch.recorded.items():
                    seen.setdefault((call.op, dtype), {})[kind] = call

    def size(call: RawCall) -> tuple[bool, int]:
        n = sum(a.size for a in arrays_of(call.views))
        return n < ENOUGH, abs(n - ENOUGH)

    found = []
    shorts = {d.name: d for d in half_dtypes()}
    for row in device.module.list():
        for name in row["dtypes"]:
            calls = seen.get((row["op"], "float64" if name == "float64" else "float32"), {})
            if only and not calls:
                continue
            taken = 0
            for call in sorted(calls.values(), key=size):
                call = call.cast(shorts[name]) if name in shorts else call
                if taken < CALLS and call.run(device, row["variant"]) is not None:
                    views = [mapped(v, lambda a: a.copy(order="K")) for v in call.views]
                    found.append((row["op"], row["variant"], [*views, *call.rest], call.attrs))
                    taken += 1
            if not taken:
                raise AssertionError(f"expected a call that {row['op']}:{row['variant']} takes in {name}, found none")
    return found


RUN = """
import importlib.util, pickle, sys, time
import numpy, ml_dtypes
spec = importlib.util.spec_from_file_location("_cudasim", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.set_num_threads(2)
with open(sys.argv[2], "rb") as file:
    calls = pickle.load(file)
for op, variant, arguments, attributes in calls:
    print(op, variant, flush=True)
    for schedule in (("lockstep", "late", 0), ("random", "random", 1)):
        module.set_schedule(*schedule)
        module.get(op, variant)(*arguments, **attributes)
print("clean:", len(calls), "calls of", len({c[:2] for c in calls}), "variants")
"""

OPTIONS = {
    "address": {"ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1", "PYTHONMALLOC": "malloc"},
    "thread": {"TSAN_OPTIONS": "halt_on_error=1:ignore_noninstrumented_modules=1"},
}


def run(sanitizer: str, module: str, calls: Path) -> bool:
    """Whether the calls run without a report; prints how it ended."""
    began = time.perf_counter()
    library = f"lib{'asan' if sanitizer == 'address' else 'tsan'}.so"
    preload = " ".join(
        subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in (library, "libstdc++.so")
    )
    environment = {**os.environ, **OPTIONS[sanitizer], "LD_PRELOAD": preload}
    done = subprocess.run([sys.executable, "-c", RUN, module, str(calls)], env=environment, capture_output=True, text=True)
    lines = done.stdout.splitlines() or ["nothing"]
    clean = done.returncode == 0 and lines[-1].startswith("clean:") and "Sanitizer" not in done.stderr
    print(done.stderr[-6000:] if not clean else "", end="")
    print(
        f"{'' if clean else 'FAILED '}{sanitizer}: {lines[-1]}, exit status {done.returncode}, {time.perf_counter() - began:.0f} s"
    )
    return clean


def main() -> int:
    modules = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    calls = record([argument for argument in sys.argv[1:] if "=" not in argument])
    print(f"{len(calls)} calls recorded", flush=True)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        path = Path(folder) / "calls"
        path.write_bytes(pickle.dumps(calls))
        clean = list(pool.map(lambda item: run(*item, path), modules.items()))
    return 0 if clean and all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
