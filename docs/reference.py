"""Writes the reference: each public name of whitewolf with its signature and docstring.

reference.md          the top namespace, by family
reference-nn.md       whitewolf.nn and below
reference-rooms.md    optimizers, data, files, kernels and the rest

python docs/reference.py           writes the pages
python docs/reference.py --check   exits with 1 where a page is not what it would write
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import whitewolf as ww
from whitewolf import _errors

DOCS = Path(__file__).parent

# The rooms in the order of the page, each with its heading; what is in none of them comes last.
ROOMS = {
    "whitewolf.tensor": "Tensors",
    "whitewolf.ops.creation": "Creation",
    "whitewolf.ops.manipulation": "Shapes, layouts, dtypes and devices",
    "whitewolf.ops.rearrange": "Rearranging",
    "whitewolf.ops.indexing": "Indexing",
    "whitewolf.ops.gather": "Gathering and scattering",
    "whitewolf.ops.elementwise": "Elementwise functions of one variable, and arithmetic",
    "whitewolf.elementwise": "Elementwise functions of your own",
    "whitewolf.ops.binary": "Elementwise functions of two variables",
    "whitewolf.ops.select": "Choosing between values",
    "whitewolf.ops.logic": "Comparisons, logic and bits",
    "whitewolf.ops.reduce": "Reductions",
    "whitewolf.ops.cumulative": "Running sums, products and differences",
    "whitewolf.ops.ranges": "Ranges and grids",
    "whitewolf.ops.joining": "Joining and splitting",
    "whitewolf.ops.complex_parts": "Complex numbers",
    "whitewolf.ops.search": "Sorting, searching and sets",
    "whitewolf.ops.topk": "The largest elements",
    "whitewolf.ops.matmul": "Products of matrices",
    "whitewolf.autograd": "Differentiation",
    "whitewolf.graph": "What is recorded",
    "whitewolf.info": "dtypes and inspection",
    "whitewolf.device": "Devices",
    "whitewolf.random": "Random numbers",
    "whitewolf.runtime": "The engine's switches and gauges",
    "whitewolf.simulator": "The simulator's schedules",
    "whitewolf._precision": "Precision",
    "whitewolf._errors": "Errors",
}


# The other pages: rooms of the namespace, each with its heading.
PAGES = {
    "reference-nn.md": {
        "nn.functional": "Functions",
        "nn": "Layers and containers",
        "nn.init": "Initial values",
        "nn.utils": "Gradients and parameters all at once",
        "nn.utils.rnn": "Sequences of unequal lengths",
    },
    "reference-rooms.md": {
        "optim": "Optimizers",
        "optim.lr_scheduler": "Schedules of learning rates",
        "amp": "Mixed precision",
        "autograd": "Differentiation",
        "random": "Random numbers",
        "data": "Datasets and loaders",
        "io": "Files",
        "kernels": "Raw kernels",
    },
}
INNER = {"Node", "record", "save_output", "saved_output", "take_blocks", "next_seed"}  # for ops, not for users
WRITTEN = "Written by `docs/reference.py` from the docstrings, whose examples run as tests."


def public() -> dict[str, Any]:
    """The public functions and classes of the top namespace, by name."""
    found = {name: getattr(ww, name) for name in dir(ww) if not name.startswith("_")}
    found["__array_namespace_info__"] = ww.__array_namespace_info__
    return {name: value for name, value in found.items() if callable(value)}


def members(room: str) -> dict[str, Any]:
    """The public functions and classes of a room."""
    module = importlib.import_module(f"whitewolf.{room}")
    names = getattr(module, "__all__", None) or [
        n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__
    ]
    return {n: getattr(module, n) for n in sorted(names) if n[0] != "_" and n not in INNER and callable(getattr(module, n))}


def signature(name: str, value: Any) -> str:
    try:
        described = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    plain = described.replace(
        parameters=[p.replace(annotation=inspect.Parameter.empty) for p in described.parameters.values() if p.name != "self"],
        return_annotation=inspect.Signature.empty,
    )
    return re.sub(r"<function (\w+) at 0x\w+>", r"\1", f"{name}{plain}")


def entry(name: str, value: Any, *, constructed: bool) -> str:
    """A name with its docstring; a class of a room with its own methods below it."""
    shown = name if inspect.isclass(value) and not constructed else signature(name, value)
    parts = [f"### `{shown}`\n\n{markdown(inspect.cleandoc(value.__doc__ or ''))}\n"]
    if constructed and inspect.isclass(value):
        parts += [
            f"#### `{name}.{signature(key, method)}`\n\n{markdown(inspect.cleandoc(method.__doc__))}\n"
            for base in value.__mro__
            if base is value
            or (name, base.__name__) == ("Module", "Tree")
            or base.__name__[0] == "_"  # with what it has of bases that are not public
            for key, method in vars(base).items()
            if key[0] != "_" and key not in ("forward", "extra_repr") and inspect.isfunction(method) and method.__doc__
        ]
    return "\n".join(parts)


def page() -> str:
    rooms: dict[str, list[str]] = {room: [] for room in ROOMS}
    for name, value in sorted(public().items()):
        rooms.setdefault(value.__module__, []).append(entry(name, value, constructed=False))
    parts = [
        f"# Reference\n\nEach public name of `import whitewolf as ww`, in the order of its room; {others()}. {WRITTEN}\n",
        f"## Errors that every function raises\n\n{inspect.cleandoc(_errors.__doc__ or '')}\n",
    ]
    for room, entries in rooms.items():
        if entries:
            parts += [f"## {ROOMS.get(room, room)}\n", *entries]
    return "\n".join(parts)


def others() -> str:
    return " and ".join(f"`ww.{', ww.'.join(rooms)}` are in [{name}]({name})" for name, rooms in PAGES.items())


def page_of_rooms(rooms: dict[str, str]) -> str:
    parts = [
        f"# Reference: {', '.join(f'`ww.{room}`' for room in rooms)}\n\nWhat any function may raise says [reference.md](reference.md). {WRITTEN}\n"
    ]
    for room, heading in rooms.items():
        parts += [f"## {heading}: `ww.{room}`\n", *(entry(name, value, constructed=True) for name, value in members(room).items())]
    return "\n".join(parts)


def pages() -> dict[str, str]:
    return {"reference.md": page(), **{name: page_of_rooms(rooms) for name, rooms in PAGES.items()}}


def markdown(text: str) -> str:
    """A docstring with its examples and its lists of arguments and errors as blocks, so that their lines stay lines."""
    blocks = []
    for block in text.split("\n\n"):
        is_block = block.startswith((">>>", "Args:", "Raises:", "Returns:", "Attributes:"))
        blocks.append(f"```\n{block}\n```" if is_block else block)
    return "\n\n".join(blocks)


if __name__ == "__main__":
    for name, text in pages().items():
        path = DOCS / name
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"docs/{name} is not what docs/reference.py writes: run it")
