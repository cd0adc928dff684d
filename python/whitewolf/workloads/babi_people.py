"""bAbI's tasks about people: where they are, what they carry, give, want and are said to do (tasks 1 to 3, 5 to 14 and 20)."""

from __future__ import annotations

from collections.abc import Callable

from .babi_world import DROPS, MOVES, OBJECTS, PEOPLE, PLACES, TAKES, Story, pick, some


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


NUMBERS = ("none", "one", "two", "three")


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


HE = {"Mary": "she", "John": "he", "Daniel": "he", "Sandra": "she", "Julie": "she", "Bill": "he", "Fred": "he"}


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
