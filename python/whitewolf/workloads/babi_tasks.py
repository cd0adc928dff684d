"""Stories of bAbI's 20 task types (Weston et al. 2015, table 1), in its format: a small world in which people act and are asked about.

The sentences follow the published tasks; the stories are drawn anew. Each answer comes from the state of the world, and the numbers
after it name the sentences that prove it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

PEOPLE = ("Mary", "John", "Daniel", "Sandra")
PLACES = ("bathroom", "hallway", "bedroom", "kitchen", "garden", "office")
OBJECTS = ("football", "apple", "milk")
MOVES = ("moved", "went", "journeyed", "travelled", "went back")
TAKES, DROPS = ("got", "took", "grabbed", "picked up"), ("dropped", "discarded", "put down", "left")
HE = {"Mary": "she", "John": "he", "Daniel": "he", "Sandra": "she", "Julie": "she", "Bill": "he", "Fred": "he"}
NUMBERS = ("none", "one", "two", "three")
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


def single_fact(s: Story) -> None:
    for _ in range(5):
        s.move(pick(s.rng, PEOPLE))
        s.move(pick(s.rng, PEOPLE))
        person = s.known()
        s.ask(f"Where is {person}?", s.place[person][0], s.place[person][1])


def two_facts(s: Story) -> None:
    for _ in range(5):
        while True:
            s.act()
            things = [t for t in OBJECTS if t in s.holder or t in s.left]
            if things and s.rng.random() < 0.5:
                break
        thing = pick(s.rng, things)
        if thing in s.left:
            place, support = s.left[thing]
        else:
            person, taken = s.holder[thing]
            place, support = s.place[person][0], [taken, s.place[person][1]]
        s.ask(f"Where is the {thing}?", place, *support)


def three_facts(s: Story) -> None:
    for _ in range(3):
        while True:
            s.act()
            known = []
            for thing, trail in s.trail.items():
                names = [place for place, _ in trail]
                known += [(thing, k) for k in range(1, len(trail)) if names[k] not in names[k + 1 :]]
            if known and s.rng.random() < 0.3:
                break
        thing, k = pick(s.rng, known)
        (before, proof), (place, more) = s.trail[thing][k - 1 : k + 1]
        s.ask(f"Where was the {thing} before the {place}?", before, *proof, *more)


OPPOSITE = {"north": "south", "south": "north", "east": "west", "west": "east"}


def two_arguments(s: Story) -> None:
    a, b, c = some(s.rng, PLACES, 3)
    way, other = pick(s.rng, [("north", "south"), ("east", "west"), ("south", "north"), ("west", "east")]), None
    facts = [(a, way[0], b), (b, pick(s.rng, way), c)]
    if facts[1][1] == way[1]:  # a and c on the same side of b: the question must not be ambiguous
        other = pick(s.rng, [w for w in OPPOSITE if w not in way])
        facts[1] = (b, other, c)
    lines = {}
    for at in s.rng.permutation(2):
        x, w, y = facts[at]
        lines[int(at)] = s.say(f"The {x} is {w} of the {y}.")
    which = int(s.rng.integers(2))
    x, w, y = facts[which]
    if s.rng.random() < 0.5:
        s.ask(f"What is {w} of the {y}?", x, lines[which])
    else:
        s.ask(f"What is the {x} {w} of?", y, lines[which])


def three_arguments(s: Story) -> None:
    people = ("Mary", "Bill", "Fred", "Jeff")
    gave: list[tuple[str, str, str, int]] = []
    for _ in range(5):
        for _ in range(int(s.rng.integers(1, 4))):
            if s.rng.random() < 0.6 or not gave:
                (giver, taker), thing = some(s.rng, people, 2), pick(s.rng, OBJECTS)
                line = s.say(f"{giver} {pick(s.rng, ('gave', 'handed', 'passed'))} the {thing} to {taker}.")
                gave.append((giver, thing, taker, line))
            else:
                s.say(f"{pick(s.rng, people)} {pick(s.rng, MOVES)} to the {pick(s.rng, PLACES)}.")
        giver, thing, taker, line = gave[-1]
        text, answer = pick(s.rng, [
            (f"Who gave the {thing} to {taker}?", giver), (f"Who did {giver} give the {thing} to?", taker),
            (f"What did {giver} give to {taker}?", thing), (f"Who received the {thing}?", taker), (f"Who gave the {thing}?", giver),
        ])  # fmt: skip
        s.ask(text, answer, line)


def yes_no(s: Story) -> None:
    for _ in range(5):
        s.act(0.2)
        s.act(0.2)
        person = s.known()
        place, line = s.place[person]
        if s.rng.random() < 0.5:
            s.ask(f"Is {person} in the {place}?", "yes", line)
        else:
            s.ask(f"Is {person} in the {s.other_place(person)}?", "no", line)


def _hands(s: Story, question: Callable[[str, list[tuple[str, int]]], tuple[str, str]]) -> None:
    """People take, drop and give; one of those who ever had something is asked about."""
    hands: dict[str, list[tuple[str, int]]] = {}
    touched: dict[str, list[int]] = {}
    for _ in range(5):
        while True:
            held = [(p, t) for p, things in hands.items() for t, _ in things]
            chance = s.rng.random()
            if held and chance < 0.4:
                person, thing = pick(s.rng, held)
                hands[person] = [(t, n) for t, n in hands[person] if t != thing]
                if chance < 0.15:
                    to = pick(s.rng, [p for p in PEOPLE if p != person])
                    line = s.say(f"{person} {pick(s.rng, ('gave', 'handed', 'passed'))} the {thing} to {to}.")
                    hands.setdefault(to, []).append((thing, line))
                    touched.setdefault(to, []).append(line)
                else:
                    line = s.say(f"{person} {pick(s.rng, DROPS)} the {thing}.")
                touched[person].append(line)
            else:
                person = pick(s.rng, PEOPLE)
                free = [t for t in OBJECTS if all(t != h for _, h in held)]
                if not free or chance > 0.85:
                    s.move(person)
                    continue
                thing = pick(s.rng, free)
                line = s.say(f"{person} {pick(s.rng, TAKES)} the {thing} there.")
                hands.setdefault(person, []).append((thing, line))
                touched.setdefault(person, []).append(line)
            if s.rng.random() < 0.5:
                break
        person = pick(s.rng, sorted(touched))
        text, answer = question(person, hands.get(person, []))
        s.ask(text, answer, *touched[person])


def counting(s: Story) -> None:
    _hands(s, lambda person, things: (f"How many objects is {person} carrying?", NUMBERS[len(things)]))


def lists(s: Story) -> None:
    _hands(s, lambda person, things: (f"What is {person} carrying?", ",".join(t for t, _ in things) or "nothing"))


def negation(s: Story) -> None:
    said: dict[str, tuple[str, bool, int]] = {}
    for _ in range(5):
        for _ in range(2):
            person, place = pick(s.rng, PEOPLE), pick(s.rng, PLACES)
            form = pick(s.rng, ("is in", "went to", "is not in", "is no longer in"))
            said[person] = place, form in ("is in", "went to"), s.say(f"{person} {form} the {place}.")
        person = pick(s.rng, sorted(said))
        place, here, line = said[person]
        asked = pick(s.rng, [p for p in PLACES if p != place]) if here and s.rng.random() < 0.5 else place
        s.ask(f"Is {person} in the {asked}?", "yes" if here and asked == place else "no", line)


def indefinite(s: Story) -> None:
    said: dict[str, tuple[list[str], int]] = {}
    for _ in range(5):
        for _ in range(2):
            person, places = pick(s.rng, PEOPLE), some(s.rng, PLACES, int(s.rng.integers(1, 3)))
            if len(places) == 2:
                text = f"{person} is either in the {places[0]} or the {places[1]}."
            else:
                text = f"{person} {pick(s.rng, ('is in', 'went to'))} the {places[0]}."
            said[person] = places, s.say(text)
        person = pick(s.rng, sorted(said))
        places, line = said[person]
        inside = s.rng.random() < 0.65
        asked = pick(s.rng, places if inside else [p for p in PLACES if p not in places])
        s.ask(f"Is {person} in the {asked}?", ("maybe" if len(places) == 2 else "yes") if inside else "no", line)


def _pronouns(s: Story, together: bool) -> None:
    """Somebody goes somewhere, and then he, she or they go on."""
    for _ in range(5):
        group = some(s.rng, PEOPLE, 2) if together else [pick(s.rng, PEOPLE)]
        first = s.say(f"{' and '.join(group)} {pick(s.rng, MOVES)} to the {s.other_place(group[0])}.")
        place = pick(s.rng, PLACES)
        after = pick(s.rng, ("Then", "After that", "Following that", "Afterwards"))
        line = s.say(f"{after} {'they' if together else HE[group[0]]} {pick(s.rng, MOVES)} to the {place}.")
        for person in group:
            s.place[person] = place, line
        person = pick(s.rng, group)
        s.ask(f"Where is {person}?", place, first, line)


def coreference(s: Story) -> None:
    _pronouns(s, together=False)


def compound_coreference(s: Story) -> None:
    _pronouns(s, together=True)


def conjunction(s: Story) -> None:
    for _ in range(5):
        for _ in range(2):
            group, place = some(s.rng, PEOPLE, 2), pick(s.rng, PLACES)
            line = s.say(f"{' and '.join(group)} {pick(s.rng, MOVES)} to the {place}.")
            for person in group:
                s.place[person] = place, line
        person = s.known()
        s.ask(f"Where is {person}?", s.place[person][0], s.place[person][1])


def time(s: Story) -> None:
    times = ("Yesterday", "This morning", "This afternoon", "This evening")
    people = some(s.rng, ("Julie", "Bill", "Fred", "Mary"), 2)
    places = ("school", "park", "cinema", "office", "kitchen", "bedroom")
    went = {person: some(s.rng, places, 4) for person in people}
    events = [(person, k) for person in people for k in range(4)]
    lines = {}
    for at in s.rng.permutation(len(events)):
        person, k = events[at]
        lines[person, k] = s.say(f"{times[k]} {person} {pick(s.rng, MOVES)} to the {went[person][k]}.")
    for _ in range(3):
        person, k = pick(s.rng, people), int(s.rng.integers(1, 4))
        s.ask(f"Where was {person} before the {went[person][k]}?", went[person][k - 1], lines[person, k - 1], lines[person, k])


ANIMALS = {"mouse": "mice", "cat": "cats", "wolf": "wolves", "sheep": "sheep"}
NAMES = ("Gertrude", "Jessica", "Emily", "Winona")


def deduction(s: Story) -> None:
    kinds = list(ANIMALS)
    fear = {kind: pick(s.rng, [k for k in kinds if k != kind]) for kind in kinds}
    of = dict(zip(NAMES, some(s.rng, kinds, 4)))
    facts = [(kind, "") for kind in kinds] + [("", name) for name in NAMES]
    lines = {}
    for at in s.rng.permutation(len(facts)):
        kind, name = facts[at]
        text = f"{ANIMALS[kind].capitalize()} are afraid of {ANIMALS[fear[kind]]}." if kind else f"{name} is a {of[name]}."
        lines[kind or name] = s.say(text)
    for name in some(s.rng, NAMES, 4):
        s.ask(f"What is {name} afraid of?", fear[of[name]], lines[name], lines[of[name]])


def induction(s: Story) -> None:
    names = some(s.rng, ("Lily", "Bernhard", "Greg", "Julius", "Brian"), 5)
    kinds, colours = some(s.rng, ("swan", "lion", "frog", "rhino"), 3), some(s.rng, ("white", "green", "gray", "yellow"), 3)
    of = [0, 1, 2, int(s.rng.integers(3)), int(s.rng.integers(3))]
    asked = 4
    example = of.index(of[asked])
    facts = [f"{n} is a {kinds[k]}." for n, k in zip(names, of)] + [f"{n} is {colours[k]}." for n, k in zip(names[:4], of)]
    lines = {}
    for at in s.rng.permutation(len(facts)):
        lines[int(at)] = s.say(facts[at])
    s.ask(f"What color is {names[asked]}?", colours[of[asked]], lines[asked], lines[example], lines[5 + example])


STEPS = {"to the left of": (-1, 0), "to the right of": (1, 0), "above": (0, 1), "below": (0, -1)}


def position(s: Story) -> None:
    a, b, c = some(s.rng, ("triangle", "pink rectangle", "blue square", "red sphere", "yellow square", "red square"), 3)
    at = {a: np.array([0, 0])}
    for new, old in ((b, a), (c, b)):
        way = pick(s.rng, list(STEPS))
        at[new] = at[old] + STEPS[way]
        s.say(f"The {new} is {way} the {old}.")
    for _ in range(8):
        (x, y), way = some(s.rng, (a, c), 2), pick(s.rng, list(STEPS))
        holds = int((at[x] - at[y]) @ np.array(STEPS[way])) > 0
        s.ask(f"Is the {x} {way} the {y}?", "yes" if holds else "no", 1, 2)


def size(s: Story) -> None:
    things = some(s.rng, ("box", "chest", "suitcase", "container", "chocolate", "box of chocolates"), 4)  # smallest first
    lines = {}
    for at in s.rng.permutation(3):
        small, large = things[at], things[at + 1]
        text = pick(s.rng, (f"The {small} fits inside the {large}.", f"The {large} is bigger than the {small}."))
        lines[int(at)] = s.say(text)
    for _ in range(4):
        low = int(s.rng.integers(0, 2))
        high = int(s.rng.integers(low + 2, 4))
        support = [lines[k] for k in range(low, high)]
        pair = (things[low], things[high])
        x, y = pair if s.rng.random() < 0.5 else pair[::-1]
        if s.rng.random() < 0.5:
            s.ask(f"Does the {x} fit in the {y}?", "yes" if x == pair[0] else "no", *support)
        else:
            s.ask(f"Is the {x} bigger than the {y}?", "yes" if x == pair[1] else "no", *support)


COMPASS = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}


def path(s: Story) -> None:
    places = some(s.rng, PLACES, 5)
    at = {places[0]: (0, 0)}
    facts: list[tuple[str, str, str]] = []
    while len(at) < 5:  # a new place beside an old one, never on top of another
        old, way = pick(s.rng, list(at)), pick(s.rng, list(COMPASS))
        spot = (at[old][0] + COMPASS[way][0], at[old][1] + COMPASS[way][1])
        if spot not in at.values():
            new = places[len(at)]
            at[new] = spot
            facts.append((new, way, old))
    lines = {}
    for k in s.rng.permutation(4):
        new, way, old = facts[k]
        lines[int(k)] = s.say(f"The {new} is {way} of the {old}.")
    steps = {(old, new): (way, k) for k, (new, way, old) in enumerate(facts)}
    steps |= {(new, old): (OPPOSITE[way], k) for (old, new), (way, k) in list(steps.items())}
    ways = [(x, y, z) for x, y in steps for y2, z in steps if y2 == y and z != x and (x, z) not in steps]
    x, y, z = pick(s.rng, ways)
    (first, k), (second, m) = steps[x, y], steps[y, z]
    s.ask(f"How do you go from the {x} to the {z}?", f"{first[0]},{second[0]}", lines[k], lines[m])


NEEDS = {
    "hungry": ("kitchen", "apple"),
    "thirsty": ("kitchen", "milk"),
    "tired": ("bedroom", "pajamas"),
    "bored": ("garden", "football"),
}


def motivation(s: Story) -> None:
    for person in some(s.rng, ("Sumit", "Yann", "Antoine", "Jason"), 3):
        need = pick(s.rng, list(NEEDS))
        place, thing = NEEDS[need]
        line = s.say(f"{person} is {need}.")
        s.ask(f"Where will {person} go?", place, line)
        went = s.say(f"{person} {pick(s.rng, MOVES)} to the {place}.")
        s.ask(f"Why did {person} go to the {place}?", need, line)
        s.say(f"{person} {pick(s.rng, TAKES)} the {thing} there.")
        s.ask(f"Why did {person} get the {thing}?", need, line, went)


_TASKS: tuple[Callable[[Story], None], ...] = (
    single_fact, two_facts, three_facts, two_arguments, three_arguments, yes_no, counting, lists, negation, indefinite, coreference,
    conjunction, compound_coreference, time, deduction, induction, position, size, path, motivation,
)  # fmt: skip


def story(task: int, rng: Rng) -> str:
    """A story of task 1 to 20, with its questions, as bAbI's files have it."""
    made = Story(rng)
    _TASKS[task - 1](made)
    return made.text()
