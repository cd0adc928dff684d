"""AlexNet: the published network, its ablations, pictures from folders and from CIFAR-10's files, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from helpers.devices import check_cudasim
from helpers.resume import check_resume
from whitewolf import cli, nn
from whitewolf.data import pictures
from whitewolf.workloads import alexnet, frame


def train(*arguments: str) -> int:
    return cli.main(["train", "alexnet", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of two classes, red ones and blue ones, of several sizes."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for part, n in (("train", 12), ("test", 4)):
        for label, name in enumerate(("red", "blue")):
            inside = tmp_path / "pictures" / part / name
            inside.mkdir(parents=True)
            for i in range(n):
                pixels = rng.integers(0, 100, (40 + i, 36, 3)).astype(np.uint8)
                pixels[..., 2 * label] += 150
                image.fromarray(pixels).save(inside / f"{i}.png")
    return tmp_path / "pictures"


def test_the_network_of_2012_has_the_published_number_of_parameters() -> None:
    assert frame.count(alexnet.full_alexnet()) == 60_965_224


def test_response_normalisation_is_that_of_the_paper() -> None:
    a = np.random.default_rng(0).normal(size=(2, 9, 3, 3)) * 50
    expected = np.empty_like(a)
    for i in range(9):
        near = a[:, max(0, i - 2) : i + 3]
        expected[:, i] = a[:, i] / (2 + 1e-4 * (near**2).sum(axis=1)) ** 0.75
    np.testing.assert_allclose(alexnet.local_response_norm()(ww.asarray(a)).numpy(), expected, rtol=1e-12)


def test_the_full_network_trains_on_a_folder_of_class_folders(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "_save", lambda *_: None)  # half a gigabyte of zeros and small numbers
    out = tmp_path / "run"
    options = ("--data", str(folder), "--net", "full", "--steps", "1", "--batch-size", "4", "--out", str(out))
    assert train(*options) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["parameters"] == 60_965_224 - 998 * 4097 and result["target"] is None
    assert result["test_loss"] == pytest.approx(np.log(2), abs=0.2)


def test_the_small_network_tells_red_from_blue(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert train("--data", str(folder), "--epochs", "8", "--batch-size", "8", "--out", str(out)) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["test_accuracy"] >= 0.75 and "2 classes, 24 to learn from, 8 to test on" in result["data"]


@pytest.mark.parametrize("part", [*alexnet.PARTS, "augmentation,dropout"])
def test_parts_can_be_left_out(part: str, folder: Path, tmp_path: Path) -> None:
    options = cli.parser().parse_args(["train", "alexnet", "--data", str(folder), "--without", part])
    task: Any = alexnet.WORKLOAD.setup(options)
    layers = [type(layer).__name__ for layer in task.model]
    assert ("Tanh" in layers, "ReLU" in layers) == ((True, False) if part == "relu" else (False, True))
    assert {layer.p for layer in task.model if isinstance(layer, nn.Dropout)} == {0.0 if "dropout" in part else 0.5}
    batches = [next(iter(task.loader))[0].numpy() for _ in range(2)]
    task.loader.load_state_dict(task.loader.state_dict() | {"epoch": 0, "batch": 0})
    plain = task.loader.transform.transforms[0](task.loader.dataset.batch(np.arange(24)))[0]
    unchanged = [any(np.array_equal(image, other) for other in plain) for image in batches[0]]
    assert all(unchanged) if "augmentation" in part else not all(unchanged)
    assert alexnet.WORKLOAD.goal(options)[1] is None
    assert options.without == ("dropout,augmentation" if "," in part else part)  # one spelling, whatever the order


def test_a_part_that_is_unknown_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["train", "alexnet", "--without", "dropout,padding"])
    assert "expected some of relu, dropout, augmentation with commas between, got 'padding'" in capsys.readouterr().err


def test_digits_are_enlarged(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    out = tmp_path / "run"
    assert train("--steps", "2", "--batch-size", "16", "--out", str(out)) == 0
    assert "digits enlarged to 32x32" in json.loads((out / "result.json").read_text())["data"]
    small, large = ww.data.digits().arrays[0], alexnet.enlarged_digits(True).arrays[0]
    assert large.shape == (1438, 3, 32, 32) and large.dtype == np.uint8
    means = large.reshape(1438, 3, 8, 4, 8, 4).mean(axis=(3, 5))[:, 0]
    assert np.corrcoef(means.ravel(), small.ravel())[0, 1] > 0.95


def test_a_killed_run_is_resumed_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    check_resume("alexnet", tmp_path, monkeypatch, 9, "--batch-size", "4")


def test_steps_on_the_simulated_gpu_are_those_on_the_cpu() -> None:
    pytest.importorskip("sklearn")
    check_cudasim("alexnet", "--batch-size", "2")


def cifar_files(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        rows = rng.integers(0, 256, (4, 3073)).astype(np.uint8)
        rows[:, 0] = np.arange(4)
        (folder / name).write_bytes(rows.tobytes())
    return folder


def test_cifar_10_s_binary_files_are_read(tmp_path: Path) -> None:
    folder = cifar_files(tmp_path / "cifar-10-batches-bin")
    data, classes = alexnet.read(str(tmp_path), 32, True)
    assert len(data) == 20 and len(classes) == 10
    rows = np.frombuffer((folder / "data_batch_2.bin").read_bytes(), np.uint8).reshape(4, 3073)
    picture, label = data[5]
    assert label == 1 and picture.shape == (3, 32, 32) and picture[2, 0, 1] == rows[1, 1 + 2 * 1024 + 1]
    (folder / "data_batch_3.bin").write_bytes(b"\0" * 3072)
    with pytest.raises(ww.FileFormatError, match=r"data_batch_3.bin: expected rows of 3073 bytes, got 3072"):
        alexnet.read(str(tmp_path), 32, True)
    (folder / "data_batch_3.bin").write_bytes(b"\x0b" * 3073)
    with pytest.raises(ww.FileFormatError, match="expected labels from 0 to 9, got 11"):
        alexnet.read(str(tmp_path), 32, True)
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected data_batch_3.bin"):
        alexnet.read(str(tmp_path), 32, True)


def spoil(folder: Path, what: str) -> None:
    picture = folder / "train" / "red" / "3.png"
    if what == "truncated":
        picture.write_bytes(picture.read_bytes()[:200])
    elif what == "no picture":
        picture.write_bytes(b"hello")
    elif what == "empty class":
        for path in (folder / "test" / "blue").iterdir():
            path.unlink()
    elif what == "no test":
        (folder / "test").rename(folder / "unseen")
    else:
        (folder / "train").rename(folder / "test2")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("truncated", "3.png: expected a picture, got"),
        ("no picture", "3.png: expected a picture, got"),
        ("empty class", "expected pictures (.jpg, .jpeg, .png, ...) in"),
        ("no test", "found no test or val"),
        ("no train", "found no train"),
    ],
)
def test_a_folder_that_is_wrong_is_one_line(what: str, words: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(folder, what)
    assert train("--data", str(folder), "--out", str(folder / "run")) == 1
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


def test_full_needs_data(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert train("--net", "full", "--out", str(tmp_path)) == 1
    assert "expected --data FOLDER with --net full" in capsys.readouterr().err


def test_larger_pictures_are_scaled_and_their_middle_is_cut_out(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "a").mkdir()
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 10:30, 1] = 255
    image.fromarray(pixels).save(tmp_path / "a" / "wide.png")
    (picture, label) = pictures.ImageFolder(tmp_path, 10)[0]
    assert picture.shape == (3, 10, 10) and label == 0 and picture[1, :, 1:-1].min() == 255 and picture[0].max() == 0


def test_the_transforms_do_what_they_say() -> None:
    from whitewolf.data import ColourJitter, Compose, Normalize, RandomCrop, RandomFlip

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, 3, 6, 6)).astype(np.uint8)
    labels = np.arange(64)
    flipped, same = RandomFlip()((images, labels), rng)
    as_was = [np.array_equal(a, b) for a, b in zip(flipped, images)]
    assert same is labels and 16 < sum(as_was) < 48
    assert all(np.array_equal(a, b if kept else b[..., ::-1]) for a, b, kept in zip(flipped, images, as_was))

    cropped, _ = RandomCrop(5)((images, labels), rng)
    corners = [[np.array_equal(a, b[:, y : y + 5, x : x + 5]) for y in (0, 1) for x in (0, 1)] for a, b in zip(cropped, images)]
    assert (np.sum(corners, axis=1) == 1).all() and (np.sum(corners, axis=0) > 4).all()

    mean, std = images.mean(axis=(0, 2, 3)) / 255, images.std(axis=(0, 2, 3)) / 255
    scaled, _ = Compose(Normalize(mean, std))((images, labels), rng)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=(0, 2, 3)), 1, atol=1e-5)

    many = np.zeros((4000, 3, 2, 2), np.float32)
    components, spread = np.linalg.qr(rng.normal(size=(3, 3)))[0], np.array([1.0, 2.0, 5.0])
    moved, _ = ColourJitter(components, spread, 0.1)((many, labels), rng)
    assert (moved == moved[:, :, :1, :1]).all()  # all pixels of an image alike
    np.testing.assert_allclose((moved[:, :, 0, 0] @ components).std(axis=0), 0.1 * spread, rtol=0.1)
