"""From the source of a scalar function to one expression. What is not understood is an error that names function, line and construct.

Both branches of a condition become expressions, of which a choice takes one; so a function has no loops, and whatever it returns is a
function of its arguments alone.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import math
import numbers
import textwrap
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NoReturn

import numpy as np

from . import derivative
from .expression import Node, arithmetic, choose, constant, negative, node, parameter, power

ALIASES = {
    "absolute": "abs", "fabs": "abs", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh",
    "arctanh": "atanh", "arctan2": "atan2", "power": "pow", "rint": "round", "max": "maximum", "min": "minimum", "fmod": "",
}  # fmt: skip
PREDICATES = {
    "isnan": lambda x: node("!=", x, x),
    "isinf": lambda x: node("==", node("abs", x), constant(math.inf)),
    "isfinite": lambda x: node("<", node("abs", x), constant(math.inf)),
}
COMPOSED = {
    "square": lambda x: arithmetic("*", x, x),
    "reciprocal": lambda x: arithmetic("/", constant(1), x),
    "rsqrt": lambda x: arithmetic("/", constant(1), node("sqrt", x)),
    "relu": lambda x: choose(node("<=", x, constant(0)), constant(0), x),
    "float": lambda x: x,
}
OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
COMPARED = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
DEEPEST = 32  # functions that call functions

Value = Any  # a Node, True or False, a tuple of values, or what a name outside stands for


class _Absent:
    """A variable that only one branch sets."""


def parse(function: Callable[..., Any]) -> tuple[tuple[str, ...], Node]:
    """The names of the parameters, and what the function returns.

    Raises:
        TypeError: it is no Python function, or something in it is not understood.
    """
    names = parameters(function)
    assert isinstance(function, FunctionType)
    return names, _Reader(function, ()).run([parameter(i) for i in range(len(names))])


def parameters(function: Any) -> tuple[str, ...]:
    if not isinstance(function, FunctionType):
        raise TypeError(f"elementwise: expected a Python function, got {type(function).__name__}")
    found = inspect.signature(function).parameters.values()
    for p in found:
        if p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) or p.default is not p.empty:
            raise TypeError(f"elementwise: {function.__name__}: expected plain parameters, got {p}; what is fixed can be captured")
    if not found:
        raise TypeError(f"elementwise: {function.__name__}: expected a parameter, got none")
    return tuple(p.name for p in found)


class _Reader:
    """Reads one function; another one that it calls is read in its place."""

    def __init__(self, function: FunctionType, callers: tuple[Any, ...]) -> None:
        self.function, self.callers = function, (*callers, function)
        if function in callers or len(callers) >= DEEPEST:
            raise TypeError(f"elementwise: {function.__name__}: expected a function that does not call itself")
        self.tree, self.first_line = _source(function)
        try:
            closed = inspect.getclosurevars(function)
        except ValueError:  # an empty cell
            raise TypeError(
                f"elementwise: {function.__name__}: expected what it captures to be known when it is decorated"
            ) from None
        self.outside = {**closed.builtins, **closed.globals, **closed.nonlocals}

    def fail(self, at: ast.AST, what: str) -> NoReturn:
        line = self.first_line + getattr(at, "lineno", 1) - 1
        raise TypeError(f"elementwise: {self.function.__name__}, line {line} of {self.function.__code__.co_filename}: {what}")

    def run(self, arguments: list[Node]) -> Node:
        own = dict(zip(parameters(self.function), arguments))
        if isinstance(self.tree, ast.Lambda):
            return self.number(self.tree.body, own)
        result = self.block(self.tree.body, own)
        if result is None:
            self.fail(self.tree.body[-1], "expected every path to return a number, got one that ends without")
        return result

    # ---- statements: what is returned, or None where the block ends without ----

    def block(self, statements: list[ast.stmt], env: dict[str, Value]) -> Node | None:
        for i, statement in enumerate(statements):
            if isinstance(statement, ast.Return):
                if statement.value is None:
                    self.fail(statement, "expected return with a number, got none")
                return self.number(statement.value, env)
            if isinstance(statement, ast.If):
                returned = self.branch(statement, statements[i + 1 :], env)
                if returned is not None:
                    return returned
            elif isinstance(statement, ast.Assign):
                value = self.value(statement.value, env)
                for target in statement.targets:
                    self.assign(target, value, env)
            elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
                self.assign(statement.target, self.value(statement.value, env), env)
            elif isinstance(statement, ast.AugAssign):
                own = ast.copy_location(ast.BinOp(self.loaded(statement.target), statement.op, statement.value), statement)
                self.assign(statement.target, self.value(own, env), env)
            elif not (
                isinstance(statement, ast.Pass) or isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            ):
                self.fail(statement, f"expected return, if or an assignment, got {_name(statement)}")
        return None

    def branch(self, statement: ast.If, rest: list[ast.stmt], env: dict[str, Value]) -> Node | None:
        """An if, with what follows it where one of its branches returns; else env holds what both left."""
        condition = self.truth(statement.test, env)
        if condition is True or condition is False:
            return self.block([*(statement.body if condition else statement.orelse)], env)
        returns = any(isinstance(at, ast.Return) for part in (*statement.body, *statement.orelse) for at in ast.walk(part))
        after = rest if returns else []
        envs = dict(env), dict(env)
        a, b = (self.block([*part, *after], e) for part, e in zip((statement.body, statement.orelse), envs))
        if returns:
            if a is None or b is None:
                self.fail(statement, "expected every path to return a number, got one that ends without")
            return choose(condition, a, b)
        for name in dict.fromkeys([*envs[0], *envs[1]]):
            env[name] = self.merged(condition, envs[0].get(name, _Absent), envs[1].get(name, _Absent))
        return None

    def merged(self, condition: Node, a: Value, b: Value) -> Value:
        if a is b:
            return a
        if isinstance(a, Node) and isinstance(b, Node) and not a.is_truth and not b.is_truth:
            return choose(condition, a, b)
        if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
            return tuple(self.merged(condition, x, y) for x, y in zip(a, b))
        if _is_truth(a) and _is_truth(b):
            x, y = _truth_node(a), _truth_node(b)
            return node("or", node("and", condition, x), node("and", node("not", condition), y))
        return _Absent

    def loaded(self, target: ast.expr) -> ast.expr:
        if not isinstance(target, ast.Name):
            self.fail(target, f"expected an assignment to a variable, got {_name(target)}")
        return ast.copy_location(ast.Name(target.id, ast.Load()), target)

    def assign(self, target: ast.expr, value: Value, env: dict[str, Value]) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, tuple) and len(target.elts) == len(value):
            for part, own in zip(target.elts, value):
                self.assign(part, own, env)
        elif isinstance(target, ast.Name):
            env[target.id] = value
        else:
            self.fail(target, f"expected an assignment to a variable, got {_name(target)}")

    # ---- expressions ----

    def number(self, at: ast.expr, env: dict[str, Value]) -> Node:
        value = self.value(at, env)
        if not isinstance(value, Node) or value.is_truth:
            self.fail(at, f"expected a number, got {_kind(value)}")
        return value

    def truth(self, at: ast.expr, env: dict[str, Value]) -> Value:
        value = self.value(at, env)
        if not _is_truth(value):
            self.fail(at, f"expected a comparison, got {_kind(value)}")
        return value

    def value(self, at: ast.expr, env: dict[str, Value]) -> Value:
        read = getattr(self, "read_" + type(at).__name__, None)
        if read is None:
            self.fail(at, f"expected arithmetic, a comparison, a condition or a call of a known function, got {_name(at)}")
        return read(at, env)

    def read_Constant(self, at: ast.Constant, env: dict[str, Value]) -> Value:
        return self.captured(at, at.value, "a constant")

    def read_Name(self, at: ast.Name, env: dict[str, Value]) -> Value:
        if at.id in env:
            if env[at.id] is _Absent:
                self.fail(at, f"expected {at.id} to be set, to a number, on every path that leads here")
            return env[at.id]
        if at.id not in self.outside:
            self.fail(at, f"expected a name that is known when the function is decorated, got {at.id}")
        return self.captured(at, self.outside[at.id], at.id)

    def read_Attribute(self, at: ast.Attribute, env: dict[str, Value]) -> Value:
        home = self.value(at.value, env)
        if not isinstance(home, ModuleType) or not hasattr(home, at.attr):
            self.fail(at, f"expected a name of a module, as math.{at.attr}, got {ast.unparse(at)}")
        return self.captured(at, getattr(home, at.attr), ast.unparse(at))

    def captured(self, at: ast.expr, value: Any, name: str) -> Value:
        """A value from outside: numbers are copied now; functions and modules stay what they are."""
        if isinstance(value, (bool, np.bool_)):
            return bool(value)
        if isinstance(value, numbers.Real):
            return constant(float(value))
        if callable(value) or isinstance(value, ModuleType):
            return value
        self.fail(at, f"expected {name} to be a real number, got {type(value).__name__}")

    def read_Tuple(self, at: ast.Tuple, env: dict[str, Value]) -> Value:
        return tuple(self.value(part, env) for part in at.elts)

    def read_UnaryOp(self, at: ast.UnaryOp, env: dict[str, Value]) -> Value:
        if isinstance(at.op, ast.Not):
            value = self.truth(at.operand, env)
            return not value if isinstance(value, bool) else node("not", value)
        if isinstance(at.op, ast.Invert):
            self.fail(at, "expected - or + before a number, got ~")
        value = self.number(at.operand, env)
        return negative(value) if isinstance(at.op, ast.USub) else value

    def read_BinOp(self, at: ast.BinOp, env: dict[str, Value]) -> Value:
        a, b = self.number(at.left, env), self.number(at.right, env)
        if type(at.op) in OPERATORS:
            return arithmetic(OPERATORS[type(at.op)], a, b)
        if isinstance(at.op, ast.Pow):
            return power(a, b)
        if isinstance(at.op, (ast.Mod, ast.FloorDiv)):
            return node("remainder" if isinstance(at.op, ast.Mod) else "floor_divide", a, b)
        self.fail(at, f"expected +, -, *, /, //, % or **, got {type(at.op).__name__}")

    def read_Compare(self, at: ast.Compare, env: dict[str, Value]) -> Value:
        values = [self.number(part, env) for part in (at.left, *at.comparators)]
        found: Node | None = None
        for op, a, b in zip(at.ops, values, values[1:]):
            if type(op) not in COMPARED:
                self.fail(at, f"expected <, <=, >, >=, == or !=, got {type(op).__name__}")
            one = node(COMPARED[type(op)], a, b)
            found = one if found is None else node("and", found, one)
        return found

    def read_BoolOp(self, at: ast.BoolOp, env: dict[str, Value]) -> Value:
        op, decides = ("and", False) if isinstance(at.op, ast.And) else ("or", True)
        found: Value = not decides
        for part in at.values:
            value = self.truth(part, env)
            if found is decides or value is decides:
                found = decides
            elif isinstance(found, bool) or isinstance(value, bool):
                found = value if isinstance(found, bool) else found
            else:
                found = node(op, found, value)
        return found

    def read_IfExp(self, at: ast.IfExp, env: dict[str, Value]) -> Value:
        condition = self.truth(at.test, env)
        if isinstance(condition, bool):
            return self.value(at.body if condition else at.orelse, env)
        return choose(condition, self.number(at.body, env), self.number(at.orelse, env))

    def read_Call(self, at: ast.Call, env: dict[str, Value]) -> Value:
        called = self.value(at.func, env)
        if at.keywords or any(isinstance(a, ast.Starred) for a in at.args):
            self.fail(at, f"expected {ast.unparse(at.func)} to be called with plain arguments")
        name = ast.unparse(at.func)
        inner = getattr(called, "_scalar", called)  # another function that is decorated
        if isinstance(inner, FunctionType) and not _is_ours(inner):
            arguments = [self.number(a, env) for a in at.args]
            if len(arguments) != len(parameters(inner)):
                self.fail(at, f"expected {len(parameters(inner))} arguments of {name}, got {len(arguments)}")
            return _Reader(inner, self.callers).run(arguments)
        known = _known(called)
        if known == "where":
            if len(at.args) != 3:
                self.fail(at, f"expected 3 arguments of {name}, got {len(at.args)}")
            condition = self.truth(at.args[0], env)
            a, b = self.number(at.args[1], env), self.number(at.args[2], env)
            return (a if condition else b) if isinstance(condition, bool) else choose(condition, a, b)
        given = [self.number(a, env) for a in at.args]
        if known in ("maximum", "minimum") and len(given) > 2:
            found = given[0]
            for other in given[1:]:
                found = node(known, found, other)
            return found
        makers: tuple[tuple[int, Any], ...] = ((1, PREDICATES), (1, COMPOSED), (1, derivative.UNARY), (2, derivative.BINARY))
        for count, table in makers:
            if known in table:
                if len(given) != count:
                    self.fail(at, f"expected {count} argument{'s' * (count > 1)} of {name}, got {len(given)}")
                if known == "pow":
                    return power(*given)
                if table is derivative.UNARY or table is derivative.BINARY:
                    return node(known, *given)
                return table[known](*given)
        self.fail(at, f"expected a function that is known here, as math.exp, got {name}")


def _is_ours(function: FunctionType) -> bool:
    return (function.__module__ or "").startswith("whitewolf.")


def _known(called: Any) -> str:
    """The name, in this package's words, of a function of math, NumPy or whitewolf, or a builtin; empty for others."""
    name = getattr(called, "__name__", "")
    ours = isinstance(called, FunctionType) and _is_ours(called)
    builtin = isinstance(called, (BuiltinFunctionType, type)) and getattr(builtins, name, None) is called
    if called is math.remainder:  # which rounds to the nearest, as none here does
        return ""
    if ours or builtin or isinstance(called, np.ufunc) or getattr(math, name, None) is called or called is np.where:
        return ALIASES.get(name, name)
    return ""


def _is_truth(value: Value) -> bool:
    return isinstance(value, bool) or isinstance(value, Node) and value.is_truth


def _truth_node(value: Value) -> Node:
    return value if isinstance(value, Node) else node("==", constant(1.0), constant(1.0 if value else 0.0))


def _kind(value: Value) -> str:
    if _is_truth(value):
        return "a truth value"
    return "a number" if isinstance(value, Node) else "several values" if isinstance(value, tuple) else f"a {type(value).__name__}"


def _name(at: ast.AST) -> str:
    words = {
        "For": "a for loop",
        "While": "a while loop",
        "Subscript": "an index",
        "FunctionDef": "a function inside",
        "Lambda": "a lambda inside",
    }
    return words.get(type(at).__name__, type(at).__name__)


def _source(function: FunctionType) -> tuple[Any, int]:
    """The tree of a def or a lambda, and the line that it begins on."""
    if hasattr(function, "__wrapped__"):
        raise TypeError(f"elementwise: {function.__name__}: expected a plain function, got one that another decorator wraps")
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        raise TypeError(
            f"elementwise: {function.__name__}: expected a function whose source can be read, got one without"
        ) from None
    text = textwrap.dedent("".join(lines))
    try:
        found: list[ast.AST] = [at for at in ast.walk(ast.parse(text)) if isinstance(at, (ast.FunctionDef, ast.Lambda))]
    except SyntaxError:  # a lambda in the middle of a statement
        found = []
    if function.__name__ == "<lambda>":
        found = [at for at in found if isinstance(at, ast.Lambda)]
        if len(found) != 1:
            raise TypeError("elementwise: <lambda>: expected one lambda in a statement of its own, to find its source; write a def")
    else:
        found = [at for at in found if isinstance(at, ast.FunctionDef) and at.name == function.__name__]
        if not found:
            raise TypeError(f"elementwise: {function.__name__}: expected a def, got none in its source")
    return found[0], first
