"""Indices on device cuda are looked at before a kernel gets them, over a stand-in for CuPy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import index_checks

pytest_plugins = ["helpers.cuda_fixtures"]


class Blind:
    """A kernel that, as on a GPU, does not look at its indices."""

    def __init__(self, op: str) -> None:
        self.op = op
        self.calls = 0

    def choice(self, *arrays: Any, **attrs: Any) -> str:
        return "blind"

    def __call__(self, *arrays: Any, **attrs: Any) -> None:
        self.calls += 1


def indexed_calls(bad: int) -> Iterator[tuple[str, list[np.ndarray | None], dict[str, Any]]]:
    """A call of each kernel that is given indices, with `bad` as one of them."""
    f, index = partial(np.ones, dtype="f4"), np.array([1, 0, bad, 2])
    yield "cross_entropy_forward", [f(4), f((4, 2)), None, f((4, 3)), index, None], {"ignore_index": -7}
    yield "cross_entropy_backward_logits", [f((4, 3)), f(4), f((4, 2)), f((4, 3)), index, None], {"ignore_index": -7}
    yield "nll_loss_forward", [f(4), f((4, 3)), index, None], {"ignore_index": -7}
    yield "nll_loss_backward_input", [f((4, 3)), f(4), index, None], {"ignore_index": -7}
    yield "gather_forward", [f((1, 4)), f((1, 3)), index[None]], {}
    yield "embedding_forward", [f((4, 2)), index, f((3, 2))], {}
    yield "scatter_add_forward", [f((1, 3)), f((1, 4)), index[None]], {}
    windows = {"kernel": (1, 1), "stride": (2, 2)}
    yield "max_pool2d_backward_x", [f((1, 1, 3, 3)), f((1, 1, 2, 2)), index.reshape(1, 1, 2, 2)], windows
    yield "max_pool2d_gather", [f((1, 1, 2, 2)), f((1, 1, 3, 3)), index.reshape(1, 1, 2, 2)], windows


@pytest.mark.parametrize("bad", [-3, 9])
def test_an_index_outside_is_the_error_of_the_cpu(bad: int, simulated: Any) -> None:
    lent = sys.modules["cupy"].asarray
    seen = set()
    for op, arrays, attrs in indexed_calls(bad):
        with pytest.raises(IndexError) as expected:
            ww.kernels.get(op, device="cpu")(*arrays, **attrs)
        blind = Blind(op)
        with pytest.raises(IndexError) as found:
            index_checks.Checked(blind)(*(None if a is None else lent(a) for a in arrays), **attrs)
        assert str(found.value) == str(expected.value) and blind.calls == 0
        seen.add(op)
    for op, arrays, attrs in indexed_calls(0):
        blind = Blind(op)
        index_checks.Checked(blind)(*(None if a is None else lent(a) for a in arrays), **attrs)
        assert blind.calls == 1
    assert seen == set(index_checks.CHECKS)


def test_raw_kernels_check_indices_and_ops_check_what_they_are_given(simulated: Any) -> None:
    for op in index_checks.CHECKS:
        assert isinstance(ww.kernels.get(op, device="cuda"), index_checks.Checked)
        assert not isinstance(ww.device("cuda").kernels[op], index_checks.Checked)
    logits = ww.zeros((2, 3), device="cuda")
    with pytest.raises(IndexError, match=r"cross_entropy: expected target in \[0, 3\) or ignore_index -100, got 3 at position 1"):
        ww.nn.functional.cross_entropy(logits, ww.asarray(np.array([-100, 3]), device="cuda"))
    with pytest.raises(IndexError, match="embedding: expected input in"):
        ww.nn.functional.embedding(ww.asarray(np.array([4]), device="cuda"), ww.zeros((3, 2), device="cuda"))
