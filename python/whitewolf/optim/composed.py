"""NAdam, RAdam, Adamax and Adadelta, made of elementwise ops on one parameter after the other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ..nn.parameter import overwrite
from ..ops.binary import maximum
from ..ops.elementwise import abs, multiply, sqrt
from ..tensor import Tensor
from ._lists import POSITIVE, start
from .adam import _BETAS
from .optimizer import Optimizer

_RHO = (lambda v: 0 <= v <= 1, "in [0, 1]")


class _Composed(Optimizer):
    """Calls `_update` for each parameter, with its gradient after weight decay, its state and the number of the step."""

    _flags: tuple[str, ...] = ("maximize",)
    _choices = {"foreach": None, "capturable": False, "differentiable": False}
    _moments: tuple[str, ...] = ()

    def _required_state(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("step", *self._moments, *self._numbers)

    def _step_group(self, group: dict[str, Any], params: Sequence[Tensor]) -> None:
        start(self, params, self._moments)
        decay = group["weight_decay"]
        for p in params:
            state = self.state[p]
            state["step"] += 1
            x, g = p.detach(), p._grad.detach()  # type: ignore[union-attr]  # only those that have a gradient come here
            g = -g if group["maximize"] else g
            if decay and group.get("decoupled_weight_decay"):
                overwrite(x, x * (1 - group["lr"] * decay))
            elif decay:
                g = g + x * decay
            overwrite(x, x - self._update(g, state, group, state["step"]))

    def _update(self, g: Tensor, state: dict[str, Any], group: dict[str, Any], t: int) -> Tensor:
        """What is taken from the parameter."""
        raise NotImplementedError(f"{type(self).__name__}: expected the class to define _update, got none")


def _mix(state: dict[str, Any], name: str, beta: float, value: Tensor) -> Tensor:
    """state[name] = beta state[name] + (1 - beta) value."""
    overwrite(state[name], state[name] * beta + value * (1 - beta))
    return state[name]  # type: ignore[no-any-return]  # a state holds tensors under these names


class NAdam(_Composed):
    """Adam with Nesterov's momentum (Dozat 2016, "Incorporating Nesterov momentum into Adam", algorithm 2).

    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2) in place of beta1; v = beta2 v + (1 - beta2) g^2, d = sqrt(v / (1 - beta2^t)) + eps;
    p = p - lr ((1 - mu_t) / (1 - mu_1 ... mu_t) g + mu_(t+1) / (1 - mu_1 ... mu_(t+1)) m) / d.

    Args:
        params: tensors or parameter groups.
        lr, betas, eps, weight_decay, momentum_decay, decoupled_weight_decay, maximize: as in PyTorch.
        foreach, capturable, differentiable: as of `Adam`.

    Raises:
        ValueError: an option is out of range.

    >>> import whitewolf as ww
    >>> ww.optim.NAdam([ww.ones(2, requires_grad=True)]).param_groups[0]["momentum_decay"]
    0.004
    """

    _checks = {"lr": POSITIVE, "eps": POSITIVE, "weight_decay": POSITIVE, "momentum_decay": POSITIVE, "betas": _BETAS}
    _flags = ("maximize", "decoupled_weight_decay")
    _moments: tuple[str, ...] = ("exp_avg", "exp_avg_sq")
    _state_names = frozenset({"step", "mu_product", *_moments})
    _numbers = ("mu_product",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _update(self, g: Tensor, state: dict[str, Any], group: dict[str, Any], t: int) -> Tensor:
        (beta1, beta2), decay = group["betas"], group["momentum_decay"]
        mu, following = (beta1 * (1 - 0.5 * 0.96 ** (n * decay)) for n in (t, t + 1))
        product = state["mu_product"] = state.get("mu_product", 1.0) * mu
        m, v = _mix(state, "exp_avg", beta1, g), _mix(state, "exp_avg_sq", beta2, g * g)
        scale = sqrt(v / (1 - beta2**t)) + group["eps"]
        step: Tensor = (
            g * (group["lr"] * (1 - mu) / (1 - product)) + m * (group["lr"] * following / (1 - product * following))
        ) / scale
        return step


class RAdam(_Composed):
    """Adam whose step is rectified by the variance of v, and is without it while that is not tractable (Liu et al. 2020, algorithm 2).

    r_t = r - 2 t beta2^t / (1 - beta2^t), r = 2 / (1 - beta2) - 1; where r_t > 5, the step of Adam times
    sqrt((r_t - 4)(r_t - 2) r / ((r - 4)(r - 2) r_t)), else that of the momentum alone.

    Args:
        params: tensors or parameter groups.
        lr, betas, eps, weight_decay, decoupled_weight_decay, maximize: as in PyTorch.
        foreach, capturable, differentiable: as of `Adam`.

    Raises:
        ValueError: an option is out of range.

    >>> import whitewolf as ww
    >>> ww.optim.RAdam([ww.ones(2, requires_grad=True)], lr=0.1).param_groups[0]["lr"]
    0.1
    """

    _checks = {"lr": POSITIVE, "eps": POSITIVE, "weight_decay": POSITIVE, "betas": _BETAS}
    _flags = ("maximize", "decoupled_weight_decay")
    _moments: tuple[str, ...] = ("exp_avg", "exp_avg_sq")
    _state_names = frozenset({"step", *_moments})

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def _update(self, g: Tensor, state: dict[str, Any], group: dict[str, Any], t: int) -> Tensor:
        beta1, beta2 = group["betas"]
        m, v = _mix(state, "exp_avg", beta1, g), _mix(state, "exp_avg_sq", beta2, g * g)
        step: Tensor = m * (group["lr"] / (1 - beta1**t))
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * t * beta2**t / (1 - beta2**t)
        if length <= 5:
            return step
        ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        step = step * (math.sqrt(ratio) * math.sqrt(1 - beta2**t)) / (sqrt(v) + group["eps"])
        return step


class Adamax(_Composed):
    """Adam with the infinity norm (Kingma and Ba 2015, algorithm 2): u = max(beta2 u, |g| + eps), p = p - lr / (1 - beta1^t) m / u.

    Args:
        params: tensors or parameter groups.
        lr, betas, eps, weight_decay, maximize: as in PyTorch.
        foreach, capturable, differentiable: as of `Adam`.

    Raises:
        ValueError: an option is out of range.

    >>> import whitewolf as ww
    >>> ww.optim.Adamax([ww.ones(2, requires_grad=True)]).param_groups[0]["lr"]
    0.002
    """

    _checks = {"lr": POSITIVE, "eps": POSITIVE, "weight_decay": POSITIVE, "betas": _BETAS}
    _moments: tuple[str, ...] = ("exp_avg", "exp_inf")
    _state_names = frozenset({"step", *_moments})

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _update(self, g: Tensor, state: dict[str, Any], group: dict[str, Any], t: int) -> Tensor:
        beta1, beta2 = group["betas"]
        m, u = _mix(state, "exp_avg", beta1, g), state["exp_inf"]
        overwrite(u, maximum(u * beta2, abs(g) + group["eps"]))
        return m * (group["lr"] / (1 - beta1**t)) / u  # type: ignore[no-any-return]  # a state holds tensors under these names


class Adadelta(_Composed):
    """Adadelta (Zeiler 2012, arXiv 1212.5701, algorithm 1): d = sqrt(a + eps) / sqrt(v + eps) g, p = p - lr d.

    v = rho v + (1 - rho) g^2 before the step, and a = rho a + (1 - rho) d^2 behind it.

    Args:
        params: tensors or parameter groups.
        lr, rho, eps, weight_decay, maximize: as in PyTorch.
        foreach, capturable, differentiable: as of `Adam`.

    Raises:
        ValueError: an option is out of range.

    >>> import whitewolf as ww
    >>> ww.optim.Adadelta([ww.ones(2, requires_grad=True)]).param_groups[0]["rho"]
    0.9
    """

    _checks = {"lr": POSITIVE, "rho": _RHO, "eps": POSITIVE, "weight_decay": POSITIVE}
    _moments: tuple[str, ...] = ("square_avg", "acc_delta")
    _state_names = frozenset({"step", *_moments})

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    def _update(self, g: Tensor, state: dict[str, Any], group: dict[str, Any], t: int) -> Tensor:
        rho, eps = group["rho"], group["eps"]
        v = _mix(state, "square_avg", rho, g * g)
        d: Tensor = g * sqrt(state["acc_delta"] + eps) / sqrt(v + eps)
        _mix(state, "acc_delta", rho, d * d)
        return multiply(d, group["lr"])
