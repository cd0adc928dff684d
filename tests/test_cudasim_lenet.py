"""LeNet on device cudasim: every rung of both ladders trains it as the cpu does, and the command line does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import cli
from whitewolf.workloads.lenet import lenet

STEPS, BATCH = 5, 12


def _train(device: str, variants: dict[str, str]) -> tuple[list[float], list[np.ndarray]]:
    """Losses and weights of a few steps on digits, by stochastic gradient descent with momentum and weight decay."""
    ww.manual_seed(1)
    model = lenet(8).to(device)
    optimizer = ww.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-3)
    images, labels = ww.data.digits()[: STEPS * BATCH]
    losses = []
    with ww.kernels.use(**variants):
        for step in range(STEPS):
            part = slice(step * BATCH, (step + 1) * BATCH)
            x, y = (ww.asarray(np.ascontiguousarray(a[part]), device=device) for a in (images, labels))
            loss = ww.nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses, [p.detach().numpy() for p in model.parameters()]


@pytest.fixture(scope="module")
def on_the_cpu() -> tuple[list[float], list[np.ndarray]]:
    return _train("cpu", {})


@pytest.mark.parametrize(
    "variants",
    [
        {},
        {"matmul": "tiled"},
        {"matmul": "tiled", "conv2d": "tiled"},
        {"matmul": "naive", "conv2d": "naive"},
        {"matmul": "warp_tiled", "conv2d": "warp_tiled"},
        {"matmul": "mma_tf32", "conv2d": "mma_tf32"},
    ],
    ids=lambda v: "-".join(f"{family}={variant}" for family, variant in v.items()) or "chosen",
)
def test_lenet_trains_as_on_the_cpu(variants: dict[str, str], on_the_cpu: tuple[list[float], list[np.ndarray]]) -> None:
    losses, parameters = _train("cudasim", variants)
    expected_losses, expected = on_the_cpu
    tolerance = 2e-2 if "mma_tf32" in variants.values() else 1e-4
    np.testing.assert_allclose(losses, expected_losses, rtol=tolerance)
    for got, want in zip(parameters, expected):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance / 10)


def test_the_steps_have_the_same_bits_under_another_schedule() -> None:
    expected = _train("cudasim", {})
    with ww.cudasim(order="random", asynchrony="random", seed=11):
        losses, parameters = _train("cudasim", {})
    assert losses == expected[0]
    for got, want in zip(parameters, expected[1]):
        np.testing.assert_array_equal(got, want)


def test_the_command_line_trains_on_the_simulator(tmp_path: Path) -> None:
    options = ["--device", "cudasim", "--epochs", "1", "--batch-size", "64", "--quick", "--out", str(tmp_path)]
    assert cli.main(["train", "lenet", *options]) == 0
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["device"] == "cudasim"
