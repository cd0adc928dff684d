"""gradcheck: backward against central differences, along random directions, so that the cost does not grow with size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._named import checked
from .autograd import grad
from .graph import _GradMode
from .tensor import Tensor, tensor


def _outputs(function: Callable[..., Any], inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    out = function(*inputs)
    outs = out if isinstance(out, (tuple, list)) else (out,)
    return tuple(o for o in outs if isinstance(o, Tensor) and o.dtype.kind == "f")


def gradcheck(
    function: Callable[..., Any],
    inputs: Tensor | Sequence[Tensor],
    *,
    eps: float = 1e-6,
    atol: float = 1e-6,
    rtol: float = 1e-4,
    directions: int = 3,
    seed: int = 0,
) -> bool:
    """True if backward agrees with central differences; raises otherwise, with both numbers.

    For random v (over all inputs that require grad) and u (over all outputs): the sum of u * J v from differences,
    (f(x + eps v) - f(x - eps v)) / (2 eps), against the sum of (u J) * v from backward.

    Args:
        function: takes the inputs, returns a tensor or several.
        inputs: float64 where they require grad (differences in float32 say nothing).
        eps: length of the step.
        atol, rtol: agreement asked for, absolute and relative to the larger number.
        directions: random directions to try.

    Raises:
        AssertionError: they disagree.
        TypeError: an input that requires grad is not float64.
        ValueError: no input requires grad, or a tolerance is negative.

    >>> import whitewolf as ww
    >>> ww.autograd.gradcheck(ww.exp, ww.ones(2, dtype="float64", requires_grad=True))
    True
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    active = [i for i, t in enumerate(given) if isinstance(t, Tensor) and t.requires_grad]
    if not active:
        raise ValueError("gradcheck: expected inputs of which one requires grad, got none")
    for i in active:
        if given[i].dtype != np.float64:
            raise TypeError(f"gradcheck: expected inputs[{i}].dtype == float64, got {given[i].dtype}")
    for name, value in (("eps", eps), ("atol", atol), ("rtol", rtol)):
        if not 0 <= value < np.inf or name == "eps" and not value:
            raise ValueError(f"gradcheck: expected {name} to be a finite number {'> 0' if name == 'eps' else '>= 0'}, got {value}")
    for name, count in (("directions", directions), ("seed", seed)):
        if not 0 <= count < 2**32:
            raise ValueError(f"gradcheck: expected {name} in [0, 2**32), got {count}")
    rng = np.random.default_rng(seed)
    outs = _outputs(function, given)
    needed = [o for o in outs if o.requires_grad]
    if not needed:
        raise AssertionError("gradcheck: no output requires grad, though an input does")
    for trial in range(directions):
        u = [rng.standard_normal(o.shape) for o in outs]
        v = {i: rng.standard_normal(given[i].shape) for i in active}

        def moved(sign: float, v: dict[int, Any] = v) -> list[np.ndarray[Any, Any]]:
            at = list(given)
            for i in active:
                x = given[i]
                at[i] = tensor(x.numpy() + sign * eps * v[i], device=x.device, requires_grad=True)
            with _GradMode(True):
                return [o.detach().numpy() for o in _outputs(function, at)]

        plus, minus = moved(1.0), moved(-1.0)
        with np.errstate(all="ignore"):
            numeric = float(sum((w * (p - m)).sum() for w, p, m in zip(u, plus, minus)) / (2 * eps))
        weights = [tensor(w, device=o.device) for w, o in zip(u, outs) if o.requires_grad]
        found = grad(needed, [given[i] for i in active], weights, retain_graph=True, allow_unused=True)
        analytic = float(sum((g.detach().numpy() * v[i]).sum() for i, g in zip(active, found) if g is not None))
        if not abs(numeric - analytic) <= atol + rtol * max(abs(numeric), abs(analytic)):
            raise AssertionError(
                f"gradcheck: direction {trial}: differences give {numeric:.12g}, backward gives {analytic:.12g} "
                f"(allowed: {atol:g} + {rtol:g} relative)"
            )
    return True


def gradgradcheck(function: Callable[..., Any], inputs: Tensor | Sequence[Tensor], *, seed: int = 0, **tolerances: Any) -> bool:
    """gradcheck of the gradient itself: second derivatives, with the gradients of the outputs as further inputs.

    Raises:
        AssertionError: they disagree.
        ValueError: no input requires grad, or an option is outside its range.

    >>> import whitewolf as ww
    >>> ww.autograd.gradgradcheck(ww.exp, ww.ones(2, dtype="float64", requires_grad=True))
    True
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    active = [i for i, t in enumerate(given) if isinstance(t, Tensor) and t.requires_grad]
    rng = np.random.default_rng(seed + 1)
    with _GradMode(True):
        weights = [
            tensor(rng.standard_normal(o.shape), device=o.device, requires_grad=True)
            for o in _outputs(function, given)
            if o.requires_grad
        ]

    def first(*args: Tensor) -> tuple[Tensor, ...]:
        xs, us = args[: len(given)], args[len(given) :]
        outs = [o for o in _outputs(function, xs) if o.requires_grad]
        found = grad(outs, [xs[i] for i in active], us, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None and g.requires_grad)

    return gradcheck(first, (*given, *weights), seed=seed, **tolerances)


gradcheck, gradgradcheck = checked(gradcheck), checked(gradgradcheck)
