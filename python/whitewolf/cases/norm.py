"""Cases of batch, instance, group, layer, root mean square and local-response normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import whitewolf as ww

from ..nn import functional
from . import Array, BadCall, Case, Input, OpTable

Shape = tuple[int, ...]


def _normalized(x: Array, axes: Shape, eps: float, centered: bool = True) -> Array:
    d = x
    if centered and x.size:  # differences first: where all are equal, the mean is exactly that
        first = x[tuple(slice(0, 1) if d in axes else slice(None) for d in range(x.ndim))]
        d = (x - first) - (x - first).mean(axes, keepdims=True)
    return np.asarray(d / np.sqrt((d * d).mean(axes, keepdims=True) + eps))


def _affine(z: Array, weight: Array | None, bias: Array | None, side: Shape | None = None) -> Array:
    z = z if weight is None else z * (weight if side is None else weight.reshape(side))
    return z if bias is None else z + (bias if side is None else bias.reshape(side))


def _layer_norm(x: Array, weight: Array | None = None, bias: Array | None = None, dims: int = 1, eps: float = 1e-5) -> Array:
    return _affine(_normalized(x, tuple(range(x.ndim - dims, x.ndim)), eps), weight, bias)


def _rms_norm(x: Array, weight: Array | None = None, dims: int = 1, eps: float = 1e-5) -> Array:
    return _affine(_normalized(x, tuple(range(x.ndim - dims, x.ndim)), eps, centered=False), weight, None)


def _side(x: Array) -> Shape:
    return (-1,) + (1,) * (x.ndim - 2)


def _group_norm(x: Array, weight: Array | None = None, bias: Array | None = None, groups: int = 1, eps: float = 1e-5) -> Array:
    split = x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    return _affine(_normalized(split, tuple(range(2, split.ndim)), eps).reshape(x.shape), weight, bias, _side(x))


def _instance_norm(x: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
    return _group_norm(x, weight, bias, x.shape[1])


def _batch_norm(x: Array, weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5) -> Array:
    return _affine(_normalized(x, (0, *range(2, x.ndim)), eps), weight, bias, _side(x))


def _batch_norm_eval(
    x: Array, mean: Array, var: Array, weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5
) -> Array:
    side = _side(x)
    return _affine((x - mean.reshape(side)) / np.sqrt(var.reshape(side) + eps), weight, bias, side)


def _local_response_norm(x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    total, channels = np.zeros_like(x), x.shape[1]
    for c in range(channels):
        near = x[:, max(0, c - size // 2) : min(channels, c + (size - 1) // 2 + 1)]
        total[:, c] = (near * near).sum(1)
    return np.asarray(x / (k + alpha / size * total) ** beta)


def _torch(name: str, arrange: Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]) -> Callable[..., Any]:
    def call(*inputs: Any, **attrs: Any) -> Any:
        import torch

        args, named = arrange(*inputs, **attrs)
        return getattr(torch.nn.functional, name)(*args, **named)

    return call


def _either(call: Callable[..., Any]) -> Callable[..., Any]:
    """With channels_last, x and the result are [N, ..., C], seen as [N, C, ...] by the op."""

    def run(x: Any, *rest: Any, channels_last: bool = False, **attrs: Any) -> Any:
        if not channels_last:
            return call(x, *rest, **attrs)
        to_op, back = (0, x.ndim - 1, *range(1, x.ndim - 1)), (0, *range(2, x.ndim), 1)
        if isinstance(x, np.ndarray):
            return call(x.transpose(to_op), *rest, **attrs).transpose(back)
        return call(x.permute(*to_op), *rest, **attrs).permute(*back)

    return run


def _rows(x: Any, *rest: Any, dims: int = 1, eps: float = 1e-5) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (x, tuple(x.shape[x.ndim - dims :]), *rest), {"eps": eps}


def _grouped(x: Any, *rest: Any, groups: int = 1, eps: float = 1e-5) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (x, groups, *rest), {"eps": eps}


def _trained(x: Any, *rest: Any, eps: float = 1e-5) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (x, None, None, *rest), {"training": True, "eps": eps}


def _by_instance(x: Any, *rest: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (x, None, None, *rest), {}


def _as_given(*inputs: Any, **attrs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return inputs, attrs


def _ours(name: str, arrange: Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]) -> Callable[..., Any]:
    def call(*inputs: Any, **attrs: Any) -> Any:
        args, named = arrange(*inputs, **attrs)
        return getattr(functional, name)(*args, **named)

    return call


def _case(name: str, x: Shape, affine: Shape | None = None, count: int = 2, batch: int | None = 0, **attrs: Any) -> Case:
    """x, with `count` of weight and bias of shape `affine`."""
    more = {k: attrs.pop(k) for k in ("bench", "train", "heavy") if k in attrs}
    inputs = (Input(x, batch=batch), *((Input(affine),) * count if affine is not None else ()))
    n = int(np.prod(x))
    return Case(name, inputs, attrs, reduction=max(n, 1), flops=8 * n, bytes=8 * n, **more)


def _row_cases(count: int) -> tuple[Case, ...]:
    return (
        _case("rows", (7, 13), (13,), count),
        _case("without weights", (5, 17)),
        _case("many rows", (1100, 3), (3,), count),
        _case("long row", (2, 1031), (1031,), count),
        _case("several dimensions", (3, 2, 5, 4), (5, 4), count, dims=2),
        _case("of three", (2, 3, 7), (7,), count),
        _case("one row", (11,), (11,), count, batch=None),
        _case("size 2", (4, 2), (2,), count),
        _case("large eps", (3, 5), (5,), count, eps=2.0),
        _case("no rows", (0, 5), (5,), count),
        _case("4096 x 1024", (4096, 1024), (1024,), count, bench=True, train=True, heavy=True),
    )


def _channel_cases(batch: int | None) -> tuple[Case, ...]:
    return (
        _case("pictures", (5, 3, 7, 5), (3,), batch=batch),
        _case("without weights", (3, 4, 5, 3), batch=batch),
        _case("rows", (2, 5, 13), (5,), batch=batch),
        _case("one channel", (3, 1, 5), (1,), batch=batch),
        _case("many channels", (2, 67, 2, 3), (67,), batch=batch),
        _case("volumes", (2, 3, 2, 3, 4), (3,), batch=batch),
        _case("channels last", (3, 5, 3, 6), (6,), batch=batch, channels_last=True),
        _case("channels last, many", (2, 9, 11, 67), (67,), batch=batch, channels_last=True),
    )


zeros = ww.zeros
BATCHES = (
    *_channel_cases(None),
    _case("vectors", (7, 5), (5,), batch=None),
    _case("many vectors", (4200, 3), (3,), batch=None),
    _case("wide vectors", (9, 150), (150,), batch=None),
    _case("large pictures", (2, 2, 181, 187), (2,), batch=None),
    _case("large pictures, channels last", (2, 61, 47, 3), (3,), batch=None, channels_last=True),
    _case("weight alone", (3, 4, 5), (4,), 1, batch=None),
    _case("large eps", (6, 3), (3,), batch=None, eps=2.0),
    _case("32x64x56x56", (32, 64, 56, 56), (64,), batch=None, bench=True, train=True, heavy=True),
    _case(
        "32x56x56x64, channels last", (32, 56, 56, 64), (64,), batch=None, channels_last=True, bench=True, train=True, heavy=True
    ),
)


def _given(name: str, x: Shape, count: int = 2) -> Case:
    """x with running statistics, `count` of weight and bias."""
    channels = x[1:2]
    statistics = (Input(channels, grad=False), Input(channels, "positive", grad=False))
    return Case(name, (Input(x, batch=0), *statistics, *(Input(channels),) * count), reduction=max(int(np.prod(x)), 1))


def _lrn(name: str, x: Shape, size: int, **attrs: Any) -> Case:
    more = {key: attrs.pop(key) for key in ("bench", "train", "heavy") if key in attrs}
    n = int(np.prod(x))
    return Case(name, (Input(x, batch=0),), {"size": size, **attrs}, reduction=size, flops=(2 * size + 5) * n, bytes=8 * n, **more)


TABLES = (
    OpTable(
        op="layer_norm",
        function=_ours("layer_norm", _rows),
        reference=_layer_norm,
        kernels=("layer_norm_forward", "layer_norm_backward_x", "layer_norm_backward_wb"),
        cases=_row_cases(2),
        bad=(
            BadCall(
                "shape", lambda: functional.layer_norm(zeros((2, 3)), 2), ValueError, ("layer_norm", "end with (2,)", "(2, 3)")
            ),
            BadCall(
                "weight",
                lambda: functional.layer_norm(zeros((2, 3)), (3,), zeros(2)),
                ValueError,
                ("layer_norm", "weight.shape == (3,)", "(2,)"),
            ),
            BadCall(
                "dtype",
                lambda: functional.layer_norm(zeros((2, 3)), (3,), zeros(3, dtype="float64")),
                TypeError,
                ("layer_norm", "weight.dtype == float32", "float64"),
            ),
            BadCall("integers", lambda: functional.layer_norm(zeros(3, dtype="int32"), 3), TypeError, ("layer_norm", "int32")),
        ),
        torch=_torch("layer_norm", _rows),
    ),
    OpTable(
        op="rms_norm",
        function=_ours("rms_norm", _rows),
        reference=_rms_norm,
        kernels=("layer_norm_forward", "layer_norm_backward_x", "layer_norm_backward_wb"),
        cases=_row_cases(1),
        bad=(
            BadCall(
                "shape", lambda: functional.rms_norm(zeros((2, 3)), (2, 2)), ValueError, ("rms_norm", "end with (2, 2)", "(2, 3)")
            ),
        ),
        torch=_torch("rms_norm", _rows),
    ),
    OpTable(
        op="group_norm",
        function=_either(_ours("group_norm", _grouped)),
        reference=_either(_group_norm),
        kernels=("channel_norm_moments", "channel_norm_forward", "channel_norm_sums", "channel_norm_backward_x"),
        cases=(
            *_channel_cases(0),
            _case("two groups", (3, 6, 5, 3), (6,), groups=2),
            _case("groups of two", (2, 10, 7), (10,), groups=5),
            _case("two groups, channels last", (2, 5, 3, 6), (6,), groups=2, channels_last=True),
            _case("no spatial dimensions", (4, 6), (6,), groups=2),
            _case("no samples", (0, 4, 3), (4,), groups=2),
            _case("32x64x28x28", (32, 64, 28, 28), (64,), groups=8, bench=True, train=True, heavy=True),
        ),
        bad=(
            BadCall(
                "groups", lambda: functional.group_norm(zeros((2, 6, 3)), 4), ValueError, ("group_norm", "divide 6 channels", "4")
            ),
            BadCall("dims", lambda: functional.group_norm(zeros(3), 1), ValueError, ("group_norm", "[N, C, ...]", "(3,)")),
        ),
        torch=_either(_torch("group_norm", _grouped)),
    ),
    OpTable(
        op="instance_norm",
        function=_either(_ours("instance_norm", _by_instance)),
        reference=_either(_instance_norm),
        kernels=("channel_norm_moments", "channel_norm_forward", "channel_norm_sums", "channel_norm_backward_x"),
        cases=_channel_cases(0),
        bad=(
            BadCall(
                "one element",
                lambda: functional.instance_norm(zeros((2, 3, 1))),
                ValueError,
                ("instance_norm", "more than 1", "(2, 3, 1)"),
            ),
            BadCall(
                "statistics",
                lambda: functional.instance_norm(zeros((2, 3, 2)), use_input_stats=False),
                ValueError,
                ("instance_norm", "running_mean", "None"),
            ),
        ),
        torch=_either(_torch("instance_norm", _by_instance)),
    ),
    OpTable(
        op="batch_norm",
        function=_either(_ours("batch_norm", _trained)),
        reference=_either(_batch_norm),
        kernels=("channel_norm_moments", "channel_norm_forward", "channel_norm_sums", "channel_norm_backward_x"),
        cases=BATCHES,
        bad=(
            BadCall(
                "one element",
                lambda: functional.batch_norm(zeros((1, 3)), None, None, training=True),
                ValueError,
                ("batch_norm", "more than 1 element", "(1, 3)"),
            ),
            BadCall(
                "bias",
                lambda: functional.batch_norm(zeros((2, 3)), None, None, None, zeros(2), training=True),
                ValueError,
                ("batch_norm", "bias.shape == (3,)", "(2,)"),
            ),
            BadCall(
                "running",
                lambda: functional.batch_norm(zeros((2, 3)), zeros(2), zeros(3), training=True),
                ValueError,
                ("batch_norm", "running_mean.shape == (C,)", "(2,)"),
            ),
            BadCall(
                "running dtype",
                lambda: functional.batch_norm(zeros((2, 3)), zeros(3), zeros(3, dtype="float64"), training=True),
                TypeError,
                ("batch_norm", "running_var.dtype == float32", "float64"),
            ),
        ),
        torch=_either(_torch("batch_norm", _trained)),
    ),
    OpTable(
        op="batch_norm_eval",
        function=_ours("batch_norm", _as_given),
        reference=_batch_norm_eval,
        kernels=("channel_norm_forward", "channel_norm_sums"),
        cases=(
            _given("pictures", (5, 3, 7, 5)),
            _given("without weights", (3, 4, 5), 0),
            _given("vectors", (7, 5)),
            _given("wide vectors", (3, 70)),
            _given("weight alone", (3, 4, 2), 1),
            _given("no samples", (0, 4)),
        ),
        bad=(
            BadCall(
                "missing",
                lambda: functional.batch_norm(zeros((2, 3)), None, None),
                ValueError,
                ("batch_norm", "running_mean", "None"),
            ),
            BadCall(
                "shape",
                lambda: functional.batch_norm(zeros((2, 3)), zeros(3), zeros(4)),
                ValueError,
                ("batch_norm", "running_var.shape == (3,)", "(4,)"),
            ),
        ),
        torch=_torch("batch_norm", _as_given),
    ),
    OpTable(
        op="local_response_norm",
        function=_either(functional.local_response_norm),
        reference=_either(_local_response_norm),
        kernels=("local_response_norm_forward", "local_response_norm_backward_x"),
        cases=(
            _lrn("five channels around", (2, 11, 3, 4), 5, alpha=0.5, k=2.0),
            _lrn("an even window", (3, 6, 5), 4, alpha=0.3, beta=0.5),
            _lrn("one channel around", (2, 3, 4), 1, alpha=1.0),
            _lrn("wider than there are", (2, 3, 4), 9, alpha=1.0),
            _lrn("one channel", (2, 1, 3, 2), 3, alpha=1.0),
            _lrn("a long window", (2, 23, 5), 19, alpha=1.0, k=2.0),
            _lrn("long rows", (2, 6, 9, 11), 5, alpha=1.0),
            _lrn("channels last", (2, 3, 2, 7), 3, alpha=0.5, channels_last=True),
            _lrn("channels last, many", (2, 2, 300), 5, alpha=0.5, beta=0.6, channels_last=True),
            _lrn("no samples", (0, 3, 2), 3),
            _lrn("32x96x27x27", (32, 96, 27, 27), 5, bench=True, train=True, heavy=True),
        ),
        ulps=32.0,
        bad=(
            BadCall(
                "size",
                lambda: functional.local_response_norm(zeros((1, 2, 3)), 0),
                ValueError,
                ("local_response_norm", "size >= 1", "0"),
            ),
        ),
        torch=_either(_torch("local_response_norm", _as_given)),
    ),
)
