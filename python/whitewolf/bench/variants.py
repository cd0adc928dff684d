"""Contests of variants that no call chooses by itself: rungs of the ladders, tensor cores in each precision, the persistent LSTM.

References compute in the same arithmetic: PyTorch's float32 with TF32 where ours is tf32 and without it elsewhere; 16-bit products with
float32 sums. A contest whose variant does not take its call, or whose dtype the array library lacks, is left out.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .. import cases
from .._precision import precision
from ..cases import Array, Case, OpTable
from ..checks.calls import LOOSER, Context, compare, forward, reference
from ..checks.half_precision import allowed_of_rounded
from ..checks.replay import RawCall
from ..checks.spy import Watch
from ..device import Device, host
from ..dtypes import find_dtype
from .contests import Contest, from_table, laid_out, layouts, on_device, relative_error
from .sequences import lstm

Built = Callable[[], "Contest | None"]

# Families, the bench cases of which each variant is timed on (the first one where the run is quick), and whether backward is, too.
LADDERS = (
    ("matmul", ("512 x 512 x 512", "1024 x 1024 x 1024", "2048 x 2048 x 2048", "20 x 650 x 2600"), (False,)),
    ("conv2d", ("LeNet c2", "AlexNet c3", "VGG 14", "ResNet 1x1"), (False, True)),
)
SEQUENCES = ((20, 20, 200, 200, 2), (50, 64, 256, 256, 1))  # that fit on chip, also in float64, which is what they are checked in
HALVES = ("float16", "bfloat16")


def every_variant(device: Device, libraries: Sequence[str], seed: int = 0, quick: bool = False) -> Iterator[Built]:
    """A builder for each variant of the families and each case."""
    tables = {table.op: table for table in cases.tables()}
    for family, names, ways in LADDERS:
        chosen = [case for case in tables[family].cases if case.name in (names[:1] if quick else names)]
        for case in chosen:
            yield from ladder(tables[family], case, ways, device, libraries, seed)
    for variant in _variants(device, "lstm_forward", "float32", "dtype"):
        for sizes in SEQUENCES[:1] if quick else SEQUENCES:
            yield partial(sequence, variant, sizes, device, libraries, seed)


def ladder(
    table: OpTable, case: Case, ways: Sequence[bool], device: Device, libraries: Sequence[str], seed: int = 0
) -> Iterator[Built]:
    """Each variant of the family on one case: float32 and tf32 as ops, 16-bit arrays as raw kernels. `ways`: without backward, with it."""
    kernel = f"{table.op}_forward"
    for train in ways:
        for variant in _variants(device, kernel, "float32", "dtype"):
            yield partial(rung, table, case, variant, False, device, libraries, train, seed)
        if _variants(device, kernel, "float32", "tf32"):
            yield partial(rung, table, case, "", True, device, libraries, train, seed)
    for dtype in HALVES:
        for variant in _variants(device, kernel, dtype, "dtype"):
            yield partial(half, table, case, variant, dtype, device, libraries, seed)


def _variants(device: Device, op: str, dtype: str, arithmetic: str) -> list[str]:
    rows = [row for row in device.module.list() if row["op"] == op and dtype in row["dtypes"] and row["precision"] == arithmetic]
    return [row["variant"] for row in rows]


@contextlib.contextmanager
def using(device: Device, family: str, variant: str) -> Iterator[None]:
    """`ww.kernels.use` on one device alone, as it is entered in each call that is timed."""
    token = device.module.push_variant(family, variant)
    try:
        yield
    finally:
        device.module.pop_variant(token)


def within(contest: Contest, label: str, scope: Callable[[], contextlib.AbstractContextManager[None]]) -> Contest | None:
    """The contest with our calls in a scope; None where the variant in force there does not take the call."""

    def scoped(call: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            with scope():
                return call()

        return run

    made = replace(
        contest,
        case=f"{contest.case}, {label}",
        ours={way: scoped(call) for way, call in contest.ours.items()},
        check=scoped(contest.check),
    )
    try:
        for call in made.ours.values():
            call()
    except ValueError as refusal:
        if f"that variant '{label}' accepts" not in str(refusal):
            raise
        return None
    return made


def rung(
    table: OpTable, case: Case, variant: str, tf32: bool, device: Device, libraries: Sequence[str], train: bool, seed: int = 0
) -> Contest | None:
    """One float32 call on one variant of the family, or in tf32."""
    if tf32:  # CuPy's arithmetic is settled by its environment, so it does not compete
        loose = replace(table, ulps=table.ulps * LOOSER["tf32"])
        contest = from_table(loose, case, "float32", device, [name for name in libraries if name != "cupy"], train, seed)
        contest.references = {
            name: {way: _in_tf32(call) for way, call in ways.items()} for name, ways in contest.references.items()
        }
        return within(contest, "tf32", partial(precision, "tf32"))
    contest = from_table(table, case, "float32", device, libraries, train, seed)
    return within(contest, variant, partial(using, device, table.op, variant))


def _in_tf32(call: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        import torch

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        try:
            return call()
        finally:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    return run


def half(
    table: OpTable, case: Case, variant: str, dtype: str, device: Device, libraries: Sequence[str], seed: int = 0
) -> Contest | None:
    """One raw forward call on 16-bit arrays; its sums are float32."""
    if dtype == "bfloat16" and importlib.util.find_spec("ml_dtypes") is None:
        return None
    short = find_dtype("bench", dtype)
    context = Context(device=device, dtypes=("float32",), seed=seed)
    arrays = [a.astype(short).astype(np.float32) for a in context.inputs(table, case, "float32")]
    expected = reference(table, case, arrays)
    terms = max(a.size for a in arrays)
    calls: dict[str, RawCall] = {}
    for layout in layouts(arrays):
        with Watch(device, record=True) as watch:
            forward(table, case, laid_out(case, arrays, layout), device)
        recorded = [call for call in watch.recorded.values() if call.op == f"{table.op}_forward"]
        try:
            with np.errstate(all="ignore"):  # what an output holds before the call may be anything
                calls[layout] = recorded[0].cast(short)
        except (TypeError, ValueError):  # CuPy has bfloat16 from 14 on
            return None
        if calls[layout].run(device, variant) is None:
            return None

    def check() -> float:
        worst = 0.0
        for call in calls.values():
            found = call.run(device, variant)
            assert found is not None, "it was taken before"
            got = [host(a) for a in call.written(found)]
            compare(got, expected, partial(allowed_of_rounded, short, terms), short)
            worst = max(worst, relative_error([a.astype(np.float64) for a in got], expected))
        return worst

    references: dict[str, dict[str, Callable[[], Any]]] = {}
    if "torch" in libraries and table.torch is not None:
        references["torch"] = {way: _torch_half(table, case, arrays, way, dtype, device) for way in layouts(arrays)}
    ours = {layout: _raw(call, variant, device) for layout, call in calls.items()}
    return Contest(table.op, f"{case.name}, {variant}", dtype, ours, check, references, case.flops, case.bytes // 2)


def _raw(call: RawCall, variant: str, device: Device) -> Callable[[], Any]:
    return partial(device.module.get(call.op, variant), *call.views, *call.rest, **call.attrs)


def _torch_half(table: OpTable, case: Case, arrays: list[Array], layout: str, dtype: str, device: Device) -> Callable[[], Any]:
    import torch

    assert table.torch is not None
    inputs = [on_device(a, device).to(getattr(torch, dtype)) for a in arrays]
    if layout == "channels_last":
        inputs = [t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t for t in inputs]
    call = partial(table.torch, *inputs, **case.attrs)

    def run() -> Any:
        with torch.no_grad():
            return call()

    return run


def sequence(variant: str, sizes: tuple[int, ...], device: Device, libraries: Sequence[str], seed: int = 0) -> Contest | None:
    """nn.LSTM, forward and backward, on one variant of its kernels."""
    steps, samples, features, units, layers = sizes
    contest = lstm(steps, samples, features, units, layers, device, libraries, seed)
    return within(contest, variant, partial(using, device, "lstm", variant))
