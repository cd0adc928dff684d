"""autograd.Function: ops that users define by a forward and a backward of their own."""

from __future__ import annotations

from typing import Any

from .graph import Node, _GradMode, _mode, _numbers, edge_of
from .tensor import Tensor


class Context:
    """What `forward` leaves for `backward`: saved tensors, and any attribute that is set on it."""

    def __init__(self) -> None:
        self._saved: tuple[Tensor, ...] = ()
        self._node: Node | None = None
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Saves tensors: inputs, outputs or intermediates. A later in-place change of one makes backward raise."""
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor, ...]:
        """The saved tensors, in order.

        Raises:
            ww.StaleTensorError: one was overwritten since.
        """
        return self._saved if self._node is None else self._node.saved


class Function:
    """Subclass with static `forward(ctx, *args)` and `backward(ctx, *grads)`; call `MyFunction.apply(*args)`.

    `forward` runs without recording and returns a tensor or a tuple of them. `backward` gets a gradient (or None) for each output
    and returns one (or None) for each argument of forward; written with ww's ops it can itself be differentiated.

    >>> import whitewolf as ww
    >>> class Cube(ww.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return grad * x * x * 3
    >>> x = ww.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad.item()
    12.0
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        raise TypeError("Function: expected a subclass with a static forward(ctx, ...), got none")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise TypeError("Function: expected a subclass with a static backward(ctx, ...), got none")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Runs forward and records it.

        Raises:
            TypeError: forward returned something else than tensors, or backward a gradient of another dtype.
            ValueError: backward returned another number of gradients than forward has arguments, or one of another shape.
        """
        name = cls.__name__
        ctx = Context()
        tensors = [(i, a) for i, a in enumerate(args) if isinstance(a, Tensor)]
        recording = _mode.enabled and any(t._requires_grad for _, t in tensors)
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a._requires_grad for a in args)
        with _GradMode(False):
            outputs = cls.forward(ctx, *args)
        results = outputs if isinstance(outputs, tuple) else (outputs,)
        for result in results:
            if not isinstance(result, Tensor):
                raise TypeError(f"{name}: expected forward to return a Tensor or a tuple of them, got {type(result).__name__}")
        if not recording:
            return outputs
        # An output that is one of the inputs needs a tensor of its own to carry the node.
        results = tuple(r.detach() if any(r is t for _, t in tensors) or r._requires_grad else r for r in results)
        node = Node()
        node.name, node.number, node.n_outputs = name, next(_numbers), len(results)
        node.edges = tuple(edge_of(t) for _, t in tensors)
        outputs_saved = {id(o): r for o, r in zip(outputs if isinstance(outputs, tuple) else (outputs,), results)}
        node._saved = tuple(outputs_saved[id(t)].detach() if id(t) in outputs_saved else t for t in ctx._saved)
        node._versions = tuple(t._version[0] for t in node._saved)
        node.context, node.precision = ctx, _mode.precision
        ctx._saved, ctx._node = (), node

        def backward(node: Node, grad: Any) -> tuple[Tensor | None, ...]:
            grads = grad if node.n_outputs > 1 else (grad,)
            given = cls.backward(ctx, *grads)
            given = given if isinstance(given, tuple) else (given,)
            if len(given) != len(args):
                raise ValueError(
                    f"{name}: expected backward to return {len(args)} gradients (one for each argument), got {len(given)}"
                )
            found = []
            for position, tensor in tensors:
                g = given[position]
                if g is not None and not isinstance(g, Tensor):
                    raise TypeError(f"{name}: expected gradient {position} to be a Tensor or None, got {type(g).__name__}")
                if g is not None and g.dtype != tensor.dtype:
                    raise TypeError(f"{name}: expected gradient {position} of dtype {tensor.dtype}, got {g.dtype}")
                if g is not None and g.shape != tensor.shape:
                    raise ValueError(f"{name}: expected gradient {position} of shape {tensor.shape}, got {g.shape}")
                found.append(g if g is None or not any(g is s for s in (*node._saved, *grads)) else g.reshape(g.shape))  # type: ignore[misc]
            return tuple(found)

        node.backward = backward
        for position, result in enumerate(results):
            if result.dtype.kind in "fcV":
                result._requires_grad, result._node, result._output = True, node, position
        return results if isinstance(outputs, tuple) else results[0]
