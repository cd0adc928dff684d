"""Shared by all tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import whitewolf as ww
from whitewolf.checks import Context

sys.path.insert(0, str(Path(__file__).parent))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shard", metavar="I/N", default="1/1", help="every N-th test, from the I-th: two processes share a slow run")
    parser.addoption("--light", action="store_true", help="no heavy cases of the op table: for emulators and sanitizers")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    first, step = map(int, config.getoption("--shard").split("/"))
    config.hook.pytest_deselected(items=[item for i, item in enumerate(items) if i % step != first - 1])
    items[:] = items[first - 1 :: step]


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
