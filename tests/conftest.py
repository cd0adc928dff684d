"""Shared by all tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import whitewolf as ww

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def settings_stay() -> Iterator[None]:
    """A test that changes the number of threads or the poison mode changes it for itself alone."""
    threads = ww.get_num_threads()
    yield
    if ww.get_num_threads() != threads:
        ww.set_num_threads(threads)
    ww.set_poison(False)
