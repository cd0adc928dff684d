"""What the commands print: rich tables and progress bars on a terminal, plain lines otherwise."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

GOOD, BAD = ("ok", "yes", "available"), ("FAILED", "missing", "no")


_to_stderr = False


def stream() -> TextIO:
    """Where tables and lines go."""
    return sys.stderr if _to_stderr else sys.stdout


@contextlib.contextmanager
def beside_json(path: str | None) -> Iterator[None]:
    """A scope in which tables and lines go to standard error if JSON goes to standard output ("-"), so that it can be piped."""
    global _to_stderr
    before, _to_stderr = _to_stderr, _to_stderr or path == "-"
    try:
        yield
    finally:
        _to_stderr = before


def fancy() -> bool:
    """Whether tables go to a terminal and rich is installed."""
    if not stream().isatty() or os.environ.get("TERM") == "dumb":
        return False
    try:
        import rich  # noqa: F401
    except ImportError:
        return False
    return True


def line(text: str = "") -> None:
    """One line, at once."""
    print(text, file=stream(), flush=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """A table; the columns named in `right` hold numbers."""
    cells = [[str(c) for c in row] for row in rows]
    if fancy():
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        grid = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
        for column in columns:
            grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
        for row in cells:
            grid.add_row(*(Text(c, style="green" if c in GOOD else "bold red" if c in BAD else "") for c in row))
        Console(file=stream()).print(grid)
        return
    widths = [max([len(column), *(len(row[i]) for row in cells)]) for i, column in enumerate(columns)]
    line(title)
    for row in [list(columns), *cells]:
        parts = [c.rjust(w) if columns[i] in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths))]
        line("  ".join(parts).rstrip())


def check_folder(folder: str | Path) -> None:
    """Makes a folder, if it is not there, and sees that it can be written: before work whose result shall go into it.

    Raises:
        OSError: it cannot; the text names it.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def check_file(path: str | Path) -> None:
    """Sees that a file can be written later.

    Raises:
        OSError: it cannot; the text names it.
    """
    target = Path(path)
    if str(path) == "-":
        return
    if target.is_dir():
        raise IsADirectoryError(f"expected a file to write, got the folder {target}")
    check_folder(target.parent)


def write_json(path: str | Path, content: Any) -> None:
    """Writes `content` whole or not at all: to a temporary file, which then takes the name.

    Raises:
        OSError: the folder cannot be written.
    """
    target = Path(path)
    if str(path) == "-":
        print(json.dumps(content, indent=1))
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
