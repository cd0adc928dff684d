"""What test_numba.py runs in a process where Numba simulates."""

from __future__ import annotations

import math
import sys
from functools import partial
from typing import Any

import numpy as np
import whitewolf as ww
from whitewolf import cases, numba_cuda
from whitewolf.cases import Case, Input
from whitewolf.checks.calls import compare, forward, reference
from whitewolf.device import Device
from whitewolf.profile import profile

DEVICE = ww.device("cudasim")
CPU = ww.device("cpu")
# As on a machine where the compiled kernels were not built: these and nothing else.
ALONE = Device("cudasim", numba_cuda.overlay("cudasim", None, CPU.module), np, CPU.empty)

# Of the op table, cases that a Python thread a CUDA thread has done in a second.
CASES = {
    "relu": ("prime", "0-d", "empty", "4-d"),
    "matmul": ("one element", "outer", "vectors", "broadcast left", "empty m", "empty k", "empty batch"),
    "conv2d": (
        "no bias", "one pixel filter, stride 2", "dilation and stride", "padding larger than the filter, stride", "three groups, stride",
        "depthwise, two filters a channel", "empty batch", "relu, no bias",
    ),
    "lstm": ("one of each", "no steps", "no samples", "lengths", "lengths, reversed"),
    "lstm, with inputs": ("one of each", "lengths", "lengths, reversed"),
}  # fmt: skip


def values(op: str) -> None:
    table = next(t for t in cases.tables() if t.op == op)
    mine = [case for case in table.cases if case.name in CASES[op]]
    assert {case.name for case in mine} == set(CASES[op]), f"the op table has not all of {CASES[op]}"
    if op == "matmul":  # several tiles each way
        mine.append(Case("tiles", (Input((5, 6)), Input((6, 9))), reduction=6))
    for case in mine:
        for dtype in ("float32", "float64"):
            rng = np.random.default_rng(0)
            arrays = [i.make(rng, dtype) for i in case.inputs]
            laid = [a.T.copy().T if i % 2 else np.flip(np.flip(a).copy()) for i, a in enumerate(arrays)]  # other strides
            expected = reference(table, case, arrays)
            for given in (arrays, laid):
                with ww.kernels.use(**{family(op): "numba"}), profile("cudasim") as seen:
                    got = forward(table, case, given, DEVICE)
                compare(got, expected, partial(table.tolerance, case, dtype), dtype)
                empty = all(a.size == 0 for a in got)
                assert empty or ("numba" in {r["variant"] for r in seen.rows if r["kernel"] == f"{family(op)}_forward"}), case.name


def family(op: str) -> str:
    return op.split(",")[0]


def linear(x: ww.Tensor, weight: ww.Tensor, bias: ww.Tensor) -> ww.Tensor:
    return ww.nn.functional.linear(x, weight, bias)


def conv2d(x: ww.Tensor, weight: ww.Tensor, bias: ww.Tensor) -> ww.Tensor:
    return ww.nn.functional.conv2d(x, weight, bias, stride=2, padding=1, groups=2, activation="relu")


def lstm(*tensors: ww.Tensor, **attrs: Any) -> tuple[ww.Tensor, ...]:
    return ww.ops.recurrent.lstm(*tensors, **attrs)


STATES = ((12, 3), (2, 3), (2, 3))
LENGTHS = {"batch_sizes": (2, 2, 1)}
GRADIENTS: dict[str, tuple[Any, tuple[tuple[int, ...], ...], dict[str, Any]]] = {
    "matmul": (ww.matmul, ((2, 3, 5), (5, 4)), {}),
    "matmul, broadcast": (ww.matmul, ((2, 1, 3, 5), (3, 5, 2)), {}),
    "matmul, bias": (linear, ((6, 5), (4, 5), (4,)), {}),
    "relu": (ww.nn.functional.relu, ((5, 7),), {}),
    "conv2d": (conv2d, ((2, 4, 5, 6), (6, 2, 3, 2), (6,)), {}),
    "lstm": (lstm, ((3, 2, 12), *STATES), {}),
    "lstm, reversed": (lstm, ((3, 2, 12), *STATES), {"reverse": True}),
    "lstm, lengths": (lstm, ((5, 12), *STATES), LENGTHS),
    "lstm, lengths, reversed": (lstm, ((5, 12), *STATES), LENGTHS | {"reverse": True}),
    "lstm, bias and inputs": (lstm, ((12,), *STATES, (3, 2, 4), (12, 4)), {}),
    "lstm, no steps": (lstm, ((0, 2, 12), *STATES), {}),
}


def gradients(name: str) -> None:
    """Of every output and input, biases too, with no kernels but these, as with the cpu's."""
    function, shapes, attrs = GRADIENTS[name]

    def run(device: Device, used: int) -> list[np.ndarray]:
        local = np.random.default_rng(2)
        leaves = [ww.asarray(local.standard_normal(shape), device=device).requires_grad_() for shape in shapes]
        outputs = function(*leaves, **attrs)
        outputs = (outputs if isinstance(outputs, tuple) else (outputs,))[:used]
        grads = [ww.asarray(np.cos(np.arange(o.size)).reshape(o.shape), device=device) for o in outputs]
        found = ww.grad(outputs, leaves, grads)
        return [o.detach().numpy() for o in outputs] + [g.numpy() for g in found]

    for used in (1, 3) if name.startswith("lstm") else (1,):
        with profile("cpu") as seen:
            got = run(ALONE, used)
        assert not seen.rows, f"{name}: expected the cpu's kernels to be left alone, got {seen.rows}"
        for ours, theirs in zip(got, run(CPU, used), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12, err_msg=name)


@ww.elementwise
def scalar(x: Any, y: Any) -> Any:
    root = math.sqrt(abs(x)) if x > 0.1 or y != y else math.exp2(x) - ww.sign(y)
    return root * math.tanh(y) + ww.nn.functional.sigmoid(x) + max(x, y) + x % 0.75 + math.pow(2.5, y) + round(x)


def elementwise() -> None:
    """Values, derivatives of both orders, and layouts, as on the cpu."""
    rng = np.random.default_rng(3)
    for shapes in (((4, 3), (3,)), ((4, 3), ()), ((0, 2), (2,)), ((), ())):
        values = [rng.uniform(0.2, 0.9, shape) for shape in shapes]
        found = []
        for where in ("cpu", "cudasim"):
            x, y = (ww.asarray(v, device=where).requires_grad_() for v in values)
            out = scalar(x.T.contiguous().T if x.ndim else x, y)
            first = ww.grad(out.sum(), (x, y), create_graph=True)
            second = ww.grad((first[0] * first[1]).sum() if first[0].shape == first[1].shape else first[0].sum(), (x, y))
            found.append([t.detach().numpy() for t in (out, *first, *second)])
        for ours, theirs in zip(*found, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    single = [ww.asarray(v.astype("f4"), device="cudasim") for v in (rng.uniform(-1, 1, 9), rng.uniform(-1, 1, 9))]
    assert scalar(*single).dtype == ww.float32
    np.testing.assert_allclose(scalar(*single).numpy(), scalar(*(t.to("cpu") for t in single)).numpy(), rtol=1e-5, atol=1e-6)


def registration() -> None:
    """Listed, got by name and checked against the contract as any other variant."""
    rows = {row["op"]: row for row in ww.kernels.list(device="cudasim") if row["variant"] == "numba"}
    for op in ("matmul_forward", "conv2d_forward", "relu_forward", "lstm_forward"):
        assert rows[op]["signature"] == ww.kernels.get(op, device="cpu").signature
    kernel = ww.kernels.get("matmul_forward", device="cudasim", variant="numba")
    x, w, bias = np.ones((3, 4), "f4"), np.ones((4, 2), "f4"), np.full(2, -5, "f4")
    out = np.empty((3, 2), "f4")
    kernel(out, x, w, bias, activation="relu")
    assert (out == 0).all() and kernel.variant == "numba" and kernel.workspace_bytes(out, x, w) == 0
    kernel(out, x, w, bias, "none")
    assert (out == -1).all()
    for call, error, words in (
        (lambda: kernel(out, x, w.T), ValueError, "expected w.shape[0] == 4"),
        (lambda: kernel(x[:, :2], x, w), ValueError, "expected out not to overlap x"),
        (lambda: kernel(out, x, w, alpha=1), TypeError, "unexpected keyword argument 'alpha'"),
        (
            lambda: ww.kernels.get("matmul_forward", device="cudasim", variant="gold"),
            ValueError,
            "expected variant of matmul_forward",
        ),
    ):
        try:
            call()
        except error as raised:
            assert words in str(raised), raised
        else:
            raise AssertionError(f"expected {error.__name__} with {words!r}, got no error")
    chosen = ww.kernels.get("matmul_forward", device="cudasim")
    assert chosen.choice(out, x, w) != "numba", "never chosen unless asked for"
    with ww.kernels.use(matmul="numba"):
        assert chosen.choice(out, x, w) == "numba"
        with ww.kernels.use(matmul="naive"):
            assert chosen.choice(out, x, w) == "naive"


def signs_of_zero() -> None:
    """ReLU of -0.0 is 0.0 with every kernel that has it."""
    x = np.array([[-0.0, 0.0, -1.0, 2.0, np.nan]], "f4")
    for device, op, arguments, attrs in (
        ("cpu", "relu_forward", (x,), {}),
        ("cudasim", "relu_forward", (x,), {}),
        ("cudasim", "conv2d_forward", (x.reshape(1, 1, 1, 5), np.ones((1, 1, 1, 1), "f4"), np.array([-0.0], "f4")), {"activation": "relu"}),
    ):  # fmt: skip
        for row in ww.kernels.list(op, device=device):
            if "float32" in row["dtypes"] and row["variant"] != "depthwise":
                y = np.full(arguments[0].shape, 7, "f4")
                ww.kernels.get(op, device=device, variant=row["variant"])(y, *arguments, **attrs)
                bits = y.reshape(-1)[:4].view("u4").tolist()
                assert bits == [0, 0, 0, 0x40000000] and np.isnan(y.reshape(-1)[4]), (op, row["variant"], y)


def sixteen_bits() -> None:
    """Which these variants do not take: the error names op, argument, expected and got."""
    kernel = ww.kernels.get("relu_forward", device="cudasim", variant="numba")
    x = np.ones(3, "f2")
    try:
        kernel(x.copy(), x)
    except TypeError as error:
        assert "relu_forward: expected y.dtype == " in str(error) and "got float16" in str(error), error
    else:
        raise AssertionError("expected an error for float16, got none")


if __name__ == "__main__":
    sys.setswitchinterval(1e-5)  # the simulator's block waits for its threads in a loop that holds Python's lock
    registration()
    elementwise()
    print("elementwise")
    signs_of_zero()
    sixteen_bits()
    for name in CASES:
        values(name)
    for name in GRADIENTS:
        gradients(name)
        print(f"gradients of {name}")
