"""The array API standard 2024.12: every function is there with its signature, and gives what array-api-strict gives: values, dtypes
and, where the standard leaves no room, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

xp = pytest.importorskip("array_api_strict", reason="the oracle is not installed: pip install array-api-strict")


@pytest.fixture(autouse=True, scope="module")
def version() -> Any:
    with xp.ArrayAPIStrictFlags(api_version="2024.12"):
        yield


BOOL, INT, UINT = ("bool",), ("int8", "int16", "int32", "int64"), ("uint8", "uint16", "uint32", "uint64")
REAL, COMPLEX = ("float32", "float64"), ("complex64", "complex128")
INTEGER, FLOATING = INT + UINT, REAL + COMPLEX
ORDERED, NUMERIC = INTEGER + REAL, INTEGER + FLOATING
ALL = BOOL + NUMERIC

# Function: the dtypes it is for, and whether every bit must agree; elsewhere an error of some units in the last place is allowed.
UNARY: dict[str, tuple[tuple[str, ...], bool]] = {
    **dict.fromkeys("acos acosh asin asinh atan atanh cos cosh exp expm1 log log1p log2 log10 sin sinh tan tanh".split(), (FLOATING, False)),
    **dict.fromkeys("sqrt reciprocal square abs".split(), (FLOATING, False)),
    **dict.fromkeys("ceil floor trunc".split(), (ORDERED, True)),
    **dict.fromkeys("isfinite isinf isnan negative positive round".split(), (NUMERIC, True)),
    "sign": (ORDERED, True), "signbit": (REAL, True), "conj": (COMPLEX, True), "real": (COMPLEX, True), "imag": (COMPLEX, True),
    "logical_not": (BOOL, True), "bitwise_invert": (BOOL + INTEGER, True),
}  # fmt: skip
BINARY: dict[str, tuple[tuple[str, ...], bool]] = {
    **dict.fromkeys("add subtract multiply".split(), (ORDERED, True)),
    **dict.fromkeys("atan2 hypot logaddexp divide".split(), (REAL, False)),
    **dict.fromkeys("copysign nextafter".split(), (REAL, True)),
    **dict.fromkeys("equal not_equal".split(), (ALL, True)),
    **dict.fromkeys("less less_equal greater greater_equal maximum minimum".split(), (ORDERED, True)),
    **dict.fromkeys("logical_and logical_or logical_xor".split(), (BOOL, True)),
    **dict.fromkeys("bitwise_and bitwise_or bitwise_xor".split(), (BOOL + INTEGER, True)),
}  # fmt: skip
PAIRS = [(n, d) for table in (UNARY, BINARY) for n, (dtypes, _) in table.items() for d in dtypes]


def both(array: Any) -> tuple[Any, Any]:
    return ww.asarray(array), xp.asarray(array)


def agree(ours: Any, theirs: Any, exact: bool = True) -> None:
    """Same kind of result, dtype, shape and values; the sign of zero and NaN count."""
    if isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
        for o, t in zip(ours, theirs):
            agree(o, t, exact)
        return
    a, b = ours.numpy(), np.asarray(theirs)
    assert a.dtype == b.dtype and a.shape == b.shape
    if exact or b.dtype.kind in "biu":
        np.testing.assert_array_equal(a, b)
        if b.dtype.kind == "f":
            numbers = ~np.isnan(b)
            np.testing.assert_array_equal(np.signbit(a[numbers]), np.signbit(b[numbers]))
        return
    info = np.finfo(b.dtype)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(a, b, rtol=40 * info.eps, atol=float(info.smallest_normal) * 4)


def values(dtype: str, shape: Any, wild: bool = True) -> Any:
    """Arrays; wild ones hold NaN, infinities and subnormal numbers, tame ones small integers."""
    kind = np.dtype(dtype)
    if not wild:
        low = 0 if kind.kind in "u" else -3
        small = st.integers(low, 3).map(lambda v: kind.type(v)) if kind.kind != "b" else st.booleans()
        return hnp.arrays(kind, shape, elements=small)
    return hnp.arrays(kind, shape)


@pytest.mark.parametrize(("name", "dtype"), PAIRS)
@settings(deadline=None, max_examples=8, derandomize=True)
@given(data=st.data())
def test_elementwise(name: str, dtype: str, data: Any) -> None:
    exact = (UNARY.get(name) or BINARY[name])[1]
    if name in UNARY:
        shapes: Any = (data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),)
    else:
        shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=4)).input_shapes
    wild = np.dtype(dtype).kind != "c" or exact
    arrays = [data.draw(values(dtype, shape, wild)) for shape in shapes]
    with np.errstate(all="ignore"):
        theirs = getattr(xp, name)(*[xp.asarray(a) for a in arrays])
        wanted = np.asarray(theirs)
    if not exact:  # between the largest number and infinity, the last place decides
        edge = np.abs(wanted) > np.finfo(wanted.dtype).max / 8
        if edge.any():
            return
    agree(getattr(ww, name)(*[ww.asarray(a) for a in arrays]), theirs, exact)


SPECIAL = np.array([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", [n for n, (d, _) in UNARY.items() if set(REAL) <= set(d)])
def test_special_values(name: str, dtype: str) -> None:
    with np.errstate(all="ignore"):
        x, y = both(SPECIAL.astype(dtype))
        ours, theirs = getattr(ww, name)(x), getattr(xp, name)(y)
    agree(ours, theirs, UNARY[name][1])
    at_zero = np.asarray(theirs)[:2]
    if at_zero.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(ours.numpy()[:2]), np.signbit(at_zero))


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", [n for n, (d, _) in BINARY.items() if set(REAL) <= set(d)] + ["pow", "remainder", "floor_divide"])
def test_special_values_of_two(name: str, dtype: str) -> None:
    grid = SPECIAL.astype(dtype)
    with np.errstate(all="ignore"):
        ours = getattr(ww, name)(ww.asarray(grid[:, None]), ww.asarray(grid))
        theirs = getattr(xp, name)(xp.asarray(grid[:, None]), xp.asarray(grid))
    agree(ours, theirs, name in BINARY and BINARY[name][1])
    zero = np.asarray(theirs) == 0
    np.testing.assert_array_equal(np.signbit(ours.numpy()[zero]), np.signbit(np.asarray(theirs)[zero]))


@pytest.mark.parametrize("dtype", INTEGER)
@settings(deadline=None, max_examples=10, derandomize=True)
@given(data=st.data())
def test_integer_division_powers_and_shifts(dtype: str, data: Any) -> None:
    a = data.draw(hnp.arrays(dtype, 5))
    b = data.draw(hnp.arrays(dtype, 5, elements=st.integers(1, 6)))
    for name in ("floor_divide", "remainder", "pow", "bitwise_left_shift", "bitwise_right_shift"):
        agree(getattr(ww, name)(ww.asarray(a), ww.asarray(b)), getattr(xp, name)(xp.asarray(a), xp.asarray(b)))
        agree(getattr(ww, name)(ww.asarray(a), 2), getattr(xp, name)(xp.asarray(a), 2))


@pytest.mark.parametrize("dtype", ALL)
@settings(deadline=None, max_examples=10, derandomize=True)
@given(data=st.data())
def test_manipulation(dtype: str, data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
    x, y = both(data.draw(values(dtype, shape)))
    n = len(shape)
    axis, other = data.draw(st.integers(-n, n - 1)), data.draw(st.integers(-n, n - 1))
    order = tuple(data.draw(st.permutations(range(n))))
    shift, repeats = data.draw(st.integers(-5, 5)), data.draw(st.integers(0, 3))
    tiles = tuple(data.draw(st.lists(st.integers(0, 2), max_size=4)))
    for call in (
        lambda m, a: m.permute_dims(a, order),
        lambda m, a: m.flip(a),
        lambda m, a: m.flip(a, axis=axis),
        lambda m, a: m.roll(a, shift),
        lambda m, a: m.roll(a, shift, axis=axis),
        lambda m, a: m.roll(a, (shift, 1), axis=(axis, other)),
        lambda m, a: m.moveaxis(a, axis, other),
        lambda m, a: m.expand_dims(a, axis=axis),
        lambda m, a: m.squeeze(m.expand_dims(a, axis=axis), axis=axis),
        lambda m, a: m.tile(a, tiles),
        lambda m, a: m.repeat(a, repeats),
        lambda m, a: m.repeat(a, repeats, axis=axis),
        lambda m, a: m.repeat(a, m.arange(a.shape[axis]), axis=axis),
        lambda m, a: m.concat([a, a], axis=axis),
        lambda m, a: m.concat([a, a], axis=None),
        lambda m, a: m.stack([a, a, a], axis=axis),
        lambda m, a: m.unstack(a, axis=axis),
        lambda m, a: m.reshape(a, (-1,)) if a.size else a,
        lambda m, a: m.broadcast_to(a, (2, *shape)),
        lambda m, a: m.broadcast_arrays(a, m.zeros((2, *(1,) * n), dtype=m.int8))[0],
        lambda m, a: m.unstack(a, axis=axis),
        lambda m, a: m.tril(m.stack([a, a]), k=shift) if n else a,
        lambda m, a: m.triu(m.stack([a, a]), k=shift) if n else a,
        lambda m, a: m.matrix_transpose(m.stack([a, a])),
        lambda m, a: a.T if n == 2 else a,
        lambda m, a: m.meshgrid(m.reshape(a, (a.size,)), m.zeros(2, dtype=a.dtype), indexing="xy"),
        lambda m, a: m.meshgrid(m.reshape(a, (a.size,)), m.zeros(2, dtype=a.dtype), indexing="ij"),
        lambda m, a: m.where(m.astype(m.ones(shape), m.bool), a, a),
        lambda m, a: m.astype(a, m.complex128),
    ):
        agree(call(ww, x), call(xp, y))


@pytest.mark.parametrize("dtype", ALL)
@settings(deadline=None, max_examples=10, derandomize=True)
@given(data=st.data())
def test_reductions(dtype: str, data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    x, y = both(data.draw(values(dtype, shape, wild=False)))
    axis, keep = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1)), data.draw(st.booleans())
    one = 0 if axis is None else axis
    calls = ["all", "any", "count_nonzero"]
    if dtype in NUMERIC:
        calls += ["sum", "prod"]
    if dtype in ORDERED:
        calls += ["max", "min", "argmax", "argmin"]
    for name in calls:
        agree(getattr(ww, name)(x, axis=axis, keepdims=keep), getattr(xp, name)(y, axis=axis, keepdims=keep))
    for name in ("cumulative_sum", "cumulative_prod") if dtype in NUMERIC else ():
        for initial in (False, True):
            agree(getattr(ww, name)(x, axis=one, include_initial=initial), getattr(xp, name)(y, axis=one, include_initial=initial))
    if dtype in NUMERIC:
        for n in (0, 1, 2):
            agree(ww.diff(x, axis=one, n=n), xp.diff(y, axis=one, n=n))
        agree(ww.diff(x, axis=one, prepend=x, append=x), xp.diff(y, axis=one, prepend=y, append=y))
    for name in (("mean",) if dtype in COMPLEX else ("mean", "var", "std")) if dtype in FLOATING else ():
        agree(getattr(ww, name)(x, axis=axis, keepdims=keep), getattr(xp, name)(y, axis=axis, keepdims=keep), exact=False)
    for name in ("sum", "prod") if dtype in ORDERED else ():
        agree(getattr(ww, name)(x, dtype=ww.float64), getattr(xp, name)(y, dtype=xp.float64))


@pytest.mark.parametrize("dtype", ALL)
@settings(deadline=None, max_examples=12, derandomize=True)
@given(data=st.data())
def test_searching_sorting_and_sets(dtype: str, data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=6))
    x, y = both(data.draw(values(dtype, shape, wild=False)))
    agree(ww.nonzero(x), xp.nonzero(y))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    if dtype in ORDERED:
        for descending in (False, True):
            agree(ww.sort(x, axis=axis, descending=descending), xp.sort(y, axis=axis, descending=descending))
            agree(ww.argsort(x, axis=axis, descending=descending), xp.argsort(y, axis=axis, descending=descending))
        row, their_row = ww.sort(ww.reshape(x, (-1,))) if x.size else None, xp.sort(xp.reshape(y, (-1,))) if x.size else None
        for side in ("left", "right") if row is not None else ():
            agree(ww.searchsorted(row, x, side=side), xp.searchsorted(their_row, y, side=side))
        other, theirs = both(np.array([0, 2], dtype))
        agree(ww.clip(x, 0, 2), xp.clip(y, 0, 2))
        agree(ww.clip(x, min=other[0]), xp.clip(y, min=theirs[0]))
        agree(ww.clip(x, other[0], other[1]), xp.clip(y, theirs[0], theirs[1]))
    for name in ("unique_all", "unique_counts", "unique_inverse", "unique_values"):
        agree(getattr(ww, name)(x), getattr(xp, name)(y))
    if x.size and len(shape) == 1:
        places = data.draw(hnp.arrays("int64", 3, elements=st.integers(0, shape[0] - 1)))
        agree(ww.take(x, ww.asarray(places)), xp.take(y, xp.asarray(places)))
        agree(ww.take_along_axis(x, ww.asarray(places)), xp.take_along_axis(y, xp.asarray(places)))


def test_each_nan_stands_for_itself_in_sets() -> None:
    x, y = both(np.array([np.nan, 1.0, np.nan, 0.0, -0.0]))
    for name in ("unique_all", "unique_counts", "unique_inverse", "unique_values"):
        agree(getattr(ww, name)(x), getattr(xp, name)(y))


@pytest.mark.parametrize("dtype", ("int64", *FLOATING))
@settings(deadline=None, max_examples=10, derandomize=True)
@given(data=st.data())
def test_products(dtype: str, data: Any) -> None:
    m, k, n = (data.draw(st.integers(0, 4)) for _ in range(3))
    lead = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=2)).input_shapes
    x, y = both(data.draw(values(dtype, (*lead[0], m, k), wild=False)))
    u, v = both(data.draw(values(dtype, (*lead[1], k, n), wild=False)))
    agree(ww.matmul(x, u), xp.matmul(y, v))
    agree(x @ u, y @ v)
    agree(ww.tensordot(x, u, axes=((-1,), (-2,))), xp.tensordot(y, v, axes=((len(lead[0]) + 1,), (len(lead[1]),))))
    agree(ww.tensordot(x, u, axes=0), xp.tensordot(y, v, axes=0))
    agree(ww.vecdot(x, x), xp.vecdot(y, y))
    agree(ww.matrix_transpose(x), xp.matrix_transpose(y))


@settings(deadline=None, max_examples=100, derandomize=True)
@given(data=st.data())
def test_indexing(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5))
    a = np.arange(int(np.prod(shape))).reshape(shape)
    x, y = both(a)
    key = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    wanted = a[key]
    agree(x[key], xp.asarray(wanted))
    mask = data.draw(hnp.arrays(bool, shape))
    agree(x[ww.asarray(mask)], y[xp.asarray(mask)])
    twin = a.copy()
    twin[key] = 7
    changed = ww.tensor(a)
    changed[key] = 7
    agree(changed, xp.asarray(twin))


@settings(deadline=None, max_examples=40, derandomize=True)
@given(data=st.data())
def test_creation(data: Any) -> None:
    dtype = data.draw(st.sampled_from(ORDERED))
    start, stop = data.draw(st.integers(0, 20)), data.draw(st.integers(0, 20))
    step = data.draw(st.sampled_from([1, 2, 3] if dtype in UINT else [-3, -1, 1, 2, 5]))
    n, m, k = (data.draw(st.integers(0, 5)), data.draw(st.integers(0, 5)), data.draw(st.integers(-6, 6)))

    def kind(mod: Any, name: str = dtype) -> Any:
        return getattr(mod, name)

    for call in (
        lambda mod: mod.arange(start, stop, step, dtype=kind(mod)),
        lambda mod: mod.arange(stop, dtype=kind(mod)),
        lambda mod: mod.arange(start, stop),
        lambda mod: mod.linspace(start, stop, n, dtype=mod.float64),
        lambda mod: mod.linspace(start, stop, n + 1, dtype=mod.float64, endpoint=False),
        lambda mod: mod.eye(n, m, k=k, dtype=kind(mod)),
        lambda mod: mod.eye(n, dtype=kind(mod)),
        lambda mod: mod.zeros((n, m), dtype=kind(mod)),
        lambda mod: mod.ones(n, dtype=kind(mod)),
        lambda mod: mod.full((m, n), start, dtype=kind(mod)),
        lambda mod: mod.full(n, True),
        lambda mod: mod.full(n, 3),
        lambda mod: mod.full_like(mod.zeros((n, 2), dtype=kind(mod)), stop),
        lambda mod: mod.zeros_like(mod.ones(n, dtype=kind(mod))),
        lambda mod: mod.ones_like(mod.zeros(n, dtype=kind(mod))),
        lambda mod: mod.asarray([[start, stop]], dtype=kind(mod)),
        lambda mod: mod.asarray([True, False]),
    ):
        agree(call(ww), call(xp))


PROMOTING = [(a, b) for a in ALL for b in ALL]


def test_promotion_is_the_standard_s() -> None:
    """Where the standard gives no dtype, ours is the wider kind's (documented in dtypes.py); uint64 with signed integers is an error."""
    for a, b in PROMOTING:
        try:
            wanted = xp.result_type(getattr(xp, a), getattr(xp, b))
        except TypeError:
            wanted = None
        try:
            found = str(ww.result_type(a, b))
        except TypeError:
            found = None
        if wanted is not None:
            assert found == str(wanted._np_dtype), (a, b)
            assert ww.can_cast(a, b) == xp.can_cast(getattr(xp, a), getattr(xp, b)), (a, b)
        else:
            mixed = np.dtype(a).kind != np.dtype(b).kind and {np.dtype(a).kind, np.dtype(b).kind} != {"i", "u"}
            assert (found is None) != mixed, (a, b)


@pytest.mark.parametrize("dtype", ALL)
def test_python_scalars_take_the_dtype_beside_them(dtype: str) -> None:
    x, y = both(np.ones(2, dtype))
    kind = np.dtype(dtype).kind
    scalars = {"b": (True,), "i": (2,), "u": (2,), "f": (2, 1.5), "c": (2, 1.5, 1j)}[kind]
    for scalar in scalars:
        for name in ("equal",) if kind == "b" else ("add", "multiply", "subtract", "equal"):
            agree(getattr(ww, name)(x, scalar), getattr(xp, name)(y, scalar))
            agree(getattr(ww, name)(scalar, x), getattr(xp, name)(scalar, y))
    with pytest.raises((TypeError, OverflowError)):
        x + 10**30 if kind in "iu" else x + "1"


# ---- errors --------------------------------------------------------------------------------------------------------------------

REFUSED = [
    *[(n, d) for n in ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert") for d in FLOATING],
    *[(n, d) for n in ("bitwise_left_shift", "bitwise_right_shift") for d in BOOL + FLOATING],
    *[(n, d) for n in ("logical_and", "logical_or", "logical_xor", "logical_not") for d in NUMERIC],
    *[(n, d) for n in ("less", "less_equal", "greater", "greater_equal", "maximum", "minimum", "atan2", "hypot", "logaddexp", "copysign",
                       "floor_divide", "remainder", "floor", "ceil", "trunc", "max", "min", "argmax", "argmin", "sort", "argsort")
      for d in COMPLEX],
    *[(n, "bool") for n in ("abs", "sign", "square", "floor", "ceil", "trunc", "round", "negative", "positive", "subtract", "pow",
                            "floor_divide", "remainder", "real", "conj", "matmul")],
    *[("imag", d) for d in ORDERED],
]  # fmt: skip


@pytest.mark.parametrize(("name", "dtype"), REFUSED)
def test_dtypes_that_the_standard_refuses_are_refused_by_name(name: str, dtype: str) -> None:
    two = name in BINARY or name in ("bitwise_left_shift", "bitwise_right_shift", "floor_divide", "remainder", "pow", "matmul")
    x, y = both(np.ones(2, dtype))
    with pytest.raises(TypeError):
        getattr(xp, name)(*(y,) * (1 + two))
    with pytest.raises(TypeError, match=f"{name}|power|argsort"):
        getattr(ww, name)(*(x,) * (1 + two))
