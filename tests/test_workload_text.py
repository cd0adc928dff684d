"""The language models: what they read, what they refuse, and that they learn as their twins in PyTorch do."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.small_runs import TEXT, text, train, treebank
from whitewolf import cli
from whitewolf.workloads import get, lstm_lm, transformer
from whitewolf.workloads.text import END, UNKNOWN, Streams, Vocabulary, corpus, words


def broken_file(kind: str, folder: Path) -> Path:
    path = folder / "data.txt"
    content = {
        "empty": b"\n \n",
        "truncated": gzip.compress(TEXT.encode())[:-20],
        "not UTF-8": b"wolf \xff\xfe",
        "binary": b"wolf\0wolf",
        "short": b"wolf",
    }
    if kind in content:
        path.write_bytes(content[kind])
    if kind == "folder":
        path = treebank(folder)
        (path / "ptb.valid.txt").unlink()
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "expected a text file at {}, found none"),
        ("empty", "{}: expected text, got an empty file"),
        ("truncated", "{}: expected a whole gzip stream"),
        ("not UTF-8", "{}: expected UTF-8 text, got byte 0xff at 5"),
        ("binary", "{}: expected text, got binary data"),
        ("short", "{}: expected more than 50 symbols"),
        ("folder", "expected a text like ptb.valid.txt in {}, found none"),
    ],
)
def test_data_that_cannot_be_read_is_named_in_one_line(
    kind: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = broken_file(kind, tmp_path)
    assert train("lstm-lm", "--data", path, "--out", tmp_path / "run") == 1
    err = capsys.readouterr().err
    assert words.format(path) in err and err.count("\n") == 1


def test_a_text_is_split_and_coded_and_comes_back(tmp_path: Path) -> None:
    found = corpus(str(text(tmp_path)), "char", 256)
    assert found.test is None and found.text([*found.train, *found.valid]) == TEXT
    packed = tmp_path / "text.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    assert np.array_equal(corpus(str(packed), "char", 256).train, found.train)
    assert words("Wolves, 2 of them.\n") == ["Wolves", ",", "2", "of", "them", ".", END]


def test_rare_symbols_are_unknown() -> None:
    v = Vocabulary("aaabbc", 2)
    assert v.symbols == ("a", UNKNOWN) and v.encode("abx").tolist() == [0, 1, 1]
    assert Vocabulary("ab", 2).encode("axb").tolist() == [0, 1]


def test_a_treebank_s_words_stand_between_blanks_and_lines_end(tmp_path: Path) -> None:
    found = corpus(str(treebank(tmp_path)), "word", 100)
    first = [found.vocabulary.symbols[n] for n in found.train[:7]]
    assert first == ["the", "wolf", "n0", "sees", UNKNOWN, "n0", END]
    assert found.test is not None and len(found.test) == 60 * 7


def test_windows_of_streams_follow_each_other_and_y_is_one_ahead() -> None:
    data = Streams(np.arange(23), 2, 4)
    batches = [data[i] for i in range(len(data))]
    x, y = (np.concatenate([b[k] for b in batches]) for k in (0, 1))
    assert x.T.tolist() == [list(range(11)), list(range(11, 22))] and (y == x + 1).all()
    assert [b[2] for b in batches] == [True, False, False]


def options(name: str, *arguments: Any) -> Any:
    return cli.parser().parse_args(["train", name, *map(str, arguments)])


def without_dropout(task: Any) -> Any:
    for module in task.model.modules():
        if getattr(module, "dropout", 0):
            module.dropout = 0.0
    task.model.double()
    return task


@pytest.mark.torch
@pytest.mark.parametrize("size", ["char", "small"])
def test_lstm_lm_learns_as_its_twin(size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from helpers.torch_twin import follow

    data = text(tmp_path) if size == "char" else treebank(tmp_path)
    monkeypatch.setitem(lstm_lm.SIZES, size, replace(lstm_lm.SIZES[size], units=24, embedding=24, window=12))
    ww.manual_seed(5)
    task = without_dropout(get("lstm-lm").setup(options("lstm-lm", "--size", size, "--data", data, "--batch-size", 3)))
    own = task.model

    class Twin(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(*own.embedding.weight.shape)
            self.lstm = torch.nn.LSTM(own.lstm.input_size, own.lstm.hidden_size, own.lstm.num_layers)
            self.scores = torch.nn.Linear(*reversed(own.scores.weight.shape))
            self.state = None

        def forward(self, x: Any, y: Any, first: bool) -> Any:
            h, (a, b) = self.lstm(self.embedding(x), None if first else self.state)
            self.state = a.detach(), b.detach()
            return torch.nn.functional.cross_entropy(self.scores(h).flatten(0, 1), y.flatten())

    scale = (lambda x: len(x)) if size == "small" else (lambda x: 1)
    follow(task, Twin(), task.size.clip, scale, adam=size == "char")


def test_products_of_turned_vectors_depend_on_their_distance_alone() -> None:
    q, k = np.random.default_rng(0).normal(size=(2, 1, 8))
    turns = ww.asarray(transformer.turns_of(40, 8)).astype(ww.float64)
    a, b = (transformer.turned(ww.asarray(np.repeat(v, 40, axis=0)), turns).numpy() for v in (q, k))
    products = a @ b.T
    for distance in (0, 1, 7, 30):
        along = np.diagonal(products, distance)
        np.testing.assert_allclose(along, along[0], rtol=1e-5)
    assert products[0, 0] == pytest.approx(float((q @ k.T)[0, 0])) and abs(products[0, 1] - products[1, 0]) > 1e-3


@pytest.mark.torch
def test_transformer_learns_as_its_twin(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from helpers.torch_twin import follow

    ww.manual_seed(6)
    task = without_dropout(get("transformer").setup(options("transformer", "--quick", "--data", text(tmp_path), "--batch-size", 3)))
    own = task.model["gpt"]
    d, heads = own.norm.weight.shape[0], own.blocks[0].heads

    class Block(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm_1, self.norm_2 = torch.nn.LayerNorm(d), torch.nn.LayerNorm(d)
            self.query_key_value, self.join = torch.nn.Linear(d, 3 * d), torch.nn.Linear(d, d)
            self.mlp = torch.nn.Sequential(torch.nn.Linear(d, 4 * d), torch.nn.GELU(), torch.nn.Linear(4 * d, d))

        def forward(self, x: Any) -> Any:
            n, t, _ = x.shape
            q, k, v = (part.view(n, t, heads, -1).transpose(1, 2) for part in self.query_key_value(self.norm_1(x)).chunk(3, -1))
            q, k = self.turned(q), self.turned(k)
            scores = (q @ k.transpose(2, 3)) / (d / heads) ** 0.5
            scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), float("-inf"))
            x = x + self.join((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, d))
            return x + self.mlp(self.norm_2(x))

        def turned(self, x: Any) -> Any:
            """Pairs of numbers as complex ones, times e^(i angle)."""
            t, half = x.shape[-2], x.shape[-1] // 2
            angles = torch.arange(t)[:, None] * 10_000.0 ** -(torch.arange(half, dtype=torch.float64) / half)
            turns = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)  # as exact as the model's own
            found = torch.complex(x[..., :half], x[..., half:]) * turns
            return torch.cat([found.real, found.imag], -1)

    class GPT(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.symbol = torch.nn.Embedding(*own.symbol.weight.shape)
            self.blocks = torch.nn.ModuleList([Block() for _ in own.blocks])
            self.norm, self.scores = torch.nn.LayerNorm(d), torch.nn.Linear(*reversed(own.scores.weight.shape))

        def forward(self, x: Any, y: Any, first: bool) -> Any:
            h = self.symbol(x.T)
            for block in self.blocks:
                h = block(h)
            return torch.nn.functional.cross_entropy(self.scores(self.norm(h)).flatten(0, 1), y.T.flatten())

    # The LSTM beside it has its own twin above: without it, clipping sees the GPT's gradients alone in both.
    only_gpt(task)
    follow(task, GPT(), 1.0, model=own)


def only_gpt(task: Any) -> None:
    """The pair's task with the LSTM's loss left out of the gradient."""
    lstm = task.model["lstm"]
    for parameter in lstm.parameters():
        parameter.requires_grad_(False)
    task.optimizer = ww.optim.Adam(task.model["gpt"].parameters())
    task.model = ww.nn.ModuleDict({"gpt": task.model["gpt"], "lstm": lstm})
