"""Translation by an encoder and a decoder LSTM (Sutskever, Vinyals and Le 2014, arXiv 1409.3215), with or without attention.

Without attention (--no-attention) the encoder's last state is all that the decoder knows; --reverse reads the source from its end
(their section 3.3). With attention (Bahdanau, Cho and Bengio 2014, arXiv 1409.0473) the encoder reads both ways, and the decoder looks
at all its states before each word, by weights that it computes: e_ij = v^T tanh(W s_{i-1} + U h_j) (their appendix A.1.2). Here the
units are LSTMs, and the word is read off [s_i; c_i] by one linear layer in place of their maxout.

Without --data it translates English number words into French. --data FILE is any file of two columns with a tab between.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..data import DataLoader
from ..nn import LSTM, Embedding, Linear, Module
from ..nn import functional as F
from ..nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from ..ops.elementwise import tanh
from ..ops.joining import concat, stack
from ..ops.manipulation import expand_dims
from ..ops.select import where
from ..tensor import Tensor
from . import plots
from .frame import Task, Workload
from .pairs import SPECIAL, Pairs, Sentence, SimilarLengths, bleu, number_words, read_pairs
from .text import Vocabulary

State = tuple[Tensor, Tensor]
LONGEST, BEAM = 20, 4


class Attention(Module):
    """Weights over the encoder's states: softmax over j of v^T tanh(W s + U h_j)."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.of_state, self.of_source, self.score = (
            Linear(units, units, bias=False),
            Linear(units, units),
            Linear(units, 1, bias=False),
        )

    def forward(self, s: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """s: float32 [N, U]; keys: U h [S, N, U]; mask: bool [S, N], True at symbols. Returns [S, N]."""
        energy = self.score(tanh(keys + self.of_state(s)))[..., 0]
        return F.softmax(where(mask, energy, -1e9), 0)


class Translator(Module):
    """Encoder, decoder and, if wanted, attention.

    Args:
        source, target: sizes of the vocabularies.
        embedding, units: of both sides; with attention each direction of the encoder has half the units.
        attention: whether there is attention.
        dropout: on embeddings and before the scores.
    """

    def __init__(self, source: int, target: int, embedding: int, units: int, attention: bool, dropout: float) -> None:
        super().__init__()
        self.source, self.target = Embedding(source, embedding), Embedding(target, embedding)
        self.encoder = LSTM(embedding, units // 2 if attention else units, bidirectional=attention)
        self.decoder = LSTM(embedding + units if attention else embedding, units)
        self.attention = Attention(units) if attention else None
        self.scores = Linear(2 * units if attention else units, target)
        self.dropout = dropout

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[State, Any]:
        """The decoder's first state [1, N, U], and what attention looks at: states, keys and mask."""
        import whitewolf as ww

        x = F.dropout(self.source(source), self.dropout, self.training)
        packed, (h, c) = self.encoder(pack_padded_sequence(x, lengths.tolist(), enforce_sorted=False))
        if self.attention is None:
            return (h, c), None
        states, _ = pad_packed_sequence(packed)
        first = expand_dims(concat([h[0], h[1]], axis=1), axis=0), expand_dims(concat([c[0], c[1]], axis=1), axis=0)
        mask = ww.arange(states.shape[0], device=source.device)[:, None] < lengths
        return first, (states, self.attention.of_source(states), mask)

    def step(self, y: Tensor, state: State, memory: Any) -> tuple[Tensor, State, Tensor | None]:
        """What the scores are read from [1, N, U or 2 U], the next state, and the attention [S, N]: y [1, N, E] was the last word."""
        if self.attention is None:
            out, state = self.decoder(y, state)
            return out, state, None
        states, keys, mask = memory
        weights = self.attention(state[0][0], keys, mask)
        context = expand_dims((expand_dims(weights, axis=-1) * states).sum(axis=0), axis=0)
        out, state = self.decoder(concat([y, context], axis=-1), state)
        return concat([out, context], axis=-1), state, weights

    def forward(self, source: Tensor, lengths: Tensor, given: Tensor) -> Tensor:
        """Scores [T, N, V] of the word after each of `given`, int64 [T, N]."""
        state, memory = self.encode(source, lengths)
        y = F.dropout(self.target(given), self.dropout, self.training)
        if self.attention is None:
            out, _ = self.decoder(y, state)
        else:
            steps = []
            for t in range(y.shape[0]):
                one, state, _ = self.step(y[t : t + 1], state, memory)
                steps.append(one[0])
            out = stack(steps)
        scores: Tensor = self.scores(F.dropout(out, self.dropout, self.training))
        return scores

    def search(self, source: Tensor, lengths: Tensor, beam: int, longest: int) -> tuple[list[list[int]], Any]:
        """The most probable translations that a beam of that width finds (1: greedy), and their attention [N, T, S] where beam is 1.

        The probability of a translation is compared by its logarithm over its length.
        """
        import whitewolf as ww

        n = source.shape[1]
        rows = np.repeat(np.arange(n), beam)
        index = ww.asarray(rows, device=source.device)
        state, memory = self.encode(ww.take(source, index, axis=1), ww.take(lengths, index))
        total = np.where(np.arange(n * beam) % beam == 0, 0.0, -np.inf)  # the rows of a beam are alike at first: one counts
        texts, done = np.ones((n * beam, 1), np.int64), np.zeros(n * beam, bool)
        seen = []
        for _ in range(longest):
            y = self.target(ww.asarray(texts[None, :, -1], device=source.device))
            out, state, weights = self.step(y, state, memory)
            if weights is not None and beam == 1:
                seen.append(weights.numpy().T)
            logs = F.log_softmax(self.scores(out[0]), -1).numpy().astype(np.float64)
            logs[:, :2] = -np.inf  # neither padding nor another beginning
            logs[done] = -np.inf
            logs[done, 0] = 0.0  # what has ended stays as it is
            ways = (total[:, None] + logs).reshape(n, -1)
            best = np.argsort(-ways, axis=1, kind="stable")[:, :beam]
            total = np.take_along_axis(ways, best, axis=1).reshape(-1)
            origin = (best // logs.shape[1] + np.arange(n)[:, None] * beam).reshape(-1)
            chosen = (best % logs.shape[1]).reshape(-1)
            texts, done = np.concatenate([texts[origin], chosen[:, None]], axis=1), done[origin] | (chosen == 2)
            if beam > 1:
                moved = ww.asarray(origin, device=source.device)
                state = ww.take(state[0], moved, axis=1), ww.take(state[1], moved, axis=1)
            if done.all():
                break
        length = (texts[:, 1:] > 0).sum(axis=1)
        pick = (total / length).reshape(n, beam).argmax(axis=1) + np.arange(n) * beam
        found = [[int(w) for w in text[1:] if w > 2] for text in texts[pick]]
        return found, np.stack(seen, axis=1) if seen else None


class TranslationTask(Task):
    """Teacher forcing, and what greedy and beam search make of held-out sentences."""

    unit = "pairs"
    test: Any
    vocabularies: tuple[Vocabulary, Vocabulary]
    longest = 0

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        for group in self.optimizer.param_groups:
            group["lr"] = (
                self.facts["lr"] * min(1.0, (fraction + 1e-3) / 0.02) * (0.05 + 0.95 * (1 + math.cos(math.pi * fraction)) / 2)
            )
        loss, _ = self.loss(batch)
        n = batch[1].shape[0]
        return self.learn(loss, clip=1.0) * n, None, n

    def loss(self, batch: Any) -> tuple[Tensor, int]:
        """The mean over the target's words, and how many these are."""
        source, lengths, target = batch
        scores = self.model(source, lengths, target[:-1])
        wanted = target[1:].reshape(-1)
        return F.cross_entropy(scores.reshape(-1, scores.shape[-1]), wanted, ignore_index=0), int((wanted.numpy() > 0).sum())

    def translate(self, beam: int, count: int | None = None) -> list[Sentence]:
        """Translations of held-out sentences."""
        found: list[Sentence] = []
        with no_grad():
            for source, lengths, _ in self.loader_of_test():
                texts, _ = self.model.search(source, lengths, beam, self.longest)
                found += [self.words(text) for text in texts]
                if count is not None and len(found) >= count:
                    break
        return found[:count]

    def words(self, numbers: list[int]) -> Sentence:
        return [self.vocabularies[1].symbols[n - len(SPECIAL)] for n in numbers]

    def read(self, at: int) -> Sentence:
        """A held-out source as the encoder reads it: without words that it does not know, from its end with --reverse."""
        return [self.vocabularies[0].symbols[n - len(SPECIAL)] if n else "" for n in self.test.sources[at]]

    def loader_of_test(self) -> DataLoader:
        return DataLoader(self.test, 50, device=self.model.scores.weight.device)

    def evaluate(self) -> dict[str, float]:
        loss, n = 0.0, 0
        with no_grad():
            for batch in self.loader_of_test():
                value, count = self.loss(batch)
                loss, n = loss + value.item() * count, n + count
        wanted = [target for _, target in self.test.pairs]
        found: dict[str, float] = {"valid_loss": loss / n}
        for name, beam in (("greedy", 1), ("beam", BEAM)):
            texts = self.translate(beam)
            score, self.facts["bleu_by"] = bleu(texts, wanted)
            found[f"bleu_{name}"] = score
            found[f"exact_{name}"] = sum(f == w for f, w in zip(texts, wanted)) / len(wanted)
        return found

    def report(self) -> list[str]:
        lines = []
        for (source, target), greedy, beam in zip(self.test.pairs[:4], self.translate(1, 4), self.translate(BEAM, 4)):
            for name, sentence in (("source", source), ("wanted", target), ("greedy", greedy), (f"beam {BEAM}", beam)):
                lines.append(f"{name:>8}: {' '.join(sentence)}")
        return lines

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        loss = {"training": lambda e: e["loss"], "held out": lambda e: e["valid_loss"]}
        score = {"greedy": lambda e: e["bleu_greedy"], f"beam {BEAM}": lambda e: e["bleu_beam"]}
        import whitewolf as ww

        made = [plots.curves(history, folder / "curves.png", {"loss (nats)": loss, "BLEU": score})]
        if self.model.attention is None:
            return made
        page = plots.figure(11, 10)
        for at, axes in enumerate(page.subplots(2, 2).flat):
            if at >= len(self.test):
                continue
            source, lengths, _ = (ww.asarray(part, device=self.model.scores.weight.device) for part in self.test[at])
            with no_grad():
                (text,), weights = self.model.search(source, lengths, 1, self.longest)
            rows, columns = [*self.words(text), "</s>"], self.read(at)
            axes.imshow(weights[0][: len(rows)], cmap="gray", vmin=0, vmax=1)
            axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=7)
            axes.set_yticks(range(len(rows)), rows, fontsize=7)
            axes.set(xlabel="source", ylabel="translation")
        page.savefig(folder / "attention.png", dpi=120)
        return [*made, folder / "attention.png"]


class Seq2Seq(Workload):
    """See the top of this file."""

    name = "seq2seq"
    summary = "translation by an encoder and a decoder, with attention or without"
    paper = "Sutskever, Vinyals and Le 2014; Bahdanau, Cho and Bengio 2014"
    data = "number words in English and French (num2words); a file of two columns with a tab between"
    metric = "exact_greedy"
    target = 0.95

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--no-attention", action="store_true", help="the encoder's last state is all that the decoder sees")
        parser.add_argument("--reverse", action="store_true", help="read the source from its end")

    def goal(self, options: argparse.Namespace) -> tuple[str, float | None, bool]:
        if options.data:  # what a corpus allows is its own: runs with and without attention are compared
            return "bleu_greedy", None, True
        return self.metric, self.target if not options.no_attention else None, True

    def setup(self, options: argparse.Namespace) -> Task:
        import whitewolf as ww

        attention, reverse = not options.no_attention, options.reverse
        embedding, units, dropout, epochs, limit = (
            (48, 96, 0.0, 3, 4000) if options.quick else (96, 256, 0.2, 10, 8000) if options.data else (64, 160, 0.1, 5, 4000)
        )
        if options.data:
            pairs, name = read_pairs(options.data, LONGEST), Path(options.data).name
            pairs = [pairs[i] for i in np.random.Generator(np.random.Philox(key=0)).permutation(len(pairs))]
        else:
            count, below = (6_000, 10_000) if options.quick else (20_000, 1_000_000)
            pairs, name = number_words(count, below), f"numbers below {below:,} in English and French words"
        held = min(500, len(pairs) // 10)
        test, train = pairs[:held], pairs[held:]
        source, target = (Vocabulary((w for pair in train for w in pair[side]), limit) for side in (0, 1))
        model = Translator(len(source) + len(SPECIAL), len(target) + len(SPECIAL), embedding, units, attention, dropout)
        model = model.to(options.device)
        n, epochs, lr = options.batch_size or 32, options.epochs or epochs, options.lr or 2e-3
        batches = SimilarLengths(Pairs(train, source, target, reverse), n, options.seed)
        loader = DataLoader(batches, 1, shuffle=True, seed=options.seed, device=options.device)
        data = f"{name}, {len(train):,} pairs to learn from, {held} held out"
        settings = {
            "data": data, "epochs": epochs, "batch_size": n, "lr": lr, "seed": options.seed, "attention": attention,
            "reverse": reverse, "units": units,
        }  # fmt: skip
        facts = {**settings, "dropout": dropout, "quick": options.quick}
        task = TranslationTask(model, ww.optim.Adam(model.parameters(), lr=lr), loader, epochs, data, settings, facts)
        task.test, task.vocabularies, task.longest = Pairs(test, source, target, reverse), (source, target), 2 * LONGEST
        return task


WORKLOAD = Seq2Seq()
