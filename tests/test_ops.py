"""The op table: every op, every check, every kernel."""

from __future__ import annotations

import pytest
import whitewolf as ww
from whitewolf import cases
from whitewolf.cases import OpTable
from whitewolf.checks import CHECKS, Context, unlisted

TABLES = list(cases.tables())


@pytest.mark.parametrize("check", [c for c in CHECKS if c != "schedules"])  # which only the simulator has
@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.op)
def test_op(table: OpTable, check: str, context: Context) -> None:
    CHECKS[check](table, context)


def test_each_op_has_one_table() -> None:
    names = [t.op for t in TABLES]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.op)
def test_case_names_are_unique(table: OpTable) -> None:
    names = [c.name for c in table.cases]
    assert len(names) == len(set(names))


def test_each_registered_kernel_has_a_case() -> None:
    registered = {row["op"] for row in ww.kernels.list(device="cpu")}
    assert unlisted(TABLES, registered, cases.KERNELS_WITHOUT_CASE) == []
