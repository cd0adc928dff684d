"""The op table on device cudasim, for each op whose kernels it has. `.ci/cuda` runs the heavier checks and the sweep of schedules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.broken import PythonKernel, PythonModule
from whitewolf import cases, verify
from whitewolf.cases import OpTable
from whitewolf.checks import CHECKS, CheckFailure, Context, missing_kernel, unlisted
from whitewolf.device import Device
from whitewolf.tensor import wrap

LIGHT = ("value", "nonfinite", "exact", "guards", "gradient", "second gradient", "float32 gradient", "variants", "batch")
# Their second gradients are ops, step by step: thousands of small launches, which `.ci/cuda` checks.
COMPOSED = ("rnn", "rnn, relu", "gru", "gru, biased", "lstm", "lstm, with inputs")
CONTEXT = Context(device=ww.device("cudasim"))
TABLES = [table for table in cases.tables() if not missing_kernel(table, CONTEXT)]


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.op)
def test_op(table: OpTable) -> None:
    for check in (c for c in LIGHT if c != "second gradient" or table.op not in COMPOSED):
        CHECKS[check](table, CONTEXT)


@pytest.mark.parametrize(
    "op",
    ["matmul", "relu", "sum", "logsumexp", "argmax", "layer_norm", "embedding", "conv1d", "max_pool2d", "cross_entropy", "adam"],
)
def test_bits_do_not_depend_on_the_schedule(op: str) -> None:
    CHECKS["schedules"](next(t for t in TABLES if t.op == op), CONTEXT)


def test_no_op_is_left_to_the_cpu() -> None:
    on = {d: {row["op"] for row in ww.kernels.list(device=d)} for d in ("cpu", "cudasim")}
    assert on["cpu"] - on["cudasim"] == set(cases.KERNELS_WITHOUT_CASE)
    assert len(TABLES) == len(list(cases.tables()))


def test_each_cuda_kernel_has_a_case() -> None:
    registered = {row["op"] for row in ww.kernels.list(device="cudasim")}
    assert unlisted(list(cases.tables()), registered, {}) == []


def test_integers_have_the_bits_of_the_cpu() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(-4, 5, (37, 53)).astype("f4"), rng.integers(-4, 5, (53, 29)).astype("f4")

    def chain(device: str) -> np.ndarray:
        x, y = ww.asarray(a, device=device), ww.asarray(b, device=device)
        return ww.nn.functional.relu((x @ y) * 2.0 - x.sum()).sum(axis=0).numpy()

    np.testing.assert_array_equal(chain("cudasim"), chain("cpu"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_numbers_have_the_bits_of_the_cpu(dtype: str) -> None:
    def numbers(device: str) -> list[np.ndarray]:
        ww.manual_seed(9)
        shape, more = (7, 13), {"dtype": dtype, "device": device}
        found = [ww.random.uniform(shape, -2, 3, **more), ww.random.normal(shape, 1, 2, **more)]
        found += [ww.random.randint(-5, 10**12, shape, device=device)]
        found += [ww.nn.functional.dropout(ww.ones(shape, **more), 0.3), ww.nn.functional.dropout(ww.ones((13, 7), **more).T, 0.9)]
        return [t.numpy() for t in found]

    for got, expected in zip(numbers("cudasim"), numbers("cpu")):
        np.testing.assert_array_equal(got, expected)


def test_verify_says_what_it_checked_and_what_it_could_not(capsys: pytest.CaptureFixture[str]) -> None:
    result = verify.verify(["relu"], ["value", "schedules"], "cudasim")
    verify.report(result)
    out = capsys.readouterr().out
    assert result["ok"] and "op table on cudasim" in out and "schedules swept: lockstep-late" in out
    assert "relu_backward_x: map; relu_forward: map " in out and "run by none" not in out
    result = verify.verify(["matmul"], ["value"], "cudasim")
    verify.report(result)
    out = capsys.readouterr().out
    ran, idle = set(result["rows"][0]["ran"]["matmul_forward"]), set(result["rows"][0]["idle"])
    registered = {row["variant"] for row in ww.kernels.list("matmul_forward", device="cudasim")}
    assert ran and idle == {f"matmul_forward:{v}" for v in registered - ran} and "matmul_forward:mma" in idle
    assert "registered, and run by none of these checks: " in out
    absent = sorted(t.op for t in cases.tables() if missing_kernel(t, CONTEXT))
    if absent:
        with pytest.raises(ww.DeviceError, match=f"verify: expected a kernel for {absent[0]} on device cudasim"):
            verify.verify([absent[0]], ["value"], "cudasim")


def test_a_schedule_dependent_result_is_caught() -> None:
    """The check fails for an op that gives other bits in another order."""

    def unsteady(x: ww.Tensor) -> ww.Tensor:
        return x if ww.device("cudasim").module.schedule()[0] != "reverse" else x + 1

    table = OpTable("unsteady", unsteady, lambda x: x, (), (cases.Case("one", (cases.Input((3,)),)),), gradient="none is needed")
    with pytest.raises(CheckFailure, match="order reverse, asynchrony late"):
        CHECKS["schedules"](table, CONTEXT)


def test_a_schedule_dependent_variant_is_caught_though_nobody_chose_it() -> None:
    def steady(y: Any, x: Any) -> None:
        y[...] = x

    def unsteady(y: Any, x: Any) -> None:
        y[...] = x + (ww.device("cudasim").module.schedule()[1] == "eager")

    def identity(x: ww.Tensor) -> ww.Tensor:
        y = np.empty_like(x._data)
        x.device.kernels["toy_forward"](y, x._data)
        return wrap(y, x.device)

    toy = PythonKernel("toy_forward", "out y: T[n], x: T[n]", {"steady": steady, "unsteady": unsteady})
    device = Device("cudasim", PythonModule(toy), np)
    one = (cases.Case("one", (cases.Input((3,), grad=False),)),)
    table = OpTable("identity", identity, lambda x: x, ("toy_forward",), one, gradient="none is needed")
    with pytest.raises(CheckFailure, match="order lockstep, asynchrony eager, seed 0, toy_forward:unsteady"):
        CHECKS["schedules"](table, Context(device=device))


class RoundsTwice:
    """The simulator's module with a 16-bit matmul that rounds its sums before it adds the bias."""

    def __getattr__(self, name: str) -> Any:
        return getattr(ww.device("cudasim").module, name)

    def get(self, op: str, variant: str | None = None) -> Any:
        kernel = ww.device("cudasim").module.get(op, variant)
        return kernel if (op, variant) != ("matmul_forward", "mma") else Twice(kernel)


class Twice:
    def __init__(self, kernel: Any) -> None:
        self.choice, self.kernel = kernel.choice, kernel

    def __call__(self, out: Any, x: Any, w: Any, bias: Any = None, **attrs: Any) -> None:
        self.kernel(out, x, w)
        if bias is not None:
            ones = np.ones((out.shape[0], 1), out.dtype)
            self.kernel(
                out, np.concatenate([out, ones], 1), np.concatenate([np.eye(out.shape[1], dtype=out.dtype), bias[None]]), **attrs
            )


def test_16_bits_that_are_rounded_twice_are_caught() -> None:
    linear = next(t for t in TABLES if t.op == "linear")
    with pytest.raises(CheckFailure, match="linear, case .*, check 'half precision': matmul_forward:mma, "):
        CHECKS["half precision"](linear, Context(device=Device("cudasim", RoundsTwice(), np)))
