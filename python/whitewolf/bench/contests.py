"""What is timed: a call of ours, the same call of other libraries, and a check that ours is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ..autograd import grad, no_grad
from ..cases import Array, Case, OpTable
from ..checks.calls import (
    CheckFailure,
    Context,
    as_tuple,
    compare,
    forward,
    gradient_tolerance,
    gradients,
    off_kinks,
    reference,
    tensors,
)
from ..device import Device
from ..environment import has, version
from ..ops.creation import asarray

LIBRARIES, GPU_LIBRARIES = ("numpy", "torch"), ("cupy", "torch")
CUPY_OPS = ("matmul", "relu", "exp", "tanh", "sum", "mean", "max", "softmax")  # whose NumPy reference CuPy runs as it is
TORCH_DEVICES = {"cpu": "cpu", "cudasim": "cpu", "cuda": "cuda"}  # where PyTorch runs against a device of ours


@dataclass
class Contest:
    """One row of the benchmark.

    Attributes:
        op, case, dtype: what is computed; case ends with "train" where backward to every input is included.
        ours: how it is called ("channels_last", ...; "" where there is one way) -> one call. The best counts.
        check: raises CheckFailure if ours is wrong; returns its error against float64, relative to the largest value.
        references: library -> how it is called ("channels_last", "fused", ...) -> one call. The best counts.
        flops, bytes: of one call.
    """

    op: str
    case: str
    dtype: str
    ours: dict[str, Callable[[], Any]]
    check: Callable[[], float]
    references: dict[str, dict[str, Callable[[], Any]]] = field(default_factory=dict)
    flops: int = 0
    bytes: int = 0


def installed(library: str) -> str | None:
    """The version of a reference library, or None."""
    names = ("cupy", "cupy-cuda13x", "cupy-cuda12x") if library == "cupy" else (library,)
    return next((found for found in map(version, names) if found), None) if has(library) else None


def on_device(array: Array, device: Device) -> Any:
    """A copy of the array as PyTorch's tensor where it competes with `device`."""
    import torch

    return torch.from_numpy(np.array(array)).to(TORCH_DEVICES[device.name])


def match_modes(libraries: Sequence[str], threads: int, device: Device) -> None:
    """Gives PyTorch as many threads as we have, and on a GPU float32 that is float32 (no TF32), 16-bit products with float32 sums, and
    cuDNN's choice by timing.

    NumPy's BLAS took its number of threads from the environment when it was imported; CuPy's is float32 unless CUPY_TF32 is set.
    """
    if "torch" in libraries:
        import torch

        torch.set_num_threads(threads)
        if TORCH_DEVICES[device.name] == "cuda":
            matmul = torch.backends.cuda.matmul
            matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
            matmul.allow_fp16_reduced_precision_reduction = matmul.allow_bf16_reduced_precision_reduction = False
            torch.backends.cudnn.benchmark = True


def relative_error(got: Sequence[Array], expected: Sequence[Array]) -> float:
    """The largest error of any output, relative to that output's largest value."""
    worst = 0.0
    for g, e in zip(got, expected):
        if g.size and e.dtype.kind == "f":
            worst = max(worst, float(np.abs(g.astype(np.float64) - e).max() / max(float(np.abs(e).max()), 1e-300)))
    return worst


def from_table(
    table: OpTable, case: Case, dtype: str, device: Device, libraries: Sequence[str], train: bool, seed: int = 0
) -> Contest:
    """The contest of one case of the op table.

    Backward counts as twice the forward's work: one product of the same size for each of two inputs, or reading the inputs and the
    output's gradient and writing the input's.
    """
    context = Context(device=device, dtypes=(dtype,), seed=seed)
    arrays = context.inputs(table, case, dtype)
    make = _train if train else _forward
    made = {layout: make(table, case, laid_out(case, arrays, layout), dtype, context) for layout in layouts(arrays)}
    ours = {layout: run for layout, (run, _) in made.items()}
    checks = [check for _, check in made.values()]
    references: dict[str, dict[str, Callable[[], Any]]] = {}
    if "numpy" in libraries and table.numpy is not None and not train and device != "cuda":
        references["numpy"] = {"": partial(table.numpy, *arrays, **case.attrs)}
    if "cupy" in libraries and table.op in CUPY_OPS and table.numpy is not None and not train and device == "cuda":
        references["cupy"] = {"": partial(table.numpy, *map(device.xp.asarray, arrays), **case.attrs)}  # NumPy's functions give way
    if "torch" in libraries and table.torch is not None:
        references["torch"] = _torch(table, case, arrays, train, device)
    work = 3 if train else 1
    name = f"{case.name}, train" if train else case.name
    return Contest(
        table.op, name, dtype, ours, lambda: max(check() for check in checks), references, case.flops * work, case.bytes * work
    )


def layouts(arrays: Sequence[Array]) -> list[str]:
    """How images may lie: the ways in which a call with these arrays is timed."""
    return ["contiguous", "channels_last"] if any(a.ndim == 4 for a in arrays) else [""]


def laid_out(case: Case, arrays: list[Array], layout: str) -> list[Array]:
    """The same values, with images (not filters) channels last where that is asked for."""
    if layout != "channels_last":
        return arrays
    images = [a.ndim == 4 and spec.batch is not None for a, spec in zip(arrays, case.inputs)]
    return [np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if i else a for a, i in zip(arrays, images)]


def _like(values: Array, layout: Array) -> Array:
    """`values` in the order of dimensions of `layout`, as a layer behind would send them."""
    placed = np.empty_like(layout, dtype=values.dtype)
    placed[...] = values
    return placed


Made = tuple[Callable[[], Any], Callable[[], float]]


def _forward(table: OpTable, case: Case, arrays: list[Array], dtype: str, context: Context) -> Made:
    inputs = tensors(arrays, case, context.device)
    expected = reference(table, case, arrays)

    def run() -> Any:
        with no_grad():
            return table.function(*inputs, **case.attrs)

    def check() -> float:
        got = forward(table, case, arrays, context.device)
        compare(got, expected, partial(table.tolerance, case, dtype), dtype)
        return relative_error(got, expected)

    return run, check


def _train(table: OpTable, case: Case, arrays: list[Array], dtype: str, context: Context) -> Made:
    inputs = tensors(arrays, case, context.device, grad=True)
    active = [t for t in inputs if t.requires_grad]
    outputs = [o for o in as_tuple(table.function(*inputs, **case.attrs)) if o.requires_grad]
    rng = np.random.default_rng(context.seed)
    wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]
    grads = [rng.standard_normal(o.shape).astype(dtype) for o in outputs]
    grads = off_kinks(grads, [o.detach().numpy() for o in outputs], forward(table, case, wide, context.device))
    size = sum(g.size for g in grads)
    sent = [asarray(_like(g, o.detach().numpy()), device=context.device) for g, o in zip(grads, outputs)]
    expected = gradients(table, case, wide, context.device, [g.astype(np.float64) for g in grads])
    del outputs

    def run() -> Any:
        outs = [o for o in as_tuple(table.function(*inputs, **case.attrs)) if o.requires_grad]
        return grad(outs, active, sent)

    def check() -> float:
        got = gradients(table, case, arrays, context.device, grads)
        compare(got, expected, gradient_tolerance(table, case, dtype, size), dtype)
        return relative_error(got, expected)

    return run, check


def _torch(table: OpTable, case: Case, arrays: list[Array], train: bool, device: Device) -> dict[str, Callable[[], Any]]:
    """The same call in torch, in its default layout and, where there are images, in channels_last."""
    import torch

    assert table.torch is not None
    found: dict[str, Callable[[], Any]] = {}
    for layout in layouts(arrays):
        inputs = [on_device(a, device) for a in arrays]
        if layout == "channels_last":
            inputs = [t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t for t in inputs]
        if not train:
            found[layout] = partial(_torch_forward, table.torch, inputs, case.attrs)
            continue
        for tensor, spec in zip(inputs, case.inputs):
            if spec.grad and tensor.is_floating_point():
                tensor.requires_grad_()
        active = [t for t in inputs if t.requires_grad]
        outputs = [o for o in as_tuple(table.torch(*inputs, **case.attrs)) if o.requires_grad]
        sent = [torch.randn_like(o) for o in outputs]
        found[layout] = partial(_torch_train, table.torch, inputs, case.attrs, active, sent)
    return found


def _torch_forward(function: Callable[..., Any], inputs: list[Any], attrs: dict[str, Any]) -> Any:
    import torch

    with torch.no_grad():
        return function(*inputs, **attrs)


def _torch_train(function: Callable[..., Any], inputs: list[Any], attrs: dict[str, Any], active: list[Any], sent: list[Any]) -> Any:
    import torch

    outputs = [o for o in as_tuple(function(*inputs, **attrs)) if o.requires_grad]
    return torch.autograd.grad(outputs, active, sent)


__all__ = [
    "CheckFailure",
    "Contest",
    "LIBRARIES",
    "from_table",
    "installed",
    "laid_out",
    "layouts",
    "match_modes",
    "on_device",
    "relative_error",
]
