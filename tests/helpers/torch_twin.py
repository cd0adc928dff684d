"""A workload's task and its twin in PyTorch, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

STEPS, AGREE = 30, 1e-9


def follow(
    task: Any, twin: Any, clip: float | None, scale: Callable[[Any], float] = lambda *batch: 1, adam: bool = True, model: Any = None
) -> None:
    """Gives the twin the task's weights (in float64) and batches, and asserts that the losses of the first steps agree.

    Args:
        twin: a module that returns the mean loss of a batch, whose state_dict has the names of the model's.
        scale: what the loss is multiplied by for the gradient, of the batch's first part.
        adam: else plain SGD; the rate of each step is what the task set.
        model: the part of the task's model that is the twin's; all of it unless given.
    """
    own = task.model if model is None else model
    torch.set_num_threads(1)
    twin.double()
    twin.load_state_dict({name: torch.tensor(w.numpy()) for name, w in own.state_dict().items()})
    make = torch.optim.Adam if adam else torch.optim.SGD
    optimizer = make(twin.parameters(), lr=1.0)
    taken = 0
    task.model.train()
    while taken < STEPS:
        for batch in task.loader:
            loss, _, samples = task.step(batch, taken / 100)
            for group in optimizer.param_groups:
                group["lr"] = task.optimizer.param_groups[0]["lr"]
            theirs = twin(*(torch.tensor(np.array(part.numpy())) if hasattr(part, "numpy") else part for part in batch))
            optimizer.zero_grad()
            (theirs * scale(batch[0])).backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(twin.parameters(), clip)
            optimizer.step()
            assert abs(loss / samples - theirs.item()) <= AGREE, f"step {taken}"
            taken += 1
            if taken == STEPS:
                break
