"""An expression as a CUDA kernel in Python, one thread an element: device cuda through numba-cuda, cudasim in its simulator."""

from __future__ import annotations

import hashlib
import linecache
from functools import cache
from typing import Any

from .. import numba_cuda
from .._errors import DeviceError
from ..device import Array, Device
from .blocks import IN_LOOP, formula, literal
from .expression import Node, in_order

# Functions that the math module has under the same name are called there.
FORMULAS = {
    "exp2": "T(2) ** {}",
    "sigmoid": "T(1) / (T(1) + math.exp(-{}))",
    "sign": "T(1) if {0} > T(0) else T(-1) if {0} < T(0) else {0} + T(0)",
    "round": "round({})",
    "remainder": "{0} - T(math.floor({0} / {1})) * {1}",
    "floor_divide": "math.floor({0} / {1})",
    "logaddexp": "max({0}, {1}) + math.log1p(math.exp(-abs({0} - {1})))",
}


def run(name: str, root: Node, where: Device, out: Array, arrays: tuple[Array, ...]) -> None:
    """Computes the expression of these arrays into `out`, to whose shape they broadcast.

    Raises:
        ww.DeviceError: Numba has no CUDA kernels on this device; the text says why.
    """
    if reason := numba_cuda.missing(where.name):
        raise DeviceError(f"{name}: expected numba-cuda, which makes kernels for device {where.name}: {reason}")
    kernel = _compiled(_source(root, len(arrays)), str(out.dtype))
    for row, *rows in numba_cuda.rows(out, *arrays):
        numba_cuda.launch(kernel, row.size, numba_cuda.on_device(256, 8), row, *rows)


def _source(root: Node, inputs: int) -> str:
    names: dict[Node, str] = {}
    constants, lines = [], []
    for at in in_order([root]):
        names[at] = f"v{len(names)}"
        args = [names[a] for a in at.args]
        if at.op == "constant":
            constants.append(f"{names[at]} = T({literal(at)})")
        elif at.op == "parameter":
            lines.append(f"{names[at]} = x{int(at.value or 0)}[i]")
        elif at.op in IN_LOOP:
            value = formula(at, args)
            lines.append(f"{names[at]} = {f'T({value})' if at.op == 'sqrt' else value}")
        else:
            lines.append(
                f"{names[at]} = T({FORMULAS.get(at.op, f'math.{at.op}(' + ', '.join(['{}'] * len(args)) + ')').format(*args)})"
            )
    given = ", ".join(f"x{i}" for i in range(inputs))
    body = "".join(f"        {line}\n" for line in [*lines, f"y[i] = {names[root]}"])
    top = "".join(f"{line}\n" for line in constants)
    return f"{top}\n\n@cuda.jit\ndef fused(y, {given}):\n    i = cuda.grid(1)\n    if i < y.size:\n{body}"


@cache
def _compiled(source: str, dtype: str) -> Any:
    source = f"import math\nimport numpy as np\nfrom numba import cuda\n\nT = np.{dtype}\n{source}"
    file = f"<whitewolf {hashlib.sha256(source.encode()).hexdigest()[:24]}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)  # for tracebacks
    namespace: dict[str, Any] = {}
    exec(compile(source, file, "exec"), namespace)
    return namespace["fused"]
