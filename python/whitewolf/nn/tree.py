"""What is in a module, by name: modules, parameters and buffers, here and below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .._named import check_methods
from ..tensor import Tensor
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module


class Tree:
    """The part of Module that walks what it holds."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """Names and modules: this one (its name is `prefix`), then all below it. One that has two names comes once."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]  # type: ignore[list-item]  # every Tree is a Module
        while stack:
            name, module = stack.pop()
            if remove_duplicate and id(module) in seen:
                continue
            seen.add(id(module))
            yield name, module
            below = [(f"{name}.{key}" if name else key, m) for key, m in module._modules.items() if m is not None]
            stack.extend(reversed(below))

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Names and modules directly below this one."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly below this one."""
        for _, module in self.named_children():
            yield module

    def _named(self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for where, module in self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]:
            for name, tensor in getattr(module, registry).items():
                if tensor is None or remove_duplicate and id(tensor) in seen:
                    continue
                seen.add(id(tensor))
                yield f"{where}.{name}" if where else name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Names and parameters, of this module and (recurse) of all below it; one that has two names comes once.

        Raises:
            ValueError: a lazy layer among them has none before it is called.
        """
        for module in self.modules() if recurse else (self,):
            if "_options" in module.__dict__:
                raise ValueError(
                    f"named_parameters: expected a call before the parameters of {type(module).__name__} are asked for, got none"
                )
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once: what an optimizer takes.

        Raises:
            ValueError: as `named_parameters`.
        """
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Names and buffers, as `named_parameters`."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module of that name, as `named_modules` gives it: "encoder.layers.0"; "" is this one.

        Raises:
            AttributeError: there is none.
        """
        found: Any = self
        for part in target.split(".") if target else ():
            found = found._modules.get(part)
            if found is None:
                raise AttributeError(f"get_submodule: expected target to name a module of {type(self).__name__}, got {target!r}")
        return found  # type: ignore[no-any-return]  # was looked up by its name

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of that name, as `named_parameters` gives it.

        Raises:
            AttributeError: there is none.
        """
        return self._get("get_parameter", "_parameters", target)  # type: ignore[no-any-return]  # _get gives what is of any kind

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of that name, as `named_buffers` gives it.

        Raises:
            AttributeError: there is none.
        """
        return self._get("get_buffer", "_buffers", target)  # type: ignore[no-any-return]  # _get gives what is of any kind

    def _get(self, op: str, registry: str, target: str) -> Any:
        where, _, name = target.rpartition(".")
        found = getattr(self.get_submodule(where), registry).get(name)
        if found is None:
            raise AttributeError(f"{op}: expected target to name one of {type(self).__name__}, got {target!r}")
        return found


check_methods(
    Tree,
    methods=(
        "buffers",
        "get_buffer",
        "get_parameter",
        "get_submodule",
        "named_buffers",
        "named_modules",
        "named_parameters",
        "parameters",
    ),
)
