"""Datasets, IDX files, and a loader whose order is fixed by its seed and whose state resumes."""

from __future__ import annotations

import gzip
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.loading import KINDS, Squares, flat, workers_left
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whitewolf.data import DataLoader, RandomShift, TensorDataset, collate, read_idx
from whitewolf.data.loader import permutation

MNIST = Path(os.environ.get("WHITEWOLF_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "mnist"


@pytest.fixture(autouse=True)
def no_worker_stays_behind() -> Iterator[None]:
    yield
    assert workers_left() == []


# ---- datasets and collation ----


def test_a_tensor_dataset_gives_rows_and_batches() -> None:
    data = TensorDataset(ww.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([7, 8, 9]))
    assert len(data) == 3 and data[1][0].tolist() == [3.0, 4.0] and data[-1][1] == 9
    rows, labels = data.batch(np.array([2, 0, 2]))
    assert rows.tolist() == [[5.0, 6.0], [1.0, 2.0], [5.0, 6.0]] and labels.tolist() == [9, 7, 9]


@pytest.mark.parametrize(
    ("arrays", "error", "words"),
    [
        ((np.zeros(3), np.zeros(2)), ValueError, r"arrays\[1\].*n == 3.*got \(2,\)"),
        ((np.zeros(3), [1, 2, 3]), TypeError, r"arrays\[1\].*list"),
        ((np.float32(1).reshape(()) * np.ones(()),), TypeError, r"arrays\[0\]"),
        ((np.zeros(()),), ValueError, r"arrays\[0\]"),
        ((), ValueError, "at least one"),
    ],
)
def test_unequal_arrays_are_named(arrays: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        TensorDataset(*arrays)


def test_samples_of_all_kinds_collate() -> None:
    batch = collate([{"x": np.ones(2, "f8"), "y": (1, 2.5, True), "t": ww.zeros(3), "name": "a"}] * 2)
    assert batch["x"].dtype == np.float64 and batch["x"].shape == (2, 2) and batch["t"].shape == (2, 3)
    assert [part.dtype for part in batch["y"]] == [np.int64, np.float32, np.bool_] and batch["name"] == ["a", "a"]
    assert collate([np.float32(1), np.float32(2)]).dtype == np.float32


def test_samples_that_do_not_stack_are_explained() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(2,\), \(3,\)"):
        collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(ValueError, match=r"lengths \[1, 2\]"):
        collate([(1,), (1, 2)])


# ---- order ----


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("n", "size"), [(0, 3), (1, 3), (9, 3), (10, 3), (3, 10)])
def test_batches_cover_the_dataset_in_order(n: int, size: int, drop_last: bool) -> None:
    loader = DataLoader(Squares(n), batch_size=size, drop_last=drop_last)
    batches = list(loader)
    kept = n // size * size if drop_last else n
    assert len(batches) == len(loader) and flat(loader) == list(range(kept))
    for values, indices in batches:
        assert isinstance(values, ww.Tensor) and values.dtype == ww.float32 and indices.dtype == ww.int64
        assert values.tolist() == [i * i for i in indices.tolist()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("workers", "prefetch"), [(1, 1), (2, 1), (3, 4), (7, 2)])
def test_order_does_not_depend_on_workers(kind: str, workers: int, prefetch: int) -> None:
    plain = DataLoader(Squares(50), 4, shuffle=True, seed=3)
    other = DataLoader(Squares(50), 4, shuffle=True, seed=3, num_workers=workers, prefetch=prefetch, workers=kind)
    for _ in range(2):
        assert flat(plain) == flat(other)


def test_each_epoch_and_seed_has_its_own_permutation_of_everything() -> None:
    loader, same, other = (DataLoader(Squares(40), 7, shuffle=True, seed=s) for s in (1, 1, 2))
    epochs = [flat(loader) for _ in range(3)]
    assert all(sorted(e) == list(range(40)) for e in epochs) and len({tuple(e) for e in epochs}) == 3
    assert flat(same) == epochs[0] and flat(other) != epochs[0]


def test_the_permutation_is_pinned() -> None:
    """The same on every machine and with every NumPy: a run must be repeatable years later."""
    assert permutation(8, 0).tolist() == [0, 2, 1, 5, 4, 3, 6, 7] and permutation(0, 5).tolist() == []


def test_without_a_seed_the_order_comes_from_manual_seed() -> None:
    orders = []
    for seed in (4, 4, 5):
        ww.manual_seed(seed)
        loaders = DataLoader(Squares(30), 5, shuffle=True), DataLoader(Squares(30), 5, shuffle=True)
        orders.append([flat(loader) for loader in loaders])
    assert orders[0] == orders[1] and orders[0] != orders[2] and orders[0][0] != orders[0][1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_transform_draws_the_same_numbers_whoever_runs_it(kind: str) -> None:
    def noisy(batch: Any, rng: np.random.Generator) -> Any:
        return rng.standard_normal(2), batch[1]

    loaders = [DataLoader(Squares(20), 3, seed=1, transform=noisy, num_workers=w, workers=kind) for w in (0, 1, 3)]
    first, second = ([[x.tolist() for x, _ in loader] for loader in loaders] for _ in range(2))
    assert first[0] == first[1] == first[2] and second[0] == second[1] == second[2] and first[0] != second[0]
    assert len({x[0] for x in first[0]}) == 7  # each batch has its own


def test_a_collate_fn_replaces_the_default() -> None:
    loader = DataLoader(list("abcde"), 2, collate_fn="".join)
    assert list(loader) == ["ab", "cd", "e"]
    loader = DataLoader(TensorDataset(np.arange(3)), 2, collate_fn=len)
    assert list(loader) == [2, 1]


def test_structures_become_tensors_and_text_stays() -> None:
    data = [{"x": 1.0, "n": [1, 2], "s": "a"}] * 2
    (batch,) = DataLoader(data, 2, device="cpu")
    assert batch["x"].dtype == ww.float32 and batch["n"][1].tolist() == [2, 2] and batch["s"] == ["a", "a"]


# ---- state ----


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [0, 1, 5, 9, 10, 13, 20])
def test_a_resumed_loader_gives_what_an_unbroken_one_would(stop: int, workers: int) -> None:
    def endless(loader: DataLoader, epochs: int) -> Iterator[Any]:
        while loader.epoch < epochs:
            for _, indices in loader:
                yield tuple(indices.tolist())

    whole = list(endless(DataLoader(Squares(38), 4, shuffle=True, seed=9), 2))
    assert len(whole) == 20
    first = DataLoader(Squares(38), 4, shuffle=True, seed=9, num_workers=workers)
    seen, stream = [], endless(first, 2)
    for _ in range(stop):
        seen.append(next(stream))
    state = first.state_dict()
    stream.close()
    second = DataLoader(Squares(38), 4, shuffle=True, seed=1, num_workers=workers)
    second.load_state_dict(state)
    assert seen + list(endless(second, 2)) == whole


def test_leaving_a_loop_early_begins_the_next_epoch() -> None:
    loader, plain = (DataLoader(Squares(20), 3, shuffle=True, seed=2) for _ in range(2))
    first, second = flat(plain), flat(plain)
    for _, indices in loader:
        assert indices.tolist() == first[:3]
        break
    assert loader.epoch == 0 and flat(loader) == second and loader.epoch == 2


CHANGES = [{"batch_size": 3}, {"samples": 21}, {"batch": 99}, {"epoch": -1}, {"seed": "a"}, {"more": 1}]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: next(iter(c)))
def test_a_state_of_another_loader_is_refused_and_changes_nothing(change: dict[str, Any]) -> None:
    loader = DataLoader(Squares(20), 4, seed=2)
    before = loader.state_dict()
    with pytest.raises(ValueError, match="DataLoader: expected a state"):
        loader.load_state_dict(before | change)
    assert loader.state_dict() == before


def test_the_state_goes_through_a_checkpoint(tmp_path: Path) -> None:
    loader = DataLoader(Squares(20), 4, shuffle=True, seed=2**63 + 5)
    next(iter(loader))
    ww.save_checkpoint(tmp_path / "c", loader=loader.state_dict())
    assert ww.load_checkpoint(tmp_path / "c")["loader"] == loader.state_dict()


# ---- IDX ----


def idx(code: int, shape: tuple[int, ...], body: bytes) -> bytes:
    return struct.pack(">BBBB", 0, 0, code, len(shape)) + struct.pack(f">{len(shape)}I", *shape) + body


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("code", "dtype"), [(8, "u1"), (9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")])
@pytest.mark.parametrize("shape", [(3, 4), (5,), (0, 4), (2, 1, 3)])
def test_idx_files_of_every_dtype_read(tmp_path: Path, code: int, dtype: str, shape: tuple[int, ...], packed: bool) -> None:
    array = (np.random.default_rng(0).standard_normal(shape) * 40).astype(">" + dtype)
    raw = idx(code, shape, np.abs(array).astype(">" + dtype).tobytes() if dtype == "u1" else array.tobytes())
    (tmp_path / "f").write_bytes(gzip.compress(raw) if packed else raw)
    found = read_idx(tmp_path / "f")
    assert found.dtype == np.dtype(dtype) and found.dtype.isnative and found.shape == shape and found.flags.writeable
    assert np.array_equal(found, np.abs(array) if dtype == "u1" else array)


GOOD = idx(8, (2, 3), bytes(range(6)))
BAD_IDX = {
    "empty": (b"", "4 bytes of magic number, got 0"),
    "short magic": (b"\0\0\x08", "got 3"),
    "wrong magic": (b"\x01" + GOOD[1:], "magic number 0x0000...., got 0x01000802"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(20), "got 0x89504e47"),
    "unknown dtype": (b"\0\0\x0a\x01" + bytes(8), "dtype code.*got 0x0a"),
    "no dimensions": (b"\0\0\x08\x00" + bytes(8), "dimensions, got 0"),
    "255 dimensions": (b"\0\0\x08\xff" + bytes(2000), "dimensions, got 255"),
    "truncated sizes": (GOOD[:9], "8 bytes of sizes, got 5"),
    "truncated": (GOOD[:-1], r"expected 6 bytes of elements for shape \(2, 3\), got 5: truncated"),
    "too long": (GOOD + b"\0", "expected 6 bytes.*got more"),
    "giant": (idx(8, (2**32 - 1,) * 8, b"abc"), "got 3: truncated"),
    "empty but huge": (idx(14, (0, 2**32 - 1, 2**32 - 1), b""), "addressable"),
    "truncated gzip": (gzip.compress(idx(8, (500,), os.urandom(500)))[:-50], "gzip stream"),
    "gzip with a wrong checksum": (gzip.compress(GOOD)[:-8] + bytes(8), "gzip stream"),
    "gzip of something else": (gzip.compress(b"hello world"), "magic number"),
    "gzip header only": (b"\x1f\x8b\x08", "gzip stream"),
    "gzip of a giant": (gzip.compress(idx(8, (2**32 - 1,) * 4, bytes(1000))), "got 1000: truncated"),
    "gzip too long": (gzip.compress(GOOD + bytes(10**6)), "got more"),
}


@pytest.mark.parametrize("name", BAD_IDX)
def test_bad_idx_files_are_named_with_expected_and_got(tmp_path: Path, name: str) -> None:
    raw, words = BAD_IDX[name]
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(raw)
    with pytest.raises(ww.FileFormatError, match=words) as caught:
        read_idx(path)
    assert str(path) in str(caught.value) and "expected" in str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), packed=st.booleans())
def test_random_damage_to_idx_is_a_file_format_error_and_nothing_else(tmp_path: Path, data: st.DataObject, packed: bool) -> None:
    raw = bytearray(gzip.compress(GOOD) if packed else GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(0, len(raw))) :]
    (tmp_path / "f").write_bytes(raw)
    try:
        read_idx(tmp_path / "f")
    except ww.FileFormatError:
        pass


# ---- digits and MNIST ----


def test_digits_are_split_without_overlap_and_scaled() -> None:
    pytest.importorskip("sklearn")
    train, held_out = ww.data.digits(), ww.data.digits(train=False)
    assert len(train) == 1438 and len(held_out) == 359
    images = np.concatenate([train.arrays[0], held_out.arrays[0]])
    assert images.dtype == np.float32 and images.shape == (1797, 1, 8, 8) and images.min() == 0 and images.max() == 1
    from sklearn.datasets import load_digits

    theirs = load_digits()
    rows = {(image.tobytes(), int(label)) for image, label in zip((theirs.images / 16).astype("f4"), theirs.target)}
    ours = [(image.tobytes(), int(label)) for part in (train, held_out) for image, label in zip(*part.arrays)]
    assert set(ours) == rows and len(ours) == 1797
    assert set(held_out.arrays[1].tolist()) == set(range(10)) and held_out.arrays[1].dtype == np.int64


def test_the_split_of_digits_is_fixed_by_its_seed() -> None:
    pytest.importorskip("sklearn")
    again, other = ww.data.digits(train=False), ww.data.digits(train=False, seed=1)
    assert np.array_equal(again.arrays[1], ww.data.digits(train=False).arrays[1])
    assert not np.array_equal(again.arrays[1], other.arrays[1])


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        ww.data.digits()


def write_mnist(folder: Path, images: bytes | None = None, labels: bytes | None = None, end: str = "") -> None:
    images = idx(8, (3, 28, 28), bytes(range(256)) * 9 + bytes(48)) if images is None else images
    labels = idx(8, (3,), b"\1\2\x09") if labels is None else labels
    pack = gzip.compress if end else bytes
    for which in ("train", "t10k"):
        (folder / f"{which}-images-idx3-ubyte{end}").write_bytes(pack(images))
        (folder / f"{which}-labels-idx1-ubyte{end}").write_bytes(pack(labels))


@pytest.mark.parametrize("end", ["", ".gz"])
def test_mnist_reads_a_folder(tmp_path: Path, end: str) -> None:
    write_mnist(tmp_path, end=end)
    image, label = ww.data.mnist(tmp_path, train=False)[0]
    assert image.shape == (1, 28, 28) and image.dtype == np.float32 and label == 1
    assert image.ravel()[255] == np.float32(1) and image.ravel()[1] == np.float32(1 / 255)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (idx(8, (3, 28, 27), bytes(3 * 28 * 27)), None, r"train-images.*\(n, 28, 28\), n >= 1, got uint8 of shape \(3, 28, 27\)"),
        (idx(8, (0, 28, 28), b""), idx(8, (0,), b""), r"train-images.*\(n, 28, 28\), n >= 1, got uint8 of shape \(0, 28, 28\)"),
        (idx(9, (3, 28, 28), bytes(3 * 784)), None, "train-images.*expected uint8.*got int8"),
        (None, idx(8, (2,), bytes(2)), r"train-labels.*\(3,\), a label for each image, got uint8 of shape \(2,\)"),
        (None, idx(8, (3,), b"\1\2\x0a"), "train-labels.*from 0 to 9, got 10"),
        (None, b"nonsense", "train-labels.*magic"),
    ],
    ids=["size", "empty", "dtype", "count", "label", "magic"],
)
def test_mnist_names_the_file_that_is_wrong(tmp_path: Path, images: Any, labels: Any, words: str) -> None:
    write_mnist(tmp_path, images, labels)
    with pytest.raises(ww.FileFormatError, match=words):
        ww.data.mnist(tmp_path)


def test_mnist_names_the_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        ww.data.mnist(tmp_path)


@pytest.mark.skipif(not MNIST.is_dir(), reason=f"no MNIST in {MNIST.parent} (WHITEWOLF_DATA names another folder)")
def test_the_published_mnist_reads() -> None:
    train, test = ww.data.mnist(MNIST), ww.data.mnist(MNIST, train=False)
    assert len(train) == 60_000 and len(test) == 10_000
    assert np.bincount(train.arrays[1]).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert abs(float(train.arrays[0].mean()) - 0.1307) < 1e-4


# ---- transforms ----


def test_a_random_shift_moves_each_image_by_its_own_and_fills_with_zeros() -> None:
    images = np.zeros((200, 2, 7, 6), "f4")
    images[:, 0, 3, 3], images[:, 1, 3, 3] = 1, 2
    shifted, labels = RandomShift(2)((images, np.arange(200)), np.random.default_rng(0))
    assert shifted.shape == images.shape and shifted.dtype == images.dtype and labels.tolist() == list(range(200))
    places = set()
    for image in shifted:
        (y, x), (y2, x2) = np.argwhere(image[0] == 1)[0], np.argwhere(image[1] == 2)[0]
        assert (y, x) == (y2, x2) and image.sum() == 3
        places.add((y - 3, x - 3))
    assert places == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}
    corner = np.ones((50, 1, 4, 4), "f4")
    assert {float(i.sum()) for i in RandomShift(1)(corner, np.random.default_rng(1))} == {9.0, 12.0, 16.0}
    assert np.array_equal(RandomShift(0)(images, np.random.default_rng(0)), images)


def test_a_dataset_of_arrays_takes_slices_as_its_arrays_do() -> None:
    found = ww.data.TensorDataset(np.arange(5), np.arange(10).reshape(5, 2))[1:3]
    assert [a.tolist() for a in found] == [[1, 2], [[2, 3], [4, 5]]]
