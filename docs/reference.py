"""Writes docs/reference.md: each public name of whitewolf with its signature and docstring, by family.

python docs/reference.py           writes the page
python docs/reference.py --check   exits with 1 where the page is not what it would write
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import whitewolf as ww

PAGE = Path(__file__).parent / "reference.md"

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
    "whitewolf.ops.search": "Sorting, searching and sets",
    "whitewolf.ops.topk": "The largest elements",
    "whitewolf.ops.matmul": "Products of matrices",
    "whitewolf.autograd": "Differentiation",
    "whitewolf.graph": "What is recorded",
    "whitewolf.info": "dtypes and inspection",
    "whitewolf.device": "Devices",
    "whitewolf.random": "Random numbers",
    "whitewolf.runtime": "The engine's switches and gauges",
    "whitewolf._precision": "Precision",
    "whitewolf._errors": "Errors",
}


def public() -> dict[str, Any]:
    """The public functions and classes of the top namespace, by name."""
    found = {name: getattr(ww, name) for name in dir(ww) if not name.startswith("_")}
    found["__array_namespace_info__"] = ww.__array_namespace_info__
    return {name: value for name, value in found.items() if callable(value)}


def signature(name: str, value: Any) -> str:
    try:
        described = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    plain = described.replace(
        parameters=[p.replace(annotation=inspect.Parameter.empty) for p in described.parameters.values()],
        return_annotation=inspect.Signature.empty,
    )
    return name if inspect.isclass(value) else f"{name}{plain}"


def page() -> str:
    rooms: dict[str, list[str]] = {room: [] for room in ROOMS}
    for name, value in sorted(public().items()):
        text = inspect.cleandoc(value.__doc__ or "")
        rooms.setdefault(value.__module__, []).append(f"### `{signature(name, value)}`\n\n{markdown(text)}\n")
    parts = [
        "# Reference\n\nEach public name of `import whitewolf as ww`, in the order of its room. Written by `docs/reference.py` from the "
        "docstrings, whose examples run as tests.\n"
    ]
    for room, entries in rooms.items():
        if entries:
            parts += [f"## {ROOMS.get(room, room)}\n", *entries]
    return "\n".join(parts)


def markdown(text: str) -> str:
    """A docstring with its examples and its lists of arguments and errors as blocks, so that their lines stay lines."""
    blocks = []
    for block in text.split("\n\n"):
        is_block = block.startswith((">>>", "Args:", "Raises:", "Returns:", "Attributes:"))
        blocks.append(f"```\n{block}\n```" if is_block else block)
    return "\n\n".join(blocks)


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()
        sys.exit(0 if current else "docs/reference.md is not what docs/reference.py writes: run it")
    PAGE.write_text(page(), encoding="utf-8")
