"""The op table: one list of cases that the tests, `whitewolf verify` and `whitewolf bench` all run.

A file of this package describes a family of ops. An OpTable names the op, the kernels that it exercises, its float64 NumPy
reference and how it differentiates; its Cases give shapes and attributes. From that one entry the harness checks values, strides,
NaN, guard bands, exactness on small integers, gradients, second gradients, bits across threads and batch sizes, every variant of
every kernel, and errors.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]


@dataclass(frozen=True)
class Input:
    """One array argument, made from a seeded generator.

    Attributes:
        shape: its shape.
        kind: "normal" (standard normal), "positive" (in [0.5, 2)), "unit" (in (-0.9, 0.9)), "index" (int64 in [0, high)),
            "distinct" (a shuffled grid with gaps of 0.01: no ties, away from kinks), "far" (normal about 10^4), "bool".
        high: exclusive upper bound of an index.
        grad: whether the op is differentiable in it.
        batch: the axis along which samples are independent, or None; forward bits must not depend on who else is in the batch.
        scale: what floating values are multiplied by.
    """

    shape: tuple[int, ...]
    kind: str = "normal"
    high: int = 0
    grad: bool = True
    batch: int | None = None
    scale: float = 1.0

    def make(self, rng: np.random.Generator, dtype: Any) -> Array:
        """The array; floating kinds in `dtype`."""
        n = int(np.prod(self.shape))
        values: Any
        if self.kind == "index":
            return rng.integers(0, self.high, self.shape)
        if self.kind == "bool":
            return rng.integers(0, 2, self.shape).astype(bool)
        if self.kind == "positive":
            values = rng.uniform(0.5, 2.0, self.shape)
        elif self.kind == "unit":
            values = rng.uniform(-0.9, 0.9, self.shape)
        elif self.kind == "distinct":
            values = (rng.permutation(n) - n // 2 + 0.5).reshape(self.shape) * 0.01
        elif self.kind in ("normal", "far"):
            values = rng.standard_normal(self.shape) + (1e4 if self.kind == "far" else 0)
        else:
            raise ValueError(f"Input: expected a known kind, got {self.kind!r}")
        return np.asarray(values * self.scale).astype(dtype)


@dataclass(frozen=True)
class Case:
    """One call of an op.

    Attributes:
        inputs: positional tensor arguments.
        attrs: keyword arguments of the op and of its reference.
        name: short; says what is special ("prime", "empty", "large k").
        flops, bytes: of the forward call, multiply-add as 2; for `bench`.
        reduction: length of the longest sum in the op: the tolerance grows with its square root.
        bench: whether `whitewolf bench` times it.
        train: whether it then times forward with backward, too.
        heavy: large: for `bench` and for bits across threads; skipped where every element costs much (emulators, sanitizers).
    """

    name: str
    inputs: tuple[Input, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    flops: int = 0
    bytes: int = 0
    reduction: int = 1
    bench: bool = False
    train: bool = False
    heavy: bool = False


@dataclass(frozen=True)
class BadCall:
    """A call that must raise: the type, and words that the text must hold."""

    name: str
    call: Callable[[], Any]
    error: type[Exception]
    words: tuple[str, ...]


@dataclass(frozen=True)
class OpTable:
    """All that the harness knows of one op.

    Attributes:
        op: its name, "matmul".
        function: takes the case's inputs as Tensors, and its attrs; returns a Tensor or a tuple of them.
        reference: the same on float64 NumPy arrays.
        kernels: registered kernels that the function and its gradients run.
        never: those of their variants that no call of this op can meet.
        cases: the calls.
        gradient: "second" (first and second derivatives are checked), "first", or a sentence that says why there is none.
        ulps: tolerance of a float32 result in units of its own last place, for reduction length 1; the same in float64.
        elementwise: no sums: each element is within `ulps` of its own size, however small it is beside the others.
        exact: on small-integer inputs the result must be exactly the reference's.
        bad: calls that must raise.
        nonfinite: empty where NaN and Inf in an input come out as in the reference; else the sentence that says why they do not.
        torch: the same call on torch tensors, for parity tests and `bench --against torch`; imports torch itself.
        numpy: the same call on float32 NumPy arrays, where NumPy has it; for `bench --against numpy`.
    """

    op: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    kernels: tuple[str, ...]
    cases: tuple[Case, ...]
    never: tuple[str, ...] = ()
    gradient: str = "second"
    ulps: float = 8.0
    elementwise: bool = False
    exact: bool = False
    bad: tuple[BadCall, ...] = ()
    nonfinite: str = ""
    torch: Callable[..., Any] | None = None
    numpy: Callable[..., Any] | None = None

    def tolerance(self, case: Case, dtype: Any, reference: Array) -> Array:
        """Largest error allowed at each element: rounding of the result and of the sum's terms, for random signs."""
        eps = float(np.finfo(dtype).eps)
        if self.elementwise:
            return np.asarray(self.ulps * (eps * np.abs(reference) + float(np.finfo(dtype).smallest_subnormal)))
        finite = np.abs(reference[np.isfinite(reference)])
        scale = float(finite.max(initial=1.0))
        return np.asarray(self.ulps * eps * (np.abs(reference) + scale * np.sqrt(case.reduction)))


def tables() -> Iterator[OpTable]:
    """Every OpTable of every file in this package, in the order of file and table."""
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        yield from importlib.import_module(f"{__name__}.{module}").TABLES


# Kernels that no op differentiates through or that have no op of their own, each with the reason; the tests hold this list
# against the registry.
KERNELS_WITHOUT_CASE: dict[str, str] = {
    "probe_fma": "measures the machine, no op; tests/test_bench.py holds its count",
    "fused_forward": "runs machine code that ww.elementwise makes, not a function of its own; tests/test_elementwise.py",
    "probe_copy": "measures the machine, no op; tests/test_bench.py holds its copy",
}
