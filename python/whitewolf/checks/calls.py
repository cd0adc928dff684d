"""Calling an op of the table, and holding what it returns against its reference."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._errors import DeviceError
from ..cases import Array, Case, Input, OpTable
from ..device import Device
from ..device import device as find_device
from ..dtypes import is_floating
from ..ops.creation import asarray
from ..tensor import Tensor

FLOATS = ("float32", "float64")


class CheckFailure(AssertionError):
    """A check that does not hold; the text names op, case, dtype and check."""


@dataclass
class Context:
    """Where and how the checks run.

    Attributes:
        device: whose kernels.
        dtypes: the floating dtypes to try.
        seed: of all inputs.
        max_flops, max_bytes: heavy cases above either are left out.
    """

    device: Device = field(default_factory=find_device)
    dtypes: tuple[str, ...] = FLOATS
    seed: int = 0
    max_flops: int = 2 * 10**9
    max_bytes: int = 64 << 20

    def cases(self, table: OpTable, heavy: float = 0.0) -> Iterator[Case]:
        """The light cases and those heavy ones that fit into `heavy`, a part of max_bytes; 0: none."""
        for case in table.cases:
            if not case.heavy or (heavy and case.flops <= self.max_flops and case.bytes <= heavy * self.max_bytes):
                yield case

    def rng(self, table: OpTable, case: Case, salt: str = "") -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(f"{table.op}/{case.name}/{salt}".encode())])

    def inputs(self, table: OpTable, case: Case, dtype: Any) -> list[Array]:
        rng = self.rng(table, case)
        return [i.make(rng, np.dtype(dtype)) for i in case.inputs]


def each_case(
    name: str, heavy: float = 0.0, dtypes: Sequence[str] | None = None
) -> Callable[[Callable[[OpTable, Case, str, Context], float]], Callable[[OpTable, Context], float]]:
    """Makes a check of one case and dtype a check of a table; failures and stray errors name op, case, dtype and check."""

    def decorate(check: Callable[[OpTable, Case, str, Context], float]) -> Callable[[OpTable, Context], float]:
        def run(table: OpTable, context: Context) -> float:
            worst = 0.0
            for case in context.cases(table, heavy):
                for dtype in context.dtypes if dtypes is None else dtypes:
                    if case.heavy and dtype == "float64":
                        continue
                    where = f"{table.op}, case {case.name!r}, {dtype}, check {name!r}"
                    try:
                        worst = max(worst, check(table, case, dtype, context))
                    except AssertionError as error:
                        raise CheckFailure(f"{where}: {error}") from error
                    except Exception as error:
                        raise CheckFailure(f"{where}: expected no error, got {type(error).__name__}: {error}") from error
            return worst

        run.__doc__ = check.__doc__
        return run

    return decorate


# How much larger an error of arithmetic in less than the dtype's own precision may be: tf32 keeps 10 bits of float32's 23.
LOOSER = {"dtype": 1.0, "tf32": 2.0**13}


def floating(array: Array) -> bool:
    return array.dtype.kind == "f"


def tensors(arrays: Sequence[Array], case: Case, device: Device, grad: bool = False) -> list[Tensor]:
    """The arrays as tensors over the same memory; those that the case differentiates require grad if asked."""
    found = []
    for array, spec in zip(arrays, case.inputs):
        tensor = asarray(array, device=device)
        found.append(tensor.requires_grad_() if grad and spec.grad and floating(array) else tensor)
    return found


def as_tuple(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def forward(table: OpTable, case: Case, arrays: Sequence[Array], device: Device) -> list[Array]:
    """The op's outputs on these arrays, as NumPy arrays."""
    return [t.numpy() for t in as_tuple(table.function(*tensors(arrays, case, device), **case.attrs))]


def missing_kernel(table: OpTable, context: Context) -> str:
    """Which kernel the device lacks for this op; "" where it has all. Only the cpu is held to have every one."""
    absent = sorted(set(table.kernels) - set(context.device.kernels))
    if absent or context.device == "cpu":
        return ", ".join(absent) if context.device != "cpu" else ""
    case = next(context.cases(table))  # an op made of ops does not say which kernels it reaches
    try:
        forward(table, case, context.inputs(table, case, context.dtypes[0]), context.device)
    except DeviceError as error:
        if "has no kernel" not in str(error):
            raise
        return str(error).split(":")[0]
    return ""


def reference(table: OpTable, case: Case, arrays: Sequence[Array]) -> list[Array]:
    """The float64 reference on the same values."""
    wide = [a.astype(np.float64) if floating(a) else a.copy() for a in arrays]
    with np.errstate(all="ignore"):
        return [np.asarray(r) for r in as_tuple(table.reference(*wide, **case.attrs))]


def cotangents(outputs: Sequence[Any], rng: np.random.Generator) -> list[Array]:
    """A random gradient for each output."""
    return [rng.standard_normal(o.shape).astype(o.dtype) for o in outputs]


def off_kinks(grads: Sequence[Array], narrow: Sequence[Array], wide: Sequence[Array]) -> list[Array]:
    """The gradients without those of outputs that are zero in one precision only: there a fused ReLU has another slope in each."""
    return [np.where((n == 0) == (w == 0), g, 0).astype(g.dtype) for g, n, w in zip(grads, narrow, wide)]


def gradients(
    table: OpTable,
    case: Case,
    arrays: Sequence[Array],
    device: Device,
    grads: Sequence[Array] | None = None,
    seed: int = 0,
    create_graph: bool = False,
) -> list[Array]:
    """The gradient of each differentiable input, for random (or the given) gradients of the outputs."""
    from ..autograd import grad

    inputs = tensors(arrays, case, device, grad=True)
    active = [t for t in inputs if t.requires_grad]
    outputs = [o for o in as_tuple(table.function(*inputs, **case.attrs)) if o.requires_grad]
    if not active:
        return []
    if not outputs:
        raise CheckFailure("expected an output that requires grad, got none, though inputs do")
    if grads is None:
        grads = cotangents([o.detach().numpy() for o in outputs], np.random.default_rng(seed))
    found = grad(outputs, active, [asarray(g, device=device) for g in grads], create_graph=create_graph, allow_unused=True)
    return [np.zeros(t.shape, t.dtype) if g is None else g.detach().numpy() for t, g in zip(active, found)]


def compare(got: Sequence[Array], expected: Sequence[Array], tolerance: Callable[[Array], Array], dtype: Any) -> float:
    """Largest error as a part of the tolerance; raises where it is above 1, or where shape, dtype, NaN or Inf differ."""
    if len(got) != len(expected):
        raise CheckFailure(f"expected {len(expected)} outputs, got {len(got)}")
    worst = 0.0
    for position, (g, e) in enumerate(zip(got, expected)):
        which = f"output {position}" if len(got) > 1 else "output"
        if g.shape != e.shape:
            raise CheckFailure(f"expected {which} of shape {e.shape}, got {g.shape}")
        if not floating(e):
            if g.dtype.kind != e.dtype.kind and {g.dtype.kind, e.dtype.kind} != {"i", "u"}:
                raise CheckFailure(f"expected {which} of dtype {e.dtype}, got {g.dtype}")
            report(which, g != e, g, e, None)
            continue
        if g.dtype != np.dtype(dtype):
            raise CheckFailure(f"expected {which} of dtype {dtype}, got {g.dtype}")
        with np.errstate(all="ignore"):
            error = np.abs(g.astype(np.float64) - e)
            if np.isfinite(error).all():  # then both are finite: nearly every call of the hundred thousand that a test run makes
                allowed = tolerance(e)
                if (error <= allowed).all():
                    worst = max(worst, float(np.fmax.reduce(error / allowed, axis=None, initial=0.0)))  # 0 / 0 is left out
                    continue
        nan, inf = np.isnan(e), np.isinf(e)
        report(f"{which} (NaN)", nan != np.isnan(g), g, e, None)
        with np.errstate(all="ignore"):
            report(f"{which} (Inf)", (inf | np.isinf(g)) & ~nan & (g != e), g, e, None)
            finite = ~(nan | inf)
            allowed = np.broadcast_to(tolerance(e), e.shape)
            error = np.where(finite, error, 0.0)
        report(which, error > allowed, g, e, allowed)
        if error.size:
            with np.errstate(all="ignore"):
                worst = max(worst, float(np.nan_to_num(error / allowed, nan=0.0, posinf=0.0).max()))
    return worst


def report(which: str, wrong: Array, got: Array, expected: Array, allowed: Array | None) -> None:
    """Raises with the first wrong element and their number, if there is one."""
    wrong = np.asarray(wrong)
    if not wrong.any():
        return
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    limit = "" if allowed is None else f" (allowed error {float(allowed[at]):.3g})"
    raise CheckFailure(
        f"{which}: expected {expected[at]!r} at {at}, got {got[at]!r}{limit}; {int(wrong.sum())} of {wrong.size} elements are wrong"
    )


def same_bits(which: str, got: Sequence[Array], expected: Sequence[Array]) -> None:
    """Raises unless all arrays are equal bit for bit."""
    if len(got) != len(expected):
        raise CheckFailure(f"{which}: expected {len(expected)} arrays, got {len(got)}")
    for position, (g, e) in enumerate(zip(got, expected)):
        if g.shape != e.shape or g.dtype != e.dtype:
            raise CheckFailure(f"{which}: expected array {position} of {e.dtype} {e.shape}, got {g.dtype} {g.shape}")
        report(f"{which}: array {position}", _bits(g) != _bits(e), g, e, None)


def _bits(array: Array) -> Array:
    flat = np.ascontiguousarray(array)
    return flat.view(f"u{flat.dtype.itemsize}").reshape(array.shape) if is_floating(flat.dtype) else flat.reshape(array.shape)


def gradient_tolerance(table: OpTable, case: Case, dtype: Any, terms: int) -> Callable[[Array], Array]:
    """Like OpTable.tolerance, for sums of up to `terms` terms: a gradient may add up over what the op does not."""
    eps = float(np.finfo(dtype).eps)
    length = max(case.reduction, terms, 1)

    def allowed(expected: Array) -> Array:
        scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=1.0))
        return np.asarray(table.ulps * eps * (np.abs(expected) + scale * np.sqrt(length)))

    return allowed


__all__ = ["Array", "Case", "CheckFailure", "Context", "Input", "OpTable"]
