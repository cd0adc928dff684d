"""An LSTM that predicts the next symbol of a text: Zaremba, Sutskever and Vinyals 2014 (arXiv 1409.2329), and Karpathy's char-rnn.

The text is cut into N streams that are read side by side, T symbols at a time; the states go on from window to window, the gradient
stops at its start (truncated back-propagation through time). Dropout is on what goes up, never on what goes on in time (section 3.2).

Without --data it learns Python's own library source, character by character. --data FILE is any text, --data FOLDER one in the layout
of the Penn Treebank; --size small, medium or large are the word models of Zaremba's section 4.1, to the letter.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..nn import LSTM, Embedding, Linear, Module, init
from ..nn import functional as F
from ..tensor import Tensor
from . import plots
from .frame import Task, Workload
from .text import Corpus, Streams, corpus

_SAMPLE = {"char": 600, "word": 120}
_WARM_UP = 0.02


PTB = {"small": 115.9, "medium": 82.1}  # test perplexity, table 1


@dataclass(frozen=True)
class Size:
    """Layers, units and how they are trained."""

    level: str
    layers: int
    units: int
    embedding: int
    window: int
    streams: int
    dropout: float
    epochs: int
    lr: float
    clip: float
    vocabulary: int = 10_000
    bound: float = 0.0  # weights start in U(-bound, bound); 0: each layer's own way
    flat: int = 0  # epochs before the rate is divided by `decay` after each; 0: a cosine
    decay: float = 1.0


SIZES = {
    "char": Size("char", 1, 384, 96, 64, 50, 0.2, 8, 3e-3, 1.0, vocabulary=256),
    "small": Size("word", 2, 200, 200, 20, 20, 0.0, 13, 1.0, 5.0, bound=0.1, flat=4, decay=2.0),
    "medium": Size("word", 2, 650, 650, 35, 20, 0.5, 39, 1.0, 5.0, bound=0.05, flat=6, decay=1.2),
    "large": Size("word", 2, 1500, 1500, 35, 20, 0.65, 55, 1.0, 10.0, bound=0.04, flat=14, decay=1.15),
}
QUICK = Size("char", 1, 160, 64, 50, 32, 0.0, 2, 6e-3, 1.0, vocabulary=256)


class LSTMLanguageModel(Module):
    """Embedding, LSTM layers, scores of the next symbol (Zaremba et al. 2014, figure 2).

    Args:
        symbols: V, the size of the vocabulary.
        size: layers, units, dropout.
    """

    def __init__(self, symbols: int, size: Size) -> None:
        super().__init__()
        self.embedding = Embedding(symbols, size.embedding)
        self.lstm = LSTM(size.embedding, size.units, size.layers, dropout=size.dropout)
        self.scores = Linear(size.units, symbols)
        self.dropout = size.dropout
        if size.bound:
            for parameter in self.parameters():
                init.uniform_(parameter, -size.bound, size.bound)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Scores [T, N, V] of the symbol after each of x, int64 [T, N], and the states after them."""
        h = F.dropout(self.embedding(x), self.dropout, self.training)
        h, state = self.lstm(h, state)
        return self.scores(F.dropout(h, self.dropout, self.training)), state

    def start(self, streams: int) -> tuple[Tensor, Tensor]:
        """States of zeros."""
        import whitewolf as ww

        weight = self.scores.weight
        zero = ww.zeros((self.lstm.num_layers, streams, self.lstm.hidden_size), dtype=weight.dtype, device=weight.device)
        return zero, zero


class LanguageTask(Task):
    """Next-symbol prediction with states that go on, by SGD (Zaremba) or Adam."""

    unit = "symbols"
    size: Size
    corpus: Corpus
    source = ""  # the file, for errors
    seed = 0
    state: Any = None  # hidden and cell states [layers, N, U] after the last window

    def rate(self, fraction: float) -> float:
        """The learning rate when this part of the run is done."""
        peak, size = self.facts["lr"], self.size
        if size.flat:  # Zaremba's section 4.1: constant for some epochs, then divided after each
            return float(peak / size.decay ** max(0, int(fraction * self.epochs + 1e-9) - size.flat + 1))
        return float(peak * min(1.0, (fraction + 1e-3) / _WARM_UP) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * fraction))))

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        x, y, first = batch
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(fraction)
        scores, state = self.model(x, self.model.start(x.shape[1]) if first else self.state)
        scores = scores.reshape(-1, scores.shape[-1])
        loss = F.cross_entropy(scores, y.reshape(-1))
        # Zaremba's rate and clipping are for the sum over the window's T symbols and the mean over the batch.
        times = x.shape[0] if self.size.bound else 1
        value = self.learn(loss * times, self.size.clip) / times
        self.state = tuple(s.detach() for s in state)
        return value * y.size, hits(scores, y), y.size

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        device = self.model.scores.weight.device
        self.state = state["state"] and tuple(s.to(device) for s in state["state"])

    def evaluate(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for part in ("valid", "test"):
            numbers = getattr(self.corpus, part)
            if numbers is not None:
                loss, accuracy = self.measure(numbers)
                found |= {f"{part}_loss": loss, f"{part}_accuracy": accuracy, f"{part}_perplexity": math.exp(min(loss, 700.0))}
        return found

    def measure(self, numbers: Any) -> tuple[float, float]:
        """Mean loss in nats and accuracy over a text."""
        import whitewolf as ww

        loss, right, n = 0.0, 0.0, 0
        state: Any = None
        with no_grad():
            for x, y, first in ww.data.DataLoader(
                Streams(numbers, 10, 100, self.source), 1, device=self.model.scores.weight.device
            ):
                scores, state = self.model(x, self.model.start(x.shape[1]) if first else state)
                scores = scores.reshape(-1, scores.shape[-1])
                loss += F.cross_entropy(scores, y.reshape(-1)).item() * y.size
                right, n = right + hits(scores, y), n + y.size
        return loss / n, right / n

    def sample(self, count: int, temperature: float = 0.8) -> str:
        """Text that the model draws, symbol by symbol, after the first symbols of the held-out text."""
        import whitewolf as ww

        self.model.eval()
        rng = np.random.Generator(np.random.Philox(key=self.seed))
        device = self.model.scores.weight.device
        found = list(self.corpus.valid[:20])
        state, fed = self.model.start(1), found
        with no_grad():
            for _ in range(count):
                scores, state = self.model(ww.asarray(np.array(fed)[:, None], device=device), state)
                found.append(draw(scores.numpy()[-1, 0], temperature, rng))
                fed = found[-1:]
        return self.corpus.text(found)

    def report(self) -> list[str]:
        return ["--- a sample ---", *self.sample(_SAMPLE[self.corpus.level]).splitlines(), "---"]

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        loss = {"training": lambda e: e["loss"], "held out": lambda e: e["valid_loss"]}
        error = {"training": lambda e: 1 - e["train_accuracy"], "held out": lambda e: 1 - e["valid_accuracy"]}
        return [plots.curves(history, folder / "curves.png", {"loss (nats)": loss, "error (fraction)": error})]


def hits(scores: Tensor, targets: Tensor) -> float:
    """How many of the largest scores are the targets'."""
    return float((scores.numpy().argmax(axis=-1) == targets.numpy().reshape(-1)).sum())


def draw(scores: Any, temperature: float, rng: np.random.Generator) -> int:
    """A symbol of softmax(scores / temperature)."""
    scaled = scores.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max()).cumsum()
    return int(min(np.searchsorted(weights, rng.random() * weights[-1]), len(weights) - 1))


class LSTMLM(Workload):
    """See the top of this file."""

    name = "lstm-lm"
    summary = "an LSTM that writes text, character by character or word by word"
    paper = "Zaremba, Sutskever and Vinyals 2014; Karpathy 2015"
    data = "Python's own library source; a text file, or a folder in the Penn Treebank's layout"
    published = "text8"
    metric = "valid_loss"
    target = 1.40
    larger_is_better = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--size", choices=sorted(SIZES), default="char", help="char (default), or Zaremba's word models")
        parser.add_argument("--level", choices=("char", "word"), help="symbols of the text (default: the size's own)")

    def goal(self, options: argparse.Namespace) -> tuple[str, float | None, bool]:
        if options.size in ("small", "medium"):  # Zaremba's table 1, of the Penn Treebank alone
            known = options.data and Path(options.data).is_dir()
            return "test_perplexity" if known else "valid_perplexity", PTB[options.size] if known else None, False
        if options.quick:
            return self.metric, 1.7 if options.data is None else None, False
        if options.data is None:
            return self.metric, self.target, False
        return self.metric, 1.55 if Path(options.data).name.startswith("tinyshakespeare") else None, False

    def setup(self, options: argparse.Namespace) -> Task:
        import whitewolf as ww

        size = QUICK if options.quick else SIZES[options.size]
        found = corpus(options.data, options.level or size.level, size.vocabulary, characters(options))
        streams, epochs, lr = options.batch_size or size.streams, options.epochs or size.epochs, options.lr or size.lr
        model = LSTMLanguageModel(len(found.vocabulary), size).to(options.device)
        optimizer: Any = ww.optim.SGD(model.parameters(), lr=lr) if size.bound else ww.optim.Adam(model.parameters(), lr=lr)
        loader = ww.data.DataLoader(
            Streams(found.train, streams, size.window, options.data or found.name), 1, seed=options.seed, device=options.device
        )
        net = f"embedding {size.embedding}, {size.layers} x LSTM {size.units}, {len(found.vocabulary)} {found.level}s"
        settings = {"net": net, "data": found.name, "epochs": epochs, "batch_size": streams, "lr": lr, "seed": options.seed}
        facts = {
            "net": net,
            "batch_size": streams,
            "window": size.window,
            "lr": lr,
            "dropout": size.dropout,
            "quick": options.quick,
        }
        task = LanguageTask(model, optimizer, loader, epochs, found.name, settings, facts)
        task.size, task.corpus, task.seed, task.source = size, found, options.seed, options.data or found.name
        return task


def characters(options: argparse.Namespace) -> int | None:
    """How much of a text to read: what can be learned in minutes, where nobody gave one."""
    if options.quick:
        return 800_000
    return 1_500_000 if options.data is None else None


WORKLOAD = LSTMLM()
