"""bAbI's tasks about what follows from stated relations: kinds, places beside each other, sizes (tasks 4 and 15 to 19)."""

from __future__ import annotations

import numpy as np

from .babi_world import PLACES, Story, pick, some

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
