"""Errors of nn's functions and layers: in the name of what was called, with the argument, whichever op below noticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import whitewolf as ww
from whitewolf import nn
from whitewolf.nn import functional as F

x = ww.ones((1, 1, 4, 4))

CALLS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a dtype that is none": (lambda: nn.Linear(2, 3, dtype="zz"), TypeError, r"^Linear: expected .*\bdtype\b.* got .*'zz'"),
    "a device that is none": (lambda: nn.Conv2d(1, 1, 1, device="tpu"), ww.DeviceError, "^device: expected one of .*, got 'tpu'"),
    "a size that is none": (lambda: nn.Embedding(2, None), TypeError, "^Embedding: expected embedding_dim to be an int, got NoneType"),
    "a missing argument": (lambda: nn.Linear(2), TypeError, "^Linear: .*missing.*out_features"),
    "an unknown argument": (lambda: F.relu(x, slope=1), TypeError, "^relu: .*slope"),
    "a string for a number": (lambda: F.elu(x, "much"), TypeError, "^elu: expected alpha to be a real number, got 'much'"),
    "a list for a tensor": (lambda: F.relu([1.0]), TypeError, "^relu: expected input to be a Tensor, got list"),
    "an array for a flag": (lambda: F.dropout(x, 0.5, ww.ones(2)), TypeError, "^dropout: expected training to be True or False, got Tensor"),
    "a shape that an op below refuses": (
        lambda: F.cosine_similarity(ww.ones((2, 3)), ww.ones((4, 5))), ValueError,
        r"^cosine_similarity: expected x1, x2 that fit together, got an error below: broadcast_arrays: .*\(2, 3\), \(4, 5\)",
    ),
    "no size": (lambda: F.interpolate(x, size=0), ValueError, "^interpolate: expected size > 0"),
    "a scale that leaves nothing": (lambda: F.interpolate(x, scale_factor=0.1), ValueError, "^interpolate: expected scale_factor that leaves"),
    "a factor of 0": (lambda: F.pixel_unshuffle(x, 0), ValueError, "^pixel_unshuffle: expected downscale_factor >= 1, got 0"),
    "an absurd size": (lambda: nn.Linear(2**40, 2**40), MemoryError, "^Linear: expected in_features, out_features"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_an_error_names_what_was_called(name: str) -> None:
    call, kind, text = CALLS[name]
    with pytest.raises(kind, match=text):
        call()


def test_an_error_that_says_so_already_is_left_as_it_is() -> None:
    with pytest.raises(ValueError, match=r"^conv2d: expected w.shape\[1\] == 4") as caught:
        F.conv2d(ww.ones((1, 4, 3, 3)), ww.ones((2, 3, 1, 1)))
    assert caught.value.__cause__ is None


def test_functions_and_layers_keep_their_names_docstrings_and_signatures() -> None:
    import inspect

    assert F.relu.__name__ == "relu" and F.relu.__doc__ and list(inspect.signature(F.relu).parameters) == ["input", "inplace"]
    assert list(inspect.signature(nn.Linear).parameters)[:2] == ["in_features", "out_features"]


def test_an_error_from_below_is_told_once() -> None:
    with pytest.raises(ValueError, match="^AdamW: expected lr >= 0, got -1$"):
        ww.optim.AdamW([ww.ones(2, requires_grad=True)], lr=-1)
    packed = ww.nn.utils.rnn.pack_sequence([ww.ones((3, 1))])
    with pytest.raises(MemoryError, match="^pad_packed_sequence: "):
        ww.nn.utils.rnn.pad_packed_sequence(packed, total_length=10**13)
