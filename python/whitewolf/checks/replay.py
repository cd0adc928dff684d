"""Raw kernel calls that an op made, to be run again: on other variants, in other dtypes and layouts, under other schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..cases import Array
from ..device import Device, host, over
from ..dtypes import is_floating
from . import layouts


@dataclass(frozen=True)
class RawCall:
    """One call of a raw kernel.

    Attributes:
        op: the kernel's name.
        views: its array arguments as they were before the call: an array, a list of them, or None.
        directions: of each view: "" (read), "out" or "inout".
        rest, attrs: the other arguments, by position and by name.
    """

    op: str
    views: Sequence[Any]
    directions: Sequence[str]
    rest: Sequence[Any]
    attrs: dict[str, Any]

    @property
    def kind(self) -> str:
        """What tells this call from others, but for the values in its arrays."""
        layout = [mapped(v, lambda a: (a.shape, a.strides, a.dtype.str)) for v in self.views]
        return repr((self.op, layout, self.rest, sorted(self.attrs.items())))

    def cast(self, dtype: Any) -> RawCall:
        """The same with its floating arrays in another dtype, in the same order of dimensions."""

        def convert(array: Array) -> Array:
            return array.astype(dtype) if is_floating(array.dtype) else array

        return replace(self, views=[mapped(v, convert) for v in self.views])

    def in_layout(self, at: int, pattern: str) -> RawCall:
        """The same with view `at` in another layout."""
        views = list(self.views)
        views[at] = mapped(views[at], partial(layouts.lay, pattern=pattern))
        return replace(self, views=views)

    def on_host(self) -> RawCall:
        """The same over arrays in the CPU's memory."""
        return replace(self, views=[mapped(v, host) for v in self.views])

    def choice(self, device: Device) -> str:
        """The variant that the call runs of itself."""
        return str(device.module.get(self.op, None).choice(*self.views, *self.rest, **self.attrs))

    def run(self, device: Device, variant: str | None = None) -> list[Any] | None:
        """The views after the call, the written ones fresh; None where the variant does not accept it."""
        found = [mapped(v, partial(fresh, poison=d == "out")) if d else v for v, d in zip(self.views, self.directions)]
        kernel = device.module.get(self.op, variant)
        try:
            kernel.choice(*found, *self.rest, **self.attrs)
        except ValueError as error:
            if variant is None or f"that variant '{variant}' accepts" not in str(error):
                raise
            return None
        kernel(*found, *self.rest, **self.attrs)
        return found

    def written(self, views: Sequence[Any]) -> list[Array]:
        """Those arrays of a run's views that the kernel writes."""
        return list(arrays_of([v for v, d in zip(views, self.directions) if d]))


def arrays_of(values: Sequence[Any]) -> Iterator[Array]:
    """The arrays among views: one each, several, or none."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from value
        elif value is not None:
            yield value


def mapped(value: Any, f: Callable[[Array], Any]) -> Any:
    """A view with `f` of each array."""
    if isinstance(value, (list, tuple)):
        return [f(v) for v in value]
    return None if value is None else f(value)


def fresh(array: Array, poison: bool = False) -> Array:
    """An array with the same strides and, unless `poison`, the same values; what lies between its elements is poison."""
    if not array.size:
        return array.copy()
    low = sum(min(0, (n - 1) * s) for n, s in zip(array.shape, array.strides))
    high = sum(max(0, (n - 1) * s) for n, s in zip(array.shape, array.strides)) + array.itemsize
    made: Array = over(layouts.poisoned(high - low, array), array.shape, array.dtype, layouts.GUARD - low, array.strides)
    if not poison:
        made[...] = array
    return made


def variants(device: Device, op: str, dtype: Any) -> list[str]:
    """The variants of a kernel that take this dtype, of whatever precision."""
    name = np.dtype(dtype).name
    return [row["variant"] for row in device.module.list() if row["op"] == op and name in row["dtypes"]]


__all__ = ["RawCall", "arrays_of", "fresh", "mapped", "variants"]
