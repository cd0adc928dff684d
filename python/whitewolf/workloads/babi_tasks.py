"""Stories of bAbI's 20 task types (Weston et al. 2015, table 1), in its format: a small world in which people act and are asked about.

The sentences follow the published tasks; the stories are drawn anew. Each answer comes from the state of the world, and the numbers
after it name the sentences that prove it.
"""

from __future__ import annotations

from collections.abc import Callable

from . import babi_people as people
from . import babi_relations as relations
from .babi_world import Rng, Story

_TASKS: tuple[Callable[[Story], None], ...] = (
    people.single_fact,
    people.two_facts,
    people.three_facts,
    relations.two_arguments,
    people.three_arguments,
    people.yes_no,
    people.counting,
    people.lists,
    people.negation,
    people.indefinite,
    people.coreference,
    people.conjunction,
    people.compound_coreference,
    people.time,
    relations.deduction,
    relations.induction,
    relations.position,
    relations.size,
    relations.path,
    people.motivation,
)


def story(task: int, rng: Rng) -> str:
    """A story of task 1 to 20, with its questions, as bAbI's files have it."""
    made = Story(rng)
    _TASKS[task - 1](made)
    return made.text()
