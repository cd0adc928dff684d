"""Safetensors files: there and back, checksums that cover every bit, and hostile files refused by name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whitewolf.io.format import MAX_HEADER

DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64",
)  # fmt: skip


def header_and_data(path: Path) -> tuple[dict[str, Any], bytes]:
    raw = path.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + n]), raw[8 + n :]


def write(path: Path, header: Any, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def f32(shape: list[Any], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


# ---- there and back ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (5, 7), (2, 3, 4, 5)])
def test_values_shapes_and_dtypes_come_back(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    values = np.asarray(np.random.default_rng(0).standard_normal(shape) * 50)
    array = np.asarray(np.abs(values) if dtype[0] == "u" else values * (1 - 2j) if dtype[0] == "c" else values).astype(dtype)
    ww.save({"x": array, "y": ww.asarray(array)}, tmp_path / "f")
    loaded = ww.load(tmp_path / "f")
    assert list(loaded) == ["x", "y"]
    for tensor in loaded.values():
        assert tensor.dtype == array.dtype and tensor.shape == shape
        assert tensor.numpy().tobytes() == array.tobytes()


def test_bfloat16_comes_back(tmp_path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([[1.5, -2.25, 3e38], [0, np.inf, -0.0]], ml_dtypes.bfloat16)
    ww.save({"x": array}, tmp_path / "f")
    assert header_and_data(tmp_path / "f")[0]["x"]["dtype"] == "BF16"
    loaded = ww.load(tmp_path / "f")["x"]
    assert loaded.dtype == ww.bfloat16 and loaded.numpy().tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "view",
    [lambda x: x.T, lambda x: x[::2, 1:], lambda x: x[::-1], lambda x: np.broadcast_to(x[:, :1], x.shape), lambda x: x[1, 2, ...]],
    ids=["transposed", "stepped", "reversed", "broadcast", "scalar"],
)
def test_strided_arrays_are_written_in_c_order(tmp_path: Path, view: Any) -> None:
    array = view(np.arange(20.0).reshape(4, 5))
    ww.save({"x": array}, tmp_path / "f")
    assert header_and_data(tmp_path / "f")[1] == array.tobytes("C")
    assert np.array_equal(ww.load(tmp_path / "f")["x"].numpy(), array)


def test_big_endian_arrays_are_written_little_endian(tmp_path: Path) -> None:
    ww.save({"x": np.arange(5, dtype=">i4")}, tmp_path / "f")
    assert ww.load(tmp_path / "f")["x"].tolist() == [0, 1, 2, 3, 4]


def test_loaded_tensors_are_writable_and_own_their_memory(tmp_path: Path) -> None:
    ww.save({"x": ww.zeros(3)}, tmp_path / "f")
    x = ww.load(tmp_path / "f", device="cpu")["x"]
    x[0] = 5.0
    assert ww.load(tmp_path / "f")["x"].tolist() == [0.0, 0.0, 0.0] and x.tolist() == [5.0, 0.0, 0.0]


def test_data_begins_at_a_multiple_of_eight_and_each_tensor_at_one_of_its_elements(tmp_path: Path) -> None:
    tensors = {"a": np.zeros(3, bool), "b": np.zeros(3, "f8"), "c": np.zeros(5, "i2"), "d": np.zeros(1, "f4")}
    ww.save(tensors, tmp_path / "f")
    raw = (tmp_path / "f").read_bytes()
    header, _ = header_and_data(tmp_path / "f")
    assert int.from_bytes(raw[:8], "little") % 8 == 0 and list(header)[1:] == list(tensors)
    for name, array in tensors.items():
        assert header[name]["data_offsets"][0] % array.itemsize == 0


def test_the_safetensors_package_reads_our_files_and_we_read_its(tmp_path: Path) -> None:
    theirs = pytest.importorskip("safetensors.numpy")
    import safetensors

    rng = np.random.default_rng(1)
    tensors = {f"t.{d}": (rng.standard_normal((3, 4)) * 9).astype(d) for d in DTYPES if d not in ("complex64",) and d[0] != "u"}
    tensors |= {"empty": np.zeros((0, 3), "f4"), "scalar": np.array(2.5, "f4"), "ü/π": np.ones(2, "u1")}
    ww.save(tensors, tmp_path / "ours", metadata={"format": "pt", "note": 'a "quoted" \\ line\n'})
    loaded = theirs.load_file(tmp_path / "ours")
    theirs.save_file(tensors, tmp_path / "theirs", metadata={"who": "them"})
    back = ww.load(tmp_path / "theirs")
    for name, array in tensors.items():
        for got in (loaded[name], back[name].numpy()):
            assert got.dtype == array.dtype and got.shape == array.shape and np.array_equal(got, array)
    with safetensors.safe_open(tmp_path / "ours", "np") as file:
        assert file.metadata()["note"] == 'a "quoted" \\ line\n'


def test_no_pickle_is_written_or_read(tmp_path: Path) -> None:
    import pickle

    (tmp_path / "f").write_bytes(pickle.dumps({"x": 1}))
    with pytest.raises(ww.FileFormatError):
        ww.load(tmp_path / "f")
    root = Path(ww.__file__).parent / "io"
    assert not any("pickle" in line and "import" in line for p in root.glob("*.py") for line in p.read_text().splitlines())


# ---- what cannot be saved ----


@pytest.mark.parametrize(
    ("tensors", "error", "words"),
    [
        ({1: np.zeros(1)}, TypeError, "names to be strings"),
        ({"w": [1.0]}, TypeError, "'w'"),
        ({"w": {"x": np.zeros(1)}}, TypeError, "'w'"),
        ({"w": np.zeros(1, complex)}, TypeError, "complex128"),
        ({"w": np.array(["a"])}, TypeError, "'w'"),
        ({"__metadata__": np.zeros(1)}, ValueError, "reserves"),
        ({"\ud800": np.zeros(1)}, ValueError, "UTF-8"),
        ([np.zeros(1)], TypeError, "dict"),
    ],
)
def test_what_cannot_be_saved_is_named_and_leaves_no_file(tmp_path: Path, tensors: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ww.save(tensors, tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_metadata_names_of_ours_and_other_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="whitewolf"):
        ww.save({}, tmp_path / "f", metadata={"whitewolf.header": "0"})
    with pytest.raises(TypeError, match="'n'"):
        ww.save({}, tmp_path / "f", metadata={"n": 1})  # type: ignore[dict-item]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ww.save({}, tmp_path / "nowhere" / "f")
    with pytest.raises(IsADirectoryError, match="folder"):
        ww.save({}, tmp_path)


# ---- checksums ----


def sample(path: Path) -> Path:
    tensors = {"a": np.arange(6, dtype="f4").reshape(2, 3), "b": np.array([True, False]), "c": np.zeros(0)}
    ww.save(tensors, path, metadata={"k": "v"})
    return path


def test_every_flipped_bit_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f"
    ww.save({"a": np.arange(3, dtype="f4"), "b": np.array([True, False])}, path)
    raw = path.read_bytes()
    with open(path, "r+b", buffering=0) as file:
        for position in range(len(raw)):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([raw[position] ^ 1 << bit]), position)
                with pytest.raises(ww.FileFormatError, match=str(path)):
                    ww.load(path)
            os.pwrite(file.fileno(), raw[position : position + 1], position)
    assert ww.load(path)["a"].tolist() == [0.0, 1.0, 2.0]


def test_a_flipped_bit_in_data_names_the_tensor(tmp_path: Path) -> None:
    path = sample(tmp_path / "f")
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 0x10  # the last float of a: its 24 bytes come first, then b's 2
    path.write_bytes(raw)
    with pytest.raises(ww.FileFormatError, match="tensor 'a': expected SHA-256"):
        ww.load(path)


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    raw = sample(tmp_path / "f").read_bytes()
    for n in range(len(raw)):
        (tmp_path / "g").write_bytes(raw[:n])
        with pytest.raises(ww.FileFormatError):
            ww.load(tmp_path / "g")


def test_appended_bytes_are_an_error(tmp_path: Path) -> None:
    path = sample(tmp_path / "f")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ww.FileFormatError, match="belong to no tensor"):
        ww.load(path)


def test_a_file_without_tensors_is_covered_too(tmp_path: Path) -> None:
    ww.save({}, tmp_path / "f")
    raw = (tmp_path / "f").read_bytes()
    assert ww.load(tmp_path / "f") == {}
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1
        (tmp_path / "f").write_bytes(changed)
        with pytest.raises(ww.FileFormatError):
            ww.load(tmp_path / "f")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_damage_is_a_file_format_error_and_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    with_sums = data.draw(st.booleans())
    source = sample(tmp_path / "f")
    if not with_sums:
        header, body = header_and_data(source)
        del header["__metadata__"]
        write(source, header, body)
    raw = bytearray(source.read_bytes())
    kind = data.draw(st.sampled_from(["bytes", "cut", "insert", "splice"]))
    at = data.draw(st.integers(0, len(raw) - 1))
    if kind == "bytes":
        for _ in range(data.draw(st.integers(1, 6))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    elif kind == "cut":
        del raw[at : at + data.draw(st.integers(1, 40))]
    elif kind == "insert":
        raw[at:at] = data.draw(st.binary(min_size=1, max_size=40))
    else:
        end = data.draw(st.integers(at, len(raw)))
        raw[at:end] = raw[: end - at]
    (tmp_path / "g").write_bytes(raw)
    try:
        loaded = ww.load(tmp_path / "g")
    except ww.FileFormatError:
        return
    if with_sums:
        assert bytes(raw) == source.read_bytes()
    else:  # damage to data that nobody can see, or to a name: whole tensors all the same
        assert sum(t.numpy().nbytes for t in loaded.values()) == len(header_and_data(tmp_path / "g")[1])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["F32", "BOOL", "C64"]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "w"]), inner, max_size=4)
        ),
        max_leaves=20,
    ),
    body=st.binary(max_size=16),
)
def test_random_json_headers_load_whole_or_are_refused(tmp_path: Path, header: Any, body: bytes) -> None:
    try:
        loaded = ww.load(write(tmp_path / "f", header, body))
    except ww.FileFormatError:
        return
    assert sum(t.numpy().nbytes for t in loaded.values()) == len(body)


# ---- hostile files ----

HOSTILE: dict[str, tuple[Any, bytes, str]] = {
    "overlap": ({"a": f32([2], 0, 8), "b": f32([2], 4, 12)}, bytes(12), "tensor 'b'.*overlaps"),
    "the same bytes twice": ({"a": f32([2], 0, 8), "b": f32([2], 0, 8)}, bytes(8), "tensor 'b'.*overlaps"),
    "hole": ({"a": f32([1], 0, 4), "b": f32([1], 8, 12)}, bytes(12), "tensor 'b'.*hole"),
    "hole at the start": ({"a": f32([1], 4, 8)}, bytes(8), "tensor 'a'.*hole"),
    "short data": ({"a": f32([4], 0, 16)}, bytes(15), "truncated"),
    "long data": ({"a": f32([4], 0, 16)}, bytes(17), "no tensor"),
    "size and offsets differ": ({"a": f32([3], 0, 16)}, bytes(16), "tensor 'a': expected 12 bytes.*got data_offsets"),
    "negative size": ({"a": f32([-1, -4], 0, 16)}, bytes(16), "tensor 'a': expected shape"),
    "overflowing shape": ({"a": f32([2**32, 2**32, 2**32], 0, 0)}, b"", "tensor 'a': expected shape to be addressable"),
    "overflow to the right size": ({"a": f32([2**62, 4], 0, 0)}, b"", "tensor 'a': expected shape to be addressable"),
    "empty and huge": ({"a": f32([0, 2**62, 2**62], 0, 0)}, b"", "tensor 'a': expected shape to be addressable"),
    "huge offsets": ({"a": f32([2**60], 0, 2**62)}, bytes(16), "truncated"),
    "size over 64 bits": ({"a": f32([2**70], 0, 16)}, bytes(16), "22 digits"),
    "many digits": (b'{"a":{"dtype":"F32","shape":[' + b"9" * 9999 + b'],"data_offsets":[0,4]}}', bytes(4), "9999 digits"),
    "float size": ({"a": f32([1.0], 0, 4)}, bytes(4), "no integer"),
    "boolean size": ({"a": f32([True], 0, 4)}, bytes(4), "tensor 'a': expected shape"),
    "text as shape": ({"a": f32("1", 0, 4)}, bytes(4), "tensor 'a': expected shape"),  # type: ignore[arg-type]
    "33 dimensions": ({"a": f32([1] * 33, 0, 4)}, bytes(4), "tensor 'a': expected shape to be at most 32"),
    "offsets backwards": ({"a": f32([1], 4, 0)}, bytes(4), "tensor 'a': expected data_offsets"),
    "negative offset": ({"a": f32([1], -4, 0)}, bytes(4), "tensor 'a': expected data_offsets"),
    "three offsets": ({"a": f32([1], 0, 4) | {"data_offsets": [0, 4, 8]}}, bytes(4), "tensor 'a': expected data_offsets"),
    "unknown dtype": ({"a": {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}}, bytes(4), "tensor 'a': expected dtype.*'F33'"),
    "dtype is a list": ({"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}, bytes(4), "tensor 'a': expected dtype"),
    "a field is missing": ({"a": {"dtype": "F32", "shape": [1]}}, bytes(4), "tensor 'a': expected dtype, shape"),
    "a field too many": ({"a": f32([1], 0, 4) | {"x": 1}}, bytes(4), "tensor 'a': expected dtype, shape"),
    "an entry is a list": ({"a": [1]}, b"", "tensor 'a'"),
    "duplicate tensor": (b'{"a":%b,"a":%b}' % ((json.dumps(f32([1], 0, 4)).encode(),) * 2), bytes(4), "'a' appears twice"),
    "duplicate field": (b'{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4), "'dtype' appears twice"),
    "a list": ([1, 2], b"", "object"),
    "a number": (b"7", b"", "object"),
    "leading space": (b" {}", b"", "first byte"),
    "byte order mark": (b"\xef\xbb\xbf{}", b"", "JSON"),
    "not UTF-8": (b'{"\xff":1}', b"", "UTF-8"),
    "half of a surrogate pair": (b'{"\\ud800":' + json.dumps(f32([1], 0, 4)).encode() + b"}", bytes(4), "surrogate"),
    "half of a pair in metadata": (b'{"__metadata__":{"a":"\\ud800"}}', b"", "surrogate"),
    "nested deep": (b"[" * 200_000, b"", "header of JSON"),
    "nested deep in objects": (b'{"a":' * 200_000, b"", "header of JSON"),
    "NaN": (b'{"a":NaN}', b"", "no integer"),
    "nothing": (b"", b"", "JSON"),
    "metadata is a list": ({"__metadata__": []}, b"", "__metadata__"),
    "metadata holds a number": ({"__metadata__": {"a": 1}}, b"", "__metadata__"),
    "one checksum only": ({"__metadata__": {"whitewolf.header": "0" * 64}}, b"", "whitewolf.tensors"),
    "bytes that are no booleans": ({"a": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\1\2", "tensor 'a'.*got 2"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_by_name(tmp_path: Path, name: str) -> None:
    header, body, words = HOSTILE[name]
    path = write(tmp_path / "f.safetensors", header, body)
    with pytest.raises(ww.FileFormatError, match=words) as caught:
        ww.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("length", [MAX_HEADER + 1, 2**40, 2**63, 2**64 - 1])
def test_giant_header_lengths_are_refused_before_anything_is_read(tmp_path: Path, length: int) -> None:
    (tmp_path / "f").write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(ww.FileFormatError, match="at most"):
        ww.load(tmp_path / "f")


def test_a_header_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes((MAX_HEADER).to_bytes(8, "little") + b"{}")
    with pytest.raises(ww.FileFormatError, match="truncated"):
        ww.load(tmp_path / "f")


def test_files_of_others_without_checksums_or_alignment_load(tmp_path: Path) -> None:
    body = np.array([1.0, 2.0], "<f4").tobytes()
    header = b'{"b":{"data_offsets":[0,8],"shape":[2,1],"dtype":"F32"},"e":{"dtype":"I8","shape":[0],"data_offsets":[8,8]}}  '
    path = write(tmp_path / "f", header, body)
    assert len(header) % 8
    loaded = ww.load(path)
    assert loaded["b"].tolist() == [[1.0], [2.0]] and loaded["e"].shape == (0,)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ww.load(tmp_path / "none")
