"""Indices on a GPU, which the host does not see: what the contracts of kernels refuse on the other devices is refused here.

A check is two comparisons and a sum on the current stream, and then the host waits for them: it costs the wait for all that the stream
was given before, once a call. Raw kernels (`ww.kernels.get(..., device="cuda")`) check each call. The ops check what a caller gives them
(targets, indices of embeddings and gathers) once, forward; the kernels of their gradients then run on what has been checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _refuse(outside: Any, index: Any, words: Callable[[int, int], str]) -> None:
    """Raises with words(value, position in C order) of the first element of `index` that is outside, if there is one."""
    if index.size and bool(outside.any()):
        outside, index = (a if isinstance(a, np.ndarray) else a.get() for a in (outside, index))
        at = int(np.flatnonzero(outside)[0])
        raise IndexError(words(int(index.reshape(-1)[at]), at))


def check_target(op: str, target: Any, classes: int, ignore_index: int) -> None:
    """The classes of a cross-entropy."""
    _refuse(
        ((target < 0) | (target >= classes)) & (target != ignore_index),
        target,
        lambda t, at: f"{op}: expected target in [0, {classes}) or ignore_index {ignore_index}, got {t} at position {at}",
    )


def _target(rows: int, target: int, last: int) -> Callable[[str, tuple[Any, ...], dict[str, Any]], None]:
    """The check of a kernel whose view `rows` ends with the classes; ignore_index is an attribute, or comes first behind view `last`."""

    def check(op: str, views: tuple[Any, ...], attrs: dict[str, Any]) -> None:
        ignored = attrs.get("ignore_index", views[last + 1] if len(views) > last + 1 else -100)
        check_target(op, views[target], views[rows].shape[-1], int(ignored))

    return check


def _rows(op: str, views: tuple[Any, ...], attrs: dict[str, Any]) -> None:
    index, n = views[1], views[2].shape[0]
    _refuse(
        (index < 0) | (index >= n),
        index,
        lambda i, at: f"{op}: expected index in [0, {n}) (weight.shape[0]), got {i} at position {at}",
    )


def _places(op: str, views: tuple[Any, ...], attrs: dict[str, Any]) -> None:
    index, n = views[2], views[1 if op == "gather_forward" else 0].shape[-1]
    _refuse((index < 0) | (index >= n), index, lambda i, at: f"{op}: expected index in [0, {n}), got {i} at position {at}")


def _windows(op: str, views: tuple[Any, ...], attrs: dict[str, Any]) -> None:
    indices = views[2]
    if indices.dtype != np.int64:
        return  # taps of a window, of which each value is one or none
    h, w = views[1 if op == "max_pool2d_gather" else 0].shape[2:]
    q = indices.shape[-1]
    _refuse(
        (indices < -1) | (indices >= h * w),
        indices,
        lambda i, at: (
            f"{op}: expected indices in [-1, {h * w}) (input planes of {h} x {w}), got {i} at window "
            f"({at // q % indices.shape[-2]}, {at % q})"
        ),
    )


CHECKS: dict[str, Callable[[str, tuple[Any, ...], dict[str, Any]], None]] = {
    "cross_entropy_forward": _target(3, 4, 5),
    "cross_entropy_backward_logits": _target(3, 4, 5),
    "nll_loss_forward": _target(1, 2, 3),
    "nll_loss_backward_input": _target(0, 2, 3),
    "embedding_forward": _rows,
    "gather_forward": _places,
    "scatter_add_forward": _places,
    "max_pool2d_backward_x": _windows,
    "max_pool2d_gather": _windows,
}


class Checked:
    """A raw kernel of CHECKS on a GPU: its contract, then its indices, then the kernel."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self.__doc__ = kernel.__doc__

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel, name)

    def __repr__(self) -> str:
        return repr(self._kernel)

    def __call__(self, *arguments: Any, **attrs: Any) -> None:
        given = {name: value for name, value in attrs.items() if name != "workspace"}
        self._kernel.choice(*arguments, **given)  # shapes and dtypes first: the check relies on them
        CHECKS[self._kernel.op](self._kernel.op, arguments, attrs)
        self._kernel(*arguments, **attrs)


__all__ = ["CHECKS", "Checked", "check_target"]
