"""The graph: what an op records, and whether it does.

An op records one Node: where its gradient goes (edges), what it saved, and a backward function made of differentiable ops. Nodes are
numbered in the order they were recorded; autograd.py walks them back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from . import _cpu
from ._errors import StaleTensorError

if TYPE_CHECKING:
    Backward: TypeAlias = Callable[["Node", Any], "tuple[Tensor | None, ...]"]
    # Where a gradient goes: a leaf, a node with one output, or (a node with several, which of them).
    Edge: TypeAlias = "Tensor | Node | tuple[Node, int] | None"


class _Mode(threading.local):
    enabled = True
    precision = "float32"  # of products; see _precision.py


_mode = _Mode()
_numbers = count()


class Node:
    """One recorded op.

    backward(node, grad) gives a gradient, or None, for each input; `node.needs[i]` tells whether input i wants one. A node with
    several outputs gets a tuple of gradients, None where nothing flowed back.
    """

    __slots__ = ("name", "number", "backward", "edges", "_saved", "_versions", "n_outputs", "context", "precision", "__weakref__")

    name: str
    number: int
    backward: Backward
    edges: tuple[Edge, ...]
    _saved: tuple[Tensor, ...] | None
    _versions: tuple[int, ...]
    n_outputs: int
    context: Any  # whatever else backward needs: shapes, axes, attributes
    precision: str  # of the forward's products, and so of the backward's

    @property
    def needs(self) -> tuple[bool, ...]:
        return tuple(edge is not None for edge in self.edges)

    @property
    def saved(self) -> tuple[Tensor, ...]:
        """The tensors saved in the forward pass.

        Raises:
            ww.StaleTensorError: one of them was overwritten since.
            RuntimeError: an earlier backward has freed them.
        """
        saved = self._saved
        if saved is None:
            raise RuntimeError(
                f"{self.name}: backward through this graph a second time: what it saved is freed; pass retain_graph=True the first time"
            )
        for position, (tensor, version) in enumerate(zip(saved, self._versions)):
            if tensor._version[0] != version:
                raise StaleTensorError(
                    f"{self.name}: expected the tensor it saved (saved {position}, shape {tensor.shape}) unchanged since the forward "
                    f"pass (version {version}), got version {tensor._version[0]}: an in-place operation overwrote it"
                )
        return saved

    def __repr__(self) -> str:
        return f"<Node {self.number} {self.name}>"


def is_grad_enabled() -> bool:
    """Whether ops record a graph in this thread.

    >>> import whitewolf as ww
    >>> with ww.no_grad():
    ...     ww.is_grad_enabled()
    False
    """
    return _mode.enabled


if TYPE_CHECKING:

    def record(
        name: str,
        outputs: Any,
        inputs: tuple[Tensor, ...],
        backward: Backward,
        saved: tuple[Tensor, ...] = (),
        context: Any = None,
        /,
    ) -> Any:
        """Wraps the arrays that an op computed and, if an input requires grad, records the op. engine/record.cpp, as each op pays for it.

        `outputs` is one array, or a tuple of them; the result is one Tensor or a tuple. `saved` are the inputs that backward needs;
        an output is saved with `save_output`.
        """
        ...

    def edge_of(tensor: Tensor, /) -> Edge:
        """Where a tensor's gradient goes."""
        ...

else:
    record, edge_of = _cpu.record, _cpu.edge_of


def save_output(result: Tensor) -> Tensor:
    """Lets backward use an op's own output: node.saved ends with it. Returns `result`.

    The saved copy shares memory and version but not the graph, or node and output would keep each other alive; under
    create_graph it is tied to the node again when it is read (see `saved_output`).
    """
    node = result._node
    if node is not None:
        node._saved = (*(node._saved or ()), result.detach())
        node._versions = (*node._versions, result._version[0])
    return result


def saved_output(node: Node) -> Tensor:
    """The output saved with `save_output`, differentiable again where a graph of the backward is being recorded."""
    out = node.saved[-1]
    if _mode.enabled:
        out = out.detach()
        out._requires_grad = True
        out._node = node
    return out


class _GradMode:
    """Context manager and decorator that sets whether ops record."""

    __slots__ = ("_to", "_before")

    def __init__(self, to: bool) -> None:
        self._to = to
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_mode.enabled)
        _mode.enabled = self._to

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _mode.enabled = self._before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        from functools import wraps
        from inspect import isgeneratorfunction

        if isgeneratorfunction(function):  # it would run after the scope has ended
            raise TypeError(
                f"no_grad, enable_grad: expected a function, got the generator {function.__qualname__}; write `with` in it"
            )

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _GradMode(self._to):
                return function(*args, **kwargs)

        return wrapped


def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """A scope, or a decorator (with parentheses or without), in which ops record nothing.

    >>> import whitewolf as ww
    >>> x = ww.ones(2, requires_grad=True)
    >>> with ww.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """
    return _scope("no_grad", False, function)


def _scope(op: str, to: bool, function: Any) -> Any:
    if function is not None and not callable(function):
        raise TypeError(f"{op}: expected function to be a function to decorate, or nothing, got {type(function).__name__}")
    return _GradMode(to) if function is None else _GradMode(to)(function)


def enable_grad(function: Callable[..., Any] | None = None) -> Any:
    """A scope, or a decorator (with parentheses or without), in which ops record, also inside no_grad.

    >>> import whitewolf as ww
    >>> with ww.no_grad(), ww.enable_grad():
    ...     ww.is_grad_enabled()
    True
    """
    return _scope("enable_grad", True, function)


class _SetGradMode(_GradMode):
    """Sets it at once; as a scope it ends what began with the call."""

    __slots__ = ()

    def __init__(self, to: bool) -> None:
        super().__init__(to)
        super().__enter__()

    def __enter__(self) -> None:
        if not self._before:  # entered again
            super().__enter__()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if self._before:  # a decorator: inside the function alone
            self.__exit__(None, None, None)
        return super().__call__(function)


def set_grad_enabled(mode: bool) -> _GradMode:
    """Sets whether ops record in this thread: from the call on; as a scope, until its end; as a decorator, inside the function.

    Args:
        mode: True to record.

    >>> import whitewolf as ww
    >>> with ww.set_grad_enabled(False):
    ...     ww.is_grad_enabled()
    False
    >>> _ = ww.set_grad_enabled(False)
    >>> ww.is_grad_enabled()
    False
    >>> _ = ww.set_grad_enabled(True)
    """
    if not isinstance(mode, bool):
        raise TypeError(f"set_grad_enabled: expected mode to be True or False, got {type(mode).__name__}")
    return _SetGradMode(mode)


# tensor.py imports this module, so it is complete by here.
from .device import Device  # noqa: E402  # for prepare_record alone, and beside what must come last
from .tensor import Tensor, wrap  # noqa: E402

_cpu.prepare_record(Tensor, Node, Device, _mode, _numbers, wrap)
