"""Docstrings: every public name has one with an example, every example of the package runs, and the reference page is current."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww

REPOSITORY = Path(__file__).resolve().parents[1]

# Modules whose import starts a program or needs a package that need not be there.
LEFT_OUT = {"whitewolf.__main__"}


def modules() -> list[str]:
    found = [info.name for info in pkgutil.walk_packages(ww.__path__, "whitewolf.")]
    return [name for name in found if name not in LEFT_OUT and not name.rsplit(".", 1)[1].startswith(("_cpu", "_cuda"))]


def public() -> dict[str, Any]:
    found = {name: getattr(ww, name) for name in dir(ww) if not name.startswith("_")}
    return {name: value for name, value in found.items() if callable(value)}


@pytest.mark.parametrize("name", sorted(public()))
def test_each_public_name_has_a_docstring_with_an_example(name: str) -> None:
    text = inspect.getdoc(public()[name]) or ""
    sentence = text.split("\n\n")[0]
    assert sentence.endswith((".", ":", "`")), f"{name}: expected a sentence, got {sentence!r}"
    assert ">>>" in text, f"{name}: expected an example, got none"


# Rooms of the namespace, and what an example would need that is not at hand: files, a folder of pictures, the network.
ROOMS = (
    "nn",
    "nn.functional",
    "optim",
    "optim.lr_scheduler",
    "data",
    "io",
    "amp",
    "kernels",
    "nn.init",
    "nn.utils",
    "nn.utils.rnn",
    "random",
    "autograd",
)
WITHOUT_EXAMPLE = {"ColourJitter", "Dataset", "ImageFolder", "Normalize", "PackedSequence", "cifar10", "digits", "download", "load",
                   "load_checkpoint", "mnist", "read_idx", "take_blocks", "next_seed", "Node", "record", "save_output", "saved_output", "LRScheduler"}  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_each_name_of_a_room_has_a_docstring_with_an_example(room: str) -> None:
    module = importlib.import_module(f"whitewolf.{room}")
    names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    bare = []
    for name in names:
        value = getattr(module, name)
        own = (getattr(value, "__module__", "") or "").startswith(("whitewolf.optim", module.__name__)) or hasattr(
            module, "__all__"
        )
        if callable(value) and own and name not in WITHOUT_EXAMPLE and ">>>" not in (inspect.getdoc(value) or ""):
            bare.append(name)
    assert not bare, f"whitewolf.{room}: expected an example of each, got none of {', '.join(bare)}"


def examples(value: Any, name: str) -> list[doctest.DocTest]:
    """The examples of a function or class: those that doctest's own finder misses are functions made by other functions."""
    finder = doctest.DocTestFinder(recurse=False)
    return [test for test in finder.find(value, name, globs={}) if test.examples]


@pytest.mark.parametrize("name", sorted(public()))
def test_the_examples_of_public_names_run(name: str) -> None:
    run(examples(public()[name], name))


@pytest.mark.parametrize("module", modules())
def test_all_examples_run(module: str) -> None:
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        pytest.skip(f"{module} needs what is not installed: {error}")
    run([test for test in doctest.DocTestFinder().find(found) if test.examples])


def run(tests: list[doctest.DocTest]) -> None:
    away = [name for name, state in ww.devices().items() if state != "available"]
    tests = [test for test in tests if not any(f'"{name}"' in e.source for e in test.examples for name in away)]
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    state = ww.random.get_state()
    with np.printoptions(precision=4):
        for test in tests:
            runner.run(test, out=said.append)
    ww.random.set_state(state)
    assert runner.failures == 0, "".join(said)


def test_an_example_that_is_wrong_is_seen() -> None:
    def wrong() -> None:
        """A sum.

        >>> 1 + 1
        3
        """

    with pytest.raises(AssertionError, match=r"Expected:\s+3\s+Got:\s+2"):
        run(examples(wrong, "wrong"))


@pytest.mark.parametrize("name", ["reference.py", "results.py"])
def test_a_written_page_is_current(name: str) -> None:
    script = REPOSITORY / "docs" / name
    if not script.is_file():
        pytest.skip("the tests run outside the repository, without docs/")
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_the_reference_has_every_name_of_a_room(room: str) -> None:
    if not (REPOSITORY / "docs").is_dir():
        pytest.skip("the tests run outside the repository, without docs/")
    module = importlib.import_module(f"whitewolf.{room}")
    text = "".join(page.read_text(encoding="utf-8") for page in (REPOSITORY / "docs").glob("reference*.md"))
    names = [n for n in getattr(module, "__all__", ()) if callable(getattr(module, n)) and n not in WITHOUT_EXAMPLE]
    assert [n for n in names if f"### `{n}`" not in text and f"### `{n}(" not in text] == []
