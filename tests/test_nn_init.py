"""Initial values, gradient clipping, and parameters as one vector."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn


def snapshot(module: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


# ---- initial values ----


@pytest.mark.parametrize(
    ("fill", "low", "high", "std"),
    [
        (lambda t: nn.init.uniform_(t, -2, 4), -2, 4, 6 / math.sqrt(12)),
        (lambda t: nn.init.normal_(t, 1, 3), -math.inf, math.inf, 3),
        (lambda t: nn.init.xavier_uniform_(t, 2.0), -2 * math.sqrt(6 / 3600), 2 * math.sqrt(6 / 3600), 2 * math.sqrt(2 / 3600)),
        (lambda t: nn.init.xavier_normal_(t), -math.inf, math.inf, math.sqrt(2 / 3600)),
        (lambda t: nn.init.kaiming_uniform_(t, mode="fan_out", nonlinearity="relu"), -math.sqrt(6 / 1800), math.sqrt(6 / 1800),
         math.sqrt(2 / 1800)),
        (lambda t: nn.init.kaiming_normal_(t, a=0.5), -math.inf, math.inf, math.sqrt(2 / 1.25 / 1800)),
    ],
    ids=["uniform", "normal", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distributions_have_their_bounds_and_deviation(fill: Any, low: float, high: float, std: float, dtype: str) -> None:
    ww.manual_seed(1)
    weight = nn.Parameter(ww.zeros((200, 200, 3, 3), dtype=dtype))
    version = weight._version[0]
    assert fill(weight) is weight and weight._version[0] > version
    values = weight.numpy().astype("f8")
    assert values.min() >= low - 1e-6 and values.max() <= high + 1e-6 and abs(values.std() / std - 1) < 0.01
    if math.isfinite(low):
        assert values.min() < low + 0.001 * std and values.max() > high - 0.001 * std


def test_the_same_seed_gives_the_same_weights_and_the_next_layer_others() -> None:
    nets = []
    for seed in (3, 3, 4):
        ww.manual_seed(seed)
        nets.append(nn.Sequential(nn.Linear(7, 7), nn.Linear(7, 7)))
    assert snapshot(nets[0]) == snapshot(nets[1]) != snapshot(nets[2])
    assert not np.array_equal(nets[0][0].weight.numpy(), nets[0][1].weight.numpy())


def test_odd_fills_one_after_the_other_do_not_repeat_numbers() -> None:
    ww.manual_seed(0)
    fills = np.concatenate([nn.init.uniform_(ww.empty(n)).numpy() for n in (1, 3, 5, 2, 7)])
    assert len(set(fills.tolist())) == 18


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (6, 2, 2), (2, 3, 3, 3)])
def test_orthogonal_matrices_are_orthogonal(shape: tuple[int, ...]) -> None:
    w = nn.init.orthogonal_(ww.empty(shape, dtype="float64"), gain=2.0).numpy().reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    assert np.allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_constants_and_gains() -> None:
    assert nn.init.constant_(ww.empty(3), 2.5).tolist() == [2.5] * 3
    assert nn.init.zeros_(ww.ones(2)).tolist() == [0, 0] and nn.init.ones_(ww.empty(2)).tolist() == [1, 1]
    gains = {"linear": 1, "conv2d": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    assert all(nn.init.calculate_gain(name) == value for name, value in gains.items())
    assert nn.init.calculate_gain("leaky_relu", 3.0) == math.sqrt(0.2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.init.xavier_uniform_(ww.empty(3)), ValueError, r"xavier_uniform_.*2 dimensions.*got tensor.shape == \(3,\)"),
        (lambda: nn.init.kaiming_normal_(ww.empty((3, 3)), mode="fan"), ValueError, "'fan'"),
        (lambda: nn.init.uniform_(ww.empty(3), 2, 1), ValueError, "a <= b"),
        (lambda: nn.init.normal_(ww.empty(3), 0, -1), ValueError, "std >= 0"),
        (lambda: nn.init.uniform_(ww.arange(3)), TypeError, "uniform_.*tensor.dtype.*int64"),
        (lambda: nn.init.calculate_gain("swish"), ValueError, "'swish'"),
        (lambda: nn.init.zeros_([1]), TypeError, "Tensor"),  # type: ignore[arg-type]
    ],
)
def test_wrong_initialisations_are_named(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


# ---- gradients and vectors ----


def with_gradients(*gradients: Any) -> list[ww.Tensor]:
    found = []
    for gradient in gradients:
        p = nn.Parameter(ww.zeros(np.shape(gradient), dtype="float64"))
        p.grad = None if gradient is None else ww.asarray(np.array(gradient, "f8"))
        found.append(p)
    return found


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, math.inf])
def test_clipping_by_norm_scales_all_gradients_together(norm_type: float) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in ((3, 4), (5,), ())]
    norm = np.linalg.norm(np.concatenate([a.ravel() for a in arrays]), norm_type)
    parameters = with_gradients(*arrays)
    parameters.append(nn.Parameter(ww.zeros(3)))  # without a gradient
    memory = parameters[0].grad
    total = nn.utils.clip_grad_norm_(parameters, norm / 2, norm_type)
    assert total.shape == () and math.isclose(total.item(), norm, rel_tol=1e-12)
    for p, a in zip(parameters, arrays):
        assert p.grad is not None and np.allclose(p.grad.numpy(), a * (norm / 2 / (norm + 1e-6)), rtol=1e-12)
    assert parameters[0].grad is memory and memory is not None and memory._version[0] > 0
    parameters = with_gradients(*arrays)
    nn.utils.clip_grad_norm_(parameters, norm * 2, norm_type)
    assert all(p.grad is not None and np.array_equal(p.grad.numpy(), a) for p, a in zip(parameters, arrays))


def test_clipping_reports_norms_that_are_not_finite_before_it_scales() -> None:
    (p,) = with_gradients([1.0, math.nan])
    with pytest.raises(ValueError, match="finite"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert p.grad is not None and p.grad.tolist()[0] == 1.0
    assert math.isnan(nn.utils.clip_grad_norm_(p, 1.0).item()) and np.isnan(p.grad.numpy()).all()
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0


def test_clipping_by_value() -> None:
    (p,) = with_gradients([-3.0, 0.5, 3.0])
    nn.utils.clip_grad_value_([p], 1.0)
    assert p.grad is not None and p.grad.tolist() == [-1.0, 0.5, 1.0]


def test_parameters_go_to_a_vector_and_back() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2, bias=False))
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (12 + 3 + 6,) and vector.requires_grad
    nn.utils.vector_to_parameters(vector.detach() * 2, net.parameters())
    assert np.array_equal(nn.utils.parameters_to_vector(net.parameters()).numpy(), vector.numpy() * 2)
    before = snapshot(net)
    with pytest.raises(ValueError, match=r"\(21,\).*got \(20,\)"):
        nn.utils.vector_to_parameters(vector.detach()[1:], net.parameters())
    assert snapshot(net) == before


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_truncated_normals_are_normals_between_their_ends(dtype: str) -> None:
    """Kolmogorov-Smirnov: the largest distance between the two distribution functions, at 60,000 numbers above 0.01 once in 10**5."""
    ww.manual_seed(1)
    found = np.sort(nn.init.trunc_normal_(ww.empty((200, 300), dtype=dtype), 0.5, 2.0, -1.0, 3.0).astype("float64").numpy().ravel())
    assert found[0] >= -1 and found[-1] <= 3
    below = [math.erf((x - 0.5) / (2 * math.sqrt(2))) for x in (-1, 3, *found[::100])]
    expected = (np.array(below[2:]) - below[0]) / (below[1] - below[0])
    assert np.abs(expected - np.arange(0, found.size, 100) / found.size).max() < 0.01


def test_erfinv_is_the_inverse_of_erf() -> None:
    x = np.concatenate([np.linspace(-4.5, 4.5, 1001), 10.0 ** -np.arange(1, 20)])
    y = np.array([math.erf(v) for v in x])
    conditioning = np.finfo("f8").eps / (2 / math.sqrt(math.pi) * np.exp(-x * x))  # what an ulp of y near 1 makes of x
    assert (np.abs(nn.init._erfinv(ww.asarray(y)).numpy() - x) <= 4 * conditioning + 1e-14 * np.abs(x)).all()


def test_identities_and_sparse_matrices() -> None:
    assert nn.init.eye_(ww.empty((2, 3), dtype="float16")).tolist() == [[1, 0, 0], [0, 1, 0]]
    x = ww.asarray(np.random.default_rng(0).standard_normal((2, 6, 5, 5)).astype("f4"))
    for groups in (1, 2, 3):
        w = nn.init.dirac_(ww.empty((6, 6 // groups, 3, 3)), groups)
        assert np.array_equal(nn.functional.conv2d(x, w, padding=1, groups=groups).numpy(), x.numpy())
    w = nn.init.sparse_(ww.empty((10, 200), dtype="float64"), 0.25, std=2.0).numpy()
    assert ((w == 0).sum(0) == 3).all() and abs(w[w != 0].std() - 2) < 0.15
    assert len({tuple(np.flatnonzero(column == 0)) for column in w.T}) > 50
    for wrong, words in (
        (lambda: nn.init.trunc_normal_(ww.empty(2), std=0.0), "trunc_normal_: expected std > 0, got 0.0"),
        (lambda: nn.init.trunc_normal_(ww.empty(2), a=1.0, b=1.0), "trunc_normal_: expected a < b"),
        (lambda: nn.init.trunc_normal_(ww.empty(2), a=50.0, b=51.0), "trunc_normal_: .*part of the distribution"),
        (lambda: nn.init.eye_(ww.empty(3)), "eye_: expected a tensor of 2 dimensions"),
        (lambda: nn.init.dirac_(ww.empty((3, 3))), "dirac_: expected a tensor of 3 to 5 dimensions"),
        (lambda: nn.init.dirac_(ww.empty((3, 3, 1)), 2), "dirac_: expected groups to divide 3"),
        (lambda: nn.init.sparse_(ww.empty((3, 3)), 1.5), r"sparse_: expected sparsity in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
