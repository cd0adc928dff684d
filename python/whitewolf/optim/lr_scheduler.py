"""Learning rates over time, with PyTorch's names and values. Call `scheduler.step()` after `optimizer.step()`."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from .._named import check_methods
from .optimizer import Optimizer


class LRScheduler:
    """Base: `rate(base, t)` is the learning rate at step t of a group that began with `base`, in closed form.

    Args:
        optimizer: whose groups' "lr" is set.
        last_epoch: the step to go on from; -1 to begin.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected optimizer to be an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def rate(self, base: float, t: int, group: int) -> float:
        raise TypeError(f"{type(self).__name__}: expected a subclass with a rate of its own")

    def step(self) -> None:
        """Moves on by one step."""
        self.last_epoch += 1
        for i, group in enumerate(self.optimizer.param_groups):
            group["lr"] = self.rate(self.base_lrs[i], self.last_epoch, i)

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands; numbers only."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a state_dict.

        Raises:
            ValueError: it is none of a schedule.
        """
        self.last_epoch, self.base_lrs = int(state_dict["last_epoch"]), list(state_dict["base_lrs"])
        for i, group in enumerate(self.optimizer.param_groups):
            group["lr"] = self.rate(self.base_lrs[i], self.last_epoch, i)


def each_group(
    op: str, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]], optimizer: Optimizer
) -> list[Callable[[int], float]]:
    """A function for each parameter group."""
    n = len(optimizer.param_groups)
    found: list[Callable[[int], float]] = [lr_lambda] * n if callable(lr_lambda) else list(lr_lambda)
    if len(found) != n:
        raise ValueError(f"{op}: expected lr_lambda to be {n} functions (one for each group), got {len(found)}")
    if not all(map(callable, found)):
        raise TypeError(f"{op}: expected lr_lambda to be functions, got {found}")
    return found


class LambdaLR(LRScheduler):
    """base * lr_lambda(t); one function, or one for each group.

    >>> import whitewolf as ww
    >>> ww.optim.lr_scheduler.LambdaLR(ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0), lambda t: 0.5).get_last_lr()
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]], last_epoch: int = -1
    ) -> None:
        self.lr_lambdas = each_group("LambdaLR", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * self.lr_lambdas[group](t)


class StepLR(LRScheduler):
    """base * gamma^(t // step_size).

    >>> import whitewolf as ww
    >>> ww.optim.lr_scheduler.StepLR(ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0), step_size=1).get_last_lr()
    [1.0]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: expected step_size >= 1, got {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return float(base * self.gamma ** (t // self.step_size))


class MultiStepLR(LRScheduler):
    """base * gamma^(milestones that t has reached).

    >>> import whitewolf as ww
    >>> ww.optim.lr_scheduler.MultiStepLR(ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0), milestones=[2]).get_last_lr()
    [1.0]
    """

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.milestones, self.gamma = sorted(Counter(milestones).elements()), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return float(base * self.gamma ** bisect_right(self.milestones, t))


class ConstantLR(LRScheduler):
    """base * factor for total_iters steps, then base.

    >>> import whitewolf as ww
    >>> ww.optim.lr_scheduler.ConstantLR(ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0), factor=0.5).get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * (self.factor if t < self.total_iters else 1.0)


class LinearLR(LRScheduler):
    """base times a factor that goes from start_factor to end_factor in total_iters equal steps.

    >>> import whitewolf as ww
    >>> ww.optim.lr_scheduler.LinearLR(ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0), start_factor=0.5).get_last_lr()
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: expected factors in (0, 1], got {start_factor} and {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        done = min(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)


class ExponentialLR(LRScheduler):
    """base * gamma^t.

    >>> import whitewolf as ww
    >>> ww.optim.lr_scheduler.ExponentialLR(ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0), gamma=0.5).get_last_lr()
    [1.0]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return float(base * self.gamma**t)


class PolynomialLR(LRScheduler):
    """base * (1 - t / total_iters)^power, and 0 from there on.

    >>> import whitewolf as ww
    >>> ww.optim.lr_scheduler.PolynomialLR(ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0), total_iters=4).get_last_lr()
    [1.0]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        if total_iters < 1 or not power >= 0:
            raise ValueError(f"PolynomialLR: expected total_iters >= 1 and power >= 0, got {total_iters} and {power}")
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return float(base * (1 - min(t, self.total_iters) / self.total_iters) ** self.power)


class CosineAnnealingLR(LRScheduler):
    """eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2 (Loshchilov and Hutter 2017, eq. 5, without restarts).

    >>> import whitewolf as ww
    >>> ww.optim.lr_scheduler.CosineAnnealingLR(ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0), T_max=4).get_last_lr()
    [1.0]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: expected T_max >= 1, got {T_max}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class ReduceLROnPlateau:
    """Multiplies the learning rate by `factor` when the metric has not improved for `patience` steps: `step(metric)`.

    Args:
        optimizer: whose groups' "lr" is set.
        mode, factor, patience, threshold, threshold_mode, cooldown, min_lr, eps: as in PyTorch.

    >>> import whitewolf as ww
    >>> ww.optim.lr_scheduler.ReduceLROnPlateau(ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0)).step(1.0)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau: expected factor < 1, got {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"ReduceLROnPlateau: expected mode 'min' or 'max', threshold_mode 'rel' or 'abs', got {mode!r}, {threshold_mode!r}"
            )
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.min_lr, self.eps = threshold, threshold_mode, cooldown, min_lr, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def _better(self, metric: float) -> bool:
        if self.threshold_mode == "rel":  # for a negative best this moves the other way, as in PyTorch
            return metric > self.best * (1 + self.threshold) if self.mode == "max" else metric < self.best * (1 - self.threshold)
        return metric > self.best + self.threshold if self.mode == "max" else metric < self.best - self.threshold

    def step(self, metric: Any) -> None:
        """Takes in the metric of one more epoch.

        Raises:
            ValueError: it is no number.
        """
        value = float(metric)
        self.last_epoch += 1
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            for group in self.optimizer.param_groups:
                lower = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands; numbers only."""
        return {k: getattr(self, k) for k in ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a state_dict.

        Raises:
            ValueError: it is none of a schedule.
        """
        for key in self.state_dict():
            setattr(self, key, state_dict[key])


# This module is complete by here, and cycles.py imports it.
from .cycles import CosineAnnealingWarmRestarts, CyclicLR, MultiplicativeLR, OneCycleLR, SequentialLR  # noqa: E402

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

check_methods(*(globals()[name] for name in __all__), methods=("__init__", "load_state_dict"))
check_methods(ReduceLROnPlateau, CosineAnnealingWarmRestarts, methods=("step",))
