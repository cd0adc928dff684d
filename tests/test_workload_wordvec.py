"""Word vectors: the trigram model they are held against, pairs of neighbours, analogies, nearest words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.small_runs import text, train
from whitewolf import cli
from whitewolf.workloads import get
from whitewolf.workloads.trigram import Trigram
from whitewolf.workloads.wordvec import CONTEXT, NEGATIVES, PLACES, WINDOW, contexts, pairs, read_questions


def test_the_trigram_s_probabilities_add_up_to_one_and_its_weights_too() -> None:
    numbers = np.random.default_rng(0).choice(7, 4000, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05])
    model = Trigram(numbers, 7)
    np.testing.assert_allclose(model.weights.sum(axis=1), 1)
    for a, b in ((0, 1), (6, 5)):
        total = sum(np.exp(-model.loss(np.array([a, b, c]))) for c in range(7))
        assert total == pytest.approx(1, abs=1e-3)


def test_the_trigram_counts_what_it_saw() -> None:
    numbers = np.tile([0, 1, 2, 0, 1, 3], 200)
    model = Trigram(numbers, 4)
    model.weights[:] = (0, 0, 1)  # the third-order estimate alone
    assert np.exp(-model.loss(np.array([0, 1, 2]))) == pytest.approx(0.5) and model.loss(np.array([2, 0, 1])) == pytest.approx(0)
    model.weights[:] = (1, 0, 0)
    assert np.exp(-model.loss(np.array([3, 3, 0]))) == pytest.approx((400 + 1) / (1200 + 4))
    assert Trigram(numbers, 4).perplexity(numbers) < 1.5  # EM finds that two words before are what helps


def test_contexts_are_the_words_before() -> None:
    before, word = contexts(np.arange(10)).batch(np.array([0, 5]))
    assert before.tolist() == [[0, 1, 2, 3], [5, 6, 7, 8]] and word.tolist() == [4, 9] and before.shape[1] == CONTEXT


def test_pairs_are_in_the_window_and_chance_goes_by_counts() -> None:
    numbers, counts = np.arange(1000), np.ones(1000)
    centre, others = pairs(numbers, np.arange(WINDOW, 1000 - WINDOW), counts, np.random.default_rng(0))
    distance = np.abs(others[:, 0] - centre)
    assert len(centre) == PLACES * (1000 - 2 * WINDOW) and others.shape[1] == 1 + NEGATIVES  # rare words are all kept
    assert set(distance) == set(range(1, WINDOW + 1))
    shares = [(distance == d).mean() for d in range(1, WINDOW + 1)]
    assert all(a > b for a, b in zip(shares, shares[1:]))
    common = np.array([8.0, 1.0])
    drawn = pairs(np.zeros(4000, int), np.arange(WINDOW, 4000 - WINDOW), common, np.random.default_rng(1))[1][:, 1:]
    assert 0.75 < (drawn == 0).mean() < 0.9  # 8^0.75 / (1 + 8^0.75) = 0.826


def test_frequent_words_are_left_out_by_equation_5() -> None:
    numbers = np.random.default_rng(0).integers(0, 4, 40_000)
    centre, _ = pairs(numbers, np.arange(WINDOW, 40_000 - WINDOW), np.bincount(numbers), np.random.default_rng(2))
    expected = len(numbers) * PLACES * (1e-2 / 0.25)  # both words of a pair are kept with probability sqrt(10^-2 / f)
    assert len(centre) == pytest.approx(expected, rel=0.2)


def task_with_vectors(tmp_path: Path, vectors: dict[str, list[float]], *arguments: str) -> Any:
    path = tmp_path / "world.txt"
    path.write_text("\n".join(" ".join(vectors) for _ in range(400)))
    options: Any = cli.parser().parse_args(["train", "wordvec", "--model", "skip-gram", "--data", str(path), *arguments])
    task = get("wordvec").setup(options)
    weight = np.zeros(task.model.vectors.weight.shape, np.float32)
    weight[:, -1] = 1e-3
    for word, vector in vectors.items():
        weight[task.corpus.vocabulary.numbers[word], : len(vector)] = vector
    with ww.no_grad():
        task.model.vectors.weight[:] = ww.asarray(weight)
    return task


def test_nearest_words_and_country_neighbours(tmp_path: Path) -> None:
    task = task_with_vectors(
        tmp_path, {"Iraq": [1, 0, 0.1], "Iran": [1, 0.1, 0], "Korea": [0, 1, 1], "tax": [0, 1, 0.9], "budget": [0, 0.8, 1]}
    )
    names = task.corpus.vocabulary.symbols
    near = {names[n]: names[m[0]] for n, m in task.nearest(1).items()}
    assert near["Iraq"] == "Iran" and near["Iran"] == "Iraq" and near["Korea"] == "tax"
    assert task.country_neighbours() == pytest.approx(2 / 3)


def test_analogies_are_asked_by_section(tmp_path: Path) -> None:
    questions = tmp_path / "questions-words.txt"
    questions.write_text(
        ": family\nman king woman queen\nman king woman man\nman king woman empress\n: none\nwolf wolves fox foxes\n"
    )
    vectors = {"man": [1, 0, 0], "king": [1, 0, 1], "woman": [0, 1, 0], "queen": [0, 1, 1.1], "tree": [-1, -1, 0]}
    task = task_with_vectors(tmp_path, vectors, "--questions", str(questions))
    assert task.analogies() == {"family": (1, 2), "none": (0, 0)}  # "empress" is not in the text
    assert task.figures()["analogy_accuracy"] == 0.5 and "family: 1 of 2" in task.report()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "expected a text file at {}, found none"),
        ("man king woman queen\n", "{}: expected ': section', then four words, in line 1"),
        (": family\nman king woman\n", "{}: expected ': section', then four words, in line 2, got 'man king woman'"),
    ],
)
def test_questions_of_another_format_are_named_in_one_line(
    content: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "questions.txt"
    if content is not None:
        path.write_text(content)
    assert train("wordvec", "--quick", "--data", text(tmp_path), "--questions", path, "--out", tmp_path / "run") == 1
    err = capsys.readouterr().err
    assert words.format(path) in err and err.count("\n") == 1


def test_a_text_that_is_too_short_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "short.txt"
    path.write_text("few words")
    assert train("wordvec", "--data", path, "--out", tmp_path / "run") == 1
    assert f"{path}: expected more than 4 words in each part" in capsys.readouterr().err


def test_the_published_questions_format_is_read(tmp_path: Path) -> None:
    path = tmp_path / "q.txt"
    path.write_text(": capital-common-countries\nAthens Greece Baghdad Iraq\n\n: family\nboy girl brother sister\n")
    assert read_questions(str(path)) == [
        ("capital-common-countries", ["Athens", "Greece", "Baghdad", "Iraq"]),
        ("family", ["boy", "girl", "brother", "sister"]),
    ]
