"""Published data sets: where they are, what their files' checksums are, and how to get them, for those who are online and ask for it."""

from __future__ import annotations

import hashlib
import os
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .._errors import FileFormatError
from ..io.atomic import replacing

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Published:
    """A file, its address and its checksum as published ("md5:..." or "sha256:..."); of an archive, all files are unpacked.

    The checksum is that of the file itself or, where `of` names one, of this file in the archive.
    """

    name: str
    address: str
    checksum: str
    of: str | None = None


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
PUBLISHED = {
    "mnist": [
        Published(name, _MNIST + name, f"md5:{md5}")
        for name, md5 in (
            ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
            ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        )
    ],
    "cifar10": [
        Published(
            "cifar-10-binary.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "md5:c32a1d4ab5d03f1284b67883e8d87530",
        )
    ],
    "text8": [Published("text8.zip", "http://mattmahoney.net/dc/text8.zip", "md5:3bea1919949baf155f99411df5fada7e", of="text8")],
    "babi": [
        Published(
            "babi.tar.gz",
            "http://parl.ai/downloads/babi/babi.tar.gz",
            "sha256:f7f0bee187efca0d81c3daac1b162cda4eb7f9505dee5ad6846eabbed3dbf92e",
        )
    ],
}


def download(name: str, folder: str | os.PathLike[str]) -> list[Path]:
    """Fetches what is missing of a published data set into a folder, checks it, and unpacks archives there.

    Args:
        name: mnist, cifar10, text8 or babi.
        folder: made if it is not there.

    Returns:
        The files that the data set is published as.

    Raises:
        ValueError: there is no data set of that name.
        ConnectionError: an address cannot be reached; the text says which file to put where.
        ww.FileFormatError: what came has another checksum; nothing of it is kept.
    """
    if name not in PUBLISHED:
        raise ValueError(f"download: expected a data set among {', '.join(PUBLISHED)}, got {name!r}")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    found = []
    for file in PUBLISHED[name]:
        path = target / file.name
        if not path.is_file():
            _fetch(file, path)
        elif _checksum(file, path) != file.checksum:
            got = _checksum(file, path)
            raise FileFormatError(f"download: {path}: expected {file.checksum}, got {got}: remove it to fetch it anew")
        if path.name.endswith((".tar.gz", ".zip")):
            _unpack(path, target)
        found.append(path)
    return found


def _fetch(file: Published, path: Path) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        try:
            with urllib.request.urlopen(file.address, timeout=30) as source, open(part, "wb") as sink:
                while chunk := source.read(_CHUNK):
                    sink.write(chunk)
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            where = f"put {file.name} ({file.checksum}{f' of {file.of} in it' if file.of else ''}) into {path.parent}"
            raise ConnectionError(f"download: expected to reach {file.address}, got {reason}; {where}") from None
        got = _checksum(file, part)
        if got != file.checksum:
            raise FileFormatError(f"download: {file.address}: expected {file.checksum}, got {got}; nothing was kept")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _checksum(file: Published, path: Path) -> str:
    kind = file.checksum.split(":")[0]
    digest = hashlib.new(kind, usedforsecurity=False)
    try:
        if file.of is None:
            with open(path, "rb") as plain:
                _feed(digest, plain)
        else:
            with zipfile.ZipFile(path) as archive, archive.open(file.of) as inside:
                _feed(digest, inside)
    except (zipfile.BadZipFile, KeyError) as error:
        return f"something else ({error})"
    return f"{kind}:{digest.hexdigest()}"


def _feed(digest: Any, source: IO[bytes]) -> None:
    while chunk := source.read(_CHUNK):
        digest.update(chunk)


def _files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive) as zipped:
            for name in zipped.namelist():
                if not name.endswith("/"):
                    with zipped.open(name) as inside:
                        yield name, inside
    else:
        with tarfile.open(archive) as packed:
            for member in packed:
                content = packed.extractfile(member) if member.isfile() else None  # no links, no devices
                if content is not None:
                    yield member.name, content


def _unpack(archive: Path, folder: Path) -> None:
    root = folder.resolve()
    for name, content in _files(archive):
        path = (root / name).resolve()
        if root not in path.parents:
            raise FileFormatError(f"download: {archive}: expected files inside, got one named {name!r}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with replacing(path) as sink:
                while chunk := content.read(_CHUNK):
                    sink.write(chunk)
