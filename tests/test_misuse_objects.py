"""Misuse of classes, objects, methods and the rooms beside the top namespace, generated and in child processes; the contract and the
calls are those of helpers/misuse_objects.py, on what helpers/public_classes.py and public_functions.py list.
"""

from __future__ import annotations

import json

import pytest
from helpers import misuse_objects
from test_misuse import HERE, child, run

TARGETS = misuse_objects.targets()
GROUPS = 4


@pytest.mark.parametrize("group", range(GROUPS))
def test_classes_methods_and_files_take_any_argument_or_name_it(group: int) -> None:
    names = TARGETS[group::GROUPS]
    assert run("misuse_objects", *names) > 40 * len(names)


def test_every_public_class_method_and_function_of_the_rooms_is_among_them_or_passed_over_with_a_reason() -> None:
    public, passed = misuse_objects.public(), {name for names in misuse_objects.PASSED_OVER.values() for name in names}
    assert len(public) > 350 and passed <= public
    assert public - set(TARGETS) == passed


def test_a_layer_that_hangs_crashes_or_is_silent_about_its_argument_is_seen() -> None:
    program = """
import sys; sys.path.insert(0, {here!r})
import whitewolf as ww
from whitewolf import nn
from helpers import misuse_objects as m
class Slow(nn.Module):
    def __init__(self, n: int = 1) -> None:
        super().__init__()
        while n == 2**62: pass
    def forward(self, input): return input.no_such_attribute
class Silent(nn.Module):
    def __init__(self, n: int = 1) -> None:
        super().__init__()
        if n is None: raise ValueError("something is wrong")
    def forward(self, input): return input
class Unwritten(nn.Module):
    def __init__(self, n: int = 1) -> None:
        super().__init__()
        if n is None: raise IndexError("Unwritten: expected n to be another")
    def forward(self, input): return input
m.SECONDS = 1
m.CLASSES.update({{"nn.Slow": Slow, "nn.Silent": Silent, "nn.Unwritten": Unwritten}})
m.main(["new nn.Slow", "new nn.Silent", "new nn.Unwritten"])
"""
    done = child("-W", "ignore", "-c", program.format(here=str(HERE)))
    problems = [json.loads(line) for line in done.stdout.splitlines() if "problem" in line]
    found = {(d["function"], d["problem"].split(":")[0]) for d in problems}
    assert {("new nn.Slow", "a hang"), ("new nn.Slow", "untyped AttributeError"), ("new nn.Silent", "ValueError")} <= found
    assert ("new nn.Unwritten", "not in its docstring") in found
