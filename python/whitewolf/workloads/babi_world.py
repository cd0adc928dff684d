"""The small world of bAbI's stories (Weston et al. 2015, section 4): people who move and take and drop things, and who tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

PEOPLE = ("Mary", "John", "Daniel", "Sandra")
PLACES = ("bathroom", "hallway", "bedroom", "kitchen", "garden", "office")
OBJECTS = ("football", "apple", "milk")
MOVES = ("moved", "went", "journeyed", "travelled", "went back")
TAKES, DROPS = ("got", "took", "grabbed", "picked up"), ("dropped", "discarded", "put down", "left")
Rng = np.random.Generator
T = TypeVar("T")


def pick(rng: Rng, items: Sequence[T]) -> T:
    """One of them."""
    return items[int(rng.integers(len(items)))]


def some(rng: Rng, items: Sequence[T], n: int) -> list[T]:
    """n different ones, in any order."""
    return [items[int(i)] for i in rng.permutation(len(items))[:n]]


class Story:
    """Lines, and where everybody and everything is as far as they tell."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.lines: list[str] = []
        self.place: dict[str, tuple[str, int]] = {}  # of a person: where, and the line that says so
        self.holder: dict[str, tuple[str, int]] = {}  # of an object that is held
        self.left: dict[str, tuple[str, list[int]]] = {}  # of an object that was put down: where, and the lines that prove it
        self.trail: dict[str, list[tuple[str, list[int]]]] = {}  # where an object was, in turn

    def say(self, text: str) -> int:
        """Adds a sentence; returns its number."""
        self.lines.append(text)
        return len(self.lines)

    def ask(self, text: str, answer: str, *support: int) -> None:
        """Adds a question."""
        self.lines.append(f"{text}\t{answer}\t{' '.join(map(str, dict.fromkeys(support)))}")

    def text(self) -> str:
        return "".join(f"{n} {line}\n" for n, line in enumerate(self.lines, 1))

    def other_place(self, person: str) -> str:
        return pick(self.rng, [p for p in PLACES if p != self.place.get(person, ("",))[0]])

    def move(self, person: str) -> None:
        """A person goes somewhere else, with all that is held."""
        place = self.other_place(person)
        line = self.say(f"{person} {pick(self.rng, MOVES)} to the {place}.")
        self.place[person] = place, line
        for thing, (holder, taken) in self.holder.items():
            if holder == person:
                self.trail.setdefault(thing, []).append((place, [taken, line]))

    def take(self, person: str, thing: str) -> None:
        """A person whose place is known takes a thing that nobody has."""
        line = self.say(f"{person} {pick(self.rng, TAKES)} the {thing}{pick(self.rng, (' there', ''))}.")
        self.holder[thing] = person, line
        self.left.pop(thing, None)
        place, came = self.place[person]
        trail = self.trail.setdefault(thing, [])
        if not trail or trail[-1][0] != place:
            trail.append((place, [came, line]))

    def drop(self, thing: str) -> None:
        """Whoever has it puts it down."""
        person, _ = self.holder.pop(thing)
        line = self.say(f"{person} {pick(self.rng, DROPS)} the {thing}.")
        self.left[thing] = self.place[person][0], [line, self.place[person][1]]

    def act(self, things: float = 0.5) -> None:
        """Anything that can happen; `things` is the share of taking and dropping."""
        person = pick(self.rng, PEOPLE)
        if person in self.place and self.rng.random() < things:
            place = self.place[person][0]
            mine = [t for t, (holder, _) in self.holder.items() if holder == person]
            free = [t for t in OBJECTS if t not in self.holder and self.left.get(t, (place,))[0] == place]
            if mine and (not free or self.rng.random() < 0.4):
                return self.drop(pick(self.rng, mine))
            if free:
                return self.take(person, pick(self.rng, free))
        self.move(person)

    def known(self) -> str:
        return pick(self.rng, sorted(self.place))
