"""The Neural Turing Machine: its tasks' data, and its addressing against the paper's equations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.small_runs import train
from whitewolf import cli
from whitewolf.workloads import get
from whitewolf.workloads.ntm import BITS, NTM, copy, recall, repeat_copy


def test_copy_wants_what_was_given_after_the_mark() -> None:
    x, wanted = copy(np.random.default_rng(0), 3, 4)
    assert x.shape == (9, 3, BITS + 1) and np.array_equal(x[:4, :, :BITS], wanted) and set(np.unique(wanted)) == {0, 1}
    assert (x[:, :, BITS] == (np.arange(9) == 4)[:, None]).all() and not x[5:].any()


def test_repeat_copy_wants_it_as_often_as_was_said_and_then_an_end() -> None:
    x, wanted = repeat_copy(np.random.default_rng(0), 2, 3, 4)
    assert x.shape == (3 + 1 + 12 + 1, 2, BITS + 1) and wanted.shape == (13, 2, BITS + 1)
    assert all(np.array_equal(wanted[3 * k : 3 * k + 3, :, :BITS], x[:3, :, :BITS]) for k in range(4))
    assert (wanted[:, :, BITS] == (np.arange(13) == 12)[:, None]).all()
    said = [repeat_copy(np.random.default_rng(0), 1, 1, times)[0][1, 0, BITS] for times in range(1, 11)]
    assert np.mean(said) == pytest.approx(0, abs=1e-6) and np.std(said) == pytest.approx(1, abs=1e-3)


def test_recall_wants_the_item_behind_the_one_that_comes_again() -> None:
    x, wanted = recall(np.random.default_rng(2), 5, 4)
    assert x.shape == (4 * 4 + 5 + 3, 5, 8) and wanted.shape == (3, 5, 6)
    for n in range(5):
        items = [x[4 * k + 1 : 4 * k + 4, n, :6] for k in range(4)]
        asked = next(k for k in range(4) if np.array_equal(items[k], x[17:20, n, :6]))
        assert asked < 3 and np.array_equal(items[asked + 1], wanted[:, n])


def test_heads_go_where_the_equations_say() -> None:
    rng = np.random.default_rng(1)
    net = NTM(3, 2, 5, locations=7, width=4).double()
    n, f = 3, lambda *shape: rng.standard_normal(shape)
    memory, key, strength, gate, shift, sharp = f(n, 7, 4), f(n, 2, 4), f(n, 2), f(n, 2), f(n, 2, 3), f(n, 2)
    before = rng.dirichlet(np.ones(7), (n, 2))
    found = net.address(*map(ww.asarray, (memory, before, key, strength, gate, shift, sharp))).numpy()

    def softmax(a: Any) -> Any:
        return np.exp(a) / np.exp(a).sum()

    for i in range(n):
        for head in range(2):
            k = key[i, head]
            cosine = memory[i] @ k / np.linalg.norm(memory[i], axis=1) / np.linalg.norm(k)
            content = softmax(np.log1p(np.exp(strength[i, head])) * cosine)
            g = 1 / (1 + np.exp(-gate[i, head]))
            w = g * content + (1 - g) * before[i, head]
            s = softmax(shift[i, head])
            moved = np.array([sum(w[(place - d) % 7] * s[d + 1] for d in (-1, 0, 1)) for place in range(7)])
            sharpened = moved ** (1 + np.log1p(np.exp(sharp[i, head])))
            np.testing.assert_allclose(found[i, head], sharpened / sharpened.sum(), rtol=1e-6)


def test_weights_of_each_head_add_up_to_one_and_answers_are_the_last_steps() -> None:
    net = NTM(9, 8, 6, locations=10, width=4)
    x, wanted = copy(np.random.default_rng(0), 2, 3)
    scores, places = net(ww.asarray(x), len(wanted))
    assert scores.shape == (3, 2, 8) and places.shape == (7, 2, 2, 10)
    np.testing.assert_allclose(places.numpy().sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("task", ["repeat-copy", "recall"])
def test_the_other_tasks_take_a_step(task: str) -> None:
    options: Any = cli.parser().parse_args(["train", "ntm", "--quick", "--task", task, "--batch-size", "2"])
    made = get("ntm").setup(options)
    before = made.model.heads.weight.numpy().copy()
    loss, right, n = made.step(next(iter(made.loader)), 0.0)
    assert n == 2 and 0 < loss and 0 <= right <= n and not np.array_equal(before, made.model.heads.weight.numpy())


def test_it_reads_no_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("ntm", "--data", "somewhere", "--out", tmp_path) == 1
    assert "expected no --data" in capsys.readouterr().err
