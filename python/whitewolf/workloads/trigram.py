"""The interpolated trigram model that Bengio et al. 2003 (section 4.1) compare their network with."""

from __future__ import annotations

import math

import numpy as np

from ..device import Array

_BINS, _ROUNDS, _KEPT = 12, 15, 0.1


class Trigram:
    """p(c | a, b) = l_3 c(a b c) / c(a b) + l_2 c(b c) / c(b) + l_1 (c(c) + 1) / (N + V).

    The weights l depend on how often the context a b was seen (a bin for each power of two); EM chooses them on the last tenth of the
    training text (Jelinek and Mercer 1980). The counts are of all of it.

    Args:
        numbers: int64, the text to learn from.
        symbols: V.
    """

    def __init__(self, numbers: Array, symbols: int) -> None:
        self.symbols = symbols
        at = int(len(numbers) * (1 - _KEPT))
        self._count(numbers[:at])
        self.weights = np.full((_BINS, 3), 1 / 3)
        shares, bins = self._shares(numbers[at:])
        for _ in range(_ROUNDS):
            mine = self.weights[bins] * shares
            mine /= mine.sum(axis=1, keepdims=True)
            total = np.stack([np.bincount(bins, mine[:, k], _BINS) for k in range(3)], axis=1) + 1e-9
            self.weights = total / total.sum(axis=1, keepdims=True)
        self._count(numbers)

    def _count(self, numbers: Array) -> None:
        v = self.symbols
        self.one = np.bincount(numbers, minlength=v)
        self.two = np.unique(numbers[:-1] * v + numbers[1:], return_counts=True)
        self.three = np.unique((numbers[:-2] * v + numbers[1:-1]) * v + numbers[2:], return_counts=True)

    def _shares(self, numbers: Array) -> tuple[Array, Array]:
        """The three estimates of each symbol but the first two [n, 3], and their contexts' bins [n]."""
        a, b, c = numbers[:-2], numbers[1:-1], numbers[2:]
        v = self.symbols
        context = _look_up(self.two, a * v + b)
        third = _look_up(self.three, (a * v + b) * v + c) / np.maximum(context, 1)
        second = _look_up(self.two, b * v + c) / np.maximum(self.one[b], 1)
        first = (self.one[c] + 1) / (self.one.sum() + v)
        bins = np.minimum(np.log2(context + 1).astype(np.int64), _BINS - 1)
        return np.stack([first, second, third], axis=1), bins

    def loss(self, numbers: Array) -> float:
        """Nats for each symbol of a text, all but the first two; perplexity is its exponential."""
        shares, bins = self._shares(numbers)
        return float(-np.log((self.weights[bins] * shares).sum(axis=1)).mean())

    def perplexity(self, numbers: Array) -> float:
        return math.exp(self.loss(numbers))


def _look_up(counts: tuple[Array, Array], keys: Array) -> Array:
    """Counts of the keys, 0 of those never seen."""
    known, times = counts
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[at] == keys, times[at], 0)
