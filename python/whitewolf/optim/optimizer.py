"""What all optimizers share: parameter groups, state, and a step that Ctrl-C cannot cut in half."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

from .._uninterrupted import Uninterrupted
from ..graph import _GradMode
from ..tensor import Tensor


class Optimizer:
    """Base of the optimizers.

    Args:
        params: tensors that require grad, or dicts with "params" and options of their own (parameter groups).
        defaults: the options of groups that do not give their own.

    Raises:
        ValueError: there are no parameters, or one stands twice.
        TypeError: a parameter is no leaf tensor.
    """

    # Options that a group may set, with the check that each must pass.
    _checks: dict[str, tuple[Callable[[Any], bool], str]] = {}

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, (Tensor, dict)):
            raise TypeError(f"{name}: expected params to be an iterable of tensors or dicts, got a {type(params).__name__}")
        given = list(params)
        if not given:
            raise ValueError(f"{name}: expected at least one parameter, got none")
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
            raise TypeError(f"{name}: expected a dict with 'params', got {type(param_group).__name__}")
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
        for option, (holds, wanted) in self._checks.items():
            if option in group and not holds(group[option]):
                raise ValueError(f"{name}: expected {option} {wanted}, got {group[option]}")
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, or fills them with zeros."""
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
            TypeError: a gradient's dtype is not its parameter's.
        """
        loss = None
        if closure is not None:
            with _GradMode(True):
                loss = closure()
        with _GradMode(False), Uninterrupted():
            for group in self.param_groups:
                active = [p for p in group["params"] if p._grad is not None]
                for p in active:
                    if p._grad.dtype != p.dtype or p._grad.shape != p.shape:
                        raise TypeError(
                            f"{type(self).__name__}: expected grad of dtype {p.dtype} and shape {p.shape}, got {p._grad.dtype} and "
                            f"{p._grad.shape}"
                        )
                if active:
                    self._step_group(group, active)
                    for p in active:
                        p._overwritten()
        return loss

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
            ValueError: groups or shapes differ from this optimizer's.
        """
        name = type(self).__name__
        groups = state_dict["param_groups"]
        sizes, wanted = [len(g["params"]) for g in groups], [len(g["params"]) for g in self.param_groups]
        if sizes != wanted:
            raise ValueError(f"{name}: expected groups of {wanted} parameters, got {sizes}")
        params = [p for group in self.param_groups for p in group["params"]]
        numbers = [n for g in groups for n in g["params"]]
        state: dict[Tensor, dict[str, Any]] = {}
        for number, p in zip(numbers, params):
            if number not in state_dict["state"]:
                continue
            entry: dict[str, Any] = {}
            for key, value in state_dict["state"][number].items():
                if key == "step":
                    entry[key] = int(value)
                elif isinstance(value, Tensor):
                    if value.shape != p.shape:
                        raise ValueError(
                            f"{name}: expected state {key!r} of parameter {number} of shape {p.shape}, got {value.shape}"
                        )
                    entry[key] = value.detach().to(p.device).astype(p.dtype)
                else:
                    entry[key] = deepcopy(value)
            state[p] = entry
        self.state = state
        self.param_groups = [
            {**{k: deepcopy(v) for k, v in new.items() if k != "params"}, "params": old["params"]}
            for new, old in zip(groups, self.param_groups)
        ]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])
