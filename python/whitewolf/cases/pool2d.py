"""Cases of pooling. The reference walks over the windows; a NaN wins, the last of several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import whitewolf as ww

from ..nn import functional
from ..ops import pool2d
from ..tensor import Tensor
from . import Array, BadCall, Case, Input, OpTable


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _size(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    room = n + 2 * padding - dilation * (kernel - 1) - 1
    out = (-(-room // stride) if ceil_mode else room // stride) + 1
    return out - 1 if ceil_mode and (out - 1) * stride >= n + padding else out


def _windows(
    x: Array, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[tuple[int, int], Iterator[tuple[int, int, list[int], list[int]]]]:
    """The output's height and width, and for each window its place there and its rows and columns of x, clipped."""
    k, s, p, d = _pair(kernel), _pair(kernel if stride is None else stride), _pair(padding), _pair(dilation)
    sizes = tuple(_size(x.shape[2 + i], k[i], s[i], p[i], d[i], ceil_mode) for i in range(2))

    def taps(i: int, at: int) -> list[int]:
        return [n for n in (at * s[i] - p[i] + t * d[i] for t in range(k[i])) if 0 <= n < x.shape[2 + i]]

    def walk() -> Iterator[tuple[int, int, list[int], list[int]]]:
        for row in range(sizes[0]):
            for column in range(sizes[1]):
                yield row, column, taps(0, row), taps(1, column)

    return (sizes[0], sizes[1]), walk()


def _max_pool(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    sizes, walk = _windows(x, kernel_size, stride, padding, dilation, ceil_mode)
    y, indices = np.empty((*x.shape[:2], *sizes)), np.empty((*x.shape[:2], *sizes), np.int64)
    for p, q, rows, columns in walk:
        flat = np.array([h * x.shape[3] + w for h in rows for w in columns])
        values = x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])[..., flat]
        nan = np.isnan(values)
        best = np.where(nan.any(-1), len(flat) - 1 - nan[..., ::-1].argmax(-1), np.where(nan, -np.inf, values).argmax(-1))
        y[:, :, p, q] = np.take_along_axis(values, best[..., None], -1)[..., 0]
        indices[:, :, p, q] = flat[best]
    return (y, indices) if return_indices else y


def _gathered(x: Array, at: Array, **attrs: Any) -> Array:
    indices = _max_pool(at, return_indices=True, **attrs)[1]
    flat = np.take_along_axis(x.reshape(*x.shape[:2], -1), indices.reshape(*x.shape[:2], -1), -1)
    return np.asarray(flat.reshape(indices.shape))


def _gather(x: Tensor, at: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Tensor:
    """The elements of x where max_pool2d finds the largest of `at`: what the second derivative of max_pool2d runs."""
    y, indices = functional.max_pool2d(at.detach(), kernel_size, stride, padding, return_indices=True)
    call = {"kernel": kernel_size, "stride": kernel_size if stride is None else stride, "padding": padding}
    return pool2d._gather(x, indices, y.shape, call)


def _avg_pool(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    (rows_out, columns_out), walk = _windows(x, kernel_size, stride, padding, 1, ceil_mode)
    y = np.empty((*x.shape[:2], rows_out, columns_out))
    k, s, pad = _pair(kernel_size), _pair(kernel_size if stride is None else stride), _pair(padding)
    for p, q, rows, columns in walk:
        count = len(rows) * len(columns)
        if count_include_pad:
            count = int(np.prod([min(k[i], x.shape[2 + i] + pad[i] - (at * s[i] - pad[i])) for i, at in enumerate((p, q))]))
        y[:, :, p, q] = x[:, :, rows][..., columns].sum((2, 3)) / (divisor_override or count)
    return y


def _adaptive(x: Array, output_size: tuple[int, int]) -> Array:
    y = np.empty((*x.shape[:2], *output_size))
    for p, q in np.ndindex(*output_size):
        (h, w), (size_p, size_q) = x.shape[2:], output_size
        part = x[:, :, p * h // size_p : -(-(p + 1) * h // size_p), q * w // size_q : -(-(q + 1) * w // size_q)]
        y[:, :, p, q] = part.mean((2, 3))
    return y


def _numpy_max(x: Array, kernel_size: int, stride: int) -> Array:
    """The greatest of shifted, strided views, as NumPy people write it."""
    rows, columns = ((n - kernel_size) // stride * stride + 1 for n in x.shape[2:])
    y = x[:, :, :rows:stride, :columns:stride].copy()
    for r in range(kernel_size):
        for s in range(kernel_size):
            np.maximum(y, x[:, :, r : r + rows : stride, s : s + columns : stride], out=y)
    return y


def _torch(name: str) -> Callable[..., Any]:
    def call(x: Any, **attrs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, **attrs)

    return call


def _case(name: str, shape: tuple[int, ...], kind: str, **attrs: Any) -> Case:
    return Case(name, (Input(shape, kind, batch=0),), attrs, reduction=int(np.prod(_pair(attrs.get("kernel_size", 1)))))


def _common(kind: str) -> tuple[Case, ...]:
    """Windows that both poolings know."""
    return (
        _case("2 x 2", (2, 3, 6, 8), kind, kernel_size=2),
        _case("3 x 3, stride 2", (2, 5, 9, 11), kind, kernel_size=3, stride=2),
        _case("stride 1, wide rows", (2, 3, 4, 37), kind, kernel_size=(2, 3), stride=1),
        _case("stride 2, wide rows", (3, 2, 5, 67), kind, kernel_size=3, stride=2, padding=1),
        _case("stride 3, wide rows", (2, 2, 7, 61), kind, kernel_size=2, stride=3),
        _case("many channels", (2, 71, 4, 5), kind, kernel_size=2, stride=1),
        _case("padding", (2, 3, 5, 7), kind, kernel_size=(3, 2), stride=2, padding=(1, 1)),
        _case("ceil mode", (2, 3, 6, 7), kind, kernel_size=3, stride=2, ceil_mode=True),
        _case("ceil mode, padding", (2, 3, 5, 8), kind, kernel_size=2, stride=(2, 3), padding=1, ceil_mode=True),
        _case("stride larger than the window", (2, 3, 9, 10), kind, kernel_size=2, stride=(3, 4)),
        _case("window as large as x", (2, 3, 5, 4), kind, kernel_size=(5, 4)),
        _case("one channel", (3, 1, 7, 9), kind, kernel_size=3, stride=2),
        _case("one element", (2, 5, 1, 1), kind, kernel_size=1),
        _case("empty batch", (0, 3, 4, 4), kind, kernel_size=2),
    )


def _bench(kind: str, name: str, shape: tuple[int, ...], **attrs: Any) -> Case:
    """Bytes: x and y once; of flops, one for each tap."""
    outs = [_size(n, attrs["kernel_size"], attrs["stride"], 0, 1, False) for n in shape[2:]]
    numbers = shape[0] * shape[1] * int(np.prod(outs))
    taps = attrs["kernel_size"] ** 2
    return Case(
        name,
        (Input(shape, kind, batch=0),),
        attrs,
        flops=taps * numbers,
        bytes=4 * (int(np.prod(shape)) + numbers),
        reduction=taps,
        bench=True,
        train=True,
        heavy=True,
    )


def _bad(name: str) -> tuple[BadCall, ...]:
    op = getattr(functional, name)
    return (
        BadCall("too small", lambda: op(ww.zeros((1, 1, 2, 9)), 3), ValueError, (name, "H == 2", "extent of 3", "(1, 1, 2, 9)")),
        BadCall("padding", lambda: op(ww.zeros((1, 1, 5, 5)), 2, padding=2), ValueError, (name, "padding", "half", "2")),
        BadCall("stride", lambda: op(ww.zeros((1, 1, 5, 5)), 2, 0), ValueError, (name, "stride >= 1", "0")),
        BadCall("dtype", lambda: op(ww.zeros((1, 1, 5, 5), dtype="int32"), 2), TypeError, (name, "float32 or float64", "int32")),
        BadCall("dimensions", lambda: op(ww.zeros((5, 5)), 2), ValueError, (name, "(5, 5)")),
    )


TABLES = (
    OpTable(
        op="max_pool2d",
        function=functional.max_pool2d,
        reference=_max_pool,
        kernels=("max_pool2d_forward", "max_pool2d_backward_x"),
        cases=(
            *_common("distinct"),
            Case("ties", (Input((2, 3, 7, 7), grad=False),), {"kernel_size": 3, "stride": 2, "return_indices": True}),
            _case("dilation", (2, 3, 9, 11), "distinct", kernel_size=(3, 2), stride=2, padding=1, dilation=(2, 3)),
            _case("indices", (2, 3, 7, 9), "distinct", kernel_size=3, stride=2, padding=1, return_indices=True),
            _case("window too large for compact indices", (1, 2, 19, 21), "distinct", kernel_size=17, stride=2),
            _bench("normal", "AlexNet pool 1", (16, 64, 55, 55), kernel_size=3, stride=2),
            _bench("normal", "LeNet pool 1", (64, 20, 24, 24), kernel_size=2, stride=2),
        ),
        exact=True,
        ulps=1.0,
        bad=_bad("max_pool2d"),
        torch=_torch("max_pool2d"),
        numpy=_numpy_max,
    ),
    OpTable(
        op="max_pool2d_gather",
        function=_gather,
        reference=_gathered,
        kernels=("max_pool2d_gather",),
        cases=(
            Case("plain", (Input((2, 3, 6, 8)), Input((2, 3, 6, 8), "distinct", grad=False)), {"kernel_size": 2}),
            Case(
                "overlapping windows",
                (Input((2, 5, 7, 9)), Input((2, 5, 7, 9), "distinct", grad=False)),
                {"kernel_size": 3, "stride": 2, "padding": 1},
            ),
        ),
        exact=True,
        ulps=1.0,
    ),
    OpTable(
        op="avg_pool2d",
        function=functional.avg_pool2d,
        reference=_avg_pool,
        kernels=("avg_pool2d_forward", "avg_pool2d_backward_x"),
        cases=(
            *_common("normal"),
            _case("padding does not count", (2, 3, 5, 7), "normal", kernel_size=3, stride=2, padding=1, count_include_pad=False),
            _case(
                "padding does not count, ceil mode",
                (2, 3, 6, 7),
                "normal",
                kernel_size=3,
                stride=2,
                padding=1,
                ceil_mode=True,
                count_include_pad=False,
            ),
            _case(
                "padding does not count, wide rows",
                (3, 2, 5, 67),
                "normal",
                kernel_size=3,
                stride=2,
                padding=1,
                count_include_pad=False,
            ),
            _case(
                "padding does not count, stride 1",
                (2, 3, 4, 41),
                "normal",
                kernel_size=3,
                stride=1,
                padding=1,
                count_include_pad=False,
            ),
            _case(
                "padding does not count, many channels",
                (2, 71, 4, 37),
                "normal",
                kernel_size=3,
                stride=2,
                padding=1,
                count_include_pad=False,
            ),  # fmt: skip
            _case("divisor", (2, 3, 5, 7), "normal", kernel_size=2, stride=1, divisor_override=3),
            _bench("normal", "LeNet pool 1", (64, 20, 24, 24), kernel_size=2, stride=2),
        ),
        bad=(
            *_bad("avg_pool2d"),
            BadCall(
                "divisor",
                lambda: functional.avg_pool2d(ww.zeros((1, 1, 2, 2)), 2, divisor_override=0),
                ValueError,
                ("avg_pool2d", "divisor_override != 0"),
            ),
        ),
        torch=_torch("avg_pool2d"),
    ),
    OpTable(
        op="adaptive_avg_pool2d",
        function=functional.adaptive_avg_pool2d,
        reference=_adaptive,
        kernels=("adaptive_avg_pool2d_forward", "adaptive_avg_pool2d_backward_x"),
        cases=tuple(
            Case(name, (Input(shape, batch=0),), {"output_size": size}, reduction=int(np.prod(shape[2:])))
            for name, shape, size in (
                ("one mean", (2, 5, 7, 6), (1, 1)),
                ("uneven", (2, 3, 7, 11), (3, 4)),
                ("larger than x", (2, 3, 3, 5), (4, 7)),
                ("same size", (2, 3, 4, 5), (4, 5)),
                ("many channels", (2, 67, 5, 3), (2, 2)),
                ("one element", (2, 5, 1, 1), (1, 1)),
                ("empty batch", (0, 3, 4, 4), (2, 2)),
            )
        ),
        bad=(
            BadCall(
                "size",
                lambda: functional.adaptive_avg_pool2d(ww.zeros((1, 1, 4, 4)), 0),
                ValueError,
                ("adaptive_avg_pool2d", "output_size >= 1", "0"),
            ),
        ),
        torch=_torch("adaptive_avg_pool2d"),
    ),
)
