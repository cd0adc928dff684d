"""SGD, Adam, AdamW, RMSprop and Adagrad: each gathers lists and calls one kernel for all parameters of a group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .._precision import run_step
from ..ops.creation import zeros_like
from ..tensor import Tensor
from .optimizer import Optimizer

_POSITIVE = (lambda v: v >= 0, ">= 0")
_NUMBER = (lambda v: v == v, "to be a number")
_BETAS = (lambda v: len(v) == 2 and all(0 <= b < 1 for b in v), "to be two numbers in [0, 1)")
_MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


def _buckets(params: Sequence[Tensor], key: Any) -> list[list[Tensor]]:
    """Parameters that can share a call: one device, one dtype, and the same `key`."""
    found: dict[Any, list[Tensor]] = {}
    for p in params:
        found.setdefault((p.device.name, p.dtype, key(p)), []).append(p)
    return list(found.values())


def _arrays(tensors: Iterable[Tensor]) -> list[Any]:
    return [t._data for t in tensors]


def _grads(params: Sequence[Tensor]) -> list[Any]:
    return [p._grad._data for p in params]  # type: ignore[union-attr]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964; Nesterov's form as in Sutskever et al. 2013).

    g = grad + weight_decay p;  b = momentum b + (1 - dampening) g;  p = p - lr b  (with nesterov: p - lr (g + momentum b)).

    Args:
        params: tensors or parameter groups.
        lr, momentum, dampening, weight_decay, nesterov, maximize: as in PyTorch.

    Raises:
        ValueError: an option is out of range, or nesterov without momentum or with dampening.

    >>> import whitewolf as ww
    >>> x = ww.tensor([1.0], requires_grad=True)
    >>> optimizer = ww.optim.SGD([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.item() == ww.asarray(0.8).item()
    True
    """

    _checks = {"lr": _POSITIVE, "momentum": _POSITIVE, "weight_decay": _POSITIVE, "dampening": _NUMBER}
    _flags = ("nesterov", "maximize")
    _state_names = frozenset({"momentum_buffer"})

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def _check_group(self, group: dict[str, Any]) -> None:
        super()._check_group(group)
        momentum, dampening = group["momentum"], group["dampening"]
        if group["nesterov"] and (momentum <= 0 or dampening != 0):
            raise ValueError(f"SGD: expected momentum > 0 and dampening == 0 for nesterov, got {momentum} and {dampening}")

    def _step_group(self, group: dict[str, Any], params: Sequence[Tensor]) -> None:
        momentum = group["momentum"]
        for bucket in _buckets(params, lambda p: momentum != 0 and "momentum_buffer" not in self.state.get(p, {})):
            first = False
            buffers: list[Tensor] = []
            if momentum != 0:
                first = "momentum_buffer" not in self.state.get(bucket[0], {})
                buffers = [zeros_like(p) if first else self.state[p]["momentum_buffer"] for p in bucket]
            run_step(
                bucket[0].device,
                "sgd_step",
                _arrays(bucket),
                _grads(bucket),
                _arrays(buffers),
                lr=group["lr"],
                momentum=momentum,
                dampening=group["dampening"],
                weight_decay=group["weight_decay"],
                nesterov=group["nesterov"],
                maximize=group["maximize"],
                first_step=first,
            )
            if first:
                for p, buffer in zip(bucket, buffers):
                    self.state.setdefault(p, {})["momentum_buffer"] = buffer


def _start(optimizer: Optimizer, params: Sequence[Tensor], names: Sequence[str], value: float = 0.0) -> None:
    """Gives parameters what they lack of the state of step 0: all of it, or what an option needs that was set after some steps."""
    for p in params:
        entry = optimizer.state.get(p) or {"step": 0}
        missing = [name for name in names if name not in entry]
        for name in missing:
            entry[name] = zeros_like(p)
            if value:
                entry[name]._data.fill(value)
        if missing:
            optimizer.state[p] = entry


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1).

    m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  p = p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).

    Args:
        params: tensors or parameter groups.
        lr, betas, eps, weight_decay, amsgrad, maximize: as in PyTorch; weight_decay is added to the gradient.

    Raises:
        ValueError: an option is out of range.

    >>> import whitewolf as ww
    >>> ww.optim.Adam([ww.ones(2, requires_grad=True)], lr=0.1).param_groups[0]["lr"]
    0.1
    """

    _checks = {"lr": _POSITIVE, "eps": _POSITIVE, "weight_decay": _POSITIVE, "betas": _BETAS}
    _flags = ("amsgrad", "maximize")
    _state_names = frozenset({"step", *_MOMENTS})
    _decoupled = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize},
        )

    def _required_state(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("step", *_MOMENTS[: 3 if group["amsgrad"] else 2])

    def _step_group(self, group: dict[str, Any], params: Sequence[Tensor]) -> None:
        names = _MOMENTS[: 3 if group["amsgrad"] else 2]
        _start(self, params, names)
        for bucket in _buckets(params, lambda p: self.state[p]["step"]):
            step = self.state[bucket[0]]["step"] + 1
            lists = [_arrays(self.state[p][name] for p in bucket) for name in names] + [[]] * (3 - len(names))
            run_step(
                bucket[0].device,
                "adam_step",
                _arrays(bucket),
                _grads(bucket),
                *lists,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                step=step,
                amsgrad=group["amsgrad"],
                decoupled=self._decoupled,
                maximize=group["maximize"],
            )
            for p in bucket:
                self.state[p]["step"] = step


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2): p = p - lr weight_decay p before the step.

    Arguments as `Adam`; weight_decay defaults to 0.01.

    >>> import whitewolf as ww
    >>> ww.optim.AdamW([ww.ones(2, requires_grad=True)], lr=0.1).param_groups[0]["lr"]
    0.1
    """

    _decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012): p = p - lr g / (sqrt(v) + eps) with v = alpha v + (1 - alpha) g^2.

    Args:
        params: tensors or parameter groups.
        lr, alpha, eps, weight_decay, momentum, centered, maximize: as in PyTorch.

    Raises:
        ValueError: an option is out of range.

    >>> import whitewolf as ww
    >>> ww.optim.RMSprop([ww.ones(2, requires_grad=True)], lr=0.1).param_groups[0]["lr"]
    0.1
    """

    _checks = {"lr": _POSITIVE, "eps": _POSITIVE, "weight_decay": _POSITIVE, "momentum": _POSITIVE, "alpha": _POSITIVE}
    _flags = ("centered", "maximize")
    _state_names = frozenset({"step", "square_avg", "momentum_buffer", "grad_avg"})

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "maximize": maximize,
            },
        )

    def _names(self, group: dict[str, Any]) -> list[str]:
        return ["square_avg", *(["momentum_buffer"] if group["momentum"] else []), *(["grad_avg"] if group["centered"] else [])]

    def _required_state(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("step", *self._names(group))

    def _step_group(self, group: dict[str, Any], params: Sequence[Tensor]) -> None:
        names = self._names(group)
        _start(self, params, names)
        for bucket in _buckets(params, lambda p: None):
            state = {name: _arrays(self.state[p][name] for p in bucket) for name in names}
            run_step(
                bucket[0].device,
                "rmsprop_step",
                _arrays(bucket),
                _grads(bucket),
                state["square_avg"],
                state.get("momentum_buffer", []),
                state.get("grad_avg", []),
                lr=group["lr"],
                alpha=group["alpha"],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                momentum=group["momentum"],
                centered=group["centered"],
                maximize=group["maximize"],
            )
            for p in bucket:
                self.state[p]["step"] += 1


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer 2011): p = p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps) with s = s + g^2.

    Args:
        params: tensors or parameter groups.
        lr, lr_decay, weight_decay, initial_accumulator_value, eps, maximize: as in PyTorch.

    Raises:
        ValueError: an option is out of range.

    >>> import whitewolf as ww
    >>> ww.optim.Adagrad([ww.ones(2, requires_grad=True)], lr=0.1).param_groups[0]["lr"]
    0.1
    """

    _checks = {"lr": _POSITIVE, "lr_decay": _POSITIVE, "weight_decay": _POSITIVE, "eps": _POSITIVE,
               "initial_accumulator_value": _POSITIVE}  # fmt: skip
    _flags = ("maximize",)
    _state_names = frozenset({"step", "sum"})

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "eps": eps,
                "maximize": maximize,
            },
        )

    def _required_state(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("step", "sum")

    def _step_group(self, group: dict[str, Any], params: Sequence[Tensor]) -> None:
        _start(self, params, ("sum",), group["initial_accumulator_value"])
        for bucket in _buckets(params, lambda p: self.state[p]["step"]):
            step = self.state[bucket[0]]["step"] + 1
            run_step(
                bucket[0].device,
                "adagrad_step",
                _arrays(bucket),
                _grads(bucket),
                _arrays(self.state[p]["sum"] for p in bucket),
                lr=group["lr"] / (1 + (step - 1) * group["lr_decay"]),
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                maximize=group["maximize"],
            )
            for p in bucket:
                self.state[p]["step"] = step
