"""Checkpoints: model, optimizer, step, random state and whatever else goes with them, in one safetensors file.

All tensors are tensors of the file. The rest (hyperparameters, counters, the shape of nested dicts and lists) is JSON under
"checkpoint" in its metadata, in which {"$tensor": name} stands for a tensor. So a checkpoint is a standard file: any program that
reads safetensors finds the weights under "model.<name>".
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from .._errors import FileFormatError
from ..device import Device
from ..optim.optimizer import StateMismatch
from ..tensor import Tensor
from .safetensors import read, save

_KEY = "checkpoint"
_MAX_DEPTH = 100  # of nested dicts and lists


class HasState(Protocol):
    """A Module, an Optimizer, a scheduler, a DataLoader: what can say its state and take it back."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any, /) -> Any: ...


def save_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: HasState | None = None,
    optimizer: HasState | None = None,
    step: int | None = None,
    **extra: Any,
) -> None:
    """Writes all that is needed to go on later, replacing a file of that name whole.

    After a kill at any moment, the old checkpoint or the new one is there; see `ww.save`. The state of the random number generator
    is stored too.

    Args:
        path: the file; its folder must exist.
        model, optimizer: their `state_dict()` is stored.
        step: how many steps were done.
        extra: more values to store: numbers, text, tensors, and nested dicts, lists and tuples of them, such as the state_dict of a
            scheduler or a DataLoader.

    Raises:
        TypeError: a value is none of these; the text names it.
        ValueError: a dict or list holds itself.

    >>> import tempfile, whitewolf as ww
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ww.save_checkpoint(folder + "/c.safetensors", step=3, best=0.98)
    ...     ww.load_checkpoint(folder + "/c.safetensors")
    {'step': 3, 'best': 0.98}
    """
    from ..random import get_state

    content: dict[str, Any] = {"step": step, "random": get_state(), "extra": extra}
    for name, part in (("model", model), ("optimizer", optimizer)):
        if part is not None:
            content[name] = part.state_dict()
    tensors: dict[str, Any] = {}
    tree = {name: _pack(name, value, tensors) for name, value in content.items()}
    save(tensors, path, metadata={_KEY: json.dumps(tree)})


def load_checkpoint(
    path: str | os.PathLike[str],
    model: HasState | None = None,
    optimizer: HasState | None = None,
    *,
    device: str | Device | None = None,
) -> dict[str, Any]:
    """Puts a checkpoint back into model and optimizer, and sets the random number generator's state.

    Everything is checked first: when it raises, nothing has changed.

    Args:
        path: a file of `ww.save_checkpoint`.
        model, optimizer: to load into. A model on any device takes its values where it is.
        device: where tensors among the returned values go; "cpu" unless given.

    Returns:
        `step` and the extra values, and the state_dict of "model" and "optimizer" where the file has it and the argument was None.

    Raises:
        ww.FileFormatError: the file is truncated, corrupted, hostile, or no checkpoint of such an optimizer.
        KeyError: the file holds no model or no optimizer to load.
        ValueError: names or shapes differ from the model's or the optimizer's; the text names them.
        TypeError: dtypes differ.
        OSError: the file is not there.
    """
    from ..random import get_state, set_state

    where = f"load_checkpoint: {os.fspath(path)}"
    tensors, metadata = read(path, device)
    if _KEY not in metadata:
        raise FileFormatError(f"{where}: expected a file of save_checkpoint, got safetensors without 'checkpoint' metadata")
    try:
        tree = json.loads(metadata[_KEY])
        content = {key: _unpack(value, tensors) for key, value in tree.items()}
        found: dict[str, Any] = {"step": content.pop("step"), **content.pop("extra")}
        random_state = content.pop("random")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{where}: expected the JSON of save_checkpoint, got {type(error).__name__}: {error}") from None
    for what, part in (("model", model), ("optimizer", optimizer)):
        if part is None and what in content:
            found[what] = content[what]
        elif part is not None and what not in content:
            raise KeyError(f"{where}: expected a checkpoint with {what}, got one with {', '.join(content) or 'neither'}")
    if model is not None:
        _check_model(f"{where}: model", model.state_dict(), content["model"])
    before = get_state()
    try:
        set_state(random_state)
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{where}: expected random to be the state of the random numbers, got {error}") from None
    try:
        if optimizer is not None:
            _load_optimizer(f"{where}: optimizer", optimizer, content["optimizer"])
    except BaseException:
        set_state(before)
        raise
    if model is not None:
        model.load_state_dict(content["model"])
    return found


def _check_model(where: str, expected: Mapping[str, Tensor], got: Any) -> None:
    """Raises unless both have the same names, shapes and dtypes."""
    if not isinstance(got, dict) or not all(isinstance(t, Tensor) for t in got.values()):
        raise FileFormatError(f"{where}: expected names and tensors")
    missing, more = sorted(expected.keys() - got.keys()), sorted(got.keys() - expected.keys())
    if missing or more:
        raise ValueError(f"{where}: expected the model's names, got a file that lacks {missing} and has {more} besides")
    for name, tensor in expected.items():
        if got[name].shape != tensor.shape:
            raise ValueError(f"{where}: expected {name!r} of shape {tensor.shape}, got {got[name].shape}")
        if got[name].dtype != tensor.dtype:
            raise TypeError(f"{where}: expected {name!r} of dtype {tensor.dtype}, got {got[name].dtype}")


def _check_groups(where: str, expected: Any, got: Any) -> None:
    """Raises unless both optimizers have as many parameters in as many groups."""
    try:
        want, have = ([len(group["params"]) for group in state["param_groups"]] for state in (expected, got))
        if not isinstance(got["state"], dict):
            raise TypeError
    except (KeyError, TypeError):
        raise FileFormatError(f"{where}: expected state, and param_groups, each with its params") from None
    if want != have:
        raise ValueError(f"{where}: expected groups of {want} parameters, got groups of {have}")


def _load_optimizer(where: str, optimizer: HasState, state: Any) -> None:
    """Loads the state; what is none of such an optimizer is the file's fault, other parameters are not."""
    _check_groups(where, optimizer.state_dict(), state)
    try:
        optimizer.load_state_dict(state)
    except StateMismatch as error:
        raise ValueError(f"{where}: {error}") from None
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise FileFormatError(f"{where}: {error}") from None


def _pack(name: str, value: Any, tensors: dict[str, Any], around: tuple[int, ...] = ()) -> Any:
    """`value` as JSON; the tensors in it go to `tensors`, under names that say where they were. `around` are the ids it is in."""
    if id(value) in around:
        raise ValueError(f"save_checkpoint: expected {name[:80]} to be a value of its own, got one that holds itself")
    if len(around) > _MAX_DEPTH:
        raise ValueError(f"save_checkpoint: expected values nested at most {_MAX_DEPTH} deep, got more in {name[:80]}")
    if isinstance(value, (Tensor, np.ndarray)):
        while name in tensors:  # {"a": {"b": x}, "a.b": y}
            name += "'"
        tensors[name] = value
        return {"$tensor": name}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        return value.item()
    around = (*around, id(value))
    if isinstance(value, list):
        return [_pack(f"{name}.{i}", v, tensors, around) for i, v in enumerate(value)]
    if isinstance(value, tuple):
        return {"$tuple": [_pack(f"{name}.{i}", v, tensors, around) for i, v in enumerate(value)]}
    if isinstance(value, Mapping):
        for key in value:
            if not (key is None or isinstance(key, (bool, int, float, str))):
                raise TypeError(f"save_checkpoint: expected the keys of {name} to be text or numbers, got {type(key).__name__}")
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _pack(f"{name}.{key}", v, tensors, around) for key, v in value.items()}
        return {
            "$dict": [[key, _pack(f"{name}.{key}", v, tensors, around)] for key, v in value.items()]
        }  # JSON's own keys are text only
    got = type(value).__name__
    raise TypeError(f"save_checkpoint: expected {name} to be numbers, text, tensors, dicts, lists or tuples, got {got}")


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `_pack` packed."""
    if isinstance(value, list):
        return [_unpack(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return tensors[value["$tensor"]]
    if "$tuple" in value:
        return tuple(_unpack(v, tensors) for v in value["$tuple"])
    if "$dict" in value:
        return {key: _unpack(v, tensors) for key, v in value["$dict"]}
    return {key: _unpack(v, tensors) for key, v in value.items()}
