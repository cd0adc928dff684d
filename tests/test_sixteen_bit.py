"""float16 and bfloat16: each op of the op table takes them, computes in float32 and rounds once, forward and backward."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import cases, nn
from whitewolf.checks.calls import Context
from whitewolf.dtypes import is_sixteen_bit
from whitewolf.nn import functional as F

DTYPES = ("float16", "bfloat16")
# What is not an op of its own but part of another's gradient, which runs in float32 as a whole.
INNER = {"max_pool2d_gather"}
# What rounds more than once: each step of an optimizer does, and a table's function that prepares its operands.
ROUNDINGS = dict.fromkeys(("sgd", "adam", "adamw", "rmsprop", "adagrad"), 6.0) | {"acosh": 2.0}
TABLES = {table.op: table for table in cases.tables() if table.op not in INNER}
DEVICES = [name for name, state in ww.devices().items() if state == "available" and name != "cuda"]


def eps(dtype: str) -> float:
    return 2.0**-10 if dtype == "float16" else 2.0**-7


def small_cases(table: cases.OpTable) -> list[cases.Case]:
    taken = [c for c in table.cases if not c.heavy and sum(int(np.prod(i.shape)) for i in c.inputs) < 3000]
    return taken[:4]


def flat(result: Any) -> list[ww.Tensor]:
    if isinstance(result, (tuple, list)):
        return [t for part in result for t in flat(part)]
    return [result] if isinstance(result, ww.Tensor) else []


def run(table: cases.OpTable, case: cases.Case, arrays: list[Any], dtype: str, device: str) -> tuple[list[Any], list[Any]]:
    """Outputs, and gradients of a fixed direction."""
    ww.manual_seed(0)
    leaves = [ww.asarray(a, device=device) for a in arrays]
    leaves = [ww.astype(t, dtype) if ww.isdtype(t.dtype, "real floating") or is_sixteen_bit(t.dtype) else t for t in leaves]
    for t, spec in zip(leaves, case.inputs):
        if t.dtype.kind in "fV" and spec.grad and table.gradient in ("first", "second"):
            t.requires_grad = True
    outputs = flat(table.function(*leaves, **case.attrs))
    wanted, ends = [t for t in leaves if t.requires_grad], [y for y in outputs if y.requires_grad]
    grads = []
    if wanted and ends:
        rng = np.random.default_rng(1)
        # Directions that every dtype holds, so that both gradients are of the same one.
        given = [ww.asarray(rng.integers(1, 4, y.shape).astype("f4"), device=device).astype(y.dtype) for y in ends]
        grads = list(ww.grad(ends, wanted, given, allow_unused=True))
    return outputs, grads


def close(found: ww.Tensor, exact: ww.Tensor, dtype: str, roundings: float, terms: float = 2.0**-6) -> None:
    """So many roundings of an element, and of one `terms` times the largest: of what it is the sum."""
    a, b = found.numpy().astype("f8"), exact.numpy().astype("f8")
    assert a.shape == b.shape
    if b.dtype.kind != "f" or not b.size:
        return
    limit = 65504.0 if dtype == "float16" else 3e38
    with np.errstate(all="ignore"):
        finite = np.isfinite(b) & (np.abs(b) < limit)
        scale = np.abs(b[finite]).max(initial=2.0**-10)
        error = np.abs(a - b)[finite]
    assert (error <= roundings * eps(dtype) * (np.abs(b[finite]) + terms * scale)).all(), f"off by {error.max()} at {scale}"
    assert np.array_equal(np.isnan(a), np.isnan(b))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", TABLES)
def test_ops_take_sixteen_bits_and_round_the_float32_result_once(op: str, dtype: str, device: str) -> None:
    table, context = TABLES[op], Context()
    for case in small_cases(table):
        arrays = [np.asarray(a) for a in context.inputs(table, case, "float32")]
        short = [
            a.astype(ww.float16 if dtype == "float16" else ww.bfloat16).astype("f4") if a.dtype.kind == "f" else a for a in arrays
        ]
        outputs, grads = run(table, case, short, dtype, device)
        wide, wide_grads = run(table, case, short, "float32", device)
        for y, exact in zip(outputs, wide):
            assert y.dtype == (dtype if exact.dtype == "float32" else exact.dtype), f"{case.name}: {y.dtype}"
            close(y, exact, dtype, ROUNDINGS.get(op, 0.51))
        for g, exact in zip(grads, wide_grads):
            assert (g is None) == (exact is None)
            if g is not None:
                assert g.dtype == dtype
                close(g, exact, dtype, 2.0, 0.25)


def half(values: Any, dtype: str, device: str = "cpu") -> ww.Tensor:
    return ww.asarray(np.asarray(values, "f4"), device=device).astype(dtype)


def drawn(*shape: int) -> Any:
    return np.random.default_rng(3).standard_normal(shape).astype("f4")


LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(4, 3), (2, 4)),
    "Conv2d": (lambda: nn.Conv2d(2, 3, 3), (2, 2, 5, 5)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 3, 3), (2, 2, 5, 5)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(2), (3, 2, 4, 4)),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(2, affine=True, track_running_stats=True), (3, 2, 4)),
    "LayerNorm": (lambda: nn.LayerNorm(4), (2, 4)),
    "LSTM": (lambda: nn.LSTM(4, 3, num_layers=2, bidirectional=True), (5, 2, 4)),
    "LSTM with projections": (lambda: nn.LSTM(4, 3, proj_size=2), (5, 2, 4)),
    "GRU": (lambda: nn.GRU(4, 3), (5, 2, 4)),
    "RNN": (lambda: nn.RNN(4, 3), (5, 2, 4)),
    "GRUCell": (lambda: nn.GRUCell(4, 3), (2, 4)),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0), (3, 2, 4)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_sixteen_bits_are_those_of_float32_rounded(name: str, dtype: str) -> None:
    make, shape = LAYERS[name]
    ww.manual_seed(0)
    short = make().to(dtype)
    wide = make()
    wide.load_state_dict({k: v.astype("float32") if is_sixteen_bit(v.dtype) else v for k, v in short.state_dict().items()})
    x = half(drawn(*shape), dtype)
    results = []
    for net, dt in ((short, dtype), (wide, "float32")):
        y = net(x.astype(dt))
        y = y[0] if isinstance(y, tuple) else y
        (y * y).sum().backward()
        results.append([y, *(p.grad for p in net.parameters()), *net.state_dict().values()])
    for a, b in zip(*results):
        if b.dtype.kind == "f":
            assert a.dtype == dtype
            error = np.abs(a.numpy().astype("f4") - b.numpy()).max()
            assert error <= 12 * eps(dtype) * max(1.0, float(np.abs(b.numpy()).max())), f"off by {error}"
        else:
            assert np.array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_optimizers_step_on_sixteen_bit_parameters(rule: str, dtype: str) -> None:
    p = half([1.0, -2.0, 0.5], dtype).requires_grad_()
    optimizer = getattr(ww.optim, rule)([p], lr=0.125)
    for _ in range(20):
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        ww.nn.utils.clip_grad_norm_([p], 1.0)
        optimizer.step()
    assert p.dtype == dtype and (p * p).sum().item() < 0.8 * 5.25
    assert all(s.dtype == dtype for s in optimizer.state.get(p, {}).values() if isinstance(s, ww.Tensor))


def test_statistics_tables_and_scales_are_written_in_place() -> None:
    mean, var = half([0.0], "bfloat16"), half([1.0], "bfloat16")
    F.batch_norm(half([[1.0], [3.0]], "bfloat16"), mean, var, training=True, momentum=0.5)
    assert mean.tolist() == [1.0] and var.tolist() == [1.5]
    table = half([[3.0, 4.0], [0.0, 0.5]], "bfloat16")
    F.embedding(ww.asarray([0]), table, max_norm=1.0)
    assert np.allclose(table.astype("float32").numpy(), [[0.6, 0.8], [0.0, 0.5]], atol=4e-3)
    w = half([[2.0]], "bfloat16").requires_grad_()
    scaler, optimizer = ww.amp.GradScaler(init_scale=1024.0), ww.optim.SGD([w], lr=0.5)
    scaler.scale((w @ w).sum()).backward()
    scaler.step(optimizer)
    assert w.tolist() == [[0.0]]


def test_promotion_is_the_standard_s_and_two_formats_meet_in_float32() -> None:
    f, b, s = half([1.5], "float16"), half([1.5], "bfloat16"), ww.asarray([1.5])
    for x, y, dtype in (
        (f, b, "float32"),
        (f, s, "float32"),
        (b, s, "float32"),
        (b, ww.asarray([2]), "bfloat16"),
        (f, 2.5, "float16"),
    ):
        assert (x * y).dtype == dtype and ww.result_type(x, y) == dtype and ww.matmul(x, y if isinstance(y, ww.Tensor) else x).dtype
    assert (b + ww.asarray(1.5, dtype="float64")).dtype == "float64"


@pytest.mark.parametrize("call", [
    lambda x, w: F.conv2d(x, w), lambda x, w: F.layer_norm(w, (2,), x.reshape((-1,))[:2]), lambda x, w: F.mse_loss(x, w),
    lambda x, w: F.scaled_dot_product_attention(x, x, w),
])  # fmt: skip
def test_a_layer_s_operands_are_of_one_dtype_and_nothing_is_converted_on_the_way(call: Any) -> None:
    x, w = half(drawn(1, 2, 2, 2), "bfloat16"), ww.asarray(drawn(1, 2, 2, 2))
    for a, b in ((x, w), (w, x), (x, w.astype("float16"))):
        with pytest.raises(TypeError, match=r"expected \w+\.dtype == (bfloat16|float32|float16)"):
            call(a, b)


def test_a_product_of_many_terms_is_summed_in_float32() -> None:
    n = 4096  # in 8 bits of precision, 256 + 1 is 256
    for device in DEVICES:
        x = ww.ones((1, n), dtype=ww.bfloat16, device=device)
        assert (x @ x.T).item() == n and x.sum().item() == n and F.linear(x, x).item() == n
    assert ww.cumulative_sum(ww.ones(300, dtype=ww.bfloat16))[-1].item() == 300


def test_cudasim_runs_its_tensor_core_kernel_on_sixteen_bits() -> None:
    if "cudasim" not in DEVICES:
        pytest.skip("cudasim is not built")
    for dtype in DTYPES:
        x, w = half(drawn(5, 7), dtype, "cudasim"), half(drawn(7, 3), dtype, "cudasim")
        out = np.empty((5, 3), x.dtype)
        ww.kernels.get("matmul_forward", device="cudasim", variant="mma")(out, x.numpy(), w.numpy())
        assert (x @ w).numpy().tobytes() == out.tobytes()
        odd = half(drawn(14, 10), dtype, "cudasim")[::-2, 1:8]
        assert np.allclose((odd @ w).numpy().astype("f4"), odd.numpy().astype("f4") @ w.numpy().astype("f4"), atol=0.1)


def test_a_second_derivative() -> None:
    x = half([0.5, 1.0], "bfloat16").requires_grad_()
    g = ww.grad(ww.exp(x).sum(), x, create_graph=True)
    second = ww.grad(g.sum(), x)
    assert second.dtype == ww.bfloat16 and np.allclose(second.astype("float32").numpy(), np.exp([0.5, 1.0]), rtol=0.02)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("draw", [ww.random.uniform, ww.random.normal])
def test_random_numbers_of_16_bits_are_those_of_float32_rounded(dtype: str, draw: Any) -> None:
    ww.manual_seed(3)
    found, after = draw((33,), 1.0, 3.0, dtype=dtype, requires_grad=True), ww.random.get_state()
    ww.manual_seed(3)
    wide = draw((33,), 1.0, 3.0)
    assert found.requires_grad and found.dtype.name == dtype and after == ww.random.get_state()
    assert ww.array_equal(found.detach(), wide.astype(dtype))
    with pytest.raises(TypeError, match=f"{draw.__name__}: expected a floating dtype, got int8"):
        draw(3, dtype="int8")


def test_bfloat16_is_known_by_name_before_ml_dtypes_is() -> None:
    program = "import sys, whitewolf as ww; assert 'ml_dtypes' not in sys.modules; assert ww.zeros(2, dtype='bfloat16').dtype == ww.bfloat16"
    subprocess.run([sys.executable, "-c", program], check=True)
