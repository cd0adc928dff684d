"""Numba: a scalar Python function becomes a fused, differentiable kernel. See `elementwise`; fused/ is how."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import numpy as np

from .device import Array, device
from .dtypes import DType, float32, float64, is_floating, is_sixteen_bit, promote
from .fused.expression import ONE, ZERO, Node, multiply, parameter
from .graph import Node as GraphNode
from .graph import is_grad_enabled, record
from .tensor import Tensor, wrap

if TYPE_CHECKING:
    from .fused.blocks import Block
    from .ops._common import Operand

MOST_PARAMETERS = 8  # each derivative adds one
MOST_ARRAYS = 13  # inputs and outputs of the kernel
_compiling = threading.Lock()


class Elementwise:
    """What `elementwise` makes of a function: an op on tensors.

    Attributes:
        names: of the function's parameters.
    """

    def __init__(self, name: str, names: tuple[str, ...], expression: Node, scalar: Callable[..., Any] | None = None) -> None:
        self.__name__ = self.__qualname__ = name
        self.names = names
        self._scalar = scalar
        self._expression = expression
        self._blocks: dict[tuple[DType, tuple[int, ...]], Block] = {}  # for the value, or derivatives by parameters
        self._derivatives: dict[int, tuple[Node, Elementwise]] = {}

    def __call__(self, *args: Operand) -> Tensor:
        from .ops.manipulation import astype

        first: Any = args[0] if args else None
        if len(args) == len(self.names) and all(
            isinstance(a, Tensor) and a.device is first.device and a._data.dtype is first._data.dtype for a in args
        ):
            if first._data.dtype in (float32, float64):
                return self._record(args)  # type: ignore[arg-type]  # all are Tensors
        tensors, dtype = self._operands(args)
        if not is_sixteen_bit(dtype):
            return self._record(tuple(astype(t, dtype, copy=False) for t in tensors))
        return astype(self._record(tuple(astype(t, float32, copy=False) for t in tensors)), dtype)

    def __repr__(self) -> str:
        return f"<elementwise {self.__name__}({', '.join(self.names)})>"

    def __reduce__(self) -> str:
        return self.__qualname__  # pickled by name, as functions are, and copies are itself

    def _operands(self, args: tuple[Operand, ...]) -> tuple[list[Tensor], Any]:
        """The arguments as tensors of one device, and the dtype that they promote to."""
        from .ops._common import check_same_device, check_tensor, from_scalar

        if len(args) != len(self.names):
            raise TypeError(f"{self.__name__}: expected {len(self.names)} arguments ({', '.join(self.names)}), got {len(args)}")
        given = dict(zip(self.names, args))
        beside = next((a for a in args if isinstance(a, Tensor)), None)
        if beside is None:
            beside = check_tensor(self.__name__, self.names[0], args[0])
        dtype: Any = None
        for name, value in given.items():
            if not isinstance(value, Tensor):
                continue
            try:
                dtype = value.dtype if dtype is None else promote(dtype, value.dtype)
            except TypeError as error:
                raise TypeError(f"{self.__name__}: expected {name} of a dtype that combines with the others; {error}") from None
        if not is_floating(dtype):
            first = next(name for name, value in given.items() if isinstance(value, Tensor))
            raise TypeError(f"{self.__name__}: expected {first} of a floating dtype, got {dtype}; ww.astype converts")
        tensors = {n: v if isinstance(v, Tensor) else from_scalar(self.__name__, n, v, beside) for n, v in given.items()}
        for name, tensor in tensors.items():
            if tensor.dtype.kind == "c":
                raise TypeError(f"{self.__name__}: expected {name} of real numbers, got dtype {tensor.dtype}")
        check_same_device(self.__name__, **tensors)
        return list(tensors.values()), dtype

    def _record(self, tensors: tuple[Tensor, ...]) -> Tensor:
        return record(self.__name__, self._run(tensors), tensors, self._backward, tensors)  # type: ignore[no-any-return]  # one output

    def _run(self, tensors: tuple[Tensor, ...]) -> Array:
        where, arrays = tensors[0].device, tuple([t._data for t in tensors])
        shape = arrays[0].shape
        if any([a.shape != shape for a in arrays]):
            try:
                shape = np.broadcast_shapes(*(a.shape for a in arrays))
            except ValueError:
                shapes = ", ".join(f"{name}.shape == {a.shape}" for name, a in zip(self.names, arrays))
                raise ValueError(f"{self.__name__}: expected shapes that broadcast to one, got {shapes}") from None
        out = where.empty(shape, arrays[0].dtype, next((a for a in arrays if a.shape == shape), None))
        if where.name != "cpu":
            from .fused import gpu

            gpu.run(self.__name__, self._expression, where, out, arrays)
            return out
        self._run_blocks((), (out,), arrays)
        return out

    def _run_blocks(self, by: tuple[int, ...], outs: tuple[Array, ...], arrays: tuple[Array, ...]) -> None:
        """The value into one array, or grad times the derivatives by some parameters into one each; grad is the last input."""
        key = outs[0].dtype, by
        block = self._blocks.get(key)
        if block is None:
            from .fused.blocks import compile_block

            with _compiling:
                roots = tuple(self._gradient(i)[1]._expression for i in by) or (self._expression,)
                block = self._blocks.get(key) or compile_block(roots, key[0].name)
                self._blocks[key] = block
        kernel = device("cpu").kernels["fused_forward"]
        kernel(outs, [arrays[i] for i in block.inputs], block.functions, block=block.address, temporaries=block.temporaries)

    def _gradient(self, position: int) -> tuple[Node, Elementwise]:
        """The derivative by a parameter, and grad times it as a function of the parameters and grad."""
        from .fused.derivative import derivative

        if position not in self._derivatives:
            slope = derivative(self._expression, position)
            names = (*self.names, f"grad{len(self.names)}")
            whole = multiply(parameter(len(self.names)), slope)
            self._derivatives[position] = slope, Elementwise(f"{self.__name__}_backward_{self.names[position]}", names, whole)
        return self._derivatives[position]

    def _backward(self, node: GraphNode, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Each input's gradient; in one pass where none of them will be differentiated and all arrays lie in memory alike."""
        from .ops._common import unbroadcast

        saved, needs = node.saved, node.needs
        slopes = {i: self._gradient(i)[0] for i, needed in enumerate(needs) if needed}
        whole: dict[int, Tensor] = {i: grad if slope is ONE else grad * 0 for i, slope in slopes.items() if slope in (ONE, ZERO)}
        rest = tuple(i for i in slopes if i not in whole)
        arrays, where = tuple(t._data for t in (*saved, grad)), grad.device
        several = len(rest) > 1 and where.name == "cpu" and not is_grad_enabled()
        layout = _layout(arrays, len(rest)) if several else None
        if layout is not None:
            outs = tuple(where.empty(grad._data.shape, grad._data.dtype, layout) for _ in rest)
            self._run_blocks(rest, outs, arrays)
            whole.update((i, wrap(out, where)) for i, out in zip(rest, outs))
        else:
            whole.update((i, self._gradient(i)[1]._record((*saved, grad))) for i in rest)
        return tuple(unbroadcast(whole[i], t._data.shape) if i in whole else None for i, t in enumerate(saved))


def _layout(arrays: tuple[Array, ...], outputs: int) -> Array | None:
    """An array in the layout of them all, the last of which has the full shape; None where one kernel cannot write several outputs
    beside these inputs. kernels/fused/fused.h says when it can."""
    if len(arrays) + outputs > MOST_ARRAYS:
        return None
    steps = [[stride for stride, size in zip(a.strides, a.shape) if size > 1] for a in arrays]
    moving = [(a, own) for a, own in zip(arrays, steps) if any(own)]
    if not moving:
        return arrays[-1]
    first, like = moving[0]
    last = first.transpose(0, *range(2, first.ndim), 1) if first.ndim > 2 else first  # channels last
    dense = first.flags.c_contiguous or first.flags.f_contiguous or last.flags.c_contiguous
    return first if dense and all(a.shape == arrays[-1].shape and own == like for a, own in moving) else None


def elementwise(function: Callable[..., Any]) -> Elementwise:
    """Turns a scalar function into a fused, differentiable op on tensors: y[i] = f(x1[i], x2[i], ...), one pass over memory.

    The function's source is read once, when it is decorated, and its derivatives are derived from it, of any order. Numba compiles them:
    on the CPU for kernels/fused/, which has our thread pool and vector functions; on cuda, and on cudasim in numba-cuda's simulator,
    as CUDA kernels. Machine code is kept in the user's cache.

    The function has 1 to 8 plain parameters, which are numbers, and returns a number on every path. It may hold + - * / // % **,
    comparisons, `and`, `or`, `not`, `a if c else b`, `if` with assignments or returns, and local variables; functions of math, NumPy
    and whitewolf that have an elementwise kernel here (exp, log, tanh, erf, maximum, where, ...); other scalar functions, which are
    read in its place. Numbers that it captures are copied when it is decorated. There are no loops.

    The op's arguments are tensors of one device that broadcast, or Python numbers, at least one a tensor. The result has the dtype
    to which they promote, which must be floating: constants do not widen it. 16-bit floats are computed in float32 and rounded once.
    A branch is differentiated where it is taken; abs'(0) = 0, and maximum and minimum divide the gradient as `ww.maximum` does.

    Args:
        function: the scalar function, a def or a lambda in a statement of its own.

    Returns:
        The op.

    Raises:
        TypeError: it is no function, or holds something else; the text names function, line and construct.
        ImportError: at the first call on the CPU, where Numba is not installed.
        ww.DeviceError: at a call on a device for which numba-cuda makes no kernels.

    >>> import whitewolf as ww
    >>> @ww.elementwise
    ... def leaky(x, slope):
    ...     return x if x > 0 else slope * x
    >>> leaky
    <elementwise leaky(x, slope)>
    >>> try:
    ...     leaky(1, 0.1)
    ... except TypeError as error:
    ...     print(error)
    leaky: expected x to be a Tensor, got int
    """
    from .fused.parse import parse

    names, expression = parse(function)
    if len(names) > MOST_PARAMETERS:
        raise TypeError(f"elementwise: {function.__name__}: expected at most {MOST_PARAMETERS} parameters, got {len(names)}")
    made = Elementwise(function.__name__, names, expression, function)
    update_wrapper(made, function, updated=())
    return made
