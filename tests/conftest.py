"""Shared by all tests."""

from __future__ import annotations

import re
import signal
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import whitewolf as ww
from whitewolf.checks import Context

sys.path.insert(0, str(Path(__file__).parent))

# Whoever runs the tests in the background of a shell has Ctrl-C ignored, here and in child processes: its tests need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shard", metavar="I/N", default="1/1", help="the I-th of N parts of the tests: two processes share a slow run"
    )
    parser.addoption(
        "--absent",
        metavar="FILE",
        help="adds to a file the tests that were skipped for want of a package: with it, pytest @FILE runs them",
    )
    parser.addoption("--light", action="store_true", help="no heavy cases of the op table: for emulators and sanitizers")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    which, of = map(int, config.getoption("--shard").split("/"))
    mine = [zlib.crc32(item.nodeid.encode()) % of == which - 1 for item in items]  # neighbours are alike: every N-th would be, too
    config.hook.pytest_deselected(items=[item for item, keep in zip(items, mine) if not keep])
    items[:] = [item for item, keep in zip(items, mine) if keep]


_absent: list[str] = []


def _note(report: pytest.CollectReport | pytest.TestReport) -> None:
    why = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    if re.search("could not import|not installed", why):
        _absent.append(report.nodeid.partition("[")[0])  # with all its parameters: an id may hold an address


pytest_collectreport = pytest_runtest_logreport = _note


def pytest_sessionfinish(session: pytest.Session) -> None:
    if file := session.config.getoption("--absent"):
        with open(file, "a", encoding="utf-8") as names:  # several processes share a run
            names.write("".join(f"{test}\n" for test in dict.fromkeys(_absent)))


@pytest.fixture
def context(request: pytest.FixtureRequest) -> Context:
    """Where and how the checks of the op table run."""
    return Context(max_flops=0) if request.config.getoption("--light") else Context()


@pytest.fixture(autouse=True)
def settings_stay() -> Iterator[None]:
    """A test that changes the number of threads or the poison mode changes it for itself alone."""
    threads = ww.get_num_threads()
    yield
    if ww.get_num_threads() != threads:
        ww.set_num_threads(threads)
    ww.set_poison(False)
