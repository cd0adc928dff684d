"""Cases of the arithmetic ops."""

from __future__ import annotations

import numpy as np

import whitewolf as ww

from . import BadCall, Case, Input, OpTable

BROADCASTS = (
    Case("same", (Input((7, 13), batch=0), Input((7, 13), batch=0))),
    Case("row", (Input((5, 11), batch=0), Input((11,)))),
    Case("column", (Input((5, 11), batch=0), Input((5, 1), batch=0))),
    Case("outer", (Input((4, 1, 3)), Input((2, 1)))),
    Case("scalar", (Input((3, 5)), Input(()))),
    Case("empty", (Input((0, 3)), Input((3,)))),
    Case("one element", (Input((1,)), Input((1, 1)))),
    Case("large", (Input((1024, 1024)), Input((1024, 1024))), flops=1 << 20, bytes=12 << 20, bench=True, heavy=True),
)


def _bad(name: str) -> tuple[BadCall, ...]:
    op = getattr(ww, name)
    return (
        BadCall("shapes", lambda: op(ww.zeros(3), ww.zeros(4)), ValueError, (name, "broadcast", "(3,)", "(4,)")),
        BadCall("type", lambda: op(ww.zeros(3), "x"), TypeError, (name, "x2", "str")),
    )


TABLES = tuple(
    OpTable(
        op=name,
        elementwise=True,
        function=getattr(ww, name),
        reference=getattr(np, name),
        numpy=getattr(np, name),
        torch=lambda a, b, _name=name: getattr(__import__("torch"), _name)(a, b),
        kernels=(f"{name}_forward",),
        cases=BROADCASTS,
        exact=name != "divide",
        ulps=2.0,
        bad=_bad(name),
    )
    for name in ("add", "subtract", "multiply")
)
