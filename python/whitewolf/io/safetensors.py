"""ww.save and ww.load: tensors to safetensors files and back, with checksums; see format.py for what the bytes mean."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from .._errors import FileFormatError
from ..device import Array, Device
from ..device import device as find_device
from ..ops.creation import asarray
from ..tensor import Tensor, wrap
from .atomic import replacing
from .format import NAMES, Entry, build, check_length, check_sum, parse

_CHUNK = 1 << 22  # bytes that are read and hashed at a time: they are still in the cache when the second happens


def save(tensors: Mapping[str, Any], path: str | os.PathLike[str], *, metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors to a safetensors file, with checksums, replacing a file of that name whole.

    The file is written beside `path`, synced to the disk and renamed, so that after a kill at any moment the old file or the new
    one is there. Other programs read it as any safetensors file.

    Args:
        tensors: names and tensors (or NumPy arrays) of any shape, strides and device.
        path: the file; its folder must exist.
        metadata: text to store beside them; names that begin with "whitewolf." are taken.

    Raises:
        TypeError: a name or a value is of another type, or the format has no such dtype (complex128); the text names it.
        ValueError: the name is not to be had ("__metadata__", or no valid text).

    >>> import tempfile, whitewolf as ww
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ww.save({"x": ww.ones(2)}, folder + "/x.safetensors")
    ...     ww.load(folder + "/x.safetensors")
    {'x': tensor([1., 1.])}
    """
    if not isinstance(tensors, Mapping):
        raise TypeError(f"save: expected a dict of names and tensors, got {type(tensors).__name__}")
    arrays = {name: _array(name, value) for name, value in tensors.items()}
    extra = _check_metadata(metadata or {})
    entries, end = {}, 0
    # The widest elements first: then every tensor begins at a multiple of its element size.
    for name in sorted(arrays, key=lambda n: -arrays[n].dtype.itemsize):
        array = arrays[name]
        entries[name] = Entry(name, array.dtype, array.shape, end, end + array.nbytes)
        end += array.nbytes
    listed = [entries[name] for name in arrays]
    with replacing(path) as file:
        file.write(build(listed, None, extra))
        sums = {name: _write(file, arrays[name]) for name in entries}
        file.seek(0)
        file.write(build(listed, sums, extra))


def load(path: str | os.PathLike[str], *, device: str | Device | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file, in the order of its header.

    Checksums are verified where the file has them; files that others wrote have none.

    Args:
        path: the file.
        device: where the tensors go; "cpu" unless given.

    Raises:
        ww.FileFormatError: the file is truncated, corrupted or hostile; the text names the file and the tensor.
        ImportError: it holds bfloat16 and ml_dtypes is not installed.
        OSError: the file is not there.
    """
    return read(path, device)[0]


def read(path: str | os.PathLike[str], device: str | Device | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file and its metadata (without the checksums); errors as `load`."""
    name, where, cpu = os.fspath(path), find_device(device), find_device("cpu")
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(8) or b""
        length = check_length(name, first, size)
        text = file.read(length) or b""
        if len(text) < length:
            raise FileFormatError(f"load: {name}: expected a header of {length} bytes, got {len(text)}: truncated")
        header = parse(name, first + text, size)
        found = {}
        for entry in sorted(header.entries, key=lambda e: (e.begin, e.end)):
            place = f"load: {name}: tensor {entry.name!r}"
            data = cpu.empty(entry.shape, entry.dtype)
            hasher = None if header.sums is None else hashlib.sha256()
            got = _fill(file, _bytes(data), hasher)
            if got < data.nbytes:
                raise FileFormatError(f"{place}: expected {data.nbytes} bytes, got {got}: truncated")
            if hasher is not None and header.sums is not None:
                check_sum(name, entry, header.sums[entry.name], hasher.hexdigest())
            if entry.dtype == np.bool_ and data.size and data.view(np.uint8).max() > 1:
                raise FileFormatError(f"{place}: expected bytes 0 and 1 for BOOL, got {data.view(np.uint8).max()}")
            found[entry.name] = data
    tensors = {entry.name: wrap(found[entry.name], cpu) for entry in header.entries}
    return {key: tensor if where is cpu else tensor.to(where) for key, tensor in tensors.items()}, header.metadata


def _array(name: Any, value: Any) -> Array:
    """A tensor's array, after name and dtype were checked."""
    if not isinstance(name, str):
        raise TypeError(f"save: expected names to be strings, got {type(name).__name__} {name!r}")
    if name == "__metadata__":
        raise ValueError("save: expected a tensor name other than '__metadata__', which the format reserves")
    _check_text("a tensor name", name)
    if not isinstance(value, (Tensor, np.ndarray, np.generic)):
        raise TypeError(f"save: expected a Tensor or a NumPy array for {name!r}, got {type(value).__name__}")
    if value.dtype.name not in NAMES and not (value.dtype.kind in "biufc" and value.dtype.newbyteorder("=").name in NAMES):
        raise TypeError(f"save: expected {name!r} to have a dtype of safetensors ({', '.join(NAMES)}), got {value.dtype}")
    return (value if isinstance(value, Tensor) else asarray(value)).numpy()  # asarray: to the machine's byte order


def _check_text(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"save: expected {what} to be text that UTF-8 can hold, got {text!r}") from None


def _check_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"save: expected metadata to map strings to strings, got {key!r}: {type(value).__name__}")
        if key.startswith("whitewolf."):
            raise ValueError(f"save: expected metadata names that do not begin with 'whitewolf.', got {key!r}")
        _check_text("metadata", key + value)
    return dict(metadata)


def _bytes(array: Array) -> memoryview:
    """The elements in C order as bytes, of an array in C order without a copy: NumPy's own buffers know no bfloat16."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.size else memoryview(bytearray())


def _write(file: BinaryIO, array: Array) -> str:
    """Writes an array's elements in C order; returns their SHA-256."""
    data, hasher = _bytes(array), hashlib.sha256()
    for start in range(0, len(data), _CHUNK):
        hasher.update(data[start : start + _CHUNK])
        file.write(data[start : start + _CHUNK])
    return hasher.hexdigest()


def _fill(file: Any, data: memoryview, hasher: Any) -> int:
    """Reads from an unbuffered file until `data` is full or the file ends; returns the bytes read."""
    done = 0
    while done < len(data):
        n = file.readinto(data[done : done + _CHUNK])
        if not n:
            break
        if hasher is not None:
            hasher.update(data[done : done + n])
        done += n
    return done
