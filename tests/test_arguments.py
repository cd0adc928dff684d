"""What a constructor is given and could never run is refused there, in words that name argument, expected and got."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import whitewolf as ww
from whitewolf import nn


class _Wrong(ww.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: ww.Tensor) -> ww.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, grad: ww.Tensor) -> Any:
        return "no"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.Linear(-1, 3), ValueError, "Linear: expected in_features >= 0, got -1"),
        (lambda: nn.Linear("a", 3), TypeError, "Linear: expected in_features to be an int, got 'a'"),
        (lambda: nn.Conv2d(3, 4, 0), ValueError, "Conv2d: expected kernel_size >= 1, got 0"),
        (lambda: nn.Conv2d(3, 4, 3, stride=0), ValueError, "Conv2d: expected stride >= 1, got 0"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), ValueError, "Conv2d: expected padding >= 0, got -1"),
        (lambda: nn.Conv1d(-3, 4, 3), ValueError, "Conv1d: expected in_channels >= 0, got -3"),
        (lambda: nn.Conv2d(3, 4, 3, groups=0), ValueError, "Conv2d: expected groups >= 1, got 0"),
        (lambda: nn.MaxPool2d(0), ValueError, "MaxPool2d: expected kernel_size >= 1, got 0"),
        (lambda: nn.MaxPool2d(2, padding=(0, -1)), ValueError, "MaxPool2d: expected padding >= 0, got -1"),
        (lambda: nn.AvgPool2d(2, 0), ValueError, "AvgPool2d: expected stride >= 1, got 0"),
        (lambda: nn.functional.max_pool2d(ww.ones((1, 1, 4, 4)), 0), ValueError, "max_pool2d: expected kernel_size >= 1"),
        (lambda: ww.data.DataLoader([1], seed="a"), TypeError, "DataLoader: expected seed to be an int or None, got 'a'"),
        (lambda: ww.data.DataLoader([1], shuffle="no"), TypeError, "DataLoader: expected shuffle to be True or False, got 'no'"),
        (lambda: ww.data.RandomShift(1.5), TypeError, "RandomShift: expected pixels to be an int, got 1.5"),
        (lambda: ww.ones(2).to("xx"), TypeError, "to: expected target to be a device .* or a dtype, got 'xx'"),
        (lambda: _Wrong.apply(ww.ones(2, requires_grad=True)).sum().backward(), TypeError, "_Wrong: expected gradient 0 .*got str"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_where_it_is_given(make: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()
