"""Loading a module's state: everything is checked first, and nothing has changed when it raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..dtypes import is_floating
from ..ops._common import check_flag
from ..ops.creation import asarray
from ..tensor import Tensor
from .parameter import overwrite


class Keys(NamedTuple):
    """What `load_state_dict(strict=False)` found missing in the state and left over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load_state_dict(module: Any, state_dict: Mapping[str, Any], strict: bool) -> Keys:
    """`Module.load_state_dict`."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"load_state_dict: expected state_dict of names and tensors, got {type(state_dict).__name__}")
    check_flag("load_state_dict", "strict", strict)
    waiting: list[tuple[Any, type, dict[str, Any]]] = []  # lazy layers, whose size is in the state, as they were
    try:
        for where, part in module.named_modules():
            if "_options" in part.__dict__:
                name = f"{where}.weight" if where else "weight"
                if name not in state_dict:
                    raise ValueError(_misfit(module, [f'missing key(s): "{name}"']))
                waiting.append((part, type(part), dict(part.__dict__)))
                part._become_as(asarray(state_dict[name]))
        own = module.state_dict()
        values = _fitting(module, own, state_dict, strict)
    except Exception:  # whatever did not fit: the lazy layers wait as before
        for part, lazy, before in waiting:
            part.__class__ = lazy
            part.__dict__.clear()
            part.__dict__.update(before)
        raise
    for name, value in values.items():
        overwrite(own[name], value)
    return Keys([name for name in own if name not in state_dict], [name for name in state_dict if name not in own])


def _misfit(module: Any, problems: list[str]) -> str:
    return f"load_state_dict: expected state_dict to fit {type(module).__name__}:\n    " + "\n    ".join(problems)


def _fitting(module: Any, own: Mapping[str, Tensor], state_dict: Mapping[str, Any], strict: bool) -> dict[str, Tensor]:
    """What is to be written, by name."""
    missing = [name for name in own if name not in state_dict]
    unexpected = [name for name in state_dict if name not in own]
    problems = []
    if strict and missing:
        problems.append("missing key(s): " + ", ".join(f'"{name}"' for name in missing))
    if strict and unexpected:
        problems.append("unexpected key(s): " + ", ".join(f'"{name}"' for name in unexpected))
    values = {}
    for name, tensor in own.items():
        if name not in state_dict:
            continue
        value = asarray(state_dict[name])
        if value.shape != tensor.shape:
            problems.append(f'size mismatch for "{name}": expected shape {tensor.shape}, got {value.shape}')
        elif value.dtype != tensor.dtype and not (is_floating(value.dtype) and is_floating(tensor.dtype)):
            raise TypeError(
                f'load_state_dict: {type(module).__name__}: expected "{name}" of dtype {tensor.dtype}, got {value.dtype}'
            )
        values[name] = value
    if problems:
        raise ValueError(_misfit(module, problems))
    return values
