"""Modules that hold modules, and lists of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from operator import index as as_index
from typing import Any

from .._named import check_methods
from ._fusion import Plan, fused
from .module import Module
from .parameter import Parameter


def _position(op: str, i: Any, n: int) -> int:
    """`i` counted from the front.

    Raises:
        IndexError: it is outside [-n, n).
    """
    at = as_index(i)
    if not -n <= at < n:
        raise IndexError(f"{op}: expected i in [{-n}, {n}), got {at}")
    return at % n


class _Listed(Module):
    """Modules under the names "0", "1", ..."""

    def _all(self) -> list[Module]:
        return [m for m in self._modules.values() if m is not None]

    def _replace(self, modules: Iterable[Module]) -> None:
        self._modules.clear()
        for position, module in enumerate(modules):
            self.add_module(str(position), module)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._all())

    def _key(self, i: Any) -> str:
        return list(self._modules)[_position(type(self).__name__, i, len(self))]

    def __setitem__(self, i: int, module: Module) -> None:
        self.add_module(self._key(i), module)

    def __delitem__(self, i: int | slice) -> None:
        kept = self._all()
        del kept[i]
        self._replace(kept)

    def append(self, module: Module) -> Any:
        """Adds a module at the end; returns self."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Adds modules at the end; returns self."""
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, i: int = -1) -> Module:
        """Takes a module out and returns it.

        Raises:
            IndexError: there is none at `i`.
        """
        modules = self._all()
        found = modules.pop(_position(f"{type(self).__name__}.pop", i, len(modules)))
        self._replace(modules)
        return found

    def insert(self, i: int, module: Module) -> Any:
        """Puts a module before place `i`; returns self."""
        modules = self._all()
        modules.insert(i, module)
        self._replace(modules)
        return self


class Sequential(_Listed):
    """Modules one after the other: each gets what the one before it returned.

    A ReLU behind a convolution runs in the convolution's kernel, one in front of max pooling runs behind it; values and gradients are
    the same (nn/_fusion.py).

    Args:
        args: the modules, which get the names "0", "1", ...; or one dict of names and modules.

    Raises:
        IndexError: there is no module at an index.

    >>> import whitewolf as ww
    >>> ww.nn.Sequential(ww.nn.Flatten(), ww.nn.Linear(4, 2))(ww.ones((3, 2, 2))).shape
    (3, 2)
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], Mapping) else ((str(i), m) for i, m in enumerate(args))
        for name, module in named:
            self.add_module(name, module)

    _plan: Plan | None = None

    def forward(self, input: Any) -> Any:
        modules, plan = list(self._modules.values()), self._plan
        if plan is None or not plan.holds(modules):
            self._plan = plan = fused(modules)
        for call in plan.calls:
            input = call(input)
        return input

    def __getitem__(self, i: int | slice) -> Any:
        if isinstance(i, slice):
            return type(self)(dict(list(self._modules.items())[i]))
        return self._modules[self._key(i)]


class ModuleList(_Listed):
    """A list of modules whose parameters count as its own. It does not compute: index it, or iterate.

    Args:
        modules: what it holds at first.

    Raises:
        IndexError: there is no module at an index.

    >>> import whitewolf as ww
    >>> len(ww.nn.ModuleList([ww.nn.ReLU(), ww.nn.Tanh()]))
    2
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(() if modules is None else modules)

    def __getitem__(self, i: int | slice) -> Any:
        if isinstance(i, slice):
            return type(self)(self._all()[i])
        return self._modules[self._key(i)]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList(chain(self, other))


class ModuleDict(Module):
    """A dict of modules whose parameters count as its own.

    Args:
        modules: a dict, or pairs, of names and modules.

    Raises:
        ValueError: `modules` holds no pairs.
        KeyError: there is no module of a name.

    >>> import whitewolf as ww
    >>> list(ww.nn.ModuleDict({"a": ww.nn.ReLU()}))
    ['a']
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update({} if modules is None else modules)

    def _found(self, op: str, name: str) -> str:
        if name not in self:
            raise KeyError(f"{op}: expected name to be one of {', '.join(self._modules) or 'none'}, got {name!r}")
        return name

    def __getitem__(self, name: str) -> Any:
        return self._modules[self._found("ModuleDict", name)]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        del self._modules[self._found("ModuleDict", name)]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and modules."""
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Adds modules, or replaces those of the same names."""
        for name, module in modules.items() if isinstance(modules, Mapping) else modules:
            self.add_module(name, module)

    def pop(self, name: str) -> Any:
        """Takes a module out and returns it.

        Raises:
            KeyError: there is none of that name.
        """
        return self._modules.pop(self._found("ModuleDict.pop", name))

    def clear(self) -> None:
        """Takes all out."""
        self._modules.clear()


class ParameterList(Module):
    """A list of parameters, under the names "0", "1", ...; tensors that are no Parameter yet become one.

    Args:
        values: what it holds at first.

    Raises:
        IndexError: there is no parameter at an index.

    >>> import whitewolf as ww
    >>> [p.shape for p in ww.nn.ParameterList([ww.ones(2)])]
    [(2,)]
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(() if values is None else values)

    def _key(self, i: Any) -> str:
        return str(_position("ParameterList", i, len(self)))

    def __getitem__(self, i: int | slice) -> Any:
        if isinstance(i, slice):
            return ParameterList(list(self)[i])
        return self._parameters[self._key(i)]

    def __setitem__(self, i: int, value: Any) -> None:
        self.register_parameter(self._key(i), value if isinstance(value, Parameter) else Parameter(value))

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parameters.values())

    def append(self, value: Any) -> ParameterList:
        """Adds a parameter at the end; returns self."""
        self.register_parameter(str(len(self)), value if isinstance(value, Parameter) else Parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Adds parameters at the end; returns self."""
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return "\n".join(
            f"({name}): Parameter of shape {p.shape}, {p.dtype}" for name, p in self._parameters.items() if p is not None
        )


check_methods(
    Sequential, ModuleList, ModuleDict, ParameterList, _Listed,
    methods=("__init__", "append", "extend", "insert", "update", "pop", "__getitem__", "__setitem__", "__delitem__", "__add__"),
)  # fmt: skip
