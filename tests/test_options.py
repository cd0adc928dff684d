"""Options of every public function and constructor, from their annotations: nothing but True and False is a flag, nothing but an int a
size, and NumPy's integers are ints. Generated: a new function is held to it without a line here.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers import misuse, public_classes
from whitewolf import _named

STRANGERS = ["no", 2.5, None, 1 + 2j, b"a", len, object()]


def arguments(name: str, given: Callable[[inspect.Parameter], Any]) -> tuple[list[Any], dict[str, Any]]:
    """Good arguments of a public function; what `given` finds for a parameter, if anything, stands in place of its own."""
    own = misuse.FUNCTIONAL_FOR.get(name.split(".")[-1], {}) if "." in name else misuse.GOOD_FOR.get(name, {})
    good = {**misuse.GOOD, **(misuse.FUNCTIONAL if "." in name else {}), **own}
    positional, keywords = [], {}
    for p in inspect.signature(misuse.find(name)).parameters.values():
        value = given(p)
        if value is inspect.Parameter.empty:
            if p.default is not p.empty and p.name not in (*own, "size"):
                continue
            value = good[p.name]()
        if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL):
            positional.append(value)
        else:
            keywords[p.name] = value
    return positional, keywords


def run(made: Any) -> Any:
    """A scope does nothing before it is entered, or has to be left."""
    if isinstance(made, contextlib.AbstractContextManager):
        with made:
            pass
    return made


def wrong_options(function: Any) -> Iterator[tuple[str, Any]]:
    for p in inspect.signature(function).parameters.values():
        wanted = _named._wanted(str(p.annotation))
        if wanted is not None and p.name != "self" and not p.name.startswith("_"):
            yield from ((p.name, value) for value in STRANGERS if not any(fits(value) for fits, _ in wanted))


def refused(call: Callable[[], Any], name: str, argument: str, value: Any) -> str:
    """What is wrong with how the call ended, or nothing."""
    try:
        call()
    except TypeError as error:
        return "" if argument in str(error) else f"{name}({argument}={value!r}): a TypeError that does not name it: {error}"
    except Exception as error:  # whatever else it raised is what is told
        return f"{name}({argument}={value!r}): expected a TypeError, got {error!r}"
    return f"{name}({argument}={value!r}): expected a TypeError, got none"


def test_an_option_of_another_kind_is_a_type_error() -> None:
    problems, calls = [], 0
    for name in (*misuse.functions(), *misuse.functional()):
        function = misuse.find(name)
        for argument, value in wrong_options(function):
            positional, keywords = arguments(name, lambda p, a=argument, v=value: v if p.name == a else p.empty)
            problems.append(refused(lambda f=function, p=positional, k=keywords: run(f(*p, **k)), name, argument, value))
            calls += 1
    assert not any(problems), "\n".join(filter(None, problems))
    assert calls > 3000


def test_an_option_of_another_kind_is_a_type_error_in_constructors() -> None:
    problems, calls = [], 0
    for name, cls in public_classes.CLASSES.items():
        short = name.split(".")[-1]
        good = public_classes.MADE_OF | public_classes.MADE_OF_FOR.get(short, {})
        for argument, value in wrong_options(cls):
            positional, keywords = public_classes.arguments_of(cls, good, short, argument, value)
            problems.append(refused(lambda c=cls, p=positional, k=keywords: c(*p, **k), name, argument, value))
            calls += 1
    assert not any(problems), "\n".join(filter(None, problems))
    assert calls > 2000


def as_numpy(value: Any) -> Any:
    """The same with NumPy's integers in place of Python's."""
    if isinstance(value, (tuple, list)):
        return type(value)(as_numpy(v) for v in value)
    return np.int64(value) if type(value) is int and abs(value) < 2**63 else value


def numbers(result: Any) -> list[Any]:
    if isinstance(result, (tuple, list)):
        return [leaf for part in result for leaf in numbers(part)]
    return [np.asarray(result.detach().numpy())] if isinstance(result, ww.Tensor) else []


def same(expected: Any, found: Any) -> bool:
    a, b = numbers(expected), numbers(found)
    return len(a) == len(b) and all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in zip(a, b))


def test_numpy_s_integers_are_ints() -> None:
    """In every function, in place of each int that is given or that is a default."""
    problems, calls = [], 0
    for name in (*misuse.functions(), *misuse.functional()):
        function = misuse.find(name)
        positional, keywords = arguments(name, lambda p: p.default if type(p.default) is int else p.empty)
        if name.startswith("empty") or not any(map(holds_int, (*positional, *keywords.values()))):
            continue
        calls += 1
        try:
            ww.manual_seed(0)
            expected = function(*positional, **keywords)
            ww.manual_seed(0)
            found = function(*as_numpy(positional), **{k: as_numpy(v) for k, v in keywords.items()})
        except Exception as error:  # told with the others, whatever it is
            problems.append(f"{name}: {error!r}")
        else:
            if not same(expected, found):
                problems.append(f"{name}: expected {expected}, got {found}")
    assert not problems, "\n".join(problems)
    assert calls > 80


def holds_int(value: Any) -> bool:
    return type(value) is int or isinstance(value, (tuple, list)) and any(map(holds_int, value))


@pytest.mark.filterwarnings("ignore")
def test_numpy_s_integers_are_ints_in_constructors() -> None:
    problems, calls = [], 0
    for name, cls in public_classes.CLASSES.items():
        short = name.split(".")[-1]
        good = public_classes.MADE_OF | public_classes.MADE_OF_FOR.get(short, {})
        positional, keywords = public_classes.arguments_of(cls, good, short)
        keywords = {p.name: p.default for p in inspect.signature(cls).parameters.values() if type(p.default) is int} | keywords
        if name == "data.ImageFolder" or not any(map(holds_int, (*positional, *keywords.values()))):
            continue
        calls += 1
        try:
            results = []
            for convert in (lambda v: v, as_numpy):
                ww.manual_seed(0)
                made = cls(*convert(positional), **{k: convert(v) for k, v in keywords.items()})
                layer = isinstance(made, ww.nn.Module) and short not in public_classes.CONTAINERS
                results.append((repr(made), public_classes.use(made, short) if layer else None))
        except Exception as error:  # told with the others, whatever it is
            problems.append(f"{name}: {error!r}")
        else:
            if not same(results[0][1], results[1][1]):
                problems.append(f"{name}: expected {results[0]}, got {results[1]}")
    assert not problems, "\n".join(problems)
    assert calls > 60
