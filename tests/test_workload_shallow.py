"""The argument for depth: HOG features, the three classifiers, and that none learns from another's gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.devices import check_cudasim
from helpers.resume import check_resume
from whitewolf import cli
from whitewolf.workloads import shallow
from whitewolf.workloads.hog import hog


def test_hog_finds_the_orientation_of_an_edge() -> None:
    image = np.zeros((8, 8), np.float32)
    image[:, 4:] = 1
    across, down = hog(np.stack([image, image.T]), 4).reshape(2, 4, 9)
    assert across[:, 0].min() > 0.4 and np.abs(across[:, 1:]).max() < 1e-6  # gradient at 0 degrees: the first bin alone
    assert down[:, 4:6].min() > 0.1 and np.abs(np.delete(down, (4, 5), axis=1)).max() < 1e-6  # at 90 degrees, between two
    np.testing.assert_allclose(down[:, 4], down[:, 5], rtol=1e-5)


def test_orientations_of_0_and_180_degrees_are_the_same() -> None:
    angle = np.deg2rad(170)  # between the last bin, at 160, and the first
    y, x = np.mgrid[:8, :8]
    cells = hog((x * np.cos(angle) + y * np.sin(angle))[None].astype(np.float32), 4).reshape(4, 9)
    np.testing.assert_allclose(cells[:, 8], cells[:, 0], rtol=1e-3)
    assert cells[:, 0].min() > 0.1 and np.abs(cells[:, 2:7]).max() < 0.1


def test_hog_does_not_see_brightness_or_contrast() -> None:
    image = np.random.default_rng(0).random((1, 12, 12)).astype(np.float32)
    np.testing.assert_allclose(hog(image, 4), hog(3 * image + 1, 4), atol=1e-4)
    lengths = np.linalg.norm(hog(image, 4).reshape(-1, 36), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-3)
    with pytest.raises(ValueError, match=r"expected images of at least 8 x 8 for cells of 4, got 6 x 12"):
        hog(image[:, :6], 4)


def test_the_quick_run_measures_all_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    out = tmp_path / "run"
    assert cli.main(["train", "shallow", "--quick", "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    ordered = result["deep_error"] < min(result["hog_error"], result["pixels_error"])
    assert result["reached"] == (ordered and result["deep_error"] <= 0.05)
    assert max(result["deep_error"], result["hog_error"], result["pixels_error"]) < 0.1  # a few images apart: no order is promised
    assert "linear, on HOG" in capsys.readouterr().out


def test_a_deep_net_that_is_no_better_has_not_reached_the_target() -> None:
    figures = {"deep_error": 0.02, "hog_error": 0.019, "pixels_error": 0.05, "images": "digits"}
    assert not shallow.WORKLOAD.also(figures) and shallow.WORKLOAD.also(figures | {"hog_error": 0.03})
    assert not shallow.WORKLOAD.also(figures | {"hog_error": 0.03, "pixels_error": 0.09, "images": "MNIST"})


def test_the_linear_classifier_learns_as_if_it_were_alone() -> None:
    pytest.importorskip("sklearn")
    ww.manual_seed(0)
    task: Any = shallow.WORKLOAD.setup(cli.parser().parse_args(["train", "shallow"]))
    alone = ww.nn.Linear(64, 10)
    alone.load_state_dict(task.model["pixels"].state_dict())
    optimizer = ww.optim.SGD(alone.parameters(), lr=shallow.RATES["pixels"], momentum=0.9)
    for _, batch in zip(range(3), task.loader):
        task.step(batch, 0.0)
        loss = ww.nn.functional.cross_entropy(alone(batch[0].reshape((-1, 64))), batch[2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_array_equal(alone.weight.detach().numpy(), task.model["pixels"].weight.detach().numpy())


def test_missing_data_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "shallow", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 1
    err = capsys.readouterr().err
    assert "expected train-images-idx3-ubyte" in err and err.count("\n") == 1


def test_a_killed_run_is_resumed_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    check_resume("shallow", tmp_path, monkeypatch, 9, "--batch-size", "4")


def test_steps_on_the_simulated_gpu_are_those_on_the_cpu() -> None:
    pytest.importorskip("sklearn")
    check_cudasim("shallow", "--batch-size", "4")
