"""Cases of dropout and of the random fills. The references draw the same numbers by NumPy, from engine/random.h's formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import whitewolf as ww

from ..ops.dropout import dropout
from ..tensor import Tensor
from . import Array, BadCall, Case, Input, OpTable

STATE = {"seed": 0x299F31D0A4093822, "offset": (7 << 32) + 5}


def _seeded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, drawing from STATE; the stream is as it was afterwards."""

    def call(*args: Any, **attrs: Any) -> Any:
        before = ww.random.get_state()
        ww.random.set_state(STATE)
        try:
            return function(*args, **attrs)
        finally:
            ww.random.set_state(before)

    return call


def _words(blocks: int, seed: int = STATE["seed"], offset: int = STATE["offset"]) -> Array:
    """Philox 4x32-10 of counters (block, offset), [blocks, 4]."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    block = np.arange(blocks, dtype=np.uint64)
    c = [block & low, block >> half, np.full_like(block, offset & 0xFFFFFFFF), np.full_like(block, offset >> 32)]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [b >> half ^ c[1] ^ np.uint64(key[0]), b & low, a >> half ^ c[3] ^ np.uint64(key[1]), a & low]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, -1)


def _pairs(words: Array) -> Array:
    """Two words as one of 64 bits, the low one first."""
    return np.asarray(words[..., 0] | words[..., 1] << np.uint64(32))


def _uniforms(n: int) -> tuple[Array, Array]:
    single = (_words(-(-n // 4)).ravel()[:n] >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
    double = (_pairs(_words(-(-n // 2)).reshape(-1, 2))[:n] >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return single, double


def _log(x: Array) -> Array:
    bits = x.view(np.int64)
    exponent = (bits - 0x3FE6A09E667F3BCD) >> 52
    m = (bits - (exponent << 52)).view(np.float64)
    s = (m - 1) / (m + 1)
    z, series = s * s, np.full_like(s, 1 / 21)
    for odd in range(19, 2, -2):
        series = series * z + 1 / odd
    e, high, low = exponent.astype(np.float64), float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
    return np.asarray(e * high + (2 * s + (2 * s * z * series + e * low)))


_FACTORIALS = np.cumprod(np.arange(1, 19, dtype=np.float64))  # 1!, 2!, ...


def _cos_sin(t: Array) -> tuple[Array, Array]:
    quarter = (t * 4 + 0.5).astype(np.int64)
    x = (t - quarter * 0.25) * 6.283185307179586
    z = x * x
    c, s = np.full_like(x, 1 / _FACTORIALS[15]), np.full_like(x, 1 / _FACTORIALS[16])
    for n in range(7, 0, -1):
        c = c * z + (-1) ** n / _FACTORIALS[2 * n - 1]
        s = s * z + (-1) ** n / _FACTORIALS[2 * n]
    c, s = c * z + 1, s * z * x + x
    along, across = np.where(quarter & 1, s, c), np.where(quarter & 1, c, s)
    return np.where((quarter + 1) & 2, -along, along), np.where(quarter & 2, -across, across)


def _normals(n: int) -> tuple[Array, Array]:
    found = []
    for single in (True, False):
        words = _words(-(-n // (4 if single else 2)))
        if single:
            words = words.reshape(-1, 2)
            u, t = (words[:, 0] + 0.5) * 2.0**-32, words[:, 1] * 2.0**-32
        else:
            u = ((_pairs(words[:, :2]) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
            t = (_pairs(words[:, 2:]) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        r, (cosine, sine) = np.sqrt(-2 * _log(u)), _cos_sin(t)
        z = np.stack([r * cosine, r * sine], -1).ravel()[:n]
        found.append(z.astype(np.float32) if single else z)
    return found[0], found[1]


def _bits(values: Array) -> Array:
    return np.asarray(values.view(f"i{values.itemsize}").astype(np.int64))


def _both(draw: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, Tensor]]:
    """The fill in float32 and in float64, by their bits: they must be exactly the reference's."""

    def run(like: Tensor) -> tuple[Tensor, Tensor]:
        found = [_seeded(draw)(like.shape, dtype=dtype, device=like.device) for dtype in ("float32", "float64")]
        single, double = (ww.asarray(_bits(t.numpy()), device=like.device) for t in found)
        return single, double

    return run


def _reference(draw: Callable[[int], tuple[Array, Array]]) -> Callable[[Array], tuple[Array, ...]]:
    return lambda like: tuple(_bits(values).reshape(like.shape) for values in draw(like.size))


def _dropped(x: Array, p: float) -> Array:
    kept = _words(-(-x.size // 4)).ravel()[: x.size] < round((1 - p) * 2**32)
    return np.asarray(x * np.where(kept.reshape(x.shape), 1 / (1 - p) if p < 1 else 0, 0))


def _integers(like: Array, low: int, high: int) -> Array:
    first, second = (_pairs(_words(like.size)[:, i : i + 2]).astype(object) for i in (0, 2))
    return np.array([low + ((a + (b << 64)) * (high - low) >> 128) for a, b in zip(first, second)], np.int64).reshape(like.shape)


_SHAPES = {"prime": (7, 13), "several tiles": (3, 5, 131), "one element": (1,), "0-d": (), "empty": (0, 3), "odd": (257,)}


def _fills(**attrs: Any) -> tuple[Case, ...]:
    return tuple(Case(name, (Input(shape, grad=False),), attrs) for name, shape in _SHAPES.items())


_NO_GRADIENT = "a fill takes no tensor to differentiate by"

TABLES = (
    OpTable(
        op="dropout",
        function=_seeded(dropout),
        reference=_dropped,
        kernels=("dropout_forward",),
        cases=(
            *(Case(f"{name}, p = {p}", (Input(s),), {"p": p}) for name, s in _SHAPES.items() for p in (0.5, 0.1)),
            Case("all dropped", (Input((5, 7)),), {"p": 1.0}),
            Case("all kept", (Input((5, 7)),), {"p": 0.0}),
            Case("pictures", (Input((2, 3, 5, 7)),), {"p": 0.5}),
            Case("4M", (Input((2048, 2048)),), {"p": 0.5}, flops=1 << 22, bytes=8 << 22, bench=True, train=True, heavy=True),
        ),
        ulps=2.0,
        bad=(
            BadCall("p", lambda: dropout(ww.zeros(3), 1.5), ValueError, ("dropout", "p in [0, 1]", "1.5")),
            BadCall("dtype", lambda: dropout(ww.zeros(3, dtype="int32")), TypeError, ("dropout", "float32 or float64", "int32")),
        ),
    ),
    OpTable(
        op="uniform",
        function=_both(ww.random.uniform),
        reference=_reference(_uniforms),
        kernels=("uniform_forward",),
        cases=_fills(),
        gradient=_NO_GRADIENT,
        bad=(
            BadCall("range", lambda: ww.random.uniform(3, 2.0, 1.0), ValueError, ("uniform", "low <= high", "2.0", "1.0")),
            BadCall("dtype", lambda: ww.random.uniform(3, dtype="int32"), TypeError, ("uniform", "floating dtype", "int32")),
        ),
    ),
    OpTable(
        op="normal",
        function=_both(ww.random.normal),
        reference=_reference(_normals),
        kernels=("normal_forward",),
        cases=_fills(),
        gradient=_NO_GRADIENT,
        bad=(BadCall("std", lambda: ww.random.normal(3, std=-1.0), ValueError, ("normal", "std >= 0", "-1.0")),),
    ),
    OpTable(
        op="randint",
        function=_seeded(lambda like, low, high: ww.random.randint(low, high, like.shape, device=like.device)),
        reference=_integers,
        kernels=("randint_forward",),
        cases=(*_fills(low=-5, high=9), Case("all of int64", (Input((9,), grad=False),), {"low": -(2**63), "high": 2**63 - 1})),
        gradient=_NO_GRADIENT,
        bad=(BadCall("range", lambda: ww.random.randint(3, 3), ValueError, ("randint", "low < high", "3")),),
    ),
)
