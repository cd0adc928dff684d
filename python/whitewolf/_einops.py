"""Makes tensors known to einops, in whichever order the two are imported.

einops finds the backend of an array among the subclasses of its AbstractBackend, so that a subclass is all that it takes. It is made
when einops is there: at once if it was imported first, else by a finder that waits for its import and steps aside.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_WATCHED = "einops._backends"
_backends: list[type] = []  # einops finds the class through a weak reference


class _Watch:
    """Finds einops' module as Python does, and has the backend made once that has run."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _WATCHED:
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def run(module: ModuleType) -> None:
                load(module)
                _make_backend(module)

            spec.loader.exec_module = run  # type: ignore[method-assign]
        return spec


def register() -> None:
    """Makes the backend now if einops is there, else when it comes."""
    module = sys.modules.get(_WATCHED)
    if module is not None:
        _make_backend(module)
    else:
        sys.meta_path.insert(0, _Watch())  # type: ignore[arg-type]


def _make_backend(einops: Any) -> None:
    from .info import isdtype
    from .ops import creation, einsum, joining, manipulation, ranges, rearrange
    from .tensor import Tensor

    class WhitewolfBackend(einops.AbstractBackend):  # type: ignore[misc]
        framework_name = "whitewolf"

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, Tensor)

        def from_numpy(self, x: Any) -> Tensor:
            return creation.asarray(x)

        def to_numpy(self, x: Tensor) -> Any:
            return x.numpy()

        def arange(self, start: int, stop: int) -> Tensor:
            return ranges.arange(start, stop)

        def transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
            return manipulation.permute_dims(x, axes)

        def reduce(self, x: Tensor, operation: str, axes: Sequence[int]) -> Tensor:
            found: Tensor = getattr(x, operation)(axis=tuple(axes))
            return found

        def stack_on_zeroth_dimension(self, tensors: Sequence[Tensor]) -> Tensor:
            return joining.stack(tensors)

        def add_axis(self, x: Tensor, new_position: int) -> Tensor:
            return manipulation.expand_dims(x, axis=new_position)

        def tile(self, x: Tensor, repeats: Sequence[int]) -> Tensor:
            return rearrange.tile(x, repeats)

        def concat(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
            return joining.concat(tensors, axis=axis)

        def einsum(self, pattern: str, *x: Tensor) -> Tensor:
            return einsum.einsum(pattern, *x)

        def is_float_type(self, x: Tensor) -> bool:
            return isdtype(x.dtype, ("real floating", "complex floating"))

    _backends.append(WhitewolfBackend)
