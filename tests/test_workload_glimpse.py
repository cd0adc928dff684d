"""Recurrent attention: what a glimpse sees, where REINFORCE's gradient goes, canvases, resumption, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import whitewolf as ww
from helpers.devices import check_cudasim
from helpers.resume import check_resume
from whitewolf import cli
from whitewolf.workloads import glimpse, plots
from whitewolf.workloads.finite import NotFinite


def test_a_glimpse_is_the_patch_around_its_place() -> None:
    model = glimpse.Glimpses(patch=4, scales=2)
    images = np.random.default_rng(0).random((2, 12, 12)).astype(np.float32)
    places = np.array([[0.0, 0.0], [-1.0, -1.0]], np.float32)  # the middle, and the upper left corner
    fine, coarse = model.retina(images, places).reshape(2, 2, 4, 4).transpose(1, 0, 2, 3)
    np.testing.assert_array_equal(fine[0], images[0, 4:8, 4:8])
    np.testing.assert_allclose(coarse[0], images[0, 2:10, 2:10].reshape(4, 2, 4, 2).mean(axis=(1, 3)), rtol=1e-6)
    np.testing.assert_array_equal(fine[1, 2:, 2:], images[1, :2, :2])
    assert (fine[1, :2] == 0).all() and (fine[1, :, :2] == 0).all()  # nothing lies beyond the edge


def test_the_places_are_learned_from_the_reward_alone() -> None:
    ww.manual_seed(0)
    model = glimpse.Glimpses(patch=4, hidden=16)
    rng = np.random.default_rng(0)
    images, draws = rng.random((5, 12, 12)).astype(np.float32), rng.standard_normal((3, 5, 2)).astype(np.float32)
    scores, log_p, values, path = model(images, draws)
    assert scores.shape == (5, 10) and path.shape == (3, 5, 2) and len(log_p) == len(values) == 2
    scores.sum().backward()
    assert model.look.weight.grad is None and model.value.weight.grad is None and model.core.weight.grad is not None
    model.zero_grad()
    _, log_p, _, path = model(images, draws)
    log_p[0].sum().backward()
    assert model.core.weight.grad is None  # only the layer that says where
    np.testing.assert_allclose(path[0], np.tanh(0.5 * draws[0]), rtol=1e-6)
    assert np.abs(model.look.weight.grad.numpy()).max() > 0


@pytest.mark.parametrize("towards", [0.2, 1.8])  # tanh: 0.20, and 0.95, from where half of the places lie near the edge or beyond
def test_reinforce_is_the_gradient_of_the_expected_reward(towards: float) -> None:
    model = glimpse.Glimpses(patch=4, hidden=16)
    quantiles = NormalDist()
    z = np.array([quantiles.inv_cdf((i + 0.5) / 4000) for i in range(4000)])
    draws = np.zeros((2, len(z), 2), np.float32)
    draws[1, :, 0] = z

    def looks(bias: float) -> tuple[float, ww.Tensor]:
        """The mean over all draws of the reward, here the square of the row, and of reward x log p."""
        model.look.load_state_dict({"weight": np.zeros((2, 16), np.float32), "bias": np.array([bias, 0.3], np.float32)})
        _, log_p, _, path = model(np.zeros((len(z), 12, 12), np.float32), draws)
        reward = path[1, :, 0] ** 2
        return float(reward.mean()), (ww.asarray(reward) * log_p[0]).mean()

    _, estimate = looks(towards)
    estimate.backward()
    expected = (looks(towards + 0.02)[0] - looks(towards - 0.02)[0]) / 0.04
    assert model.look.bias.grad is not None
    np.testing.assert_allclose(model.look.bias.grad.numpy()[0], expected, rtol=0.01)


def test_places_that_are_not_finite_stop_a_step() -> None:
    model = glimpse.Glimpses(patch=4, hidden=16)
    with ww.no_grad():
        model.look.bias[0] = np.nan
    with pytest.raises(NotFinite, match="finite places to look at"):
        model(np.zeros((2, 12, 12), np.float32), np.zeros((2, 2, 2), np.float32))


def test_reinforce_finds_where_the_reward_is() -> None:
    ww.manual_seed(0)
    rng = np.random.default_rng(0)
    model = glimpse.Glimpses(patch=4, hidden=16)
    optimizer = ww.optim.Adam(model.look.parameters(), lr=0.02)
    images, goal = np.zeros((64, 12, 12), np.float32), np.array([0.5, -0.4])
    far = []
    for _ in range(60):
        draws = rng.standard_normal((2, 64, 2)).astype(np.float32)
        _, log_p, _, path = model(images, draws)
        distance = np.linalg.norm(path[1] - goal, axis=1)
        reward = ww.asarray((-distance + distance.mean()).astype(np.float32))
        loss = -(reward * log_p[0]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        far.append(distance.mean())
    assert far[-1] < 0.5 * far[0]


def test_a_canvas_holds_the_whole_digit_and_pieces_of_others() -> None:
    rng = np.random.default_rng(0)
    images = (rng.random((6, 1, 8, 8)) * 0.5 + 0.5).astype(np.float32)
    labels = np.arange(6)
    plain, same = glimpse.OnCanvas(20, 0)((images, labels), np.random.default_rng(1))
    assert same is labels and plain.shape == (6, 20, 20)
    for canvas, image in zip(plain, images[:, 0]):
        rows, columns = np.flatnonzero(canvas.any(axis=1)), np.flatnonzero(canvas.any(axis=0))
        assert len(rows) == len(columns) == 8
        np.testing.assert_array_equal(canvas[rows[0] : rows[0] + 8, columns[0] : columns[0] + 8], image)
    cluttered, _ = glimpse.OnCanvas(20, 4, 4)((images, labels), np.random.default_rng(1))
    assert ((cluttered > 0).sum(axis=(1, 2)) > (plain > 0).sum(axis=(1, 2))).all()


def test_a_few_steps_leave_paths_and_a_result(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    out = tmp_path / "run"
    arguments = ["--steps", "6", "--clutter", "2", "--canvas", "40", "--glimpses", "4", "--out", str(out)]
    assert cli.main(["train", "glimpse", *arguments]) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["scales"] == 3 and result["canvas"] == 40 and result["target"] is None and 0 < result["value"] <= 1
    if plots.available():
        assert (out / "glimpses.png").read_bytes().startswith(b"\x89PNG")


def test_a_killed_run_is_resumed_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    check_resume("glimpse", tmp_path, monkeypatch, 30, "--glimpses", "3")


def test_steps_on_the_simulated_gpu_are_those_on_the_cpu() -> None:
    pytest.importorskip("sklearn")
    check_cudasim("glimpse", "--batch-size", "4", "--glimpses", "3")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--canvas", "10"], "expected --canvas >= 16, got 10"),
        (["--glimpses", "0"], "expected --glimpses >= 1, got 0"),
        (["--data", "nowhere"], "expected train-images-idx3-ubyte"),
    ],
)
def test_what_cannot_be_seen_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    assert cli.main(["train", "glimpse", "--out", str(tmp_path), *arguments]) == 1
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1
