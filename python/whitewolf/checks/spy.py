"""Watching each kernel call that an op makes: every call of every device goes through `device.kernels`, so the checks hang there.

Watch counts calls. With `guard`, outputs and workspaces get NaN on both sides and inside, and inputs are compared after the call.
With `retry`, each kind of call (replay.RawCall.kind: all but the values) is run again on every variant that takes it, in every layout,
and must give the same values; with `half`, 0 or 1, those that take float32 and float64 do so in every other layout of each argument,
starting there. With `record`, calls are kept, each kind of call once, to be run again later (replay.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np

from ..cases import Array
from ..device import Device, Kernels, host, over
from . import layouts
from .calls import LOOSER, CheckFailure, compare, floating
from .replay import RawCall, arrays_of, fresh, mapped

Tolerance = Callable[[int, Any, Array], Array]  # of a sum of so many terms, in a dtype, with these expected values
_PARAMETER = re.compile(r"\s*(?:(out|inout)\s+)?(\w+)\s*:")


def parameters(signature: str) -> list[tuple[str, str]]:
    """(direction, name) of each view of a signature: direction is "", "out" or "inout"."""
    views = re.sub(r"\[[^\]]*\]", "", signature.split(";")[0])
    found = [_PARAMETER.match(part) for part in views.split(",") if part.strip()]
    return [(m.group(1) or "", m.group(2)) for m in found if m]


class Watch:
    """A scope in which the device's kernels are watched.

    Attributes:
        calls: how often each (kernel, variant) ran.
        refused: how often each (kernel, variant) was tried and did not accept the call.
        recorded: the calls, by what tells one kind from another: kernel, shapes, strides, dtypes, attributes.
    """

    def __init__(
        self, device: Device, *, guard: bool = False, retry: Tolerance | None = None, record: bool = False, half: int | None = None
    ) -> None:
        self.device = device
        self.guard = guard
        self.retry = retry
        self.record = record
        self.half = half
        self.recorded: dict[str, RawCall] = {}
        self.calls: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()
        self.worst = 0.0
        self.tried: set[str] = set()  # kinds of calls that were run again
        self.blocks: list[tuple[Array, int, str]] = []  # guarded memory, bytes of it in use, what it is
        self._variants: dict[str, list[str]] = {}
        self.looser: dict[tuple[str, str], float] = {}  # of each (kernel, variant): LOOSER
        self.both: set[tuple[str, str]] = set()  # those that take float32 and float64
        for row in device.module.list():
            if {"float32", "float64"} <= set(row["dtypes"]):
                self.both.add((row["op"], row["variant"]))
            self._variants.setdefault(row["op"], []).append(row["variant"])
            self.looser[row["op"], row["variant"]] = LOOSER[row["precision"]]

    def __enter__(self) -> Watch:
        self._kernels, self._empty = self.device.kernels, self.device.empty
        watched = {name: _Watched(self, name, kernel) for name, kernel in self._kernels.items()}
        self.device.kernels = Kernels(self.device.name, watched)
        if self.guard:
            self.device.empty = self._guarded_empty
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.device.kernels, self.device.empty = self._kernels, self._empty

    def _guarded_empty(self, shape: tuple[int, ...], dtype: Any, layout: Any = None) -> Array:
        model = self._empty(shape, dtype, layout)
        size = max(model.size, 1) * model.itemsize
        block = layouts.poisoned(size, model)
        self.blocks.append((block, size, f"an output of shape {tuple(shape)}"))
        return over(block, model.shape, model.dtype, layouts.GUARD, model.strides)  # type: ignore[no-any-return]  # as in layouts

    def workspace(self, kernel: str, size: int) -> Array:
        block = layouts.poisoned(size, self._empty((0,), np.dtype(np.uint8)))
        self.blocks.append((block, size, f"the workspace ({size} bytes) of {kernel}"))
        return block[layouts.GUARD : layouts.GUARD + size]

    def check_guards(self, after: str) -> None:
        """Raises if a byte beside a block was written."""
        for memory, size, what in self.blocks:
            block = host(memory)
            for name, band in (("before", block[: layouts.GUARD]), ("after", block[layouts.GUARD + size :])):
                written = np.flatnonzero(band != 0xFF)
                if written.size:
                    at = int(written[0]) - layouts.GUARD if name == "before" else int(written[0])
                    raise CheckFailure(f"{after}: wrote outside {what}: {written.size} bytes {name} it, the first at offset {at}")

    def variants(self, kernel: str) -> list[str]:
        return self._variants[kernel]


def _may_share(a: Array, b: Array) -> bool:
    return type(a) is type(b) and bool(
        np.may_share_memory(a, b)
    )  # what lies on the host beside a GPU's arrays shares none of theirs


class _Watched:
    """Stands in for one raw kernel."""

    def __init__(self, watch: Watch, name: str, kernel: Any) -> None:
        self.watch, self.op, self.kernel = watch, name, kernel
        self.views = parameters(kernel.signature)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kernel, name)

    def __call__(self, *args: Any, **attrs: Any) -> None:
        watch, n = self.watch, len(self.views)
        watch.calls[self.op, self.kernel.choice(*args, **attrs)] += 1
        views = list(args[:n])
        directions = [direction for direction, _ in self.views[: len(views)]]
        if watch.record:
            call = RawCall(self.op, [mapped(v, fresh) for v in views], directions, args[n:], attrs)
            watch.recorded.setdefault(call.kind, call)
        if not watch.guard and watch.retry is None:
            self.kernel(*args, **attrs)
            return
        written = [v for v, d in zip(views, directions) if d]
        read = [v for v, d in zip(views, directions) if not d]
        before = [a.copy() for a in arrays_of(read)]
        initial = [mapped(v, np.copy) for v in written]
        if watch.guard:
            attrs = dict(attrs)
            size = self.kernel.workspace_bytes(*args, **attrs)
            if size:
                attrs["workspace"] = watch.workspace(self.op, size)
            self.kernel(*args, **attrs)
            watch.check_guards(self.op)
        else:
            self.kernel(*args, **attrs)
        outs = list(arrays_of(written))
        for at, (now, was) in enumerate(zip(arrays_of(read), before)):
            if not any(_may_share(now, out) for out in outs) and host(now).tobytes() != host(was).tobytes():
                raise CheckFailure(f"{self.op}: expected its inputs unchanged, got other values in input {at}")
        aliased = any(_may_share(a, o) for a in arrays_of(read) for o in outs)
        if watch.retry is None or aliased or sum(a.size for a in outs) >= 1 << 16:
            return
        kind = RawCall(self.op, views, directions, args[n:], attrs).kind
        if kind not in watch.tried:
            watch.tried.add(kind)
            self._again(views, directions, args[n:], attrs, initial)

    def _again(
        self, views: list[Any], directions: list[str], rest: Sequence[Any], attrs: dict[str, Any], initial: list[Any]
    ) -> None:
        start = iter(initial)
        base = [next(start) if d else v for v, d in zip(views, directions)]
        plain = [mapped(v, np.copy) if d else v for v, d in zip(views, directions)]
        for variant in self.watch.variants(self.op):
            self._compare(variant, "as called", base, directions, plain, rest, attrs)
            for at, value in enumerate(views):
                if value is None:
                    continue
                patterns = list(layouts.EMPTY)
                if self.watch.half is not None and (self.op, variant) in self.watch.both:
                    patterns = patterns[(at + self.watch.half) % 2 :: 2]
                for pattern in patterns:
                    moved = list(base)
                    moved[at] = mapped(base[at], partial(layouts.lay, pattern=pattern))
                    self._compare(variant, f"{self.views[at][1]} in {pattern}", moved, directions, plain, rest, attrs)
            for pattern in ("all stepped", "negative", "mixed"):
                moved = [mapped(v, partial(layouts.lay, pattern=pattern)) for v in base]
                self._compare(variant, f"everything in {pattern}", moved, directions, plain, rest, attrs)
        for at, (value, direction) in enumerate(zip(base, directions)):
            if not direction and hasattr(value, "dtype") and floating(value):
                self._broadcast(at, base, directions, rest, attrs)

    def _broadcast(self, at: int, base: list[Any], directions: list[str], rest: Sequence[Any], attrs: dict[str, Any]) -> None:
        """Input `at` with stride 0, against the same values written out, on each variant."""
        for name, spread in layouts.broadcasts(base[at]).items():
            moved = list(base)
            moved[at] = spread.copy()
            expected = self._run(None, moved, directions, rest, attrs)
            moved[at] = spread
            for variant in self.watch.variants(self.op):
                self._compare(variant, f"{self.views[at][1]} with {name}", moved, directions, expected, rest, attrs)

    def _run(self, variant: str | None, views: list[Any], directions: list[str], rest: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """What the call writes, from fresh outputs; None where the variant does not accept it."""
        found = RawCall(self.op, views, directions, rest, attrs).run(self.watch.device, variant)
        if found is None and variant is not None:
            self.watch.refused[self.op, variant] += 1
        return found

    def _allowed(self, looser: float, terms: int, dtype: Any, expected: Array) -> Array:
        assert self.watch.retry is not None
        return np.asarray(looser * self.watch.retry(terms, dtype, expected))

    def _compare(self, variant: str, how: str, views: list[Any], directions: list[str], plain: list[Any], rest: Sequence[Any],
                 attrs: dict[str, Any]) -> None:  # fmt: skip
        found = self._run(variant, views, directions, rest, attrs)
        if found is None:
            return
        self.watch.calls[self.op, variant] += 1
        terms = max((a.size for a in arrays_of(views)), default=1)
        for at, direction in enumerate(directions):
            if not direction or found[at] is None:
                continue
            pairs = zip(*(list(map(host, v)) if isinstance(v, list) else [host(v)] for v in (found[at], plain[at])))
            for got, expected in pairs:
                looser = self.watch.looser[self.op, variant]
                allowed = partial(self._allowed, looser, terms, got.dtype)
                try:
                    worst = compare([got], [expected.astype(np.float64) if floating(expected) else expected], allowed, got.dtype)
                except CheckFailure as error:
                    raise CheckFailure(f"{self.op}:{variant}, {how}: {self.views[at][1]}: {error}") from error
                self.watch.worst = max(self.watch.worst, worst)
