"""The first 30 steps of workloads beside those of a twin in PyTorch that has the same weights and batches, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf.workloads import dqn
from whitewolf.workloads.lenet import lenet

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So small steps gain nothing from more, and two libraries' threads wait for each other's cores."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def torch_lenet(torch: Any, size: int) -> Any:
    nn = torch.nn
    if size == 28:
        parts = [nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
        return nn.Sequential(*parts, nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)).double()
    parts = [
        nn.Conv2d(1, 20, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 10)).double()


@pytest.mark.parametrize("size", [8, 28])
def test_thirty_steps_of_lenet_are_those_of_a_twin_in_pytorch(size: int) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = lenet(size).double(), torch_lenet(torch, size)
    theirs.load_state_dict({name: torch.tensor(value.numpy()) for name, value in ours.state_dict().items()})
    settings = {"lr": 0.05, "momentum": 0.9, "weight_decay": 2e-3}
    optimizer, their_optimizer = ww.optim.SGD(ours.parameters(), **settings), torch.optim.SGD(theirs.parameters(), **settings)
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(30):
        images, labels = rng.random((8, 1, size, size)), rng.integers(0, 10, 8)
        loss = ww.nn.functional.cross_entropy(ours(ww.asarray(images)), ww.asarray(labels))
        their_loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(images)), torch.tensor(labels))
        for value, stepper in ((loss, optimizer), (their_loss, their_optimizer)):
            stepper.zero_grad()
            value.backward()
            stepper.step()
        losses.append((loss.item(), their_loss.item()))
    np.testing.assert_allclose(*np.array(losses).T, rtol=0, atol=1e-9)


def test_thirty_steps_of_dqn_are_those_of_a_twin_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    ours, target = (dqn.q_network(16, 3).double() for _ in range(2))
    target.load_state_dict(ours.state_dict())

    def twin() -> Any:
        nn = torch.nn
        net = nn.Sequential(
            nn.Conv2d(4, 16, 4, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(288, 128),
            nn.ReLU(), nn.Linear(128, 3),
        ).double()  # fmt: skip
        net.load_state_dict({name: torch.tensor(value.numpy()) for name, value in ours.state_dict().items()})
        return net

    theirs, their_target = twin(), twin()
    settings = {"lr": 1e-3, "alpha": 0.95, "eps": 1e-4, "centered": True}
    optimizer, their_optimizer = (
        ww.optim.RMSprop(ours.parameters(), **settings),
        torch.optim.RMSprop(theirs.parameters(), **settings),
    )
    rng = np.random.default_rng(0)
    losses = []
    for step in range(30):
        n = 16
        batch = (
            rng.random((n, 4, 16, 16)),
            rng.integers(0, 3, n),
            rng.normal(size=n),
            rng.random((n, 4, 16, 16)),
            rng.random(n) < 0.9,
        )
        batch = (*batch[:4], batch[4].astype(np.float64))
        loss = dqn.bellman_loss(ours, target, 0.95, tuple(ww.asarray(part) for part in batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        states, actions, rewards, after, went_on = (torch.tensor(part) for part in batch)
        with torch.no_grad():
            goals = rewards + 0.95 * went_on * their_target(after).max(dim=1).values
        values = theirs(states).gather(1, actions[:, None])[:, 0]
        their_loss = torch.nn.functional.smooth_l1_loss(values, goals)
        their_optimizer.zero_grad()
        their_loss.backward()
        their_optimizer.step()
        losses.append((loss.item(), their_loss.item()))
        if step % 10 == 9:
            target.load_state_dict(ours.state_dict())
            their_target.load_state_dict(theirs.state_dict())
    np.testing.assert_allclose(*np.array(losses).T, rtol=0, atol=1e-9)
