"""Games that show pixels: Catch, built in, and Atari 2600 games through the Arcade Learning Environment.

A game is several copies of itself, played side by side. `frames()` are their pictures, uint8 [copies, height, width]; `step(actions,
rng)` returns the rewards and which episodes ended, and begins a new episode where one did.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Array


class Catch:
    """A ball falls, drifting and bouncing off the walls; a paddle of three pixels must be under it when it lands.

    The reward is 1 for a ball that is caught and -1 for one that is missed, at the end of the episode; 0 before. One frame does not
    tell which way the ball drifts. After the game of Mnih, Heess, Graves and Kavukcuoglu 2014, section 4.2.
    """

    size = 16
    actions = 3  # left, stay, right

    def __init__(self, copies: int, rng: np.random.Generator) -> None:
        self.copies = copies
        self.ball_x, self.ball_y, self.drift, self.paddle = np.zeros((4, copies), np.int64)
        self._begin(np.arange(copies), rng)

    def _begin(self, which: Array, rng: np.random.Generator) -> None:
        self.ball_x[which] = rng.integers(0, self.size, len(which))
        self.drift[which] = rng.integers(-1, 2, len(which))
        self.paddle[which] = rng.integers(1, self.size - 1, len(which))
        self.ball_y[which] = 0

    def frames(self) -> Array:
        found = np.zeros((self.copies, self.size, self.size), np.uint8)
        every = np.arange(self.copies)
        found[every, self.ball_y, self.ball_x] = 255
        for part in (-1, 0, 1):
            found[every, self.size - 1, self.paddle + part] = 255
        return found

    def step(self, actions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        self.paddle = np.clip(self.paddle + actions - 1, 1, self.size - 2)
        moved = self.ball_x + self.drift
        self.drift = np.where((moved < 0) | (moved >= self.size), -self.drift, self.drift)
        self.ball_x = np.clip(self.ball_x + self.drift, 0, self.size - 1)
        self.ball_y = self.ball_y + 1
        ended = self.ball_y == self.size - 1
        caught = np.abs(self.ball_x - self.paddle) <= 1
        rewards = np.where(ended, np.where(caught, 1.0, -1.0), 0.0).astype(np.float32)
        self._begin(np.flatnonzero(ended), rng)
        return rewards, ended

    def state_dict(self) -> dict[str, Any]:
        return {"ball_x": self.ball_x, "ball_y": self.ball_y, "drift": self.drift, "paddle": self.paddle}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in ("ball_x", "ball_y", "drift", "paddle"):
            setattr(self, name, np.array(state[name].numpy()))


class Atari:
    """A game of the Atari 2600, as Mnih and others 2015 show it ("Methods: preprocessing").

    Each action is held for 4 frames, and the picture is the brighter of the last two at each pixel, for sprites flicker; brightness
    alone, scaled to 84 x 84; rewards by their sign; up to 30 frames of doing nothing at the start.

    Args:
        name: one of the ROMs that ale-py carries, such as "pong" or "breakout".

    Raises:
        ImportError: ale-py is not installed.
        ValueError: there is no such game.
    """

    size = 84

    def __init__(self, copies: int, rng: np.random.Generator, name: str) -> None:
        try:
            import ale_py
            from ale_py import roms
        except ImportError:
            raise ImportError("dqn: Atari games need ale-py, which is not installed: pip install 'whitewolf[ale]'") from None
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        if name not in roms.get_all_rom_ids():
            raise ValueError(f"dqn: expected --game to be catch or a ROM of ale-py such as pong, got {name!r}")
        self.copies, self.scores = copies, np.zeros(copies)
        self.machines: list[Any] = []
        path: Any = roms.get_rom_path(name)
        for _ in range(copies):
            machine = ale_py.ALEInterface()
            machine.setInt("random_seed", int(rng.integers(1, 2**31)))
            machine.setFloat("repeat_action_probability", 0.0)
            machine.loadROM(path)
            self.machines.append(machine)
        self.legal = self.machines[0].getMinimalActionSet()
        self.actions = len(self.legal)
        self.shown = np.zeros((copies, self.size, self.size), np.uint8)
        for copy in range(copies):
            self._begin(copy, rng)

    def _begin(self, copy: int, rng: np.random.Generator) -> None:
        machine = self.machines[copy]
        machine.reset_game()
        self.scores[copy] = 0
        for _ in range(int(rng.integers(0, 31))):
            machine.act(self.legal[0])
        screen = machine.getScreenGrayscale()
        self.shown[copy] = self._scaled(screen)

    def _scaled(self, screen: Array) -> Array:
        from PIL import Image

        return np.asarray(Image.fromarray(screen).resize((self.size, self.size), Image.Resampling.BILINEAR))

    def frames(self) -> Array:
        return self.shown.copy()

    def step(self, actions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        rewards, ended = np.zeros(self.copies, np.float32), np.zeros(self.copies, np.bool_)
        for copy, machine in enumerate(self.machines):
            gained, screens = 0.0, []
            for _ in range(4):
                gained += machine.act(self.legal[int(actions[copy])])
                screens.append(machine.getScreenGrayscale())
                if machine.game_over():
                    break
            self.scores[copy] += gained
            rewards[copy], ended[copy] = np.sign(gained), machine.game_over()
            if ended[copy]:
                self._begin(copy, rng)
            else:
                self.shown[copy] = self._scaled(np.maximum(screens[-1], screens[-2]))
        return rewards, ended

    def state_dict(self) -> dict[str, Any]:
        states = [machine.cloneState(include_rng=True).serialize() for machine in self.machines]
        emulators = {str(copy): np.frombuffer(state, np.uint8) for copy, state in enumerate(states)}
        return {"emulators": emulators, "shown": self.shown, "scores": self.scores}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        from ale_py import ALEState

        for copy, machine in enumerate(self.machines):
            machine.restoreState(ALEState(state["emulators"][str(copy)].numpy().tobytes()))
        self.shown, self.scores = (np.array(state[name].numpy()) for name in ("shown", "scores"))
