"""The op table on device cudasim, for each op whose kernels it has. `.ci/cuda` runs the heavier checks and the sweep of schedules."""

from __future__ import annotations

import numpy as np
import pytest
import whitewolf as ww
from whitewolf import cases, verify
from whitewolf.cases import OpTable
from whitewolf.checks import CHECKS, CheckFailure, Context, missing_kernel, unlisted

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
