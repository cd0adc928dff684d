"""Experience replay (Mnih and others 2015, "Methods: training algorithm"): the last frames of several games, and what was done."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Array

STACK = 4  # frames that make a state: one does not show what moves where


class Replay:
    """A ring of the last `length` steps of each of `copies` games.

    Each frame is kept once; a state is the frame of its time and the three before, black where the episode had not begun.
    """

    def __init__(self, length: int, copies: int, size: int) -> None:
        self.pictures = np.zeros((length, copies, size, size), np.uint8)
        self.actions = np.zeros((length, copies), np.int64)
        self.rewards = np.zeros((length, copies), np.float32)
        self.ended = np.zeros((length, copies), np.bool_)
        self.ages = np.zeros((length, copies), np.int64)  # steps since the episode began
        self.count = 0  # steps that were ever added

    def begin(self, frames: Array) -> None:
        """The first frames; each `add` then says what was done at the last ones and what came of it."""
        self.pictures[self.count % len(self.actions)] = frames

    def add(self, actions: Array, rewards: Array, ended: Array, frames: Array) -> None:
        """What was done at the last frames, what it brought, whether the episode ended by it, and the frames after it."""
        here, there = self.count % len(self.actions), (self.count + 1) % len(self.actions)
        self.actions[here], self.rewards[here], self.ended[here] = actions, rewards, ended
        self.pictures[there], self.ages[there] = frames, np.where(ended, 0, self.ages[here] + 1)
        self.count += 1

    def _stacks(self, times: Array, copies: Array) -> Array:
        slots = (times[:, None] - np.arange(STACK - 1, -1, -1)) % len(self.actions)
        found = self.pictures[slots, copies[:, None]]
        before = np.arange(STACK - 1, -1, -1) > self.ages[times % len(self.actions), copies][:, None]
        found[before] = 0
        return found

    def state(self) -> Array:
        """The states of all games now: uint8 [copies, 4, size, size]."""
        copies = self.actions.shape[1]
        return self._stacks(np.full(copies, self.count), np.arange(copies))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array, Array, Array]:
        """n steps, each as likely as any other: states, actions, rewards, states after them, and 1 where the episode went on."""
        length, copies = self.actions.shape
        oldest = max(0, self.count - length + STACK)
        times, which = rng.integers(oldest, self.count, n), rng.integers(0, copies, n)
        slots = times % length
        went_on = (~self.ended[slots, which]).astype(np.float32)
        states, after = self._stacks(times, which), self._stacks(times + 1, which)
        return states, self.actions[slots, which], self.rewards[slots, which], after, went_on

    def state_dict(self) -> dict[str, Any]:
        arrays = {name: getattr(self, name) for name in ("pictures", "actions", "rewards", "ended", "ages")}
        return arrays | {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in ("pictures", "actions", "rewards", "ended", "ages"):
            setattr(self, name, np.array(state[name].numpy()))
        self.count = state["count"]
