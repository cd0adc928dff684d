"""Edges, one-hot vectors and unit vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...dtypes import int64
from ...ops import binary, elementwise, manipulation, reduce
from ...ops._common import check_float, check_size, check_tensor
from ...ops.gather import index_select
from ...ops.logic import not_equal
from ...ops.manipulation import astype
from ...ops.select import clip
from ...tensor import Tensor, wrap

_MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Edges around the last dimensions of a tensor.

    Args:
        input: any shape.
        pad: (before, after) for the last dimension, then for the one before it, and so on. Negative widths cut.
        mode: "constant"; "reflect", the border as a mirror, its elements not repeated; "replicate", the border repeated;
            "circular", the opposite side.
        value: what stands at the edges in mode "constant"; 0 unless given.

    Raises:
        ValueError: an odd number of widths, or more than there are dimensions, or a width that the mode cannot fill.

    >>> import whitewolf as ww
    >>> ww.nn.functional.pad(ww.arange(3), (2, 1), mode="reflect")
    tensor([2, 1, 0, 1, 2, 1])
    """
    x, edges = check_tensor("pad", "input", input), tuple(int(n) for n in pad)
    if len(edges) % 2 or len(edges) > 2 * x.ndim:
        raise ValueError(f"pad: expected (before, after) for at most {x.ndim} dimensions, got {edges}")
    if mode not in _MODES:
        raise ValueError(f"pad: expected mode to be one of {', '.join(_MODES)}, got {mode!r}")
    if mode == "constant":
        widths = [(0, 0)] * (x.ndim - len(edges) // 2) + [(edges[i], edges[i + 1]) for i in range(len(edges) - 2, -1, -2)]
        return manipulation.pad_constant(x, widths, 0.0 if value is None else value)
    if value is not None:
        raise ValueError(f"pad: expected no value in mode {mode!r}, got {value}")
    for i in range(0, len(edges), 2):
        x = _extend(x, x.ndim - 1 - i // 2, edges[i], edges[i + 1], mode)
    return x


def _extend(x: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    """One dimension with edges made of its own elements: each output element is one of the input's."""
    n = x.shape[dim]
    most = {"reflect": n - 1, "circular": n, "replicate": math.inf if n else 0}[mode]
    if not (before <= most and after <= most and n + before + after >= 0):
        raise ValueError(
            f"pad: expected widths up to {most} in mode {mode!r} along a dimension of {n}, which leave a size >= 0, "
            f"got ({before}, {after})"
        )
    if not before and not after:
        return x
    places = np.arange(-before, n + after)
    if mode == "reflect":
        places = np.abs(places)
        places = np.where(places >= n, 2 * (n - 1) - places, places)
    elif mode == "circular":  # the opposite side of what a negative width leaves
        first, last = max(-before, 0), n - max(-after, 0)
        places = first + (places - first) % max(last - first, 1)
    else:
        places = np.clip(places, 0, n - 1)
    return index_select(x, dim, wrap(x.device.xp.asarray(places), x.device))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Classes as vectors with a one in their place: shape [..., num_classes], int64.

    Args:
        tensor: integers in [0, num_classes).
        num_classes: one more than the largest of them, unless given.

    Raises:
        TypeError: not integers.
        IndexError: a class is outside.

    >>> import whitewolf as ww
    >>> ww.nn.functional.one_hot(ww.asarray([1, 0]), 3).tolist()
    [[0, 1, 0], [1, 0, 0]]
    """
    classes = check_tensor("one_hot", "tensor", tensor)
    if classes.dtype.kind not in "iu":
        raise TypeError(f"one_hot: expected an integer tensor, got dtype {classes.dtype}")
    if num_classes < 0:
        if not classes.size:
            raise ValueError("one_hot: expected num_classes for an empty tensor, got -1")
        num_classes = int(classes._data.max()) + 1
    if classes.size and not 0 <= int(classes._data.min()) <= int(classes._data.max()) < num_classes:
        low, high = int(classes._data.min()), int(classes._data.max())
        raise IndexError(f"one_hot: expected classes in [0, {num_classes}), got some in [{low}, {high}]")
    check_size("one_hot", max(1, classes.size) * num_classes, int64, "tensor and num_classes")
    places = classes.device.xp.arange(num_classes)
    return wrap((classes._data[..., None] == places).astype(np.int64), classes.device)


def normalize(input: Tensor, p: float = 2.0, dim: int | Sequence[int] = 1, eps: float = 1e-12) -> Tensor:
    """input / max(|input|_p, eps), the p-norm taken along `dim`; p = 0 counts the elements that are not 0.

    >>> import whitewolf as ww
    >>> ww.nn.functional.normalize(ww.asarray([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    x = check_tensor("normalize", "input", input)
    check_float("normalize", "input", x)
    if math.isinf(p):
        extreme = reduce.max if p > 0 else reduce.min
        norm = clip(extreme(elementwise.abs(x), axis=dim, keepdims=True), min=eps)
    elif p <= 0:
        powers = binary.pow(elementwise.abs(x), p) if p else astype(not_equal(x, 0), x.dtype)
        total = reduce.sum(powers, axis=dim, keepdims=True)
        norm = clip(binary.pow(total, 1 / p) if p else total, min=eps)
    else:
        powers = elementwise.square(x) if p == 2 else binary.pow(elementwise.abs(x), p)
        # Clipped before the root, whose slope at 0 is infinite: the gradient of a zero vector is 0, not NaN.
        total = clip(reduce.sum(powers, axis=dim, keepdims=True), min=max(eps**p, float(np.finfo(x.dtype).tiny)))
        norm = elementwise.sqrt(total) if p == 2 else binary.pow(total, 1 / p)
    return elementwise.divide(x, norm)
