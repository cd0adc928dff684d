"""Texts as sequences of symbols: files, folders in the layout of the Penn Treebank, and the source of Python's own library."""

from __future__ import annotations

import gzip
import platform
import re
import sysconfig
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._errors import FileFormatError
from ..data import Dataset
from ..device import Array

UNKNOWN, END = "<unk>", "<eos>"
_SPLITS = {"train": ("train",), "valid": ("valid", "dev"), "test": ("test",)}
_HELD_OUT = 0.1  # of a text without splits of its own: its end


def read_text(path: str | Path) -> str:
    """A UTF-8 text file, plain or gzip.

    Raises:
        FileNotFoundError: it is not there.
        ww.FileFormatError: it is empty, a truncated or damaged gzip stream, or not UTF-8; the text names file and expectation.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"train: expected a text file at {file}, found none")
    content = file.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileFormatError(f"train: {file}: expected a whole gzip stream, got {error}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"train: {file}: expected UTF-8 text, got byte 0x{content[error.start]:02x} at {error.start}"
        ) from None
    if not text.strip():
        raise FileFormatError(f"train: {file}: expected text, got an empty file")
    if "\0" in text:
        raise FileFormatError(f"train: {file}: expected text, got binary data (a zero byte)")
    return text


def words(text: str) -> list[str]:
    """Runs of letters and digits, and each other mark alone; END where a line ends."""
    return [symbol for line in text.splitlines() for symbol in (*re.findall(r"\w+|[^\w\s]", line), END)]


class Vocabulary:
    """Symbols and their numbers, the most frequent first; UNKNOWN stands for the rest, if there is a rest.

    >>> from whitewolf.workloads.text import Vocabulary
    >>> v = Vocabulary("banana", 2)
    >>> v.symbols, v.encode("ban").tolist()
    (('a', '<unk>'), [1, 0, 1])
    """

    def __init__(self, symbols: Iterable[str], limit: int) -> None:
        counts = Counter(symbols)
        found = [s for s, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])) if s != UNKNOWN]
        if len(found) > limit or UNKNOWN in counts:
            found = [*found[: limit - 1], UNKNOWN]
        self.symbols = tuple(found)
        self.numbers = {symbol: number for number, symbol in enumerate(found)}

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, symbols: Iterable[str]) -> Array:
        """Their numbers, int64; a symbol of neither the vocabulary nor UNKNOWN's is left out."""
        unknown = self.numbers.get(UNKNOWN, -1)
        found = np.array([self.numbers.get(symbol, unknown) for symbol in symbols], np.int64)
        return found[found >= 0]


@dataclass(frozen=True)
class Corpus:
    """A text's numbers to learn from, to choose by and (where the source has such a part) to test on."""

    train: Array
    valid: Array
    test: Array | None
    vocabulary: Vocabulary
    level: str
    name: str

    def text(self, numbers: Iterable[int]) -> str:
        """The text of symbols: characters side by side, words with spaces between."""
        symbols = [self.vocabulary.symbols[number] for number in numbers]
        if self.level == "char":
            return "".join("\ufffd" if s == UNKNOWN else s for s in symbols)
        return " ".join(symbols).replace(f" {END} ", "\n").replace(END, "")


def corpus(data: str | None, level: str, limit: int, characters: int | None = None) -> Corpus:
    """A corpus of characters or words.

    Args:
        data: a text file, whose last tenth is held out; a folder with texts for training, validation and test, words between blanks
            (ptb.train.txt, ptb.valid.txt, ptb.test.txt); None is Python's library source.
        level: "char" or "word".
        limit: the size of the vocabulary.
        characters: only so many of the training text.

    Raises:
        FileNotFoundError, ww.FileFormatError: a file is not there, or is not what was expected.
    """
    if data is not None and Path(data).is_dir():
        return _treebank(Path(data), level, limit, characters)
    text, name = (
        (library_source(), f"Python {platform.python_version()}'s library source")
        if data is None
        else (read_text(data), Path(data).name)
    )
    text = text[:characters]
    at = int(len(text) * (1 - _HELD_OUT))
    split: list[Sequence[str]] = [text[:at], text[at:]] if level == "char" else [words(text[:at]), words(text[at:])]
    vocabulary = Vocabulary(split[0], limit)
    train, valid = (vocabulary.encode(part) for part in split)
    return Corpus(train, valid, None, vocabulary, level, f"{name}, {len(train):,} {level}s to learn from, {len(valid):,} held out")


def library_source() -> str:
    """The modules at the top of Python's library, by name: code and prose that every machine with Python has.

    Raises:
        FileNotFoundError: this Python comes without the source of its library.
    """
    folder = Path(sysconfig.get_paths()["stdlib"])
    texts = [file.read_text("utf-8", errors="replace") for file in sorted(folder.glob("*.py"))]
    if not texts:
        raise FileNotFoundError(
            f"train: expected the source of Python's library (*.py) in {folder}, found none; name a text: --data"
        )
    return "".join(texts)


def _treebank(folder: Path, level: str, limit: int, characters: int | None) -> Corpus:
    parts = {}
    for part, names in _SPLITS.items():
        found = sorted(p for p in folder.iterdir() if p.is_file() and any(n in p.name for n in names) and ".txt" in p.suffixes)
        if not found and part != "test":
            raise FileNotFoundError(f"train: expected a text like ptb.{part}.txt in {folder}, found none")
        if found:
            text = read_text(found[0])[: characters if part == "train" else None]
            symbols: Sequence[str] = text if level == "char" else [w for line in text.splitlines() for w in (*line.split(), END)]
            parts[part] = symbols
    vocabulary = Vocabulary(parts["train"], limit)
    coded = {part: vocabulary.encode(symbols) for part, symbols in parts.items()}
    sizes = ", ".join(f"{len(numbers):,} {level}s ({part})" for part, numbers in coded.items())
    return Corpus(coded["train"], coded["valid"], coded.get("test"), vocabulary, level, f"{folder.name}, {sizes}")


class Streams(Dataset):
    """A text cut into `n` streams that are read side by side, `window` symbols at a time: sample t follows sample t - 1.

    A sample is (x, y, first): x and y int64 [T, N], y one symbol ahead; first says that streams begin here.

    Raises:
        ValueError: the text is too short for one window.
    """

    def __init__(self, numbers: Array, n: int, window: int, name: str = "text") -> None:
        length = (len(numbers) - 1) // n
        if length < 1:
            raise ValueError(f"train: {name}: expected more than {n} symbols, one for each stream of a batch, got {len(numbers)}")
        self.x = np.ascontiguousarray(numbers[: n * length].reshape(n, length).T)
        self.y = np.ascontiguousarray(numbers[1 : n * length + 1].reshape(n, length).T)
        self.window = window

    def __len__(self) -> int:
        return -(-len(self.x) // self.window)

    def __getitem__(self, index: int) -> tuple[Array, Array, bool]:
        rows = slice(index * self.window, (index + 1) * self.window)
        return self.x[rows], self.y[rows], index == 0

    def batch(self, indices: Array) -> tuple[Array, Array, bool]:
        """The sample at the only index: a sample is a whole batch here."""
        return self[int(indices[0])]
