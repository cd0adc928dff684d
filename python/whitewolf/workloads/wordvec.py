"""Word vectors, learned in two ways: by predicting the next word, and by telling neighbours from chance.

--model bengio is the neural language model of Bengio, Ducharme, Vincent and Jauvin 2003 (equation 1 without the direct connections):
the vectors of the last words, a layer of tanh units, scores of all words. It is held against an interpolated trigram.
--model skip-gram is Mikolov et al. 2013 (arXiv 1310.4546): a word's vector must tell words near it from words drawn by chance
(equation 4), frequent words being left out at random (equation 5).

Without --data it reads Python's own library source; a text about the world makes better neighbours. --questions FILE has analogies in
the format of questions-words.txt: ": name" begins a section, "a b c d" asks for d by b - a + c.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import FileFormatError
from ..autograd import no_grad
from ..data import DataLoader, TensorDataset
from ..device import Array
from ..environment import has
from ..nn import Embedding, Linear, Module, init
from ..nn import functional as F
from ..ops.elementwise import tanh
from ..tensor import Tensor
from . import plots
from .frame import Task, Workload
from .lstm_lm import hits
from .text import END, UNKNOWN, Corpus, corpus, read_text
from .trigram import Trigram

# A window of 2 and few frequent words left out: in a text of some 10^5 words, names of countries are told by the words beside them.
CONTEXT, WINDOW, NEGATIVES, PLACES, SAMPLE = 4, 2, 8, 4, 1e-2
COUNTRIES = frozenset(
    "afghanistan albania algeria angola argentina australia austria bangladesh belgium bosnia brazil bulgaria cambodia canada chile china"
    " colombia congo cuba czechoslovakia denmark egypt ethiopia finland france germany ghana greece grenada guatemala haiti hungary"
    " iceland india indonesia iran iraq ireland israel italy jamaica japan jordan kenya korea kosovo kuwait laos lebanon liberia libya"
    " malaysia mexico morocco mozambique netherlands nicaragua nigeria norway pakistan panama peru philippines poland portugal romania"
    " russia somalia spain sudan sweden switzerland syria taiwan thailand turkey ukraine venezuela vietnam yugoslavia zaire".split()
)
_FREQUENT = 15  # times in the text: of rarer words little is known


class NeuralLanguageModel(Module):
    """y = b + U tanh(d + H x), x the vectors of the last words (Bengio et al. 2003, equation 1, W = 0)."""

    def __init__(self, symbols: int, width: int, units: int, dropout: float) -> None:
        super().__init__()
        self.vectors = Embedding(symbols, width)
        init.normal_(self.vectors.weight, 0.0, 0.1)
        self.hidden, self.scores, self.dropout = Linear(CONTEXT * width, units), Linear(units, symbols), dropout

    def forward(self, context: Tensor) -> Tensor:
        """Scores [N, V] of the word after each context, int64 [N, CONTEXT]."""
        x = self.vectors(context).reshape(context.shape[0], -1)
        h = tanh(self.hidden(F.dropout(x, self.dropout, self.training)))
        scores: Tensor = self.scores(F.dropout(h, self.dropout, self.training))
        return scores


class SkipGram(Module):
    """log sigmoid(u_o . v_c) of a word c and a neighbour o (Mikolov et al. 2013, equation 4): vectors v, and u of neighbours."""

    def __init__(self, symbols: int, width: int) -> None:
        super().__init__()
        self.vectors, self.neighbours = Embedding(symbols, width), Embedding(symbols, width)
        init.uniform_(self.vectors.weight, -0.5 / width, 0.5 / width)
        init.zeros_(self.neighbours.weight)

    def forward(self, centre: Tensor, others: Tensor) -> Tensor:
        """u . v, [N, K], of words, int64 [N], and others, int64 [N, K]."""
        products: Tensor = (self.neighbours(others) * self.vectors(centre)[:, None]).sum(axis=-1)
        return products


class WordTask(Task):
    """What both models share: neighbours, analogies, the map."""

    unit = "words"
    corpus: Corpus
    counts: Array
    questions: list[tuple[str, list[str]]]

    def vectors(self) -> Array:
        """The words' vectors at length 1."""
        found: Array = self.model.vectors.weight.detach().numpy().copy()
        found /= np.linalg.norm(found, axis=1, keepdims=True) + 1e-12
        return found

    def known(self) -> Array:
        """Words that were seen often, without marks: the numbers of those that neighbours are looked for among."""
        symbols = self.corpus.vocabulary.symbols
        fine = [s[0].isalpha() and s not in (UNKNOWN, END) for s in symbols]
        return np.flatnonzero(np.array(fine) & (self.counts >= _FREQUENT))

    def nearest(self, count: int) -> dict[int, list[int]]:
        """The nearest among the known words of each of them, by the cosine."""
        among, vectors = self.known(), self.vectors()[self.known()]
        found: dict[int, list[int]] = {}
        for first in range(0, len(among), 512):
            near = vectors[first : first + 512] @ vectors.T
            near[np.arange(len(near)), np.arange(first, first + len(near))] = -2
            best = np.argsort(-near, axis=1, kind="stable")[:, :count]
            found |= {int(among[first + row]): [int(among[b]) for b in line] for row, line in enumerate(best)}
        return found

    def country_neighbours(self) -> float:
        """The share of country names whose nearest word is one, too; 0 where the text has none."""
        symbols = self.corpus.vocabulary.symbols
        found = [symbols[near[0]].lower() in COUNTRIES for n, near in self.nearest(1).items() if symbols[n].lower() in COUNTRIES]
        return sum(found) / max(len(found), 1)

    def analogies(self) -> dict[str, tuple[int, int]]:
        """For each section: how many were right, and asked; those with a word that the text lacks are left out."""
        vectors, numbers, among = self.vectors(), self.corpus.vocabulary.numbers, self.known()
        names = {name.lower(): n for name, n in sorted(numbers.items(), reverse=True) if self.counts[n] >= _FREQUENT}
        found: dict[str, tuple[int, int]] = {}
        for section, words in self.questions:
            right, asked = found.get(section, (0, 0))
            at = [numbers[w] if w in numbers else names.get(w.lower(), -1) for w in words]
            if min(at) >= 0:
                a, b, c, d = at
                near = vectors[among] @ (vectors[b] - vectors[a] + vectors[c])
                near[np.isin(among, (a, b, c))] = -9
                right, asked = right + (among[near.argmax()] == d), asked + 1
            found[section] = int(right), asked
        return found

    def figures(self) -> dict[str, float]:
        """The figures that come from the vectors."""
        found = {"country_neighbours": self.country_neighbours()}
        if self.questions:
            right, asked = np.sum(list(self.analogies().values()), axis=0)
            found |= {"analogy_accuracy": float(right / max(asked, 1)), "analogies_asked": int(asked)}
        return found

    def report(self) -> list[str]:
        symbols, near = self.corpus.vocabulary.symbols, self.nearest(6)
        often = [n for n in near if len(symbols[n]) > 3]
        countries = [n for n in often if symbols[n].lower() in COUNTRIES]
        shown = [*countries[:8], *often[: 10 * max(1, len(often) // 100) : max(1, len(often) // 100)]]  # of the most frequent
        lines = [f"{symbols[n]:>14}: {', '.join(symbols[m] for m in near[n])}" for n in shown]
        return lines + [f"{section}: {right} of {asked}" for section, (right, asked) in self.analogies().items()]

    def plot(self, history: list[dict[str, Any]], folder: Path) -> list[Path]:
        vectors, among = self.vectors(), self.known()
        symbols = self.corpus.vocabulary.symbols
        chosen = sorted({*among[20:220].tolist(), *(n for n in among.tolist() if symbols[n].lower() in COUNTRIES)})
        page = plots.figure(12, 10)
        axes = page.subplots()
        if len(chosen) > 3:
            flat, how = flattened(vectors[chosen])
            for number, (x, y) in zip(chosen, flat):
                axes.text(x, y, symbols[number], fontsize=7, color="tab:red" if symbols[number].lower() in COUNTRIES else "black")
            least, most = flat.min(axis=0), flat.max(axis=0)
            edge = 0.05 * (most - least)  # text does not count as data: without it, words at the edge are cut
            axes.set(xlim=(least[0] - edge[0], most[0] + 2 * edge[0]), ylim=(least[1] - edge[1], most[1] + edge[1]), title=how)
        page.savefig(folder / "map.png", dpi=120)
        loss = {"training": lambda e: e["loss"], "held out": lambda e: e["valid_loss"]}
        return [folder / "map.png", plots.curves(history, folder / "curves.png", {"loss (nats)": loss})]


class BengioTask(WordTask):
    """The next word by softmax."""

    trigram: float

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        context, word = batch
        for group in self.optimizer.param_groups:
            group["lr"] = self.facts["lr"] * 0.5 * (1 + math.cos(math.pi * fraction)) + 1e-6
        scores = self.model(context)
        return self.learn(F.cross_entropy(scores, word), clip=5.0) * len(word), hits(scores, word), len(word)

    def evaluate(self) -> dict[str, float]:
        loss, n = 0.0, 0
        with no_grad():
            for context, word in DataLoader(contexts(self.corpus.valid), 500, device=self.model.scores.weight.device):
                loss, n = loss + F.cross_entropy(self.model(context), word).item() * len(word), n + len(word)
        perplexity = math.exp(loss / n)
        found = {"valid_loss": loss / n, "valid_perplexity": perplexity, "trigram_perplexity": self.trigram}
        return found | {"ratio_to_trigram": perplexity / self.trigram} | self.figures()


class SkipGramTask(WordTask):
    """Neighbours against chance."""

    def loss(self, batch: Any) -> Tensor:
        """The mean over pairs of equation 4: -log sigmoid(u_o . v_c) - sum over the words by chance of log sigmoid(-u . v_c)."""
        centre, others = batch
        products = self.model(centre, others)
        near, chance = -F.logsigmoid(products[:, :1]), -F.logsigmoid(-products[:, 1:])
        return near.mean() + chance.sum(axis=1).mean()

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.facts["lr"] * (1 - fraction) + 1e-6
        n = len(batch[0])
        return self.learn(self.loss(batch)) * n, None, n

    def evaluate(self) -> dict[str, float]:
        import whitewolf as ww

        rng = np.random.Generator(np.random.Philox(key=1))
        at = np.arange(WINDOW, len(self.corpus.valid) - WINDOW)
        parts = pairs(self.corpus.valid, at, self.counts, rng)
        with no_grad():
            loss = self.loss(tuple(ww.asarray(part, device=self.model.vectors.weight.device) for part in parts)).item()
        return {"valid_loss": loss, **self.figures()}


def contexts(numbers: Array) -> TensorDataset:
    """Each CONTEXT words and the word after them."""
    rows = np.lib.stride_tricks.sliding_window_view(numbers, CONTEXT + 1)
    return TensorDataset(rows[:, :-1], rows[:, -1])


def pairs(numbers: Array, at: Array, counts: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Words [P] at the places `at` and, beside each, a neighbour and NEGATIVES words by chance [P, 1 + NEGATIVES].

    Places are as far apart as in a window whose half is drawn from 1 to WINDOW (so near ones come more often). A word of frequency f
    is kept with probability sqrt(SAMPLE / f) (equation 5); chance goes by counts to the power of 3/4 (section 2.2).
    """
    reach = rng.integers(1, WINDOW + 1, (len(at), PLACES))
    offset = 1 + (rng.random(reach.shape) * reach).astype(np.int64)
    offset *= rng.choice((-1, 1), reach.shape)
    centre, other = np.repeat(numbers[at], PLACES), numbers[at[:, None] + offset].reshape(-1)
    keep = np.sqrt(SAMPLE / np.maximum(counts / counts.sum(), 1e-12))
    kept = (rng.random(len(centre)) < keep[centre]) & (rng.random(len(centre)) < keep[other])
    kept[:1] = True  # a batch is never empty
    chance = np.cumsum(counts**0.75)
    drawn = np.searchsorted(chance, rng.random((int(kept.sum()), NEGATIVES)) * chance[-1])
    return centre[kept], np.concatenate([other[kept, None], drawn], axis=1)


def flattened(vectors: Array) -> tuple[Array, str]:
    """The vectors in two dimensions, and how: t-SNE where scikit-learn is installed, else their two main components."""
    if has("sklearn") and len(vectors) > 30:
        from sklearn.manifold import TSNE

        return TSNE(perplexity=10, init="pca", random_state=0, metric="cosine").fit_transform(vectors), "t-SNE of the vectors"
    centred = vectors - vectors.mean(axis=0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T, "the vectors' two main components"


def read_questions(path: str) -> list[tuple[str, list[str]]]:
    """Section and four words of each analogy.

    Raises:
        FileNotFoundError, ww.FileFormatError: the file is not there, or is not what was expected; the text names file and line.
    """
    section, found = "", []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.startswith(":"):
            section = line[1:].strip()
        elif line.strip():
            if len(line.split()) != 4 or not section:
                raise FileFormatError(f"train: {path}: expected ': section', then four words, in line {number}, got {line[:60]!r}")
            found.append((section, line.split()))
    return found


class WordVec(Workload):
    """See the top of this file."""

    name = "wordvec"
    summary = "word vectors from a neural language model, or by skip-gram"
    paper = "Bengio, Ducharme, Vincent and Jauvin 2003; Mikolov et al. 2013"
    data = "Python's own library source, word by word; a text file, or a folder in the Penn Treebank's layout"
    metric = "ratio_to_trigram"  # of perplexities
    target = 1.0
    larger_is_better = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--model", choices=("bengio", "skip-gram"), default="bengio", help="how they are learned (default bengio)"
        )
        parser.add_argument("--questions", metavar="FILE", help="analogies in the format of questions-words.txt")

    def goal(self, options: argparse.Namespace) -> tuple[str, float | None, bool]:
        if options.model == "bengio":
            return self.metric, self.target, False
        if options.data and Path(options.data).name.startswith("state-of-the-union") and not options.quick:
            return "country_neighbours", 0.6, True
        return "valid_loss", (1 + NEGATIVES) * math.log(2) / 1.5, False  # of vectors that know nothing: that, without the 1.5

    def setup(self, options: argparse.Namespace) -> Task:
        import whitewolf as ww

        bengio, device = options.model == "bengio", options.device
        characters, limit = (600_000, 3000) if options.quick else (None if options.data else 1_500_000, 8000)
        found = corpus(options.data, "word", limit, characters)
        for part in (found.train, found.valid):
            if len(part) <= 2 * WINDOW:
                raise ValueError(f"train: {options.data}: expected more than {2 * WINDOW} words in each part, got {len(part)}")
        symbols = len(found.vocabulary)
        if bengio:
            width, units, n, lr, epochs = (32, 64, 128, 2e-3, 2) if options.quick else (96, 192, 256, 2e-3, 6)
        else:
            width, units, n, lr, epochs = (32, 0, 256, 5e-3, 4) if options.quick else (64, 0, 256, 3e-3, 15)
        n, epochs, lr = options.batch_size or n, options.epochs or epochs, options.lr or lr
        counts = np.bincount(found.train, minlength=symbols)
        settings = {
            "data": found.name, "epochs": epochs, "batch_size": n, "lr": lr, "seed": options.seed, "model": options.model,
            "symbols": symbols, "width": width,
        }  # fmt: skip
        facts = {**settings, "quick": options.quick}
        task: BengioTask | SkipGramTask
        if bengio:
            model = NeuralLanguageModel(symbols, width, units, 0.0 if options.quick else 0.25).to(device)
            optimizer: Any = ww.optim.AdamW(model.parameters(), lr=lr, weight_decay=1e-2)
            loader = DataLoader(contexts(found.train), n, shuffle=True, seed=options.seed, device=device)
            task = BengioTask(model, optimizer, loader, epochs, found.name, settings, facts)
            task.trigram = Trigram(found.train, symbols).perplexity(found.valid[CONTEXT - 2 :])  # the same words are predicted
        else:
            gram = SkipGram(symbols, width).to(device)
            places = TensorDataset(np.arange(WINDOW, len(found.train) - WINDOW))

            def around(batch: Any, rng: np.random.Generator) -> Any:
                return pairs(found.train, batch[0], counts, rng)

            loader = DataLoader(places, n, shuffle=True, seed=options.seed, device=device, transform=around)
            task = SkipGramTask(gram, ww.optim.Adam(gram.parameters(), lr=lr), loader, epochs, found.name, settings, facts)
        task.corpus, task.counts = found, counts
        task.questions = read_questions(options.questions) if options.questions else []
        return task


WORKLOAD = WordVec()
