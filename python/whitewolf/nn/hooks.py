"""Hooks: functions that see what goes into a module and what comes out.

They cost nothing where there are none: a module that gets its first hook changes its class for one that looks for hooks when it is
called, and changes back when the last is removed. So nothing that is called without hooks ever asks whether there are any.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ..ops._common import check_flag
from .module import Module


class Handle:
    """What `remove` takes a hook away with; also a scope at whose end it goes.

    >>> import whitewolf as ww
    >>> layer, seen = ww.nn.ReLU(), []
    >>> with layer.register_forward_hook(lambda module, args, output: seen.append(output.shape)):
    ...     y = layer(ww.ones((2, 3)))
    >>> y = layer(ww.ones(5))
    >>> seen
    [(2, 3)]
    """

    def __init__(self, module: Module, hooks: list[Any], hook: Any) -> None:
        self._module, self._hooks, self._hook = module, hooks, hook

    def remove(self) -> None:
        """Takes the hook away; once is enough."""
        self._hooks[:] = [h for h in self._hooks if h is not self._hook]
        own = self._module.__dict__
        if not own.get("_before") and not own.get("_after") and isinstance(self._module, _Hooked):
            self._module.__class__ = type(self._module)._plain

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class _Hooked:
    """What a module's class gains while it has hooks."""

    _plain: type

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        own = self.__dict__
        for hook, with_kwargs in tuple(own["_before"]):
            changed = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if changed is not None and with_kwargs:
                args, kwargs = changed
            elif changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*args, **kwargs)  # type: ignore[attr-defined]  # of the layer's own class, which this one is mixed into
        for hook, with_kwargs in tuple(own["_after"]):
            changed = hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
            output = output if changed is None else changed
        return output

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuilt, (type(self)._plain,), self.__dict__


def _rebuilt(plain: type) -> Any:
    return object.__new__(_hooked(plain))


@cache
def _hooked(plain: type) -> type:
    """The class of modules of this class that have hooks; it has its name."""
    return type(plain.__name__, (_Hooked, plain), {"_plain": plain, "__module__": plain.__module__, "__doc__": plain.__doc__})


def rehooked(module: Module, plain: type) -> type:
    """The class `plain`, as one with hooks where the module has some."""
    return _hooked(plain) if isinstance(module, _Hooked) else plain


def add_hook(op: str, where: str, module: Module, hook: Callable[..., Any], prepend: bool, with_kwargs: bool) -> Handle:
    """Lists a hook, and changes the module's class if it is the first."""
    if not callable(hook):
        raise TypeError(f"{op}: expected hook to be a function, got {type(hook).__name__}")
    check_flag(op, "prepend", prepend)
    check_flag(op, "with_kwargs", with_kwargs)
    own = module.__dict__
    for name in ("_before", "_after"):
        own.setdefault(name, [])
    if not isinstance(module, _Hooked):
        plain: Any = type(module)
        module.__class__ = _hooked(plain)
    listed = (hook, with_kwargs)
    own[where].insert(0 if prepend else len(own[where]), listed)
    return Handle(module, own[where], listed)


__all__ = ["Handle"]
