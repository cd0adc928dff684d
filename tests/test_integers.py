"""Integers where they have no answer, or one that is easily got wrong: division by 0, shifts of any amount, powers."""

from __future__ import annotations

import numpy as np
import pytest
import whitewolf as ww

DTYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_integer_divided_by_0_is_an_error(dtype: str, name: str) -> None:
    a, b = ww.asarray(np.array([5, 0, 7], dtype)), ww.asarray(np.array([1, 0, 2], dtype))
    with pytest.raises(ZeroDivisionError, match=f"{name}: expected x2 without 0 for dtype {dtype}, got one of shape"):
        getattr(ww, name)(a, b)
    with pytest.raises(ZeroDivisionError, match=name):
        getattr(ww, name)(a, 0)
    for operator in ("__ifloordiv__", "__imod__"):
        with pytest.raises(ZeroDivisionError):
            getattr(a, operator)(b)
    assert a.tolist() == [5, 0, 7]


@pytest.mark.parametrize("dtype", DTYPES)
def test_shifts_are_those_of_Python_s_integers_in_so_many_bits(dtype: str) -> None:
    info = np.iinfo(dtype)
    values = [0, 1, 5, info.max, info.min]
    amounts = [0, 1, info.bits - 1, info.bits, info.bits + 1, 100]
    x, by = ww.asarray(np.array(values, dtype)[:, None]), ww.asarray(np.array(amounts, dtype))
    wrapped = [[(v << n) % 2**info.bits for n in amounts] for v in values]
    left = [[v - 2**info.bits if v > info.max else v for v in row] for row in wrapped]
    assert ww.bitwise_left_shift(x, by).tolist() == left
    assert ww.bitwise_right_shift(x, by).tolist() == [[v >> n for n in amounts] for v in values]
    if info.min < 0:
        for name in ("bitwise_left_shift", "bitwise_right_shift"):
            with pytest.raises(ValueError, match=f"{name}: expected x2 >= 0, got one of shape .* that holds -2"):
                getattr(ww, name)(x, ww.asarray(np.array([1, -2], dtype)))


def test_division_of_floats_by_0_is_infinite_or_NaN() -> None:
    x = ww.asarray([1.0, -1.0, 0.0])
    assert (x // 0).tolist()[:2] == [ww.inf, -ww.inf] and ww.isnan(x % 0).tolist() == [True] * 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_divided_by_0_is_nothing(dtype: str) -> None:
    nothing = ww.zeros((0, 2), dtype=dtype)
    assert (nothing // ww.ones(2, dtype=dtype)).shape == (nothing % nothing).shape == (0, 2)
