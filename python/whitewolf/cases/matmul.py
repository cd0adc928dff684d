"""Cases of the matrix products."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

import whitewolf as ww

from . import BadCall, Case, Input, OpTable


def _product(name: str, a: tuple[int, ...], b: tuple[int, ...], *, batch: int | None = None, **more: Any) -> Case:
    """One product; `batch` is the axis of a along which rows or matrices are independent."""
    rows = int(np.prod(np.broadcast_shapes(a[:-2], b[:-2]))) * a[-2] if len(a) > 1 and len(b) > 1 else 1
    n = b[-1] if len(b) > 1 else 1
    shared = batch if batch is not None and len(b) > 2 and batch == 0 and len(a) == len(b) else None
    return Case(
        name,
        (Input(a, batch=batch), Input(b, batch=shared)),
        flops=2 * rows * n * a[-1],
        bytes=4 * int(np.prod(a) + np.prod(b) + rows * n),
        reduction=max(a[-1], 1),
        **more,
    )


def _bench(m: int, k: int, n: int) -> Case:
    return _product(f"{m} x {k} x {n}", (m, k), (k, n), bench=True, train=True, heavy=True)


PRODUCTS = (
    _product("prime", (7, 13), (13, 11), batch=0),
    _product("one element", (1, 1), (1, 1)),
    _product("row", (1, 67), (67, 5)),
    _product("column", (37, 19), (19, 1), batch=0),
    _product("outer", (5, 1), (1, 17), batch=0),
    _product("vectors", (23,), (23,)),
    _product("matrix vector", (9, 14), (14,), batch=0),
    _product("vector matrix", (14,), (14, 9)),
    _product("large k", (3, 1031), (1031, 5), batch=0),
    _product("several tiles", (61, 33), (33, 83), batch=0),
    _product("packed", (150, 40), (40, 270), batch=0),
    _product("deep", (5, 1601), (1601, 3), batch=0),
    _product("rows together", (163, 801), (801, 701), batch=0, heavy=True),
    _product("streamed", (19, 1601), (1601, 1401), batch=0, heavy=True),
    _product("shared", (251, 801), (801, 701), batch=0, heavy=True),
    _product("shared, deep", (225, 1601), (1601, 401), batch=0, heavy=True),
    _product("shared, rows apart", (225, 1792), (1792, 401), batch=0, heavy=True),
    _product("shared, batch", (2, 231, 701), (2, 701, 801), batch=0, heavy=True),
    _product("batch", (3, 5, 7), (3, 7, 4), batch=0),
    _product("batch of rows", (3, 5, 7), (7, 4), batch=0),
    _product("broadcast", (2, 1, 4, 3), (5, 3, 6)),
    _product("broadcast left", (4, 3), (2, 3, 2)),
    _product("empty m", (0, 5), (5, 3)),
    _product("empty n", (4, 5), (5, 0)),
    _product("empty k", (4, 0), (0, 3)),
    _product("empty batch", (0, 4, 5), (5, 3)),
    _bench(256, 256, 256),
    _bench(512, 512, 512),
    _bench(1024, 1024, 1024),
    _bench(2048, 2048, 2048),
    _bench(20, 650, 2600),
    _bench(16, 9216, 4096),
    _bench(700, 650, 10000),
)


def _bad() -> tuple[BadCall, ...]:
    zeros, matmul = ww.zeros, cast(Any, ww.matmul)
    return (
        BadCall(
            "inner",
            lambda: matmul(zeros((2, 3)), zeros((4, 5))),
            ValueError,
            ("matmul", "x2.shape[-2] == 3", "(2, 3)", "(4, 5)"),
        ),
        BadCall("lead", lambda: matmul(zeros((2, 3, 4)), zeros((3, 4, 5))), ValueError, ("matmul", "leading", "(2, 3, 4)")),
        BadCall("0-d", lambda: matmul(zeros(()), zeros((2, 2))), ValueError, ("matmul", "at least 1 dimension", "()")),
        BadCall("type", lambda: matmul(zeros((2, 2)), "x"), TypeError, ("matmul", "x2", "str")),
    )


def _torch_matmul(a: Any, b: Any) -> Any:
    return __import__("torch").matmul(a, b)


def _linear(x: Any, w: Any, b: Any = None) -> Any:
    return ww.nn.functional.linear(x, w, b)


def _linear_numpy(x: Any, w: Any, b: Any = None) -> Any:
    product = x @ w.T
    return product if b is None else product + b


def _linear_torch(x: Any, w: Any, b: Any = None) -> Any:
    return __import__("torch").nn.functional.linear(x, w, b)


def _layer(name: str, x: tuple[int, ...], n: int, *, bias: bool = True, **more: Any) -> Case:
    k, rows = x[-1], int(np.prod(x[:-1]))
    inputs = (Input(x, batch=0 if len(x) > 1 else None), Input((n, k)), *((Input((n,)),) if bias else ()))
    return Case(name, inputs, flops=2 * rows * n * k, bytes=4 * (rows * k + n * k + rows * n), reduction=max(k, 1), **more)


LAYERS = (
    _layer("prime", (7, 13), 11),
    _layer("no bias", (7, 13), 11, bias=False),
    _layer("one row", (1, 67), 31),
    _layer("vector", (17,), 5),
    _layer("sequence", (3, 4, 19), 23),
    _layer("large k", (5, 1031), 7),
    _layer("many rows", (131, 29), 37),
    _layer("empty batch", (0, 6), 4),
    _layer("no inputs", (3, 0), 4),
    _layer("LeNet 64 x 800 x 500", (64, 800), 500, bench=True, train=True, heavy=True),
    _layer("AlexNet 16 x 9216 x 4096", (16, 9216), 4096, bench=True, train=True, heavy=True),
    _layer("MLP 64 x 784 x 500", (64, 784), 500, bench=True, train=True, heavy=True),
)


def _bad_linear() -> tuple[BadCall, ...]:
    zeros, linear = ww.zeros, _linear
    return (
        BadCall("inner", lambda: linear(zeros((2, 3)), zeros((5, 4))), ValueError, ("linear", "(2, 3)", "(5, 4)")),
        BadCall(
            "bias", lambda: linear(zeros((2, 3)), zeros((5, 3)), zeros(3)), ValueError, ("linear", "bias.shape == (5,)", "(3,)")
        ),
        BadCall("dtype", lambda: linear(zeros((2, 3)), ww.zeros((5, 3), dtype="float64")), TypeError, ("linear", "weight.dtype")),
    )


TENSORDOT = (
    Case("matrices", (Input((3, 5)), Input((5, 4))), {"axes": 1}, reduction=5),
    Case("two axes", (Input((2, 3, 4)), Input((3, 4, 5))), {"axes": 2}, reduction=12),
    Case("named", (Input((2, 3, 4, 5)), Input((5, 6, 3))), {"axes": ((1, -1), (2, 0))}, reduction=15),
    Case("outer", (Input((2, 3)), Input((4,))), {"axes": 0}),
    Case("all", (Input((3, 4)), Input((3, 4))), {"axes": 2}, reduction=12),
    Case("empty", (Input((2, 0)), Input((0, 3))), {"axes": 1}),
)


def _bad_tensordot() -> tuple[BadCall, ...]:
    zeros, tensordot = ww.zeros, ww.tensordot
    return (
        BadCall("sizes", lambda: tensordot(zeros((2, 3)), zeros((4, 5)), axes=1), ValueError, ("tensordot", "(2, 3)", "(4, 5)")),
        BadCall("number", lambda: tensordot(zeros((2, 3)), zeros((3,)), axes=2), ValueError, ("tensordot", "axes", "[0, 1]", "2")),
        BadCall(
            "axis", lambda: tensordot(zeros((2, 3)), zeros((3,)), axes=((2,), (0,))), IndexError, ("tensordot", "axes[0]", "2")
        ),
        BadCall("twice", lambda: tensordot(zeros((2, 2)), zeros((2, 2)), axes=((0, 0), (0, 1))), ValueError, ("tensordot", "once")),
    )


VECDOT = (
    Case("vectors", (Input((31,)), Input((31,))), reduction=31),
    Case("rows", (Input((5, 7), batch=0), Input((5, 7), batch=0)), reduction=7),
    Case("broadcast", (Input((2, 1, 7)), Input((3, 7))), reduction=7),
    Case("columns", (Input((7, 5)), Input((7, 5))), {"axis": -2}, reduction=7),
    Case("empty", (Input((3, 0)), Input((3, 0)))),
)


def _bad_vecdot() -> tuple[BadCall, ...]:
    zeros, vecdot = ww.zeros, ww.vecdot
    return (
        BadCall("sizes", lambda: vecdot(zeros((2, 3)), zeros((2, 4))), ValueError, ("vecdot", "(2, 3)", "(2, 4)")),
        BadCall("axis", lambda: vecdot(zeros((2, 3)), zeros(3), axis=-2), IndexError, ("vecdot", "axis", "-2")),
    )


def _vecdot(a: Any, b: Any, axis: int = -1) -> Any:
    return np.sum(a * b, axis=axis)


def _torch_vecdot(a: Any, b: Any, axis: int = -1) -> Any:
    return __import__("torch").linalg.vecdot(a, b, dim=axis)


def _torch_tensordot(a: Any, b: Any, axes: Any) -> Any:
    return __import__("torch").tensordot(a, b, dims=axes)


TABLES = (
    OpTable("matmul", ww.matmul, np.matmul, ("matmul_forward",), PRODUCTS, exact=True, bad=_bad(), torch=_torch_matmul, numpy=np.matmul),
    OpTable(
        "linear", _linear, _linear_numpy, ("matmul_forward",), LAYERS,
        exact=True, bad=_bad_linear(), torch=_linear_torch, numpy=_linear_numpy,
    ),
    OpTable(
        "tensordot", ww.tensordot, np.tensordot, ("matmul_forward",), TENSORDOT,
        exact=True, bad=_bad_tensordot(), torch=_torch_tensordot, numpy=np.tensordot,
    ),
    OpTable("vecdot", ww.vecdot, _vecdot, (), VECDOT, exact=True, bad=_bad_vecdot(), torch=_torch_vecdot),
)  # fmt: skip
