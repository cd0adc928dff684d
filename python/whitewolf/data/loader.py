"""DataLoader: batches of a dataset, in an order that seed and epoch fix, made ahead in the background."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..device import Array, Device
from ..device import device as find_device
from ..ops._common import check_count
from ..ops.creation import asarray
from ..tensor import Tensor
from .dataset import collate
from .workers import in_processes, in_threads, in_turn

_WORKERS = {"threads": in_threads, "processes": in_processes}


class _Job:
    """Makes the batches of one epoch, in whatever thread or process."""

    def __init__(self, loader: DataLoader, epoch: int) -> None:
        self.dataset, self.collate_fn, self.transform = loader.dataset, loader.collate_fn, loader.transform
        self.batch_size, self.seed, self.epoch = loader.batch_size, loader.seed, epoch
        self.order = permutation(len(loader.dataset), loader.seed, epoch) if loader.shuffle else np.arange(len(loader.dataset))

    def __call__(self, number: int) -> Any:
        indices = self.order[number * self.batch_size : (number + 1) * self.batch_size]
        if self.collate_fn is None and hasattr(self.dataset, "batch"):
            batch = self.dataset.batch(indices)
        else:
            batch = (self.collate_fn or collate)([self.dataset[int(i)] for i in indices])
        if self.transform is None:
            return batch
        # One generator for each batch: the same numbers whoever makes it, and however many workers there are.
        key, counter = np.array([self.seed, self.epoch], np.uint64), np.array([0, 0, 0, number + 1], np.uint64)
        return self.transform(batch, np.random.Generator(np.random.Philox(key=key, counter=counter)))


def permutation(n: int, seed: int, epoch: int = 0) -> Array:
    """The numbers below n in an order that depends on seed and epoch alone, the same with every version of NumPy."""
    keys = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(n)
    return np.argsort(keys, kind="stable")


class DataLoader:
    """Iterates over a dataset in batches of tensors, one epoch for each `for` loop.

    The order depends on seed and epoch alone, never on the workers. Leaving the loop early ends the workers; the next loop begins
    the next epoch. `state_dict` says where the loop stands, and after `load_state_dict` the next loop goes on from there, with the
    same batches that an unbroken run would have had.

    Args:
        dataset: any object with `__len__` and `__getitem__`; one with `batch(indices)` reads a whole batch by it.
        batch_size: samples in a batch; the last one of an epoch may be smaller.
        shuffle: a new order each epoch.
        drop_last: leave out a last batch that is smaller.
        num_workers: 0 makes each batch when it is asked for; more make them in the background.
        prefetch: how many batches each worker may be ahead.
        seed: of the order and of the transform; drawn from `ww.manual_seed`'s generator unless given.
        collate_fn: makes a batch of a list of samples; see `collate` for the default.
        transform: called in the worker as `transform(batch, rng)` on the batch's NumPy arrays, with a NumPy generator that depends
            on seed, epoch and batch number alone.
        workers: "threads" share the dataset and cost next to nothing: right for arrays, and for decoders that release the
            interpreter's lock (NumPy, zlib, Pillow). "processes" are for datasets of heavy Python code; their batches are copied.
        device: where the batches go; "cpu" unless given.

    Raises:
        ValueError, TypeError: an argument is out of range; the text names it.
        RuntimeError (from the loop): a worker failed, with its traceback in the text, or died; never a hang.

    >>> import whitewolf as ww
    >>> data = ww.data.TensorDataset(ww.arange(5))
    >>> [x.tolist() for (x,) in ww.data.DataLoader(data, batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        num_workers: int = 0,
        prefetch: int = 2,
        seed: int | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        transform: Callable[[Any, np.random.Generator], Any] | None = None,
        workers: str = "threads",
        device: str | Device | None = None,
    ) -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__") or getattr(dataset, "ndim", 1) == 0:
            raise TypeError(f"DataLoader: expected a dataset with __len__ and __getitem__, got {type(dataset).__name__}")
        for name, value, least in (("batch_size", batch_size, 1), ("num_workers", num_workers, 0), ("prefetch", prefetch, 1)):
            check_count("DataLoader", name, value, least)
        if workers not in _WORKERS:
            raise ValueError(f"DataLoader: expected workers to be 'threads' or 'processes', got {workers!r}")
        if seed is None:
            from ..random import next_seed

            seed = next_seed()
        for name, value in (("shuffle", shuffle), ("drop_last", drop_last)):
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"DataLoader: expected {name} to be a bool, got {value!r} ({type(value).__name__})")
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise TypeError(f"DataLoader: expected seed to be an int, got {seed!r} ({type(seed).__name__})")
        if not 0 <= seed < 2**64:
            raise ValueError(f"DataLoader: expected 0 <= seed < 2**64, got {seed}")
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, batch_size, shuffle, drop_last
        self.num_workers, self.prefetch, self.seed, self.workers = num_workers, prefetch, seed, workers
        self.collate_fn, self.transform, self.device = collate_fn, transform, find_device(device)
        self._epoch = 0
        self._position = 0  # batches of the epoch that were handed out
        self._loaded = False

    @property
    def epoch(self) -> int:
        """Epochs that were finished, or left."""
        return self._epoch

    def __len__(self) -> int:
        """Batches in an epoch."""
        n = len(self.dataset)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        if self._position and not self._loaded:  # the last loop was left early
            self._epoch, self._position = self._epoch + 1, 0
        self._loaded = False
        return self._run(self._epoch, self._position)

    def _run(self, epoch: int, start: int) -> Iterator[Any]:
        numbers = range(start, len(self))
        make = _WORKERS[self.workers] if self.num_workers else in_turn
        batches: Any = make(_Job(self, epoch), numbers, min(self.num_workers, len(numbers)), self.prefetch)
        try:
            for number, batch in batches:
                self._position = number + 1
                yield _to_tensors(batch, self.device)
            self._epoch, self._position = epoch + 1, 0
        finally:
            batches.close()

    def state_dict(self) -> dict[str, int]:
        """Seed, epoch, and how many of its batches were handed out; numbers of samples to check against."""
        return {
            "seed": self.seed, "epoch": self._epoch, "batch": self._position,
            "batch_size": self.batch_size, "samples": len(self.dataset),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Lets the next loop go on from where `state` was taken.

        Raises:
            ValueError: the state is of a loader with another dataset size or batch size, or holds something else.
        """
        here = self.state_dict()
        if not isinstance(state, dict) or state.keys() != here.keys() or not all(type(v) is int and v >= 0 for v in state.values()):
            raise ValueError(f"DataLoader: expected a state with the numbers {', '.join(here)}, got {state!r}")
        for name in ("batch_size", "samples"):
            if state[name] != here[name]:
                raise ValueError(f"DataLoader: expected a state with {name} == {here[name]}, got {state[name]}")
        if state["batch"] > len(self):
            raise ValueError(f"DataLoader: expected a state with batch <= {len(self)}, got {state['batch']}")
        self.seed, self._epoch, self._position, self._loaded = state["seed"], state["epoch"], state["batch"], True


def _to_tensors(batch: Any, device: Device) -> Any:
    """The batch with tensors in place of its arrays."""
    if isinstance(batch, (np.ndarray, np.generic, Tensor)):
        return asarray(batch, device=device) if not isinstance(batch, np.ndarray) or batch.dtype.kind in "biufcV" else batch
    if isinstance(batch, dict):
        return {key: _to_tensors(value, device) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        return type(batch)(_to_tensors(value, device) for value in batch)
    return batch
