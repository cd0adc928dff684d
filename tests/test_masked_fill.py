"""masked_fill keeps its tensor's dtype, whatever the value's is, and refuses what that cannot hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww

DTYPES = ["bool", "int8", "uint8", "int64", "float16", "float32", "float64", "complex64", "complex128"]
MASK = [True, False]


@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
@pytest.mark.parametrize("other", DTYPES)
def test_the_result_has_the_tensor_s_dtype_or_the_value_is_refused(dtype: str, other: str) -> None:
    x, value = ww.zeros(2, dtype=dtype), ww.ones((), dtype=other)
    kinds = "biufc"
    wide, narrow = value.dtype.kind, "f" if dtype == "bfloat16" else x.dtype.kind
    if kinds.index(wide) > kinds.index(narrow) and not (wide in "biu" and narrow in "biu"):
        with pytest.raises(TypeError, match=f"masked_fill: expected value that x's dtype {dtype} can hold, got tensor"):
            ww.masked_fill(x, ww.asarray(MASK), value)
        return
    y = ww.masked_fill(x, ww.asarray(MASK), value)
    assert y.dtype == dtype and y.astype("complex64").tolist() == [1, 0]
    assert ww.masked_fill(x, ww.asarray(MASK), value.item()).dtype == dtype


REFUSED: list[tuple[str, Any, type[Exception]]] = [
    ("uint8", 300, OverflowError), ("uint8", -1, OverflowError), ("int8", ww.full((), 200), OverflowError), ("int64", 2**63, OverflowError),
    ("float16", -1e9, OverflowError), ("bfloat16", 1e39, OverflowError), ("float32", 1e300, OverflowError), ("complex64", 1e300j, OverflowError),
    ("float32", 1j, TypeError), ("int32", 0.5, TypeError), ("int32", float("nan"), TypeError), ("bool", 2, TypeError), ("bool", 1.0, TypeError),
    ("float32", np.complex64(1j), TypeError), ("int32", np.float32(1), TypeError),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "value", "error"), REFUSED)
def test_what_the_dtype_cannot_hold_is_refused(dtype: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"masked_fill: expected value .*{dtype}"):
        ww.masked_fill(ww.zeros(2, dtype=dtype), ww.asarray(MASK), value)


def test_infinity_and_NaN_are_held_by_every_float() -> None:
    for dtype in ("float16", "bfloat16", "float32", "complex64"):
        y = ww.masked_fill(ww.zeros((2, 2), dtype=dtype), ww.asarray(MASK), float("-inf"))
        assert y.dtype == dtype and ww.isinf(y).tolist() == [MASK, MASK]
        assert ww.isnan(ww.masked_fill(y, ww.asarray([False, True]), float("nan"))).tolist() == [[False, True]] * 2


def test_the_gradient_of_the_value_comes_back_in_its_own_dtype() -> None:
    x, value = ww.zeros((3, 2), requires_grad=True), ww.tensor(2.0, dtype="float64", requires_grad=True)
    ww.masked_fill(x, ww.asarray(MASK), value).sum().backward()
    assert value.grad.dtype == "float64" and value.grad.item() == 3 and x.grad.tolist() == [[0, 1]] * 3
