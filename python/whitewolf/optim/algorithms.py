"""SGD, RMSprop and Adagrad: each gathers lists and calls one kernel for all parameters of a group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .._precision import run_step
from ..ops.creation import zeros_like
from ..tensor import Tensor
from ._lists import NUMBER, POSITIVE, arrays, buckets, grads, start
from .optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964; Nesterov's form as in Sutskever et al. 2013).

    g = grad + weight_decay p;  b = momentum b + (1 - dampening) g;  p = p - lr b  (with nesterov: p - lr (g + momentum b)).

    Args:
        params: tensors or parameter groups.
        lr, momentum, dampening, weight_decay, nesterov, maximize: as in PyTorch.
        foreach, fused: taken for the sake of code written for PyTorch; one kernel does all parameters either way.
        differentiable: False; steps are not recorded.

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

    _checks = {"lr": POSITIVE, "momentum": POSITIVE, "weight_decay": POSITIVE, "dampening": NUMBER}
    _flags = ("nesterov", "maximize")
    _choices = {"foreach": None, "differentiable": False, "fused": None}
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
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
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
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def _check_group(self, group: dict[str, Any]) -> None:
        super()._check_group(group)
        momentum, dampening = group["momentum"], group["dampening"]
        if group["nesterov"] and (momentum <= 0 or dampening != 0):
            raise ValueError(f"SGD: expected momentum > 0 and dampening == 0 for nesterov, got {momentum} and {dampening}")

    def _step_group(self, group: dict[str, Any], params: Sequence[Tensor]) -> None:
        momentum = group["momentum"]
        for bucket in buckets(params, lambda p: momentum != 0 and "momentum_buffer" not in self.state.get(p, {})):
            first = False
            buffers: list[Tensor] = []
            if momentum != 0:
                first = "momentum_buffer" not in self.state.get(bucket[0], {})
                buffers = [zeros_like(p) if first else self.state[p]["momentum_buffer"] for p in bucket]
            run_step(
                bucket[0].device,
                "sgd_step",
                arrays(bucket),
                grads(bucket),
                arrays(buffers),
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


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012): p = p - lr g / (sqrt(v) + eps) with v = alpha v + (1 - alpha) g^2.

    Args:
        params: tensors or parameter groups.
        lr, alpha, eps, weight_decay, momentum, centered, maximize: as in PyTorch.
        capturable, foreach, differentiable: as of `Adam`.

    Raises:
        ValueError: an option is out of range.

    >>> import whitewolf as ww
    >>> ww.optim.RMSprop([ww.ones(2, requires_grad=True)], lr=0.1).param_groups[0]["lr"]
    0.1
    """

    _checks = {"lr": POSITIVE, "eps": POSITIVE, "weight_decay": POSITIVE, "momentum": POSITIVE, "alpha": POSITIVE}
    _flags = ("centered", "maximize")
    _choices = {"capturable": False, "foreach": None, "differentiable": False}
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
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
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
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    def _names(self, group: dict[str, Any]) -> list[str]:
        return ["square_avg", *(["momentum_buffer"] if group["momentum"] else []), *(["grad_avg"] if group["centered"] else [])]

    def _required_state(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("step", *self._names(group))

    def _step_group(self, group: dict[str, Any], params: Sequence[Tensor]) -> None:
        names = self._names(group)
        start(self, params, names)
        for bucket in buckets(params, lambda p: None):
            state = {name: arrays(self.state[p][name] for p in bucket) for name in names}
            run_step(
                bucket[0].device,
                "rmsprop_step",
                arrays(bucket),
                grads(bucket),
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
        foreach, differentiable, fused: as of `SGD`.

    Raises:
        ValueError: an option is out of range.

    >>> import whitewolf as ww
    >>> ww.optim.Adagrad([ww.ones(2, requires_grad=True)], lr=0.1).param_groups[0]["lr"]
    0.1
    """

    _checks = {"lr": POSITIVE, "lr_decay": POSITIVE, "weight_decay": POSITIVE, "eps": POSITIVE,
               "initial_accumulator_value": POSITIVE}  # fmt: skip
    _flags = ("maximize",)
    _choices = {"foreach": None, "differentiable": False, "fused": None}
    _state_names = frozenset({"step", "sum"})

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
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
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        for group in self.param_groups:
            self._start_group(group, group["params"])

    def _required_state(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("step", "sum")

    def _start_group(self, group: dict[str, Any], params: Sequence[Tensor]) -> None:
        start(self, params, ("sum",), group["initial_accumulator_value"])

    def _step_group(self, group: dict[str, Any], params: Sequence[Tensor]) -> None:
        self._start_group(group, params)  # of groups that were added later
        for bucket in buckets(params, lambda p: self.state[p]["step"]):
            step = self.state[bucket[0]]["step"] + 1
            run_step(
                bucket[0].device,
                "adagrad_step",
                arrays(bucket),
                grads(bucket),
                arrays(self.state[p]["sum"] for p in bucket),
                lr=group["lr"] / (1 + (step - 1) * group["lr_decay"]),
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                maximize=group["maximize"],
            )
            for p in bucket:
                self.state[p]["step"] = step
