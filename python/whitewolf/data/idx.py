"""IDX files, the format of MNIST: a magic number, the sizes, the elements, all big-endian."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from typing import Any

import numpy as np

from .._errors import FileFormatError
from ..device import Array

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CHUNK = 1 << 24  # bytes read at a time: a header that lies about the size cannot make us allocate it


def read_idx(path: str | os.PathLike[str]) -> Array:
    """The array in an IDX file, plain or compressed with gzip (recognised by its first bytes).

    Args:
        path: the file: 2 zero bytes, the dtype's code, the number of dimensions, each size as 4 bytes, then the elements.

    Raises:
        ww.FileFormatError: wrong magic number, unknown dtype, truncated, too long, or damaged; the text has the file, what was
            expected and what was found.
        OSError: the file is not there.
    """
    name = os.fspath(path)
    with open(path, "rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        file: Any = gzip.GzipFile(fileobj=plain) if packed else plain
        head = _read(name, file, 4)
        if len(head) < 4:
            raise FileFormatError(f"read_idx: {name}: expected 4 bytes of magic number, got {len(head)}: truncated")
        if head[:2] != b"\0\0":
            raise FileFormatError(f"read_idx: {name}: expected a magic number 0x0000...., got 0x{head.hex()}")
        if head[2] not in _DTYPES:
            known = ", ".join(f"0x{code:02x}" for code in _DTYPES)
            raise FileFormatError(f"read_idx: {name}: expected a dtype code among {known}, got 0x{head[2]:02x}")
        if not 1 <= head[3] <= 32:
            raise FileFormatError(f"read_idx: {name}: expected 1 to 32 dimensions, got {head[3]}")
        sizes = _read(name, file, 4 * head[3])
        if len(sizes) < 4 * head[3]:
            raise FileFormatError(f"read_idx: {name}: expected {4 * head[3]} bytes of sizes, got {len(sizes)}: truncated")
        shape = tuple(int(n) for n in np.frombuffer(sizes, ">u4"))
        dtype = np.dtype(_DTYPES[head[2]])
        expected = math.prod(shape) * dtype.itemsize
        body = _read(name, file, expected + 1)
        if len(body) != expected:
            got = f"{len(body)}: truncated" if len(body) < expected else "more"
            raise FileFormatError(f"read_idx: {name}: expected {expected} bytes of elements for shape {shape}, got {got}")
    if math.prod(n for n in shape if n) * dtype.itemsize >= 2**63:
        raise FileFormatError(f"read_idx: {name}: expected sizes that are addressable, got {shape}")
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _read(name: str, file: Any, size: int) -> bytearray:
    """Up to `size` bytes: fewer only where the file ends."""
    found = bytearray()
    try:
        while len(found) < size:
            part = file.read(min(size - len(found), _CHUNK))
            if not part:
                break
            found += part
    except EOFError:
        raise FileFormatError(f"read_idx: {name}: expected a whole gzip stream, got one that is truncated") from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise FileFormatError(f"read_idx: {name}: expected a gzip stream, got damage: {error}") from None
    return found
