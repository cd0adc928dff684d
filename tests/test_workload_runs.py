"""What holds for every workload of sequences: a run leaves its files, a broken one goes on to the same bits, cudasim trains it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import whitewolf as ww
from helpers.small_runs import Killed, babi, kill, pairs, text, train, treebank, weights
from whitewolf import cli
from whitewolf.workloads import get, plots

# Arguments of a run of 8 steps on little data, which `cudasim` shortens.
RUNS: dict[str, Callable[[Path], list[object]]] = {
    "lstm-lm": lambda f: ["--quick", "--data", text(f), "--batch-size", 4],
    "lstm-lm words": lambda f: ["--size", "small", "--data", treebank(f), "--batch-size", 2],
    "memnet": lambda f: ["--quick", "--data", babi(f), "--batch-size", 4],
    "ntm": lambda f: ["--quick", "--batch-size", 2],
    "rnn": lambda f: ["--quick", "--lag", 6, "--batch-size", 4],
    "seq2seq": lambda f: ["--quick", "--data", pairs(f), "--batch-size", 4, "--no-attention", "--reverse"],
    "seq2seq attention": lambda f: ["--quick", "--data", pairs(f), "--batch-size", 4],
    "wordvec": lambda f: ["--quick", "--data", text(f), "--batch-size", 16],
    "wordvec skip-gram": lambda f: ["--quick", "--model", "skip-gram", "--data", text(f), "--batch-size", 16],
    "transformer": lambda f: ["--quick", "--data", text(f), "--batch-size", 4],
}
STEPS = 8


def name_of(run: str) -> str:
    return run.split()[0]


@pytest.mark.parametrize("run", RUNS)
def test_a_run_leaves_its_result_and_its_checkpoint_can_be_measured(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, arguments, out = name_of(run), RUNS[run](tmp_path), tmp_path / "run"
    assert train(name, *arguments, "--steps", STEPS, "--out", out) in (0, 1)  # it may well miss its target
    result = json.loads((out / "result.json").read_text())
    assert result["workload"] == name and result["steps"] == STEPS and result["metric"] in result
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == STEPS and lines[-1]["loss"] > 0
    printed = capsys.readouterr().out
    if plots.available():
        pictures = list(out.glob("*.png"))
        assert pictures and all(p.read_bytes().startswith(b"\x89PNG") for p in pictures)
    again = tmp_path / "again.json"
    train(name, *arguments, "--evaluate", out / "checkpoint.safetensors", "--json", again)
    assert json.loads(again.read_text())["value"] == result["value"]
    shown = capsys.readouterr().out.splitlines()[:-1]
    assert shown and all(line in printed for line in shown)  # what it has learned, shown by both


@pytest.mark.parametrize("run", RUNS)
def test_a_killed_run_goes_on_to_the_bits_of_an_unbroken_one(run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "available", lambda: False)  # the test above looks at the pictures
    name, arguments = name_of(run), [*RUNS[run](tmp_path), "--steps", STEPS, "--seed", 3]
    train(name, *arguments, "--out", tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill(patch, at=7, saved_at=5)
        with pytest.raises(Killed):
            train(name, *arguments, "--out", tmp_path / "broken")
    train(name, *arguments, "--out", tmp_path / "broken", "--resume")
    assert weights(tmp_path / "whole") == weights(tmp_path / "broken")
    tasks = [
        json.dumps(ww.load_checkpoint(tmp_path / run / "checkpoint.safetensors")["task"], default=repr)
        for run in ("whole", "broken")
    ]
    assert tasks[0] == tasks[1]  # what a task keeps besides: states that go on, norms


@pytest.mark.parametrize("run", RUNS)
def test_cudasim_learns_from_the_same_batches_as_cpu(run: str, tmp_path: Path) -> None:
    name, arguments = name_of(run), [str(a) for a in RUNS[run](tmp_path)]
    losses = {}
    for device in ("cpu", "cudasim"):
        options = cli.parser().parse_args(["train", name, *arguments, "--device", device])
        ww.manual_seed(0)
        task = get(name).setup(options)
        batches = iter(task.loader)
        losses[device] = [task.step(next(batches), k / STEPS)[0] for k in range(2)]
        task.model.eval()
    assert losses["cudasim"] == pytest.approx(losses["cpu"], rel=1e-4)


@pytest.mark.parametrize("arguments", [["shallow", "--batch-size", 8], ["memnet", "--task", "all", "--quick", "--questions", 30]])
def test_a_run_that_has_ended_is_resumed_to_the_same_report(
    arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(plots, "available", lambda: False)
    shown = []
    for more in ([], ["--resume"]):
        assert train(*arguments, "--steps", 2, "--out", tmp_path / "run", *more) in (0, 1)
        result = json.loads((tmp_path / "run" / "result.json").read_text())
        lines = capsys.readouterr().out.splitlines()
        shown.append(([line for line in lines if " % of " in line], {k: v for k, v in result.items() if k != "seconds"}))
    assert shown[0] == shown[1] and len(shown[0][0]) >= 3
