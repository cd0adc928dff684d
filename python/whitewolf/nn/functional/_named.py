"""Errors of nn name the function or the layer that was called, and one of its arguments, whichever op below it noticed.

Nothing is checked twice: only once a call has failed are its arguments held against the signature, and the words chosen.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import numpy as np

from ...ops._common import SixteenBit
from ...ops._sixteen import through_float32
from ...tensor import Tensor

# What a wrong argument makes Python, NumPy or an op below raise.
_CAUGHT = (ValueError, TypeError, IndexError, OverflowError, MemoryError, ArithmeticError, AttributeError, KeyError)
_KEPT = (ValueError, TypeError, IndexError, OverflowError, MemoryError)
_LETTERS = ("x", "w", "b")  # of input, weight and bias in formulas


def named(function: Callable[..., Any], op: str = "") -> Callable[..., Any]:
    """The function, with errors in its own name, or in that of the class `op` whose constructor it is."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            try:
                return function(*args, **kwargs)
            except SixteenBit:
                return through_float32(function, *args, **kwargs)
        except _CAUGHT as error:
            better = _explained(op or function.__name__, inspect.signature(function), args, kwargs, error)
            if better is error:
                raise
            raise better from error

    return call


def _explained(op: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> Exception:
    text = str(error)
    own, _, rest = text.partition(": ")
    names = [name for name in signature.parameters if name != "self"]
    if own == op and isinstance(error, _KEPT) and re.search(rf"\b({'|'.join((*names, *_LETTERS))})\b", rest):
        return error
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError as wrong:  # too many arguments, or unknown ones: Python's own text says which
        return TypeError(f"{op}: {wrong}")
    given.pop("self", None)
    for name, value in given.items():
        wanted = _wanted(str(signature.parameters[name].annotation))
        if wanted is not None and not isinstance(value, wanted[0]) or wanted is not None and wanted[1] and _is_bool(value):
            return TypeError(
                f"{op}: expected {name} to be {_words(str(signature.parameters[name].annotation))}, got {_described(value)}"
            )
    kind = type(error) if type(error) in _KEPT else ValueError
    return kind(f"{op}: expected {', '.join(given)} that fit together, got an error below: {text or type(error).__name__}")


def _is_bool(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _described(value: Any) -> str:
    return repr(value) if isinstance(value, (int, float, complex, str)) else type(value).__name__


@cache
def _wanted(annotation: str) -> tuple[tuple[type, ...], bool] | None:
    """The types that an annotation stands for, and whether True and False are none of them; None where it says nothing."""
    types: dict[str, tuple[type, ...]] = {
        "Tensor": (Tensor,), "bool": (bool, np.bool_), "int": (int, np.integer), "float": (int, float, np.integer, np.floating),
        "str": (str,), "None": (type(None),),
    }  # fmt: skip
    parts = [part.strip() for part in annotation.split("|")]
    if not all(part in types for part in parts):
        return None
    return tuple(t for part in parts for t in types[part]), "bool" not in parts and bool({"int", "float"} & set(parts))


def _words(annotation: str) -> str:
    words = {
        "Tensor": "a Tensor",
        "bool": "True or False",
        "int": "an int",
        "float": "a real number",
        "str": "a string",
        "None": "None",
    }
    return " or ".join(words[part.strip()] for part in annotation.split("|"))


__all__ = ["named"]
