"""docs/saddle_points.py finds the curvature that mathematics gives, stays at the saddle without it, and leaves it along it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww

pytest.importorskip("sklearn", reason="the digits come with scikit-learn, which is not installed")
SCRIPT = Path(__file__).resolve().parents[1] / "docs" / "saddle_points.py"


@pytest.fixture(scope="module")
def program() -> Any:
    if not SCRIPT.is_file():
        pytest.skip("the tests run outside the repository, without docs/")
    spec = importlib.util.spec_from_file_location("saddle_points", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scene(program: Any) -> Any:
    x, labels = program.digits(100)
    loss, start = program.network_loss(x, labels), program.saddle(labels)
    return loss, start, program.known_curvature(x, labels)


def test_the_gradient_is_zero_and_descent_stays(program: Any, scene: Any) -> None:
    loss, start, _ = scene
    assert np.abs(program.gradient(loss, start)).max() < 1e-15
    assert np.abs(program.descend(loss, start, steps=20) - start).max() < 1e-13


def test_hessian_vector_products_find_the_negative_curvature(program: Any, scene: Any) -> None:
    loss, start, known = scene
    curvature, direction = program.lowest_curvature(loss, start)
    assert known < -0.1 and curvature == pytest.approx(known, rel=0.01)
    before = loss(ww.asarray(start)).item()
    for step in (0.1, -0.1):
        there = start + step * direction
        assert loss(ww.asarray(there)).item() == pytest.approx(before + curvature * step**2 / 2, abs=2e-5)
        assert loss(ww.asarray(program.descend(loss, there, steps=30))).item() < before - 0.02


def test_the_hessian_of_the_program_is_symmetric_and_that_of_differences(program: Any, scene: Any) -> None:
    loss, start, _ = scene
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, len(start)))
    at = start + 0.1 * rng.standard_normal(len(start))
    product = program.hessian_vector_product(loss, at, v)
    assert u @ product == pytest.approx(v @ program.hessian_vector_product(loss, at, u), rel=1e-9)
    ends = [program.gradient(loss, at + sign * 1e-5 * v) for sign in (1, -1)]
    np.testing.assert_allclose(product, (ends[0] - ends[1]) / 2e-5, atol=1e-7)
