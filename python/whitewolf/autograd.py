"""Reverse-mode differentiation: the graph and the walk back through it (Rumelhart, Hinton and Williams 1986).

An op records one Node: where its gradient goes (edges), what it saved, and a backward function made of differentiable ops.
Nodes are numbered in the order they were recorded, so every consumer of a node has a higher number than the node, and the walk
back is a heap that always takes the highest number left: no recursion, no dependency counts.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Sequence
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ._errors import DeviceError, StaleTensorError

if TYPE_CHECKING:
    Backward: TypeAlias = Callable[["Node", Any], "tuple[Tensor | None, ...]"]
    # Where a gradient goes: a leaf, a node with one output, or (a node with several, which of them).
    Edge: TypeAlias = "Tensor | Node | tuple[Node, int] | None"


class _Mode(threading.local):
    enabled = True


_mode = _Mode()
_numbers = count()


class Node:
    """One recorded op.

    backward(node, grad) gives a gradient, or None, for each input; `node.needs[i]` tells whether input i wants one. A node with
    several outputs gets a tuple of gradients, None where nothing flowed back.
    """

    __slots__ = ("name", "number", "backward", "edges", "_saved", "_versions", "n_outputs", "context", "__weakref__")

    name: str
    number: int
    backward: Backward
    edges: tuple[Edge, ...]
    _saved: tuple[Tensor, ...] | None
    _versions: tuple[int, ...]
    n_outputs: int
    context: Any  # whatever else backward needs: shapes, axes, attributes

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
    """Whether ops record a graph in this thread."""
    return _mode.enabled


def _edge(tensor: Tensor) -> Edge:
    node = tensor._node
    if node is None:
        return tensor if tensor._requires_grad else None
    return node if node.n_outputs == 1 else (node, tensor._output)


def record(
    name: str, outputs: Any, inputs: tuple[Tensor, ...], backward: Backward, saved: tuple[Tensor, ...] = (), context: Any = None
) -> Any:
    """Wraps the arrays that an op computed and, if an input requires grad, records the op.

    `outputs` is one array, or a tuple of them; the result is one Tensor or a tuple. `saved` are the inputs that backward needs;
    an output is saved with `save_output`.
    """
    device = inputs[0].device
    several = type(outputs) is tuple
    if _mode.enabled:
        for tensor in inputs:
            if tensor._requires_grad:
                break
        else:
            return tuple(wrap(o, device) for o in outputs) if several else wrap(outputs, device)
        node = Node()
        node.name = name
        node.number = next(_numbers)
        node.backward = backward
        node.edges = tuple([_edge(t) for t in inputs])
        node._saved = saved
        node._versions = tuple([t._version[0] for t in saved])
        node.context = context
        if not several:
            node.n_outputs = 1
            result = wrap(outputs, device)
            result._requires_grad = True
            result._node = node
            return result
        node.n_outputs = len(outputs)
        results = []
        for position, output in enumerate(outputs):
            result = wrap(output, device)
            if result.dtype.kind in "fcV":
                result._requires_grad = True
                result._node = node
                result._output = position
            results.append(result)
        return tuple(results)
    return tuple(wrap(o, device) for o in outputs) if several else wrap(outputs, device)


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

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _GradMode(self._to):
                return function(*args, **kwargs)

        return wrapped


def no_grad() -> _GradMode:
    """A scope, or a decorator, in which ops record nothing.

    >>> import whitewolf as ww
    >>> x = ww.ones(2, requires_grad=True)
    >>> with ww.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """
    return _GradMode(False)


def enable_grad() -> _GradMode:
    """A scope, or a decorator, in which ops record, also inside no_grad."""
    return _GradMode(True)


def set_grad_enabled(mode: bool) -> _GradMode:
    """A scope in which ops record if `mode` is true."""
    return _GradMode(mode)


# ---- the walk back -------------------------------------------------------------------------------------------------------------


def _root(array: Any) -> int:
    """Identity of the memory behind an array."""
    while isinstance(getattr(array, "base", None), type(array)):
        array = array.base
    return id(array)


def _check_grad(op: str, tensor: Tensor, grad: Tensor | None) -> Tensor:
    if grad is None:
        if tensor.size != 1:
            raise ValueError(f"{op}: expected grad for an output that is no scalar, got None for output.shape == {tensor.shape}")
        return wrap(tensor.device.xp.ones(tensor.shape, tensor.dtype), tensor.device)
    if not isinstance(grad, Tensor):
        raise TypeError(f"{op}: expected grad to be a Tensor, got {type(grad).__name__}")
    if grad.shape != tensor.shape:
        raise ValueError(f"{op}: expected grad.shape == {tensor.shape} (the output's), got grad.shape == {grad.shape}")
    if grad.dtype != tensor.dtype:
        raise TypeError(f"{op}: expected grad.dtype == {tensor.dtype} (the output's), got {grad.dtype}")
    if grad.device is not tensor.device:
        raise DeviceError(f"{op}: expected grad on {tensor.device} (the output's device), got {grad.device}")
    return grad


def _reaches(starts: Sequence[Node], wanted: set[Any]) -> set[int]:
    """Numbers of the nodes from which one of the wanted edges can be reached."""
    nodes: dict[int, Node] = {}
    stack = list(starts)
    while stack:
        node = stack.pop()
        if node.number in nodes:
            continue
        nodes[node.number] = node
        for edge in node.edges:
            before = edge[0] if type(edge) is tuple else edge
            if type(before) is Node:
                stack.append(before)
    found: set[int] = set()
    for number in sorted(nodes):
        for edge in nodes[number].edges:
            before = edge[0] if type(edge) is tuple else edge
            if edge is not None and (_key(edge) in wanted or (type(before) is Node and before.number in found)):
                found.add(number)
                break
    return found


def _key(edge: Edge) -> Any:
    """What tells one place for a gradient from another: ids are stable, since the graph holds the objects."""
    return (id(edge[0]), edge[1]) if type(edge) is tuple else id(edge)


def _run(
    op: str,
    outputs: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    wanted: Sequence[Tensor] | None,
    create_graph: bool,
    retain_graph: bool,
) -> dict[Any, Tensor]:
    """Gradients by _key: of the wanted tensors, or, where wanted is None, of every leaf."""
    pending: dict[int, Any] = {}  # node number -> gradient, or a list of them for a node with several outputs
    nodes: dict[int, Node] = {}
    heap: list[int] = []
    results: dict[Any, Tensor] = {}
    leaves: dict[int, Tensor] = {}
    wanted_keys = None if wanted is None else {_key(_edge(t)) for t in wanted}

    def send(edge: Edge, grad: Tensor) -> None:
        if wanted_keys is None:
            if type(edge) is not Node and type(edge) is not tuple:
                key = id(edge)
                leaves[key] = edge  # type: ignore[assignment]
                before = results.get(key)
                results[key] = grad if before is None else add(before, grad)
                return
        elif (key := _key(edge)) in wanted_keys:
            before = results.get(key)
            results[key] = grad if before is None else add(before, grad)
        if type(edge) is Node:
            node, slot = edge, 0
        elif type(edge) is tuple:
            node, slot = edge
        else:
            return
        if allowed is not None and node.number not in allowed:
            return
        number = node.number
        if node.n_outputs == 1:
            before = pending.get(number)
            if before is None:
                nodes[number] = node
                heapq.heappush(heap, -number)
                pending[number] = grad
            else:
                pending[number] = add(before, grad)
            return
        slots = pending.get(number)
        if slots is None:
            nodes[number] = node
            heapq.heappush(heap, -number)
            slots = pending[number] = [None] * node.n_outputs
        slots[slot] = grad if slots[slot] is None else add(slots[slot], grad)

    starts = [t._node for t in outputs if t._node is not None]
    allowed = None if wanted_keys is None else _reaches(starts, wanted_keys)
    with _GradMode(create_graph):
        for tensor, grad in zip(outputs, grads):
            if not tensor._requires_grad:
                raise ValueError(f"{op}: expected an output that requires grad, got a tensor of shape {tensor.shape} that does not")
            send(_edge(tensor), _check_grad(op, tensor, grad))
        while heap:
            number = -heapq.heappop(heap)
            node = nodes.pop(number)
            grad = pending.pop(number)
            input_grads = node.backward(node, tuple(grad) if node.n_outputs > 1 else grad)
            for edge, input_grad in zip(node.edges, input_grads):
                if edge is not None and input_grad is not None:
                    send(edge, input_grad)
            if not retain_graph:
                node._saved = None
                node._versions = ()
        if wanted_keys is None:
            _accumulate(leaves, results, grads, create_graph)
    return results


def _accumulate(leaves: dict[int, Tensor], results: dict[Any, Tensor], given: Sequence[Tensor | None], create_graph: bool) -> None:
    """Adds the gradients of the leaves to their .grad, each in memory of its own."""
    taken = {_root(g._data) for g in given if g is not None}
    for key, leaf in leaves.items():
        grad = results[key]
        if leaf._grad is not None:
            leaf._grad = add(leaf._grad, grad)
            continue
        if not create_graph:
            # Ops hand the same gradient to several inputs, or a view of it; whoever scales one leaf's .grad in place must not
            # reach another's.
            root = _root(grad._data)
            if root in taken or not _is_dense(grad._data):
                grad = wrap(np.array(grad._data, order="C") if grad.device.xp is np else grad._data.copy(), grad.device)
                root = _root(grad._data)
            taken.add(root)
        leaf._grad = grad


def _is_dense(array: Any) -> bool:
    return bool(array.flags.c_contiguous or array.size * array.itemsize == _span(array))


def _span(array: Any) -> int:
    return int(sum((n - 1) * abs(s) for n, s in zip(array.shape, array.strides)) + array.itemsize) if array.size else 0


def backward(tensor: Tensor, grad: Tensor | None = None, *, retain_graph: bool | None = None, create_graph: bool = False) -> None:
    """Adds d(sum of tensor * grad)/d(leaf) to `.grad` of every leaf that `tensor` depends on.

    Args:
        tensor: a scalar, or anything with `grad`.
        grad: the gradient of `tensor`, of its shape and dtype; one for a scalar.
        retain_graph: keep what the graph saved for another walk; defaults to `create_graph`.
        create_graph: record the walk itself, so that the gradients can be differentiated again.

    Raises:
        ValueError: `tensor` requires no grad, or `grad` is missing or of another shape.
        ww.StaleTensorError: a value that the walk needs was overwritten.
    """
    _run("backward", (tensor,), (grad,), None, create_graph, create_graph if retain_graph is None else retain_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    create_graph: bool = False,
    *,
    retain_graph: bool | None = None,
    allow_unused: bool = False,
) -> Any:
    """d(sum of outputs * grad_outputs)/d(inputs): a tensor for a tensor, a tuple for a sequence of inputs. No `.grad` is touched.

    Raises:
        ValueError: an input does not require grad, or the outputs do not depend on it (None instead with `allow_unused`).

    >>> import whitewolf as ww
    >>> x = ww.tensor(3.0, requires_grad=True)
    >>> g = ww.grad(x * x * x, x, create_graph=True)
    >>> g.item(), ww.grad(g, x).item()
    (27.0, 18.0)
    """
    outs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    ins = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        given: tuple[Tensor | None, ...] = (None,) * len(outs)
    else:
        given = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    if len(given) != len(outs):
        raise ValueError(f"grad: expected len(grad_outputs) == {len(outs)} (the outputs), got {len(given)}")
    for position, tensor in enumerate(ins):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"grad: expected inputs[{position}] to be a Tensor, got {type(tensor).__name__}")
        if not tensor._requires_grad:
            raise ValueError(
                f"grad: expected inputs[{position}] to require grad, got a tensor of shape {tensor.shape} that does not"
            )
    results = _run("grad", outs, given, ins, create_graph, create_graph if retain_graph is None else retain_graph)
    found = tuple(results.get(_key(_edge(t))) for t in ins)
    for position, result in enumerate(found):
        if result is None and not allow_unused:
            raise ValueError(f"grad: expected outputs that depend on inputs[{position}], got none; allow_unused=True gives None")
    return found[0] if isinstance(inputs, Tensor) else found


# These modules import this one, so it is complete by here; an import inside `record` would cost as much as a small kernel.
from .function import Function  # noqa: E402
from .gradcheck import gradcheck, gradgradcheck  # noqa: E402
from .ops.elementwise import add  # noqa: E402
from .tensor import Tensor, wrap  # noqa: E402

__all__ = [
    "Function",
    "Node",
    "backward",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]
