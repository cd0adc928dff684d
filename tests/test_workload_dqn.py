"""DQN: the game's rules, the replay memory, the loss, resumption, and Atari where ale-py is there."""

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
from whitewolf.workloads import dqn, plots
from whitewolf.workloads.games import Catch
from whitewolf.workloads.replay import STACK, Replay


def random_numbers(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_paddle_that_follows_the_ball_catches_it_and_one_that_flees_does_not() -> None:
    for follows, reward in ((True, 1.0), (False, -1.0)):
        rng = random_numbers()
        game = Catch(64, rng)
        ends: list[float] = []
        for _ in range(5 * (Catch.size - 1)):
            toward = np.sign(game.ball_x - game.paddle)
            away = np.where(game.ball_x < Catch.size // 2, 1, -1)  # to the other half of the floor
            rewards, ended = game.step(1 + (toward if follows else away), rng)
            assert (rewards[~ended] == 0).all()
            ends += rewards[ended].tolist()
        assert len(ends) == 64 * 5 and np.mean(np.array(ends) == reward) > 0.9


def test_the_ball_bounces_and_its_drift_cannot_be_seen_in_one_frame() -> None:
    rng = random_numbers()
    game = Catch(3, rng)
    game.ball_x[:], game.drift[:] = (0, 5, Catch.size - 1), (-1, 0, 1)
    first = game.frames()
    game.step(np.ones(3, np.int64), rng)
    assert game.ball_x.tolist() == [1, 5, Catch.size - 2] and game.drift.tolist() == [1, 0, -1]
    assert first.shape == (3, Catch.size, Catch.size) and (first > 0).sum() == 3 * 4


def test_states_from_the_memory_are_those_that_were_seen() -> None:
    rng = random_numbers()
    game, memory, length = Catch(3, rng), Replay(40, 3, Catch.size), 40
    memory.begin(game.frames())
    seen: dict[bytes, tuple[Any, ...]] = {}
    recent = [[game.frames()[copy]] for copy in range(3)]
    black = np.zeros((Catch.size, Catch.size), np.uint8)

    def state(copy: int) -> Any:
        return np.stack(([black] * STACK + recent[copy])[-STACK:])

    for _ in range(130):
        states = [state(copy) for copy in range(3)]
        np.testing.assert_array_equal(memory.state(), states)
        actions = rng.integers(0, 3, 3)
        rewards, ended = game.step(actions, rng)
        frames = game.frames()
        memory.add(actions, rewards, ended, frames)
        for copy in range(3):
            recent[copy] = [frames[copy]] if ended[copy] else [*recent[copy], frames[copy]]
            seen.setdefault(states[copy].tobytes() + bytes([actions[copy]]), ())
            seen[states[copy].tobytes() + bytes([actions[copy]])] += ((rewards[copy], ended[copy], state(copy).tobytes()),)
    before, actions, rewards, after, went_on = memory.sample(500, rng)
    for i in range(500):
        outcomes = seen[before[i].tobytes() + bytes([actions[i]])]
        assert any(r == rewards[i] and e != bool(went_on[i]) and (e or s == after[i].tobytes()) for r, e, s in outcomes)
    assert 0 < (went_on == 0).sum() < 100 and memory.count == 130 > length


def test_the_loss_is_the_bellman_error_with_a_clipped_slope() -> None:
    values, later = ww.tensor([[1.0, 5.0], [0.0, 2.0]], requires_grad=True), ww.tensor([[3.0, 4.0], [1.0, -1.0]])
    batch = (values, ww.tensor([0, 1]), ww.tensor([0.5, 1.0]), later, ww.tensor([1.0, 0.0]))
    loss = dqn.bellman_loss(lambda x: x, lambda x: x, 0.5, batch)
    errors = np.array([1.0 - (0.5 + 0.5 * 4.0), 2.0 - 1.0])  # the second episode ended: no future
    assert loss.item() == pytest.approx(np.mean(np.where(abs(errors) < 1, errors**2 / 2, abs(errors) - 0.5)))
    loss.backward()
    np.testing.assert_allclose(values.grad.numpy(), [[-0.5, 0], [0, 0.5]])


def test_a_quick_start_learns_the_same_bits_again_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_resume("dqn", tmp_path, monkeypatch, 30, "--memory", "400")


def test_a_short_run_leaves_a_filmstrip(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert cli.main(["train", "dqn", "--steps", "20", "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["metric"] == "caught" and result["target"] == 0.95 and 0 <= result["value"] <= 1 and result["steps"] == 20
    if plots.available():
        assert (out / "filmstrip.png").read_bytes().startswith(b"\x89PNG")


def test_the_short_run_learns_to_catch_more_than_chance_does(tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["train", "dqn", "--quick", "--steps", "2500", "--out", str(out)]
    task = dqn.WORKLOAD.setup(cli.parser().parse_args(arguments))
    returns, _ = task.play(1000, 1.0)
    assert cli.main(arguments) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["target"] == 0.8 and result["quick"] is True
    # 2,500 of the short run's 8,000 steps: 0.36 of the balls, where chance catches 0.2
    assert result["caught"] > 1.25 * (returns > 0).mean() > 0.1


def test_steps_on_the_simulated_gpu_are_those_on_the_cpu() -> None:
    check_cudasim("dqn", "--batch-size", "2", "--memory", "400")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "x"], "expected no --data"),
        (["--memory", "10"], "expected --memory >= 400, got 10"),
        (["--game", "chess"], "chess"),
    ],
)
def test_what_cannot_be_played_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "chess" in arguments:
        pytest.importorskip("ale_py")
    assert cli.main(["train", "dqn", "--out", str(tmp_path), *arguments]) == 1
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


def test_an_atari_game_plays(tmp_path: Path) -> None:
    pytest.importorskip("ale_py")
    out = tmp_path / "run"
    assert cli.main(["train", "dqn", "--game", "pong", "--steps", "2", "--memory", "4000", "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["parameters"] == 1_687_206 and -21 <= result["value"] <= 21


def test_an_atari_game_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    pytest.importorskip("ale_py")
    from whitewolf.workloads.games import Atari

    rng = np.random.default_rng(0)
    first, other = (Atari(2, np.random.default_rng(seed), "breakout") for seed in (1, 2))
    played = [first.step(rng.integers(0, 4, 2), rng) for _ in range(30)]
    ww.save_checkpoint(tmp_path / "game.safetensors", game=first.state_dict())
    other.load_state_dict(ww.load_checkpoint(tmp_path / "game.safetensors")["game"])
    assert played and (first.frames() == other.frames()).all()
    for _ in range(300):  # several lives and a new episode
        actions = rng.integers(0, 4, 2)
        expected, got = (game.step(actions, np.random.default_rng(3)) for game in (first, other))
        assert all((a == b).all() for a, b in zip(expected, got)) and (first.frames() == other.frames()).all()
    assert (first.scores == other.scores).all()
