"""Overflow, NaN and division by zero are values, and no warning of NumPy's tells of them: it would name a line of ours, not the user's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn

F = nn.functional
HUGE = {
    "float16": ww.full(4, 6e4, dtype="float16"), "bfloat16": ww.full(4, 3e38, dtype=ww.bfloat16), "float32": ww.full(4, 3e38), "float64": ww.full(4, 1e308, dtype="float64"),
    "strange": ww.asarray([float("nan"), float("inf"), -1e30, 0.0]),
}  # fmt: skip


def written(x: ww.Tensor) -> None:
    y = x.clone()
    y[0] = 1e6
    y[1] = 1e300
    y *= 1e6
    y += 1e300
    y.fill_(1e6).copy_(HUGE["float32"])
    F.hardtanh(y, -1e300, 1e300, inplace=True)


def differentiated(x: ww.Tensor) -> None:
    y = x.clone().requires_grad_()
    z = y[ww.asarray([0, 0, 1])]
    ((z * z * z).sum() * 1e4 + F.mse_loss(y, y * -1) + F.layer_norm(y, (4,)).sum()).backward()


def stepped(x: ww.Tensor) -> None:
    for name in ("SGD", "Adam", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adamax", "Adadelta"):
        p = nn.Parameter(x.clone())
        p.grad = x.clone()
        getattr(ww.optim, name)([p], lr=1e10).step()
    nn.utils.clip_grad_norm_([p], 1.0)


CALLS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: [x * x, x + x, x * 1e6, x + 1e300, x**3, x / 0.0, x % 0.0, x // 0.0, ww.square(x), ww.hypot(x, x), ww.logaddexp(x, x)],
    "functions": lambda x: [ww.exp(x), ww.log(x * 0), ww.log(-ww.abs(x)), F.softmax(x, 0), F.gelu(x), F.dropout(x, 0.5)],
    "sums": lambda x: [ww.sum(x), ww.prod(x), ww.mean(x), ww.std(x), ww.cumulative_sum(x), ww.cumulative_prod(x), ww.diff(x), x @ x, ww.einsum("i,i->", x, x)],
    "dtypes": lambda x: [x.astype(d) for d in ("float16", "bfloat16", "float32", "int8", "uint8", "bool")],
    "bounds": lambda x: [ww.clip(x, -1e300, 1e300), ww.maximum(x, 1e300), x > 1e300, ww.where(x > 0, x, 1e300), ww.nextafter(x, x * 0 + 1e300)],
    "creation": lambda x: [
        ww.full(3, 1e300, dtype=x.dtype), ww.arange(0, 1e6, 1e5, dtype=x.dtype), ww.linspace(0, 1e6, 5, dtype=x.dtype), ww.tensor([1e6, 1e300], dtype=x.dtype),
        ww.tensor(HUGE["float64"].numpy(), dtype=x.dtype), F.pad(x, (1, 1), value=1e300), nn.init.constant_(x.clone(), 1e300), x.new_full((2,), 1e300)],
    "places": lambda x: [ww.sort(x), ww.unique_all(x), x.scatter_add(0, ww.zeros(4, dtype="int64"), x), x.index_add(0, ww.zeros(4, dtype="int64"), x, alpha=1e6), repr(x)],
    "written": written, "differentiated": differentiated, "stepped": stepped,
}  # fmt: skip


@pytest.mark.parametrize("dtype", HUGE)
@pytest.mark.parametrize("name", CALLS)
def test_what_overflows_is_no_warning(name: str, dtype: str) -> None:
    with warnings.catch_warnings(), np.errstate(all="warn"):
        warnings.simplefilter("error")
        CALLS[name](HUGE[dtype])


def test_infinite_tolerances_are_taken_and_nan_is_refused() -> None:
    x, y = ww.asarray([1.0, 2.0]), ww.asarray([5.0, 9.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ww.allclose(x, y, atol=float("inf")) and not ww.allclose(x, y)
    with pytest.raises(ValueError, match="allclose: expected rtol to be a number, got nan"):
        ww.allclose(x, y, rtol=float("nan"))
