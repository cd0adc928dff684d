"""What recurrent layers, packing and padding say of wrong input."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import whitewolf as ww

RNN = ww.nn.utils.rnn


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ww.nn.LSTM(3, 0), "LSTM: expected hidden_size >= 1, got 0"),
        (lambda: ww.nn.GRU(3, 5, dropout=1.5), r"GRU: expected dropout in \[0, 1\], got 1.5"),
        (lambda: ww.nn.RNN(3, 5, nonlinearity="gelu"), "RNN: expected nonlinearity to be 'tanh' or 'relu', got 'gelu'"),
        (lambda: ww.nn.LSTM(3, 5, proj_size=5), r"LSTM: expected proj_size in \[0, 5\) \(hidden_size\), got 5"),
        (lambda: ww.nn.LSTM(3, 5)(ww.ones((4, 2, 7))), r"input.shape\[-1\] == 3 \(input_size\), got \(4, 2, 7\)"),
        (lambda: ww.nn.LSTM(3, 5)(ww.ones((4, 2, 3)), (ww.ones((1, 3, 5)),) * 2), r"h_0.shape == \(1, 2, 5\).*got \(1, 3, 5\)"),
        (lambda: ww.nn.GRU(3, 5)(ww.ones((4, 3)), ww.ones((1, 1, 5))), r"h_0.shape == \(1, 5\) .*got \(1, 1, 5\)"),
        (lambda: ww.nn.LSTMCell(3, 5)(ww.ones((2, 4))), r"LSTMCell: expected input .* == 3 .*, got \(2, 4\)"),
        (lambda: ww.nn.LSTMCell(3, 5)(ww.ones((2, 3)), (ww.ones((2, 5)), ww.ones((1, 5)))), r"c.shape == \(2, 5\), got \(1, 5\)"),
        (lambda: RNN.pack_padded_sequence(ww.ones((4, 2, 3)), [2, 4]), r"do not grow \(enforce_sorted=True\), got \[2, 4\]"),
        (lambda: RNN.pack_padded_sequence(ww.ones((4, 2, 3)), [4, 0]), r"lengths in \[1, 4\].*got \[4, 0\]"),
        (lambda: RNN.pack_padded_sequence(ww.ones((4, 2, 3)), [5, 1]), r"lengths in \[1, 4\].*got \[5, 1\]"),
        (lambda: RNN.pack_padded_sequence(ww.ones((4, 2, 3)), [4]), "expected 2 lengths, one a sample, got 1"),
        (lambda: RNN.pack_sequence([ww.ones((2, 1)), ww.ones((0, 1))]), r"lengths in \[1, 2\].*got \[2, 0\]"),
        (lambda: RNN.pad_sequence([]), "pad_sequence: expected a sequence, got none"),
        (lambda: RNN.pad_sequence([ww.ones((2, 1)), ww.ones((2, 2))]), r"sequences\[1\].shape == \(length, \*\(1,\)\)"),
        (lambda: RNN.pad_packed_sequence(RNN.pack_sequence([ww.ones((3, 1))]), total_length=2), "total_length >= 3 .*, got 2"),
        (lambda: RNN.unpad_sequence(ww.ones((3, 1, 1)), [4]), r"lengths in \[0, 3\] .*, got \[4\]"),
    ],
)
def test_wrong_sizes_are_named(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ww.nn.LSTM(3, 5)(ww.ones((4, 2, 3), dtype=ww.float64)), "float64"),
        (lambda: ww.nn.GRU(3, 5)(ww.ones((4, 2, 3)), ww.ones((1, 2, 5), dtype=ww.float64)), r"h_0.dtype == float32 .*got float64"),
        (lambda: ww.nn.LSTM(3, 5)(ww.ones((4, 2, 3)), ww.ones((1, 2, 5))), r"expected hx to be \(h_0, c_0\), got Tensor"),
        (lambda: ww.nn.RNNCell(3, 5)(ww.ones((2, 3)), (ww.ones((2, 5)),) * 2), "expected hx to be a Tensor, h, got tuple"),
        (lambda: RNN.pack_padded_sequence(ww.ones((4, 1, 3)), [1.5]), "expected lengths to be a sequence of ints"),
    ],
)
def test_wrong_types_are_named(call: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call()


def _packed(
    rows: int, sizes: list[Any], dtype: str = "int64", order: list[int] | None = None, back: list[int] | None = None
) -> Any:
    index = lambda values: None if values is None else ww.asarray(np.array(values, "int64"))
    return RNN.PackedSequence(ww.ones((rows, 4)), ww.asarray(np.array(sizes, dtype)), index(order), index(back))


@pytest.mark.parametrize(
    ("packed", "error", "words"),
    [
        (lambda: _packed(4, [2, 1]), ValueError, "batch_sizes that add up to data.shape[0], got 3"),
        (lambda: _packed(4, [1, 3]), ValueError, "not growing, got [1, 3]"),
        (lambda: _packed(4, []), ValueError, "batch_sizes of one dimension"),
        (lambda: _packed(4, [[2, 2]]), ValueError, "batch_sizes of one dimension"),
        (lambda: _packed(5, [-1]), ValueError, "at least 1 each"),
        (lambda: _packed(5, [2.5, 2.5], "float64"), TypeError, "batch_sizes to be integers, got float64"),
        (
            lambda: _packed(4, [2, 2], order=[0], back=[0]),
            ValueError,
            "sorted_indices to be a permutation of the 2 samples, got [0]",
        ),
        (lambda: _packed(4, [2, 2], order=[0, 0], back=[0, 0]), ValueError, "sorted_indices to be a permutation"),
        (lambda: _packed(4, [2, 2], order=[1, 0]), ValueError, "or neither, got one of them"),
        (lambda: _packed(6, [3, 3], order=[1, 2, 0], back=[1, 2, 0]), ValueError, "inverse of sorted_indices"),
    ],
)
def test_a_packed_batch_that_was_made_by_hand_is_checked(packed: Any, error: type[Exception], words: str) -> None:
    for op, call in (("GRU", ww.nn.GRU(4, 5)), ("pad_packed_sequence", RNN.pad_packed_sequence)):
        with pytest.raises(error, match=re.escape(words)) as raised:
            call(packed())
        assert str(raised.value).startswith(op + ":")


@pytest.mark.parametrize("layer", [ww.nn.RNN, ww.nn.GRU, ww.nn.LSTM, ww.nn.RNNCell, ww.nn.GRUCell, ww.nn.LSTMCell])
def test_a_wrong_input_is_named_as_the_input(layer: Any) -> None:
    name = layer.__name__
    with pytest.raises(TypeError, match=rf"{name}: expected input.dtype == float32 \(as the weights\), got float64"):
        layer(4, 5)(ww.zeros((3, 4), dtype="float64"))
    with pytest.raises(TypeError, match=rf"{name}: expected input .*got list"):
        layer(4, 5)([[1.0]])


def projected(**changes: Any) -> Any:
    """lstm_projected of 3 steps, 2 samples, 4 units and 2 projected ones, but for what is changed."""
    from whitewolf.ops.recurrent_projected import lstm_projected

    shapes = {
        "projected": (3, 2, 16),
        "weight": (16, 2),
        "initial_hidden": (2, 2),
        "initial_cell": (2, 4),
        "projection": (2, 4),
    } | {name: shape for name, shape in changes.items() if name not in ("dtype", "batch_sizes")}
    given = {name: ww.zeros(shape, dtype=changes.get("dtype") if name == "weight" else None) for name, shape in shapes.items()}
    return lstm_projected(*given.values(), batch_sizes=changes.get("batch_sizes"))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"projected": (3, 2, 15)}, ValueError, r"projected \[\.\.\., 4U\]"),
        ({"weight": (16, 3)}, ValueError, r"weight\.shape == \(16, 2\)"),
        ({"projection": (2, 5)}, ValueError, r"projection\.shape == \(2, 4\)"),
        ({"initial_cell": (3, 4)}, ValueError, r"initial_hidden\.shape == \(3, 2\)"),
        ({"projected": (3, 5, 16)}, ValueError, r"projected\.shape\[1\] == 2"),
        ({"projected": (3, 16), "batch_sizes": [1, 2]}, ValueError, "batch_sizes that begin with 2"),
        ({"dtype": "float64"}, TypeError, "weight"),
    ],
)
def test_projected_sequences_that_do_not_fit_are_named(changes: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=f"lstm_projected: .*{words}"):
        projected(**changes)


def test_a_tuple_is_no_state_of_a_gru() -> None:
    with pytest.raises(TypeError, match="GRU: expected hx to be a Tensor, h_0, got tuple"):
        ww.nn.GRU(1, 2)(ww.ones((3, 2, 1)), (ww.ones((1, 2, 2)),))
