"""Sequences of different lengths: padded to one length, or packed without padding, as recurrent layers take them (PyTorch's names).

A packed batch holds the first elements of all sequences, then all second ones, and so on, the longest sequence first. A recurrent layer
spends nothing on what has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._named import check_methods, checked
from ...graph import Node, record
from ...ops._common import check_same_device, check_same_dtype, check_tensor
from ...ops.joining import concat
from ...ops.manipulation import reshape, transpose
from ...tensor import Tensor, wrap

Lengths = Tensor | Sequence[int]


class PackedSequence(NamedTuple):
    """A packed batch of sequences; `pack_padded_sequence` and `pack_sequence` make them.

    Attributes:
        data: [sum of lengths, *], the steps one after the other.
        batch_sizes: int64 [longest length], how many sequences have that step.
        sorted_indices: int64 [N], which sequence of the batch is the longest, the second longest, ...; None: they were in order.
        unsorted_indices: int64 [N], the inverse: where each sequence went.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *targets: Any, **named: Any) -> PackedSequence:
        """The same sequences with `data` on another device or of another dtype."""
        return self._replace(data=self.data.to(*targets, **named))


def check_packed(op: str, sequence: PackedSequence) -> Any:
    """The sizes of the steps of a packed batch as int64 [longest length]; one that was made by hand may be anything.

    Raises:
        TypeError: a part is no tensor, or sizes or indices are no integers.
        ValueError: the sizes grow, are not positive or do not add up to the rows of data; the indices are no permutations.
    """
    data, sizes = check_tensor(op, "data", sequence.data), check_tensor(op, "batch_sizes", sequence.batch_sizes).numpy()
    if sizes.dtype.kind not in "iu":
        raise TypeError(f"{op}: expected batch_sizes to be integers, got {sizes.dtype}")
    if sizes.ndim != 1 or not sizes.size or sizes.min() < 1 or (np.diff(sizes.astype(np.int64)) > 0).any():
        raise ValueError(f"{op}: expected batch_sizes of one dimension, at least 1 each and not growing, got {sizes.tolist()}")
    if data.ndim < 1 or sizes.sum() != data.shape[0]:
        raise ValueError(f"{op}: expected batch_sizes that add up to data.shape[0], got {int(sizes.sum())} and shape {data.shape}")
    for name in ("sorted_indices", "unsorted_indices"):
        places = getattr(sequence, name)
        if places is None:
            continue
        values = check_tensor(op, name, places).numpy()
        if values.dtype.kind not in "iu":
            raise TypeError(f"{op}: expected {name} to be integers, got {values.dtype}")
        if values.ndim != 1 or not np.array_equal(np.sort(values), np.arange(sizes[0])):
            raise ValueError(f"{op}: expected {name} to be a permutation of the {sizes[0]} samples, got {values.tolist()}")
    if (sequence.sorted_indices is None) != (sequence.unsorted_indices is None):
        raise ValueError(f"{op}: expected sorted_indices and unsorted_indices, or neither, got one of them")
    if sequence.sorted_indices is not None and sequence.unsorted_indices is not None:
        if (sequence.sorted_indices.numpy()[sequence.unsorted_indices.numpy()] != np.arange(sizes[0])).any():
            raise ValueError(f"{op}: expected unsorted_indices to be the inverse of sorted_indices, got two other permutations")
    return sizes.astype(np.int64)


def _move(x: Tensor, index: Any, rows: int, fill: float) -> Tensor:
    """Row i is x[index[i]], or `fill` where index[i] < 0; `rows` are x's. None is used twice: the adjoint is a move the other way."""
    places = np.flatnonzero(index >= 0)
    back = np.full(rows, -1, np.int64)
    back[index[places]] = places
    data = x.device.empty((len(index), *x.shape[1:]), x.dtype)
    if len(places) == len(index):
        data[...] = x._data[index]
    else:
        data[...] = fill
        data[places] = x._data[index[places]]
    return record("move_rows", data, (x,), _move_backward, (), (back, len(index)))  # type: ignore[no-any-return]


def _move_backward(node: Node, grad: Tensor) -> tuple[Tensor]:
    back, rows = node.context
    return (_move(grad, back, rows, 0.0),)


def _lengths(op: str, lengths: Lengths) -> Any:
    values = lengths.numpy() if isinstance(lengths, Tensor) else np.asarray(lengths)
    if values.ndim != 1 or values.size and values.dtype.kind not in "iu":
        raise TypeError(f"{op}: expected lengths to be a sequence of ints, got {lengths!r}")
    return values.astype(np.int64)


def pack_padded_sequence(input: Tensor, lengths: Lengths, batch_first: bool = False, enforce_sorted: bool = True) -> PackedSequence:
    """Packs a padded batch: what lies beyond each length is left out.

    Args:
        input: [S, N, *], or [N, S, *] with batch_first.
        lengths: [N], each in [1, S].
        batch_first: which of the two `input` is.
        enforce_sorted: lengths must not grow; otherwise they are sorted, the longest first.

    Raises:
        ValueError: a length is below 1 or above S, they are not sorted though they must be, or there are not N of them.
        TypeError: lengths are no ints.

    >>> import whitewolf as ww
    >>> ww.nn.utils.rnn.pack_padded_sequence(ww.asarray([[1, 2, 3], [4, 5, 0]]), [3, 2], batch_first=True).data
    tensor([1, 4, 2, 5, 3])
    """
    op = "pack_padded_sequence"
    check_tensor(op, "input", input)
    if input.ndim < 2:
        raise ValueError(f"{op}: expected input of at least 2 dimensions, got input.shape == {input.shape}")
    steps, samples = (input.shape[1], input.shape[0]) if batch_first else input.shape[:2]
    length = _lengths(op, lengths)
    if length.shape != (samples,) or not samples:
        raise ValueError(f"{op}: expected {max(samples, 1)} lengths, one a sample, got {length.size}")
    if length.min() < 1 or length.max() > steps:
        raise ValueError(f"{op}: expected lengths in [1, {steps}] (the steps of input), got {length.tolist()}")
    order = None
    if enforce_sorted:
        if (np.diff(length) > 0).any():
            raise ValueError(f"{op}: expected lengths that do not grow (enforce_sorted=True), got {length.tolist()}")
    else:
        order = np.argsort(-length, kind="stable")
        length = length[order]
    sizes = (length[None, :] > np.arange(length[0])[:, None]).sum(axis=1)
    step = np.repeat(np.arange(len(sizes)), sizes)
    sample = np.arange(len(step)) - (np.cumsum(sizes) - sizes)[step]
    if order is not None:
        sample = order[sample]
    index = sample * steps + step if batch_first else step * samples + sample
    data = _move(reshape(input, (steps * samples, *input.shape[2:])), index, steps * samples, 0.0)
    places = (None, None) if order is None else (wrap(order, input.device), wrap(np.argsort(order), input.device))
    return PackedSequence(data, wrap(sizes, input.device), *places)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The padded batch of a packed one, in the order in which it was packed, and its lengths.

    Args:
        sequence: a packed batch.
        batch_first: whether the result is [N, S, *] instead of [S, N, *].
        padding_value: what stands beyond each length.
        total_length: S; the longest length unless given.

    Returns:
        The batch, and its lengths as int64 [N].

    Raises:
        ValueError: total_length is below the longest length, or the batch is malformed: sizes that grow or do not add up to the rows of
            data, indices that are no permutations.
        TypeError: total_length, sizes or indices are no integers.

    >>> import whitewolf as ww
    >>> rnn = ww.nn.utils.rnn
    >>> rnn.pad_packed_sequence(rnn.pack_sequence([ww.asarray([1, 2, 3]), ww.asarray([4])]), batch_first=True)
    (tensor([[1, 2, 3],
            [4, 0, 0]]), tensor([3, 1]))
    """
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"pad_packed_sequence: expected sequence to be a PackedSequence, got {type(sequence).__name__}")
    data, sizes = sequence.data, check_packed("pad_packed_sequence", sequence)
    steps, samples = len(sizes), int(sizes[0])
    if total_length is not None:
        if type(total_length) is not int:
            raise TypeError(f"pad_packed_sequence: expected total_length to be an int, got {total_length!r}")
        if total_length < steps:
            raise ValueError(f"pad_packed_sequence: expected total_length >= {steps} (the longest sequence), got {total_length}")
        steps = total_length
    step = np.repeat(np.arange(len(sizes)), sizes)
    sample = np.arange(len(step)) - (np.cumsum(sizes) - sizes)[step]
    length = np.bincount(sample, minlength=samples)
    if sequence.unsorted_indices is not None:
        order = sequence.unsorted_indices.numpy()
        length = length[order]
        sample = np.argsort(order)[sample]
    index = np.full(steps * samples, -1, np.int64)
    index[sample * steps + step if batch_first else step * samples + sample] = np.arange(len(step))
    lead = (samples, steps) if batch_first else (steps, samples)
    return reshape(_move(data, index, data.shape[0], padding_value), (*lead, *data.shape[1:])), wrap(length, data.device)


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences of different lengths as one batch, [S, N, *], or [N, S, *] with batch_first, S the longest length.

    Args:
        sequences: each [length, *], the trailing dimensions all the same.
        padding_value: what stands where a sequence has no elements.
        padding_side: "right", beyond each sequence's end, or "left", before its beginning.

    Raises:
        ValueError: there is no sequence, or the trailing dimensions differ.
        TypeError: the dtypes differ.

    >>> import whitewolf as ww
    >>> ww.nn.utils.rnn.pad_sequence([ww.asarray([1, 2, 3]), ww.asarray([4])], batch_first=True, padding_side="left")
    tensor([[1, 2, 3],
            [0, 0, 4]])
    """
    op = "pad_sequence"
    if padding_side not in ("right", "left"):
        raise ValueError(f"{op}: expected padding_side to be 'right' or 'left', got {padding_side!r}")
    given = [check_tensor(op, f"sequences[{i}]", s) for i, s in enumerate(sequences)]
    if not given:
        raise ValueError(f"{op}: expected a sequence, got none")
    named = {f"sequences[{i}]": s for i, s in enumerate(given)}
    check_same_device(op, **named)
    check_same_dtype(op, **named)
    for name, s in named.items():
        if not s.ndim or s.shape[1:] != given[0].shape[1:]:
            raise ValueError(f"{op}: expected {name}.shape == (length, *{given[0].shape[1:]}), got {s.shape}")
    length = np.array([s.shape[0] for s in given])
    steps, samples = int(length.max()), len(given)
    index = np.full((samples, steps), -1, np.int64)
    for n, start in enumerate(np.cumsum(length) - length):
        at = 0 if padding_side == "right" else steps - length[n]
        index[n, at : at + length[n]] = start + np.arange(length[n])
    data = _move(concat(given, axis=0), (index if batch_first else index.T).reshape(-1), int(length.sum()), padding_value)
    lead = (samples, steps) if batch_first else (steps, samples)
    return reshape(data, (*lead, *given[0].shape[1:]))


def unpad_sequence(padded_sequences: Tensor, lengths: Lengths, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch, each [length, *], without what stands beyond their lengths.

    Raises:
        ValueError: there are not N lengths, or one is not in [0, S].

    >>> import whitewolf as ww
    >>> ww.nn.utils.rnn.unpad_sequence(ww.asarray([[1, 2, 3], [4, 0, 0]]), [3, 1], batch_first=True)
    [tensor([1, 2, 3]), tensor([4])]
    """
    op = "unpad_sequence"
    check_tensor(op, "padded_sequences", padded_sequences)
    if padded_sequences.ndim < 2:
        raise ValueError(f"{op}: expected padded_sequences of at least 2 dimensions, got shape {padded_sequences.shape}")
    rows = padded_sequences if batch_first else transpose(padded_sequences, 0, 1)
    length = _lengths(op, lengths)
    if length.shape != rows.shape[:1]:
        raise ValueError(f"{op}: expected {rows.shape[0]} lengths, one a sample, got {length.size}")
    if length.size and (length.min() < 0 or length.max() > rows.shape[1]):
        raise ValueError(f"{op}: expected lengths in [0, {rows.shape[1]}] (the steps of the batch), got {length.tolist()}")
    return [rows[n, : int(length[n])] for n in range(rows.shape[0])]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences of different lengths, each [length, *].

    Raises:
        ValueError: a sequence is empty, or they are not sorted by length, the longest first, though enforce_sorted is set.

    >>> import whitewolf as ww
    >>> ww.nn.utils.rnn.pack_sequence([ww.asarray([1, 2, 3]), ww.asarray([4])]).batch_sizes
    tensor([2, 1, 1])
    """
    for i, sequence in enumerate(sequences):
        if check_tensor("pack_sequence", f"sequences[{i}]", sequence).ndim < 1:
            raise ValueError(f"pack_sequence: expected sequences[{i}] of at least 1 dimension, got shape {sequence.shape}")
    lengths = [s.shape[0] for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed batch, in the order in which they were packed.

    >>> import whitewolf as ww
    >>> rnn = ww.nn.utils.rnn
    >>> rnn.unpack_sequence(rnn.pack_sequence([ww.asarray([1, 2]), ww.asarray([3])]))
    [tensor([1, 2]), tensor([3])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


_FUNCTIONS = (pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence, unpack_sequence, unpad_sequence)
globals().update({_function.__name__: checked(_function) for _function in _FUNCTIONS})
check_methods(PackedSequence, methods=("to",))
