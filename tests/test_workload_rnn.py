"""The adding problem: its data, the gradients that are measured, and clipping net by net."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.small_runs import train
from whitewolf import cli
from whitewolf.nn import functional as F
from whitewolf.workloads import get
from whitewolf.workloads.rnn import _NETS, CLIP, Adder, adding


def test_the_answer_is_the_sum_of_one_marked_number_of_each_half() -> None:
    x, y = adding(np.random.default_rng(1), 50, 11)
    marks = x[:, :, 1]
    assert set(np.unique(marks)) == {0, 1} and (marks[:5].sum(0) == 1).all() and (marks[5:].sum(0) == 1).all()
    assert np.array_equal((x[:, :, 0] * marks).sum(0), y)


@pytest.mark.parametrize("name", _NETS)
def test_gradients_against_lag_are_those_of_the_layer(name: str) -> None:
    layer, cell, _ = _NETS[name]
    ww.manual_seed(2)
    net = Adder(layer, cell, 5)
    x, y = (ww.asarray(part) for part in adding(np.random.default_rng(0), 4, 6))
    norms = net.gradients(x, y)
    assert len(norms) == 6 and norms[0] > 0
    out, _ = net.layer(x)
    (last,) = ww.grad(F.mse_loss(net.read(out[-1])[:, 0], y), [out])
    assert norms[0] == pytest.approx(float(np.linalg.norm(last.numpy()[-1])), rel=1e-5)
    if name == "rnn":  # one step back is one Jacobian: diag(1 - h^2) W
        h, w = out.numpy()[-1], net.layer.weight_hh_l0.numpy()
        assert norms[1] == pytest.approx(float(np.linalg.norm((last.numpy()[-1] * (1 - h * h)) @ w)), rel=1e-5)


def test_each_net_is_clipped_by_its_own_norm() -> None:
    options: Any = cli.parser().parse_args(["train", "rnn", "--quick", "--lag", "6"])
    task = get("rnn").setup(options)
    with ww.no_grad():
        for net in task.model.values():
            net.read.bias[:] = 50.0  # far from the answer: gradients of a norm of about 100
    task.step(next(iter(task.loader)), 0.0)
    norm = {n: float(np.sqrt(sum((p.grad.numpy() ** 2).sum() for p in net.parameters()))) for n, net in task.model.items()}
    assert norm["rnn_unclipped"] > 50 and task.norms["rnn_unclipped"] == pytest.approx([norm["rnn_unclipped"]])
    assert all(norm[n] == pytest.approx(CLIP, rel=1e-4) for n in ("rnn", "lstm", "gru"))


def test_what_it_cannot_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("rnn", "--data", "somewhere", "--out", tmp_path) == 1
    assert "expected no --data" in capsys.readouterr().err
    assert train("rnn", "--lag", "1", "--out", tmp_path) == 1
    assert "expected --lag >= 2, got 1" in capsys.readouterr().err
