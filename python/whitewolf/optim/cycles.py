"""Schedules that go up and down, start again, or follow each other."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from .lr_scheduler import LRScheduler, each_group
from .optimizer import Optimizer


class _WithMomentum(LRScheduler):
    """A schedule of momentum (of beta1 in the Adams) beside that of the rate."""

    cycle_momentum: bool

    def momentum(self, t: int, group: int) -> float:
        raise TypeError(f"{type(self).__name__}: expected a subclass with a momentum of its own")

    def _check_momentum(self, optimizer: Optimizer) -> None:
        if self.cycle_momentum and not {"momentum", "betas"} & optimizer.defaults.keys():
            raise ValueError(
                f"{type(self).__name__}: expected an optimizer with momentum or betas for cycle_momentum, got {type(optimizer).__name__}"
            )

    def step(self) -> None:
        super().step()
        self._set_momentum()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._set_momentum()

    def _set_momentum(self) -> None:
        for i, group in enumerate(self.optimizer.param_groups if self.cycle_momentum else ()):
            value = self.momentum(self.last_epoch, i)
            if "betas" in group:
                group["betas"] = (value, *group["betas"][1:])
            else:
                group["momentum"] = value


def _each(op: str, name: str, value: Any, n: int) -> list[float]:
    """One number for each group, or the same for all."""
    found = list(value) if isinstance(value, (list, tuple)) else [value] * n
    if len(found) != n:
        raise ValueError(f"{op}: expected {name} to be a number or {n} (one for each group), got {len(found)}")
    return found


class OneCycleLR(_WithMomentum):
    """From max_lr / div_factor up to max_lr in the first pct_start of total_steps, then down to that start / final_div_factor, along
    cosines or lines (Smith and Topin 2018); momentum goes the other way, between max_momentum and base_momentum.

    Args:
        max_lr, base_momentum, max_momentum: numbers, or one for each group.
        total_steps: or epochs and steps_per_epoch.
        three_phase: go down to the start first, as fast as up, and to the end in what is left.

    Raises:
        ValueError: stepped more than total_steps times, or an option is out of range.

    >>> import whitewolf as ww
    >>> ww.optim.lr_scheduler.OneCycleLR(ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0), max_lr=1.0, total_steps=4, div_factor=4.0).get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: expected anneal_strategy to be 'cos' or 'linear', got {anneal_strategy!r}")
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError("OneCycleLR: expected total_steps, or epochs and steps_per_epoch, got neither")
        total = total_steps if total_steps is not None else (epochs or 0) * (steps_per_epoch or 0)
        if total < 1 or not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: expected total_steps >= 1 and pct_start in [0, 1], got {total} and {pct_start}")
        n = len(optimizer.param_groups)
        tops = _each("OneCycleLR", "max_lr", max_lr, n)
        self.total_steps, self.cosine, self.cycle_momentum = total, anneal_strategy == "cos", cycle_momentum
        self._check_momentum(optimizer)
        starts = [top / div_factor for top in tops]
        low, high = (_each("OneCycleLR", k, v, n) for k, v in (("base_momentum", base_momentum), ("max_momentum", max_momentum)))
        # Each phase's last step, and the rates and momenta at its two ends.
        up = (pct_start * total - 1, starts, tops, high, low)
        ends = [start / final_div_factor for start in starts]
        down = (total - 1, tops, ends, low, high)
        back = (2 * pct_start * total - 2, tops, starts, low, high)
        self.phases = [up, back, (total - 1, starts, ends, high, high)] if three_phase else [up, down]
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return self._between(t, group, 1)

    def momentum(self, t: int, group: int) -> float:
        return self._between(t, group, 3)

    def _between(self, t: int, group: int, column: int) -> float:
        if t > self.total_steps:
            raise ValueError(f"OneCycleLR: expected at most total_steps == {self.total_steps} steps, got {t}")
        begin = 0.0
        for phase in self.phases:
            if t <= phase[0] or phase is self.phases[-1]:
                break
            begin = phase[0]
        a, b, done = phase[column][group], phase[column + 1][group], (t - begin) / ((phase[0] - begin) or 1.0)  # type: ignore[index]  # lists behind the step
        return b + (a - b) / 2 * (1 + math.cos(math.pi * done)) if self.cosine else a + (b - a) * done  # type: ignore[no-any-return]  # of lists of numbers


class CyclicLR(_WithMomentum):
    """Up from base_lr to max_lr in step_size_up steps and down again in step_size_down, over and over (Smith 2017, arXiv 1506.01186).

    Args:
        base_lr, max_lr, base_momentum, max_momentum: numbers, or one for each group.
        mode: "triangular"; "triangular2" halves the height after each cycle; "exp_range" scales it by gamma^t.
        scale_fn: the height's factor in place of the mode's, of the cycle's number, or (scale_mode="iterations") of t.

    Raises:
        ValueError: an option is out of range.

    >>> import whitewolf as ww
    >>> ww.optim.lr_scheduler.CyclicLR(ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0), base_lr=0.1, max_lr=0.5).get_last_lr()
    [0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        down = step_size_up if step_size_down is None else step_size_down
        if step_size_up < 1 or down < 0:
            raise ValueError(f"CyclicLR: expected step_size_up >= 1 and step_size_down >= 0, got {step_size_up} and {down}")
        if mode not in ("triangular", "triangular2", "exp_range") or scale_mode not in ("cycle", "iterations"):
            raise ValueError(
                f"CyclicLR: expected mode 'triangular', 'triangular2' or 'exp_range', scale_mode 'cycle' or 'iterations', got {mode!r}, {scale_mode!r}"
            )
        n = len(optimizer.param_groups)
        self.low, self.high = _each("CyclicLR", "base_lr", base_lr, n), _each("CyclicLR", "max_lr", max_lr, n)
        self.least, self.most = (
            _each("CyclicLR", k, v, n) for k, v in (("base_momentum", base_momentum), ("max_momentum", max_momentum))
        )
        self.total, self.share, self.gamma, self.mode = step_size_up + down, step_size_up / (step_size_up + down), gamma, mode
        self.scale_fn, self.by_cycle, self.cycle_momentum = scale_fn, scale_mode == "cycle", cycle_momentum
        self._check_momentum(optimizer)
        super().__init__(optimizer, last_epoch)

    def _height(self, t: int) -> float:
        cycle = math.floor(1 + t / self.total)
        x = 1 + t / self.total - cycle
        height = x / self.share if x <= self.share else (x - 1) / (self.share - 1)
        if self.scale_fn is not None:
            return height * self.scale_fn(cycle if self.by_cycle else t)
        return height * {"triangular": 1.0, "triangular2": 0.5 ** (cycle - 1), "exp_range": self.gamma**t}[self.mode]

    def rate(self, base: float, t: int, group: int) -> float:
        return self.low[group] + (self.high[group] - self.low[group]) * self._height(t)

    def momentum(self, t: int, group: int) -> float:
        return self.most[group] - (self.most[group] - self.least[group]) * self._height(t)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosines from base to eta_min over T_0 steps, then T_0 T_mult, T_0 T_mult^2, ... (Loshchilov and Hutter 2017, equation 5).

    >>> import whitewolf as ww
    >>> ww.optim.lr_scheduler.CosineAnnealingWarmRestarts(ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0), T_0=4).get_last_lr()
    [1.0]
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_0 < 1 or T_mult < 1:
            raise ValueError(f"CosineAnnealingWarmRestarts: expected T_0 >= 1 and T_mult >= 1, got {T_0} and {T_mult}")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: float, group: int) -> float:
        length = self.T_0
        if self.T_mult == 1:
            t %= length
        while t >= length:
            t, length = t - length, length * self.T_mult
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / length)) / 2

    def step(self, epoch: float | None = None) -> None:
        """Moves on by one step, or to `epoch`, which may lie between two.

        Raises:
            ValueError: it is negative.
        """
        if epoch is None:
            super().step()
            return
        if not epoch >= 0:
            raise ValueError(f"CosineAnnealingWarmRestarts: expected epoch >= 0, got {epoch}")
        self.last_epoch = math.floor(epoch)
        for i, group in enumerate(self.optimizer.param_groups):
            group["lr"] = self.rate(self.base_lrs[i], epoch, i)


class MultiplicativeLR(LRScheduler):
    """The rate of the step before, times lr_lambda(t); one function, or one for each group.

    Raises:
        ValueError: there are more or fewer functions than groups.

    >>> import whitewolf as ww
    >>> ww.optim.lr_scheduler.MultiplicativeLR(ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0), lambda t: 0.5).get_last_lr()
    [1.0]
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]], last_epoch: int = -1
    ) -> None:
        self.lr_lambdas = each_group("MultiplicativeLR", lr_lambda, optimizer)
        self.factors: list[float] = [g["lr"] / (g.get("initial_lr", g["lr"]) or 1.0) for g in optimizer.param_groups]
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * self.factors[group]

    def step(self) -> None:
        t = self.last_epoch + 1
        if t > 0:
            self.factors = [factor * f(t) for factor, f in zip(self.factors, self.lr_lambdas)]
        super().step()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"factors": list(self.factors)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a state_dict.

        Raises:
            ValueError: it is none of such a schedule.
        """
        self.factors = list(state_dict["factors"])
        super().load_state_dict(state_dict)


class SequentialLR(LRScheduler):
    """One schedule after the other: the next begins, at its step 0, where t reaches the next of the milestones.

    Args:
        schedulers: schedules over the optimizer.
        milestones: one fewer than they, in ascending order.

    Raises:
        ValueError: a schedule is over another optimizer, or the milestones are not one fewer.

    >>> import whitewolf as ww
    >>> optimizer = ww.optim.SGD([ww.ones(2, requires_grad=True)], lr=1.0)
    >>> warm = ww.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5)
    >>> ww.optim.lr_scheduler.SequentialLR(optimizer, [warm, ww.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)], [2]).get_last_lr()
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(f"SequentialLR: expected schedulers[{i}] to be an LRScheduler, got {type(scheduler).__name__}")
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"SequentialLR: expected schedulers[{i}] to be over the optimizer, got one over another")
        if len(milestones) != len(schedulers) - 1 or sorted(milestones) != list(milestones):
            raise ValueError(
                f"SequentialLR: expected milestones in ascending order, one fewer than the {len(schedulers)} schedulers, got {list(milestones)}"
            )
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer, last_epoch)

    def step(self) -> None:
        self.last_epoch += 1
        at = bisect_right(self.milestones, self.last_epoch)
        scheduler = self.schedulers[at]
        if self.last_epoch in (0, *self.milestones[at - 1 : at]):
            scheduler.last_epoch = -1
        scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a state_dict.

        Raises:
            ValueError: it is none of as many schedules.
        """
        given = state_dict["schedulers"]
        if len(given) != len(self.schedulers):
            raise ValueError(f"SequentialLR: expected state_dict of {len(self.schedulers)} schedulers, got one of {len(given)}")
        self.last_epoch, self.base_lrs = int(state_dict["last_epoch"]), list(state_dict["base_lrs"])
        active = bisect_right(self.milestones, self.last_epoch)
        for i, scheduler in enumerate(self.schedulers):
            if i != active:
                scheduler.load_state_dict(given[i])
        self.schedulers[active].load_state_dict(given[active])  # last: its rate is the one in force
