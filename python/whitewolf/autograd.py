"""Reverse-mode differentiation: the walk back through the graph (Rumelhart, Hinton and Williams 1986).

Nodes are numbered in the order they were recorded (graph.py), so every consumer of a node has a higher number than the node, and the
walk is a heap that always takes the highest number left: no recursion, no dependency counts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import DeviceError
from .graph import (
    Node,
    _GradMode,
    _mode,
    edge_of,
    enable_grad,
    is_grad_enabled,
    no_grad,
    record,
    save_output,
    saved_output,
    set_grad_enabled,
)

if TYPE_CHECKING:
    from .graph import Edge


def _root(array: Any) -> int:
    """Identity of the memory behind an array."""
    while isinstance(getattr(array, "base", None), type(array)):
        array = array.base
    return id(array)


def _check_grad(op: str, tensor: Tensor, grad: Tensor | None) -> Tensor:
    name = "grad_outputs" if op == "grad" else "grad"
    if grad is None:
        if tensor.size != 1:
            raise ValueError(f"{op}: expected {name} for an output that is no scalar, got None for output.shape == {tensor.shape}")
        return wrap(tensor.device.xp.ones(tensor.shape, tensor.dtype), tensor.device)
    if not isinstance(grad, Tensor):
        raise TypeError(f"{op}: expected {name} to be a Tensor, got {type(grad).__name__}")
    if grad.shape != tensor.shape:
        raise ValueError(f"{op}: expected {name}.shape == {tensor.shape} (the output's), got {name}.shape == {grad.shape}")
    if grad.dtype != tensor.dtype:
        raise TypeError(f"{op}: expected {name}.dtype == {tensor.dtype} (the output's), got {grad.dtype}")
    if grad.device is not tensor.device:
        raise DeviceError(f"{op}: expected {name} on {tensor.device} (the output's device), got {grad.device}")
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
    wanted_keys = None if wanted is None else {_key(edge_of(t)) for t in wanted}

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
    with _GradMode(create_graph), precision(_mode.precision):  # each node sets its own below
        for tensor, grad in zip(outputs, grads):
            if not tensor._requires_grad:
                what = "outputs that require" if op == "grad" else "an output that requires"
                raise ValueError(f"{op}: expected {what} grad, got a tensor of shape {tensor.shape} that does not")
            send(edge_of(tensor), _check_grad(op, tensor, grad))
        while heap:
            number = -heapq.heappop(heap)
            node = nodes.pop(number)
            grad = pending.pop(number)
            _mode.precision = node.precision
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
        # Ops hand the same gradient to several inputs, or a view of it; whoever scales one leaf's .grad in place must not reach
        # another's.
        root = _root(grad._data)
        if root in taken or not _is_dense(grad._data):
            if create_graph:
                grad = grad.clone()
            else:
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

    >>> import whitewolf as ww
    >>> ww.autograd.backward(ww.ones((), requires_grad=True) * 2)
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"backward: expected tensor to be a Tensor, got {type(tensor).__name__}")
    for name, flag in (("create_graph", create_graph), ("retain_graph", retain_graph)):
        if not isinstance(flag, bool) and (flag is not None or name != "retain_graph"):
            raise TypeError(f"backward: expected {name} to be True or False, got {type(flag).__name__}")
    _run("backward", (tensor,), (grad,), None, create_graph, create_graph if retain_graph is None else retain_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    create_graph: bool = False,
    *,
    retain_graph: bool | None = None,
    allow_unused: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """d(sum of outputs * grad_outputs)/d(inputs), without touching any `.grad`.

    Unlike PyTorch's, which always returns a tuple and whose fourth argument by place is retain_graph: one tensor gives one tensor, and
    create_graph is the fourth. By name, its arguments are PyTorch's, but for is_grads_batched.

    Args:
        outputs: a tensor, or a sequence of them.
        inputs: tensors that require grad, leaves or not.
        grad_outputs: a gradient for each output, of its shape and dtype; for a scalar, None is 1.
        create_graph: record the walk itself, so that the gradients can be differentiated again.
        retain_graph: keep what the graph saved for another walk; defaults to `create_graph`.
        allow_unused: None, not an error, for an input on which no output depends.
        materialize_grads: zeros there.

    Returns:
        A tensor for a tensor, a tuple for a sequence of inputs.

    Raises:
        ValueError: an input does not require grad, or the outputs do not depend on it (see `allow_unused`).
        ww.StaleTensorError: a value that the walk needs was overwritten.

    >>> import whitewolf as ww
    >>> x = ww.tensor(3.0, requires_grad=True)
    >>> g = ww.grad(x * x * x, x, create_graph=True)
    >>> g.item(), ww.grad(g, x).item()
    (27.0, 18.0)
    """
    outs, ins = _tensors("outputs", outputs), _tensors("inputs", inputs)
    given = (None,) * len(outs) if grad_outputs is None else _tensors("grad_outputs", grad_outputs, optional=True)
    if len(given) != len(outs):
        raise ValueError(f"grad: expected len(grad_outputs) == {len(outs)} (the outputs), got {len(given)}")
    for name, flag in (
        ("create_graph", create_graph), ("allow_unused", allow_unused), ("materialize_grads", materialize_grads), ("retain_graph", retain_graph)
    ):  # fmt: skip
        if not isinstance(flag, bool) and (flag is not None or name != "retain_graph"):
            raise TypeError(f"grad: expected {name} to be True or False, got {type(flag).__name__}")
    for position, tensor in enumerate(ins):
        if not tensor._requires_grad:
            raise ValueError(
                f"grad: expected inputs[{position}] to require grad, got a tensor of shape {tensor.shape} that does not"
            )
    results = _run("grad", outs, given, ins, create_graph, create_graph if retain_graph is None else retain_graph)
    found = tuple(results.get(_key(edge_of(t))) for t in ins)
    if any(g is None for g in found):
        starts = [t._node for t in outs if t._node is not None]
        # Where the graph leads to an input and yet nothing came, each way there has ended in a derivative that is zero everywhere.
        found = tuple(
            zeros_like(t) if g is None and (materialize_grads or _reaches(starts, {_key(edge_of(t))})) else g
            for t, g in zip(ins, found)
        )
    for position, result in enumerate(found):
        if result is None and not allow_unused:
            raise ValueError(f"grad: expected outputs that depend on inputs[{position}], got none; allow_unused=True gives None")
    if create_graph:
        with enable_grad():
            found = tuple(None if g is None else _function_of(ins, g) for g in found)
    return found[0] if isinstance(inputs, Tensor) else found


def _function_of(inputs: tuple[Tensor, ...], gradient: Tensor) -> Tensor:
    """The gradient, for the graph a function of the inputs also where it does not vary with them, as that of a ReLU: its derivative is
    then found to be zero, and not taken for an error."""
    result: Tensor = record("gradient", gradient._data, (gradient, *inputs), _through)
    result._version = gradient._version
    return result


def _through(node: Node, grad: Tensor) -> tuple[Tensor | None, ...]:
    return (grad, *(None,) * (len(node.edges) - 1))


def _tensors(name: str, value: Any, optional: bool = False) -> tuple[Any, ...]:
    found = (value,) if isinstance(value, Tensor) else tuple(value) if isinstance(value, Iterable) else (value,)
    for position, tensor in enumerate(found):
        if not isinstance(tensor, Tensor) and not (optional and tensor is None):
            raise TypeError(f"grad: expected {name}[{position}] to be a Tensor, got {type(tensor).__name__}")
    return found


# These modules import this one, so it is complete by here.
from ._precision import precision  # noqa: E402
from .function import Function  # noqa: E402
from .gradcheck import gradcheck, gradgradcheck  # noqa: E402
from .ops.creation import zeros_like  # noqa: E402
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
    "record",
    "save_output",
    "saved_output",
    "set_grad_enabled",
]
