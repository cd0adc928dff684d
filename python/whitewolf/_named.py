"""Errors name the function or the class that was called, and one of its arguments, whichever op below it noticed.

Options (flags, sizes, numbers, words) are held against their annotations before the call, so that nothing else that is true in Python
passes for True: once for each combination of types. Leading tensors only once a call has failed, when the words are chosen: the ops check
them. What keeps its arguments for later (a schedule, a loader) holds all of them against its signature at once: `checked`.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, wraps
from typing import Any

import numpy as np

from .ops._common import SixteenBit
from .ops._sixteen import through_float32
from .tensor import Tensor

# What a wrong argument makes Python, NumPy or an op below raise.
_CAUGHT = (ValueError, TypeError, IndexError, OverflowError, MemoryError, ArithmeticError, AttributeError, KeyError)
_KEPT = (ValueError, TypeError, IndexError, OverflowError, MemoryError)
_LETTERS = ("x", "w", "b")  # of input, weight and bias in formulas


def named(function: Callable[..., Any], op: str = "", *, below: bool = False) -> Callable[..., Any]:
    """The function, with options checked, and errors in its own name, or in that of the class `op` whose constructor or method it is.

    With `below`, an error that is in the name of an op below stays as it is if it names an argument of the function.
    """
    signature = inspect.signature(function)
    placed = [str(p.annotation) for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    leading = next((i for i, a in enumerate(placed) if a != "Tensor" and _wanted(a)), len(placed))  # tensors, which the op checks
    passed: set[tuple[Any, ...]] = (
        set()
    )  # the types of options that have been found right: whether they are depends on nothing else

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) > leading:
            types = (*map(type, args[leading:]), *kwargs, *map(type, kwargs.values()))
            if types not in passed:
                _check_options(op or function.__name__, signature, args, kwargs)
                passed.add(types)
        try:
            try:
                return function(*args, **kwargs)
            except SixteenBit:
                return through_float32(function, *args, **kwargs)
        except _CAUGHT as error:
            better = _explained(op or function.__name__, signature, args, kwargs, error, below)
            if better is error:
                raise
            raise better from error

    return call


def checked(function: Callable[..., Any], name: str = "", *, method: bool = False) -> Callable[..., Any]:
    """As `named`, and arguments are held against their annotations before the call; a method's errors name the object's class."""
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        op = type(args[0]).__name__ if method and args else name or function.__name__
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as wrong:
            raise TypeError(f"{op}: {wrong}") from None
        wrong_kind = _of_wrong_kind(op, signature, given)
        if wrong_kind is not None:
            raise wrong_kind
        try:
            return function(*args, **kwargs)
        except _CAUGHT as error:
            better = _explained(op, signature, args, kwargs, error, False)
            if better is error:
                raise
            raise better from error

    return call


def check_methods(*classes: type, methods: Sequence[str] = ("__init__",)) -> None:
    """Makes `checked` ones of those methods that the classes define themselves."""
    for cls in classes:
        for name in methods:
            if name in cls.__dict__:
                setattr(cls, name, checked(cls.__dict__[name], method=True))


def _explained(
    op: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception, below: bool
) -> Exception:
    if type(error).__module__.startswith("whitewolf") and not isinstance(error, SixteenBit):
        return error  # of a type of its own, which says what it is
    if isinstance(error, (KeyError, AttributeError)) and re.match(
        rf"{op}: |[\w.]+: expected ", str(error.args[0] if error.args else "")
    ):
        return error  # documented: there is nothing of that name
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError as wrong:  # too many arguments, or unknown ones: Python's own text says which
        return TypeError(f"{op}: {wrong}")
    wrong_kind = _of_wrong_kind(op, signature, given)
    if wrong_kind is not None:  # in the argument's own name, which an op below may call x
        return wrong_kind
    whole = text = str(error)
    own, _, rest = whole.rpartition("got an error below: ")[2].partition(": ")
    if own in (op, f"{op}_forward", f"{op}_backward"):  # its own, or its kernel's: what was said around it adds nothing
        own, text = op, f"{op}: {rest}"
    else:
        own, _, rest = whole.partition(": ")
    names = [name for name in signature.parameters if name != "self"]
    known = own == op or own.startswith(f"{op}.") or below and re.fullmatch(r"\w+", own) is not None
    if known and isinstance(error, _KEPT) and re.search(rf"\b({'|'.join((*names, *_LETTERS))})\b", rest):
        return error if text == whole else type(error)(text)
    kind = next((kind for kind in _KEPT if isinstance(error, kind)), ValueError)
    shown = ", ".join(name for name in given if name != "self") or ", ".join(names)
    return kind(f"{op}: expected {shown} that fit together, got an error below: {text or type(error).__name__}")


def _of_wrong_kind(op: str, signature: inspect.Signature, given: Mapping[str, Any]) -> TypeError | None:
    """The error for the first argument that is not what its annotation says."""
    for name, value in given.items():
        parameter = signature.parameters[name]
        wanted = _wanted(str(parameter.annotation))
        if wanted is None or name == "self":
            continue
        several = parameter.kind is parameter.VAR_POSITIONAL
        for part in value if several else (value,):
            if not any(fits(part) for fits, _ in wanted):
                words = " or ".join(words for _, words in wanted)
                return TypeError(f"{op}: expected {name} to be {words}, got {_described(part)}")
    return None


def _check_options(op: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raises TypeError for an argument that is not of the kind its annotation says: the slow path of `named`."""
    try:
        bound = signature.bind_partial(*args, **kwargs).arguments
    except TypeError as wrong:
        raise TypeError(f"{op}: {wrong}") from None
    wrong_kind = _of_wrong_kind(op, signature, bound)
    if wrong_kind is not None:
        raise wrong_kind


def _described(value: Any) -> str:
    return repr(value) if isinstance(value, (int, float, complex, str)) else type(value).__name__


def _is_bool(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


Kind = tuple[Callable[[Any], bool], str]  # whether a value is of it, and its words

_KINDS: dict[str, Kind] = {
    "Tensor": (lambda v: isinstance(v, Tensor), "a Tensor"),
    "bool": (_is_bool, "True or False"),
    "int": (lambda v: isinstance(v, (int, np.integer)) and not _is_bool(v), "an int"),
    "float": (lambda v: isinstance(v, (int, float, np.integer, np.floating)) and not _is_bool(v), "a real number"),
    "str": (lambda v: isinstance(v, str), "a string"),
    "None": (lambda v: v is None, "None"),
    "os.PathLike": (lambda v: isinstance(v, os.PathLike), "a path"),
    "Callable": (callable, "a function"),
    "Iterable": (lambda v: isinstance(v, (Iterable, Tensor)), "an iterable"),
    "Sequence": (lambda v: isinstance(v, Sequence) and not isinstance(v, (str, bytes)), "a sequence"),
    "Mapping": (lambda v: isinstance(v, Mapping), "a dict"),
    "dict": (lambda v: isinstance(v, dict), "a dict"),
    "list": (lambda v: isinstance(v, list), "a list"),
    # Named, not imported: these modules import this one.
    "Module": (lambda v: _is_called(v, "Module"), "a Module"),
    "Optimizer": (lambda v: _is_called(v, "Optimizer"), "an Optimizer"),
}


def _is_called(value: Any, name: str) -> bool:
    return any(c.__name__ == name for c in type(value).__mro__)


@cache
def _wanted(annotation: str) -> tuple[Kind, ...] | None:
    """The kinds that an annotation stands for; None where it says nothing."""
    bare = annotation
    while (shorter := re.sub(r"\[[^\[\]]*\]", "", bare)) != bare:  # Callable[[int], float] | None: Callable | None
        bare = shorter
    parts = [part.strip() for part in bare.split("|")]
    return tuple(_KINDS[part] for part in parts) if all(part in _KINDS for part in parts) else None


__all__ = ["check_methods", "checked", "named"]
