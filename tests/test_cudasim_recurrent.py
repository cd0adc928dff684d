"""The recurrent kernels on device cudasim: the variants of the LSTM against each other, and a model that trains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import whitewolf as ww
from whitewolf.ops.recurrent import lstm
from whitewolf.simulator import schedules

Array = np.ndarray


def _run(variant: str, steps: int, samples: int, units: int, dtype: str, features: int = 0, reverse: bool = False) -> list[Array]:
    """The outputs and all gradients of one LSTM."""
    rng = np.random.default_rng(steps * 100 + units)
    shapes: list[Sequence[int]] = [(steps, samples, 4 * units), (4 * units, units), (samples, units), (samples, units)]
    shapes += [(steps, samples, features), (4 * units, features)] if features else []
    inputs = [ww.asarray(rng.standard_normal(s).astype(dtype), device="cudasim").requires_grad_() for s in shapes]
    with ww.kernels.use(lstm=variant):
        outputs = lstm(*inputs, reverse=reverse)
        loss = sum((o * o).sum() for o in outputs)
        gradients = ww.autograd.grad(loss, inputs)
    return [t.detach().numpy() for t in (*outputs, *gradients)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("steps", "samples", "units", "dtype", "features"),
    [(1, 1, 1, "float32", 0), (3, 35, 19, "float32", 5), (4, 3, 33, "float64", 0), (2, 2, 65, "float32", 0)],
)
def test_the_persistent_lstm_has_the_bits_of_the_step(
    steps: int, samples: int, units: int, dtype: str, features: int, reverse: bool
) -> None:
    step, persistent = (_run(v, steps, samples, units, dtype, features, reverse) for v in ("step", "persistent"))
    for expected, got in zip(step, persistent):
        np.testing.assert_array_equal(got, expected)


def test_the_persistent_lstm_does_not_depend_on_the_schedule() -> None:
    expected = _run("step", 3, 5, 19, "float32")
    for order, asynchrony, seed in schedules(0):
        with ww.cudasim(order=order, asynchrony=asynchrony, seed=seed):
            for want, got in zip(expected, _run("persistent", 3, 5, 19, "float32")):
                np.testing.assert_array_equal(got, want)


def test_the_persistent_lstm_refuses_what_it_does_not_serve() -> None:
    x, w, h = (ww.zeros(s, device="cudasim") for s in ((3, 8), (8, 2), (2, 2)))
    with ww.kernels.use(lstm="persistent"), pytest.raises(ValueError, match="persistent"):
        lstm(x, w, h, h, batch_sizes=(2, 1))
    wide = 8 * 4 * 32 * 8  # units of more blocks than four multiprocessors hold
    kernel = ww.device("cudasim").module.get("lstm_forward", "persistent")
    u, g = np.zeros((1, wide), "f4"), np.zeros((1, 4 * wide), "f4")
    weight = np.broadcast_to(np.zeros((1, 1), "f4"), (4 * wide, wide))
    with pytest.raises(ValueError, match="persistent"):
        kernel(u.copy(), u.copy(), g.copy(), u.copy(), u.copy(), g, weight, u, u, None, None, None)


def _train(device: str, variant: str) -> tuple[list[float], list[Array]]:
    """Losses and weights of a two-layer LSTM that learns the sum of its inputs."""
    ww.manual_seed(3)
    model, head = ww.nn.LSTM(2, 9, num_layers=2), ww.nn.Linear(9, 1)
    rng = np.random.default_rng(5)
    x = rng.uniform(-1, 1, (6, 4, 2)).astype("f4")
    y = x.sum(axis=2, keepdims=True)
    model, head = model.to(device), head.to(device)
    inputs, wanted = ww.asarray(x, device=device), ww.asarray(y, device=device)
    parameters, losses = [*model.parameters(), *head.parameters()], []
    with ww.no_grad():
        for p in parameters:  # far from the plateau of small weights
            p *= 4
    with ww.kernels.use(**({"lstm": variant} if variant else {})):
        for _ in range(20):
            error = head(model(inputs)[0]) - wanted
            loss = (error * error).mean()
            gradients = ww.autograd.grad(loss, parameters)
            with ww.no_grad():
                for p, g in zip(parameters, gradients):
                    p -= 0.2 * g
            losses.append(loss.item())
    return losses, [p.detach().numpy() for p in parameters]


@pytest.mark.parametrize("variant", ["step", "persistent"])
def test_a_two_layer_lstm_trains_as_on_the_cpu(variant: str) -> None:
    losses, parameters = _train("cudasim", variant)
    expected_losses, expected = _train("cpu", "")
    assert losses[-1] < 0.8 * losses[0]
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    for got, want in zip(parameters, expected):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
