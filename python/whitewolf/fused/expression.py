"""Expressions of scalars: what a function computes, as a graph in which equal parts are one node.

A node is a parameter, a constant, arithmetic (+ - * /), a named function, a comparison or a choice. Values are numbers of one floating
dtype, or truth values. `arithmetic` folds constants and nothing else: what a user writes, x * 0 too, is computed. `add` and the others
are for derivatives, and leave out what adds 0 or multiplies by 0 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakValueDictionary

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
LOGIC = ("and", "or", "not")


@dataclass(frozen=True, eq=False)
class Node:
    """`op` of `args`; `value` is a constant's number, or a parameter's position."""

    op: str
    args: tuple[Node, ...] = ()
    value: float | None = None

    @property
    def is_truth(self) -> bool:
        return self.op in COMPARISONS or self.op in LOGIC


_nodes: WeakValueDictionary[tuple[object, ...], Node] = WeakValueDictionary()


def node(op: str, *args: Node, value: float | None = None) -> Node:
    """The one node of these parts."""
    key = (op, *map(id, args), repr(value))
    found = _nodes.get(key)
    if found is None:
        _nodes[key] = found = Node(op, args, value)
    return found


def constant(value: float) -> Node:
    return node("constant", value=float(value))


def parameter(position: int) -> Node:
    return node("parameter", value=position)


ZERO, ONE = constant(0.0), constant(1.0)


def _folded(op: str, a: Node, b: Node) -> Node | None:
    """Both are constants: what IEEE arithmetic makes of them in double precision."""
    if a.value is None or b.value is None or a.op != "constant" or b.op != "constant":
        return None
    x, y = a.value, b.value
    if op == "/" and y == 0:
        return constant(math.nan if x == 0 or math.isnan(x) else math.copysign(math.inf, x) * math.copysign(1, y))
    return constant({"+": x + y, "-": x - y, "*": x * y, "/": x / y if y else 0.0}[op])


def arithmetic(op: str, a: Node, b: Node) -> Node:
    return _folded(op, a, b) or node(op, a, b)


def add(a: Node, b: Node) -> Node:
    return _folded("+", a, b) or (b if a is ZERO else a if b is ZERO else node("+", a, b))


def subtract(a: Node, b: Node) -> Node:
    return _folded("-", a, b) or (negative(b) if a is ZERO else a if b is ZERO else node("-", a, b))


def multiply(a: Node, b: Node) -> Node:
    if folded := _folded("*", a, b):
        return folded
    if a is ONE or b is ONE:
        return b if a is ONE else a
    return ZERO if a is ZERO or b is ZERO else node("*", a, b)


def divide(a: Node, b: Node) -> Node:
    return _folded("/", a, b) or (a if b is ONE else ZERO if a is ZERO else node("/", a, b))


def negative(a: Node) -> Node:
    if a.op == "constant":
        return constant(-(a.value or 0.0))
    return a.args[0] if a.op == "negative" else node("negative", a)


def choose(condition: Node, a: Node, b: Node) -> Node:
    """a where the condition holds, else b."""
    return a if a is b else node("choose", condition, a, b)


def power(a: Node, n: Node) -> Node:
    """a to the power n; small whole numbers by multiplication."""
    if n.op == "constant" and n.value is not None and n.value in (-2, -1, 0, 0.5, 1, 2, 3, 4):
        square = multiply(a, a)
        return {
            0: lambda: ONE, 1: lambda: a, 2: lambda: square, 3: lambda: multiply(square, a), 4: lambda: multiply(square, square),
            -1: lambda: divide(ONE, a), -2: lambda: divide(ONE, square), 0.5: lambda: node("sqrt", a),
        }[n.value]()  # fmt: skip
    return node("pow", a, n)


def in_order(roots: Iterable[Node]) -> list[Node]:
    """All nodes below the roots, each after its arguments."""
    found: dict[Node, None] = {}
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        at, ready = stack.pop()
        if at in found:
            continue
        if ready:
            found[at] = None
        else:
            stack.append((at, True))
            stack.extend((a, False) for a in reversed(at.args))
    return list(found)
