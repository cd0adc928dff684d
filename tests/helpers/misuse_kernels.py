"""Generated misuse of the raw kernels: each argument of a good call of each kernel in turn replaced by each bad one. Runs in a child
process.

main(part, parts) prints a line of JSON before each kernel, and one for each call that broke the contract

The good calls are those that the op table makes; the contract is that of helpers/misuse.py, and that nothing beside the outputs is
written to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import whitewolf as ww
from whitewolf import cases
from whitewolf.checks.calls import Context, forward, gradients
from whitewolf.checks.spy import parameters

from helpers.misuse import TYPED, limit_memory

Call = tuple[tuple[Any, ...], dict[str, Any]]


def own(argument: Any) -> Any:
    """A copy of an array, or of a sequence of them, as the optimizers' kernels take."""
    if isinstance(argument, (list, tuple)):
        return [own(a) for a in argument]
    return argument.copy() if isinstance(argument, np.ndarray) else argument


class Recorder:
    """Keeps the first call of a kernel, with arguments of its own."""

    def __init__(self, name: str, kernel: Any, found: dict[str, Call]) -> None:
        self.name, self.kernel, self.found = name, kernel, found

    def __call__(self, *arrays: Any, **attrs: Any) -> Any:
        small = all(0 < a.size < 4096 for a in arrays if isinstance(a, np.ndarray))
        if self.name not in self.found and small:
            self.found[self.name] = tuple(own(a) for a in arrays), dict(attrs)
        return self.kernel(*arrays, **attrs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kernel, name)


def good_calls() -> dict[str, Call]:
    context, found = Context(), {}
    kernels = context.device.kernels
    context.device.kernels = {name: Recorder(name, kernel, found) for name, kernel in kernels.items()}
    try:
        for table in cases.tables():
            for case in context.cases(table):
                if set(table.kernels) <= found.keys():
                    break
                arrays = context.inputs(table, case, "float32")
                forward(table, case, arrays, context.device)
                if table.gradient in ("first", "second"):
                    gradients(table, case, arrays, context.device)
    finally:
        context.device.kernels = kernels
    return found


def bad_arrays(array: Any, others: list[Any]) -> Iterator[tuple[str, Any]]:
    yield from (("None", None), ("a number", 1.0), ("a string", "no array"), ("a list", [1.0]), ("a tensor", ww.ones(2)))
    if isinstance(array, list) and array:
        yield "one fewer", array[:-1]
        yield "None among them", [None, *array[1:]]
        yield "another shape among them", [np.zeros(np.shape(array[0]) + (2,), "f4"), *array[1:]]
        yield "one twice", [array[-1], *array[1:]]
    if not isinstance(array, np.ndarray):
        return
    yield "one dimension more", array[None]
    yield "13 dimensions", array.reshape(*array.shape, *(1,) * (13 - array.ndim))
    for axis in range(array.ndim):
        yield f"longer along {axis}", np.concatenate([array, array[(slice(None),) * axis + (slice(0, 1),)]], axis)
        yield f"empty along {axis}", array[(slice(None),) * axis + (slice(0, 0),)]
    for dtype in ("int8", "bool", "float16", "float64", "complex64", "int64", ">f4"):
        if array.dtype != dtype:
            with np.errstate(all="ignore"):
                yield dtype, array.astype(dtype)
    readonly = array.copy()
    readonly.flags.writeable = False
    yield "read-only", readonly
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    yield "unaligned", raw.view(array.dtype).reshape(array.shape) if array.size else array
    yield "all in one place", np.lib.stride_tricks.as_strided(array, array.shape, (0,) * array.ndim, writeable=True)
    if array.dtype.kind == "f":
        yield "NaN", np.full_like(array, np.nan)
    if array.dtype.kind in "iu":
        for value in (99, -1 if array.dtype.kind == "i" else 98, np.iinfo(array.dtype).max, np.iinfo(array.dtype).min):
            yield f"index {value}", np.full_like(array, value)
    for position, other in enumerate(others):
        if isinstance(other, np.ndarray) and other is not array and other.nbytes >= array.nbytes and other.dtype == array.dtype:
            flat = other.reshape(-1)
            yield f"the memory of argument {position}", flat[: array.size].reshape(array.shape)
            if flat.size > array.size:
                yield f"the end of argument {position}", flat[flat.size - array.size :].reshape(array.shape)


def fresh(call: Call) -> tuple[list[Any], dict[str, Any]]:
    return [own(a) for a in call[0]], dict(call[1])


def mutations(call: Call, names: list[str]) -> Iterator[tuple[str, str, list[Any], dict[str, Any]]]:
    for position in range(len(call[0])):
        count = sum(1 for _ in bad_arrays(call[0][position], list(call[0])))
        for which in range(count):
            arrays, attrs = fresh(call)
            for index, (what, bad) in enumerate(bad_arrays(arrays[position], arrays)):
                if index == which:
                    arrays[position] = bad
                    yield names[position] if position < len(names) else f"argument {position}", what, arrays, attrs
                    break
    for name in call[1]:
        for bad in (None, "no such thing", float("nan"), -1, 2**62, 10**30, [], (-1,) * 20, np.zeros(3), object()):
            arrays, attrs = fresh(call)
            attrs[name] = bad
            yield name, repr(bad)[:40], arrays, attrs
    arrays, attrs = fresh(call)
    yield "no_such_attribute", "1", arrays, attrs | {"no_such_attribute": 1}
    yield "arguments", "one too few", *fresh((call[0][:-1], call[1]))
    yield "arguments", "one too many", *fresh(((*call[0], call[0][-1]), call[1]))
    arrays, attrs = fresh(call)
    yield "workspace", "3 bytes", arrays, attrs | {"workspace": np.zeros(3, np.uint8)}


def main(part: int, parts: int) -> None:
    limit_memory()
    found = good_calls()
    rows = {row["op"]: row for row in ww.kernels.list(device="cpu")}
    for name in sorted(rows)[part::parts]:
        if name not in found:
            continue
        print(json.dumps({"function": name}), flush=True)
        signature = parameters(rows[name]["signature"])
        names, kernel, count = [n for _, n in signature], ww.kernels.get(name, device="cpu"), 0
        for argument, what, arrays, attrs in mutations(found[name], names):
            count += 1
            outputs = [a for a, (way, _) in zip(arrays, signature) if isinstance(a, np.ndarray) and way]
            # Some contracts allow exactly in place: then an input is an output, too.
            inputs = [
                (a, a.tobytes())
                for a, (way, _) in zip(arrays, signature)
                if isinstance(a, np.ndarray) and not way and not any(np.may_share_memory(a, o) for o in outputs)
            ]
            problem = ""
            print(json.dumps({"function": name, "next": f"{argument}: {what}"}), flush=True)
            try:
                kernel(*arrays, **attrs)
                if any(a.tobytes() != before for a, before in inputs):
                    problem = "an input has changed"
            except TYPED as error:
                if not re.search(rf"\b{name}\b", str(error)):
                    problem = f"{type(error).__name__}: {error}"
            except BaseException as error:
                problem = f"untyped {type(error).__name__}: {error}"
            if problem:
                print(json.dumps({"function": name, "argument": argument, "value": what, "problem": problem[:300]}), flush=True)
        print(json.dumps({"function": name, "calls": count}), flush=True)


def arguments(words: list[str]) -> tuple[int, ...]:
    return tuple(int(w) for w in words)
