"""Samples of PyTorch's databases, run by PyTorch and by us, forward and gradient."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import whitewolf as ww

_DTYPES = {getattr(torch, n): n for n in (
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128")}  # fmt: skip


class WrongAnswer(AssertionError):
    """Ours differs from PyTorch's."""


def to_numpy(x: Any) -> Any:
    """A zero gradient that PyTorch keeps without memory is one with."""
    x = x.detach().resolve_conj().resolve_neg()
    return x.view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy(force=True)


def ours(value: Any, made: list[tuple[Any, Any]]) -> Any:
    """A value of a sample with tensors and dtypes of ours; `made` collects the pairs (theirs, ours) that want a gradient.

    Strides are kept: a transposed sample is a transposed tensor here.
    """
    if isinstance(value, torch.Tensor):
        again = [x for t, x in made if t is value]
        if again:
            return again[0]
        x = ww.asarray(to_numpy(value), copy=False)
        if value.requires_grad:
            x.requires_grad = True
            made.append((value, x))
        return x
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, torch.dtype):
        return _DTYPES.get(value, value)
    if isinstance(value, (list, tuple)):
        return type(value)(ours(v, made) for v in value)
    if isinstance(value, dict):
        return {k: ours(v, made) for k, v in value.items()}
    return value


def flat(result: Any) -> list[Any]:
    if isinstance(result, (list, tuple)):
        return [leaf for part in result for leaf in flat(part)]
    return [result]


def compare(what: str, mine: Any, theirs: Any, eps: float = 0.0) -> None:
    """Equal to rounding: 1e-9 of the largest element in float64, 64 ulp in narrower dtypes, or `eps` where that is more."""
    if not isinstance(theirs, torch.Tensor):
        if isinstance(mine, ww.Tensor) or mine != theirs:
            raise WrongAnswer(f"{what}: expected {theirs!r}, got {mine!r}")
        return
    if not isinstance(mine, ww.Tensor):
        raise WrongAnswer(f"{what}: expected a tensor, got {type(mine).__name__}")
    name = _DTYPES.get(theirs.dtype, str(theirs.dtype))
    if mine.shape != tuple(theirs.shape) or mine.dtype.name != name:
        raise WrongAnswer(f"{what}: expected {tuple(theirs.shape)} {name}, got {mine.shape} {mine.dtype.name}")
    a, b = mine.detach().numpy(), to_numpy(theirs)
    if b.dtype.kind in "fc":
        scale = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0)))
        wide = b.dtype in (np.float64, np.complex128)
        same = np.allclose(a, b, rtol=0, atol=max(eps, 1e-9 if wide else 64 * float(np.finfo(b.dtype).eps)) * scale, equal_nan=True)
    else:
        same = np.array_equal(a.view(b.dtype) if a.dtype.kind == "V" else a, b)
    if not same:
        raise WrongAnswer(f"{what}: expected {str(b)[:200]}, got {str(a)[:200]}")


def run_sample(
    theirs: Callable[..., Any], mine: Callable[..., Any], sample: Any, *, gradient: bool = True, eps: float = 0.0
) -> None:
    """Both on one sample: outputs, then the gradient of a random direction by every tensor that asks for one.

    Raises:
        WrongAnswer: they differ.
        Exception: whatever ours raises.
    """
    made: list[tuple[Any, Any]] = []
    input_, args, kwargs = (ours(v, made) for v in (sample.input, tuple(sample.args), dict(sample.kwargs)))
    result = flat(mine(input_, *args, **kwargs))
    check(result, flat(theirs(sample.input, *sample.args, **sample.kwargs)), made if gradient else [], eps)


def check(result: list[Any], expected: list[Any], made: list[tuple[Any, Any]], eps: float = 0.0) -> None:
    """Outputs, and gradients by the pairs (theirs, ours) of `made`."""
    if len(result) != len(expected):
        raise WrongAnswer(f"expected {len(expected)} outputs, got {len(result)}")
    for i, (a, b) in enumerate(zip(result, expected)):
        compare(f"output {i}", a, b, eps)
    rng = np.random.default_rng(0)
    pairs = [(a, b) for a, b in zip(result, expected) if isinstance(b, torch.Tensor) and b.requires_grad]
    if not pairs or not made:
        return
    if any(not a.requires_grad for a, _ in pairs):
        raise WrongAnswer("gradient: expected an output that requires grad, got one that does not")
    directions = [rng.standard_normal(tuple(b.shape)).astype(a.dtype) for a, b in pairs]
    theirs, mine = [t for t, _ in made], [t for _, t in made]
    given = [
        torch.from_numpy(d.view(np.int16)).view(torch.bfloat16) if d.dtype.kind == "V" else torch.from_numpy(d) for d in directions
    ]
    grads = torch.autograd.grad([b for _, b in pairs], theirs, given, allow_unused=True)
    found = ww.grad([a for a, _ in pairs], mine, [ww.asarray(d) for d in directions], allow_unused=True)
    for i, (a, b) in enumerate(zip(found, grads)):
        if a is None or b is None:  # none says the same as zeros
            one = a if b is None else b
            if one is not None and np.abs(one.numpy()).max(initial=0) != 0:
                raise WrongAnswer(f"gradient {i}: expected {'none' if b is None else 'one'}, got {'none' if a is None else 'one'}")
        else:
            compare(f"gradient {i}", a, b, eps)


def reason_of(error: BaseException, known: dict[str, str]) -> str | None:
    """The listed reason whose pattern is in the error's text."""
    return next((why for pattern, why in known.items() if re.search(pattern, f"{type(error).__name__}: {error}")), None)
