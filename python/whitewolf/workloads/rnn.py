"""Why plain recurrent nets forget: gradient norms against lag, and the adding problem with RNN, LSTM and GRU.

A sequence holds T numbers of U(0, 1) and T marks, two of which are 1, one in each half; wanted is the sum of the two marked numbers
(Hochreiter and Schmidhuber 1997, section 5.4). Answering 1 always has a mean squared error of 1/6. A gradient that goes back k steps
is multiplied by k Jacobians: it vanishes or explodes with k (Pascanu, Mikolov and Bengio 2013, arXiv 1211.5063, section 2); an LSTM's
cell carries it on. Explosions are held by clipping the gradient's norm (their algorithm 1): the plain net learns with and without it.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import grad, no_grad
from ..nn import GRU, LSTM, RNN, GRUCell, Linear, LSTMCell, Module, ModuleDict, RNNCell
from ..nn import functional as F
from ..nn.utils import clip_grad_norm_
from ..tensor import Tensor
from . import plots
from .finite import NotFinite
from .frame import Task, Workload
from .generated import generated, held_out

CLIP = 1.0
UNSOLVED = 0.1  # mean squared error; the plain net is to fail where the LSTM does not
LARGE = 3.0  # U(-b, b), b = 1 / sqrt(U), has a spectral radius of about 0.58: three times that is beyond 1
_NETS: dict[str, tuple[Any, Any, float]] = {  # layer, its cell, what its gradient's norm is clipped to
    "rnn": (RNN, RNNCell, CLIP),
    "rnn_unclipped": (RNN, RNNCell, math.inf),
    "lstm": (LSTM, LSTMCell, CLIP),
    "gru": (GRU, GRUCell, CLIP),
}


def adding(rng: np.random.Generator, n: int, lag: int) -> tuple[Any, Any]:
    """`n` sequences [T, N, 2] of T = `lag` numbers and marks, and the sums [N] of the two marked numbers."""
    x = np.zeros((lag, n, 2), np.float32)
    x[:, :, 0] = rng.random((lag, n))
    rows = np.arange(n)
    first, second = rng.integers(0, lag // 2, n), rng.integers(lag // 2, lag, n)
    x[first, rows, 1] = x[second, rows, 1] = 1
    return x, x[first, rows, 0] + x[second, rows, 0]


class Adder(Module):
    """A recurrent layer, and a linear reading of its last state."""

    def __init__(self, layer: Any, cell: Any, units: int) -> None:
        super().__init__()
        self.layer, self.read = layer(2, units), Linear(units, 1)
        self.cell_type, self.units = cell, units
        if layer is LSTM:  # the forget gates start open (Gers et al. 2000; Jozefowicz et al. 2015)
            with no_grad():
                self.layer.bias_ih_l0[units : 2 * units] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """x: float32 [T, N, 2]; returns [N]."""
        out, _ = self.layer(x)
        answers: Tensor = self.read(out[-1])[:, 0]
        return answers

    def gradients(self, x: Tensor, y: Tensor) -> list[float]:
        """The norm of the loss's gradient with respect to the states k steps before the end, k = 0, 1, ..., T - 1."""
        cell = self.cell_type(2, self.units)
        cell.load_state_dict({name.removesuffix("_l0"): w for name, w in self.layer.state_dict().items()})
        cell.to(x.device)
        states: Any = None
        seen = []
        for t in range(x.shape[0]):
            states = cell(x[t], states)
            seen.append(states if isinstance(states, Tensor) else states[0])
        loss = F.mse_loss(self.read(seen[-1])[:, 0], y)
        found = grad(loss, seen)
        return [float(np.linalg.norm(g.numpy().astype(np.float64))) for g in reversed(found)]  # squares leave float32's range


class AddingTask(Task):
    """All nets on the same sequences, each by its own gradient."""

    unit = "sequences"
    test: list[Any]
    norms: dict[str, list[float]]  # of the gradient at each step, before clipping
    first: dict[str, list[float]]  # gradient norms against lag before the first step

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        x, y = batch
        if not self.first:
            self.first = self.against_lag() | {f"rnn, recurrent weights x {LARGE:g}": self.exploding()}
        for group in self.optimizer.param_groups:
            group["lr"] = self.facts["lr"] * (1 - fraction) ** 0.5
        losses = {name: F.mse_loss(net(x), y) for name, net in self.model.items()}
        self.optimizer.zero_grad()
        norms = {}
        for name, net in self.model.items():
            losses[name].backward()
            norms[name] = float(clip_grad_norm_(net.parameters(), _NETS[name][2]))
            if not math.isfinite(norms[name]):
                raise NotFinite(f"a finite gradient of {name}, got norm {norms[name]}")
        self.optimizer.step()
        for name, norm in norms.items():
            self.norms[name].append(norm)
        return losses["lstm"].item() * len(y), None, len(y)

    def state_dict(self) -> dict[str, Any]:
        return {"norms": self.norms, "first": self.first}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.norms, self.first = state["norms"], state["first"]

    def against_lag(self) -> dict[str, list[float]]:
        """Gradient norms of each net against lag."""
        import whitewolf as ww

        x, y = (ww.asarray(part[..., :20, :] if part.ndim == 3 else part[:20], device=self.device) for part in self.test[0])
        return {name: net.gradients(x, y) for name, net in self.model.items()}

    def exploding(self) -> list[float]:
        """The same of the plain net with recurrent weights so large that its gradient grows with lag."""
        import whitewolf as ww

        large = Adder(RNN, RNNCell, self.model["rnn"].units)
        large.load_state_dict(self.model["rnn"].state_dict())
        with no_grad():
            large.layer.weight_hh_l0 *= LARGE
        x, y = (ww.asarray(part[..., :20, :] if part.ndim == 3 else part[:20]) for part in self.test[0])
        return large.gradients(x, y)

    @property
    def device(self) -> Any:
        return self.model["rnn"].read.weight.device

    def evaluate(self) -> dict[str, float]:
        import whitewolf as ww

        found = dict.fromkeys(self.model.keys(), 0.0)
        with no_grad():
            for batch in self.test:
                x, y = (ww.asarray(part, device=self.device) for part in batch)
                for name, net in self.model.items():
                    found[name] += F.mse_loss(net(x), y).item() / len(self.test)
        return {f"{name}_mse": value for name, value in found.items()}

    def report(self) -> list[str]:
        lags = [k for k in (0, 1, 5, 10, 20, 50, 100, 200) if k < len(self.test[0][0])]
        lines = ["norm of the gradient k steps before the end", "k".rjust(28) + "".join(f"{k:>10}" for k in lags)]
        for when, norms in (("", self.first), (", end", self.against_lag())):
            lines += [(name + when).rjust(28) + "".join(f"{values[k]:10.1e}" for k in lags) for name, values in norms.items()]
        return lines

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        lines: dict[str, Any] = {name: (lambda e, name=name: e[f"{name}_mse"]) for name in _NETS}
        page = plots.figure(13, 3.8)
        left, middle, right = page.subplots(1, 3)
        for axes, title, norms in ((left, "before training", self.first), (middle, "after training", self.against_lag())):
            for name, values in norms.items():
                axes.plot([v or math.nan for v in values], label=name)  # too small for float32: no line
            axes.set(xlabel="lag", ylabel="gradient norm", yscale="log", title=title)
            axes.legend()
        for name in ("rnn", "rnn_unclipped"):
            right.plot(self.norms[name], label=name, alpha=0.7, linewidth=0.7)
        right.axhline(CLIP, color="black", linewidth=0.7, label="clipped to")
        right.set(xlabel="step", ylabel="gradient norm before clipping", yscale="log")
        right.legend()
        page.savefig(folder / "gradients.png", dpi=120)
        return [folder / "gradients.png", plots.curves(history, folder / "curves.png", {"mean squared error": lines})]


class Recurrent(Workload):
    """See the top of this file."""

    name = "rnn"
    summary = "gradients that vanish and explode, and the adding problem with RNN, LSTM and GRU"
    paper = "Pascanu, Mikolov and Bengio 2013; Hochreiter and Schmidhuber 1997"
    data = "the adding problem, generated"
    metric = "lstm_mse"
    target = 0.01
    larger_is_better = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--lag", type=int, metavar="T", help="length of the sequences (default 100; 40 with --quick)")

    def also(self, figures: dict[str, Any]) -> bool:
        return bool(figures["rnn_mse"] > UNSOLVED)

    def setup(self, options: argparse.Namespace) -> Task:
        import whitewolf as ww

        if options.data:
            raise ValueError(f"train: expected no --data, since rnn generates its sequences, got {options.data}")
        lag, units, steps, epochs = (40, 32, 250, 5) if options.quick else (100, 64, 400, 10)
        lag = options.lag if options.lag is not None else lag
        if lag < 2:
            raise ValueError(f"train: expected --lag >= 2, got {lag}")
        n, epochs, lr = options.batch_size or 50, options.epochs or epochs, options.lr or 4e-3
        model = ModuleDict({name: Adder(layer, cell, units) for name, (layer, cell, _) in _NETS.items()})
        model["rnn_unclipped"].load_state_dict(model["rnn"].state_dict())  # clipping is all that differs
        model.to(options.device)
        loader = generated(lambda rng: adding(rng, n, lag), steps, options.seed, options.device)
        data = f"the adding problem at lag {lag}, generated: {steps * n:,} sequences an epoch, 1,000 held out"
        settings = {"data": data, "epochs": epochs, "batch_size": n, "lr": lr, "seed": options.seed, "units": units}
        facts = {**settings, "clip": CLIP, "quick": options.quick}
        task = AddingTask(model, ww.optim.Adam(model.parameters(), lr=lr), loader, epochs, data, settings, facts)
        task.test = held_out(lambda rng: adding(rng, 200, lag), 5, options.seed)
        task.norms, task.first = {name: [] for name in _NETS}, {}
        return task


WORKLOAD = Recurrent()
