"""The standard's names: every function takes the arguments that the standard gives it, constants, dtypes, attributes, inspection; and
the 16-bit floats, which the standard leaves out.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from test_array_api_oracle import BINARY, COMPLEX, INTEGER, REAL, UNARY, version, xp  # noqa: F401  # version is a fixture of all tests here

# ---- every function and its signature ------------------------------------------------------------------------------------------

STANDARD = """
abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_invert bitwise_or bitwise_right_shift
bitwise_xor ceil clip conj copysign cos cosh divide equal exp expm1 floor floor_divide greater greater_equal hypot imag isfinite
isinf isnan less less_equal log log1p log2 log10 logaddexp logical_and logical_not logical_or logical_xor maximum minimum multiply
negative nextafter not_equal positive pow real reciprocal remainder round sign signbit sin sinh square sqrt subtract tan tanh trunc
arange asarray empty empty_like eye from_dlpack full full_like linspace meshgrid ones ones_like tril triu zeros zeros_like
astype broadcast_arrays broadcast_to can_cast finfo iinfo isdtype result_type take take_along_axis __array_namespace_info__
matmul matrix_transpose tensordot vecdot concat expand_dims flip moveaxis permute_dims repeat reshape roll squeeze stack tile unstack
argmax argmin count_nonzero nonzero searchsorted where unique_all unique_counts unique_inverse unique_values argsort sort
cumulative_prod cumulative_sum max mean min prod std sum var all any diff
""".split()
CONSTANTS = "e inf nan newaxis pi".split()
DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128".split()


@pytest.mark.parametrize("name", STANDARD)
def test_each_function_of_the_standard_takes_its_arguments(name: str) -> None:
    theirs, ours = inspect.signature(getattr(xp, name)).parameters, inspect.signature(getattr(ww, name)).parameters
    fixed = [p for p in theirs.values() if p.kind is p.POSITIONAL_ONLY]
    mine = [p for p in ours.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    assert len(mine) >= len(fixed)
    for parameter in theirs.values():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            assert any(p.kind is p.VAR_POSITIONAL for p in ours.values())
            continue
        found = ours[parameter.name]
        assert found.kind in (found.KEYWORD_ONLY, found.POSITIONAL_OR_KEYWORD), parameter.name
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name != "expand_dims":  # keyword only until 2025.12
            assert found.kind is found.POSITIONAL_OR_KEYWORD, parameter.name
        if isinstance(parameter.default, (int, float, str, type(None))):
            assert found.default == parameter.default, parameter.name
    for parameter in ours.values():  # ours beside the standard's have a default
        if parameter.name not in theirs and parameter not in mine[: len(fixed)]:
            assert parameter.default is not parameter.empty or parameter.kind is parameter.VAR_POSITIONAL


def test_constants_and_dtypes() -> None:
    for name in CONSTANTS:
        ours, theirs = getattr(ww, name), getattr(xp, name)
        assert ours == theirs or ours != ours and theirs != theirs
    assert {n: str(d) for n, d in ww.__array_namespace_info__().dtypes().items()} == {n: n for n in DTYPES}
    for name in DTYPES:
        assert str(getattr(ww, name)) == name


def test_a_tensor_has_the_standard_s_attributes_and_methods() -> None:
    with xp.ArrayAPIStrictFlags(api_version="2024.12"):
        wanted = [n for n in dir(xp.asarray(1.0)) if n.startswith("__") or not n.startswith("_")]
    assert [n for n in wanted if not hasattr(ww.Tensor, n) and n != "__buffer__"] == []  # __buffer__ is not the standard's
    x = ww.ones(2)
    assert x.to_device("cpu") is x
    with pytest.raises(ww.DeviceError):
        x.to_device("moon")


@pytest.mark.parametrize("kind", [None, "bool", "integral", "real floating", "complex floating", "numeric", ("bool", "integral")])
def test_inspection(kind: Any) -> None:
    ours, theirs = ww.__array_namespace_info__(), xp.__array_namespace_info__()
    assert sorted(ours.dtypes(kind=kind)) == sorted(theirs.dtypes(kind=kind))
    assert set(ours.capabilities()) == set(theirs.capabilities()) and set(ours.default_dtypes()) == set(theirs.default_dtypes())
    assert ours.default_device() in ours.devices()
    for name in DTYPES:
        assert kind is None or ww.isdtype(getattr(ww, name), kind) == xp.isdtype(getattr(xp, name), kind)


@pytest.mark.parametrize("dtype", REAL + COMPLEX)
def test_limits_of_floats(dtype: str) -> None:
    ours, theirs = ww.finfo(getattr(ww, dtype)), xp.finfo(getattr(xp, dtype))
    for name in ("bits", "eps", "max", "min", "smallest_normal"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert str(ours.dtype) == str(theirs.dtype._np_dtype)
    with pytest.raises(TypeError):
        ww.iinfo(dtype)


@pytest.mark.parametrize("dtype", INTEGER)
def test_limits_of_integers(dtype: str) -> None:
    ours, theirs = ww.iinfo(getattr(ww, dtype)), xp.iinfo(getattr(xp, dtype))
    assert (ours.bits, ours.max, ours.min) == (theirs.bits, theirs.max, theirs.min)
    with pytest.raises(TypeError):
        ww.finfo(dtype)


# ---- float16 and bfloat16, which the standard leaves out -----------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n, (d, _) in {**UNARY, **BINARY}.items() if set(REAL) <= set(d)])
def test_float16_is_numpy_s(name: str) -> None:
    grid = np.array([0.25, -0.5, 1.5, 3.0, 0.0], "float16")
    arrays = (grid,) if name in UNARY else (grid[:, None], grid)
    with np.errstate(all="ignore"):
        wanted = getattr(np, name)(*arrays)
    found = getattr(ww, name)(*[ww.asarray(a) for a in arrays]).numpy()
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


def test_bfloat16_never_becomes_float32_silently() -> None:
    pytest.importorskip("ml_dtypes")
    x = ww.asarray(np.array([[0.5, 1.5], [2.0, -1.0]]), dtype=ww.bfloat16)
    kept = set()
    for name in STANDARD:
        function = getattr(ww, name)
        parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is p.POSITIONAL_ONLY]
        for arguments in ((x,), (x, x), ([x, x],), (x, 1), (x, (2, 2)), (x, 0, 1)):
            if len(arguments) < len(parameters) or name in ("asarray", "from_dlpack", "full", "zeros", "ones", "empty", "meshgrid"):
                continue
            try:
                results = function(*arguments)
            except (TypeError, ValueError, IndexError, AttributeError):
                continue
            for result in results if isinstance(results, (tuple, list)) else (results,):
                if isinstance(result, ww.Tensor):
                    assert result.dtype == ww.bfloat16 or result.dtype.kind in "biu", (name, arguments)
                    kept.add(name)
    assert {"reshape", "concat", "equal", "exp", "add", "sum", "matmul", "mean", "maximum", "nextafter", "sort", "clip"} <= kept
