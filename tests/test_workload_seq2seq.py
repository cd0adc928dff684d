"""Translation: two-column files, BLEU, search, attention, and twins in PyTorch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.small_runs import pairs, train
from whitewolf import cli
from whitewolf.nn import functional as F
from whitewolf.workloads import get
from whitewolf.workloads.pairs import Pairs, SimilarLengths, number_words, own_bleu, read_pairs
from whitewolf.workloads.seq2seq import TranslationTask, Translator
from whitewolf.workloads.text import Vocabulary


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "expected a text file at {}, found none"),
        (b"", "{}: expected text, got an empty file"),
        (b"a wolf\tein Wolf\na fox", "{}: expected two columns with a tab between in line 2, got 'a fox'"),
        (b"a wolf\tein Wolf\tun loup", "{}: expected two columns with a tab between in line 1"),
        (b"a wolf\t ", "{}: expected two columns with a tab between in line 1"),
        (b"a wolf\tein Wolf", "{}: expected at least 10 pairs of up to 20 symbols, got 1"),
    ],
)
def test_a_file_that_is_not_two_columns_is_named_in_one_line(
    content: bytes | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pairs.tsv"
    if content is not None:
        path.write_bytes(content)
    assert train("seq2seq", "--data", path, "--out", tmp_path / "run") == 1
    err = capsys.readouterr().err
    assert words.format(path) in err and err.count("\n") == 1


def test_pairs_are_read_split_and_padded(tmp_path: Path) -> None:
    found = read_pairs(str(pairs(tmp_path)), 4)
    assert found[0] == (["wolf", "0"], ["ein", "Wolf", "0"]) and all(len(s) <= 4 for s, _ in found)
    source, target = (Vocabulary((w for pair in found for w in pair[side]), 100) for side in (0, 1))
    x, lengths, y = Pairs(found, source, target, reverse=True).batch(np.array([2, 0]))
    names = ["<pad>", "<s>", "</s>"]
    assert [[(names + list(source.symbols))[n] for n in column] for column in x.T] == [
        ["2", "wolf", "a", "a"],
        ["0", "wolf", "<pad>", "<pad>"],
    ]
    assert lengths.tolist() == [4, 2] and y[:, 1].tolist()[0] == 1 and y[-1].tolist() == [2, 2]


@pytest.mark.parametrize("reverse", [False, True])
def test_attention_is_shown_over_the_words_that_were_read(reverse: bool) -> None:
    source, target = Vocabulary("the wolf howls".split(), 10), Vocabulary(["x"], 10)
    task = TranslationTask(None, None, None, 1, "")
    task.test, task.vocabularies = (
        Pairs([("the old wolf howls".split(), ["x"]), (["no"], ["x"])], source, target, reverse),
        (source, target),
    )
    assert task.read(0) == ["the", "wolf", "howls"][:: -1 if reverse else 1] and task.read(1) == [""]
    assert [len(task.read(at)) for at in (0, 1)] == task.test.batch(np.arange(2))[1].tolist()


def test_a_batch_holds_pairs_of_about_the_same_length_and_an_epoch_all_of_them() -> None:
    rng = np.random.default_rng(0)
    found = [(["a"] * int(s), ["b"] * int(t)) for s, t in rng.integers(1, 20, (230, 2))]
    source, target = Vocabulary(["a"], 10), Vocabulary(["b"], 10)
    ordered = Pairs(found, source, target, reverse=False)
    batches = SimilarLengths(ordered, 8, seed=3)
    assert sorted(np.concatenate(batches.groups).tolist()) == list(range(230)) and [len(g) for g in batches.groups[:-1]] == [8] * 28
    _, _, y = batches.batch(np.array([5]))
    assert (y == ordered.batch(batches.groups[5])[2]).all()
    unpadded = [float((y > 0).mean()) for _, _, y in (batches[i] for i in range(len(batches)))]
    assert np.mean(unpadded) > 0.95
    again, other = (SimilarLengths(ordered, 8, seed) for seed in (3, 4))
    assert all((a == b).all() for a, b in zip(again.groups, batches.groups))
    assert any(a.tolist() != b.tolist() for a, b in zip(other.groups, batches.groups))


def test_number_words_are_pairs_of_the_same_number() -> None:
    pytest.importorskip("num2words")
    found = number_words(100, 100)
    assert (
        (["seven"], ["sept"]) in found
        and (["forty", "-", "two"], ["quarante", "-", "deux"]) in found
        and len(set(map(str, found))) == 100
    )


def test_bleu_is_the_papers_and_sacrebleus() -> None:
    found, wanted = ["the wolf sees the moon tonight".split()], ["the wolf sees the white moon tonight again".split()]
    shares = (6 / 6) * (4 / 5) * (2 / 4) * (1 / 3)
    assert own_bleu(found, wanted) == pytest.approx(shares**0.25 * math.exp(1 - 8 / 6))
    assert own_bleu(wanted, wanted) == 1 and own_bleu([["a"]], [["b"]]) == 0
    sacrebleu = pytest.importorskip("sacrebleu")
    rng = np.random.default_rng(0)
    some = [[str(w) for w in rng.integers(0, 4, rng.integers(4, 12))] for _ in range(40)]
    others = [[w if rng.random() < 0.8 else "x" for w in s] for s in some]
    theirs = sacrebleu.corpus_bleu(
        [" ".join(s) for s in others], [[" ".join(s) for s in some]], tokenize="none", smooth_method="none", force=True
    )
    assert own_bleu(others, some) == pytest.approx(theirs.score / 100)


@pytest.mark.parametrize("attention", [False, True])
def test_padding_changes_nothing_and_attention_is_on_words_alone(attention: bool) -> None:
    ww.manual_seed(3)
    net = Translator(9, 8, 6, 4, attention, 0.0).eval()
    alone, beside = np.array([[3], [4]]), np.array([[3, 5], [4, 6], [0, 7]])
    given = ww.asarray(np.array([[1], [5], [6]]))
    a = net(ww.asarray(alone), ww.asarray(np.array([2])), given).numpy()
    b = net(ww.asarray(beside), ww.asarray(np.array([2, 3])), ww.concat([given, given], axis=1)).numpy()
    np.testing.assert_allclose(a[:, 0], b[:, 0], atol=1e-6)
    if attention:
        _, weights = net.search(ww.asarray(beside), ww.asarray(np.array([2, 3])), 1, 5)
        assert (weights[0][:, 2] == 0).all() and np.allclose(weights.sum(-1), 1)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("attention", [False, True])
def test_a_beam_finds_what_enumeration_finds(attention: bool, seed: int) -> None:
    ww.manual_seed(seed)
    net = Translator(6, 5, 4, 4, attention, 0.0).eval()
    with ww.no_grad():
        for p in net.parameters():
            p *= 4.0  # far from uniform
    source, lengths = ww.asarray(np.array([[3, 4], [5, 3], [4, 0]])), ww.asarray(np.array([3, 2]))
    texts, _ = net.search(source, lengths, 64, 3)
    greedy, _ = net.search(source, lengths, 1, 3)

    def score(text: list[int], column: int) -> float:
        given = np.array([[1, *text]]).T
        logs = F.log_softmax(net(source[:, column : column + 1], lengths[column : column + 1], ww.asarray(given)), -1).numpy()
        wanted = [*text, 2][: max(len(text) + (len(text) < 3), 1)]
        return float(np.mean([logs[t, 0, w] for t, w in enumerate(wanted)]))

    every = [
        [],
        *([a] for a in (3, 4)),
        *([a, b] for a in (3, 4) for b in (3, 4)),
        *([a, b, c] for a in (3, 4) for b in (3, 4) for c in (3, 4)),
    ]
    for column in range(2):
        best = max(score(text, column) for text in every)
        assert score(texts[column], column) == pytest.approx(best, abs=1e-5)
        assert score(greedy[column], column) <= best + 1e-5


@pytest.mark.torch
@pytest.mark.parametrize("attention", [False, True])
def test_seq2seq_learns_as_its_twin(attention: bool, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from helpers.torch_twin import follow
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    ww.manual_seed(4)
    flags = [] if attention else ["--no-attention"]
    arguments = ["train", "seq2seq", "--quick", "--data", str(pairs(tmp_path)), "--batch-size", "5", *flags]
    task: Any = get("seq2seq").setup(cli.parser().parse_args(arguments))
    task.model.double()
    own = task.model
    units, embedding = own.decoder.hidden_size, own.source.weight.shape[1]

    class Twin(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.source, self.target = (torch.nn.Embedding(*e.weight.shape) for e in (own.source, own.target))
            self.encoder = torch.nn.LSTM(embedding, units // 2 if attention else units, bidirectional=attention)
            self.decoder = torch.nn.LSTM(embedding + units if attention else embedding, units)
            if attention:
                self.attention = torch.nn.Module()
                self.attention.of_state = torch.nn.Linear(units, units, bias=False)
                self.attention.of_source = torch.nn.Linear(units, units)
                self.attention.score = torch.nn.Linear(units, 1, bias=False)
            self.scores = torch.nn.Linear(*reversed(own.scores.weight.shape))

        def forward(self, source: Any, lengths: Any, target: Any) -> Any:
            packed, (h, c) = self.encoder(pack_padded_sequence(self.source(source), lengths, enforce_sorted=False))
            y = self.target(target[:-1])
            if not attention:
                out, _ = self.decoder(y, (h, c))
            else:
                states, _ = pad_packed_sequence(packed)
                state, steps = (torch.cat([*h], 1)[None], torch.cat([*c], 1)[None]), []
                mask = torch.arange(len(source))[:, None] < lengths
                for one in y:
                    e = self.attention.score(torch.tanh(self.attention.of_source(states) + self.attention.of_state(state[0][0])))[
                        ..., 0
                    ]
                    context = (e.masked_fill(~mask, -1e9).softmax(0)[..., None] * states).sum(0)
                    out, state = self.decoder(torch.cat([one, context], 1)[None], state)
                    steps.append(torch.cat([out[0], context], 1))
                out = torch.stack(steps)
            return torch.nn.functional.cross_entropy(self.scores(out).flatten(0, 1), target[1:].flatten(), ignore_index=0)

    follow(task, Twin(), 1.0)
