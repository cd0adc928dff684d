"""An expression as a block function for kernels/fused/: Numba code over rows of a few hundred elements, on the CPU.

+ - * / and choices run in loops that LLVM vectorises; functions (exp, tanh, pow, ...) are calls of our own vector kernels on whole rows, so
their values are those of the ops of the same name. An expression is cut into stages, each a loop and then the calls that need its
results; what a later stage needs lies in a row of its own, which stays in the L1 cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .._cache import cache_folder
from ..device import Array, device
from .expression import COMPARISONS, LOGIC, Node, in_order

IN_LOOP = (
    *COMPARISONS,
    *LOGIC,
    "+",
    "-",
    "*",
    "/",
    "negative",
    "abs",
    "sqrt",
    "choose",
    "maximum",
    "minimum",
    "parameter",
    "constant",
)

HEADER = '''"""Written by whitewolf.elementwise."""
import math
import numpy as np
from numba import carray, cfunc
from whitewolf.fused.intrinsics import apply_function, pointer

T = np.{dtype}
size = np.dtype(T).itemsize
'''

SIGNATURE = """
@cfunc("void(int64, int64, int64, int64, int64, int64)", nopython=True, cache=True, error_model="numpy")
def block(context, y, x, n, scratch, step):"""


class Block:
    """A compiled block function.

    Attributes:
        address: of its machine code.
        inputs: positions of the parameters that it reads, in the order of its rows.
        functions: addresses of the kernels that it calls.
        temporaries: rows that it needs.
    """

    def __init__(self, source: str, inputs: list[int], functions: list[str], temporaries: int, dtype: str) -> None:
        self.inputs = inputs
        self.code = _module(source).block  # keeps the machine code alive
        self.address = int(self.code.address)
        module = device("cpu").module
        self.functions: Array = np.array([module.kernel_address(f"{name}_forward", dtype) for name in functions], np.uint64)
        self.temporaries = temporaries


def compile_block(roots: tuple[Node, ...], dtype: str) -> Block:
    """Expressions over rows of this dtype, each into an output of its own.

    Raises:
        ImportError: Numba is not installed.
    """
    try:
        importlib.import_module("numba")
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == "numba"
        raise ImportError(
            "elementwise: expected numba, which makes its kernels: pip install numba, or 'whitewolf[numba]' with numba-cuda"
            if absent
            else f"elementwise: numba does not load: {error}"
        ) from None
    writer = _Writer(roots)
    source = HEADER.format(dtype=dtype) + writer.source()
    return Block(source, writer.inputs, writer.functions, writer.rows_at_most, dtype)


def _stages(order: list[Node]) -> dict[Node, int]:
    """The stage in whose loop a node can be computed; for a function, before whose loop it has been called."""
    found: dict[Node, int] = {}
    for at in order:
        found[at] = max((found[a] for a in at.args), default=0) + (at.op not in IN_LOOP)
    return found


class _Writer:
    def __init__(self, roots: tuple[Node, ...]) -> None:
        self.roots, self.order = roots, in_order(roots)
        self.inputs = sorted(int(at.value or 0) for at in self.order if at.op == "parameter")
        self.stage = _stages(self.order)
        self.functions = sorted({at.op for at in self.order if at.op not in IN_LOOP})
        self.constants: dict[Node, str] = {at: f"c{i}" for i, at in enumerate(n for n in self.order if n.op == "constant")}
        read = {a for at in self.order for a in at.args}
        # Functions that write to an output, and nobody reads.
        self.direct = {at for at in roots if at.op not in IN_LOOP and at not in read and roots.count(at) == 1}
        self.last_use: dict[Node, int] = {}
        self.needed = self._needed()
        self.row: dict[Node, int] = {}
        self.free: list[int] = []
        self.rows_at_most = 0

    def _needed(self) -> set[Node]:
        """The nodes that want a row: functions' arguments and results, and what a later stage reads."""
        rows = set()
        for at in self.order:
            called = at.op not in IN_LOOP
            if called and at not in self.direct:
                rows.add(at)
            for a in at.args:
                when = self.stage[at] - 1 if called else self.stage[at]
                self.last_use[a] = max(self.last_use.get(a, 0), when + called)
                if a.op == "parameter" or not called and (a.op == "constant" or self.stage[a] == when and a.op in IN_LOOP):
                    continue
                rows.add(a)
        return rows

    def _take_row(self, at: Node) -> int:
        if not self.free:
            self.free.append(self.rows_at_most)
            self.rows_at_most += 1
        self.row[at] = self.free.pop()
        return self.row[at]

    def source(self) -> str:
        body: list[str] = []
        for stage in range(max(self.stage.values()) + 1):
            body += self._calls(stage)
            body += self._loop(stage)
            for at in [n for n in self.row if self.last_use.get(n, 0) <= stage]:
                self.free.append(self.row.pop(at))
        head = [
            "addresses = carray(pointer(context), 2, np.int64)",
            f"functions = carray(pointer(addresses[1]), {len(self.functions)}, np.int64)",
            f"xs = carray(pointer(x), {len(self.inputs) + len(self.roots) - 1}, np.int64)",
            *(f"x{i} = carray(pointer(xs[{i}]), n, T)" for i in range(len(self.inputs))),
            *(f"out{i} = carray(pointer({self._output(i)}), n, T)" for i in range(len(self.roots))),
            *(f"t{i} = carray(pointer(scratch + {i} * step * size), step, T)" for i in range(self.rows_at_most)),
        ]
        constants = [f"{name} = T({literal(at)})" for at, name in self.constants.items()]
        return "\n".join([*constants, SIGNATURE, *(f"    {line}" for line in [*head, *body])]) + "\n"

    def _output(self, i: int) -> str:
        return f"xs[{len(self.inputs) + i - 1}]" if i else "y"

    def _address(self, at: Node) -> str:
        if at.op == "parameter":
            return f"xs[{self.inputs.index(int(at.value or 0))}]"
        return f"scratch + {self.row[at]} * step * size"

    def _calls(self, stage: int) -> list[str]:
        lines = []
        for at in self.order:
            if at.op in IN_LOOP or self.stage[at] != stage:
                continue
            direct = at in self.direct
            to = self._output(self.roots.index(at)) if direct else f"scratch + {self._take_row(at)} * step * size"
            given = [self._address(a) for a in at.args] + ["0"] * (2 - len(at.args))
            lines.append(f"apply_function(addresses[0], functions[{self.functions.index(at.op)}], {to}, {', '.join(given)}, n)")
        return lines

    def _loop(self, stage: int) -> list[str]:
        here = [at for at in self.order if self.stage[at] == stage]
        stored = [at for at in here if at in self.needed and at.op in IN_LOOP and at.op != "parameter"]
        results = [(i, at) for i, at in enumerate(self.roots) if self.stage[at] == stage and at not in self.direct]
        if not stored and not results:
            return []
        lines, local = list[str](), dict[Node, str]()
        wanted = {*stored, *(at for _, at in results)}
        for at in reversed(here):
            if at in wanted and at.op in IN_LOOP:
                wanted.update(at.args)
        for at in self.order:
            if at in wanted:
                self._read(at, stage, local, lines)
        for at in stored:
            value = f"(T(1) if {local[at]} else T(0))" if at.is_truth else local[at]
            lines.append(f"    t{self._take_row(at)}[i] = {value}")
        lines += [f"    out{i}[i] = {local[at]}" for i, at in results]
        return ["for i in range(n):", *lines]

    def _read(self, at: Node, stage: int, local: dict[Node, str], lines: list[str]) -> None:
        """Adds the line that gives a node its name in this loop."""
        if at.op == "constant":
            local[at] = self.constants[at]
            return
        name = local[at] = f"v{len(local)}"
        if at.op == "parameter":
            value = f"x{self.inputs.index(int(at.value or 0))}[i]"
        elif at in self.row and (self.stage[at] < stage or at.op not in IN_LOOP):
            value = f"t{self.row[at]}[i]" + (" != T(0)" if at.is_truth else "")
        else:
            value = formula(at, [local[a] for a in at.args])
        lines.append(f"    {name} = {value}")


def formula(at: Node, args: list[str]) -> str:
    """A node that is computed in a loop, as Python."""
    if at.op == "choose":
        return f"{args[1]} if {args[0]} else {args[2]}"
    if at.op in ("maximum", "minimum"):
        a, b = args  # NaN if either is
        return f"{a} if ({a} {'>' if at.op == 'maximum' else '<'} {b}) | ({a} != {a}) else {b}"
    if len(args) == 1:
        return {"negative": "-{}", "abs": "abs({})", "sqrt": "math.sqrt({})", "not": "not {}"}[at.op].format(*args)
    return f"{args[0]} {({'and': '&', 'or': '|'}).get(at.op, at.op)} {args[1]}"


def literal(at: Node) -> str:
    value = 0.0 if at.value is None else at.value
    return repr(value) if math.isfinite(value) else f"float('{value}')"


@cache
def _own_version() -> str:
    """What the written code depends on beside itself."""
    return hashlib.sha256(Path(__file__).with_name("intrinsics.py").read_bytes()).hexdigest()


@cache
def _module(source: str) -> Any:
    """The source as a module of a file in the user's cache: Numba keeps what it compiles beside it."""
    name = "block_" + hashlib.sha256((_own_version() + source).encode()).hexdigest()[:24]
    folder = cache_folder() / "elementwise"
    path = folder / f"{name}.py"
    if not path.is_file() or path.read_text() != source:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".tmp", delete=False) as file:
            file.write(source)
        os.replace(file.name, path)
    spec = importlib.util.spec_from_file_location(f"whitewolf._blocks.{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where Numba looks when it takes machine code from its cache
    spec.loader.exec_module(module)
    return module
