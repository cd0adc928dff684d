"""Datasets: what a DataLoader reads samples from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..device import Array
from ..tensor import Tensor


class Dataset:
    """Samples by index: a subclass defines `__len__` and `__getitem__`.

    One that reads many samples at once faster defines `batch(indices)` too, and returns them as `collate` would stack them.

    Any object with `__len__` and `__getitem__`, a list too, serves as a dataset.
    """

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__}: expected a subclass of Dataset to define __len__, got none")

    def __getitem__(self, index: int) -> Any:
        raise TypeError(f"{type(self).__name__}: expected a subclass of Dataset to define __getitem__, got none")


class TensorDataset(Dataset):
    """Rows of arrays: sample i is `(arrays[0][i], arrays[1][i], ...)`.

    Args:
        arrays: tensors or NumPy arrays, all with the same first size, that of the samples.

    Raises:
        ValueError: the first sizes differ.
        TypeError: one of them is no array.
        IndexError: there is no sample at an index.

    >>> import whitewolf as ww
    >>> data = ww.data.TensorDataset(ww.arange(4), ww.ones((4, 2)))
    >>> len(data), data[2][0].item()
    (4, 2)
    """

    def __init__(self, *arrays: Any) -> None:
        if not arrays:
            raise ValueError("TensorDataset: expected at least one array, got none")
        for position, array in enumerate(arrays):
            if not isinstance(array, (Tensor, np.ndarray)):
                got = type(array).__name__
                raise TypeError(f"TensorDataset: expected arrays[{position}] to be a Tensor or a NumPy array, got {got}")
            if not array.ndim or len(array) != len(arrays[0]):
                expected = f"(n, ...) with n == {len(arrays[0])} (as arrays[0])" if arrays[0].ndim else "(n, ...)"
                raise ValueError(f"TensorDataset: expected arrays[{position}].shape == {expected}, got {array.shape}")
        self.arrays: tuple[Array, ...] = tuple(a.numpy() if isinstance(a, Tensor) else a for a in arrays)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: int | slice) -> tuple[Any, ...]:
        return tuple(array[index] for array in self.arrays)

    def batch(self, indices: Array) -> tuple[Array, ...]:
        """The samples at `indices`, stacked: one copy for each array.

        Raises:
            TypeError: they are no integers.
        """
        if len(indices) and np.asarray(indices).dtype.kind not in "biu":
            raise TypeError(f"batch: expected indices of integers, got dtype {np.asarray(indices).dtype}")
        return tuple(np.take(array, indices, axis=0) for array in self.arrays)


def collate(samples: Sequence[Any]) -> Any:
    """Samples stacked into one batch: arrays, tensors and numbers along a new first dimension, tuples, lists, dicts by part.

    Python floats become float32, ints int64; text stays a list.

    Raises:
        ValueError: arrays of unequal shapes, tuples of unequal lengths, or no sample at all.

    >>> from whitewolf.data import collate
    >>> collate([(1, "a"), (2, "b")])
    (array([1, 2]), ['a', 'b'])
    """
    if not len(samples):
        raise ValueError("collate: expected samples to hold at least one, got none")
    first = samples[0]
    if isinstance(first, (Tensor, np.ndarray, np.generic)):
        arrays = [s.numpy() if isinstance(s, Tensor) else np.asarray(s) for s in samples]
        shapes = sorted({a.shape for a in arrays})
        if len(shapes) > 1:
            got = ", ".join(map(str, shapes[:4]))
            raise ValueError(f"collate: expected samples of one shape, got {got}; a collate_fn can pad them")
        return np.stack(arrays)
    if isinstance(first, (bool, int, float)):
        kinds = {type(s) for s in samples}
        return np.array(samples, bool if kinds == {bool} else np.float32 if float in kinds else np.int64)
    if isinstance(first, dict):
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        lengths = sorted({len(s) for s in samples})
        if len(lengths) > 1:
            raise ValueError(f"collate: expected samples of one length, got lengths {lengths}; a collate_fn can pad them")
        return type(first)(collate(part) for part in zip(*samples))
    return list(samples)
