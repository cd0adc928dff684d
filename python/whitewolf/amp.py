"""Mixed-precision training: `ww.precision("float16")` for the products, and a loss that is scaled so that gradients survive it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ._named import check_methods
from ._precision import run_step
from .autograd import no_grad
from .dtypes import float16
from .nn.utils import _alike
from .ops._common import check_count, check_flag, check_number
from .optim import Optimizer
from .tensor import Tensor


class GradScaler:
    """Scales the loss so that small gradients do not vanish in float16, and adapts the factor (Micikevicius et al. 2018, section 3.2).

    Gradients are divided by the scale before the optimizer sees them. A step whose gradients are infinite or NaN is left out and the
    scale falls by backoff_factor; after growth_interval steps in a row that were done it rises by growth_factor.

    Args:
        device: taken for the sake of code written for PyTorch; gradients may be on any.
        init_scale: the first scale.
        growth_factor: > 1.
        backoff_factor: in (0, 1).
        growth_interval: steps, >= 1.
        enabled: without it, nothing is scaled and every step is done.

    Raises:
        ValueError: a factor is out of range.

    >>> import whitewolf as ww
    >>> w = ww.tensor([1.0], requires_grad=True)
    >>> optimizer, scaler = ww.optim.SGD([w], lr=0.5), ww.amp.GradScaler(init_scale=1024.0)
    >>> with ww.precision("float16"):
    ...     loss = (w.reshape(1, 1) @ w.reshape(1, 1)).sum()
    >>> scaler.scale(loss).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> w.tolist(), scaler.get_scale()
    ([0.0], 1024.0)
    """

    def __init__(
        self,
        device: Any = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._enabled = check_flag("GradScaler", "enabled", enabled)
        for name, value in (("init_scale", init_scale), ("growth_factor", growth_factor), ("backoff_factor", backoff_factor)):
            check_number("GradScaler", name, value)
        if not (init_scale > 0 and math.isfinite(init_scale)):
            raise ValueError(f"GradScaler: expected init_scale to be positive and finite, got {init_scale}")
        self._scale = float(init_scale)
        self._growth_tracker = 0
        self.set_growth_factor(growth_factor)
        self.set_backoff_factor(backoff_factor)
        self.set_growth_interval(growth_interval)
        # For each optimizer since the last update: whether its gradients were finite when they were unscaled, and whether it stepped.
        self._finite: dict[int, bool] = {}
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """The outputs times the scale: a tensor, or a list or tuple of them.

        Raises:
            TypeError: something else.
        """
        if isinstance(outputs, Tensor):
            return outputs * self._scale if self._enabled else outputs
        if isinstance(outputs, Iterable) and not isinstance(outputs, (str, bytes, dict)):
            found = [self.scale(output) for output in outputs]
            return tuple(found) if isinstance(outputs, tuple) else found
        raise TypeError(f"GradScaler.scale: expected outputs to be a Tensor or a sequence of them, got {type(outputs).__name__}")

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divides the gradients of the optimizer's parameters by the scale, in place: for clipping them before `step`.

        Raises:
            RuntimeError: they were divided already since the last `update`.
            TypeError: a gradient is of float16, which underflows without the scale: keep parameters in float32.
        """
        if not self._enabled:
            return
        self._check(optimizer, "unscale_")
        key = id(optimizer)
        if key in self._stepped:
            raise RuntimeError("GradScaler.unscale_: expected a call before step, got one after it; call update first")
        if key in self._finite:
            raise RuntimeError("GradScaler.unscale_: expected one call for an optimizer since the last update, got a second")
        given = [p.grad.detach() for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        for grad in given:
            if grad.dtype == float16:
                raise TypeError(
                    "GradScaler.unscale_: expected gradients that hold what is divided by the scale (float32, float64, bfloat16), got float16"
                )
        with no_grad():
            for device, arrays in _alike(given):
                run_step(device, "scale_step", arrays, factor=1 / self._scale)
        for grad in given:
            grad._overwritten()
        self._finite[key] = all(bool(grad.device.xp.isfinite(grad._data).all()) for grad in given)

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(...)` with unscaled gradients, and its result; None, and no step, where one is infinite or NaN.

        Raises:
            RuntimeError: a second call for this optimizer since the last `update`.
            ValueError: a closure is given, which would compute gradients behind the scaler's back.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        self._check(optimizer, "step")
        if "closure" in kwargs or args:
            raise ValueError("GradScaler.step: expected no closure, which would compute gradients without the scale, got one")
        key = id(optimizer)
        if key in self._stepped:
            raise RuntimeError("GradScaler.step: expected one call for an optimizer since the last update, got a second")
        if key not in self._finite:
            self.unscale_(optimizer)
        self._stepped.add(key)
        return optimizer.step() if self._finite[key] else None

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapts the scale after the steps of all optimizers, or sets it.

        Raises:
            RuntimeError: no gradients were unscaled since the last call.
            ValueError: the new scale is not positive and finite.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            value = float(new_scale)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"GradScaler.update: expected new_scale to be positive and finite, got {value}")
            self._scale = value
        elif not self._finite:
            raise RuntimeError("GradScaler.update: expected new_scale, or a step or unscale_ since the last update, got none")
        elif not all(self._finite.values()):
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                grown = self._scale * self._growth_factor
                # Beyond float32, the loss itself would become infinite.
                self._scale = grown if grown < 2.0**128 else self._scale
                self._growth_tracker = 0
        self._finite, self._stepped = {}, set()

    @staticmethod
    def _check(optimizer: Any, method: str) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"GradScaler.{method}: expected optimizer to be an Optimizer, got {type(optimizer).__name__}")

    def get_scale(self) -> float:
        """The scale; 1 where the scaler is not enabled."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        return self._enabled

    def get_growth_factor(self) -> float:
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        if not new_factor > 1:
            raise ValueError(f"GradScaler: expected growth_factor > 1, got {new_factor}")
        self._growth_factor = float(new_factor)

    def get_backoff_factor(self) -> float:
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        if not 0 < new_factor < 1:
            raise ValueError(f"GradScaler: expected backoff_factor in (0, 1), got {new_factor}")
        self._backoff_factor = float(new_factor)

    def get_growth_interval(self) -> int:
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        self._growth_interval = check_count("GradScaler", "growth_interval", new_interval, 1)

    def state_dict(self) -> dict[str, Any]:
        """PyTorch's form; empty where the scaler is not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` gave, here or in PyTorch; nothing where the scaler is not enabled.

        Raises:
            ValueError: something is missing: it comes from a scaler that was not enabled.
        """
        if not self._enabled:
            return
        missing = sorted(self.state_dict().keys() - state_dict.keys())
        if missing:
            raise ValueError(
                f"GradScaler.load_state_dict: expected state_dict of an enabled scaler, got none of {', '.join(missing)}"
            )
        self.set_growth_factor(state_dict["growth_factor"])
        self.set_backoff_factor(state_dict["backoff_factor"])
        self.set_growth_interval(state_dict["growth_interval"])
        self._scale, self._growth_tracker = float(state_dict["scale"]), int(state_dict["_growth_tracker"])


check_methods(
    GradScaler,
    methods=("__init__", "load_state_dict", "scale", "update", "set_backoff_factor", "set_growth_factor", "set_growth_interval"),
)

__all__ = ["GradScaler"]
