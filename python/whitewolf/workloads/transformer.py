"""A small GPT beside an LSTM of as many parameters: what came after the recurrent nets of the paper (Vaswani et al. 2017, 1706.03762).

Both read the same text in the same windows of T symbols, with one optimizer step each per window and one schedule. Its peak is the
best of those that were tried for each net (PEAKS).
The GPT is a decoder with the norms before the layers (Radford et al. 2019); it sees its window alone, while the LSTM's states go on
from window to window. Held-out symbols are predicted by the GPT from T/2 to T symbols before them, and by the LSTM from all.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..device import Array
from ..nn import GELU, Embedding, LayerNorm, Linear, Module, ModuleDict, ModuleList, Sequential, init
from ..nn import functional as F
from ..nn.utils import clip_grad_norm_
from ..ops.joining import concat
from ..ops.manipulation import permute_dims
from ..tensor import Tensor
from . import plots
from .finite import NotFinite
from .frame import Task, Workload
from .lstm_lm import LSTMLanguageModel, Size, draw, hits
from .text import Corpus, Streams, corpus

_WARM_UP = 0.05
CLIP = 1.0
# On Shakespeare: 1.926 nats after 300 steps (0.008: 1.963, 0.002: 1.986); and 1.791 (0.032: 1.804), 1.598 after one epoch (0.008: 1.646,
# 0.004: 1.725).
PEAKS = {"gpt": 0.004, "lstm": 0.016}
# Of Python's library source: 1.64 nats (0.008: 1.66, 0.004: 1.73), and 1.47 (0.016: 1.61).
QUICK_PEAKS = {"gpt": 0.016, "lstm": 0.032}


class Block(Module):
    """x + attention(norm(x)), then x + MLP(norm(x)): section 3.1 with the norms first.

    Args:
        d: the size of a symbol's vector.
        heads: of the attention, each of size d / heads.
        dropout: on what each of the two adds.
    """

    def __init__(self, d: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = LayerNorm(d), LayerNorm(d)
        self.query_key_value, self.join = Linear(d, 3 * d), Linear(d, d)
        self.mlp = Sequential(Linear(d, 4 * d), GELU(), Linear(4 * d, d))
        self.heads, self.dropout = heads, dropout

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        """x: float32 [N, T, d]; turns: of the places, see `turned`."""
        x = x + F.dropout(self.attend(self.norm_1(x), turns), self.dropout, self.training)
        return x + F.dropout(self.mlp(self.norm_2(x)), self.dropout, self.training)

    def attend(self, x: Tensor, turns: Tensor) -> Tensor:
        """Causal attention of all heads at once (section 3.2.2), of queries and keys that are turned by their places."""
        n, t, d = x.shape
        split = permute_dims(self.query_key_value(x).reshape(n, t, 3, self.heads, d // self.heads), (2, 0, 3, 1, 4))
        pair = turned(split[:2], turns)
        heads = F.scaled_dot_product_attention(pair[0], pair[1], split[2], is_causal=True)
        joined: Tensor = self.join(permute_dims(heads, (0, 2, 1, 3)).reshape(n, t, d))
        return joined


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """x [..., T, e] with each pair (x_i, x_{i + e/2}) turned in its plane by the angle of `turns` (Su et al. 2021, section 3.4.2)."""
    half = x.shape[-1] // 2
    return x * turns[0] + concat([x[..., half:], x[..., :half]], axis=-1) * turns[1]


def turns_of(window: int, e: int) -> Array:
    """cos and -/+ sin of t / 10000^(2 i / e), [2, T, e]: the angles of section 3.5."""
    angles = np.arange(window)[:, None] * np.exp(-math.log(10000) * np.arange(0, e, 2) / e)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([np.concatenate([cos, cos], axis=1), np.concatenate([-sin, sin], axis=1)]).astype(np.float32)


class GPT(Module):
    """Embeddings of symbols, blocks, a norm, scores of the next symbol.

    Queries and keys are turned by angles that grow with their places, so that their product depends on how far apart they are (Su et
    al. 2021, 2104.09864). Where places were added to the symbols (section 3.5), a small net took long to find its neighbours: after
    300 steps on Shakespeare it had 2.24 nats of held-out text, and 1.96 with turns.

    Args:
        symbols: V, the size of the vocabulary.
        window: T, the most places.
        d, heads, layers, dropout: of the blocks.
    """

    turns: Tensor

    def __init__(self, symbols: int, window: int, d: int, heads: int, layers: int, dropout: float) -> None:
        import whitewolf as ww

        super().__init__()
        self.symbol = Embedding(symbols, d)
        self.register_buffer("turns", ww.asarray(turns_of(window, d // heads)), persistent=False)
        self.blocks = ModuleList([Block(d, heads, dropout) for _ in range(layers)])
        self.norm, self.scores = LayerNorm(d), Linear(d, symbols)
        self.window, self.dropout = window, dropout
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                init.zeros_(parameter)
            elif parameter.ndim == 2 and "blocks" in name or name == "scores.weight":
                # What comes in has variance 1 after a norm, and so has what goes out; what is added to the residual stream starts
                # smaller (Radford et al. 2019, section 2.3).
                added = name.endswith(("join.weight", "mlp.2.weight"))
                init.normal_(parameter, 0.0, 1 / math.sqrt(parameter.shape[1] * (2 * layers if added else 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Scores [N, T, V] of the symbol after each of x, int64 [N, T]."""
        h, turns = F.dropout(self.symbol(x), self.dropout, self.training), self.turns[:, : x.shape[1]]
        for block in self.blocks:
            h = block(h, turns)
        scores: Tensor = self.scores(self.norm(h))
        return scores


class PairTask(Task):
    """Next-symbol prediction by both nets, on the same windows."""

    unit = "symbols"
    corpus: Corpus
    source = ""  # the file, for errors
    window: int
    seed = 0
    state: Any = None  # the LSTM's, after the last window

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        x, y, first = batch
        now = min(1.0, (fraction + 1e-3) / _WARM_UP) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * fraction)))
        for group, peak in zip(self.optimizer.param_groups, self.facts["lr"]):
            group["lr"] = peak * now
        gpt, lstm = self.model["gpt"], self.model["lstm"]
        scores = gpt(x.T).reshape(-1, gpt.scores.out_features)
        loss = F.cross_entropy(scores, y.T.reshape(-1))
        recurrent, state = lstm(x, lstm.start(x.shape[1]) if first else self.state)
        # Neither loss depends on the other net: the gradient of the sum is each net's own.
        self.learn_both(loss + F.cross_entropy(recurrent.reshape(-1, recurrent.shape[-1]), y.reshape(-1)))
        self.state = tuple(s.detach() for s in state)
        return loss.item() * y.size, hits(scores, y.T), y.size

    def learn_both(self, loss: Tensor) -> None:
        """`learn`, but each net's gradient is clipped by its own norm."""
        if not math.isfinite(loss.item()):
            raise NotFinite(f"a finite loss, got {loss.item()}")
        self.optimizer.zero_grad()
        loss.backward()
        for name, net in self.model.items():
            norm = float(clip_grad_norm_(net.parameters(), CLIP))
            if not math.isfinite(norm):
                raise NotFinite(f"a finite gradient of {name}, got norm {norm}")
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        device = self.model["gpt"].scores.weight.device
        self.state = state["state"] and tuple(s.to(device) for s in state["state"])

    def evaluate(self) -> dict[str, float]:
        gpt, lstm = self.measure_gpt(), self.measure_lstm()
        return {"valid_loss": gpt, "lstm_valid_loss": lstm, "behind_lstm": gpt - lstm}

    def measure_gpt(self) -> float:
        """Mean loss in nats of held-out text, in windows that overlap by half: only the later half of each counts."""
        import whitewolf as ww

        half, gpt = self.window // 2, self.model["gpt"]
        text, device = self.corpus.valid, gpt.scores.weight.device
        starts = np.arange(0, len(text) - self.window, half)
        loss, n = 0.0, 0
        with no_grad():
            for first in range(0, len(starts), 32):
                rows = starts[first : first + 32, None] + np.arange(self.window)
                x, y = (ww.asarray(text[at], device=device) for at in (rows, rows[:, half:] + 1))
                scores = gpt(x)[:, half:].reshape(-1, gpt.scores.out_features)
                loss, n = loss + F.cross_entropy(scores, y.reshape(-1)).item() * y.size, n + y.size
        return loss / n

    def measure_lstm(self) -> float:
        """Mean loss in nats of held-out text."""
        import whitewolf as ww

        loss, n, lstm = 0.0, 0, self.model["lstm"]
        state: Any = None
        with no_grad():
            for x, y, first in ww.data.DataLoader(
                Streams(self.corpus.valid, 10, 100, self.source), 1, device=lstm.scores.weight.device
            ):
                scores, state = lstm(x, lstm.start(x.shape[1]) if first else state)
                loss += F.cross_entropy(scores.reshape(-1, scores.shape[-1]), y.reshape(-1)).item() * y.size
                n += y.size
        return loss / n

    def report(self) -> list[str]:
        import whitewolf as ww

        gpt, rng = self.model["gpt"], np.random.Generator(np.random.Philox(key=self.seed))
        found = list(self.corpus.valid[:20])
        with no_grad():
            for _ in range(400):
                x = ww.asarray(np.array(found[-self.window :])[None], device=gpt.scores.weight.device)
                found.append(draw(gpt(x).numpy()[0, -1], 0.8, rng))
        return ["--- a sample of the GPT ---", *self.corpus.text(found).splitlines(), "---"]

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        held = {"GPT": lambda e: e["valid_loss"], "LSTM": lambda e: e["lstm_valid_loss"]}
        return [plots.curves(history, folder / "curves.png", {"held-out loss (nats)": held})]


class Transformer(Workload):
    """See the top of this file."""

    name = "transformer"
    summary = "a small GPT on text, beside an LSTM of as many parameters"
    paper = "Vaswani et al. 2017"
    data = "Python's own library source; a text file, or a folder in the Penn Treebank's layout"
    metric = "behind_lstm"  # nats
    target = 0.02
    larger_is_better = False

    def goal(self, options: argparse.Namespace) -> tuple[str, float | None, bool]:
        return (self.metric, QUICK_BEHIND, False) if options.quick else (self.metric, self.target, False)

    def setup(self, options: argparse.Namespace) -> Task:
        import whitewolf as ww

        # Parameters of a block: 12 d^2; of the LSTM: 4 U (E + U).
        d, layers, window, streams, epochs, units, limit = (
            (64, 2, 64, 16, 1, 128, 400_000) if options.quick else (128, 4, 128, 16, 6, 384, 1_500_000)
        )
        found = corpus(options.data, "char", 256, limit if options.quick or options.data is None else None)
        streams, epochs = options.batch_size or streams, options.epochs or epochs
        dropout = 0.0 if options.quick else 0.1
        size = Size("char", 1, units, d // 2 if options.quick else 3 * d // 4, window, streams, dropout, epochs, 0.0, 1.0)
        symbols = len(found.vocabulary)
        gpt, lstm = GPT(symbols, window, d, 4, layers, dropout), LSTMLanguageModel(symbols, size)
        model = ModuleDict({"gpt": gpt, "lstm": lstm}).to(options.device)
        peaks = QUICK_PEAKS if options.quick else PEAKS
        lr = [options.lr or peaks["gpt"], options.lr or peaks["lstm"]]
        optimizer = ww.optim.Adam([{"params": list(net.parameters()), "lr": rate} for net, rate in zip((gpt, lstm), lr)])
        loader = ww.data.DataLoader(
            Streams(found.train, streams, window, options.data or found.name), 1, seed=options.seed, device=options.device
        )
        counts = {f"{name}_parameters": sum(p.size for p in net.parameters()) for name, net in (("gpt", gpt), ("lstm", lstm))}
        net = f"GPT {layers} x {d}, 4 heads, {symbols} chars; LSTM {units}"
        settings = {"net": net, "data": found.name, "epochs": epochs, "batch_size": streams, "lr": lr, "seed": options.seed}
        facts = {**settings, **counts, "window": window, "dropout": dropout, "quick": options.quick}
        task = PairTask(model, optimizer, loader, epochs, found.name, settings, facts)
        task.corpus, task.window, task.seed, task.source = found, window, options.seed, options.data or found.name
        return task


QUICK_BEHIND = 0.25  # nats: in one pass over little text a GPT is behind, for all must be learned that an LSTM is built to do


WORKLOAD = Transformer()
