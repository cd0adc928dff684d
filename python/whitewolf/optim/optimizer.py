"""What all optimizers share: parameter groups, state, and a step that Ctrl-C cannot cut in half."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from .._uninterrupted import Uninterrupted
from ..graph import _GradMode
from ..ops._common import check_flag, is_writable
from ..tensor import Tensor

_REFUSED = {"capturable": "steps are counted on the host", "differentiable": "a step is not recorded in the graph"}


class StateMismatch(ValueError):
    """A state_dict of an optimizer over other parameters."""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _check_option(name: str, option: str, value: Any, holds: Callable[[Any], bool], wanted: str) -> None:
    """Raises TypeError where `value` is of another kind than the option, ValueError where it is out of range."""
    parts = value if isinstance(value, (tuple, list)) else (value,)
    if not all(_is_number(part) for part in parts):
        raise TypeError(f"{name}: expected {option} {wanted}, got {value!r} ({type(value).__name__})")
    try:
        fits = holds(value)
    except TypeError:  # a number for a pair, or the other way round
        raise TypeError(f"{name}: expected {option} {wanted}, got {value!r}") from None
    if not fits:
        raise ValueError(f"{name}: expected {option} {wanted}, got {value}")


class Optimizer:
    """Base of the optimizers.

    Args:
        params: tensors that require grad, or dicts with "params" and options of their own (parameter groups).
        defaults: the options of groups that do not give their own.

    Raises:
        ValueError: there are no parameters, or one stands twice.
        TypeError: a parameter is no leaf tensor.

    >>> import whitewolf as ww
    >>> ww.optim.Optimizer([ww.ones(2, requires_grad=True)], {"lr": 0.1}).defaults
    {'lr': 0.1}
    """

    # Options that a group may set, with the check that each must pass.
    _checks: dict[str, tuple[Callable[[Any], bool], str]] = {}
    # Options that are True or False.
    _flags: tuple[str, ...] = ()
    # Options of PyTorch that choose how a step is computed, with their defaults: one kernel does all parameters whatever they say.
    _choices: dict[str, bool | None] = {}
    # Options that came after the first files were written, with what an optimizer did before it had them.
    _later: dict[str, bool] = {}
    # What a parameter's state may hold; None where a subclass does not say.
    _state_names: frozenset[str] | None = None
    # Names of the state that are numbers, beside "step".
    _numbers: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, (Tensor, dict)):
            raise TypeError(f"{name}: expected params to be an iterable of tensors or dicts, got a {type(params).__name__}")
        given = list(params)
        if not given:
            raise ValueError(f"{name}: expected params to hold at least one parameter, got none")
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters with options of their own."""
        name = type(self).__name__
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f"{name}: expected param_group to be a dict with 'params', got {type(param_group).__name__}")
        tensors = param_group["params"]
        tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for position, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor):
                raise TypeError(f"{name}: expected params[{position}] to be a Tensor, got {type(tensor).__name__}")
            if not tensor.is_leaf:
                raise ValueError(f"{name}: expected params[{position}] to be a leaf, got a tensor that an op made")
            if id(tensor) in known:
                raise ValueError(f"{name}: expected each parameter once, got params[{position}] (shape {tensor.shape}) twice")
            known.add(id(tensor))
        group = {"params": tensors, **{k: deepcopy(v) for k, v in self.defaults.items()}}
        group.update({k: v for k, v in param_group.items() if k != "params"})
        self._check_group(group)
        self.param_groups.append(group)

    def _check_group(self, group: dict[str, Any]) -> None:
        """Raises TypeError or ValueError unless each option of a group is what the constructor takes."""
        name = type(self).__name__
        for option, value in group.items():
            if option in self._checks:
                _check_option(name, option, value, *self._checks[option])
            elif (option in self._flags or option in self._choices) and not isinstance(value, bool):
                if value is None and option in self._choices and self._choices[option] is None:
                    continue
                raise TypeError(f"{name}: expected {option} to be a bool, got {value!r} ({type(value).__name__})")
        if group.get("foreach") and group.get("fused"):
            raise ValueError(f"{name}: expected at most one of foreach and fused, got both")
        for option, why in _REFUSED.items():
            if group.get(option) and option in self._choices:
                raise ValueError(f"{name}: expected {option} to be False: {why}")

    def _required_state(self, group: dict[str, Any]) -> tuple[str, ...]:
        """What the state of a parameter of this group holds once a step was done."""
        return ()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, or fills them with zeros.

        Raises:
            TypeError: set_to_none is not a bool.
        """
        if set_to_none is not True and set_to_none is not False:
            check_flag(f"{type(self).__name__}.zero_grad", "set_to_none", set_to_none)
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p._grad is None:
                    p._grad = None
                else:
                    p._grad._data[...] = 0
                    p._grad._overwritten()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step for all parameters that have a gradient. Ctrl-C takes effect before or after it, never in between.

        Args:
            closure: computes the loss anew and calls backward; its result is returned.

        Raises:
            TypeError: a gradient's dtype is not its parameter's; nothing was changed then.
            ValueError: a parameter's memory is read-only; nothing was changed either.
        """
        loss = None
        if closure is not None:
            if not callable(closure):
                raise TypeError(f"{type(self).__name__}: expected closure to be a function, got {type(closure).__name__}")
            with _GradMode(True):
                loss = closure()
        with _GradMode(False), Uninterrupted():
            for number, p in enumerate(p for group in self.param_groups for p in group["params"]):  # all, before any is changed
                if p._grad is not None:
                    self._check_step(number, p)
            for group in self.param_groups:
                active = [p for p in group["params"] if p._grad is not None]
                if active:
                    self._step_group(group, active)
                    for p in active:
                        p._overwritten()
        return loss

    def _check_step(self, number: int, p: Tensor) -> None:
        grad: Any = p._grad
        if grad.dtype != p.dtype or grad.shape != p.shape:
            raise TypeError(
                f"{type(self).__name__}: expected grad of dtype {p.dtype} and shape {p.shape}, got {grad.dtype} and {grad.shape}"
            )
        if not is_writable(p):
            raise ValueError(f"{type(self).__name__}: expected params[{number}] to be writable, got one over read-only memory")

    def _step_group(self, group: dict[str, Any], params: Sequence[Tensor]) -> None:
        raise TypeError(f"{type(self).__name__}: expected a subclass with a step of its own")

    def state_dict(self) -> dict[str, Any]:
        """PyTorch's form: state by the parameter's number, and the groups with numbers for parameters. Tensors are not copied."""
        numbers = {id(p): i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        groups = [group | {"params": [numbers[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": {numbers[id(p)]: dict(s) for p, s in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over a state_dict; tensors are copied. Nothing changes unless all of it fits.

        Raises:
            ValueError: groups or shapes differ from this optimizer's; or it is no state_dict of such an optimizer: an option is
                missing or out of range, a parameter's number or a state's name is unknown.
            TypeError: an option or a state is of another type.
        """
        groups, numbers = self._check_groups(state_dict)
        params = [(p, group) for group, old in zip(groups, self.param_groups) for p in old["params"]]
        state = {
            p: self._take_state(p, number, state_dict["state"][number], group)
            for number, (p, group) in zip(numbers, params)
            if number in state_dict["state"]
        }
        self.state = state
        self.param_groups = [
            {**{k: deepcopy(v) for k, v in new.items() if k != "params"}, "params": old["params"]}
            for new, old in zip(groups, self.param_groups)
        ]

    def _check_groups(self, state_dict: Any) -> tuple[list[dict[str, Any]], list[int]]:
        """The groups of a state_dict and the numbers of their parameters, each as the constructor and `state_dict` make them."""
        name = type(self).__name__
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= state_dict.keys():
            raise TypeError(
                f"{name}: expected a state_dict, a dict with 'state' and 'param_groups', got {type(state_dict).__name__}"
            )
        groups, state = state_dict["param_groups"], state_dict["state"]
        if not isinstance(state, dict) or not isinstance(groups, (list, tuple)):
            raise TypeError(
                f"{name}: expected state to be a dict and param_groups a list, got {type(state).__name__} and {type(groups).__name__}"
            )
        for position, group in enumerate(groups):
            if not isinstance(group, dict) or not isinstance(group.get("params"), (list, tuple)):
                raise TypeError(
                    f"{name}: expected param_groups[{position}] to be a dict with a list 'params', got {type(group).__name__}"
                )
        groups = [self._choices | self._later | g for g in groups]  # files from before these options have none of them
        sizes, wanted = [len(g["params"]) for g in groups], [len(g["params"]) for g in self.param_groups]
        if sizes != wanted:
            raise StateMismatch(f"{name}: expected groups of {wanted} parameters, got groups of {sizes}")
        for position, group in enumerate(groups):
            missing = sorted(self.defaults.keys() - group.keys())
            if missing:
                raise ValueError(
                    f"{name}: expected param_groups[{position}] with {', '.join(sorted(self.defaults))}, got none of {', '.join(missing)}"
                )
            self._check_group(group)
        numbers = [n for g in groups for n in g["params"]]
        if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers) or len(set(numbers)) != len(numbers):
            raise ValueError(f"{name}: expected params to be the parameters' numbers, each once, got {str(numbers)[:80]}")
        strangers = [n for n in state if n not in set(numbers)]
        if strangers:
            raise ValueError(f"{name}: expected state of the parameters {str(numbers)[:80]}, got state of {str(strangers)[:80]}")
        return list(groups), numbers

    def _take_state(self, p: Tensor, number: int, given: Any, group: dict[str, Any]) -> dict[str, Any]:
        """A copy of one parameter's state."""
        where = f"{type(self).__name__}: expected state of parameter {number}"
        if not isinstance(given, dict):
            raise TypeError(f"{where} to be a dict, got {type(given).__name__}")
        if self._state_names is not None:
            unknown = [key for key in given if key not in self._state_names]
            missing = [key for key in self._required_state(group) if given and key not in given]
            if unknown or missing:
                raise ValueError(f"{where} of {', '.join(sorted(self._state_names))}, got unknown {unknown}, missing {missing}")
        entry: dict[str, Any] = {}
        for key, value in given.items():
            if key == "step":
                step = value.item() if isinstance(value, Tensor) and value.size == 1 else value
                if not _is_number(step) or step < 0 or step != int(step):
                    raise ValueError(f"{where} to have a step >= 0, got {step!r}")
                entry[key] = int(step)
            elif key in self._numbers:
                number = value.item() if isinstance(value, Tensor) and value.size == 1 else value
                if not _is_number(number):
                    raise ValueError(f"{where} to have a number {key!r}, got {number!r}")
                entry[key] = float(number)
            elif isinstance(value, Tensor):
                if value.shape != p.shape:
                    raise StateMismatch(f"{where}, {key!r}, of shape {p.shape}, got {value.shape}")
                entry[key] = value.detach().to(p.device).astype(p.dtype)
            elif self._state_names is None:
                entry[key] = deepcopy(value)
            elif value is not None:  # PyTorch's SGD has None before its first step with momentum
                raise TypeError(f"{where}, {key!r}, to be a tensor, got {type(value).__name__}")
        return entry

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])
