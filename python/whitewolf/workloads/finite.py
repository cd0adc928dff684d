"""Where a loss that is infinite or NaN began: the first layer, in the order of the forward pass, that made it of finite numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import Array
from ..nn.module import Module
from ..tensor import Tensor


class NotFinite(ArithmeticError):
    """A loss or a gradient is infinite or NaN; the text says which number was expected."""


def finite(value: Any) -> bool:
    """Whether all numbers in a tensor, or in a nest of tuples, lists and dicts of tensors, are finite."""
    if isinstance(value, dict):
        return all(finite(v) for v in value.values())
    if isinstance(value, (tuple, list)):
        return all(finite(v) for v in value)
    if not isinstance(value, Tensor) or value.dtype.kind != "f" or not value.size:
        return True
    array: Array = value.detach().to("cpu").numpy()
    return bool(np.isfinite(array.min()) and np.isfinite(array.max()))  # both carry NaN, and need no array of bools


def unsound(model: Module, gradients: bool = False) -> str:
    """The parameter with numbers that are not finite, or "": the last one, since NaN in a gradient spreads from there to the input."""
    for name, parameter in reversed(list(model.named_parameters())):
        if not finite(parameter.grad if gradients else parameter):
            return f"it began in {name}{' (its gradient)' if gradients else ''}"
    return ""


def origin(model: Module, again: Callable[[], Any]) -> str:
    """Takes the step `again`, watching each layer of `model`, and says where infinity or NaN began.

    Args:
        again: takes the same step, which ends in `NotFinite`.
    """
    bad = unsound(model)
    if bad:
        return f"{bad}, by the update of the step before"
    names = {id(module): f"layer {name or 'of the model'} ({type(module).__name__})" for name, module in model.named_modules()}
    found: list[str] = []
    call = Module.__call__

    def watched(self: Module, *args: Any, **kwargs: Any) -> Any:
        sound = not found and finite(args) and finite(kwargs)
        result = call(self, *args, **kwargs)
        if not found and not finite(result):
            at = names.get(id(self), type(self).__name__)
            found.append(f"it began in {at}" if sound else f"it began in the input of {at}")
        return result

    try:
        Module.__call__ = watched  # type: ignore[method-assign]  # for one step, so that hooks cost nothing else
        again()
    except NotFinite:
        pass
    finally:
        Module.__call__ = call  # type: ignore[method-assign]  # as it was
    return found[0] if found else unsound(model, gradients=True) or "it began in the loss: each layer's output is finite"
