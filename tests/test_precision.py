"""ww.precision: products are as exact as their dtype unless something else is asked for, and then as that, on every device."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import nn
from whitewolf.nn import functional as F

rng = np.random.default_rng(0)
DEVICES = [name for name, state in ww.devices().items() if state == "available"]

# Format: bits of the fraction, and the step of the numbers just above 1.
FORMATS = {"tf32": 10, "bfloat16": 7, "float16": 10}

OPS: dict[str, tuple[Callable[..., ww.Tensor], tuple[int, ...], tuple[int, ...]]] = {
    "matmul": (ww.matmul, (5, 7), (7, 3)),
    "matmul of a batch": (ww.matmul, (2, 5, 7), (7, 3)),
    "linear": (F.linear, (5, 7), (3, 7)),
    "conv2d": (F.conv2d, (2, 3, 6, 5), (4, 3, 3, 2)),
    "conv1d": (F.conv1d, (2, 3, 6), (4, 3, 2)),
    "conv_transpose2d": (F.conv_transpose2d, (2, 3, 4, 5), (3, 4, 3, 2)),
    "bilinear": (lambda x, w: F.bilinear(x, x, w), (5, 3), (2, 3, 3)),
}


def drawn(*shape: int) -> Any:
    return rng.uniform(0.5, 2, shape).astype("f4") * rng.choice([-1, 1], shape).astype("f4")


def short(x: Any, bits: int) -> Any:
    """float64 numbers with so many bits of fraction, rounded to nearest, ties to even."""
    mantissa, exponent = np.frexp(np.asarray(x, "f8"))
    return np.ldexp(np.rint(mantissa * 2.0 ** (bits + 1)), exponent - bits - 1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("op", OPS)
def test_operands_are_rounded_and_the_sums_are_float32(op: str, name: str, device: str) -> None:
    function, *shapes = OPS[op]
    x, w = (drawn(*shape) for shape in shapes)
    on = [ww.asarray(a, device=device) for a in (x, w)]
    with ww.precision(name):
        found = function(*on).numpy()
    if op == "bilinear":  # two products, the first one's result rounded again
        between = short(np.einsum("ni,kij->nkj", short(x, FORMATS[name]), short(w, FORMATS[name])).astype("f4"), FORMATS[name])
        expected = np.einsum("nkj,nj->nk", between, x)
        assert np.abs(found - expected).max() < 2.0 ** -(FORMATS[name] - 4)
    else:
        expected = function(*(ww.asarray(short(a, FORMATS[name])) for a in (x, w))).numpy()
        assert np.abs(found - expected).max() < 1e-5
    exact = function(*(ww.asarray(a.astype("f8")) for a in (x, w))).numpy()
    assert np.abs(found - exact).max() > 1e-5, "expected less than float32's precision"
    assert np.abs(function(*on).numpy() - exact).max() < 1e-5, "expected float32 again after the scope"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("op", [op for op in OPS if op != "bilinear"])
def test_backward_has_the_precision_of_its_forward_wherever_it_runs(op: str, name: str, device: str) -> None:
    function, *shapes = OPS[op]
    arrays = [drawn(*shape) for shape in shapes]

    def gradients(inside: str, outside: str, dtype: str, given: list[Any]) -> tuple[Any, list[Any]]:
        leaves = [ww.tensor(a, dtype=dtype, device=device, requires_grad=True) for a in given]
        with ww.precision(inside):
            y = function(*leaves)
        grad = ww.asarray(short(np.linspace(0.5, 2, y.size), 20).reshape(y.shape).astype(dtype), device=device)
        with ww.precision(outside):
            y.backward(grad)
        return grad.numpy(), [t.grad.numpy() for t in leaves if t.grad is not None]

    _, reduced = gradients(name, "float32", "float32", arrays)
    _, again = gradients(name, "bfloat16", "float32", arrays)
    _, exact = gradients("float32", name, "float32", arrays)
    _, wide = gradients("float32", "float32", "float64", arrays)
    for a, b, c, d in zip(reduced, again, exact, wide):
        assert np.array_equal(a, b)
        assert np.abs(c - d).max() < 1e-4 < np.abs(a - d).max() < 2.0 ** -FORMATS[name] * 100


def test_cudasim_runs_its_tensor_core_kernel() -> None:
    if "cudasim" not in DEVICES:
        pytest.skip("cudasim is not built")
    x, w, out = drawn(5, 7), drawn(7, 3), np.empty((5, 3), "f4")
    ww.kernels.get("matmul_forward", device="cudasim", variant="mma_tf32")(out, x, w)
    with ww.precision("tf32"):
        found = ww.asarray(x, device="cudasim") @ ww.asarray(w, device="cudasim")
    assert np.array_equal(found.numpy(), out)


@pytest.mark.parametrize("name", FORMATS)
def test_what_fits_is_exact_and_what_is_no_number_stays(name: str) -> None:
    x = np.array([[1.5, -0.25, 3.0, np.inf, np.nan, 0.0, -0.0]], "f4").T
    one = ww.ones((1, 1))
    with ww.precision(name):
        found = (ww.asarray(x) @ one).numpy()
    assert np.array_equal(found, x, equal_nan=True)
    weird = np.array([[0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF]], np.uint32).view("f4").T  # NaNs with few and with all bits set
    with ww.precision(name):
        assert np.isnan((ww.asarray(weird) @ one).numpy()).all()


def test_float16_overflows_and_underflows_as_it_does() -> None:
    x = ww.asarray(np.array([[1e5], [1e-9]], "f4"))
    with ww.precision("float16"):
        assert (x @ ww.ones((1, 1))).tolist() == [[np.inf], [0.0]]
    with ww.precision("bfloat16"):
        assert np.allclose((x @ ww.ones((1, 1))).numpy(), x.numpy(), rtol=2**-8)


def test_float64_and_integers_are_left_alone() -> None:
    x = np.array([[1 + 2.0**-40]])
    with ww.precision("bfloat16"):
        assert (ww.asarray(x) @ ww.asarray(x)).item() == (x @ x).item()
        assert (ww.asarray([[257]]) @ ww.asarray([[1]])).item() == 257


def test_scopes_nest_end_with_errors_and_belong_to_their_thread() -> None:
    seen: list[str] = []
    with ww.precision("tf32"):
        with ww.precision("float32"):
            seen.append(ww.get_precision())
        with pytest.raises(KeyError), ww.precision("bfloat16"):
            raise KeyError
        thread = threading.Thread(target=lambda: seen.append(ww.get_precision()))
        thread.start()
        thread.join()
        seen.append(ww.get_precision())
        with pytest.raises(RuntimeError), ww.precision("float32"):
            y = ww.ones((1, 1), requires_grad=True) @ ww.ones((1, 1))
            y.sum().backward()
            y.sum().backward()
        seen.append(ww.get_precision())
    assert [*seen, ww.get_precision()] == ["float32", "float32", "tf32", "tf32", "float32"]


def test_a_call_of_its_own() -> None:
    x = ww.asarray([[1 + 2**-9]])
    assert ww.precision("bfloat16")(ww.matmul)(x, x).item() == 1 != (x @ x).item()


def test_names_that_are_none() -> None:
    with pytest.raises(ValueError, match="precision: expected name to be one of float32, tf32, bfloat16, float16, got 'fp8'"):
        ww.precision("fp8")
    with pytest.raises(TypeError, match="precision: expected name to be a string, got int"):
        ww.precision(16)  # type: ignore[arg-type]


# ---- mixed-precision training ----


@pytest.fixture
def task() -> Iterator[tuple[Any, Any]]:
    """Inputs, and the class that a random plane gives them."""
    points = np.random.default_rng(1).standard_normal((64, 6)).astype("f4")
    yield points, (points @ np.arange(1, 7) > 0).astype("i8")


def train(task: tuple[Any, Any], device: str, scaler: ww.amp.GradScaler, tiny: float, steps: int = 40) -> tuple[float, float]:
    """The share of right answers after training, and the change of the first weights; the loss is made tiny."""
    ww.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2)).to(device)
    first = net[0].weight.numpy().copy()
    optimizer = ww.optim.Adam(net.parameters(), lr=0.05, eps=1e-20)
    x, y = (ww.asarray(a, device=device) for a in task)
    for _ in range(steps):
        optimizer.zero_grad()
        with ww.precision("float16"):
            loss = F.cross_entropy(net(x), y) * tiny
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    right = float((ww.argmax(net(x), axis=1) == y).numpy().mean())
    return right, float(np.abs(net[0].weight.numpy() - first).max())


@pytest.mark.parametrize("device", DEVICES)
def test_a_scaled_loss_trains_in_float16_where_gradients_would_vanish(device: str, task: tuple[Any, Any]) -> None:
    tiny, steps = 1e-8, 40 if device == "cpu" else 12
    right, moved = train(task, device, ww.amp.GradScaler(init_scale=2.0**24), tiny, steps)
    assert moved > 0.1 and right > (0.95 if device == "cpu" else 0.8)
    _, moved = train(task, device, ww.amp.GradScaler(enabled=False), tiny, 3)
    assert moved == 0, "expected gradients below float16's least number"


def test_a_scale_that_is_too_large_falls_until_the_gradients_are_finite(task: tuple[Any, Any]) -> None:
    scaler = ww.amp.GradScaler(init_scale=2.0**100)
    right, _ = train(task, "cpu", scaler, 1.0, 140)
    assert right > 0.95 and scaler.get_scale() < 2.0**30


def test_scaler_s_errors_name_it() -> None:
    w = ww.tensor([1.0], requires_grad=True)
    optimizer, scaler = ww.optim.SGD([w], lr=0.1), ww.amp.GradScaler()
    with pytest.raises(RuntimeError, match="GradScaler.update: expected new_scale, or a step"):
        scaler.update()
    w.grad = ww.ones(1)
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="GradScaler.unscale_: expected one call"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="GradScaler.step: expected one call"):
        scaler.step(optimizer)
    for words, text in (
        ({"growth_factor": 1.0}, "growth_factor > 1, got 1.0"),
        ({"backoff_factor": 1.0}, r"backoff_factor in \(0, 1\), got 1.0"),
        ({"growth_interval": 0}, "growth_interval >= 1, got 0"),
        ({"init_scale": 0.0}, "init_scale to be positive and finite, got 0.0"),
    ):
        with pytest.raises(ValueError, match=f"GradScaler: expected {text}"):
            ww.amp.GradScaler(**words)
    with pytest.raises(TypeError, match="GradScaler.step: expected optimizer to be an Optimizer, got int"):
        scaler.step(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="GradScaler.scale: expected outputs to be a Tensor or a sequence of them, got int"):
        scaler.scale(3)
    half = ww.tensor([1.0], dtype="float16", requires_grad=True)
    half.grad = ww.ones(1, dtype="float16")
    with pytest.raises(TypeError, match=r"GradScaler.unscale_: expected gradients that hold .*, got float16"):
        ww.amp.GradScaler().unscale_(ww.optim.SGD([half], lr=0.1))


def test_a_function_of_one_s_own_keeps_the_precision_of_its_forward() -> None:
    class Product(ww.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: ww.Tensor, w: ww.Tensor) -> ww.Tensor:
            ctx.save_for_backward(x, w)
            return x @ w

        @staticmethod
        def backward(ctx: Any, grad: ww.Tensor) -> tuple[ww.Tensor, None]:
            return grad @ ctx.saved_tensors[1].mT, None

    x, w = ww.tensor([[1.0]], requires_grad=True), ww.asarray([[1 + 2**-9]])
    with ww.precision("bfloat16"):
        y = Product.apply(x, w)
    y.sum().backward()
    assert y.item() == 1 and x.grad is not None and x.grad.item() == 1
