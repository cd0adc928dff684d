"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .._precision import run_step
from ..tensor import Tensor
from ._lists import POSITIVE, arrays, buckets, grads, start
from .optimizer import Optimizer

_BETAS = (lambda v: len(v) == 2 and all(0 <= b < 1 for b in v), "to be two numbers in [0, 1)")
_MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1).

    m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  p = p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).

    Args:
        params: tensors or parameter groups.
        lr, betas, eps, weight_decay, amsgrad, maximize: as in PyTorch; weight_decay is added to the gradient.
        decoupled_weight_decay: decay as `AdamW` does.
        foreach, capturable, differentiable, fused: as of `SGD`; capturable is False, too.

    Raises:
        ValueError: an option is out of range.

    >>> import whitewolf as ww
    >>> ww.optim.Adam([ww.ones(2, requires_grad=True)], lr=0.1).param_groups[0]["lr"]
    0.1
    """

    _checks = {"lr": POSITIVE, "eps": POSITIVE, "weight_decay": POSITIVE, "betas": _BETAS}
    _flags = ("amsgrad", "maximize", "decoupled_weight_decay")
    _choices = {"foreach": None, "capturable": False, "differentiable": False, "fused": None}
    _later = {"decoupled_weight_decay": False}
    _state_names = frozenset({"step", *_MOMENTS})

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def _required_state(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("step", *_MOMENTS[: 3 if group["amsgrad"] else 2])

    def _step_group(self, group: dict[str, Any], params: Sequence[Tensor]) -> None:
        names = _MOMENTS[: 3 if group["amsgrad"] else 2]
        start(self, params, names)
        for bucket in buckets(params, lambda p: self.state[p]["step"]):
            step = self.state[bucket[0]]["step"] + 1
            lists = [arrays(self.state[p][name] for p in bucket) for name in names] + [[]] * (3 - len(names))
            run_step(
                bucket[0].device,
                "adam_step",
                arrays(bucket),
                grads(bucket),
                *lists,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                step=step,
                amsgrad=group["amsgrad"],
                decoupled=group["decoupled_weight_decay"],
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

    _later = {"decoupled_weight_decay": True}

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
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, foreach=foreach, capturable=capturable,
            differentiable=differentiable, fused=fused, decoupled_weight_decay=True,
        )  # fmt: skip
