"""Stories with questions in the format of bAbI (Weston et al. 2015, arXiv 1502.05698), read from its files or generated.

A file has a line for each sentence, numbered from 1 in each story; a question's line has a tab, the answer, a tab, and the numbers of
the sentences that prove it:

    1 Mary moved to the bathroom.
    2 John went to the hallway.
    3 Where is Mary? <tab>bathroom<tab>1
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._errors import FileFormatError
from ..device import Array
from . import babi_tasks
from .text import read_text

TASKS = 20
ARCHIVED = "tasks_1-20_v1-2/en-10k"


@dataclass(frozen=True)
class Question:
    """A question, what was told before it, its answer, and which sentences of the story (from 0) prove it."""

    story: tuple[str, ...]
    question: str
    answer: str
    support: tuple[int, ...]


def parse(text: str, path: str | Path) -> list[Question]:
    """The questions of a text in bAbI's format.

    Raises:
        ww.FileFormatError: a line is not of that format; the text names it.
    """
    found: list[Question] = []
    story: list[str] = []
    places: dict[int, int] = {}  # a sentence's number in the file -> its place in the story without questions
    for at, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = re.fullmatch(r"(\d+) (.+)", line.strip(" "))
        if match is None:
            raise FileFormatError(f"train: {path}: expected a number and a sentence in line {at}, got {line[:60]!r}")
        number, rest = int(match[1]), match[2].split("\t")
        if number == 1:
            story, places = [], {}
        if len(rest) == 1:
            places[number] = len(story)
            story.append(rest[0].strip())
            continue
        try:
            support = tuple(places[int(n)] for n in " ".join(rest[2:]).split())
        except (ValueError, KeyError):
            raise FileFormatError(
                f"train: {path}: expected numbers of sentences before line {at} in it, got {line[-60:]!r}"
            ) from None
        if not rest[1].strip():
            raise FileFormatError(f"train: {path}: expected an answer after the tab in line {at}, got {line[:60]!r}")
        found.append(Question(tuple(story), rest[0].strip(), rest[1].strip(), support))
    if not found:
        raise FileFormatError(f"train: {path}: expected questions (a line with a tab and an answer), got none")
    return found


def read(folder: str | Path, task: int) -> tuple[list[Question], list[Question]]:
    """Questions to learn from and to test on, from qa<task>_..._train.txt and qa<task>_..._test.txt in a folder.

    Of the folder that the published archive was unpacked in (--download), it reads the 10,000 questions in English.

    Raises:
        FileNotFoundError, ww.FileFormatError: a file is not there, or is not what was expected; the text names it.
    """
    unpacked = Path(folder) / ARCHIVED
    inside, parts = unpacked if unpacked.is_dir() else Path(folder), []
    for part in ("train", "test"):
        files = sorted(inside.glob(f"qa{task}_*_{part}.txt"))
        if not files:
            raise FileNotFoundError(f"train: expected bAbI's qa{task}_*_{part}.txt in {inside}, found none")
        parts.append(parse(read_text(files[0]), files[0]))
    return parts[0], parts[1]


def generate(task: int, count: int, seed: int) -> list[Question]:
    """`count` questions of one of the 20 task types, drawn anew each (short ones may come twice); the same for the same seed.

    >>> from whitewolf.workloads.babi import generate
    >>> one = generate(1, 1, seed=0)[0]
    >>> one.question.startswith("Where is "), any(one.answer in sentence for sentence in one.story)
    (True, True)
    """
    rng = np.random.Generator(np.random.Philox(key=[seed, task]))
    found: list[Question] = []
    while len(found) < count:
        found += parse(babi_tasks.story(task, rng), f"task {task}")
    return found[:count]


def tokens(sentence: str) -> list[str]:
    """Its words in small letters, without marks."""
    return re.findall(r"\w+", sentence.lower())


class Coder:
    """Sentences, words and answers as numbers; sentence 0 is empty.

    Position encoding (Sukhbaatar et al. 2015, section 4.1) weighs word j of J in component k of d by
    l_kj = (1 - j/J) - (k/d)(1 - 2 j/J), linear in k: so a sentence is two bags of words, and its vector is
    bag_0 E + (k/d) bag_1 E with bag_0 weighed by 1 - j/J and bag_1 by -(1 - 2 j/J).
    """

    def __init__(self, questions: list[Question]) -> None:
        sentences = sorted({s for q in questions for s in (*q.story, q.question)})
        self.sentences = {"": 0} | {s: n + 1 for n, s in enumerate(sentences)}
        names = {w for s in sentences for w in tokens(s)} | {q.answer for q in questions}
        self.words = {w: n for n, w in enumerate(sorted(names))}
        self.names = sorted(names)

    def bags(self) -> Array:
        """float32 [sentences, 2, V]."""
        found = np.zeros((len(self.sentences), 2, len(self.words)), np.float32)
        for sentence, n in self.sentences.items():
            split = tokens(sentence)
            for j, word in enumerate(split, 1):
                share = j / len(split)
                found[n, :, self.words[word]] += (1 - share, -(1 - 2 * share))
        return found

    def code(self, questions: list[Question], memory: int) -> tuple[Array, Array, Array]:
        """The last sentences of each story [n, memory], the latest first and 0 where there are no more; questions [n]; answers [n]."""
        stories = np.zeros((len(questions), memory), np.int64)
        for row, q in zip(stories, questions):
            last = [self.sentences[s] for s in q.story[::-1][:memory]]
            row[: len(last)] = last
        asked = np.array([self.sentences[q.question] for q in questions])
        return stories, asked, np.array([self.words[q.answer] for q in questions])
