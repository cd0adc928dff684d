"""Derivatives of expressions, by the chain rule on the graph: forward, one parameter at a time.

At kinks they are those of whitewolf's ops: abs'(0) = 0, of two equal values the larger gives half to each, beside NaN all to
each, and a choice has the derivative of the branch that is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .expression import ONE, ZERO, Node, add, choose, constant, divide, in_order, multiply, negative, node, power, subtract

HALF, TWO = constant(0.5), constant(2.0)


def _one(x: Node, y: Node) -> Node:
    return subtract(ONE, multiply(y, y))


# Of a function y = f(x): f'(x), from x and y.
UNARY: dict[str, Callable[[Node, Node], Node]] = {
    "negative": lambda x, y: constant(-1.0),
    "abs": lambda x, y: node("sign", x),
    "sqrt": lambda x, y: divide(HALF, y),
    "exp": lambda x, y: y,
    "exp2": lambda x, y: multiply(y, constant(math.log(2))),
    "expm1": lambda x, y: add(y, ONE),
    "log": lambda x, y: divide(ONE, x),
    "log2": lambda x, y: divide(constant(1 / math.log(2)), x),
    "log10": lambda x, y: divide(constant(1 / math.log(10)), x),
    "log1p": lambda x, y: divide(ONE, add(x, ONE)),
    "sin": lambda x, y: node("cos", x),
    "cos": lambda x, y: negative(node("sin", x)),
    "tan": lambda x, y: add(multiply(y, y), ONE),
    "asin": lambda x, y: divide(ONE, node("sqrt", _one(x, x))),
    "acos": lambda x, y: divide(constant(-1.0), node("sqrt", _one(x, x))),
    "atan": lambda x, y: divide(ONE, add(multiply(x, x), ONE)),
    "sinh": lambda x, y: node("cosh", x),
    "cosh": lambda x, y: node("sinh", x),
    "tanh": _one,
    "asinh": lambda x, y: divide(ONE, node("sqrt", add(multiply(x, x), ONE))),
    "acosh": lambda x, y: divide(ONE, node("sqrt", subtract(multiply(x, x), ONE))),
    "atanh": lambda x, y: divide(ONE, _one(x, x)),
    "erf": lambda x, y: multiply(constant(2 / math.sqrt(math.pi)), node("exp", negative(multiply(x, x)))),
    "sigmoid": lambda x, y: multiply(y, subtract(ONE, y)),
    **dict.fromkeys(("sign", "floor", "ceil", "trunc", "round"), lambda x, y: ZERO),
}  # fmt: skip


def _extreme(loses: str) -> Callable[[Node, Node, Node], tuple[Node, Node]]:
    def partials(a: Node, b: Node, y: Node) -> tuple[Node, Node]:
        def share(mine: Node, other: Node) -> Node:
            return choose(node("==", a, b), HALF, choose(node(loses, mine, other), ZERO, ONE))  # NaN loses to nothing

        return share(a, b), share(b, a)

    return partials


def _pow(a: Node, n: Node, y: Node) -> tuple[Node, Node]:
    if n.op == "constant":
        return multiply(n, power(a, subtract(n, ONE))), ZERO  # n's own derivative is 0
    lower = power(
        a, choose(node("==", n, ZERO), n, subtract(n, ONE))
    )  # at n = 0 the product is 0, whatever a negative power of 0 is
    slope = choose(node("==", a, ZERO), choose(node("<", n, ZERO), node("log", a), ZERO), node("log", a))
    return multiply(n, lower), multiply(y, slope)


def _atan2(a: Node, b: Node, y: Node) -> tuple[Node, Node]:
    square = add(multiply(a, a), multiply(b, b))
    square = choose(node("==", square, ZERO), constant(math.inf), square)  # at the origin both are 0
    return divide(b, square), negative(divide(a, square))


# Of y = f(a, b): both partial derivatives, from a, b and y.
BINARY: dict[str, Callable[[Node, Node, Node], tuple[Node, Node]]] = {
    "+": lambda a, b, y: (ONE, ONE),
    "-": lambda a, b, y: (ONE, constant(-1.0)),
    "*": lambda a, b, y: (b, a),
    "/": lambda a, b, y: (divide(ONE, b), negative(divide(y, b))),
    "pow": _pow,
    "maximum": _extreme("<"),
    "minimum": _extreme(">"),
    "atan2": _atan2,
    "hypot": lambda a, b, y: (divide(a, y), divide(b, y)),
    "copysign": lambda a, b, y: (multiply(node("sign", a), node("copysign", ONE, b)), ZERO),
    "remainder": lambda a, b, y: (ONE, negative(node("floor_divide", a, b))),
    "floor_divide": lambda a, b, y: (ZERO, ZERO),
    "logaddexp": lambda a, b, y: (node("sigmoid", subtract(a, b)), node("sigmoid", subtract(b, a))),
}


def derivative(of: Node, position: int) -> Node:
    """d of / d parameter `position`."""
    found: dict[Node, Node] = {}
    for y in in_order([of]):
        inner = [found[a] for a in y.args]
        if y.op == "parameter":
            found[y] = ONE if y.value == position else ZERO
        elif y.is_truth or all(d is ZERO for d in inner):
            found[y] = ZERO
        elif y.op == "choose":
            found[y] = choose(y.args[0], inner[1], inner[2])
        elif len(inner) == 1:
            found[y] = multiply(inner[0], UNARY[y.op](y.args[0], y))
        else:
            by_a, by_b = BINARY[y.op](y.args[0], y.args[1], y)
            found[y] = add(multiply(inner[0], by_a), multiply(inner[1], by_b))
    return found[of]
