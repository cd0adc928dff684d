"""Misuse in child processes: whatever a public function or a raw kernel is given, it works or raises a typed error that names the op
and the argument. No crash, no hang, no input changed. The calls are generated: helpers/misuse.py, helpers/misuse_kernels.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import misuse

HERE = Path(__file__).parent
SECONDS = 120  # for a child that takes two or three; more is a hang


def child(*command: str, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    """Runs Python in a process of its own; what it was doing when it crashed or hung is in the failure's text."""
    try:
        return subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, timeout=seconds, cwd=HERE, env=None, check=False
        )
    except subprocess.TimeoutExpired as hung:
        output = hung.stdout.decode() if isinstance(hung.stdout, bytes) else hung.stdout or ""
        pytest.fail(f"expected an end within {seconds} s; the last words were {output[-300:]}")


def verdict(done: subprocess.CompletedProcess[str]) -> int:
    """The number of calls, if none broke the contract and the process came to its end."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    problems = [f"{d['function']}, {d['argument']} = {d['value']}: {d['problem']}" for d in lines if "problem" in d]
    assert done.returncode == 0, f"ended with {done.returncode} after {lines[-1:]}: {done.stderr[-500:]}"
    assert not problems, "\n".join(problems[:20])
    return sum(d.get("calls", 0) for d in lines)


def run(script: str, *arguments: str) -> int:
    program = (
        f"import sys; sys.path.insert(0, {str(HERE)!r}); from helpers import {script} as m; m.main(*m.arguments(sys.argv[1:]))"
    )
    return verdict(child("-W", "ignore", "-c", program, *arguments))


GROUPS = 4


@pytest.mark.parametrize("group", range(GROUPS))
def test_public_functions_take_any_argument_or_name_it(group: int) -> None:
    names = misuse.functions()[group::GROUPS]
    assert run("misuse", *names) > 40 * len(names)


@pytest.mark.parametrize("group", range(2))
def test_functions_of_nn_take_any_argument_or_name_it(group: int) -> None:
    names = misuse.functional()[group::2]
    assert len(names) > 40 and run("misuse", *names) > 100 * len(names)


def test_each_public_function_is_among_them() -> None:
    names = misuse.functions()
    assert len(names) > 150 and {"matmul", "asarray", "sort", "grad", "where", "manual_seed"} <= set(names)


@pytest.mark.parametrize("part", range(3))
def test_raw_kernels_take_any_argument_or_name_it(part: int) -> None:
    assert run("misuse_kernels", str(part), "3") > 1000


def test_a_broken_contract_is_seen() -> None:
    """The harness itself: a function that crashes, one that answers with a foreign error, one that changes its input, one that is silent
    about what it raises.
    """
    program = """
import sys; sys.path.insert(0, {here!r})
import whitewolf as ww
from helpers import misuse
def foreign(x, /): raise KeyError("x")
def nameless(x, /): raise ValueError("something is wrong")
def writes(x, /):
    if isinstance(x, ww.Tensor) and x.size and x.ndim: x._data[...] = 1
def silent(x, /):
    raise ValueError("silent: expected x to be another")
ww.foreign, ww.nameless, ww.writes, ww.silent = foreign, nameless, writes, silent
misuse.main(["foreign", "nameless", "writes", "silent"])
"""
    done = child("-c", program.format(here=str(HERE)))
    problems = [json.loads(line) for line in done.stdout.splitlines() if "problem" in line]
    found = {(d["function"], d["problem"].split(":")[0]) for d in problems}
    assert {("foreign", "untyped KeyError"), ("nameless", "ValueError"), ("writes", "an input has changed")} <= found
    assert ("silent", "not in its docstring") in found


def test_an_overlap_that_is_hard_to_decide_is_refused_and_not_waited_for() -> None:
    """Strides from NumPy's documentation of shares_memory, for which the exact answer takes minutes."""
    program = """
import numpy as np, whitewolf as ww
from numpy.lib.stride_tricks import as_strided
memory = np.zeros(192163377 + 10**6, np.float32)
x = as_strided(memory, (1049, 1049, 1049), tuple(4 * n for n in (36674, 61119, 85569)))
out = as_strided(memory[64023025:], (1049, 1049, 1), tuple(4 * n for n in (12223, 12224, 1)))
try: ww.kernels.get("add_forward", device="cpu")(out, x[:, :, :1], out)
except ValueError as error: assert "overlap" in str(error), error
try: ww.kernels.get("sum_forward", device="cpu")(out[:, :, :1], x)
except ValueError as error: assert "overlap" in str(error), error
else: raise AssertionError("expected a refusal, got none")
"""
    done = child("-c", program, seconds=30)
    assert done.returncode == 0, done.stderr[-500:]


DEEP = """
import whitewolf as ww
n = 200_000
x = ww.ones(2, requires_grad=True)
"""

GRAPHS = {
    "a chain forward and back": "y = x\nfor _ in range(n): y = y + 1\ny.sum().backward(); assert x.grad.tolist() == [1, 1]",
    "a chain that is dropped": "y = x\nfor _ in range(n): y = y * 1\ndel y",
    "a chain differentiated twice": (
        "n = n // 10\ny = x\nfor _ in range(n): y = y * 1\n"
        "g = ww.grad((y * y).sum(), x, create_graph=True); assert ww.grad(g.sum(), x).tolist() == [2, 2]"
    ),
    "a fan of as many uses": "n = n // 2\ny = [x * 1 for _ in range(n)]\nz = y[0]\nfor t in y[1:]: z = z + t\nz.sum().backward(); assert x.grad.tolist() == [n, n]",
    "one op of many inputs": "n = n // 10\ny = ww.stack([x] * n)\ny.sum().backward(); assert x.grad.tolist() == [n, n]",
    "many assignments": "n = n // 4\ny = x * 0\nfor i in range(n): y[i % 2] = i\nassert ww.grad(y.sum(), x, allow_unused=True).tolist() == [0, 0]",
    "a list nested as deeply": "d = []\nfor _ in range(n): d = [d]\ntry: ww.asarray(d)\nexcept (ValueError, TypeError) as e: assert 'asarray' in str(e)",
    "a list that holds itself": "d = []; d.append(d)\ntry: ww.asarray(d)\nexcept (ValueError, TypeError) as e: assert 'asarray' in str(e)",
}


@pytest.mark.parametrize("graph", GRAPHS)
def test_200_000_nodes_are_walked_and_dropped_without_recursion(graph: str) -> None:
    done = child("-c", DEEP + GRAPHS[graph])
    assert done.returncode == 0, done.stderr[-500:]


FILES = {
    "a closed file": "f = open('t', 'wb'); f.close(); call = lambda: ww.save({'x': x}, f)",
    "a closed file to read": "f = open('t', 'wb'); f.close(); call = lambda: ww.load(f)",
    "a folder": "call = lambda: ww.load('.')",
    "a folder to write": "call = lambda: ww.save({'x': x}, '.')",
    "no such file": "call = lambda: ww.load('no such file')",
    "no such folder": "call = lambda: ww.save({'x': x}, 'no/such/folder')",
    "an empty file": "open('t', 'wb').close(); call = lambda: ww.load('t')",
    "a number": "call = lambda: ww.load(12345)",
    "not a dict": "call = lambda: ww.save([x], 't')",
    "not a tensor": "call = lambda: ww.save({'x': object()}, 't')",
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_none_are_a_typed_error(case: str, tmp_path: Path) -> None:
    program = f"""
import os; os.chdir({str(tmp_path)!r})
import whitewolf as ww
x = ww.ones(2)
{FILES[case]}
try: call()
except (OSError, ValueError, TypeError) as error: assert str(error), repr(error)
else: raise AssertionError("expected an error, got none")
"""
    done = child("-c", program)
    assert done.returncode == 0, done.stderr[-500:]
