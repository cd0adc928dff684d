"""The header of a safetensors file: what is in it, and everything that is refused.

A safetensors file is 8 bytes of little-endian header length n, n bytes of JSON, and the tensors' bytes. The JSON maps each name to
{"dtype", "shape", "data_offsets": [begin, end]} and may hold strings under "__metadata__". Offsets count from the end of the
header; together the tensors cover the rest of the file without holes or overlaps, in C order, little-endian.

Our checksums live in "__metadata__", so that the file stays standard: "whitewolf.tensors" is a JSON object of the SHA-256 of each
tensor's bytes; "whitewolf.header" is the SHA-256 of length and header, taken with 64 zeros in its own place. Between them they
cover every byte. Each demands the other, so a flipped bit in one of the two names cannot switch the check off.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, NamedTuple, NoReturn

import numpy as np

from .._errors import FileFormatError
from ..dtypes import DType, bfloat16

MAX_HEADER = 100_000_000  # bytes, as in the reference implementation
MAX_DIMENSIONS = 32  # of NumPy 1.x
HEADER_SUM, TENSOR_SUMS = "whitewolf.header", "whitewolf.tensors"
_NO_SUM = "0" * 64
_HEADER_KEY = f'"{HEADER_SUM}":"'.encode()

NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32", "uint64": "U64",
    "int64": "I64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "complex64": "C64",
}  # fmt: skip
_DTYPES = {theirs: ours for ours, theirs in NAMES.items()}


class Entry(NamedTuple):
    """One tensor of a file."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """A checked header: the tensors in its order, the user's metadata, the checksums (None in files of others), and its size."""

    entries: list[Entry]
    metadata: dict[str, str]
    sums: dict[str, str] | None
    size: int


def build(entries: list[Entry], sums: dict[str, str] | None, metadata: dict[str, str]) -> bytes:
    """The first bytes of a file: length and header. With `sums=None` they are zeros: the size is the same already."""
    all_sums = {entry.name: _NO_SUM if sums is None else sums[entry.name] for entry in entries}
    ours = {HEADER_SUM: _NO_SUM, TENSOR_SUMS: json.dumps(all_sums, ensure_ascii=False)}
    table: dict[str, Any] = {"__metadata__": {**ours, **metadata}}
    for entry in entries:
        table[entry.name] = {"dtype": NAMES[entry.dtype.name], "shape": entry.shape, "data_offsets": [entry.begin, entry.end]}
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ValueError(f"save: expected names and metadata of at most {MAX_HEADER} bytes together, got {len(text)}")
    head = len(text).to_bytes(8, "little") + text
    return head.replace(_HEADER_KEY + _NO_SUM.encode(), _HEADER_KEY + hashlib.sha256(head).hexdigest().encode(), 1)


def parse(path: str, head: bytes, file_size: int) -> Header:
    """Checks the first bytes of the file `path` (length and header) and says what the file holds.

    Raises:
        ww.FileFormatError: anything in it is not as the format says; the text names the file and, where there is one, the tensor.
    """
    check_length(path, head[:8], file_size)
    text = head[8:]
    try:
        table = json.loads(
            text.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_int=_number, parse_float=_refuse, parse_constant=_refuse
        )
        if text[:1] != b"{" or not isinstance(table, dict):
            raise ValueError("expected an object that begins at the first byte")
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise FileFormatError(f"load: {path}: expected a header of JSON in UTF-8, got {len(text)} other bytes: {reason}") from None
    metadata = _metadata(path, table.pop("__metadata__", {}))
    entries = [_entry(path, name, fields) for name, fields in table.items()]
    _check_cover(path, entries, file_size - len(head))
    sums = _sums(path, head, metadata, entries)
    return Header(entries, {k: v for k, v in metadata.items() if k not in (HEADER_SUM, TENSOR_SUMS)}, sums, len(head))


def check_length(path: str, first: bytes, file_size: int) -> int:
    """The header's length from a file's first 8 bytes, checked before anything of that size is read.

    Raises:
        ww.FileFormatError: the file is shorter, or the length is over the limit.
    """
    if len(first) < 8:
        raise FileFormatError(f"load: {path}: expected a safetensors file of at least 8 bytes, got {file_size}")
    length = int.from_bytes(first, "little")
    if length > MAX_HEADER:
        raise FileFormatError(f"load: {path}: expected a header of at most {MAX_HEADER} bytes, got a length of {length}")
    if length > file_size - 8:
        raise FileFormatError(f"load: {path}: expected a header of {length} bytes, got a file of {file_size} bytes: truncated")
    return length


def check_sum(path: str, entry: Entry, expected: str, got: str) -> None:
    """Raises FileFormatError, naming the tensor, unless the checksums agree."""
    if expected != got:
        raise FileFormatError(
            f"load: {path}: tensor {entry.name!r}: expected SHA-256 {expected[:16]}..., got {got[:16]}...: its bytes were changed"
        )


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the name {name[:80]!r} appears twice")
            seen.add(name)
    for name in found:
        name.encode()  # half of a surrogate pair, "\ud800", is no text
    return found


def _number(digits: str) -> int:
    if len(digits) > 20:  # of 2**64
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"the number {text[:40]}, which is no integer")


def _metadata(path: str, found: Any) -> dict[str, str]:
    if not isinstance(found, dict):
        raise FileFormatError(f"load: {path}: expected __metadata__ to be an object, got {type(found).__name__}")
    for key, value in found.items():
        if not isinstance(value, str):
            raise FileFormatError(f"load: {path}: expected __metadata__[{key!r}] to be a string, got {type(value).__name__}")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise FileFormatError(f"load: {path}: expected __metadata__[{key!r}] to be text, got {error}") from None
    return found


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)


def _entry(path: str, name: str, fields: Any) -> Entry:
    """One tensor's entry, checked by itself."""
    where = f"load: {path}: tensor {name!r}"
    if not isinstance(fields, dict) or fields.keys() != {"dtype", "shape", "data_offsets"}:
        got = sorted(fields) if isinstance(fields, dict) else type(fields).__name__
        raise FileFormatError(f"{where}: expected dtype, shape and data_offsets, got {got}")
    dtype_name, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype_name, str) or dtype_name not in _DTYPES:
        raise FileFormatError(f"{where}: expected dtype to be one of {', '.join(_DTYPES)}, got {dtype_name!r}")
    if not _sizes(shape) or len(shape) > MAX_DIMENSIONS:
        raise FileFormatError(f"{where}: expected shape to be at most {MAX_DIMENSIONS} integers >= 0, got {str(shape)[:80]}")
    if not _sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise FileFormatError(f"{where}: expected data_offsets to be [begin, end] with 0 <= begin <= end, got {str(offsets)[:80]}")
    try:
        dtype = bfloat16() if dtype_name == "BF16" else np.dtype(_DTYPES[dtype_name])
    except ImportError:
        raise ImportError(f"{where}: bfloat16 needs the package ml_dtypes: pip install ml_dtypes") from None
    if math.prod(n for n in shape if n) * dtype.itemsize >= 2**63:  # an empty tensor may hide such sizes beside its 0
        raise FileFormatError(f"{where}: expected shape to be addressable, got {shape}")
    size = math.prod(shape) * dtype.itemsize
    if offsets[1] - offsets[0] != size:
        raise FileFormatError(f"{where}: expected {size} bytes for {dtype_name} of shape {shape}, got data_offsets {offsets}")
    return Entry(name, dtype, tuple(shape), offsets[0], offsets[1])


def _check_cover(path: str, entries: list[Entry], data_size: int) -> None:
    """Raises FileFormatError unless the tensors follow each other without holes and overlaps up to the file's end."""
    end = 0
    for entry in sorted(entries, key=lambda e: (e.begin, e.end)):
        if entry.begin != end:
            what = "overlaps the tensor before it" if entry.begin < end else "leaves a hole before it"
            where = f"load: {path}: tensor {entry.name!r}"
            raise FileFormatError(f"{where}: expected data_offsets[0] == {end}, got {entry.begin}: {what}")
        end = entry.end
    if end != data_size:
        what = "truncated" if end > data_size else "bytes that belong to no tensor"
        raise FileFormatError(f"load: {path}: expected {end} bytes after the header, got {data_size}: {what}")


def _sums(path: str, head: bytes, metadata: dict[str, str], entries: list[Entry]) -> dict[str, str] | None:
    """The tensors' checksums, after the header's own was verified; None for a file that has none."""
    if HEADER_SUM not in metadata and TENSOR_SUMS not in metadata:
        return None
    for key in (HEADER_SUM, TENSOR_SUMS):
        if key not in metadata:
            raise FileFormatError(f"load: {path}: expected {key} in __metadata__ beside the other checksums, got none: changed")
    expected = metadata[HEADER_SUM]
    unsigned = head.replace(_HEADER_KEY + expected.encode(), _HEADER_KEY + _NO_SUM.encode(), 1)
    got = hashlib.sha256(unsigned).hexdigest()
    if got != expected:
        what = f"expected a header of SHA-256 {expected[:16]}..., got {got[:16]}..."
        raise FileFormatError(f"load: {path}: {what}: the header was changed")
    try:
        sums = json.loads(metadata[TENSOR_SUMS], object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"load: {path}: expected {TENSOR_SUMS} to be JSON, got {error}") from None
    if not isinstance(sums, dict) or sums.keys() != {e.name for e in entries} or not all(isinstance(s, str) for s in sums.values()):
        raise FileFormatError(f"load: {path}: expected {TENSOR_SUMS} to hold one checksum for each tensor, got others")
    return sums
