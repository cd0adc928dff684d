"""Pairs of sentences: two-column files, number words in two languages, and BLEU."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from .._errors import FileFormatError
from ..data import Dataset
from ..data.loader import permutation
from ..device import Array
from ..environment import has
from .text import Vocabulary, read_text, words

Sentence = list[str]
PAD, BEGIN, STOP = "<pad>", "<s>", "</s>"
SPECIAL = (PAD, BEGIN, STOP)  # numbers 0, 1, 2 of each vocabulary


def read_pairs(path: str, longest: int) -> list[tuple[Sentence, Sentence]]:
    """The pairs of a file, a sentence, a tab and its translation on each line; those of more than `longest` symbols are left out.

    Raises:
        FileNotFoundError, ww.FileFormatError: the file is not there, or is not what was expected; the text names file and line.
    """
    found = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        columns = line.split("\t")
        if not line.strip():
            continue
        if len(columns) != 2 or not all(c.strip() for c in columns):
            raise FileFormatError(f"train: {path}: expected two columns with a tab between in line {number}, got {line[:60]!r}")
        pair = (words(columns[0])[:-1], words(columns[1])[:-1])
        if max(map(len, pair)) <= longest:
            found.append(pair)
    if len(found) < 10:
        raise FileFormatError(f"train: {path}: expected at least 10 pairs of up to {longest} symbols, got {len(found)}")
    return found


def number_words(
    count: int, below: int, seed: int = 0, languages: tuple[str, str] = ("en", "fr")
) -> list[tuple[Sentence, Sentence]]:
    """`count` numbers below `below`, none twice, in words of two languages.

    Raises:
        ImportError: num2words is not installed.
    """
    try:
        from num2words import num2words
    except ImportError:
        raise ImportError(
            "train: seq2seq's default data comes with num2words, which is not installed: pip install num2words, or name a file: --data"
        ) from None
    numbers = permutation(below, seed)[:count].tolist()
    first, second = ([words(num2words(n, lang=language))[:-1] for n in numbers] for language in languages)
    return list(zip(first, second))


class Pairs(Dataset):
    """Pairs as numbers, in batches padded to their longest sentences.

    A batch is (source [S, N], lengths [N], target [T, N]), int64; a target is BEGIN, its symbols, STOP, then PAD. With `reverse` the
    source is read from its end (Sutskever et al. 2014, section 3.3).
    """

    def __init__(self, pairs: Sequence[tuple[Sentence, Sentence]], source: Vocabulary, target: Vocabulary, reverse: bool) -> None:
        self.pairs, step = list(pairs), -1 if reverse else 1
        self.sources = [shifted(source, s)[::step] for s, _ in pairs]
        self.targets = [np.array([1, *shifted(target, t), 2]) for _, t in pairs]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Array, Array, Array]:
        return self.batch(np.array([index]))

    def batch(self, indices: Array) -> tuple[Array, Array, Array]:
        """The pairs at `indices`."""
        sources, targets = [self.sources[i] for i in indices], [self.targets[i] for i in indices]
        return padded(sources), np.array([len(s) for s in sources]), padded(targets)


class SimilarLengths(Dataset):
    """Batches of `n` pairs of about the same length, as the samples of a dataset: little is padded (Sutskever et al. 2014, section 3.4).

    Which pairs are together depends on `seed` alone.
    """

    def __init__(self, pairs: Pairs, n: int, seed: int) -> None:
        lengths = np.array([(len(source), len(target)) for source, target in zip(pairs.sources, pairs.targets)])
        order = permutation(len(pairs), seed)
        order = order[np.lexsort(lengths[order].T)]
        self.pairs, self.groups = pairs, [order[first : first + n] for first in range(0, len(order), n)]

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> tuple[Array, Array, Array]:
        return self.pairs.batch(self.groups[index])

    def batch(self, indices: Array) -> tuple[Array, Array, Array]:
        """The batch at the one index in `indices`."""
        (index,) = indices
        return self[int(index)]


def shifted(vocabulary: Vocabulary, sentence: Sentence) -> Array:
    """Its numbers behind those of SPECIAL; a sentence of nothing known keeps one PAD."""
    return vocabulary.encode(sentence) + len(SPECIAL) if len(vocabulary.encode(sentence)) else np.zeros(1, np.int64)


def padded(rows: Sequence[Array]) -> Array:
    """Rows of unequal lengths as columns [longest, N], filled up with PAD."""
    found = np.zeros((max(map(len, rows)), len(rows)), np.int64)
    for column, row in enumerate(rows):
        found[: len(row), column] = row
    return found


def bleu(found: Sequence[Sentence], wanted: Sequence[Sentence]) -> tuple[float, str]:
    """BLEU in [0, 1] of translations against one reference each (Papineni et al. 2002), and who computed it.

    exp(mean of log p_n, n = 1 to 4) min(1, exp(1 - wanted / found symbols)), p_n the share of n-grams that the reference has too.
    sacrebleu computes it where it is installed; both see the symbols as they were split here.
    """
    if has("sacrebleu"):
        from sacrebleu.metrics.bleu import BLEU

        metric = BLEU(tokenize="none", smooth_method="none", force=True)
        score = metric.corpus_score([" ".join(f) for f in found], [[" ".join(w) for w in wanted]]).score
        return score / 100, "sacrebleu"
    return own_bleu(found, wanted), "whitewolf"


def own_bleu(found: Sequence[Sentence], wanted: Sequence[Sentence]) -> float:
    """BLEU without sacrebleu."""
    shared, total = [0] * 4, [0] * 4
    for f, w in zip(found, wanted):
        for n in range(4):
            have, want = (Counter(tuple(s[i : i + n + 1]) for i in range(len(s) - n)) for s in (f, w))
            shared[n] += sum((have & want).values())
            total[n] += sum(have.values())
    if not all(shared):
        return 0.0
    brevity = min(0.0, 1 - sum(map(len, wanted)) / sum(map(len, found)))
    return math.exp(sum(math.log(s / t) for s, t in zip(shared, total)) / 4 + brevity)
