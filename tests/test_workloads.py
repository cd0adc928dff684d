"""Training runs: results, checkpoints, kills, Ctrl-C, resumption to the same bits, and what a run refuses."""

from __future__ import annotations

import gzip
import json
import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.devices import check_cudasim
from whitewolf import cli, workloads
from whitewolf.workloads import frame, plots, record
from whitewolf.workloads.interrupt import Interruption
from whitewolf.workloads.lenet import lenet

ROOT = str(Path(ww.__file__).resolve().parents[1])


@pytest.fixture(autouse=True)
def pictures(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Runs draw nothing, which would take longer than they do, unless a test asks for it with what this returns."""
    available = plots.available
    monkeypatch.setattr(plots, "available", lambda: False)
    return available


def write_idx(path: Path, array: Any, packed: bool) -> None:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    content = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if packed else content)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder like MNIST's: bright squares whose place tells the digit, which a net learns at once."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, n, packed in (("train", 192, True), ("t10k", 50, False)):
        labels = rng.integers(0, 10, n)
        pixels = rng.integers(0, 60, (n, 28, 28))
        for image, label in zip(pixels, labels):
            row, column = divmod(int(label), 5)
            image[4 + 12 * row : 10 + 12 * row, 2 + 5 * column : 7 + 5 * column] = 255
        end = ".gz" if packed else ""
        write_idx(folder / f"{name}-images-idx3-ubyte{end}", pixels, packed)
        write_idx(folder / f"{name}-labels-idx1-ubyte{end}", labels, packed)
    return folder


def train(*arguments: str) -> int:
    return cli.main(["train", "lenet", *arguments])


def weights(folder: Path) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in ww.load_checkpoint(folder / "checkpoint.safetensors")["model"].items()}


def same(a: Path, b: Path) -> bool:
    """Whether two runs ended with the same bits and the same figures."""
    left, right = weights(a), weights(b)
    assert left.keys() == right.keys()
    lines = [[json.loads(line) for line in (f / "metrics.jsonl").read_text().splitlines()] for f in (a, b)]
    for entry in lines[0] + lines[1]:
        entry.pop("seconds")
    return lines[0] == lines[1] and all(left[n].tobytes() == right[n].tobytes() for n in left)


def child(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "whitewolf", "train", "lenet", *arguments]
    env = os.environ | {"PYTHONPATH": ROOT}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, text: str, run: subprocess.Popen[str]) -> None:
    """Returns once the file holds the text."""
    end = time.monotonic() + 60
    while not (path.is_file() and text in path.read_text()):
        assert run.poll() is None and time.monotonic() < end, "the run ended, or hangs, before it wrote what was expected"
        time.sleep(0.01)


class _Known(frame.Task):
    """Steps with losses and hits that the test knows."""

    taken = 0

    def step(self, batch: Any, fraction: float) -> tuple[float, float, int]:
        self.taken += 1
        n = len(batch[0])
        return self.taken * 1.0 * n, float(self.taken % 3), n

    def evaluate(self) -> dict[str, float]:
        return {"test_accuracy": 0.5}


class _KnownWorkload(frame.Workload):
    name, metric = "known", "test_accuracy"

    def setup(self, options: Any) -> frame.Task:
        net = ww.nn.Linear(1, 1)
        loader = ww.data.DataLoader(ww.data.TensorDataset(ww.arange(10)), 4)
        return _Known(net, ww.optim.SGD(net.parameters()), loader, 3, "ten numbers")


def test_loss_and_accuracy_are_those_of_each_epoch(tmp_path: Path) -> None:
    options = cli.parser().parse_args(["train", "lenet", "--out", str(tmp_path / "run")])
    frame.run(_KnownWorkload(), options)
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found["target"] is None and found["reached"] is None  # nothing was promised
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    sizes, steps = [4, 4, 2], [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    losses = [sum(s * n for s, n in zip(epoch, sizes)) / 10 for epoch in steps]
    assert [e["loss"] for e in lines] == pytest.approx(losses)
    assert [e["train_accuracy"] for e in lines] == pytest.approx([sum(s % 3 for s in epoch) / 10 for epoch in steps])


def test_a_run_on_a_folder_of_idx_files_leaves_everything(
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    pictures: Callable[[], bool],
) -> None:
    monkeypatch.setattr(plots, "available", pictures)
    out = tmp_path / "run"
    assert (
        train("--data", str(images), "--epochs", "6", "--batch-size", "16", "--out", str(out), "--json", str(tmp_path / "r.json"))
        == 0
    )
    result = json.loads((out / "result.json").read_text())
    assert result == json.loads((tmp_path / "r.json").read_text())
    names = {"workload", "metric", "value", "target", "reached", "seconds", "steps", "parameters", "seed", "device", "data"}
    assert names | {"test_accuracy", "test_error", "epochs"} <= result.keys()
    assert result["workload"] == "lenet" and result["metric"] == "test_error" and result["target"] == 0.0095
    assert result["parameters"] == 431_080 and result["steps"] == 72 and result["epochs"] == 6 and result["device"] == "cpu"
    assert result["test_accuracy"] > 0.9 and result["value"] == result["test_error"] == pytest.approx(1 - result["test_accuracy"])
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [e["epoch"] for e in lines] == [1, 2, 3, 4, 5, 6] and lines[5]["loss"] < lines[0]["loss"]
    printed = capsys.readouterr().out
    assert "MNIST, 192 to learn from, 50 to test on" in printed and "431,080 parameters" in printed and "epoch   6/6" in printed
    if plots.available():
        for name in ("curves.png", "filters.png"):
            assert (out / name).read_bytes().startswith(b"\x89PNG")


def test_curves_are_logarithmic_over_more_than_a_power_of_ten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    made, figure = [], plots.figure
    monkeypatch.setattr(plots, "figure", lambda *size: made.append(figure(*size)) or made[-1])
    lines = {"narrow": [1.0, 1.5], "wide": [1.0, 0.01], "zero": [1.0, 0.0]}
    history = [{"epoch": k} | {name: values[k] for name, values in lines.items()} for k in range(2)]
    plots.curves(history, tmp_path / "c.png", {name: {"own": operator.itemgetter(name)} for name in lines})
    assert [(a.get_ylabel(), a.get_yscale()) for a in made[0].axes] == [("narrow", "linear"), ("wide", "log"), ("zero", "linear")]
    assert plots.evenly(10, 4).tolist() == [0, 3, 6, 9] and plots.evenly(2, 5).tolist() == [0, 1]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(images: Path, tmp_path: Path) -> None:
    for name, seed, threads in (("a", "1", "1"), ("b", "1", "2"), ("c", "2", "1")):
        arguments = ("--data", str(images), "--epochs", "1", "--seed", seed, "--threads", threads, "--out", str(tmp_path / name))
        assert train(*arguments) == 0
    assert same(tmp_path / "a", tmp_path / "b") and not same(tmp_path / "a", tmp_path / "c")


def test_ctrl_c_saves_and_the_resumed_run_ends_with_the_bits_of_an_unbroken_one(images: Path, tmp_path: Path) -> None:
    settings = ("--data", str(images), "--epochs", "8", "--batch-size", "16")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train(*settings, "--out", str(whole)) == 0
    run = child(*settings, "--out", str(broken))
    wait_for(broken / "metrics.jsonl", '"epoch": 2', run)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130 and "Traceback" not in err
    assert "stopped after step" in out and "--resume" in out
    again = out.split("go on with: whitewolf train lenet ", 1)[1].splitlines()[0].split()
    assert not (broken / "result.json").exists()
    assert train(*again) == 0
    assert same(whole, broken)


def test_a_killed_run_goes_on_from_its_last_epoch_to_the_same_bits(images: Path, tmp_path: Path) -> None:
    settings = ("--data", str(images), "--epochs", "8", "--batch-size", "16")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train(*settings, "--out", str(whole)) == 0
    run = child(*settings, "--out", str(broken))
    wait_for(broken / "metrics.jsonl", '"epoch": 2', run)
    run.kill()
    run.communicate(timeout=60)
    assert train(*settings, "--out", str(broken), "--resume") == 0
    assert same(whole, broken)


def test_a_run_starts_anew_without_resume(images: Path, tmp_path: Path) -> None:
    settings = ("--data", str(images), "--epochs", "1", "--out", str(tmp_path / "run"))
    assert train(*settings) == 0 and train(*settings) == 0
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_checkpoint_can_be_measured_alone(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    settings = ("--data", str(images), "--epochs", "1")
    assert train(*settings, "--out", str(out)) == 0
    trained = json.loads((out / "result.json").read_text())
    checkpoint = str(out / "checkpoint.safetensors")
    assert train(*settings, "--evaluate", checkpoint, "--json", str(tmp_path / "e.json")) == 0
    measured = json.loads((tmp_path / "e.json").read_text())
    assert measured["test_error"] == trained["test_error"] and measured["checkpoint"] == checkpoint
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--resume"], "expected a checkpoint to resume at"),
        (["--evaluate", "no-such-file"], "expected a checkpoint at no-such-file, found none"),
        (["--lr", "-1"], "expected --lr > 0, got -1"),
        (["--device", "cuda"], "cuda is not available"),
        (["--device", "gpu"], "device: expected one of cpu, cudasim, cuda, got 'gpu'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], words: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = train("--data", str(images), "--out", str(tmp_path / "run"), *arguments)
    err = capsys.readouterr().err
    assert status == 1 and words in err and err.count("\n") == 1


def test_a_checkpoint_of_something_else_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    path = tmp_path / "checkpoint.safetensors"
    ww.save_checkpoint(path, model=lenet(8), step=3, state={})
    for arguments in (["--resume", "--out", str(tmp_path)], ["--evaluate", str(path)]):
        assert train(*arguments) == 1
        err = capsys.readouterr().err
        assert f"{path}: expected the checkpoint of a run, got one without loader, settings, task" in err
        assert err.count("\n") == 1


def test_missing_data_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--data", str(tmp_path)) == 1
    assert "train-images-idx3-ubyte" in capsys.readouterr().err


def test_a_resumed_run_keeps_its_settings(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("--data", str(images), "--out", str(tmp_path / "run"))
    assert train(*settings, "--epochs", "1") == 0
    assert train(*settings, "--epochs", "1", "--lr", "0.5", "--resume") == 1
    assert "lr" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_stops_the_run(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--data", str(images), "--out", str(tmp_path / "run"), "--lr", "1e30") == 1
    assert "expected a finite loss" in capsys.readouterr().err


class _Breaks(frame.Task):
    """A step that fails in a place that the test chooses, at the step it chooses."""

    place = ""

    def step(self, batch: Any, fraction: float) -> tuple[float, float | None, int]:
        (x,) = batch
        net: Any = self.model
        if fraction >= 0.7:  # in the third epoch of three
            if self.place == "weight":
                net[2].weight = ww.nn.Parameter(ww.full((1, 4), np.nan))
            elif self.place == "input":
                x = x * np.inf
            elif self.place == "layer":
                net[0].bias = ww.nn.Parameter(ww.full((4,), 3e38))
                net[2].weight = ww.nn.Parameter(ww.full((1, 4), 2.0))
        y = net(x)
        loss = y.sum() / (ww.zeros(1) if fraction >= 0.7 and self.place == "loss" else 1.0)
        return self.learn(loss.sum(), clip=1.0) * len(x), None, len(x)

    def evaluate(self) -> dict[str, float]:
        return {"test_loss": 0.5}


class _BreaksWorkload(frame.Workload):
    name, metric = "breaks", "test_loss"

    def __init__(self, place: str) -> None:
        self.place = place

    def setup(self, options: Any) -> frame.Task:
        net = ww.nn.Sequential(ww.nn.Linear(1, 4), ww.nn.ReLU(), ww.nn.Linear(4, 1))
        loader = ww.data.DataLoader(ww.data.TensorDataset(np.ones((8, 1), np.float32)), 4)
        task = _Breaks(net, ww.optim.SGD(net.parameters(), lr=0.01), loader, 3, "ones")
        task.place = self.place
        return task


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("layer", "it began in layer 2 (Linear)"),
        ("input", "it began in the input of layer 0 (Linear)"),
        ("weight", "it began in 2.weight, by the update of the step before"),
        ("loss", "it began in the loss"),
    ],
)
def test_nan_names_step_and_layer_and_keeps_the_last_checkpoint(place: str, words: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = cli.parser().parse_args(["train", "lenet", "--out", str(out)])
    with pytest.raises(RuntimeError, match="step 6: expected") as caught:
        frame.run(_BreaksWorkload(place), options)
    assert words in str(caught.value) and f"the last good checkpoint is {out / 'checkpoint.safetensors'}" in str(caught.value)
    kept = ww.load_checkpoint(out / "checkpoint.safetensors")
    assert kept["state"]["step"] == 4 and all(np.isfinite(w.numpy()).all() for w in kept["model"].values())


def test_steps_end_a_run_within_an_epoch_and_are_resumed(images: Path, tmp_path: Path) -> None:
    settings = ("--data", str(images), "--steps", "17", "--batch-size", "16")
    assert train(*settings, "--out", str(tmp_path / "a")) == 0
    result = json.loads((tmp_path / "a" / "result.json").read_text())
    assert result["steps"] == 17 and result["epochs"] == 2 and result["command"].startswith("whitewolf train lenet --data ")
    assert "--steps 17" in result["command"] and "--batch-size 16" in result["command"] and result["machine"]
    assert train(*settings, "--resume", "--out", str(tmp_path / "a")) == 0  # nothing is left to do
    assert train("--data", str(images), "--steps", "18", "--batch-size", "16", "--resume", "--out", str(tmp_path / "a")) == 1
    assert train(*settings, "--epochs", "2") == 1


def test_steps_on_the_simulated_gpu_are_those_on_the_cpu(images: Path) -> None:
    check_cudasim("lenet", "--data", str(images), "--batch-size", "2")


def test_the_first_signal_asks_and_the_second_interrupts() -> None:
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_lenet_reads_scikit_learn_s_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    assert train("--out", str(tmp_path / "run")) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["test_accuracy"] >= 0.98 and result["reached"] and "8x8 form" in result["net"]


def test_the_last_result_is_of_the_plain_command_where_that_was_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(record, "RECORDED", tmp_path)
    common = {"metric": "gain", "reached": True, "date": "2026-11-26", "target": 0.2}
    runs = [
        common | {"command": "whitewolf train known", "value": 1},
        common | {"command": "whitewolf train known --seed 1", "value": 2},
        common | {"command": "whitewolf train known --quick", "value": 3, "quick": True},
    ]
    for kept, value in ((runs, 1), (runs[1:], 2), (runs[2:], 3)):
        (tmp_path / "known.jsonl").write_text("".join(json.dumps(run) + "\n" for run in kept))
        found = record.last("known")
        assert found is not None and found["value"] == value and kept[0]["command"] in found["from"]
    (tmp_path / "runs" / "known").mkdir(parents=True)
    (tmp_path / "runs" / "known" / "result.json").write_text(json.dumps(common | {"value": 4}))
    found = record.last("known")
    assert found is not None and found["value"] == 4  # the user's own


@pytest.mark.parametrize("workload", workloads.all(), ids=lambda w: w.name)
def test_help_says_what_a_workload_is_and_promises(workload: frame.Workload, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", workload.name, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for words in (workload.paper[:20], f"{workload.metric} {'>=' if workload.larger_is_better else '<='} {workload.target:g}"):
        assert words in text
    assert "with --quick: " in text and all(f"--{o} " in text for o in ("data", "steps", "seed", "device", "out", "evaluate"))
