"""Pre-training: contrastive divergence, denoising, unrolling, fine-tuning from few labels, resumption, and what is refused."""

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
from whitewolf.workloads import plots, pretrain
from whitewolf.workloads.finite import NotFinite


def task(*arguments: str) -> Any:
    pytest.importorskip("sklearn")
    ww.manual_seed(0)
    return pretrain.WORKLOAD.setup(cli.parser().parse_args(["train", "pretrain", *arguments]))


def test_contrastive_divergence_is_hinton_s_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    ww.manual_seed(0)
    layer = pretrain.Layer(6, 4).double()
    rng = np.random.default_rng(0)
    v, drawn = rng.random((5, 6)), rng.integers(0, 2, (5, 4)).astype(np.float64)
    monkeypatch.setattr("whitewolf.ops.random.bernoulli", lambda p: ww.asarray(drawn))
    w, b, a = (p.detach().numpy().copy() for p in (layer.up.weight, layer.up.bias, layer.visible_bias))

    def logistic(x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    h = logistic(v @ w.T + b)
    v1 = logistic(drawn @ w + a)
    h1 = logistic(v1 @ w.T + b)
    error = layer.contrast(ww.asarray(v), 0.1, 0.5)
    assert error == pytest.approx(((v - v1) ** 2).sum() / 5)
    change = 0.1 * ((h.T @ v - h1.T @ v1) / 5 - 2e-4 * w)
    np.testing.assert_allclose(layer.up.weight.detach().numpy(), w + change, rtol=1e-12)
    np.testing.assert_allclose(layer.up.bias.detach().numpy(), b + 0.1 * (h - h1).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(layer.visible_bias.detach().numpy(), a + 0.1 * (v - v1).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(layer.velocity.numpy(), change, rtol=1e-12)


@pytest.mark.parametrize("method", ["rbm", "denoising"])
def test_layers_learn_in_turn_and_then_all_of_them(method: str) -> None:
    made = task("--method", method)
    images = next(iter(made.loader))

    def changed(fraction: float) -> list[bool]:
        before = [layer.up.weight.numpy().copy() for layer in made.model["stacks"][0]]
        made.step(images, fraction)
        return [not np.array_equal(w, layer.up.weight.numpy()) for w, layer in zip(before, made.model["stacks"][0])]

    assert changed(0.0) == [True, False] and changed(0.29) == [True, False]
    assert changed(0.31) == [False, True] and changed(0.59) == [False, True]
    random = made.model["random"][0].ups[0].weight.numpy().copy()
    assert changed(0.6) == [True, True]
    assert not np.array_equal(random, made.model["random"][0].ups[0].weight.numpy())


@pytest.mark.parametrize("method", ["rbm", "denoising"])
def test_a_layer_learns_to_reconstruct(method: str) -> None:
    made = task("--method", method)
    images = next(iter(made.loader))
    losses = [made.step(images, 0.0)[0] for _ in range(40)]
    assert losses[-1] < 0.8 * losses[0]


def test_the_labels_are_as_many_of_each_class_and_differ_from_copy_to_copy() -> None:
    made = task("--labels", "30")
    assert len(made.labelled) == 3
    for _, labels in made.labelled:
        np.testing.assert_array_equal(np.bincount(labels), [3] * 10)
    assert not np.array_equal(made.labelled[0][0], made.labelled[1][0])


def test_labels_that_are_not_there_are_named() -> None:
    images, labels = np.zeros((20, 1, 8, 8), np.float32), np.arange(20) % 9
    with pytest.raises(ValueError, match="pretrain: expected 1 images of each digit for 10 labels, got 0 of 9"):
        pretrain._few(ww.data.TensorDataset(images, labels), 10, 0)


def test_a_denoising_autoencoder_starts_like_the_net_from_random_numbers_and_an_rbm_smaller() -> None:
    spread = {m: float(task("--method", m).model["stacks"][0][0].up.weight.numpy().std()) for m in ("rbm", "denoising")}
    made = task("--method", "denoising")
    assert spread["denoising"] == pytest.approx(float(made.model["random"][0].ups[0].weight.numpy().std()), rel=0.03)
    assert spread["rbm"] == pytest.approx(0.05, rel=0.03)


def test_unrolling_keeps_the_reconstruction_of_the_stack() -> None:
    made = task("--method", "autoencoder")
    v = ww.asarray(np.random.default_rng(0).random((3, 64)).astype(np.float32))
    net = made.model["autoencoder"]
    with ww.no_grad():
        codes = [v]
        for layer in net.encoder:
            codes.append(layer.encode(codes[-1]))
        back = codes[-1]
        for layer in reversed(list(net.encoder)):
            back = layer.decode(back)
        net.unroll()
        np.testing.assert_allclose(net(v).numpy(), back.numpy(), rtol=1e-5)


def test_a_few_steps_leave_reconstructions_beside_those_of_principal_components(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    out = tmp_path / "run"
    assert cli.main(["train", "pretrain", "--method", "autoencoder", "--steps", "20", "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["metric"] == "of_pca" and result["value"] == pytest.approx(result["squared_error"] / result["pca_squared_error"])
    from sklearn.decomposition import PCA

    train, test = (ww.data.digits(part).arrays[0].reshape(-1, 64) for part in (True, False))
    fitted = PCA(8).fit(train)
    expected = ((fitted.inverse_transform(fitted.transform(test)) - test) ** 2).sum(axis=1).mean()
    assert result["pca_squared_error"] == pytest.approx(expected, rel=1e-4)
    if plots.available():
        assert (out / "reconstructions.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("method", ["rbm", "denoising", "autoencoder"])
def test_a_killed_run_is_resumed_to_the_same_bits(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    check_resume("pretrain", tmp_path, monkeypatch, 30, "--method", method)


@pytest.mark.parametrize(
    ("method", "done"), [("rbm", 0.0), ("denoising", 0.0), ("rbm", 0.7), ("autoencoder", 0.5), ("autoencoder", 0.7)]
)
def test_steps_on_the_simulated_gpu_are_those_on_the_cpu(method: str, done: float) -> None:
    pytest.importorskip("sklearn")
    check_cudasim("pretrain", "--method", method, "--batch-size", "4", done=done)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--labels", "15"], "expected --labels to be a multiple of 10 from 10 to 1438, got 15"),
        (["--data", "nowhere"], "expected train-images-idx3-ubyte"),
    ],
)
def test_what_cannot_be_learned_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    assert cli.main(["train", "pretrain", "--out", str(tmp_path), *arguments]) == 1
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("part", "words"), [("visible_bias", "a finite error of the reconstruction, got nan"), ("up.bias", "finite hidden units")]
)
def test_a_machine_that_diverged_stops_before_it_learns_from_that(part: str, words: str) -> None:
    layer = pretrain.Layer(6, 4)
    with ww.no_grad():
        dict(layer.named_parameters())[part][2] = np.nan
    before = layer.up.weight.numpy().copy()
    with pytest.raises(NotFinite, match=words):
        layer.contrast(ww.ones((3, 6)), 0.1, 0.5)
    assert np.array_equal(layer.up.weight.numpy(), before) and not layer.velocity.numpy().any()
