"""Every public function of real numbers has a first gradient, and a second, that agree with differences in float64; every layer too.

Held against the public namespace: a new function stands in helpers/gradient_cases.py, with a case or with the reason why it has none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers import misuse, public_classes
from helpers.gradient_cases import CASES, NONE


def hold(function: Callable[..., Any], inputs: list[ww.Tensor]) -> None:
    assert ww.autograd.gradcheck(function, inputs)
    assert ww.autograd.gradgradcheck(function, inputs)


@pytest.mark.parametrize("name", CASES)
def test_functions_have_first_and_second_gradients(name: str) -> None:
    function, operands = CASES[name]
    hold(function, [ww.tensor(x, requires_grad=True) for x in operands])


def test_every_public_function_has_a_case_or_a_reason() -> None:
    public = {*misuse.functions(), *misuse.functional()}
    cases, without = {name.split(",")[0] for name in CASES}, {name for names in NONE.values() for name in names}
    assert not cases & without
    assert public == cases | without


LAYERS = [f"nn.{n}" for n in public_classes.LAYERS if n not in public_classes.CONTAINERS]
# In place of what misuse gives them: for these, one element apart from the next, or another shape.
INPUTS = {"CTCLoss": {"target_lengths": [1, 1], "input_lengths": [3, 3]}}


def spread(x: ww.Tensor, seed: int) -> ww.Tensor:
    """Float64 in (0.1, 0.9), no two elements alike, nor of two seeds: away from kinks and ties, and inside the domain of each loss."""
    places = np.random.default_rng(seed).permutation(x.size).reshape(x.shape)
    return ww.tensor(0.1 + 0.8 * (places + 0.15 + 0.23 * seed) / max(x.size, 1), requires_grad=True)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_first_and_second_gradients_by_inputs_and_parameters(name: str) -> None:
    short = name.split(".")[-1]
    ww.manual_seed(0)
    layer = public_classes.build(name, public_classes.CLASSES[name]).to("float64")
    given = {k: (lambda v=v: v) for k, v in (public_classes.inputs_of(short) | INPUTS.get(short, {})).items()}
    _, inputs = public_classes.arguments_of(layer.forward, given, "")
    varied = {k: spread(v, n) for n, (k, v) in enumerate(inputs.items()) if isinstance(v, ww.Tensor) and v.dtype == ww.float32}
    parameters = dict(layer.named_parameters())

    def run(*values: ww.Tensor) -> list[ww.Tensor]:
        """A function of the inputs and of the parameters: gradcheck moves both."""
        ww.manual_seed(0)  # dropout: the same mask in each call
        for (where, _), value in zip(parameters.items(), values[len(varied) :]):
            *path, last = where.split(".")
            functools.reduce(getattr, path, layer)._parameters[last] = value
        return leaves(layer(**(inputs | dict(zip(varied, values)))))

    hold(run, [*varied.values(), *(p.detach().requires_grad_() for p in parameters.values())])


def leaves(result: Any) -> list[ww.Tensor]:
    return [leaf for part in result for leaf in leaves(part)] if isinstance(result, (tuple, list)) else [result]
