"""Sequential keeps a plan of its calls: it must see whatever the plan depends on."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import whitewolf as ww
from whitewolf import nn


def test_a_sequence_that_has_run_sees_what_is_changed_in_it() -> None:
    """It keeps the order of its calls, which depends on its modules, their classes and their options."""
    x = ww.asarray(np.random.default_rng(0).standard_normal((1, 2, 6, 6)).astype("f4"))
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2))

    def one_by_one() -> Any:
        y = x
        for module in net:
            y = module(y)
        return y

    def check() -> None:
        found, expected = net(x), one_by_one()
        assert type(found) is type(expected)
        assert np.array_equal(*((y[0] if isinstance(y, tuple) else y).detach().numpy() for y in (found, expected)))

    check()
    net[2].return_indices = True
    check()
    net[2].return_indices = False
    net[1] = nn.Tanh()
    check()
    net.append(nn.Flatten())
    check()
    net[1] = nn.ReLU()
    del net[2]
    check()

    class Doubling(nn.ReLU):
        def forward(self, input: Any) -> Any:
            return super().forward(input) * 2

    net[1].__class__ = Doubling
    check()
    twin = copy.deepcopy(net)
    with ww.no_grad():
        twin[0].weight[...] = 0
    assert not np.array_equal(twin(x).detach().numpy(), net(x).detach().numpy())
    check()
