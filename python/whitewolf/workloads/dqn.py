"""DQN: a ConvNet that learns from pixels and rewards alone which action is worth what (Mnih and others, "Human-level control through
deep reinforcement learning", Nature 2015; "The future of deep learning" in the 2015 paper).

The game is Catch, built in; --game NAME is an Atari game through ale-py, with the network and the screens of the Nature paper. The
frames of several copies of the game go to one replay memory; each step plays one action in each copy and learns from one batch.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..device import Array
from ..ops.creation import asarray
from .frame import Task, Workload
from .games import Atari, Catch
from .replay import STACK, Replay

COPIES = 4  # of the game: with one update for each of their steps, the 4 actions for one update of the paper
EXPLORE = 0.25  # of all steps, in which the part of random actions falls from all of them to LEAST
LEAST = 0.05
DISCOUNT = {"catch": 0.95, "atari": 0.99}


def q_network(size: int, actions: int) -> Any:
    """The values of all actions from 4 frames: the network of the paper's figure 1 for 84 x 84, a smaller one for smaller screens."""
    from .. import nn

    if size == 84:
        layers = [(32, 8, 4), (64, 4, 2), (64, 3, 1)]
        hidden = 512
    else:
        layers, hidden = [(16, 4, 2), (32, 3, 2)], 128
    net, channels, side = nn.Sequential(), STACK, size
    for filters, width, stride in layers:
        net.extend([nn.Conv2d(channels, filters, width, stride=stride), nn.ReLU()])
        channels, side = filters, (side - width) // stride + 1
    net.extend([nn.Flatten(), nn.Linear(channels * side * side, hidden), nn.ReLU(), nn.Linear(hidden, actions)])
    return net


def bellman_loss(net: Any, target: Any, discount: float, batch: tuple[Any, ...]) -> Any:
    """Huber's loss of Q(s, a) - (r + discount max_b Q'(s', b)), Q' the target network: the error's slope is clipped to [-1, 1].

    Args:
        batch: tensors: states and states after, float [N, 4, H, W]; actions, int64 [N]; rewards and whether the episode went on, [N].
    """
    from ..nn.functional import smooth_l1_loss
    from ..ops.indexing import take_along_axis

    states, actions, rewards, after, went_on = batch
    with no_grad():
        goals = rewards + discount * went_on * target(after).max(axis=1)
    values = take_along_axis(net(states), actions.reshape((-1, 1)), axis=1).reshape((-1,))
    return smooth_l1_loss(values, goals)


class _DQNTask(Task):
    """Q-learning with experience replay and a target network, in the order of the paper's algorithm 1."""

    unit = "frames"

    def prepare(self, game: Any, target: Any, replay: Replay, options: argparse.Namespace, every: int, batch: int) -> None:
        self.game, self.target, self.replay = game, target, replay
        self.seed, self.device, self.every, self.batch = options.seed, options.device, every, batch
        self.discount = DISCOUNT["catch" if options.game == "catch" else "atari"]
        self.updates = 0
        self.new_game: Any = None

    def tensor(self, array: Array) -> Any:
        return asarray(array.astype(np.float32) / 255 if array.dtype == np.uint8 else array, device=self.device)

    def values(self, states: Array) -> Array:
        with no_grad():
            found: Array = self.model(self.tensor(states)).numpy()
        return found

    def act(self, explore: float, rng: np.random.Generator) -> None:
        """One action in each copy of the game: a random one with probability `explore`, else the one of the highest value."""
        drawn = rng.integers(0, self.game.actions, self.game.copies)
        if explore < 1:
            greedy = self.values(self.replay.state()).argmax(axis=1)
            drawn = np.where(rng.random(self.game.copies) < explore, drawn, greedy)
        rewards, ended = self.game.step(drawn, rng)
        self.replay.add(drawn, rewards, ended, self.game.frames())

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        # The numbers of a step depend on seed and step alone.
        rng = np.random.Generator(np.random.Philox(key=np.array([self.seed, self.updates + 1], np.uint64)))
        sampled = tuple(self.tensor(part) for part in self.replay.sample(self.batch, rng))
        loss = self.learn(bellman_loss(self.model, self.target, self.discount, sampled))
        self.act(1 - (1 - LEAST) * min(1.0, fraction / EXPLORE), rng)
        self.updates += 1
        if self.updates % self.every == 0:
            self.target.load_state_dict(self.model.state_dict())
        return loss * self.game.copies, None, self.game.copies

    def play(self, copies: int, explore: float) -> tuple[Array, list[tuple[Array, Array]]]:
        """The returns of one episode in each of so many copies; and frames and values of the first one."""
        rng = np.random.Generator(np.random.Philox(key=np.array([self.seed, 2**63], np.uint64)))
        game = self.new_game(copies, rng)
        memory = Replay(STACK + 1, copies, game.size)
        memory.begin(game.frames())
        returns, open_, strip = np.zeros(copies), np.ones(copies, np.bool_), []
        while open_.any():
            states = memory.state()
            values = self.values(states)
            if open_[0]:
                strip.append((states[0, -1], values[0]))
            random = rng.random(copies) < explore
            actions = np.where(random, rng.integers(0, game.actions, copies), values.argmax(axis=1))
            before = getattr(game, "scores", np.zeros(copies)).copy()
            rewards, ended = game.step(actions, rng)
            gained = rewards if isinstance(game, Catch) else game.scores - before
            returns += np.where(open_ & ~ended | isinstance(game, Catch) & open_, gained, 0)
            open_ &= ~ended
            memory.add(actions, rewards, ended, game.frames())
        return returns, strip

    def evaluate(self) -> dict[str, float]:
        if isinstance(self.game, Catch):
            returns, _ = self.play(1000, 0.0)
            return {"caught": float((returns > 0).mean())}
        returns, _ = self.play(4, LEAST)
        return {"score": float(returns.mean())}

    def state_dict(self) -> dict[str, Any]:
        target = {name: value.numpy() for name, value in self.target.state_dict().items()}
        return {"updates": self.updates, "target": target, "game": self.game.state_dict(), "replay": self.replay.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        self.target.load_state_dict(state["target"])
        self.game.load_state_dict(state["game"])
        self.replay.load_state_dict(state["replay"])

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        from . import plots

        metric = "caught" if "caught" in history[-1] else "score"
        panels: plots.Panels = {"loss": {"learning": lambda e: e["loss"]}, metric: {"greedy": lambda e: e[metric]}}
        return [plots.curves(history, folder / "curves.png", panels), self.filmstrip(folder / "filmstrip.png")]

    def filmstrip(self, path: Path) -> Path:
        """One episode: eight of its frames, and under them the value of each action at each time."""
        from . import plots

        _, strip = self.play(1, 0.0 if isinstance(self.game, Catch) else LEAST)
        page = plots.figure(10, 3.4)
        above, below = page.subfigures(2, 1, height_ratios=(1, 1.3))
        shown = np.linspace(0, len(strip) - 1, 8).astype(int)
        for axes, at in zip(above.subplots(1, 8), shown):
            axes.imshow(strip[at][0], cmap="gray", vmin=0, vmax=255)
            axes.set_title(f"step {at}", fontsize=8)
            axes.axis("off")
        axes = below.subplots()
        names = ("left", "stay", "right") if isinstance(self.game, Catch) else [f"action {i}" for i in range(self.game.actions)]
        for action, name in enumerate(names):
            axes.plot([values[action] for _, values in strip], label=name)
        axes.set_xlabel("step")
        axes.set_ylabel("value")
        axes.legend(fontsize=7)
        page.savefig(path, dpi=120)
        return path


class DQN(Workload):
    """See the top of this file."""

    name = "dqn"
    summary = "a ConvNet that learns a game from pixels and rewards"
    paper = "Mnih and others 2015; Deep Learning (2015), 'The future of deep learning'"
    data = "Catch, built in; Atari games with --game and ale-py"
    metric = "caught"
    target = 0.95

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--game", default="catch", metavar="NAME", help="catch (default), or a ROM of ale-py: pong, breakout, ..."
        )
        parser.add_argument("--memory", type=int, metavar="N", help="frames kept for replay (default 20,000; Atari 100,000)")

    def goal(self, options: argparse.Namespace) -> tuple[str, float | None, bool]:
        if options.game != "catch":
            return "score", None, True
        return self.metric, 0.8 if options.quick else self.target, True

    def setup(self, options: argparse.Namespace) -> Task:
        import whitewolf as ww

        if options.data:
            raise ValueError("dqn: expected no --data: a game makes its own; --game names it")
        catch = options.game == "catch"
        rng = np.random.Generator(np.random.Philox(key=np.array([options.seed, 0], np.uint64)))
        new_game: Any = Catch if catch else lambda copies, rng: Atari(copies, rng, options.game)
        game = new_game(COPIES, rng)
        memory = options.memory or (20_000 if catch else 100_000)
        least = 100 * COPIES
        if memory < least:
            raise ValueError(f"dqn: expected --memory >= {least}, got {memory}")
        steps = 1000 if catch else 10_000  # between two evaluations
        epochs = options.epochs or (8 if options.quick else 12 if catch else 25)
        batch, lr = options.batch_size or 32, options.lr or (1e-3 if catch else 2.5e-4)
        model, target = (q_network(game.size, game.actions).to(options.device) for _ in range(2))
        target.load_state_dict(model.state_dict())
        # The paper's table of hyperparameters: squared gradients are averaged around their mean, and 0.01 is added; the gradients
        # of Catch, with one reward in 15 steps, are smaller than that.
        optimizer = ww.optim.RMSprop(model.parameters(), lr=lr, alpha=0.95, eps=1e-4 if catch else 0.01, centered=True)
        loader = ww.data.DataLoader(ww.data.TensorDataset(np.zeros(steps, np.int8)), 1, seed=options.seed)
        data = f"the game {options.game}, {game.size} x {game.size} pixels, {STACK} frames, {game.actions} actions"
        settings = {"data": data, "epochs": epochs, "batch_size": batch, "lr": lr, "seed": options.seed, "memory": memory}
        facts = {"game": options.game, "batch_size": batch, "lr": lr, "memory": memory, "copies": COPIES, "quick": options.quick}
        task = _DQNTask(model, optimizer, loader, epochs, data, settings, facts)
        task.prepare(game, target, Replay(memory // COPIES, COPIES, game.size), options, every=100 if catch else 2500, batch=batch)
        task.new_game = new_game
        task.replay.begin(game.frames())
        for _ in range(least // COPIES // 2 if catch else 1000):
            task.act(1.0, rng)
        return task


WORKLOAD = DQN()
