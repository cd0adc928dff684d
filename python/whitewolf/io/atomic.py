"""Files that are replaced whole: at any moment, and after a kill at any moment, the old file is there or the new one.

The new content goes to a temporary file in the same folder, is synced to the disk, and takes the name by one rename; the folder is
synced last, so that the rename itself survives a power cut. The writer holds a lock on its temporary file. A lock dies with its
process, so a temporary file whose lock can be taken is what a killed writer left behind, and the next writer removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_MARK = ".whitewolf-tmp"


def _create(target: Path) -> tuple[int, Path]:
    """A new temporary file beside `target`, locked."""
    while True:
        path = target.with_name(f".{target.name[:160]}.{secrets.token_hex(8)}{_MARK}")
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                return handle, path
        except BaseException:
            os.close(handle)
            path.unlink(missing_ok=True)
            raise
        os.close(handle)  # another writer took it for a leftover in the instant between open and lock


def _remove_leftovers(target: Path) -> None:
    """Removes the temporary files that killed writers of `target` left behind."""
    pattern = re.compile(re.escape(f".{target.name[:160]}.") + "[0-9a-f]{16}" + re.escape(_MARK))
    for entry in os.scandir(target.parent):
        if not pattern.fullmatch(entry.name):
            continue
        try:
            handle = os.open(entry.path, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue  # gone already, or somebody else's
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(entry.path)
        except OSError:
            pass  # its writer is alive, or has just renamed it
        finally:
            os.close(handle)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file to write; it becomes `path` when the block ends, and vanishes when the block raises.

    Args:
        path: the file to make or replace. A symbolic link stays, and the file that it names is replaced.

    Raises:
        FileNotFoundError: the folder is not there.
        IsADirectoryError: `path` is a folder.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"save: expected a file to write, got the folder {target}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"save: expected the folder {target.parent} to exist, in which {target.name} is written")
    _remove_leftovers(target)
    handle, temporary = _create(target)
    try:
        with open(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if target.exists():
                os.fchmod(file.fileno(), target.stat().st_mode & 0o7777)
            os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
