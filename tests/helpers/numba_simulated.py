"""What test_numba.py runs in a process where Numba simulates."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import whitewolf as ww
from whitewolf import cases
from whitewolf.cases import Case, Input
from whitewolf.checks.calls import compare, forward, reference
from whitewolf.profile import profile

DEVICE = ww.device("cudasim")

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


def gradients(op: str) -> None:
    """Through the variant on cudasim as through the cpu's kernels."""

    def run(device: str) -> list[np.ndarray]:
        local = np.random.default_rng(2)

        def leaf(*shape: int) -> ww.Tensor:
            return ww.tensor(local.standard_normal(shape), device=device, dtype="float64", requires_grad=True)

        if op == "matmul":
            leaves = [leaf(2, 3, 5), leaf(5, 4)]
            out = leaves[0] @ leaves[1]
        elif op == "relu":
            leaves = [leaf(5, 7)]
            out = ww.nn.functional.relu(leaves[0])
        elif op == "conv2d":
            leaves = [leaf(2, 4, 5, 6), leaf(6, 2, 3, 2)]
            out = ww.nn.functional.conv2d(*leaves, stride=2, padding=1, groups=2)
        else:
            leaves = [leaf(3, 2, 12), leaf(12, 3), leaf(2, 3), leaf(2, 3)]
            out = ww.ops.recurrent.lstm(*leaves)[0]
        grad = ww.asarray(np.cos(np.arange(out.size)).reshape(out.shape), device=device)
        out.backward(grad)
        return [t.grad.numpy() for t in leaves if t.grad is not None]

    with ww.kernels.use(**{op: "numba"}):
        got = run("cudasim")
    for ours, theirs in zip(got, run("cpu"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


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


if __name__ == "__main__":
    sys.setswitchinterval(1e-5)  # the simulator's block waits for its threads in a loop that holds Python's lock
    registration()
    for name in CASES:
        values(name)
    for name in ("matmul", "relu", "conv2d", "lstm"):
        if name != "lstm" or "lstm_backward" in DEVICE.kernels:
            gradients(name)
            print(f"gradients of {name}")
