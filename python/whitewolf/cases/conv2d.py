"""Cases of convolution: conv2d (alone, and fused with ReLU), conv1d and conv_transpose2d.

The reference pads, takes every window as a view and multiplies, group by group; the transposed convolution adds each element's filter
into its place. The bench cases are layers of LeNet, AlexNet, VGG and ResNet at the batch sizes that are reported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import whitewolf as ww

from ..ops.conv import conv1d, conv2d, conv_transpose2d
from . import Array, BadCall, Case, Input, OpTable


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _edges(padding: Any, dilation: tuple[int, int], sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    """Zeros before and after each dimension of the picture."""
    if padding == "valid":
        return [(0, 0), (0, 0)]
    if padding == "same":
        totals = [d * (n - 1) for d, n in zip(dilation, sizes)]
        return [(t // 2, t - t // 2) for t in totals]
    return [(p, p) for p in _pair(padding)]


def _reference(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    activation: str = "none",
) -> Array:
    if x.ndim == 3:
        return np.asarray(_reference(x[None], w, b, stride, padding, dilation, groups, activation)[0])
    (sh, sw), (dh, dw) = _pair(stride), _pair(dilation)
    size_k, inner, size_r, size_s = w.shape
    padded = np.pad(x, [(0, 0), (0, 0), *_edges(padding, (dh, dw), (size_r, size_s))])
    extents = (dh * (size_r - 1) + 1, dw * (size_s - 1) + 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, extents, (2, 3))[:, :, ::sh, ::sw, ::dh, ::dw]
    y = np.empty((len(x), size_k, *windows.shape[2:4]), x.dtype)
    each = size_k // groups
    for n in range(len(x)):
        for g in range(groups):
            filters = w[g * each : (g + 1) * each]
            y[n, g * each : (g + 1) * each] = np.tensordot(filters, windows[n, g * inner : (g + 1) * inner], ((1, 2, 3), (0, 3, 4)))
    y = y if b is None else y + b[:, None, None]
    return np.where(y < 0, 0, y) if activation == "relu" else y


def _reference_1d(x: Array, w: Array, b: Array | None = None, padding: Any = 0, **attrs: Any) -> Array:
    y = _reference(x[..., None], w[..., None], b, padding=padding if isinstance(padding, str) else (padding, 0), **attrs)
    return y[..., 0]


def _reference_transposed(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Array:
    (sh, sw), (ph, pw), (oh, ow), (dh, dw) = _pair(stride), _pair(padding), _pair(output_padding), _pair(dilation)
    n, size_k, size_p, size_q = x.shape
    inner, size_r, size_s = w.shape[1:]
    full_h, full_w = (size_p - 1) * sh + dh * (size_r - 1) + oh + 1, (size_q - 1) * sw + dw * (size_s - 1) + ow + 1
    y = np.zeros((n, inner * groups, full_h, full_w))
    for k in range(size_k):
        first = k // (size_k // groups) * inner
        for r in range(size_r):
            for s in range(size_s):
                placed = np.zeros((n, 1, full_h, full_w))  # x in the places that this tap takes it to, zero outside its picture
                placed[:, 0, r * dh :, s * dw :][:, : (size_p - 1) * sh + 1 : sh, : (size_q - 1) * sw + 1 : sw] = x[:, k]
                rows, columns = slice(r * dh % sh, None, sh), slice(s * dw % sw, None, sw)
                y[:, first : first + inner, rows, columns] += placed[:, :, rows, columns] * w[k, :, r, s][:, None, None]
    y = y[:, :, ph : full_h - ph, pw : full_w - pw]
    return y if b is None else y + b[:, None, None]


def _numpy(x: Array, w: Array, b: Array, stride: int, padding: int, activation: str) -> Array:
    """A layer as NumPy people write it: the windows of the whole batch as a view, and one matrix product."""
    padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    y = np.tensordot(windows, w, ((1, 4, 5), (1, 2, 3)))  # [N, P, Q, K]
    y += b
    if activation == "relu":
        np.maximum(y, 0, out=y)
    return np.moveaxis(y, 3, 1)


def _torch(name: str) -> Callable[..., Any]:
    def call(*tensors: Any, activation: str = "none", **attrs: Any) -> Any:
        import torch

        function = getattr(torch.nn.functional, name)
        try:
            y = function(*tensors, **attrs)
        except RuntimeError as error:
            if "Output size is too small" not in str(error):
                raise
            # PyTorch refuses a transposed convolution to a picture without pixels: what padding leaves of it is cut out here.
            h, w = np.broadcast_to(attrs["padding"], 2)
            y = function(*tensors, **{**attrs, "padding": 0})
            y = y[:, :, h : y.shape[2] - h, w : y.shape[3] - w]
        return torch.relu(y) if activation == "relu" else y

    return call


def _out(n: int, size: int, stride: int, padding: int, dilation: int) -> int:
    return (n + 2 * padding - dilation * (size - 1) - 1) // stride + 1


def _case(name: str, x: tuple[int, ...], w: tuple[int, ...], bias: bool = True, batch: int | None = 0, **attrs: Any) -> Case:
    inputs = (Input(x, batch=batch), Input(w)) + ((Input(w[:1]),) if bias else ())
    return Case(name, inputs, attrs, reduction=max(1, int(np.prod(w[1:]))))


def _layer(name: str, n: int, c: int, size: int, k: int, r: int, stride: int, padding: int, **more: Any) -> Case:
    """A layer of a known net with bias and ReLU: a square picture and a square filter."""
    out = _out(size, r, stride, padding, 1)
    macs = n * k * out * out * c * r * r
    numbers = n * c * size * size + k * c * r * r + k + n * k * out * out
    return Case(
        name,
        (Input((n, c, size, size), batch=0), Input((k, c, r, r)), Input((k,))),
        {"stride": stride, "padding": padding, "activation": "relu", **more},
        flops=2 * macs,
        bytes=4 * numbers,
        reduction=c * r * r,
        bench=True,
        train=True,
        heavy=True,
    )


CASES = (
    _case("plain", (2, 3, 7, 8), (5, 3, 3, 3)),
    _case("no bias", (3, 5, 6, 5), (4, 5, 2, 3), bias=False),
    _case("one pixel filter", (3, 7, 5, 3), (11, 7, 1, 1)),
    _case("one pixel filter, stride 2", (2, 5, 7, 6), (3, 5, 1, 1), stride=2),
    _case("filter as large as the picture", (3, 2, 5, 7), (6, 2, 5, 7)),
    _case("first layer, one channel", (2, 1, 13, 11), (7, 1, 5, 5)),
    _case("first layer, three channels", (2, 3, 19, 17), (9, 3, 7, 7), stride=4, padding=2),
    _case("wide vectors", (2, 17, 5, 6), (37, 17, 3, 3), padding=1),
    _case("wide vectors, stride", (2, 17, 9, 7), (33, 17, 3, 3), stride=(2, 1), padding=(2, 1), dilation=(2, 1)),
    _case("narrow vectors", (2, 5, 6, 9), (33, 5, 2, 3), stride=(1, 2)),
    _case("full vectors and one over", (2, 17, 6, 9), (33, 17, 3, 3), padding=1),
    _case("large k", (1, 131, 3, 3), (3, 131, 3, 3), padding=1),
    _case("stride", (2, 3, 9, 11), (5, 3, 3, 2), stride=(2, 3), padding=(1, 0)),
    _case("stride larger than the filter", (2, 3, 10, 11), (4, 3, 2, 2), stride=3),
    _case("dilation", (2, 3, 9, 8), (5, 3, 3, 2), dilation=(2, 3), padding=2),
    _case("dilation and stride", (1, 2, 11, 13), (3, 2, 3, 3), dilation=2, stride=(3, 2), padding=(3, 1)),
    _case("padding larger than the filter", (2, 2, 3, 4), (3, 2, 2, 1), padding=(3, 2)),
    _case("padding larger than the filter, stride", (2, 3, 4, 3), (5, 3, 2, 2), padding=4, stride=3),
    _case("same", (2, 3, 5, 7), (4, 3, 3, 5), padding="same"),
    _case("same, even filter", (2, 3, 5, 6), (4, 3, 2, 4), padding="same", dilation=(1, 3)),
    _case("valid", (2, 3, 5, 7), (4, 3, 3, 5), padding="valid"),
    _case("groups", (2, 6, 6, 5), (10, 3, 3, 3), groups=2, padding=1),
    _case("groups, wide vectors", (2, 34, 6, 4), (36, 17, 3, 3), groups=2, padding=1),
    _case("three groups, stride", (2, 9, 7, 7), (6, 3, 3, 2), groups=3, stride=2),
    _case("depthwise", (2, 11, 6, 7), (11, 1, 3, 3), groups=11, padding=1),
    _case("depthwise, stride, dilation", (2, 37, 9, 11), (37, 1, 3, 2), groups=37, stride=(2, 1), dilation=(1, 2), padding=(2, 1)),
    _case("depthwise, relu, no padding", (1, 16, 5, 6), (16, 1, 2, 3), groups=16, activation="relu"),
    _case("depthwise, two filters a channel", (2, 5, 7, 6), (10, 1, 3, 2), groups=5, stride=2, dilation=(1, 2), padding=1),
    _case("one picture", (3, 6, 5), (4, 3, 3, 2), batch=None, padding=1),
    _case("size 1", (1, 1, 1, 1), (1, 1, 1, 1)),
    _case("one row", (2, 3, 1, 29), (5, 3, 1, 7), padding=(0, 3)),
    _case("empty batch", (0, 3, 5, 5), (4, 3, 3, 3), padding=1),
    _case("relu", (2, 5, 6, 7), (9, 5, 3, 3), padding=1, activation="relu"),
    _case("relu, no bias", (3, 2, 9, 5), (4, 2, 3, 2), bias=False, stride=2, activation="relu"),
    _layer("LeNet c1", 64, 1, 28, 20, 5, 1, 0),
    _layer("LeNet c2", 64, 20, 12, 50, 5, 1, 0),
    _layer("AlexNet c1", 16, 3, 224, 64, 11, 4, 2),
    _layer("AlexNet c2", 16, 64, 27, 192, 5, 1, 2),
    _layer("AlexNet c3", 16, 192, 13, 384, 3, 1, 1),
    _layer("AlexNet c5", 16, 256, 13, 256, 3, 1, 1),
    _layer("VGG 56", 8, 64, 56, 64, 3, 1, 1),
    _layer("VGG 14", 8, 512, 14, 512, 3, 1, 1),
    _layer("ResNet 1x1", 8, 64, 56, 256, 1, 1, 0),
    _layer("ResNet 3x3 stride 2", 8, 128, 56, 128, 3, 2, 1),
)

CASES_1D = (
    _case("plain", (2, 3, 17), (5, 3, 4)),
    _case("stride, dilation, groups", (3, 4, 23), (6, 2, 3), stride=2, padding=3, dilation=2, groups=2),
    _case("same, even filter", (2, 3, 11), (4, 3, 4), padding="same"),
    _case("depthwise", (2, 19, 13), (19, 1, 3), groups=19, padding=1),
    _case("wide vectors", (2, 17, 9), (33, 17, 3), padding=1),
    _case("narrow vectors", (2, 5, 9), (33, 5, 3), stride=2),
    _case("full vectors and one over", (2, 43, 9), (33, 43, 3), padding=1),
    _case("one sequence, no bias", (3, 7), (2, 3, 2), bias=False, batch=None, padding=1),
    _case("empty batch", (0, 3, 7), (2, 3, 2)),
)


def _transposed(name: str, x: tuple[int, ...], w: tuple[int, ...], bias: bool = True, groups: int = 1, **attrs: Any) -> Case:
    inputs = (Input(x, batch=0), Input(w)) + ((Input((w[1] * groups,)),) if bias else ())
    attrs = attrs if groups == 1 else {**attrs, "groups": groups}
    return Case(name, inputs, attrs, reduction=w[0] * w[2] * w[3])


CASES_TRANSPOSED = (
    _transposed("plain", (2, 5, 4, 3), (5, 3, 3, 2)),
    _transposed("stride", (2, 3, 4, 5), (3, 5, 3, 3), stride=2, padding=1, output_padding=1),
    _transposed("stride larger than the filter", (2, 3, 3, 4), (3, 2, 2, 1), bias=False, stride=(3, 2), output_padding=(2, 0)),
    _transposed("dilation", (1, 4, 5, 3), (4, 3, 2, 3), dilation=(3, 2), padding=(0, 1)),
    _transposed("groups", (2, 6, 4, 4), (6, 2, 3, 3), groups=3, stride=2),
    _transposed("depthwise", (2, 9, 4, 5), (9, 1, 3, 3), groups=9, stride=2, padding=1),
    _transposed("wide vectors", (2, 33, 4, 5), (33, 17, 3, 3), stride=2, padding=1),
    _transposed("narrow vectors", (2, 33, 4, 5), (33, 5, 2, 3)),
    _transposed("wide vectors, stride 1", (2, 17, 4, 4), (17, 16, 3, 3), padding=1),
    _transposed("empty batch", (0, 3, 4, 4), (3, 2, 3, 3)),
    _transposed("empty picture", (2, 3, 2, 1), (3, 2, 3, 2), padding=1),
)


def _bad(
    name: str, op: Callable[..., Any], shapes: tuple[tuple[int, ...], ...], words: tuple[str, ...], dtypes: str = "ff", **attrs: Any
) -> BadCall:
    """A call on zeros of these shapes and dtypes (TypeError where those are at fault) that must raise."""

    def call() -> Any:
        return op(
            *(ww.zeros(shape, dtype={"f": "float32", "d": "float64", "i": "int32"}[t]) for shape, t in zip(shapes, dtypes)), **attrs
        )

    return BadCall(name, call, ValueError if dtypes[0] == dtypes[-1] == "f" else TypeError, words)


BAD = (
    _bad(
        "channels",
        conv2d,
        ((1, 32, 5, 5), (32, 8, 3, 3)),
        ("conv2d: expected w.shape[1] == 16 (x channels 32 / groups 2), got w.shape == (32, 8, 3, 3)",),
        groups=2,
    ),
    _bad(
        "x and groups",
        conv2d,
        ((1, 5, 4, 4), (4, 2, 3, 3)),
        ("conv2d", "x.shape[1]", "multiple of groups 2", "(1, 5, 4, 4)"),
        groups=2,
    ),
    _bad(
        "w and groups",
        conv2d,
        ((1, 4, 4, 4), (5, 2, 3, 3)),
        ("conv2d", "w.shape[0]", "multiple of groups 2", "(5, 2, 3, 3)"),
        groups=2,
    ),
    _bad("groups", conv2d, ((1, 4, 4, 4), (4, 4, 3, 3)), ("conv2d", "groups", "0"), groups=0),
    _bad("bias", conv2d, ((1, 2, 4, 4), (3, 2, 3, 3), (2,)), ("conv2d", "b.shape == (3,)", "(2,)"), "fff"),
    _bad("dimensions of x", conv2d, ((4, 4), (3, 2, 3, 3)), ("conv2d", "x of 4", "(4, 4)")),
    _bad("dimensions of w", conv2d, ((1, 2, 4, 4), (3, 2, 3)), ("conv2d", "w of 4", "(3, 2, 3)")),
    _bad("picture", conv2d, ((1, 2, 4, 2), (3, 2, 3, 3)), ("conv2d", "x.shape[3]", ">= 3", "(1, 2, 4, 2)")),
    _bad("no taps", conv2d, ((1, 2, 4, 4), (3, 2, 0, 3)), ("conv2d", "w.shape[2] >= 1", "(3, 2, 0, 3)")),
    _bad("stride", conv2d, ((1, 2, 4, 4), (3, 2, 3, 3)), ("conv2d", "stride[1] >= 1", "(1, 0)"), stride=(1, 0)),
    _bad("padding", conv2d, ((1, 2, 4, 4), (3, 2, 3, 3)), ("conv2d", "padding[0] >= 0", "-1"), padding=-1),
    _bad("word", conv2d, ((1, 2, 4, 4), (3, 2, 3, 3)), ("conv2d", "'same'", "'full'"), padding="full"),
    _bad(
        "same and stride",
        conv2d,
        ((1, 2, 4, 4), (3, 2, 3, 3)),
        ("conv2d", "stride 1", "'same'", "(2, 2)"),
        padding="same",
        stride=2,
    ),
    _bad("pair", conv2d, ((1, 2, 4, 4), (3, 2, 3, 3)), ("conv2d", "dilation", "2 ints"), dilation=(1, 1, 1)),
    _bad("activation", conv2d, ((1, 2, 4, 4), (3, 2, 3, 3)), ("conv2d", "relu", "'tanh'"), activation="tanh"),
    _bad("dtype", conv2d, ((1, 2, 4, 4), (3, 2, 3, 3)), ("conv2d", "x.dtype", "float32", "int32"), "ii"),
    _bad("dtypes", conv2d, ((1, 2, 4, 4), (3, 2, 3, 3)), ("conv2d", "w.dtype", "float64"), "fd"),
    BadCall("type", lambda: conv2d(np.zeros((1, 2, 4, 4)), ww.zeros((3, 2, 3, 3))), TypeError, ("conv2d", "x", "ndarray")),  # type: ignore[arg-type]
)

BAD_1D = (
    _bad("channels", conv1d, ((1, 4, 5), (3, 3, 3)), ("conv1d: expected w.shape[1] == 4", "(3, 3, 3)")),
    _bad("length", conv1d, ((1, 4, 5), (3, 4, 3)), ("conv1d", "x.shape[2]", ">= 7", "(1, 4, 5)"), dilation=3),
)

BAD_TRANSPOSED = (
    _bad(
        "channels",
        conv_transpose2d,
        ((1, 4, 5, 5), (3, 4, 3, 3)),
        ("conv_transpose2d: expected w.shape[0] == 4 (x channels)", "(3, 4, 3, 3)"),
    ),
    _bad(
        "output_padding",
        conv_transpose2d,
        ((1, 4, 5, 5), (4, 4, 3, 3)),
        ("conv_transpose2d", "output_padding[0]", "[0, 2)", "got 2"),
        stride=2,
        output_padding=2,
    ),
    _bad(
        "nothing left",
        conv_transpose2d,
        ((1, 4, 1, 1), (4, 4, 3, 3)),
        ("conv_transpose2d", "no negative size", "(1, 4, 1, 1)"),
        padding=2,
    ),
)

TABLES = (
    OpTable(
        op="conv2d",
        function=conv2d,
        reference=_reference,
        torch=_torch("conv2d"),
        numpy=_numpy,
        kernels=("conv2d_forward", "conv2d_backward_x", "conv2d_backward_w", "conv2d_backward_b"),
        cases=CASES,
        exact=True,
        bad=BAD,
    ),
    OpTable(
        op="conv1d",
        function=conv1d,
        reference=_reference_1d,
        torch=_torch("conv1d"),
        kernels=("conv2d_forward", "conv2d_backward_x", "conv2d_backward_w", "conv2d_backward_b"),
        cases=CASES_1D,
        never=("winograd",),  # filters of three rows
        exact=True,
        bad=BAD_1D,
    ),
    OpTable(
        op="conv_transpose2d",
        function=conv_transpose2d,
        reference=_reference_transposed,
        torch=_torch("conv_transpose2d"),
        kernels=("conv2d_backward_x",),
        cases=CASES_TRANSPOSED,
        exact=True,
        bad=BAD_TRANSPOSED,
    ),
)
