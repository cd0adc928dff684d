"""Parameter: a tensor that a Module learns."""

from __future__ import annotations

from typing import Any

from ..device import Array, Device
from ..dtypes import is_floating
from ..ops._common import check_flag
from ..ops.creation import asarray
from ..tensor import Tensor, wrap


class Parameter(Tensor):
    """A leaf tensor that a Module lists among its parameters once it is an attribute of it.

    Args:
        data: a tensor, whose memory it shares, or anything that `ww.asarray` takes.
        requires_grad: record ops on it.

    >>> import whitewolf as ww
    >>> ww.nn.Parameter(ww.zeros(2))
    Parameter(tensor([0., 0.], requires_grad=True))
    """

    __slots__ = ()

    def __new__(cls, data: Any, requires_grad: bool = True) -> Parameter:
        check_flag("Parameter", "requires_grad", requires_grad)
        source = asarray(data)
        if requires_grad and not is_floating(source.dtype):
            raise TypeError(f"Parameter: expected data of a floating dtype where it requires grad, got {source.dtype}")
        result = wrap(source._data, source.device)
        result.__class__ = cls
        result._version = source._version
        result.requires_grad = requires_grad
        return result  # type: ignore[return-value]

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        pass

    def __repr__(self) -> str:
        return f"Parameter({super().__repr__()})"


def overwrite(tensor: Tensor, value: Tensor) -> None:
    """Copies `value` into the tensor's memory, whatever dtype and device it comes in, and notes that it changed."""
    tensor._data[...] = (value if value.device is tensor.device else value.to(tensor.device))._data
    tensor._overwritten()


def rebind(tensor: Tensor, data: Array, device: Device) -> None:
    """Gives a tensor other memory: it stays the same object, which optimizers hold, and what was saved of it is stale."""
    tensor._data, tensor.device = data, device
    tensor._version = [tensor._version[0] + 1]  # a new cell: tensors over the old memory have not changed
