"""ww.Tensor: an array on a device, with a place in the graph."""

from __future__ import annotations

from types import ModuleType, NotImplementedType
from typing import Any

import numpy as np

from . import autograd as _autograd
from ._dlpack import lend_bfloat16
from ._methods import TensorMethods
from .device import Array, Device, interface
from .device import device as _find_device
from .dtypes import DType, find_dtype, is_bfloat16, is_floating


class Tensor(TensorMethods):
    """An n-dimensional array on one device. Make one with `ww.tensor`, `ww.asarray`, `ww.zeros`, ...

    Its operators and methods are the functions of this namespace: `x * y` is `ww.multiply(x, y)`, `x.sum()` is `ww.sum(x)`.

    `x[i] = y` and `x += y` write to x's memory. In a graph, x goes on as the result, for all who hold it, and gradients reach what was
    not overwritten, and y. Refused there, with an error that names the tensor: a leaf that requires grad, and memory that another
    tensor shares. Backward through an op that had saved x before raises `ww.StaleTensorError`, which names the op.

    Attributes:
        device: where it lives; compare with a name, `x.device == "cpu"`.
        grad: what backward added up, or None; assignable.
        requires_grad: whether ops on it are recorded; assignable on leaves.

    >>> import whitewolf as ww
    >>> x = ww.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> (x.T @ x).shape, x[0].sum(), x.dtype
    ((2, 2), tensor(3.), dtype('float32'))
    """

    __slots__ = ("_data", "device", "_grad", "_requires_grad", "_node", "_output", "_version", "__weakref__")
    __array_ufunc__ = None  # NumPy's operators give way to ours
    __array_priority__ = 1000

    _data: Array
    device: Device
    _grad: Tensor | None
    _requires_grad: bool
    _node: Any  # the autograd.Node that made it; None for a leaf
    _output: int  # which of the node's outputs
    _version: list[Any]  # one cell for all tensors that share memory: [count of in-place changes, who shares it (share_memory)]

    def __init__(self) -> None:
        raise TypeError("Tensor: expected ww.tensor(data) or ww.asarray(data) to make one, got a call of the class")

    # ---- what it is ----

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def dtype(self) -> DType:
        return self._data.dtype

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return int(self._data.size)

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes to step along each dimension."""
        return self._data.strides

    @property
    def is_leaf(self) -> bool:
        return self._node is None

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value is not True and value is not False:
            raise TypeError(f"requires_grad: expected value to be True or False, got {type(value).__name__}")
        if value and not is_floating(self.dtype):
            raise TypeError(f"requires_grad: expected a floating dtype, got {self.dtype}")
        if self._node is not None and not value:
            raise ValueError("requires_grad: expected a leaf, got a tensor that an op made; detach() gives one without a graph")
        self._requires_grad = value

    @property
    def grad(self) -> Tensor | None:
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            if value.shape != self.shape or value.dtype != self.dtype or value.device is not self.device:
                raise ValueError(
                    f"grad: expected shape {self.shape}, dtype {self.dtype} on {self.device}, "
                    f"got shape {value.shape}, dtype {value.dtype} on {value.device}"
                )
        self._grad = value

    def requires_grad_(self, value: bool = True) -> Tensor:
        """Sets requires_grad; returns self."""
        self.requires_grad = value
        return self

    # ---- out to NumPy and Python ----

    def numpy(self) -> Array:
        """The array, without a copy on cpu and cudasim: read-only if the tensor requires grad. A copy on cuda.

        What is written through the array (or any other that shares the memory, such as one given to `ww.asarray`) no version
        counts: backward cannot tell that a value it saved was overwritten. Write through the tensor, or to a copy.
        """
        if self.device.name == "cuda":
            return self._data.get()  # type: ignore[attr-defined,no-any-return]
        view = self._data.view()
        if self._requires_grad:
            view.flags.writeable = False
        return view

    def item(self) -> Any:
        """The one element as a Python number.

        Raises:
            ValueError: there is more than one element, or none.
        """
        if self.size != 1:
            raise ValueError(f"item: expected a tensor of one element, got shape {self.shape}")
        return self._data.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.numpy().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.numpy()
        wanted = array.dtype if dtype is None else find_dtype("__array__", dtype)
        if copy is not None and not isinstance(copy, bool):
            raise TypeError(f"__array__: expected copy to be True, False or None, got {type(copy).__name__}")
        if wanted != array.dtype:
            if copy is False:
                raise ValueError(f"__array__: expected dtype {array.dtype} with copy=False, got {wanted}")
            return array.astype(wanted)
        return array.copy() if copy else array

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[Any, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """The memory as a DLPack capsule, without a copy unless `copy` asks for one; read-only memory needs max_version >= (1, 0).

        Raises:
            BufferError: the tensor requires grad, it is read-only and the consumer's version cannot say so, or `dl_device` is elsewhere.
        """
        if self._requires_grad:
            raise BufferError("__dlpack__: expected a tensor without grad, since a consumer could write to it; use x.detach()")
        if self.device.name == "cuda":
            return self._data.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)
        if stream is not None:
            raise BufferError(f"__dlpack__: expected stream=None on {self.device}, which has no streams, got {stream!r}")
        if dl_device is not None and (not isinstance(dl_device, (tuple, list)) or tuple(dl_device) != (1, 0)):  # kDLCPU
            raise BufferError(f"__dlpack__: expected dl_device == (1, 0), the CPU, got {dl_device}")
        # A consumer of an older version cannot be told that memory is read-only: NumPy refuses then, unless it is a copy.
        try:
            if is_bfloat16(self._data.dtype):
                return lend_bfloat16(self._data, max_version=max_version, copy=copy)
            return self._data.__dlpack__(max_version=max_version, copy=copy)
        except (TypeError, ValueError, RuntimeError) as error:
            raise BufferError(f"__dlpack__: expected a tensor that can be lent, got {error}") from None

    def __dlpack_device__(self) -> tuple[Any, int]:
        return self._data.__dlpack_device__()

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
            raise ValueError(f"__array_namespace__: expected api_version up to 2024.12, got {api_version!r}")
        import whitewolf

        return whitewolf

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Where the memory lies on a GPU, for Numba, CuPy and PyTorch, and the stream that they have to wait for.

        Raises:
            AttributeError: the tensor is on another device, so that `hasattr` tells.
        """
        if self.device.name != "cuda":
            raise AttributeError(f"__cuda_array_interface__: expected a tensor on cuda, got one on {self.device}")
        if self._requires_grad:
            raise AttributeError("__cuda_array_interface__: expected a tensor without grad; use x.detach()")
        return interface(self._data)

    def to_device(self, device: str | Device, /, *, stream: Any = None) -> Tensor:
        """The tensor on another device, or itself if it is there: the array API's name for `to`.

        Raises:
            ww.DeviceError: there is no such device, or it is not there.
            ValueError: `stream` is not None.
        """
        if stream is not None:
            raise ValueError(f"to_device: expected stream=None, got {stream!r}")
        return self.to(_find_device(device))

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"bool: expected a tensor of one element, got shape {self.shape}; use ww.any or ww.all")
        return bool(self._data)

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.size != 1:
            raise TypeError(f"index: expected an integer tensor of one element, got dtype {self.dtype} and shape {self.shape}")
        return int(self.item())

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len: expected a tensor with at least one dimension, got a 0-d one")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        body = np.array2string(self.numpy(), separator=", ", prefix="tensor(", threshold=100, precision=4)
        extra = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        extra += "" if self.device.name == "cpu" else f", device='{self.device}'"
        extra += f", op={self._node.name}" if self._node is not None else ", requires_grad=True" if self._requires_grad else ""
        return f"tensor({body}{extra})"

    def __format__(self, spec: str) -> str:
        return format(self.item() if self.ndim == 0 else str(self), spec)

    __hash__ = object.__hash__

    # ---- the graph ----

    def detach(self) -> Tensor:
        """The same memory outside the graph."""
        result = wrap(self._data, self.device)
        result._version = self._version
        return result

    def backward(self, grad: Tensor | None = None, *, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Adds the gradient of this tensor (times `grad`) to every leaf's `.grad`; see `ww.autograd.backward`.

        Raises:
            ValueError: the tensor requires no grad, or `grad` is missing or of another shape.
            ww.StaleTensorError: a value that the walk needs was overwritten.
        """
        _autograd.backward(self, grad, retain_graph=retain_graph, create_graph=create_graph)

    # ---- copies ----

    def __copy__(self) -> Tensor:
        copy = self.detach()
        copy._requires_grad, copy._node, copy._output = self._requires_grad, self._node, self._output
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise ValueError("deepcopy: expected a leaf, got a tensor that an op made; detach() gives one without a graph")
        from ._copying import copy_of

        copy = copy_of(self, memo)
        copy._requires_grad = self._requires_grad
        memo[id(self)] = copy
        copy._grad = None if self._grad is None else self._grad.__deepcopy__(memo)
        if type(self) is not Tensor:
            copy.__class__ = type(self)
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        if self._node is not None:
            raise ValueError("pickle: expected a leaf, got a tensor that an op made; detach() gives one without a graph")
        # Not self.numpy(): pickle would keep it read-only.
        return _unpickle, (type(self), self.detach().numpy(), self.device.name, self._requires_grad)

    # ---- in place ----

    def __setitem__(self, key: Any, value: Any) -> None:
        """x[key] = value, in place; ops/indexing.py has what holds in a graph.

        Raises:
            IndexError: the key is no index into x.
            ValueError: the value does not broadcast to x[key]; x is read-only, or, in a graph, a leaf or shared by another tensor.
        """
        ops.setitem(self, key, value)

    def _overwritten(self) -> None:
        """Notes that the memory changed, so that backward can refuse what was saved before."""
        self._version[0] += 1


def wrap(data: Any, device: Device) -> Tensor:
    """A tensor around an array of the device, which it does not copy. Another (NumPy's scalars, which reductions return; an array of
    NumPy for cuda) becomes one."""
    tensor = _new(Tensor)
    tensor._data = data if isinstance(data, device.array) else device.xp.asarray(data)
    tensor.device = device
    tensor._grad = None
    tensor._requires_grad = False
    tensor._node = None
    tensor._output = 0
    tensor._version = [0]
    return tensor


_new = object.__new__


def _unpickle(kind: type[Tensor], data: Array, device: str, requires_grad: bool) -> Tensor:
    result = wrap(data, _find_device(device))
    result.__class__ = kind
    result._requires_grad = requires_grad
    return result


def tensor(data: Any, dtype: Any = None, device: str | Device | None = None, requires_grad: bool = False) -> Tensor:
    """A new tensor that holds a copy of `data`.

    Args:
        data: numbers, nested lists of them, a NumPy array (keeps its dtype) or a Tensor. Python floats become float32, ints int64.
        dtype: to convert to.
        device: "cpu" unless given.
        requires_grad: record ops on it.

    Raises:
        TypeError: `data` is no array of numbers, or requires grad with a dtype that is not floating.

    >>> import whitewolf as ww
    >>> ww.tensor([1, 2], dtype="float32", requires_grad=True)
    tensor([1., 2.], requires_grad=True)
    """
    from .ops._common import check_flag
    from .ops.creation import _convert

    result = _convert("tensor", "data", data.detach() if isinstance(data, Tensor) else data, dtype, device, True)
    check_flag("tensor", "requires_grad", requires_grad)
    return result.requires_grad_() if requires_grad else result


# Methods and operators are the ops themselves, bound here: one call, no wrapper around it but for those that know PyTorch's `dim`.
from . import ops  # noqa: E402

ops.bind(Tensor)

__all__ = ["NotImplementedType", "Tensor", "tensor", "wrap"]
